"""Many variants of one strategy on one prepared market, and what choosing the best is worth.

Each variant is a complete backtest in the compiled kernel; bars and what variants share (magnets)
are made once.  The best is chosen where it was seen and told beside what it did unseen, with the
deflated Sharpe of the whole family, the probability of overfitting, and a walk-forward in which
every stretch is traded by the variant that was best before it.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from magnetfund.kernel.errors import InvalidInput
from magnetfund.kernel.identifiers import content_hash
from risk.domain.ratios import compute_sharpe_columns, compute_sharpe_of_sums
from trading.domain.backtest.kernel.variants import find_day_ends
from trading.domain.research.parameters import parameters_of, read_parameters, text_of
from trading.domain.research.request import BacktestRequest
from trading.domain.research.run import Builder, Prepared
from trading.domain.research.trials import (
    Overfitting,
    TrialFacts,
    measure_overfitting,
)
from trading.domain.research.variants import Tried, run_variants
from trading.domain.strategies.signals import DAY_MS

VARIANTS_MAX = 20_000
OVERFITTING_VARIANTS_MAX = 2_000
UNSEEN_SHARE = 0.3
YEAR = math.sqrt(365.0)
#: A deviation of daily returns that counts as none.
FLAT = 1e-12
FloatColumn = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepSpace:
    """Values to try by parameter.  ``count`` 0 is the whole grid, else that many drawn by seed."""

    values: Mapping[str, tuple[Any, ...]]
    count: int = 0
    seed: int = 1

    @property
    def size(self) -> int:
        """Variants of the whole grid."""
        return math.prod(len(values) for values in self.values.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One tried variant; ``facts`` None where it never traded.  Sharpe ratios are annual."""

    parameters: Mapping[str, Any]
    facts: TrialFacts | None
    seen: float
    unseen: float
    total_return: float
    drawdown_max: float
    trades: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WalkForward:
    """Each test stretch traded by the best variant before it; Sharpe ratios are annual."""

    kind: str
    sharpe: float
    stretches: int
    chosen: tuple[Mapping[str, Any], ...]
    sharpe_seen_mean: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """All variants, the best by what was seen, and how far to believe it."""

    variants: tuple[Variant, ...]
    refused: int
    best: int
    cut_ms: int
    overfitting: Overfitting | None
    walks: tuple[WalkForward, ...]
    neighbours: float


def read_space(
    builder: Any, texts: Mapping[str, str], *, count: int = 0, seed: int = 1
) -> SweepSpace:
    """A space from texts such as ``10,20,50`` or ``10:100:10`` (both ends counted).

    Raises :class:`InvalidInput`: codes of the parameters, ``bad_space``, ``sweep_too_large``.
    """
    if not texts:
        raise InvalidInput("name a parameter to sweep, for example fast=10:50:10", code="bad_space")
    lists = {item.name for item in parameters_of(builder) if item.kind == "list"}
    values: dict[str, tuple[Any, ...]] = {}
    for name, text in texts.items():
        parts = text.split(";") if name in lists else _expand(text)
        values[name] = tuple(read_parameters(builder, {name: part})[name] for part in parts)
    space = SweepSpace(values=values, count=count, seed=seed)
    tried = min(count, space.size) if count else space.size
    if tried > VARIANTS_MAX:
        raise InvalidInput(
            f"{tried:,} variants; at most {VARIANTS_MAX:,} in one sweep", code="sweep_too_large"
        )
    return space


def _expand(text: str) -> list[str]:
    if ":" not in text:
        return [part for part in text.split(",") if part.strip()]
    try:
        low, high, step = (float(part) for part in text.split(":"))
    except ValueError:
        raise InvalidInput(f"{text} is not a range low:high:step", code="bad_space") from None
    if not (step > 0 and high >= low and (high - low) / step <= VARIANTS_MAX):
        raise InvalidInput(f"{text} is not a range low:high:step", code="bad_space")
    return [f"{low + k * step:.10g}" for k in range(math.floor((high - low) / step + 1e-9) + 1)]


def iterate_space(space: SweepSpace) -> Iterator[dict[str, Any]]:
    """The parameters of every variant: the grid in its order, or a seeded draw without repeats."""
    names = list(space.values)
    if not space.count or space.count >= space.size:
        for values in itertools.product(*space.values.values()):
            yield dict(zip(names, values, strict=True))
        return
    rng = np.random.default_rng(space.seed)
    for index in sorted(rng.choice(space.size, size=space.count, replace=False).tolist()):
        found = {}
        for name in reversed(names):
            index, place = divmod(index, len(space.values[name]))
            found[name] = space.values[name][place]
        yield {name: found[name] for name in names}


