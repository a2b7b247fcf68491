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
from trading.domain.backtest.kernel.marks import AF_FALL
from trading.domain.backtest.kernel.outlook import Outlook, find_day_ends
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
from trading.domain.strategies.signals import StrategyTraits

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]
SUMS = 10
#: Places of the slots' rules and of the fund's counters among the arrays of a book.
RI, RF, FI = 2, 3, 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What one run gave: ``fall`` <= 0, the rest as :func:`.marks.summarise` writes it."""

    trades: int
    fall: float
    sums: FloatArray
    gaps: FloatArray
    path: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class _Books:
    """The books of variants in the order of the loops' arguments, and their deepest falls.

    All are views of ``buffers``, each with what it holds before the first bar.
    """

    own: tuple[NDArray[Any], ...]
    falls: FloatArray
    trades: IntArray
    buffers: list[tuple[NDArray[Any], NDArray[Any]]]


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
        # Variants write over each other's trades, which nobody reads of a sweep.
        self._shared = (
            *pack_fuse(rules),
            np.array(astuple(rules.limits), dtype=np.float64),
            *self._trades,
            np.zeros(32, dtype=np.int64),
            np.zeros(slots, dtype=np.float64),
            np.zeros(slots, dtype=np.float64),
        )
        self._books: dict[int, _Books] = {}
        self.equity = np.empty(size, dtype=np.float64)
        # In the order of the numbers AF: the opening cash is the first mark.
        self._no_fall = np.array((rules.cash_opening, 0.0, rules.cash_opening))
        self._ends = find_day_ends(market.time_ms, rules.bar_ms)
        self._strategies = pack_strategies(rules)
        self._instruments = pack_instruments(rules)
        self._slots: dict[StrategyTraits, tuple[IntArray, FloatArray]] = {}
        self._signal = (
            np.zeros((1, at.GI_WIDTH), dtype=np.int64),
            np.full((1, at.GF_WIDTH), np.nan),
        )

    def run_decisions(
        self,
        *,
        variants: Sequence[tuple[EngineRules, Decisions]],
        outlook: Outlook,
        returns: FloatArray,
        whole: bool = False,
    ) -> list[Figures]:
        """Variants of one slot that share an outlook; ``returns`` receives the last one's days.

        Several must follow from the same closes and ATR (:attr:`Decisions.reach`).  ``equity``
        then holds marks of the last: at the ends of days, or of every bar where ``whole``.
        """
        trades, falls, marks = self.walk(variants=variants, outlook=outlook, whole=whole)
        return self._summarise(trades, falls, marks, returns)

    def walk(
        self,
        *,
        variants: Sequence[tuple[EngineRules, Decisions]],
        outlook: Outlook,
        whole: bool = False,
    ) -> tuple[IntArray, FloatArray, FloatArray]:
        """The loop alone: trades, deepest falls, and the marks at the ends of days (rows)."""
        from trading.domain.backtest.compiled import compile_pure
        from trading.domain.backtest.kernel.batches import run_batch

        count = len(variants)
        said = [decisions for _, decisions in variants]
        # One variant alone reads the market once: blocks would only cut its stretches.
        blocks = outlook.one_block if count == 1 else outlook.blocks
        books = self._open_books([rules for rules, _ in variants])
        self._signal[1].fill(np.nan)
        marks = np.empty((count, self._ends.size))
        compile_pure(run_batch, inlined=True)(
            *blocks, outlook.ends, self._market.time_ms,
            outlook.bars, outlook.bars_f, outlook.flags, outlook.special, outlook.starts,
            outlook.dues, outlook.days, outlook.day_at, outlook.opens, outlook.severity,
            outlook.following, outlook.rows, outlook.base.signals_i, outlook.base_f, outlook.told,
            _stack([one.enter for one in said]), *stack_words([one.leave for one in said]),
            *(_stack([getattr(one, name) for one in said]) for name in ("stop", "target")),
            said[0].close, said[0].reach,
            np.array([one.stop_atr for one in said]), np.array([one.target_atr for one in said]),
            *self._signal, *books.own, *self._shared, books.falls, self.equity, marks, whole,
        )  # fmt: skip
        return books.trades.copy(), books.falls[:, AF_FALL].copy(), marks

    def run_signals(
        self, *, rules: EngineRules, signals: PackedSignals, returns: FloatArray
    ) -> Figures:
        """Any number of slots with packed signals."""
        from trading.domain.backtest.compiled import compile_pure
        from trading.domain.backtest.kernel.loop import run_bars
        from trading.domain.backtest.kernel.marks import note_marks

        market, books = self._market, self._open_books([rules])
        compile_pure(run_bars, inlined=True)(
            market.time_ms, market.bars_i, market.bars_f, signals.signals_i, signals.signals_f,
            *(state[0] for state in books.own), *self._shared, self.equity,
        )  # fmt: skip
        compile_pure(note_marks)(self.equity, books.falls[0])
        marks = self.equity[self._ends][None]
        return self._summarise(books.trades, books.falls[:, AF_FALL], marks, returns)[0]

    def _open_books(self, rules: Sequence[EngineRules]) -> _Books:
        """A fresh book for each variant, valid until the next call."""
        books = self._books.get(len(rules))
        if books is None:
            books = self._books[len(rules)] = self._lay_books(len(rules))
        for now, fresh in books.buffers:
            now[:] = fresh
        for v, one in enumerate(rules):
            books.own[RI][v], books.own[RF][v] = self._pack_slots(one)
        return books

    def _lay_books(self, count: int) -> _Books:
        """Books in the order of the loops' arguments, as they stand before the first bar."""
        slots, instruments = len(self._rules.slots), len(self._rules.instruments)

        def for_each(array: NDArray[Any]) -> NDArray[Any]:
            return np.repeat(array[None], count, axis=0)

        fi, ff = map(for_each, pack_fund(self._rules, int(self._market.time_ms[0])))
        own = (
            np.zeros((count, slots, at.PI_WIDTH), dtype=np.int64),
            np.zeros((count, slots, at.PF_WIDTH), dtype=np.float64),
            *map(for_each, self._pack_slots(self._rules)),
            *map(for_each, self._instruments),
            fi,
            ff,
            np.zeros((count, self._rules.strategy_count, at.SI_WIDTH), dtype=np.int64),
            for_each(self._strategies),
            np.zeros((count, instruments, at.EI_WIDTH), dtype=np.int64),
            np.zeros((count, instruments), dtype=np.float64),
            for_each(self._no_fall),
        )
        views, buffers = _join(own)
        return _Books(
            own=tuple(views[:-1]),
            falls=views[-1],
            trades=views[FI][:, at.FI_TRADES],
            buffers=[(buffer, buffer.copy()) for buffer in buffers],
        )

    def _pack_slots(self, rules: EngineRules) -> tuple[IntArray, FloatArray]:
        traits = rules.slots[0].traits
        if traits not in self._slots:
            self._slots[traits] = pack_slots(rules)
        return self._slots[traits]

    def _summarise(
        self, trades: IntArray, falls: FloatArray, marks: FloatArray, returns: FloatArray
    ) -> list[Figures]:
        from trading.domain.backtest.compiled import compile_pure
        from trading.domain.backtest.kernel.marks import summarise_all

        count = trades.size
        sums, path = np.zeros((count, SUMS)), np.zeros((count, 2))
        gaps = np.zeros((count, 2, self._edges.size - 1))
        compile_pure(summarise_all)(
            marks, self._cut, self._rules.cash_opening, self._edges, returns, sums, gaps, path
        )
        return [
            Figures(trades=int(trades[v]), fall=float(falls[v]), sums=sums[v], gaps=gaps[v],
                    path=path[v])
            for v in range(count)
        ]  # fmt: skip


