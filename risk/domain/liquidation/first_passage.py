"""The chance that a geometric Brownian price touches a liquidation price within a time.

Years and yearly figures throughout: ``drift`` is mu, ``volatility`` sigma (0.8 is 80 %), the log
price drifts by ``nu = mu - sigma^2 / 2``.  Funding that a position pays (> 0) moves its liquidation
price towards the market; the closed form takes that as a straight line in log price, laid at the
start with the entry's notional, which for a long never understates the chance.

Sources: Harrison 1985 for the closed form; Broadie, Glasserman and Kou 1997 for watching at steps.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from magnetfund.kernel.errors import InvalidInput
from risk.domain.margin import compute_all_in_liquidation_price

STEP_SHIFT = 0.5826
"""-zeta(1/2) / sqrt(2 pi): how far, in step deviations, watching at steps moves a barrier away."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IsolatedCase:
    """An isolated position opened now: margin = notional / leverage, one maintenance rate.

    ``funding_year`` is the yearly share of the notional that it pays (receives where negative).
    """

    side: int
    leverage: float
    maintenance_rate: float
    volatility: float
    years: float
    drift: float = 0.0
    funding_year: float = 0.0

    def __post_init__(self) -> None:
        figures = (self.volatility, self.years, self.drift, self.funding_year)
        if not all(math.isfinite(x) for x in figures) or self.volatility <= 0 or self.years <= 0:
            raise InvalidInput("volatility and years must be positive", code="bad_first_passage")

    def barrier(self) -> float | None:
        """Liquidation price over entry price; None where no positive price liquidates."""
        return compute_all_in_liquidation_price(
            entry_price=1.0,
            side=self.side,
            leverage=self.leverage,
            maintenance_rate=self.maintenance_rate,
        )


def compute_first_passage(
    *, barrier_log: float, nu: float, volatility: float, years: float, step_years: float = 0.0
) -> float:
    """Chance that a log price from 0 reaches ``barrier_log`` within ``years``.

    Lower barrier b < 0: ``Phi((b - nu T)/s) + exp(2 nu b / sigma^2) Phi((b + nu T)/s)``, upper ones
    mirrored, ``s = sigma sqrt(T)``.  ``step_years`` > 0 watches only at steps (the barrier moves
    away by 0.5826 sigma sqrt(step)).  Raises :class:`InvalidInput` unless all is finite, the
    barrier not 0, volatility and years positive.
    """
    figures = (barrier_log, nu, volatility, years, step_years)
    if not all(math.isfinite(x) for x in figures) or barrier_log == 0.0:
        raise InvalidInput("first passage needs finite figures", code="bad_first_passage")
    if volatility <= 0.0 or years <= 0.0 or step_years < 0.0:
        raise InvalidInput("volatility and years must be positive", code="bad_first_passage")
    away = abs(barrier_log) + STEP_SHIFT * volatility * math.sqrt(step_years)
    towards = math.copysign(nu, nu * barrier_log) * years if nu else 0.0
    spread = volatility * math.sqrt(years)
    ending_beyond = _normal((towards - away) / spread)
    far = (away + towards) / spread
    if far < 0.0:  # drifting away: the plain product is safe, the scaled one would overflow
        returning = math.exp(2.0 * towards * away / spread**2) * _normal(-far)
    else:
        returning = _normal_scaled(far) * math.exp(-0.5 * ((away - towards) / spread) ** 2)
    return min(1.0, ending_beyond + returning)


def compute_liquidation_chance(*, case: IsolatedCase, step_years: float = 0.0) -> float:
    """Chance of liquidation within the time, funding included to first order; 0 without a price."""
    barrier = case.barrier()
    if barrier is None:
        return 0.0
    slope = case.funding_year / (barrier * (1.0 - case.side * case.maintenance_rate))
    return compute_first_passage(
        barrier_log=math.log(barrier),
        nu=case.drift - 0.5 * case.volatility**2 - case.side * slope,
        volatility=case.volatility,
        years=case.years,
        step_years=step_years,
    )


def _normal(z: float) -> float:
    return 0.5 * math.erfc(-z / math.sqrt(2.0))


def _normal_scaled(u: float) -> float:
    """``exp(u^2 / 2) Phi(-u)``, without overflow or underflow for large u."""
    if u < 25.0:
        return math.exp(0.5 * u * u) * _normal(-u)
    inverse = 1.0 / (u * u)
    return (1.0 - inverse + 3.0 * inverse**2) / (u * math.sqrt(2.0 * math.pi))