def check_sweepable(request: BacktestRequest) -> None:
    """Raise :class:`InvalidInput` for what a sweep cannot vary or execute."""
    if len(request.sleeves) != 1:
        raise InvalidInput("a sweep varies one strategy", code="one_sleeve")
    if request.resolution is not None:
        raise InvalidInput(
            "a sweep executes on the strategy's own candles; run the variants that matter as "
            f"backtests with --resolution {request.resolution}",
            code="resolution_not_swept",
        )


def run_sweep(
    *,
    prepared: Prepared,
    builders: Mapping[str, Builder],
    space: SweepSpace,
    on_variant: Callable[[], bool] | None = None,
    workers: int | None = None,
) -> Sweep:
    """Run every variant of the request's only sleeve, on ``workers`` threads (None: every core).

    ``on_variant`` is told after each and stops the sweep by answering False.  A variant whose
    parameters contradict each other (fast above slow), or that never warms up, is counted as
    refused.  Raises :class:`InvalidInput` (``one_sleeve``, ``resolution_not_swept``,
    ``no_variants``).
    """
    check_sweepable(prepared.request)
    found = run_variants(
        prepared=prepared,
        builders=builders,
        variants=list(iterate_space(space)),
        cut_days=compute_cut_day(prepared),
        workers=workers,
        on_variant=on_variant,
    )
    if not found.parameters:
        raise InvalidInput(
            "no variant can be built: the parameters contradict each other", code="no_variants"
        )
    return _judge_sweep(prepared, found)


