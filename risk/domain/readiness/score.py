"""The confidence score 0..100: 100 * min(deflated Sharpe, edge probability, survival probability).

The weakest of three questions decides: is the Sharpe ratio more than luck among every variant
tried, do wins outweigh losses after costs, and does the next year likely end in profit within the
drawdown.  Caps then limit what thin evidence can claim.  Anything missing scores 0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from magnetfund.kernel.errors import InvalidInput

EFFECTIVE_TRADES_MIN = 100.0


class Component(StrEnum):
    """The three probabilities."""

    DEFLATED_SHARPE = "deflated_sharpe"
    EDGE = "edge"
    SURVIVAL = "survival"


class ScoreCap(StrEnum):
    """Why a score cannot be higher, however good the components."""

    LOOK_AHEAD = "look_ahead"
    MISSING_COMPONENT = "missing_component"
    FEW_TRADES = "few_trades"
    NO_OUT_OF_SAMPLE = "no_out_of_sample"
    ONE_REGIME = "one_regime"


CEILINGS = {
    ScoreCap.LOOK_AHEAD: 0.0,
    ScoreCap.MISSING_COMPONENT: 0.0,
    ScoreCap.FEW_TRADES: 40.0,
    ScoreCap.NO_OUT_OF_SAMPLE: 60.0,
    ScoreCap.ONE_REGIME: 70.0,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What the score rests on; probabilities are 0..1, None where not computed.

    ``trials`` is every variant ever tried, counted by the platform and not by the author.
    ``trades_effective`` is the number of trades after overlap.
    """

    deflated_sharpe: float | None
    edge: float | None
    survival: float | None
    trades_effective: float
    trials: int
    has_out_of_sample: bool
    has_full_volatility_regime: bool
    has_look_ahead_difference: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfidenceScore:
    """The score, the component that binds (None where one is missing), and the caps that apply."""

    score: float
    score_uncapped: float
    binding: Component | None
    caps: tuple[ScoreCap, ...]
    evidence: Evidence


def compute_edge_probability(
    *, wins: int, losses: int, win_average: float, loss_average: float
) -> float:
    """Probability that the true win rate exceeds break-even, under Beta(0.5 + wins, 0.5 + losses).

    Break-even is loss / (win + loss) with both averages positive amounts net of costs (Jeffreys
    prior).  Raises ``InvalidInput``: ``bad_counts`` for negative counts, ``bad_average`` for
    averages that are not positive numbers.
    """
    from scipy.special import betaincc

    if wins < 0 or losses < 0:
        raise InvalidInput("counts of trades cannot be negative", code="bad_counts")
    for average in (win_average, loss_average):
        if not (math.isfinite(average) and average > 0.0):
            raise InvalidInput("averages must be positive numbers", code="bad_average")
    break_even = loss_average / (win_average + loss_average)
    return float(betaincc(0.5 + wins, 0.5 + losses, break_even))


def score_confidence(*, evidence: Evidence) -> ConfidenceScore:
    """Score the evidence; never raises, because what is missing or absurd scores 0."""
    parts = {
        Component.DEFLATED_SHARPE: evidence.deflated_sharpe,
        Component.EDGE: evidence.edge,
        Component.SURVIVAL: evidence.survival,
    }
    known = {
        name: value for name, value in parts.items() if value is not None and 0.0 <= value <= 1.0
    }
    caps = _find_caps(evidence, is_complete=len(known) == len(parts))
    if len(known) < len(parts):
        return ConfidenceScore(
            score=0.0, score_uncapped=0.0, binding=None, caps=caps, evidence=evidence
        )
    binding = min(known, key=lambda name: known[name])
    uncapped = 100.0 * known[binding]
    return ConfidenceScore(
        score=min([uncapped, *(CEILINGS[cap] for cap in caps)]),
        score_uncapped=uncapped,
        binding=binding,
        caps=caps,
        evidence=evidence,
    )


def _find_caps(evidence: Evidence, *, is_complete: bool) -> tuple[ScoreCap, ...]:
    caps = {
        ScoreCap.LOOK_AHEAD: evidence.has_look_ahead_difference,
        ScoreCap.MISSING_COMPONENT: not is_complete,
        ScoreCap.FEW_TRADES: not evidence.trades_effective >= EFFECTIVE_TRADES_MIN,
        ScoreCap.NO_OUT_OF_SAMPLE: not evidence.has_out_of_sample,
        ScoreCap.ONE_REGIME: not evidence.has_full_volatility_regime,
    }
    return tuple(cap for cap, applies in caps.items() if applies)
