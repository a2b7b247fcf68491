"""Ready for live capital or not, with every reason in words; it never switches anything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from risk.domain.leverage.types import EvidencePolicy
from risk.domain.readiness.facts import Fact, FactName
from risk.domain.readiness.score import ConfidenceScore

SCORE_LIVE_MIN = 95.0
SCORE_PROMISING_MIN = 50.0
PAPER_DAYS_MIN = 90


class Standing(StrEnum):
    """How a score reads."""

    SHOWN = "shown"
    PROMISING = "promising"
    NOT_SHOWN = "not shown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """The verdict; ``reason`` is one sentence, empty of blame and full of numbers."""

    ready_for_live: bool
    standing: Standing
    reason: str


def judge_readiness(
    *,
    facts: Sequence[Fact],
    confidence: ConfidenceScore,
    policy: EvidencePolicy,
    paper_days: int,
) -> Readiness:
    """Ready only if all five facts pass, the score is at least 95 without a cap, the evidence
    policy is enforced and the paper stretch is at least 90 days.
    """
    against = [
        fact.words
        for name in FactName
        for fact in facts
        if fact.name is name and not fact.is_passed
    ]
    missing = [name.value for name in FactName if all(fact.name is not name for fact in facts)]
    if missing:
        against.append(f"not measured: {', '.join(missing)}")
    if not confidence.score >= SCORE_LIVE_MIN:
        against.append(f"confidence {confidence.score:.0f}, at least {SCORE_LIVE_MIN:.0f}")
    against += [f"confidence is capped: {cap.value.replace('_', ' ')}" for cap in confidence.caps]
    if policy is not EvidencePolicy.ENFORCED:
        against.append(f"evidence policy is {policy}, must be enforced")
    if paper_days < PAPER_DAYS_MIN:
        against.append(f"{paper_days} days on paper, at least {PAPER_DAYS_MIN}")
    standing = Standing.NOT_SHOWN
    if confidence.score >= SCORE_LIVE_MIN:
        standing = Standing.SHOWN
    elif confidence.score >= SCORE_PROMISING_MIN:
        standing = Standing.PROMISING
    return Readiness(
        ready_for_live=not against,
        standing=standing,
        reason="; ".join(against)
        if against
        else "all five criteria, the score and the paper-trading period are met",
    )
