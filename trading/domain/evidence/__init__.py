"""Evidence: does price reach magnets before their mirror points in this market?

``run`` tests, ``states`` says what follows for leverage, ``calibration`` maps strength to chance.
Everything is pure: candles and a seed in, frozen results out, also when the answer is "no".
"""

from __future__ import annotations

from risk.domain.leverage import EvidenceState
from trading.domain.evidence.bootstrap import adjust_holm, estimate_mean, two_sided_p
from trading.domain.evidence.calibration import StrengthCalibration, fit_strength_calibration
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
    "StrengthCalibration",
    "adjust_holm",
    "derive_evidence_state",
    "estimate_mean",
    "fit_strength_calibration",
    "judge_evidence",
    "run_evidence_test",
    "two_sided_p",
]
