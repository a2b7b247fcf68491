"""The rotated-level control: real prices, the levels of another time at the same distances.

What a strategy earns with the levels of a wrong time, it does not owe to levels.  For ``magnet``
the zone readings turn round; for ``trend`` the distance at which its stop hides behind a swing.
A turn moves a sample against itself by at least a month; shifts come from the printed seed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from studies.published import ROTATED
from studies.runs import Ground, Setting, planned_multiples, prepare_ground, run_on
from studies.samples import Sample, cut_rows, find_rows
from trading.domain.magnets.types import MagnetSignals
from trading.domain.market.candles import DAY_MS, HOUR_MS, Candles
from trading.domain.strategies.magnet import MagnetForm, MagnetStrategy
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


def rotate_readings(*, magnets: MagnetSignals, shift: int) -> MagnetSignals:
    """The zone readings of ``shift`` bars earlier (round the end) at today's price and ATR.

    The control of the strategy: prices, trends and volatility stay real, the zones come from
    another time at the same distances in ATR.  A better result with the real ones would speak for
    the zones.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchors:
    """At each daily decision: its row, and how far in ATR the stop of a long and a short lies.

    ``distance`` has the shape (decisions, 2), the sides in the order of ``SIDES``.
    """

    row: NDArray[np.int64]
    distance: NDArray[np.float64]


def find_anchors(candles: Candles, strategy: TrendStrategy) -> Anchors:
    """The stop distances of ``trend`` for both sides, whichever way it looks that day."""
    days = LongerBars(child_ms=HOUR_MS, timeframe_ms=DAY_MS)
    four_hours = LongerBars(child_ms=HOUR_MS, timeframe_ms=4 * HOUR_MS)
    swings = ActiveSwings(order=strategy.swing_order, life_days=strategy.swing_life_days)
    gauge = WilderRange(strategy.atr_length)
    rows, distances = [], []
    for row in range(len(candles)):
        candle = candles.at(row)
        longer = four_hours.update(candle)
        if longer is not None:
            swings.update(longer)
        day = days.update(candle)
        if day is None or not gauge.update(day) > 0.0:
            continue
        atr = gauge.value
        found = [
            swings.nearest_beyond(
                price=day.close,
                side=side,
                nearest=strategy.swing_atr_min * atr,
                farthest=strategy.swing_atr_max * atr,
            )
            for side in SIDES
        ]
        rows.append(row)
        distances.append(
            [
                strategy.stop_atr
                if np.isnan(swing)
                else (day.close - swing) * side / atr + strategy.swing_margin_atr
                for swing, side in zip(found, SIDES, strict=True)
            ]
        )
    return Anchors(row=np.array(rows), distance=np.array(distances))


def turn_anchors(
    *, signals: Signals, candles: Candles, anchors: Anchors, rows: slice, shift: int
) -> Signals:
    """The signals of ``rows`` with the stop distances of ``shift`` decisions earlier."""
    inside = (anchors.row >= rows.start) & (anchors.row < rows.stop)
    decisions = anchors.row[inside]
    turned = np.roll(anchors.distance[inside], shift, axis=0)
    side = signals.direction[decisions].astype(np.int64)
    distance = np.where(side > 0, turned[:, 0], turned[:, 1])
    stop = signals.stop.copy()
    stop[decisions] = np.where(
        side != 0,
        candles.close[decisions] - side * distance * signals.atr[decisions],
        np.nan,
    )
    return cut_rows(replace(signals, stop=stop), rows)