def compute_cut_day(prepared: Prepared) -> int:
    """How many days of the run are seen; the rest judges the choice."""
    time_ms = prepared.market.time_ms
    days = find_day_ends(time_ms, prepared.rules.bar_ms).size
    if prepared.request.unseen_ms is None:
        return round(days * (1.0 - UNSEEN_SHARE))
    first_day = int(time_ms[0]) // DAY_MS
    return int(np.clip(prepared.request.unseen_ms // DAY_MS - first_day, 1, days - 1))


def _judge_sweep(prepared: Prepared, found: Tried) -> Sweep:
    returns = found.returns.T
    sums = found.sums
    seen, unseen = (_ratios(sums[:, k], sums[:, k + 1]) * YEAR for k in (6, 8))
    variants = tuple(
        Variant(
            parameters=parameters,
            facts=_facts(sums[k], returns.shape[0]),
            seen=float(seen[k]),
            unseen=float(unseen[k]),
            total_return=float(sums[k, 0]),
            drawdown_max=float(found.falls[k]),
            trades=int(found.trades[k]),
        )
        for k, parameters in enumerate(found.parameters)
    )
    best = int(np.argmax(seen))
    first_day = int(prepared.market.time_ms[0]) // DAY_MS
    return Sweep(
        variants=variants,
        refused=found.refused,
        best=best,
        cut_ms=(first_day + compute_cut_day(prepared)) * DAY_MS,
        overfitting=_overfitting(returns),
        walks=tuple(
            walk for kind in ("anchored", "rolling")
            if (walk := walk_forward(returns, variants, kind=kind)) is not None
        ),
        neighbours=average_neighbours(variants, best),
    )  # fmt: skip


def _ratios(mean: FloatColumn, spread: FloatColumn) -> FloatColumn:
    moved = spread > FLAT
    return np.asarray(np.where(moved, mean / np.where(moved, spread, 1.0), 0.0))


def _facts(sums: FloatColumn, days: int) -> TrialFacts | None:
    """The facts of a trial from its moments; None where nothing moved."""
    mean, spread, second, third, fourth = sums[1:6].tolist()
    if days <= 2 or not spread > FLAT:
        return None
    return TrialFacts(
        sharpe=mean / spread,
        days=days,
        skewness=third / second**1.5,
        kurtosis=fourth / second**2,
    )


def sharpe_columns(returns: FloatColumn) -> FloatColumn:
    """Daily Sharpe of each column; 0 where nothing moved."""
    return np.nan_to_num(compute_sharpe_columns(returns=returns))


def _overfitting(returns: FloatColumn) -> Overfitting | None:
    """CSCV over the variants (a seeded draw of 2,000 where there are more); None if too few."""
    if returns.shape[1] > OVERFITTING_VARIANTS_MAX:
        rng = np.random.default_rng(0)
        kept = rng.choice(returns.shape[1], size=OVERFITTING_VARIANTS_MAX, replace=False)
        returns = returns[:, np.sort(kept)]
    try:
        return measure_overfitting(returns)
    except InvalidInput:
        return None


def walk_forward(
    returns: FloatColumn,
    variants: Sequence[Variant],
    *,
    kind: str,
    train_days: int = 365,
    test_days: int = 90,
    embargo_days: int = 5,
) -> WalkForward | None:
    """Trade each stretch of ``test_days`` with the variant that was best before it.

    ``anchored`` learns from the first day on, ``rolling`` from the last ``train_days``; the
    embargo days between learning and test belong to neither, so that no trade stands in both.
    None where the span is too short for two stretches.
    """
    days, chosen, parts, learned = returns.shape[0], [], [], []
    starts = range(train_days + embargo_days, days - test_days + 1, test_days)
    if len(starts) < 2:
        return None
    windows = [
        (0 if kind == "anchored" else start - embargo_days - train_days, start - embargo_days)
        for start in starts
    ]
    for start, sharpes in zip(starts, _window_sharpes(returns, windows), strict=True):
        best = int(np.argmax(sharpes))
        chosen.append(variants[best].parameters)
        learned.append(float(sharpes[best]))
        parts.append(returns[start : start + test_days, best])
    joined = np.concatenate(parts)[:, None]
    return WalkForward(
        kind=kind,
        sharpe=float(sharpe_columns(joined)[0]) * YEAR,
        stretches=len(parts),
        chosen=tuple(chosen),
        sharpe_seen_mean=float(np.mean(learned)) * YEAR,
    )


def _window_sharpes(
    returns: FloatColumn, windows: Sequence[tuple[int, int]]
) -> Iterator[FloatColumn]:
    """Daily Sharpe of each column in each window of days, from sums between the windows' edges."""
    edges = sorted({edge for window in windows for edge in window})
    place = {edge: k for k, edge in enumerate(edges)}
    parts = [returns[first:stop] for first, stop in itertools.pairwise(edges)]
    none = np.zeros((1, returns.shape[1]))
    sums = np.cumsum(np.vstack([none, *(part.sum(axis=0)[None] for part in parts)]), axis=0)
    squares = np.vstack([none, *(np.einsum("ij,ij->j", part, part)[None] for part in parts)])
    squares = np.cumsum(squares, axis=0)
    for first, stop in windows:
        yield compute_sharpe_of_sums(
            sums=sums[place[stop]] - sums[place[first]],
            squares=squares[place[stop]] - squares[place[first]],
            count=stop - first,
        )


def average_neighbours(variants: Sequence[Variant], best: int) -> float:
    """Mean seen Sharpe of the variants one step from the best in one parameter; NaN without any.

    Near the best's own, it stands on a plateau; far below, on a peak.
    """
    chosen = variants[best].parameters
    steps = {
        name: sorted({variant.parameters[name] for variant in variants}, key=_order)
        for name in chosen
    }
    near = []
    for variant in variants:
        moved = [name for name in chosen if variant.parameters[name] != chosen[name]]
        if len(moved) == 1:
            places = steps[moved[0]]
            gap = places.index(variant.parameters[moved[0]]) - places.index(chosen[moved[0]])
            if abs(gap) == 1:
                near.append(variant.seen)
    return float(np.mean(near)) if near else math.nan


def name_shape(*, best: float, neighbours: float, median: float) -> str:
    """``plateau`` where the neighbours keep half of the best's lead over the median, else ``peak``.

    ``none`` where there are no neighbours or no lead.
    """
    lead = best - median
    if not math.isfinite(neighbours) or not lead > 0.0:
        return "none"
    return "plateau" if neighbours - median >= 0.5 * lead else "peak"


def _order(value: Any) -> Any:
    return value if isinstance(value, (int, float)) else text_of(value)


def tabulate_surface(variants: Sequence[Variant], across: str, down: str) -> dict[str, Any]:
    """Median seen Sharpe by two parameters, for a heat map; None where nothing was tried."""
    cells: dict[tuple[str, str], list[float]] = {}
    for variant in variants:
        key = text_of(variant.parameters[across]), text_of(variant.parameters[down])
        cells.setdefault(key, []).append(variant.seen)
    columns, rows = (
        [text_of(value) for value in sorted({v.parameters[name] for v in variants}, key=_order)]
        for name in (across, down)
    )
    return {
        "across": across,
        "down": down,
        "columns": columns,
        "rows": [
            {
                "name": row,
                "cells": [
                    float(np.median(cells[column, row])) if (column, row) in cells else None
                    for column in columns
                ],
            }
            for row in rows
        ],
    }


def hash_variant(prepared: Prepared, parameters: Mapping[str, Any]) -> str:
    """The hash of a variant as a trial: its bars, rules and the whole of its parameters."""
    return content_hash(
        {
            "inputs": prepared.inputs_hash,
            "parameters": {name: text_of(value) for name, value in parameters.items()},
        }
    )