def _join(arrays: Sequence[NDArray[Any]]) -> tuple[list[NDArray[Any]], list[NDArray[Any]]]:
    """Arrays as views of one buffer for each of their types, and these buffers."""
    views: list[NDArray[Any]] = list(arrays)
    buffers = []
    for kind in (np.int64, np.float64):
        places = [place for place, array in enumerate(arrays) if array.dtype == kind]
        buffer = np.concatenate([arrays[place].ravel() for place in places])
        buffers.append(buffer)
        parts = np.split(buffer, np.cumsum([arrays[place].size for place in places])[:-1])
        for place, part in zip(places, parts, strict=True):
            views[place] = part.reshape(arrays[place].shape)
    return views, buffers


def _stack(columns: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Columns as rows; one alone is not copied."""
    return columns[0][None] if len(columns) == 1 else np.array(columns)


def stack_words(columns: Sequence[NDArray[np.int8]]) -> tuple[NDArray[np.int8], IntArray]:
    """Columns of bytes as rows that end in zeros, and the same memory as words of eight bytes."""
    size = columns[0].size
    words = np.zeros((len(columns), -(-size // 8)), dtype=np.int64)
    rows = words.view(np.int8)
    for row, column in zip(rows, columns, strict=True):
        row[:size] = column
    return rows, words
