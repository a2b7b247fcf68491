"""Run many variants on one packed market: figures of every run, no trade is turned into objects.

A runner belongs to one thread; its arrays are used again for each variant.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trading.domain.backtest.kernel import layout as at
from trading.domain.backtest.kernel.marks import AF_FALL, AF_WIDTH
from trading.domain.backtest.kernel.quiet import (
    DI_WIDTH,
    FULL_STEP,
    FUNDING,
    HOT,
    NEW_DAY,
    look_ahead_within,
)
from trading.domain.backtest.kernel.run import (
    PackedMarket,
    PackedSignals,
    pack_fund,
    pack_fuse,
    pack_instruments,
    pack_slots,
    pack_strategies,
)
from trading.domain.engine.rules import EngineRules
from trading.domain.strategies.rules import Decisions
from trading.domain.strategies.signals import DAY_MS

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]
SUMS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """What variants of one slot share, cut to the span of the run.

    ``rows`` is the bar of each decision (negative before the span), ``following`` the number of the
    first decision at or after each bar, ``base`` what the signals of all variants have in common.
    ``flags`` say what is known of each bar, ``special`` is the next bar that asks for a full step,
    ``starts`` the first bars of the stretches (and the end), ``stretch`` the stretch of each bar,
    ``ahead`` what is known of each stretch and of its rest from each bar on, ``dues`` the funding
    rate at the first bar of each: see :mod:`.quiet`.
    """

    rows: IntArray
    following: IntArray
    base: PackedSignals
    flags: NDArray[np.uint8]
    special: IntArray
    starts: IntArray
    stretch: IntArray
    ahead: IntArray
    dues: FloatArray

    @property
    def first(self) -> int:
        """The first decision inside the span."""
        return int(self.following[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What one run gave: ``fall`` <= 0, the rest as :func:`.marks.summarise` writes it."""

    trades: int
    fall: float
    sums: FloatArray
    gaps: FloatArray
    path: FloatArray