def print_trend_rotations(
    *,
    candles: Mapping[str, Candles],
    signals: Mapping[str, Signals],
    samples: Sequence[Sample],
    rotations: int,
    seed: int,
) -> None:
    """``trend`` with its swing anchors, without them, and with those of other times."""
    strategy = TrendStrategy()
    anchors = {name: find_anchors(bars, strategy) for name, bars in candles.items()}
    plain = {
        name: replace(kept, distance=np.full_like(kept.distance, strategy.stop_atr))
        for name, kept in anchors.items()
    }
    print(f"\ntrend against {rotations} rotations of the swings behind its stop, seed {seed}")
    print(f"{'sample':<24}{'real Sharpe':>12}{'plain 2 A':>11}{'rotated (sd)':>15}", end="")
    print(f"{'as good %':>11}{'real CAGR %':>13}{'plain 2 A':>11}{'rotated (sd)':>15}")
    for sample in samples:
        ground = prepare_ground(
            sample=sample, candles=candles, traits=strategy.traits, setting=Setting()
        )
        days = min((rows.stop - rows.start) // 24 for rows in ground.rows.values())
        given = (ground, candles, signals)
        real, bare = _run_turned(*given, anchors, 0), _run_turned(*given, plain, 0)
        shifts = draw_shifts(days, rotations, seed, 1)
        found = np.array([_run_turned(*given, anchors, shift) for shift in shifts])
        mean, spread = found.mean(axis=0), found.std(axis=0, ddof=1)
        as_good = 100 * float((found[:, 0] >= real[0]).mean())
        print(
            f"{sample.name:<24}{real[0]:>12.2f}{bare[0]:>11.2f}{mean[0]:>8.2f} ({spread[0]:.2f})"
            f"{as_good:>11.0f}{real[1]:>13.2f}{bare[1]:>11.2f}{mean[1]:>8.2f} ({spread[1]:.2f})"
        )


def _run_turned(
    ground: Ground,
    candles: Mapping[str, Candles],
    signals: Mapping[str, Signals],
    anchors: Mapping[str, Anchors],
    shift: int,
) -> tuple[float, float]:
    """Sharpe and CAGR (%) of ``trend`` with anchors turned round."""
    turned = [
        turn_anchors(
            signals=signals[name],
            candles=candles[name],
            anchors=anchors[name],
            rows=rows,
            shift=shift,
        )
        for name, rows in ground.rows.items()
    ]
    metrics = run_on(ground, turned).metrics
    return metrics.sharpe, 100 * metrics.cagr


def print_magnet_rotations(
    *,
    candles: Mapping[str, Candles],
    readings: Mapping[str, MagnetSignals],
    samples: Sequence[Sample],
    rotations: int,
    seed: int,
) -> None:
    """``magnet`` with the real zones against the zone readings of other times."""
    print(f"\nmagnet against {rotations} rotations of its zones, 0.35 % risk, seed {seed}")
    print("R over the planned cost of the stop, as published (published: brackets)")
    print(f"{'form sample':<26}{'real R':>10}{'rotated R (sd)':>26}{'as good %':>14}", end="")
    print(f"{'real CAGR %':>12}{'rotated':>16}{'trades x':>9}")
    setting = Setting(with_funding=False)
    for form in MagnetForm:
        strategy = MagnetStrategy(form=form)
        for sample in samples:
            name = sample.instruments[0]
            ground = prepare_ground(
                sample=sample, candles=candles, traits=strategy.traits, setting=setting
            )
            rows = find_rows(candles[name], sample)
            magnets = cut_rows(readings[name], rows)
            context = cut_rows(strategy.context(candles=candles[name]), rows)
            found = []
            for shift in (0, *draw_shifts(len(magnets), rotations, seed, 24)):
                turned = rotate_readings(magnets=magnets, shift=shift)
                outcome = run_on(ground, [strategy.signals(magnets=turned, context=context)])
                metrics = outcome.metrics
                multiple = float(planned_multiples(outcome).mean())
                found.append((multiple, 100 * metrics.cagr, metrics.trades))
            real, rotated = found[0], np.array(found[1:])
            mean, spread = rotated.mean(axis=0), rotated.std(axis=0, ddof=1)
            known = ROTATED[form.value, sample.name]
            as_good = 100 * float((rotated[:, 0] >= real[0]).mean())
            print(
                f"{form.value} {sample.name:<24}{real[0]:>10.3f}"
                f"{mean[0]:>10.3f} ({spread[0]:.3f}) ({known[0]:.3f})"
                f"{as_good:>7.0f} ({100 * known[1]:.0f})"
                f"{real[1]:>13.2f}{mean[1]:>9.2f} ({known[2]:.1f}){mean[2] / real[2]:>9.2f}"
            )


def draw_shifts(size: int, count: int, seed: int, rows_a_day: int) -> list[int]:
    """Different shifts in rows, each at least a month from no shift at all."""
    rng = np.random.default_rng(seed)
    least = TURN_DAYS_MIN * rows_a_day
    room = np.arange(least, size - least)
    return [int(shift) for shift in rng.choice(room, size=min(count, room.size), replace=False)]
