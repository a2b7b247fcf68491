"""Readiness of a strategy for live capital: five facts, a confidence score, one verdict."""

from risk.domain.readiness.facts import (
    Fact,
    FactName,
    TrackRecord,
    compute_wilson_interval,
    read_facts,
)
from risk.domain.readiness.score import (
    Component,
    ConfidenceScore,
    Evidence,
    ScoreCap,
    compute_edge_probability,
    score_confidence,
)
from risk.domain.readiness.verdict import (
    PAPER_DAYS_MIN,
    SCORE_LIVE_MIN,
    SCORE_PROMISING_MIN,
    Readiness,
    Standing,
    judge_readiness,
)

__all__ = [
    "PAPER_DAYS_MIN",
    "SCORE_LIVE_MIN",
    "SCORE_PROMISING_MIN",
    "Component",
    "ConfidenceScore",
    "Evidence",
    "Fact",
    "FactName",
    "Readiness",
    "ScoreCap",
    "Standing",
    "TrackRecord",
    "compute_edge_probability",
    "compute_wilson_interval",
    "judge_readiness",
    "read_facts",
    "score_confidence",
]
