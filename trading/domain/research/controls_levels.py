"""The rotated-level control: real prices, the levels of another time at the same distances.

What a strategy earns with the levels of a wrong time, it does not owe to levels.  For ``magnet``
the zone readings turn round; for ``trend`` the distance at which its stop hides behind a swing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from trading.domain.magnets.types import MagnetSignals
from trading.domain.market.candles import DAY_MS, HOUR_MS, Candles
from trading.domain.research.run import Prepared
from trading.domain.strategies.magnet import MagnetContext, MagnetStrategy
from trading.domain.strategies.signals import Signals
from trading.domain.strategies.streaming import ActiveSwings, LongerBars, WilderRange
from trading.domain.strategies.trend import TrendStrategy

TURN_DAYS_MIN = 30
"""Levels from less than a month away are still too much like the real ones."""
SIDES = (1, -1)

_PRICES = (
    "target_price",
    "target_near",
    "target_far",
    "opposite_price",
    "opposite_near",
    "opposite_far",
    "protective_price",
    "protective_near",
    "protective_far",
)
_OWN = ("known_at", "close", "atr", "volatility_ratio", "volatility_pressure")


@dataclass(frozen=True, slots=True, kw_only=True)
class ZoneLevels:
    """The zone readings of a slot of ``magnet`` and what else its signals read, one row a bar."""

    strategy: MagnetStrategy
    magnets: MagnetSignals
    context: MagnetContext

    def turned(self, own: Signals, days: int) -> Signals:
        """The signals with the readings of ``days`` earlier; ``own`` gives nothing to it."""
        magnets = rotate_readings(magnets=self.magnets, shift=24 * days)
        return self.strategy.signals(magnets=magnets, context=self.context)


@dataclass(frozen=True, slots=True, kw_only=True)
class SwingLevels:
    """At each daily decision of ``trend``: its row, and how far in ATR a stop would lie.

    ``distance`` has the shape (decisions, 2), the sides in the order of ``SIDES``.
    """

    row: NDArray[np.int64]
    distance: NDArray[np.float64]
    close: NDArray[np.float64]

    def turned(self, own: Signals, days: int) -> Signals:
        """The signals with the stop distances of ``days`` decisions earlier."""
        turned = np.roll(self.distance, days, axis=0)
        side = own.direction[self.row].astype(np.int64)
        distance = np.where(side > 0, turned[:, 0], turned[:, 1])
        stop = own.stop.copy()
        stop[self.row] = np.where(
            side != 0, self.close[self.row] - side * distance * own.atr[self.row], np.nan
        )
        return replace(own, stop=stop)


SlotLevels = ZoneLevels | SwingLevels


def find_slot_levels(prepared: Prepared, signals: Sequence[Signals]) -> list[SlotLevels | None]:
    """The levels of every slot of the book; None where its strategy reads none."""
    found: list[SlotLevels | None] = []
    for slot in prepared.rules.slots:
        strategy = prepared.strategies[slot.strategy]
        rows = prepared.rows[slot.instrument]
        candles = prepared.candles[slot.instrument].between(0, rows.stop)
        if isinstance(strategy, MagnetStrategy):
            found.append(_find_zones(strategy, candles, rows))
        elif isinstance(strategy, TrendStrategy):
            found.append(find_swings(strategy, candles, rows))
        else:
            found.append(None)
    return found


def _find_zones(strategy: MagnetStrategy, candles: Candles, rows: slice) -> ZoneLevels:
    from trading.domain.magnets.history import compute_magnet_signals

    whole = compute_magnet_signals(candles=candles, parameters=strategy.magnets)
    return ZoneLevels(
        strategy=strategy,
        magnets=replace(
            whole,
            **{
                item.name: getattr(whole, item.name)[rows]
                for item in fields(whole)
                if isinstance(getattr(whole, item.name), np.ndarray)
            },
        ),
        context=strategy.context(candles=candles).between(rows.start, rows.stop),
    )


def rotate_readings(*, magnets: MagnetSignals, shift: int) -> MagnetSignals:
    """The zone readings of ``shift`` bars earlier (round the end) at today's price and ATR.

    Prices, trends and volatility stay real, the zones come from another time at the same distances
    in ATR.  A better result with the real ones would speak for the zones.
    """
    close, atr = magnets.close[:, None], magnets.atr[:, None]
    then_close, then_atr = np.roll(close, shift, axis=0), np.roll(atr, shift, axis=0)
    changed: dict[str, NDArray[np.generic]] = {}
    for item in fields(magnets):
        column = getattr(magnets, item.name)
        if item.name in _OWN or not isinstance(column, np.ndarray):
            continue
        rolled = np.roll(column, shift, axis=0)
        if item.name in _PRICES:
            rolled = close + (rolled - then_close) / then_atr * atr
        changed[item.name] = rolled
    return replace(magnets, **changed)  # type: ignore[arg-type]  # columns of the same types


def find_swings(strategy: TrendStrategy, candles: Candles, rows: slice) -> SwingLevels:
    """The stop distances of ``trend`` for both sides, whichever way it looks that day."""
    days = LongerBars(child_ms=HOUR_MS, timeframe_ms=DAY_MS)
    four_hours = LongerBars(child_ms=HOUR_MS, timeframe_ms=4 * HOUR_MS)
    swings = ActiveSwings(order=strategy.swing_order, life_days=strategy.swing_life_days)
    gauge = WilderRange(strategy.atr_length)
    found, distances = [], []
    for row in range(len(candles)):
        candle = candles.at(row)
        longer = four_hours.update(candle)
        if longer is not None:
            swings.update(longer)
        day = days.update(candle)
        if day is None or not gauge.update(day) > 0.0 or row < rows.start:
            continue
        atr = gauge.value
        beyond = [
            swings.nearest_beyond(
                price=day.close,
                side=side,
                nearest=strategy.swing_atr_min * atr,
                farthest=strategy.swing_atr_max * atr,
            )
            for side in SIDES
        ]
        found.append(row - rows.start)
        distances.append(
            [
                strategy.stop_atr
                if np.isnan(swing)
                else (day.close - swing) * side / atr + strategy.swing_margin_atr
                for swing, side in zip(beyond, SIDES, strict=True)
            ]
        )
    return SwingLevels(
        row=np.array(found, dtype=np.int64),
        distance=np.array(distances, dtype=np.float64).reshape(-1, 2),
        close=candles.close[rows],
    )
