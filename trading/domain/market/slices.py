"""The shorter bars inside longer ones: what a book executes on between two decisions.

A *span* is one longer bar; decisions fall on its close.  A *slice* is what the book is carried
through at once.  Funding of a span falls on each instrument's first slice in it.  Where the bar
before the close is missing, the close itself stands for it, a price without extent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from magnetfund.kernel.clock import from_milliseconds
from magnetfund.kernel.errors import InvalidInput
from trading.domain.market.candles import TIMEFRAMES, Candles

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

ABSENT, AT_CLOSE = -1, -2
"""In place of a row: the instrument has no bar in this slice, or the close of its span stands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SlicePlan:
    """All slices of a run, oldest first.

    ``span`` is the number of the longer bar on the union of open times, ``is_end`` whether the
    slice closes it.  ``rows[m, n]`` is the row of instrument m among its shorter candles,
    :data:`ABSENT` or :data:`AT_CLOSE`.  ``missing[m]`` counts shorter candles that are not there.
    """

    time_ms: IntArray
    length_ms: IntArray
    span: IntArray
    is_end: BoolArray
    rows: IntArray
    missing: tuple[int, ...]


def plan_slices(*, candles: Sequence[Candles], shorter: Sequence[Candles]) -> SlicePlan:
    """Cut the bars of ``candles`` (one entry per instrument) into those of ``shorter``.

    Raises :class:`InvalidInput`: ``bad_resolution`` where lengths differ or do not divide the
    longer bar, ``wrong_timeframe`` where rows stand further apart than their length says,
    ``no_fine_candles`` where a bar has no shorter one at all: its extremes would be lost without a
    word.
    """
    whole_ms = candles[0].timeframe_ms
    lengths = {item.timeframe_ms for item in shorter}
    if len(lengths) != 1 or whole_ms % min(lengths) or min(lengths) == whole_ms:
        raise InvalidInput(
            f"shorter candles must divide those of {name_length(whole_ms)}", code="bad_resolution"
        )
    step_ms = lengths.pop()
    for item, finer in zip(candles, shorter, strict=True):
        check_spacing(finer)
        _check_covered(item, finer)
    steps = whole_ms // step_ms
    grid = np.unique(np.concatenate([item.open_time for item in candles]))
    times = (grid[:, None] + np.arange(steps) * step_ms).ravel()
    held = np.array([np.isin(grid, item.open_time) for item in candles])
    rows = np.full((len(candles), times.size), ABSENT, dtype=np.int64)
    for m, finer in enumerate(shorter):
        at = np.minimum(np.searchsorted(finer.open_time, times), len(finer) - 1)
        there = (finer.open_time[at] == times) & np.repeat(held[m], steps)
        rows[m, there] = at[there]
    missing = tuple(
        int(held[m].sum()) * steps - int((rows[m] >= 0).sum()) for m in range(len(candles))
    )
    last = np.arange(steps - 1, times.size, steps)
    broken = np.flatnonzero(((rows[:, last] >= 0) != held).any(axis=0))
    lengths_ms = np.full(times.size, step_ms, dtype=np.int64)
    lengths_ms[last[broken]] = 1
    is_end = np.zeros(times.size, dtype=np.bool_)
    is_end[np.delete(last, broken)] = True
    after = last[broken] + 1
    at_close = np.where(held[:, broken], AT_CLOSE, ABSENT)
    return SlicePlan(
        time_ms=np.insert(times, after, grid[broken] + whole_ms - 1),
        length_ms=np.insert(lengths_ms, after, 1),
        span=np.insert(np.repeat(np.arange(grid.size), steps), after, broken),
        is_end=np.insert(is_end, after, True),
        rows=np.insert(rows, after, at_close, axis=1),
        missing=missing,
    )


def check_spacing(candles: Candles) -> None:
    """Raise ``wrong_timeframe`` where rows stand further apart than their timeframe says."""
    usual = int(np.median(np.diff(candles.open_time))) if len(candles) > 2 else 0
    if usual > candles.timeframe_ms:
        raise InvalidInput(
            f"the candles of {candles.instrument} stand {name_length(usual)} apart but are stored "
            f"as {name_length(candles.timeframe_ms)}; import them with their own timeframe",
            code="wrong_timeframe",
        )


def name_length(length_ms: int) -> str:
    """A length as the name of its timeframe, or in minutes."""
    for name, known in TIMEFRAMES.items():
        if known == length_ms:
            return name
    return f"{length_ms / 60_000:g} minutes"


def _check_covered(candles: Candles, shorter: Candles) -> None:
    """Raise ``no_fine_candles``, with what is there and how to import the rest."""
    whole_ms, name = candles.timeframe_ms, name_length(shorter.timeframe_ms)
    bare = np.setdiff1d(candles.open_time, shorter.open_time // whole_ms * whole_ms)
    if not bare.size:
        return
    stored = "none is stored in this span"
    if len(shorter):
        first, last = (from_milliseconds(int(shorter.open_time[row])) for row in (0, -1))
        stored = f"those that are there run from {first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M}"
    raise InvalidInput(
        f"{bare.size:,} of {len(candles):,} candles of {candles.instrument} "
        f"({name_length(whole_ms)}) have no {name} candles inside; {stored}. Choose another span "
        f"or import them: python manage.py import_candles FILE --instrument {candles.instrument} "
        f"--timeframe {name}",
        code="no_fine_candles",
    )
