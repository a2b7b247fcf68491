"""What other sizing rules would have said: fractional Kelly and volatility target (SIZ-2).

They are shown beside a decision and never enlarge it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from risk.domain.ratios import compute_kelly_binary
from risk.domain.sizing.types import SizingDecision

KELLY_SHARE_DEFAULT = 0.25
"""A quarter of Kelly; more than half is not offered."""
KELLY_SHARE_MAX = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class SizeComparison:
    """One other rule: the notional it would take (None: not evaluated) and the ratio to ours.

    ``ratio`` is our notional over its; above 1 we take more than that rule would.
    """

    name: str
    notional: float | None
    ratio: float | None
    words: str


def compute_kelly_share(*, win_rate: float, payoff: float) -> float:
    """Share of equity to stake by Kelly: p - (1 - p) / b, floored at 0.

    ``win_rate`` p in 0..1, ``payoff`` b = average win over average loss (> 0).  NaN or out of
    range gives 0: nothing is staked on what is not known.  Source: Kelly (1956), binary form.
    """
    if not (0.0 <= win_rate <= 1.0) or not payoff > 0.0 or math.isinf(payoff):
        return 0.0
    return max(0.0, compute_kelly_binary(win_probability=win_rate, payoff=payoff))


def compare_sizing(
    *,
    decision: SizingDecision,
    win_rate: float | None = None,
    payoff: float | None = None,
    kelly_share: float = KELLY_SHARE_DEFAULT,
    sigma: float | None = None,
    volatility_target: float | None = None,
) -> tuple[SizeComparison, SizeComparison]:
    """Fractional Kelly and volatility target beside a decision.

    Kelly stakes ``kelly_share`` (at most a half) of the Kelly share as the loss at the stop; the
    volatility target takes equity * target / sigma as notional (both annualised).
    """
    return (
        _compare_kelly(decision, win_rate, payoff, min(kelly_share, KELLY_SHARE_MAX)),
        _compare_volatility(decision, sigma, volatility_target),
    )


def _ratio(decision: SizingDecision, notional: float) -> float | None:
    return decision.notional / notional if notional > 0.0 else None


def _compare_kelly(
    decision: SizingDecision, win_rate: float | None, payoff: float | None, fraction: float
) -> SizeComparison:
    name = "fractional_kelly"
    if win_rate is None or payoff is None or not fraction > 0.0 or not decision.is_safe:
        words = "win rate and payoff are not known"
        return SizeComparison(name=name, notional=None, ratio=None, words=words)
    full = compute_kelly_share(win_rate=win_rate, payoff=payoff)
    stake = fraction * full * decision.case.equity
    notional = stake * decision.notional / decision.risk
    words = (
        f"{fraction:.0%} of full Kelly ({full:.2%}) would risk {stake:,.2f} at stop, "
        f"a notional of {notional:,.2f}"
    )
    return SizeComparison(
        name=name, notional=notional, ratio=_ratio(decision, notional), words=words
    )


def _compare_volatility(
    decision: SizingDecision, sigma: float | None, volatility_target: float | None
) -> SizeComparison:
    name = "volatility_target"
    if sigma is None or volatility_target is None or not sigma > 0.0 or not volatility_target > 0.0:
        words = "volatility or its target is not known"
        return SizeComparison(name=name, notional=None, ratio=None, words=words)
    notional = decision.case.equity * volatility_target / sigma
    words = (
        f"a volatility target of {volatility_target:.0%} at {sigma:.0%} volatility "
        f"gives a notional of {notional:,.2f}"
    )
    return SizeComparison(
        name=name, notional=notional, ratio=_ratio(decision, notional), words=words
    )
