"""Implied volatility with named failures; its rank and its percentile among past days.

Rank and percentile are two numbers: the rank places today between the lowest and the highest day,
the percentile counts the days below it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from magnetfund.kernel.errors import InvalidInput
from trading.domain.options.pricing import (
    OptionKind,
    check_option,
    normal_density,
    price_option,
)

VOLATILITY_MAX = 20.0
_TOLERANCE = 1e-12
_ROUNDS = 100
# Time value smaller than this share of the price's scale is rounding, not information.
_NOISE = 1e-14


class ImpliedFailure(StrEnum):
    """Why a price implies no volatility."""

    EXPIRED = "expired"
    BELOW_PAYOFF = "below_payoff"
    ABOVE_BOUND = "above_bound"
    NO_TIME_VALUE = "no_time_value"
    BEYOND_RANGE = "beyond_range"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImpliedVolatility:
    """Exactly one is set: the annual ``volatility``, or the ``failure`` that explains its lack."""

    volatility: float | None = None
    failure: ImpliedFailure | None = None


def compute_implied_volatility(
    *,
    kind: OptionKind,
    price: float,
    spot: float,
    strike: float,
    years: float,
    rate: float = 0.0,
    dividend_yield: float = 0.0,
) -> ImpliedVolatility:
    """The volatility at which :func:`price_option` gives ``price``.

    Newton inside a bracket, on the out-of-the-money twin (by parity), whose price is all time value
    and keeps its digits.  A price outside the no-arbitrage bounds, without time value, or beyond
    2,000 % gives the failure's name; malformed terms raise :class:`InvalidInput`.
    """
    check_option(spot, strike, years, 0.0, rate, dividend_yield)
    if not math.isfinite(price):
        raise InvalidInput("the price must be finite", code="bad_option")
    if years == 0.0:
        return ImpliedVolatility(failure=ImpliedFailure.EXPIRED)
    asset = spot * math.exp(-dividend_yield * years)
    cash = strike * math.exp(-rate * years)
    payoff = max(kind.sign * (asset - cash), 0.0)
    noise = _NOISE * max(asset, cash)
    value = price - payoff  # of the twin that is out of the money
    if value < -noise:
        return ImpliedVolatility(failure=ImpliedFailure.BELOW_PAYOFF)
    if value <= noise:
        return ImpliedVolatility(failure=ImpliedFailure.NO_TIME_VALUE)
    if value >= min(asset, cash):
        return ImpliedVolatility(failure=ImpliedFailure.ABOVE_BOUND)
    twin = OptionKind.CALL if cash >= asset else OptionKind.PUT
    return _solve(twin, value, asset, cash, years)


def _solve(
    kind: OptionKind, value: float, asset: float, cash: float, years: float
) -> ImpliedVolatility:
    """Newton on the logarithm of the price, bisecting whenever a step would leave the bracket."""
    low, high = 0.0, VOLATILITY_MAX

    def at(volatility: float) -> float:
        return price_option(kind=kind, spot=asset, strike=cash, years=years, volatility=volatility)

    if at(high) < value:
        return ImpliedVolatility(failure=ImpliedFailure.BEYOND_RANGE)
    root = math.sqrt(years)
    moneyness = math.log(asset / cash)
    # The price is steepest here (Manaster and Koehler 1982); never at the edge of the bracket.
    guess = min(max(math.sqrt(2.0 * abs(moneyness)) / root, 0.05), high / 2.0)
    for _ in range(_ROUNDS):
        found = at(guess)
        if found < value:
            low = guess
        else:
            high = guess
        d1 = moneyness / (guess * root) + 0.5 * guess * root
        vega = asset * normal_density(d1) * root
        step = math.inf
        if found > 0.0 and vega > 0.0:
            step = found * math.log(found / value) / vega
        after = guess - step
        if not low < after < high:
            after = 0.5 * (low + high)
        if abs(after - guess) <= _TOLERANCE * max(1.0, guess) or high - low <= _TOLERANCE:
            return ImpliedVolatility(volatility=after)
        guess = after
    return ImpliedVolatility(volatility=guess)


def compute_iv_rank(*, today: float, past: Sequence[float]) -> float | None:
    """(today - lowest) / (highest - lowest) of the past days, today not among them.

    Above 1 or below 0 when today is outside their range; None when they are all the same.  Raises
    :class:`InvalidInput` for no days, or a volatility that is not a positive number.
    """
    _check_days(today, past)
    lowest, highest = min(past), max(past)
    return None if highest == lowest else (today - lowest) / (highest - lowest)


def compute_iv_percentile(*, today: float, past: Sequence[float]) -> float:
    """Share in 0..1 of the past days with a volatility below today's; raises as the rank does."""
    _check_days(today, past)
    return sum(1 for value in past if value < today) / len(past)


def _check_days(today: float, past: Sequence[float]) -> None:
    if not past:
        raise InvalidInput("no past days to compare with", code="no_history")
    if not all(math.isfinite(value) and value > 0.0 for value in (today, *past)):
        raise InvalidInput("a volatility is a positive number", code="bad_volatility")