class VariantRunner:
    """The arrays of one thread on one market."""

    def __init__(
        self, *, rules: EngineRules, market: PackedMarket, cut_days: int, edges: Sequence[int]
    ) -> None:
        """``edges``: the days between which the returns are summed."""
        self._market = market
        self._rules = rules
        self._cut = cut_days
        self._edges = np.array(edges, dtype=np.int64)
        size, slots = market.time_ms.shape[0], len(rules.slots)
        trades_max = size * slots + slots
        events_max = size * (len(rules.instruments) + 2 * slots + 2)
        self._trades = (
            np.empty((trades_max, at.TI_WIDTH), dtype=np.int64),
            np.empty((trades_max, at.TF_WIDTH), dtype=np.float64),
            np.empty((events_max, at.VI_WIDTH), dtype=np.int64),
            np.empty((events_max, at.VF_WIDTH), dtype=np.float64),
        )
        self.equity = np.empty(size, dtype=np.float64)
        # In the order of the numbers AF: the opening cash is the first mark.
        self._no_fall = (rules.cash_opening, 0.0, rules.cash_opening)
        self._falls = np.zeros(AF_WIDTH, dtype=np.float64)
        self._ends = find_day_ends(market.time_ms, rules.bar_ms)
        self._strategies = pack_strategies(rules)
        self._instruments = pack_instruments(rules)
        self._fuse = pack_fuse(rules)
        self._limits = np.array(astuple(rules.limits), dtype=np.float64)
        self._signal = (
            np.zeros((1, at.GI_WIDTH), dtype=np.int64),
            np.full((1, at.GF_WIDTH), np.nan),
        )

    def run_decisions(
        self,
        *,
        rules: EngineRules,
        decisions: Decisions,
        outlook: Outlook,
        returns: FloatArray,
        whole: bool = False,
    ) -> Figures:
        """One slot with decisions; ``returns`` receives the daily returns.

        ``equity`` then holds the marks at the ends of days, or of every bar where ``whole``.
        """
        from trading.domain.backtest.compiled import compile_pure
        from trading.domain.backtest.kernel.decisions import run_decisions

        market = self._market
        state, fi = self._state(rules)
        compile_pure(run_decisions, inlined=True)(
            market.time_ms, market.bars_i, market.bars_f, outlook.flags, outlook.special,
            outlook.starts, outlook.stretch, outlook.ahead, outlook.dues, outlook.following,
            outlook.rows, outlook.base.signals_i, outlook.base.signals_f, decisions.enter,
            decisions.leave, decisions.stop, decisions.target, *self._signal, *state, self._falls,
            self.equity, whole,
        )  # fmt: skip
        return self._summarise(int(fi[at.FI_TRADES]), returns)

    def run_signals(
        self, *, rules: EngineRules, signals: PackedSignals, returns: FloatArray
    ) -> Figures:
        """Any number of slots with packed signals."""
        from trading.domain.backtest.compiled import compile_pure
        from trading.domain.backtest.kernel.loop import run_bars
        from trading.domain.backtest.kernel.marks import note_marks

        market = self._market
        state, fi = self._state(rules)
        compile_pure(run_bars, inlined=True)(
            market.time_ms, market.bars_i, market.bars_f, signals.signals_i, signals.signals_f,
            *state, self.equity,
        )  # fmt: skip
        compile_pure(note_marks)(self.equity, self._falls)
        return self._summarise(int(fi[at.FI_TRADES]), returns)

    def _state(self, rules: EngineRules) -> tuple[tuple[Any, ...], IntArray]:
        """A fresh book in the order of the loops' arguments, and its counters."""
        slots, count = len(rules.slots), len(rules.instruments)
        self._falls[:] = self._no_fall
        fi, ff = pack_fund(rules, int(self._market.time_ms[0]))
        mi, mf = self._instruments
        state = (
            np.zeros((slots, at.PI_WIDTH), dtype=np.int64),
            np.zeros((slots, at.PF_WIDTH), dtype=np.float64),
            *pack_slots(rules),
            mi.copy(),
            mf,
            fi,
            ff,
            np.zeros((rules.strategy_count, at.SI_WIDTH), dtype=np.int64),
            self._strategies.copy(),
            np.zeros((count, at.EI_WIDTH), dtype=np.int64),
            np.zeros(count, dtype=np.float64),
            *self._fuse,
            self._limits,
            *self._trades,
            np.zeros(32, dtype=np.int64),
            np.zeros(slots, dtype=np.float64),
            np.zeros(slots, dtype=np.float64),
        )
        return state, fi

    def _summarise(self, trades: int, returns: FloatArray) -> Figures:
        from trading.domain.backtest.compiled import compile_pure
        from trading.domain.backtest.kernel.marks import summarise

        sums, path = np.zeros(SUMS), np.zeros(2)
        gaps = np.zeros((2, self._edges.size - 1))
        compile_pure(summarise)(
            self.equity, self._ends, self._cut, self._rules.cash_opening, self._edges, returns,
            sums, gaps, path,
        )  # fmt: skip
        fall = float(self._falls[AF_FALL])
        return Figures(trades=trades, fall=fall, sums=sums, gaps=gaps, path=path)


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
    flags = _compute_flags(rules, market, base.signals_f[:, 0, at.GF_RATIO])
    loud = np.flatnonzero(flags & (FULL_STEP | HOT))
    ends = find_day_ends(market.time_ms, rules.bar_ms)
    begins = (flags & (FUNDING | NEW_DAY)) != 0
    begins[0] = True
    begins[ends[:-1] + 1] = True
    starts = np.append(np.flatnonzero(begins), size)
    ahead = np.empty((starts.size - 1 + size, DI_WIDTH), dtype=np.int64)
    compile_pure(look_ahead_within)(market.bars_i[:, 0], flags, starts, ahead)
    each = np.arange(size)
    return Outlook(
        rows=rows,
        following=np.searchsorted(rows, each).astype(np.int64),
        base=base,
        flags=flags,
        special=np.append(loud, size)[np.searchsorted(loud, each)],
        starts=starts,
        stretch=np.cumsum(begins) - 1,
        ahead=ahead,
        dues=market.bars_f[starts[:-1], 0, at.BF_FUNDING],
    )


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
