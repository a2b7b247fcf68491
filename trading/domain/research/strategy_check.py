"""What a strategy of one's own must pass before anybody trades on it.

Look-ahead (a future cut away or replaced changes nothing), the same answer twice, no state that
leaks between instruments, a stop on the losing side of every entry, no entry in the warm-up, the
stream equal to the columns, and its speed.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from trading.domain.market.candles import Candles
from trading.domain.strategies.base import Strategy, compute_signals
from trading.domain.strategies.lookahead import find_signal_differences
from trading.domain.strategies.registry import compute_columns
from trading.domain.strategies.signals import Signals

CUTS = 24
STREAM_BARS = 1_200
COLUMN_STREAM_BARS = 250


@dataclass(frozen=True, slots=True, kw_only=True)
class StrategyFinding:
    """One test: passed or not, and in words what was found and at which bar."""

    name: str
    is_passed: bool
    words: str
    bar: int | None = None
    column: str = ""


def check_strategy(
    *, make: Callable[[], Strategy], candles: Candles, seed: int = 1
) -> tuple[StrategyFinding, ...]:
    """Every test in order; ``make`` builds a fresh strategy."""
    began = time.perf_counter()
    signals = compute_columns(strategy=make(), candles=candles)
    rate = len(candles) / max(time.perf_counter() - began, 1e-9)
    rng = np.random.default_rng(seed)
    return (
        _look_ahead(make, candles, signals, rng),
        _determinism(make, candles, signals),
        _leaks(make, candles, signals),
        _stops(candles, signals),
        _speaks(signals),
        _stream(make, candles, signals),
        StrategyFinding(name="speed", is_passed=True, words=f"{rate:,.0f} bars/s in columns"),
    )


def _compute(make: Callable[[], Strategy]) -> Callable[[Candles], Signals]:
    return lambda candles: compute_columns(strategy=make(), candles=candles)


def _look_ahead(
    make: Callable[[], Strategy],
    candles: Candles,
    signals: Signals,
    rng: np.random.Generator,
) -> StrategyFinding:
    """Cut the future away at random bars, and replace it by another; rows before must stand."""
    count = len(candles)
    entries = np.flatnonzero(signals.direction)
    cuts = {*rng.integers(count // 4, count - 1, CUTS // 2).tolist()}
    if entries.size:
        cuts |= {*rng.choice(entries, min(CUTS // 2, entries.size), replace=False).tolist()}
    cut = find_signal_differences(candles=candles, indices=sorted(cuts), compute=_compute(make))
    found = [(item.column, item.row, item.index) for item in cut]
    found += _poisoned(make, candles, signals, sorted(cuts)[:: max(1, len(cuts) // 6)])
    if not found:
        return StrategyFinding(
            name="look-ahead",
            is_passed=True,
            words=f"{len(cuts)} futures cut away or replaced: nothing before them changed",
        )
    first = min(found, key=lambda item: item[1])
    column, row, index = first
    return StrategyFinding(
        name="look-ahead",
        is_passed=False,
        words=f"column {column}, bar {row:,} knew what came after bar {index:,}",
        bar=row,
        column=column,
    )


def _poisoned(
    make: Callable[[], Strategy], candles: Candles, signals: Signals, cuts: list[int]
) -> list[tuple[str, int, int]]:
    found = []
    for index in cuts:
        rest = slice(index + 1, None)
        changed = {}
        for name in ("open", "high", "low", "close", "volume"):
            column = getattr(candles, name).copy()
            column[rest] = column[rest] * 1.7
            changed[name] = column
        other = compute_columns(strategy=make(), candles=replace(candles, **changed))
        for name, row in _differences(signals, other, stop=index + 1):
            found.append((name, row, index))
    return found


def _differences(left: Signals, right: Signals, *, stop: int) -> list[tuple[str, int]]:
    """The first differing row of every column before ``stop``."""
    found = []
    for item in fields(Signals):
        mine, theirs = getattr(left, item.name)[:stop], getattr(right, item.name)[:stop]
        same = mine == theirs
        if mine.dtype.kind == "f":
            same |= np.isnan(mine) & np.isnan(theirs)
        wrong = np.flatnonzero(~same)
        if wrong.size:
            found.append((item.name, int(wrong[0])))
    return found


def _determinism(
    make: Callable[[], Strategy], candles: Candles, signals: Signals
) -> StrategyFinding:
    again = compute_columns(strategy=make(), candles=candles)
    return _equal("determinism", signals, again, "two runs on the same candles agree")


def _leaks(make: Callable[[], Strategy], candles: Candles, signals: Signals) -> StrategyFinding:
    """One object asked for another market in between answers as a fresh one."""
    strategy = make()
    turned = {
        name: getattr(candles, name)[::-1].copy() for name in ("open", "high", "low", "close")
    }
    compute_columns(strategy=strategy, candles=replace(candles, **turned))
    after = compute_columns(strategy=strategy, candles=candles)
    return _equal("leaking state", signals, after, "another market in between changed nothing")


def _equal(name: str, left: Signals, right: Signals, words: str) -> StrategyFinding:
    found = _differences(left, right, stop=len(left))
    if not found:
        return StrategyFinding(name=name, is_passed=True, words=words)
    column, row = min(found, key=lambda item: item[1])
    return StrategyFinding(
        name=name,
        is_passed=False,
        words=f"column {column} differs at bar {row:,}",
        bar=row,
        column=column,
    )


def _stops(candles: Candles, signals: Signals) -> StrategyFinding:
    """Every entry has a stop on its losing side, and a target that is none or on the other."""
    side = signals.direction.astype(np.int64)
    bad_stop = (side != 0) & ~((candles.close - signals.stop) * side > 0)
    bad_target = (side != 0) & ((signals.target - candles.close) * side <= 0)
    for column, wrong in (("stop", bad_stop), ("target", bad_target)):
        rows = np.flatnonzero(wrong)
        if rows.size:
            return StrategyFinding(
                name="stops",
                is_passed=False,
                words=f"{rows.size:,} entries with a bad {column}, the first at bar {rows[0]:,}",
                bar=int(rows[0]),
                column=column,
            )
    return StrategyFinding(
        name="stops", is_passed=True, words="every entry has a stop on its losing side"
    )


def _speaks(signals: Signals) -> StrategyFinding:
    """It enters at all, and not on the very first bar, when nothing can be known."""
    rows = np.flatnonzero(signals.direction)
    if not rows.size:
        return StrategyFinding(
            name="warm-up", is_passed=False, words="it never enters on these candles"
        )
    return StrategyFinding(
        name="warm-up",
        is_passed=bool(rows[0] > 0),
        words=f"{rows.size:,} entries, the first at bar {rows[0]:,}",
        bar=int(rows[0]),
    )


def _stream(make: Callable[[], Strategy], candles: Candles, signals: Signals) -> StrategyFinding:
    """Bar by bar, as a running book asks, it says what its columns say."""
    memory = getattr(make(), "memory_bars", 0)
    # A stream of columns computes its whole window anew at each bar.
    bars = COLUMN_STREAM_BARS if memory else STREAM_BARS
    part = candles.between(0, min(len(candles), bars))
    whole = compute_columns(strategy=make(), candles=part)
    began = time.perf_counter()
    single = compute_signals(strategy=make(), candles=part)
    rate = len(part) / max(time.perf_counter() - began, 1e-9)
    columns = ("direction", "exit_long", "exit_short", "stop", "target")
    for name in columns:
        mine, theirs = getattr(whole, name), getattr(single, name)
        same = np.isclose(mine, theirs, rtol=1e-9, atol=0, equal_nan=True)
        wrong = np.flatnonzero(~same)
        if wrong.size:
            return StrategyFinding(
                name="stream",
                is_passed=False,
                words=f"column {name} differs from the stream at bar {wrong[0]:,}",
                bar=int(wrong[0]),
                column=name,
            )
    if memory and len(candles) > memory:
        rows = np.linspace(memory, len(candles) - 1, 8).astype(np.int64)
        for row in rows[rows >= memory].tolist():
            window = candles.between(row + 1 - memory, row + 1)
            newest = compute_columns(strategy=make(), candles=window)
            for name in columns:
                mine, theirs = getattr(newest, name)[-1], getattr(signals, name)[row]
                if not np.isclose(mine, theirs, rtol=1e-6, atol=0, equal_nan=True):
                    return StrategyFinding(
                        name="stream",
                        is_passed=False,
                        words=f"column {name} at bar {row:,} needs more than the "
                        f"{memory:,} bars that a running book keeps",
                        bar=row,
                        column=name,
                    )
    return StrategyFinding(
        name="stream", is_passed=True, words=f"equal bar by bar, {rate:,.0f} bars/s in a stream"
    )


def describe_findings(findings: tuple[StrategyFinding, ...]) -> list[dict[str, Any]]:
    """Findings as plain data."""
    return [
        {
            "name": item.name,
            "is_passed": item.is_passed,
            "words": item.words,
            "bar": item.bar,
            "column": item.column,
        }
        for item in findings
    ]
