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
        self._no_fall = np.array((rules.cash_opening, 0.0, rules.cash_opening))
        self._ends = find_day_ends(market.time_ms, rules.bar_ms)
        self._strategies = pack_strategies(rules)
        self._instruments = pack_instruments(rules)
        self._fuse = pack_fuse(rules)
        self._limits = np.array(astuple(rules.limits), dtype=np.float64)
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
        blocks = [0, -1] if count == 1 else slice(None)
        own, shared, fi = self._states([rules for rules, _ in variants])
        falls = np.repeat(self._no_fall[None], count, axis=0)
        marks = np.empty((count, self._ends.size))
        compile_pure(run_batch, inlined=True)(
            outlook.blocks[blocks], outlook.block_days[blocks], outlook.ends, self._market.time_ms,
            outlook.bars, outlook.bars_f, outlook.flags, outlook.special, outlook.starts,
            outlook.dues, outlook.days, outlook.day_at, outlook.opens, outlook.severity,
            outlook.following, outlook.rows, outlook.base.signals_i, outlook.base_f,
            *(
                _stack([getattr(one, name) for one in said])
                for name in ("enter", "leave", "stop", "target")
            ),
            said[0].close, said[0].reach,
            np.array([one.stop_atr for one in said]), np.array([one.target_atr for one in said]),
            *self._signal, *own, *shared, falls, self.equity, marks, whole,
        )  # fmt: skip
        return fi[:, at.FI_TRADES], falls[:, AF_FALL], marks

    def run_signals(
        self, *, rules: EngineRules, signals: PackedSignals, returns: FloatArray
    ) -> Figures:
        """Any number of slots with packed signals."""
        from trading.domain.backtest.compiled import compile_pure
        from trading.domain.backtest.kernel.loop import run_bars
        from trading.domain.backtest.kernel.marks import note_marks

        market, falls = self._market, self._no_fall.copy()
        own, shared, fi = self._states([rules])
        compile_pure(run_bars, inlined=True)(
            market.time_ms, market.bars_i, market.bars_f, signals.signals_i, signals.signals_f,
            *(state[0] for state in own), *shared, self.equity,
        )  # fmt: skip
        compile_pure(note_marks)(self.equity, falls)
        marks = self.equity[self._ends][None]
        return self._summarise(fi[:, at.FI_TRADES], falls[None, AF_FALL], marks, returns)[0]

    def _states(
        self, rules: Sequence[EngineRules]
    ) -> tuple[tuple[Any, ...], tuple[Any, ...], IntArray]:
        """A fresh book for each variant, what they may share, and the books' counters.

        Both in the order of the loops' arguments; nobody reads the trades of a sweep.
        """
        count, slots = len(rules), len(self._rules.slots)
        instruments = len(self._rules.instruments)

        def for_each(array: NDArray[Any]) -> NDArray[Any]:
            return np.repeat(array[None], count, axis=0)

        fi, ff = map(for_each, pack_fund(self._rules, int(self._market.time_ms[0])))
        packed = [self._pack_slots(one) for one in rules]
        own = (
            np.zeros((count, slots, at.PI_WIDTH), dtype=np.int64),
            np.zeros((count, slots, at.PF_WIDTH), dtype=np.float64),
            np.array([ri for ri, _ in packed]),
            np.array([rf for _, rf in packed]),
            *map(for_each, self._instruments),
            fi,
            ff,
            np.zeros((count, self._rules.strategy_count, at.SI_WIDTH), dtype=np.int64),
            for_each(self._strategies),
            np.zeros((count, instruments, at.EI_WIDTH), dtype=np.int64),
            np.zeros((count, instruments), dtype=np.float64),
        )
        shared = (
            *self._fuse,
            self._limits,
            *self._trades,
            np.zeros(32, dtype=np.int64),
            np.zeros(slots, dtype=np.float64),
            np.zeros(slots, dtype=np.float64),
        )
        return own, shared, fi

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


def _stack(columns: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Columns as rows; one alone is not copied."""
    return columns[0][None] if len(columns) == 1 else np.array(columns)
