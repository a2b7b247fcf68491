"""What all variants of one slot share: the market laid out for the loops of sweeps.

Made once for a market, a strategy's common signals and a set of rules; read by every thread.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from risk.domain.fuse.thresholds import compute_severity
from trading.domain.backtest.kernel import layout as at
from trading.domain.backtest.kernel.days import (
    WI_BOTTOM,
    WI_CLOSE,
    WI_FIRST,
    WI_FLAGS,
    WI_HIGH,
    WI_LOW,
    WI_NEXT,
    WI_TOP,
    WI_WIDTH,
)
from trading.domain.backtest.kernel.quiet import (
    FULL_STEP,
    FUNDING,
    HOT,
    KI_BOTTOM,
    KI_DECISION,
    KI_FLAGS,
    KI_HIGH,
    KI_LAST,
    KI_LOW,
    KI_NEXT,
    KI_TIME,
    KI_TOP,
    KI_TREND,
    KI_WIDTH,
    NEW_DAY,
    look_ahead_within,
)
from trading.domain.backtest.kernel.run import PackedMarket, PackedSignals
from trading.domain.engine.rules import EngineRules
from trading.domain.strategies.signals import DAY_MS

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]
#: Eight-byte numbers in a line of memory, and in the record of a bar.
LINE = 8
RECORD = KI_WIDTH + at.BF_WIDTH + at.GF_WIDTH
#: Days that variants walk together: their records (of hours: 250 kB) fit a core's second cache.
BLOCK_DAYS = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """What variants of one slot share, cut to the span of the run.

    ``rows`` is the bar of each decision (negative before the span), ``following`` the number of the
    first decision at or after each bar.  ``bars`` holds beside each other what is read of a bar:
    its own columns, those of :mod:`.quiet` (KI) and, seen as floats, ``bars_f`` and ``base_f``;
    ``base`` is what the signals of all variants have in common, ``told`` the columns of ``base_f``
    that say something (stop and target belong to decisions).  ``flags`` say what is known of
    each bar, ``severity`` that of its volatility, ``special`` which bar asks next for a full step.
    ``starts`` are the first bars of the stretches (and the end), ``dues`` and ``opens`` the funding
    rate and the open there; ``days`` is the table of :mod:`.days`, ``day_at`` the day that each
    stretch begins (-1: none).  ``ends`` are the last bars of the days; ``blocks`` the first bars of
    blocks of whole days (and the end) and the first day of each, ``one_block`` the span as one.
    """

    rows: IntArray
    following: IntArray
    bars: IntArray
    bars_f: FloatArray
    base_f: FloatArray
    told: IntArray
    base: PackedSignals
    flags: NDArray[np.uint8]
    special: IntArray
    starts: IntArray
    dues: FloatArray
    days: IntArray
    day_at: IntArray
    opens: IntArray
    severity: FloatArray
    ends: IntArray
    blocks: tuple[IntArray, IntArray]
    one_block: tuple[IntArray, IntArray]

    @property
    def first(self) -> int:
        """The first decision inside the span."""
        return int(self.following[0])


def find_day_ends(time_ms: IntArray, bar_ms: int) -> IntArray:
    """The last bar of each UTC day (a close at 00:00 ends the day before)."""
    day = (time_ms + bar_ms - 1) // DAY_MS
    return np.flatnonzero(np.append(np.diff(day) != 0, True))


def build_outlook(
    *, rules: EngineRules, market: PackedMarket, rows: IntArray, base: PackedSignals
) -> Outlook:
    """What every variant with these rules and these common signals shares; one slot.

    ``rows`` are the bars of the decisions, counted from the first of the run.
    """
    from trading.domain.backtest.compiled import compile_pure

    size = market.time_ms.shape[0]
    ratio = base.signals_f[:, 0, at.GF_RATIO]
    flags = _compute_flags(rules, market, ratio)
    loud = np.flatnonzero(flags & (FULL_STEP | HOT))
    ends = find_day_ends(market.time_ms, rules.bar_ms)
    turns = (flags & NEW_DAY) != 0
    turns[0] = True
    turns[ends[:-1] + 1] = True
    begins = turns | ((flags & FUNDING) != 0)
    starts = np.append(np.flatnonzero(begins), size)
    bars, bars_f, base_f = _lay_together(market, base, rows)
    compile_pure(look_ahead_within)(bars[:, 0], flags, starts)
    each = np.arange(size)
    firsts = np.flatnonzero(turns[starts[:-1]])
    blocks = np.append(starts[firsts[::BLOCK_DAYS]], size)
    block_days = np.searchsorted(ends, blocks)
    day_at = np.full(starts.size - 1, -1, dtype=np.int64)
    day_at[firsts] = np.arange(firsts.size)
    return Outlook(
        rows=rows,
        following=np.searchsorted(rows, each).astype(np.int64),
        bars=bars,
        bars_f=bars_f,
        base_f=base_f,
        told=_find_told(base),
        base=base,
        flags=flags,
        special=np.append(loud, size)[np.searchsorted(loud, each)],
        starts=starts,
        dues=market.bars_f[starts[:-1], 0, at.BF_FUNDING],
        days=_join_days(bars[starts[:-1], 0], firsts),
        day_at=day_at,
        opens=market.bars_i[starts[:-1], 0, at.BI_OPEN],
        severity=_compute_severities(ratio, rules.fuse.volatility_ratio_max),
        ends=ends,
        blocks=(blocks, block_days),
        one_block=(blocks[[0, -1]], block_days[[0, -1]]),
    )


def _lay_together(
    market: PackedMarket, base: PackedSignals, rows: IntArray
) -> tuple[IntArray, FloatArray, FloatArray]:
    """All that the full step of a bar reads, in four lines of memory instead of a dozen.

    Each line begins where the processor fetches one (64 bytes).
    """
    size = market.time_ms.shape[0]
    room = np.empty(size * RECORD + LINE, dtype=np.int64)
    first = -(room.ctypes.data // room.itemsize) % LINE
    bars = room[first : first + size * RECORD].reshape(size, 1, RECORD)
    floats = bars.view(np.float64)
    bars_f = floats[:, :, KI_WIDTH : KI_WIDTH + at.BF_WIDTH]
    base_f = floats[:, :, KI_WIDTH + at.BF_WIDTH :]
    bars[:, :, : at.BI_WIDTH] = market.bars_i
    bars[:, 0, KI_TREND] = base.signals_i[:, 0, at.GI_TREND]
    bars[:, 0, KI_TIME] = market.time_ms
    bars[:, 0, KI_DECISION] = -1
    inside = np.flatnonzero((rows >= 0) & (rows < size))
    bars[rows[inside], 0, KI_DECISION] = inside
    bars_f[:] = market.bars_f
    base_f[:] = base.signals_f
    return bars, bars_f, base_f


def _find_told(base: PackedSignals) -> IntArray:
    """The columns of the common signals that are a number anywhere, but for stop and target."""
    levels = (at.GF_STOP, at.GF_TARGET)
    return np.array(
        [
            column
            for column in range(at.GF_WIDTH)
            if column not in levels and not np.isnan(base.signals_f[:, 0, column]).all()
        ],
        dtype=np.int64,
    )


def _join_days(stretches: IntArray, firsts: IntArray) -> IntArray:
    """The table of days, each from its first stretch on; a last row ends the last of them."""
    days = np.zeros((firsts.size + 1, WI_WIDTH), dtype=np.int64)
    lasts = np.append(firsts[1:], stretches.shape[0]) - 1
    for column, take, of in (
        (WI_LOW, np.minimum, KI_LOW),
        (WI_HIGH, np.maximum, KI_HIGH),
        (WI_BOTTOM, np.minimum, KI_BOTTOM),
        (WI_TOP, np.maximum, KI_TOP),
        (WI_FLAGS, np.bitwise_or, KI_FLAGS),
    ):
        days[:-1, column] = take.reduceat(stretches[:, of], firsts)
    days[:-1, WI_CLOSE] = stretches[lasts, KI_LAST]
    days[:-1, WI_NEXT] = stretches[lasts, KI_NEXT]
    days[:, WI_FIRST] = np.append(firsts, stretches.shape[0])
    return days


def _compute_severities(ratio: FloatArray, limit: float) -> FloatArray:
    """How far the volatility of each bar lies above its limit, as the fuse measures it."""
    return np.array([compute_severity(value, limit) for value in ratio.tolist()])


def _compute_flags(
    rules: EngineRules, market: PackedMarket, ratio: FloatArray
) -> NDArray[np.uint8]:
    day = market.time_ms // DAY_MS
    flags = np.where(np.append(False, day[1:] != day[:-1]), NEW_DAY, 0)
    flags |= np.where(market.bars_f[:, 0, at.BF_FUNDING] != 0.0, FUNDING, 0)
    full = market.bars_i[:, 0, at.BI_PRESENT] == 0
    if rules.fuse.acting and rules.fuse.market_acting and rules.slots[0].traits.trigger_volatility:
        flags |= np.where(ratio > rules.fuse.volatility_ratio_max, HOT, 0)
    full[-1] = True
    return np.where(full, flags | FULL_STEP, flags).astype(np.uint8)
