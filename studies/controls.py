"""Controls of ``trend``: random sides, shuffled days, dearer costs.

A control keeps what a strategy does and takes away what it claims to know.  Every control draws
from a generator seeded by the study's printed seed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from studies.runs import Setting, run_sample
from studies.samples import Sample
from trading.domain.market.candles import HOUR_MS, Candles
from trading.domain.strategies.base import compute_signals
from trading.domain.strategies.signals import Signals
from trading.domain.strategies.trend import TrendStrategy

SHUFFLES = 12
RANDOM_SIDES = 100


def print_trend_controls(
    *,
    candles: Mapping[str, Candles],
    signals: Mapping[str, Signals],
    samples: Sequence[Sample],
    seed: int,
) -> None:
    """``trend`` with dearer costs, with random sides, and on shuffled days."""
    print(f"\ntrend controls ({RANDOM_SIDES} random sides, {SHUFFLES} shuffles of 24-hour blocks)")
    print(f"{'sample':<24}{'CAGR %':>9}{'costs x 3':>11}{'random side Sharpe':>20}", end="")
    print(f"{'shuffled Sharpe':>17}")
    traits = TrendStrategy().traits
    for sample in samples:
        plain, dear = (
            run_sample(
                sample=sample,
                candles=candles,
                signals=signals,
                traits=traits,
                setting=Setting(cost_factor=factor),
            ).metrics
            for factor in (1.0, 3.0)
        )
        rng = np.random.default_rng(seed)
        sides = []
        for _ in range(RANDOM_SIDES):
            turned = {
                name: turn_sides(signals[name], candles[name], rng) for name in sample.instruments
            }
            sides.append(run_sample(sample=sample, candles=candles, signals=turned, traits=traits))
        shuffled = []
        for _ in range(SHUFFLES if len(sample.instruments) == 1 else 0):
            mixed = {name: shuffle_days(candles[name], rng) for name in sample.instruments}
            told = {
                name: compute_signals(strategy=TrendStrategy(), candles=bars)
                for name, bars in mixed.items()
            }
            shuffled.append(run_sample(sample=sample, candles=mixed, signals=told, traits=traits))
        mean_shuffled = np.mean([o.metrics.sharpe for o in shuffled]) if shuffled else np.nan
        print(
            f"{sample.name:<24}{100 * plain.cagr:>9.2f}{100 * dear.cagr:>11.2f}"
            f"{np.mean([o.metrics.sharpe for o in sides]):>20.2f}{mean_shuffled:>17.2f}"
        )


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
    day = candles.open_time // (24 * HOUR_MS)
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
    return replace(
        candles,
        open_time=candles.open_time[blocks.reshape(-1)],
        open=body["open"],
        high=np.maximum(body["high"], np.maximum(body["open"], close)),
        low=np.minimum(body["low"], np.minimum(body["open"], close)),
        close=close,
        volume=candles.volume[rows],
    )
