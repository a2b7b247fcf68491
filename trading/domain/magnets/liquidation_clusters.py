"""Modelled liquidation clusters: where leveraged entries of recent bars would be liquidated.

A model, never data, and labelled so: each bar's volume is taken as entries at its typical price,
half long, half short, spread evenly over the leverages 10, 25, 50 and 100, and projected to the
all-in liquidation price, long ``EP (1 - 1/L)/(1 - mmr)``, short ``EP (1 + 1/L)/(1 + mmr)``.  What a
later bar traded through is gone.  The clusters are shown beside the zones and carry no weight.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from magnetfund.kernel.errors import InvalidInput
from trading.domain.magnets.history import check_columns
from trading.domain.magnets.parameters import HOUR_MS
from trading.domain.magnets.types import FloatArray, LevelKind
from trading.domain.market.candles import Candles

LEVERAGES = (10.0, 25.0, 50.0, 100.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class LiquidationCluster:
    """A price row with much modelled liquidation; ``volume`` in base units, ``share`` of all."""

    price: float
    volume: float
    share: float
    long: bool
    known_at: int
    kind: LevelKind = LevelKind.LIQUIDATION_CLUSTER
    modelled: bool = True


def find_liquidation_clusters(
    *,
    candles: Candles,
    row_height: float,
    lookback_bars: int = 720,
    maintenance_rate: float = 0.004,
    leverages: tuple[float, ...] = LEVERAGES,
    count_max: int = 5,
) -> tuple[LiquidationCluster, ...]:
    """The largest clusters of each side at the last candle's close, largest first.

    ``row_height`` in price (0.25 A is usual).  A long's liquidation lies below its entry.  Raises
    :class:`InvalidInput` for a row height or leverage out of range.
    """
    times, (_, high, low, close, volume) = check_columns(candles)
    good = row_height > 0 and 0 <= maintenance_rate < 1 and all(x > 1 for x in leverages)
    if not good or not leverages or lookback_bars < 1:
        raise InvalidInput("row height, rate or leverage out of range", code="cluster_input")
    if not times.size:
        return ()
    first = max(0, times.size - lookback_bars)
    high, low, close, volume = (x[first:] for x in (high, low, close, volume))
    entry = ((high + low + close) / 3.0)[:, None]
    inverse = 1.0 / np.asarray(leverages)[None, :]
    # The lowest low and highest high of the bars after each entry; none after the last.
    later_low = np.append(np.minimum.accumulate(low[::-1])[::-1][1:], np.inf)[:, None]
    later_high = np.append(np.maximum.accumulate(high[::-1])[::-1][1:], -np.inf)[:, None]
    part = np.broadcast_to(volume[:, None] / (2.0 * len(leverages)), (close.size, len(leverages)))
    longs = entry * (1.0 - inverse) / (1.0 - maintenance_rate)
    shorts = entry * (1.0 + inverse) / (1.0 + maintenance_rate)
    known_at = int(times[-1]) + HOUR_MS
    total = float(volume.sum())
    found: list[LiquidationCluster] = []
    for long, prices, alive in (
        (True, longs, (longs < later_low) & (part > 0.0)),
        (False, shorts, (shorts > later_high) & (part > 0.0)),
    ):
        found += _largest(prices[alive], part[alive], long, row_height, total, known_at, count_max)
    return tuple(found)


def _largest(
    prices: FloatArray,
    volumes: FloatArray,
    long: bool,
    row_height: float,
    total: float,
    known_at: int,
    count_max: int,
) -> list[LiquidationCluster]:
    if not prices.size or total <= 0:
        return []
    rows, inverse = np.unique(np.floor(prices / row_height).astype(np.int64), return_inverse=True)
    sums = np.bincount(inverse, weights=volumes)
    order = np.argsort(-sums, kind="stable")[:count_max]
    return [
        LiquidationCluster(
            price=float((rows[i] + 0.5) * row_height),
            volume=float(sums[i]),
            share=float(sums[i] / total),
            long=long,
            known_at=known_at,
        )
        for i in order
    ]
