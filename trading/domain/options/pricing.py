"""European options on an asset with a continuous yield: price and sensitivities.

Source: F. Black and M. Scholes 1973, R. C. Merton 1973; Hull, Options, Futures, and Other
Derivatives.  Rates, yields and volatilities are annual fractions (0.20 is 20 %), continuously
compounded; times are years.  American exercise and discrete dividends need a tree and are not
approximated here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from magnetfund.kernel.errors import InvalidInput

DAYS_A_YEAR = 365.0
# An option in its last minute: one minute of a 390-minute session, of 252 in a year.
YEARS_MIN = 1.0 / (252 * 390)
_ROOT_TWO = math.sqrt(2.0)
_ROOT_TWO_PI = math.sqrt(2.0 * math.pi)


class OptionKind(StrEnum):
    """The right to buy, or to sell."""

    CALL = "call"
    PUT = "put"

    @property
    def sign(self) -> int:
        return 1 if self is OptionKind.CALL else -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Greeks:
    """Sensitivities of one option on one unit.

    ``delta`` per 1.00 of spot, ``gamma`` per 1.00 of spot squared, ``vega`` and ``rho`` per 1.00
    (100 points), ``theta`` per year; the properties give the units of a screen.
    """

    delta: float
    gamma: float
    vega: float
    theta: float
    rho: float

    @property
    def vega_per_point(self) -> float:
        return self.vega / 100.0

    @property
    def rho_per_point(self) -> float:
        return self.rho / 100.0

    @property
    def theta_per_day(self) -> float:
        """Per calendar day."""
        return self.theta / DAYS_A_YEAR


def normal_cdf(x: float) -> float:
    """The standard normal distribution, accurate in both tails."""
    return 0.5 * math.erfc(-x / _ROOT_TWO)


def normal_density(x: float) -> float:
    """The standard normal density."""
    return math.exp(-0.5 * x * x) / _ROOT_TWO_PI


def price_option(
    *,
    kind: OptionKind,
    spot: float,
    strike: float,
    years: float,
    volatility: float,
    rate: float = 0.0,
    dividend_yield: float = 0.0,
) -> float:
    """Price per unit of the asset; with no time or no volatility left, the discounted payoff.

    Raises :class:`InvalidInput` (``bad_option``) for a spot or strike that is not positive, for
    negative time or volatility, and for any value that is not finite.
    """
    check_option(spot, strike, years, volatility, rate, dividend_yield)
    sign = kind.sign
    asset = spot * math.exp(-dividend_yield * years)
    cash = strike * math.exp(-rate * years)
    spread = volatility * math.sqrt(years)
    if spread == 0.0:
        return max(sign * (asset - cash), 0.0)
    d1 = math.log(asset / cash) / spread + 0.5 * spread
    d2 = d1 - spread
    return max(sign * (asset * normal_cdf(sign * d1) - cash * normal_cdf(sign * d2)), 0.0)


def compute_greeks(
    *,
    kind: OptionKind,
    spot: float,
    strike: float,
    years: float,
    volatility: float,
    rate: float = 0.0,
    dividend_yield: float = 0.0,
) -> Greeks:
    """Analytical sensitivities; raises as :func:`price_option`, and for no time or volatility."""
    check_option(spot, strike, years, volatility, rate, dividend_yield)
    spread = volatility * math.sqrt(years)
    if spread == 0.0:
        raise InvalidInput("greeks need time and volatility above 0", code="bad_option")
    sign = kind.sign
    carry = math.exp(-dividend_yield * years)
    discount = math.exp(-rate * years)
    d1 = (math.log(spot / strike) + (rate - dividend_yield) * years) / spread + 0.5 * spread
    d2 = d1 - spread
    density = carry * normal_density(d1)
    asset_share, cash_share = normal_cdf(sign * d1), normal_cdf(sign * d2)
    return Greeks(
        delta=sign * carry * asset_share,
        gamma=density / (spot * spread),
        vega=spot * density * math.sqrt(years),
        theta=(
            -spot * density * volatility / (2.0 * math.sqrt(years))
            - sign * rate * strike * discount * cash_share
            + sign * dividend_yield * spot * carry * asset_share
        ),
        rho=sign * strike * years * discount * cash_share,
    )


def chance_above(
    *,
    level: float,
    spot: float,
    years: float,
    volatility: float,
    rate: float = 0.0,
    dividend_yield: float = 0.0,
) -> float:
    """Risk-neutral probability that the asset ends above ``level``: N(d2)."""
    check_option(spot, level, years, volatility, rate, dividend_yield)
    drift = (rate - dividend_yield) * years
    spread = volatility * math.sqrt(years)
    distance = math.log(spot / level) + drift
    if spread == 0.0:
        return 1.0 if distance > 0.0 else 0.0
    return normal_cdf(distance / spread - 0.5 * spread)


def check_option(
    spot: float,
    strike: float,
    years: float,
    volatility: float,
    rate: float,
    dividend_yield: float,
) -> None:
    """Raise :class:`InvalidInput` (``bad_option``) for terms that no option has."""
    values = (spot, strike, years, volatility, rate, dividend_yield)
    if not all(math.isfinite(value) for value in values):
        raise InvalidInput("an option's terms must be finite", code="bad_option")
    if not (spot > 0.0 and strike > 0.0):
        raise InvalidInput("spot and strike must be positive", code="bad_option")
    if years < 0.0 or volatility < 0.0:
        raise InvalidInput("time and volatility are never negative", code="bad_option")
