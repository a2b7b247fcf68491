"""Controls of a backtest: what the same book earns without what its strategy claims to know.

Dearer costs, sides drawn at random, days in another order, and the levels of another time at the
same distances.  A control that does as well as the run says that the claim earned nothing.  Every
draw comes from one seed; no control is a trial, because none of them can be chosen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trading.domain.backtest.result import Metrics, measure_run
from trading.domain.engine.rules import EngineRules
from trading.domain.market.candles import DAY_MS, HOUR_MS, Candles
from trading.domain.research.barring import bar_entries
from trading.domain.research.controls_levels import TURN_DAYS_MIN, SlotLevels, find_slot_levels
from trading.domain.research.run import Backtest, Prepared, compute_slot_signals
from trading.domain.strategies.signals import Signals

CONTROL_SEED = 20_240_421
SHUFFLES_MAX = 12
"""Shuffled days need signals of their own, so fewer are drawn."""
COST_FACTOR = 3.0
Again = Callable[[Mapping[str, Candles]], Prepared]


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlFigures:
    """Means and deviations over the draws of one control, as the run's own figures are.

    ``as_good_sharpe`` and ``as_good_r`` are the shares of the draws that did at least as well as
    the run; deviations and shares are NaN for a control of one draw.
    """

    name: str
    draws: int
    sharpe: float
    sharpe_deviation: float
    cagr: float
    average_r: float
    average_r_deviation: float
    trades: float
    as_good_sharpe: float
    as_good_r: float


def measure_controls(
    backtest: Backtest, *, draws: int, again: Again, seed: int = CONTROL_SEED
) -> tuple[ControlFigures, ...]:
    """Every control that the book allows, each with ``draws`` draws.

    ``again`` prepares the same request on other candles.  Days are shuffled for one instrument on
    hours only: several would lose what moves them together.
    """
    prepared, real = backtest.prepared, backtest.result.metrics
    dear = replace(prepared, rules=_dearer(prepared.rules, COST_FACTOR))
    found = [_summarise("costs_times_three", real, [_measure(dear, backtest.signals)])]
    rng = np.random.default_rng(seed)
    candles = [_cut(prepared.candles[i], rows) for i, rows in enumerate(prepared.rows)]
    slots = prepared.rules.slots
    turned = [
        _measure(
            prepared,
            [
                turn_sides(signals, candles[slot.instrument], rng)
                for slot, signals in zip(slots, backtest.signals, strict=True)
            ],
        )
        for _ in range(draws)
    ]
    found.append(_summarise("random_sides", real, turned))
    if len(candles) == 1 and prepared.request.bar_ms == HOUR_MS and prepared.fine is None:
        shuffled = [_run_shuffled(prepared, again, rng) for _ in range(min(draws, SHUFFLES_MAX))]
        found.append(_summarise("shuffled_days", real, shuffled))
    levels = find_slot_levels(prepared, backtest.signals)
    days = min(len(item) * prepared.request.bar_ms // DAY_MS for item in candles)
    shifts = draw_shifts(days, draws, seed)
    if shifts and any(item is not None for item in levels):
        rotated = [
            _measure(prepared, _rotate(prepared, levels, backtest.signals, shift))
            for shift in shifts
        ]
        found.append(_summarise("levels_of_other_times", real, rotated))
    return tuple(found)


def _rotate(
    prepared: Prepared, levels: Sequence[SlotLevels | None], signals: Sequence[Signals], days: int
) -> list[Signals]:
    """The signals of every slot with its levels turned by ``days``; others stay."""
    return [
        own
        if item is None
        else bar_entries(
            prepared.blackouts,
            prepared.rules.instruments[slot.instrument].symbol,
            item.turned(own, days),
        )
        for slot, item, own in zip(prepared.rules.slots, levels, signals, strict=True)
    ]


def _run_shuffled(prepared: Prepared, again: Again, rng: np.random.Generator) -> Metrics:
    name = prepared.request.instruments[0]
    mixed = again({name: shuffle_days(prepared.candles[0], rng)})
    return _measure(mixed, compute_slot_signals(mixed))


def _measure(prepared: Prepared, signals: Sequence[Signals]) -> Metrics:
    from trading.domain.backtest.kernel.run import run_kernel

    raw = run_kernel(
        rules=prepared.rules, market=prepared.market, signals=list(signals), fine=prepared.fine
    )
    return measure_run(rules=prepared.rules, market=prepared.market, raw=raw)


def _summarise(name: str, real: Metrics, draws: Sequence[Metrics]) -> ControlFigures:
    sharpe = np.nan_to_num(np.array([item.sharpe for item in draws], dtype=np.float64))
    multiple = np.array([item.average_r for item in draws], dtype=np.float64)
    known = multiple[np.isfinite(multiple)]
    several = len(draws) > 1
    return ControlFigures(
        name=name,
        draws=len(draws),
        sharpe=float(sharpe.mean()),
        sharpe_deviation=float(sharpe.std(ddof=1)) if several else float("nan"),
        cagr=float(np.mean([item.cagr for item in draws])),
        average_r=float(known.mean()) if known.size else float("nan"),
        average_r_deviation=float(known.std(ddof=1)) if known.size > 1 else float("nan"),
        trades=float(np.mean([item.trades for item in draws])),
        as_good_sharpe=float((sharpe >= real.sharpe).mean()) if several else float("nan"),
        as_good_r=float((known >= real.average_r).mean()) if known.size > 1 else float("nan"),
    )


def _dearer(rules: EngineRules, factor: float) -> EngineRules:
    return replace(
        rules,
        instruments=tuple(
            replace(
                item,
                taker_fee_rate=item.taker_fee_rate * factor,
                slippage_rate=item.slippage_rate * factor,
                fuse_slippage_rate=item.fuse_slippage_rate * factor,
            )
            for item in rules.instruments
        ),
    )


def _cut(candles: Candles, rows: slice) -> Candles:
    return candles.between(rows.start, rows.stop)


def turn_sides(signals: Signals, candles: Candles, rng: np.random.Generator) -> Signals:
    """The same entries, each stretch of one direction on a side drawn at random.

    Stop and target keep their distances from the close.  A stretch ends where the direction does,
    so a random position lives as long as the real one would have.
    """
    direction = signals.direction.astype(np.int64)
    decided = np.flatnonzero((direction != 0) | signals.exit_long | signals.exit_short)
    turn = np.ones(direction.size, dtype=np.int64)
    before, sign = 0, 1
    for row in decided:
        if direction[row] != before:
            before, sign = direction[row], int(rng.choice((-1, 1)))
        turn[row] = sign
    close = candles.close
    flipped = turn < 0
    leaves_both = signals.exit_long & signals.exit_short
    starts_anew = (signals.exit_long ^ signals.exit_short) & flipped
    return replace(
        signals,
        direction=(direction * turn).astype(np.int8),
        stop=np.where(flipped, 2 * close - signals.stop, signals.stop),
        target=np.where(flipped, 2 * close - signals.target, signals.target),
        exit_long=np.where(starts_anew, signals.exit_short, signals.exit_long) | leaves_both,
        exit_short=np.where(starts_anew, signals.exit_long, signals.exit_short) | leaves_both,
    )


def shuffle_days(candles: Candles, rng: np.random.Generator) -> Candles:
    """Whole days of hourly log returns in another order, their common drift taken out.

    Days keep their inner shape (volatility clusters of hours), but nothing of what trends over
    weeks.  Only complete days take part.
    """
    day = candles.open_time // DAY_MS
    days, counts = np.unique(day, return_counts=True)
    whole = np.isin(day, days[counts == 24])
    blocks = np.flatnonzero(whole).reshape(-1, 24)
    before = np.concatenate((candles.open[:1], candles.close[:-1]))
    rows = blocks[rng.permutation(blocks.shape[0])].reshape(-1)
    step = np.log(candles.close[rows] / before[rows])
    close = candles.close[0] * np.exp(np.cumsum(step - step.mean()))
    base = np.concatenate((candles.close[:1], close[:-1]))
    lift = np.exp(-step.mean())
    body = {
        name: base * getattr(candles, name)[rows] / before[rows] * lift
        for name in ("open", "high", "low")
    }
    changed: dict[str, Any] = {
        item.name: getattr(candles, item.name)[rows]
        for item in fields(candles)
        if isinstance(getattr(candles, item.name), np.ndarray)
    }
    changed |= {
        "open_time": candles.open_time[blocks.reshape(-1)],
        "open": body["open"],
        "high": np.maximum(body["high"], np.maximum(body["open"], close)),
        "low": np.minimum(body["low"], np.minimum(body["open"], close)),
        "close": close,
    }
    return replace(candles, **changed)


def draw_shifts(days: int, count: int, seed: int) -> list[int]:
    """Different shifts in days, each at least a month from no shift; none in a short span."""
    room: NDArray[np.int64] = np.arange(TURN_DAYS_MIN, days - TURN_DAYS_MIN)
    rng = np.random.default_rng(seed)
    return [int(shift) for shift in rng.choice(room, size=min(count, room.size), replace=False)]
