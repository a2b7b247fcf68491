"""Dealers' gamma by strike, the walls, and the spot at which it turns.

Assumption, which every display must show: dealers are long the calls and short the puts of the
open interest.  Dollar gamma is per 1 % move of the spot:
``sign x gamma x open interest x multiplier x spot^2 x 0.01``.  An option settled in its coin pays
at expiry what the same option settled in money pays, turned into coins at the price of then; its
gamma here is that of a dealer who counts in the quote currency, with one coin as the multiplier.
:attr:`GammaExposure.coins` is the same per coin: what is bought or sold as the spot moves 1 %.
Open interest is known at its publication, usually the next morning.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from magnetfund.kernel.errors import InvalidInput
from trading.domain.options.pricing import YEARS_MIN, OptionKind, compute_greeks

ASSUMPTION = "dealers are long calls and short puts"
SPOT_RANGE = (0.8, 1.2)
STEPS = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenInterest:
    """Contracts open in one option; ``volatility`` is its implied one."""

    kind: OptionKind
    strike: float
    years: float
    volatility: float
    contracts: float

    def __post_init__(self) -> None:
        values = (self.strike, self.years, self.volatility, self.contracts)
        if not all(math.isfinite(value) for value in values):
            raise InvalidInput("open interest holds a value that is not finite", code="not_finite")
        if self.strike <= 0.0 or self.volatility <= 0.0 or self.years < 0.0:
            raise InvalidInput("open interest of an option that cannot be", code="bad_option")
        if self.contracts < 0.0:
            raise InvalidInput("open interest is never negative", code="bad_interest")


@dataclass(frozen=True, slots=True, kw_only=True)
class StrikeGamma:
    """Dollar gamma at one strike: ``calls`` >= 0, ``puts`` <= 0."""

    strike: float
    calls: float
    puts: float

    @property
    def net(self) -> float:
        return self.calls + self.puts


@dataclass(frozen=True, slots=True, kw_only=True)
class GammaExposure:
    """The exposure at one spot.  ``flip`` is where the total turns sign, None if nowhere near."""

    spot: float
    strikes: tuple[StrikeGamma, ...]
    total: float
    call_wall: float | None
    put_wall: float | None
    flip: float | None
    assumption: str = ASSUMPTION

    @property
    def coins(self) -> float:
        """The total in units of the asset per 1 % move."""
        return self.total / self.spot


def sum_strike_gamma(
    *,
    interest: Sequence[OpenInterest],
    spot: float,
    multiplier: float = 100.0,
    rate: float = 0.0,
    dividend_yield: float = 0.0,
) -> tuple[StrikeGamma, ...]:
    """Dollar gamma of every strike, lowest first; raises :class:`InvalidInput` (``bad_price``)."""
    if not all(math.isfinite(value) and value > 0.0 for value in (spot, multiplier)):
        raise InvalidInput("spot and multiplier must be positive", code="bad_price")
    by_strike: dict[float, dict[OptionKind, float]] = {}
    for row in interest:
        sides = by_strike.setdefault(row.strike, {OptionKind.CALL: 0.0, OptionKind.PUT: 0.0})
        sides[row.kind] += _dollar_gamma(row, spot, multiplier, rate, dividend_yield)
    return tuple(
        StrikeGamma(strike=strike, calls=sides[OptionKind.CALL], puts=sides[OptionKind.PUT])
        for strike, sides in sorted(by_strike.items())
    )


def compute_gamma_exposure(
    *,
    interest: Sequence[OpenInterest],
    spot: float,
    multiplier: float = 100.0,
    rate: float = 0.0,
    dividend_yield: float = 0.0,
) -> GammaExposure:
    """Dollar gamma per strike, walls and flip level.

    The call wall is the strike above the spot with the most call gamma, the put wall the strike
    below it with the most negative put gamma.  The flip is the root of the total over 0.8..1.2 of
    the spot (every gamma computed anew, volatility kept by strike), interpolated linearly; of
    several the nearest.
    """
    strikes = sum_strike_gamma(
        interest=interest,
        spot=spot,
        multiplier=multiplier,
        rate=rate,
        dividend_yield=dividend_yield,
    )
    above = [row for row in strikes if row.strike > spot and row.calls > 0.0]
    below = [row for row in strikes if row.strike < spot and row.puts < 0.0]
    return GammaExposure(
        spot=spot,
        strikes=strikes,
        total=math.fsum(row.net for row in strikes),
        call_wall=max(above, key=lambda row: row.calls).strike if above else None,
        put_wall=min(below, key=lambda row: row.puts).strike if below else None,
        flip=_find_flip(interest, spot, multiplier, rate, dividend_yield),
    )


def _dollar_gamma(
    row: OpenInterest, spot: float, multiplier: float, rate: float, dividend_yield: float
) -> float:
    greeks = compute_greeks(
        kind=row.kind,
        spot=spot,
        strike=row.strike,
        years=max(row.years, YEARS_MIN),
        volatility=row.volatility,
        rate=rate,
        dividend_yield=dividend_yield,
    )
    return row.kind.sign * greeks.gamma * row.contracts * multiplier * spot * spot * 0.01


def _find_flip(
    interest: Sequence[OpenInterest],
    spot: float,
    multiplier: float,
    rate: float,
    dividend_yield: float,
) -> float | None:
    low, high = SPOT_RANGE
    levels = [spot * (low + (high - low) * step / STEPS) for step in range(STEPS + 1)]
    totals = [
        math.fsum(_dollar_gamma(row, level, multiplier, rate, dividend_yield) for row in interest)
        for level in levels
    ]
    roots = [
        a + (b - a) * x / (x - y)
        for a, b, x, y in zip(levels, levels[1:], totals, totals[1:], strict=False)
        if (x < 0.0 < y) or (y < 0.0 < x)
    ]
    # A total of exactly 0 between two signs is a root too; zeros beside zeros are no turn.
    roots += [
        levels[k] for k in range(1, STEPS) if totals[k] == 0.0 and totals[k - 1] * totals[k + 1] < 0
    ]
    return min(roots, key=lambda root: abs(root - spot)) if roots else None
