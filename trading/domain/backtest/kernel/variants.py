"""Run many variants on one packed market: figures of every run, no trade is turned into objects.

A runner belongs to one thread; its arrays are used again for each variant.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trading.domain.backtest.kernel import layout as at
from trading.domain.backtest.kernel.quiet import DECISION, FULL_STEP, FUNDING, HOT, NEW_DAY
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
class PlainColumns:
    """What variants of rule strategies share on one instrument, cut to the span of the run.

    ``places`` is the number of the decision at each bar (-1 for none), ``first`` the first
    inside the span; the others are NaN where they have no source.
    """

    places: IntArray
    first: int
    ratio: FloatArray
    sigma: FloatArray
    atr: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What one run gave.  ``sums`` as :func:`.quiet.summarise` writes them; ``fall`` <= 0."""

    trades: int
    fall: float
    sums: FloatArray


class VariantRunner:
    """The arrays of one thread on one market."""

    def __init__(self, *, rules: EngineRules, market: PackedMarket, cut_days: int) -> None:
        self._market = market
        self._rules = rules
        self._cut = cut_days
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
        self._ends = find_day_ends(market.time_ms, rules.bar_ms)
        self._strategies = pack_strategies(rules)
        self._instruments = pack_instruments(rules)
        self._fuse = pack_fuse(rules)
        self._limits = np.array(astuple(rules.limits), dtype=np.float64)
        self._signal = (
            np.zeros((1, at.GI_WIDTH), dtype=np.int64),
            np.full((1, at.GF_WIDTH), np.nan),
        )

    @property
    def days(self) -> int:
        """Days of a run."""
        return int(self._ends.size)

    def run_decisions(
        self,
        *,
        rules: EngineRules,
        decisions: Decisions,
        columns: PlainColumns,
        flags: NDArray[np.uint8],
        returns: FloatArray,
    ) -> Figures:
        """One slot with the decisions of a rule; ``returns`` receives the daily returns."""
        from trading.domain.backtest.compiled import compile_pure
        from trading.domain.backtest.kernel.quiet import run_decisions

        market = self._market
        state, fi = self._state(rules)
        compile_pure(run_decisions, inlined=True)(
            market.time_ms, market.bars_i, market.bars_f, flags, columns.places, decisions.enter,
            decisions.leave, decisions.stop, decisions.target, columns.ratio, columns.sigma,
            columns.atr, *self._signal, *state, self.equity,
        )  # fmt: skip
        return self._summarise(int(fi[at.FI_TRADES]), returns)

    def run_signals(
        self, *, rules: EngineRules, signals: PackedSignals, returns: FloatArray
    ) -> Figures:
        """Any number of slots with packed signals."""
        from trading.domain.backtest.compiled import compile_pure
        from trading.domain.backtest.kernel.loop import run_bars

        market = self._market
        state, fi = self._state(rules)
        compile_pure(run_bars, inlined=True)(
            market.time_ms, market.bars_i, market.bars_f, signals.signals_i, signals.signals_f,
            *state, self.equity,
        )  # fmt: skip
        return self._summarise(int(fi[at.FI_TRADES]), returns)

    def _state(self, rules: EngineRules) -> tuple[tuple[Any, ...], IntArray]:
        """A fresh book in the order of the loops' arguments, and its counters."""
        slots, count = len(rules.slots), len(rules.instruments)
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
        from trading.domain.backtest.kernel.quiet import summarise

        sums = np.zeros(SUMS, dtype=np.float64)
        fall = compile_pure(summarise)(
            self.equity, self._ends, self._cut, self._rules.cash_opening, returns, sums
        )
        return Figures(trades=trades, fall=float(fall), sums=sums)


def find_day_ends(time_ms: IntArray, bar_ms: int) -> IntArray:
    """The last bar of each UTC day (a close at 00:00 ends the day before)."""
    day = (time_ms + bar_ms - 1) // DAY_MS
    return np.flatnonzero(np.append(np.diff(day) != 0, True))


def compute_flags(
    *, rules: EngineRules, market: PackedMarket, ratio: FloatArray, places: IntArray
) -> NDArray[np.uint8]:
    """What is known of each bar of a one-slot run: see the numbers of :mod:`.quiet`."""
    day = market.time_ms // DAY_MS
    flags = np.where(np.append(False, day[1:] != day[:-1]), NEW_DAY, 0)
    flags |= np.where(market.bars_f[:, 0, at.BF_FUNDING] != 0.0, FUNDING, 0)
    full = market.bars_i[:, 0, at.BI_PRESENT] == 0
    if rules.fuse.acting and rules.fuse.market_acting and rules.slots[0].traits.trigger_volatility:
        flags |= np.where(ratio > rules.fuse.volatility_ratio_max, HOT, 0)
    full[-1] = True
    flags |= np.where(full, FULL_STEP, 0) | np.where(places >= 0, DECISION, 0)
    return flags.astype(np.uint8)
