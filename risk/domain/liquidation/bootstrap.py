"""How an account without an edge fares in a year of bootstrapped real hours.

A stationary bootstrap (Politis and Romano 1994) draws blocks of (close, high, low) over the
previous close, their log drift removed.  The account takes a random side every day, pays fees and
funding, is liquidated at its exact isolated price, and ends when a day starts under a tenth of the
equity.  Spot bars stand in for mark prices; the fuse exits at its level, or at the open beyond it,
plus slippage.  Liquidation alone can be gamed, so ruin and the chance of losing half always stand
beside it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from magnetfund.kernel.errors import InvalidInput

YEAR_HOURS = 8_760


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountRules:
    """An account: rates and shares are fractions, lengths in hours.

    ``margin_cap`` is the share of equity committed to a position (1 is all-in).  ``cool_off_hours``
    0 halts for good at the drawdown level.  ``latency_hours`` passes between a trip and the exit at
    that hour's close.  Outages (chance an hour, length) silence the fuse; gaps (chance an hour,
    size) open against the position.
    """

    leverage: float
    margin_cap: float = 1.0
    maintenance_rate: float = 0.004
    fee_rate: float = 0.0005
    fuse_slippage: float = 0.001
    funding_rate: float = 0.0001
    block_hours: float = 72.0
    with_fuse: bool = False
    daily_loss: float = 0.025
    drawdown: float = 0.05
    latency_hours: int = 0
    cool_off_hours: int = 168
    outage_chance: float = 0.0
    outage_hours: int = 24
    gap_chance: float = 0.0
    gap_size: float = 0.0

    def __post_init__(self) -> None:
        figures = [float(getattr(self, item.name)) for item in fields(self)]
        shares = (self.margin_cap, self.daily_loss, self.drawdown)
        if not all(math.isfinite(x) and x >= 0.0 for x in figures) or self.leverage <= 0.0:
            raise InvalidInput("account rules must not be negative", code="bad_account")
        if not all(0.0 < share <= 1.0 for share in shares) or self.block_hours < 1.0:
            raise InvalidInput("shares lie in (0, 1], blocks last an hour", code="bad_account")
        if not self.gap_size < 1.0 or not self.maintenance_rate < 1.0:
            raise InvalidInput("a gap and a rate stay below 1", code="bad_account")

    def as_row(self) -> tuple[float, ...]:
        """The rules as the kernel takes them."""
        row = [float(getattr(self, item.name)) for item in fields(self)]
        row[6] = 1.0 / self.block_hours
        return tuple(row)


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountYears:
    """Shares of simulated years: liquidated at least once, ever under a tenth, ever under half.

    ``equity_median`` is a multiple of the starting equity at the year's end.
    """

    liquidated: float
    ruined: float
    halved: float
    equity_median: float
    trips_mean: float
    paths: int
    seed: int


def build_bootstrap_bars(
    *, high: NDArray[np.float64], low: NDArray[np.float64], close: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(close, high, low) over the previous close, shape (n - 1, 3), log drift removed.

    Raises :class:`InvalidInput` on unequal, short, non-positive or disordered columns.
    """
    if not high.shape == low.shape == close.shape or close.ndim != 1 or close.size < 3:
        raise InvalidInput("bars need equal columns", code="bootstrap_bars")
    sound = np.isfinite(high) & (low > 0.0) & (low <= close) & (close <= high)
    if not sound.all():
        raise InvalidInput("a bar breaks low <= close <= high", code="bootstrap_bars")
    drift = math.log(close[-1] / close[0]) / (close.size - 1)
    previous = close[:-1] * math.exp(drift)
    return np.stack([column[1:] / previous for column in (close, high, low)], axis=1)


def simulate_account_years(
    *,
    bars: NDArray[np.float64],
    rules: AccountRules,
    paths: int,
    seed: int,
    hours: int = YEAR_HOURS,
) -> AccountYears:
    """Simulate ``paths`` accounts over ``hours``; the same seed gives the same figures.

    ``bars`` as :func:`build_bootstrap_bars` makes them.
    """
    if bars.ndim != 2 or bars.shape[1] != 3 or not bars.shape[0] or paths < 1 or hours < 1:
        raise InvalidInput("a simulation needs bars, paths and hours", code="bad_simulation")
    from risk.domain.liquidation.kernel import (
        FINAL,
        LIQUIDATED,
        LOWEST,
        RUIN_SHARE,
        TRIPS,
        run_paths,
    )

    out = np.empty((paths, 4))
    run_paths(np.ascontiguousarray(bars), rules.as_row(), hours, seed, out)
    lowest = out[:, LOWEST]
    return AccountYears(
        liquidated=float((out[:, LIQUIDATED] > 0).mean()),
        ruined=float((lowest < RUIN_SHARE).mean()),
        halved=float((lowest < 0.5).mean()),
        equity_median=float(np.median(out[:, FINAL])),
        trips_mean=float(out[:, TRIPS].mean()),
        paths=paths,
        seed=seed,
    )
