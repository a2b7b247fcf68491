"""What follows from evidence: a state for each kind, market and timeframe.

``unproven`` is where everything starts.  ``supported`` asks all of: p > 0.5 after Holm at 5 %, the
same sign out of sample with the lower 95 % bound above one half, clean controls in both runs, at
least 1,000 decided races.  Support ``expired`` after 180 days or any change of rules.  The cap on
leverage that a state gives stands in :mod:`risk.domain.leverage`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from magnetfund.kernel.errors import InvalidInput
from risk.domain.leverage import EvidenceState
from trading.domain.evidence.types import EvidenceRun

DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceRules:
    """Thresholds of a judgement; one-sided bounds are those of the 95 % interval."""

    significance: float = 0.05
    races_min: int = 1000
    valid_days: int = 180


DEFAULT_RULES = EvidenceRules()


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceJudgement:
    """The verdict on one candidate; ``reasons`` are codes of every condition that failed."""

    name: str
    market: str
    timeframe: str
    state: EvidenceState
    reasons: tuple[str, ...]
    judged_at: int
    rules_version: str
    in_sample: float
    out_of_sample: float


def judge_evidence(
    *,
    name: str,
    in_sample: EvidenceRun,
    out_of_sample: EvidenceRun | None,
    judged_at: int,
    rules: EvidenceRules = DEFAULT_RULES,
) -> EvidenceJudgement:
    """Judge a candidate by a run and a later one on the same market.

    ``judged_at`` in ms UTC.  Raises :class:`InvalidInput` when the runs do not belong together or
    overlap, or lack the candidate.
    """
    row = in_sample.row(name)
    reasons = []
    if in_sample.void:
        reasons.append("control_not_clean")
    if row.first.n < rules.races_min:
        reasons.append("too_few_races")
    if not (row.first.value > 0.5 and row.p_holm < rules.significance):
        reasons.append("not_significant")
    later = math.nan
    if out_of_sample is None:
        reasons.append("no_out_of_sample")
    else:
        same = (out_of_sample.market, out_of_sample.timeframe, out_of_sample.levels_version)
        if same != (in_sample.market, in_sample.timeframe, in_sample.levels_version):
            raise InvalidInput("the runs differ in market or rules", code="evidence_pair")
        if out_of_sample.first_at <= in_sample.last_at:
            raise InvalidInput("the out-of-sample run overlaps the other", code="evidence_pair")
        second = out_of_sample.row(name)
        later = second.first.value
        if out_of_sample.void:
            reasons.append("out_of_sample_control_not_clean")
        if second.first.n < rules.races_min:
            reasons.append("out_of_sample_too_few_races")
        if not second.first.low > 0.5:
            reasons.append("out_of_sample_not_shown")
    return EvidenceJudgement(
        name=name,
        market=in_sample.market,
        timeframe=in_sample.timeframe,
        state=EvidenceState.UNPROVEN if reasons else EvidenceState.SUPPORTED,
        reasons=tuple(reasons),
        judged_at=judged_at,
        rules_version=in_sample.levels_version,
        in_sample=row.first.value,
        out_of_sample=later,
    )


def derive_evidence_state(
    *,
    judged: EvidenceState,
    judged_at: int,
    judged_version: str,
    at: int,
    rules_version: str,
    rules: EvidenceRules = DEFAULT_RULES,
) -> EvidenceState:
    """The state that holds at ``at`` under the rules in force, of a verdict of ``judged_at``.

    Times in ms UTC; ``judged_version`` is the version of the levels that were judged.
    """
    if judged is not EvidenceState.SUPPORTED or at < judged_at:
        return EvidenceState.UNPROVEN
    if at - judged_at >= rules.valid_days * DAY_MS or judged_version != rules_version:
        return EvidenceState.EXPIRED
    return EvidenceState.SUPPORTED
