"""Evidence: does price reach magnets before their mirror points in this market?

``run`` tests, ``states`` says what follows for leverage, ``calibration`` maps strength to chance.
Everything is pure: candles and a seed in, frozen results out, also when the answer is "no".
"""

from __future__ import annotations

from risk.domain.leverage import EvidenceState
from trading.domain.evidence.bands import (
    CALIBRATED_BANDS,
    MagnetBands,
    find_band_alarms,
    grade_readings,
    measure_bands,
)
from trading.domain.evidence.bootstrap import adjust_holm, estimate_mean, two_sided_p
from trading.domain.evidence.calibration import (
    StrengthCalibration,
    calibrate_targets,
    fit_strength_calibration,
)
from trading.domain.evidence.run import DEFAULT_EVIDENCE, run_evidence_test
from trading.domain.evidence.states import (
    DEFAULT_RULES,
    EvidenceJudgement,
    EvidenceRules,
    derive_evidence_state,
    judge_evidence,
)
from trading.domain.evidence.types import (
    Candidate,
    ControlKind,
    Estimate,
    EvidenceParameters,
    EvidenceRow,
    EvidenceRun,
)

__all__ = [
    "CALIBRATED_BANDS",
    "DEFAULT_EVIDENCE",
    "DEFAULT_RULES",
    "Candidate",
    "ControlKind",
    "Estimate",
    "EvidenceJudgement",
    "EvidenceParameters",
    "EvidenceRow",
    "EvidenceRules",
    "EvidenceRun",
    "EvidenceState",
    "MagnetBands",
    "StrengthCalibration",
    "adjust_holm",
    "calibrate_targets",
    "derive_evidence_state",
    "estimate_mean",
    "find_band_alarms",
    "fit_strength_calibration",
    "grade_readings",
    "judge_evidence",
    "measure_bands",
    "run_evidence_test",
    "two_sided_p",
]
