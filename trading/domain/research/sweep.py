"""Many variants of one strategy on one prepared market, and what choosing the best is worth.

Each variant is a complete backtest in the compiled kernel; bars and what variants share (magnets)
are made once.  The best is chosen where it was seen and told beside what it did unseen, with the
deflated Sharpe of the whole family, the probability of overfitting, and a walk-forward in which
every stretch is traded by the variant that was best before it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from magnetfund.kernel.errors import InvalidInput
from risk.domain.ratios import compute_sharpe_of_sums
from trading.domain.backtest.kernel.outlook import find_day_ends
from trading.domain.research.moments import DayMoments, find_stretches
from trading.domain.research.run import Builder, Prepared
from trading.domain.research.space import SweepSpace, check_sweepable, list_places
from trading.domain.research.surface import average_neighbours
from trading.domain.research.trials import Overfitting, measure_overfitting
from trading.domain.research.tried import (
    YEAR,
    Variant,
    encode_tried,
    read_moments,
    read_variants,
)
from trading.domain.research.variants import VariantBench
from trading.domain.strategies.shared import KeepMagnets
from trading.domain.strategies.signals import DAY_MS

UNSEEN_SHARE = 0.3
FloatColumn = NDArray[np.float64]


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


def run_sweep(
    *,
    prepared: Prepared,
    builders: Mapping[str, Builder],
    space: SweepSpace,
    on_done: Callable[[int], bool] | None = None,
    threads: int | None = None,
) -> Sweep:
    """Run every variant of the request's only sleeve, on ``threads`` threads (None: every core).

    ``on_done`` is told how many more are done and stops the sweep by answering False.  A variant
    whose parameters contradict each other (fast above slow), or that never warms up, is counted as
    refused.  Raises :class:`InvalidInput` (``one_sleeve``, ``resolution_not_swept``,
    ``no_variants``).
    """
    check_sweepable(prepared.request)
    bench = open_bench(prepared, builders, threads=threads)
    places = list_places(space)
    tried = bench.try_all(len(places), lambda k: space.at(places[k]), on_done=on_done)
    return judge_rows(
        rows=encode_tried(tried, places),
        edges=bench.edges,
        space=space,
        refused=len(places) - tried.trades.size if tried.is_whole else 0,
        cut_ms=compute_cut_ms(prepared),
    )


def open_bench(
    prepared: Prepared,
    builders: Mapping[str, Builder],
    *,
    threads: int | None = None,
    keep_magnets: KeepMagnets | None = None,
) -> VariantBench:
    """The bench on which variants of a prepared request run."""
    return VariantBench(
        prepared,
        builders,
        cut_days=compute_cut_day(prepared),
        threads=threads,
        keep_magnets=keep_magnets,
    )


def compute_cut_day(prepared: Prepared) -> int:
    """How many days of the run are seen; the rest judges the choice.

    Days without a bar are none: a gap, or a market that closes, moves no cut.
    """
    days = _list_days(prepared)
    if prepared.request.unseen_ms is None:
        return round(days.size * (1.0 - UNSEEN_SHARE))
    first = int(np.searchsorted(days, prepared.request.unseen_ms // DAY_MS))
    return int(np.clip(first, 1, days.size - 1))


def compute_cut_ms(prepared: Prepared) -> int:
    """The instant at which the unseen days begin."""
    days, cut = _list_days(prepared), compute_cut_day(prepared)
    return int(days[cut] if cut < days.size else days[-1] + 1) * DAY_MS


def _list_days(prepared: Prepared) -> NDArray[np.int64]:
    """Numbers of the UTC days of a run that hold a close."""
    time_ms, bar_ms = prepared.market.time_ms, prepared.rules.bar_ms
    return (time_ms[find_day_ends(time_ms, bar_ms)] + bar_ms - 1) // DAY_MS


def judge_rows(
    *, rows: FloatColumn, edges: Sequence[int], space: SweepSpace, refused: int, cut_ms: int
) -> Sweep:
    """What a matrix of tried variants says; raises :class:`InvalidInput` (``no_variants``)."""
    if not rows.shape[0]:
        raise InvalidInput(
            "no variant can be built: the parameters contradict each other", code="no_variants"
        )
    moments = read_moments(rows, edges)
    variants = read_variants(rows, space, moments.days)
    best = int(np.argmax([variant.seen for variant in variants]))
    return Sweep(
        variants=variants,
        refused=refused,
        best=best,
        cut_ms=cut_ms,
        overfitting=_overfitting(moments),
        walks=tuple(
            walk for kind in ("anchored", "rolling")
            if (walk := walk_forward(moments, variants, kind=kind)) is not None
        ),
        neighbours=average_neighbours(variants, best),
    )  # fmt: skip


def _overfitting(moments: DayMoments) -> Overfitting | None:
    """CSCV over every variant; None if there are too few variants or days."""
    try:
        return measure_overfitting(moments)
    except InvalidInput:
        return None


def walk_forward(
    moments: DayMoments, variants: Sequence[Variant], *, kind: str
) -> WalkForward | None:
    """Trade each stretch with the variant that was best before it.

    None where the span is too short for two stretches (:func:`..moments.find_stretches`).
    """
    stretches = find_stretches(moments.days, kind=kind)
    if not stretches:
        return None
    chosen, learned, total, squared, days = [], [], 0.0, 0.0, 0
    for item in stretches:
        sharpes = moments.sharpe_between(item.first, item.stop)
        best = int(np.argmax(sharpes))
        chosen.append(variants[best].parameters)
        learned.append(float(sharpes[best]))
        sums, squares = moments.between(item.start, item.end)
        total, squared = total + float(sums[best]), squared + float(squares[best])
        days += item.end - item.start
    traded = compute_sharpe_of_sums(sums=np.array(total), squares=np.array(squared), count=days)
    return WalkForward(
        kind=kind,
        sharpe=float(traded) * YEAR,
        stretches=len(stretches),
        chosen=tuple(chosen),
        sharpe_seen_mean=float(np.mean(learned)) * YEAR,
    )
