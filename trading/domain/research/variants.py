"""The runs of a sweep: many variants of one strategy on one market, on every core.

Whatever variants have in common (longer bars, averages, volatility, magnets) is made once.  A rule
on one instrument runs in the loop that steps over quiet bars; every other strategy runs packed.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from magnetfund.kernel.errors import InvalidInput
from trading.domain.backtest.kernel.run import pack_market, pack_signals
from trading.domain.backtest.kernel.variants import (
    SUMS,
    Figures,
    PlainColumns,
    VariantRunner,
    compute_flags,
)
from trading.domain.engine.rules import EngineRules
from trading.domain.market.candles import Candles
from trading.domain.research.run import Builder, Prepared, build, compute_slot_signals
from trading.domain.strategies.base import Strategy
from trading.domain.strategies.registry import compute_columns
from trading.domain.strategies.rules import RuleStrategy
from trading.domain.strategies.shared import SharedBars
from trading.domain.strategies.signals import Reason, Signals, StrategyTraits

#: Variants that one thread takes at a time.
CHUNK = 32
FloatColumn = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """The runs of a sweep in the order of their variants.

    ``returns`` has shape (variants, days); ``sums`` as :func:`..quiet.summarise` writes them.
    """

    parameters: tuple[Mapping[str, Any], ...]
    returns: FloatColumn
    sums: FloatColumn
    falls: FloatColumn
    trades: NDArray[np.int64]
    refused: int


def run_variants(
    *,
    prepared: Prepared,
    builders: Mapping[str, Builder],
    variants: Sequence[Mapping[str, Any]],
    cut_days: int,
    workers: int | None = None,
    on_variant: Callable[[], bool] | None = None,
) -> Tried:
    """Run ``variants`` of the request's only sleeve; those that cannot be run are refused.

    ``on_variant`` is told after each and stops the rest by answering False.
    """
    bench = _Bench(prepared, builders, cut_days)
    count, days = len(variants), bench.days
    returns = np.empty((count, days))
    sums, falls = np.zeros((count, SUMS)), np.zeros(count)
    trades = np.full(count, -1, dtype=np.int64)
    stopped = threading.Event()

    def work(first: int) -> int:
        runner = bench.runner()
        for k in range(first, min(first + CHUNK, count)):
            if stopped.is_set():
                break
            try:
                figures = bench.run(runner, variants[k], returns[k])
            except InvalidInput:
                continue
            sums[k], falls[k], trades[k] = figures.sums, figures.fall, figures.trades
        return min(CHUNK, count - first)

    with ThreadPoolExecutor(max_workers=workers or os.cpu_count() or 1) as pool:
        for done in pool.map(work, range(0, count, CHUNK)):
            if on_variant is not None and not all(on_variant() for _ in range(done)):
                stopped.set()
    kept = np.flatnonzero(trades >= 0)
    whole = kept.size == count
    return Tried(
        parameters=tuple(variants[k] for k in kept.tolist()),
        returns=returns if whole else returns[kept],
        sums=sums if whole else sums[kept],
        falls=falls if whole else falls[kept],
        trades=trades if whole else trades[kept],
        refused=0 if stopped.is_set() else count - int(kept.size),
    )


class _Bench:
    """One market packed once, with what the variants of a strategy share."""

    def __init__(self, prepared: Prepared, builders: Mapping[str, Builder], cut: int) -> None:
        self._prepared, self._builders, self._cut = prepared, builders, cut
        self._sleeve = prepared.request.sleeves[0]
        self._market = pack_market(prepared.market)
        self._lock = threading.Lock()
        self._shared: dict[str, SharedBars] = {}
        self._plain: dict[tuple[int, int, bool], tuple[PlainColumns, NDArray[np.uint8]]] = {}
        self._rules: dict[StrategyTraits, EngineRules] = {}
        self._local = threading.local()
        self.days = self.runner().days

    def runner(self) -> VariantRunner:
        """The arrays of this thread."""
        found: VariantRunner | None = getattr(self._local, "runner", None)
        if found is None:
            found = self._local.runner = VariantRunner(
                rules=self._prepared.rules, market=self._market, cut_days=self._cut
            )
        return found

    def run(
        self, runner: VariantRunner, parameters: Mapping[str, Any], returns: FloatColumn
    ) -> Figures:
        """One variant; raises :class:`InvalidInput` where it cannot be built or never warms up."""
        prepared, sleeve = self._prepared, self._sleeve
        strategy = build(
            self._builders,
            sleeve.strategy,
            {**sleeve.parameters, **parameters},
            opposite_reach=prepared.opposite_reach,
        )
        rules = self._rules_of(strategy.traits)
        # Dated events bar entries by bar, which decisions shared by variants do not know.
        is_alone = len(rules.slots) == 1 and not prepared.blackouts
        if isinstance(strategy, RuleStrategy) and is_alone:
            return self._run_rule(runner, strategy, rules, returns)
        variant = replace(prepared, strategies=(strategy,), rules=rules)
        signals = compute_slot_signals(variant, columns=self._columns)
        packed = pack_signals(rules=rules, market=prepared.market, signals=signals)
        return runner.run_signals(rules=rules, signals=packed, returns=returns)

    def _rules_of(self, traits: StrategyTraits) -> EngineRules:
        found = self._rules.get(traits)
        if found is None:
            base = self._prepared.rules
            slots = tuple(replace(slot, traits=traits) for slot in base.slots)
            found = self._rules[traits] = replace(base, slots=slots)
        return found

    def _run_rule(
        self,
        runner: VariantRunner,
        strategy: RuleStrategy,
        rules: EngineRules,
        returns: FloatColumn,
    ) -> Figures:
        rows = self._prepared.rows[0]
        with self._lock:
            shared = self._share(self._prepared.candles[0].between(0, rows.stop))
            columns, flags = self._plain_columns(strategy, rules, shared)
            decisions = strategy.decide(shared)
        if not (decisions.reason[columns.first :] != Reason.WARM_UP).any():
            raise InvalidInput("the span is shorter than the warm-up", code="warm_up")
        return runner.run_decisions(
            rules=rules, decisions=decisions, columns=columns, flags=flags, returns=returns
        )

    def _plain_columns(
        self, strategy: RuleStrategy, rules: EngineRules, shared: SharedBars
    ) -> tuple[PlainColumns, NDArray[np.uint8]]:
        watched = rules.slots[0].traits.trigger_volatility
        key = (strategy.bar_hours, strategy.atr_length, watched)
        if key not in self._plain:
            rows = self._prepared.rows[0]
            ratio, sigma = shared.volatility()
            places = shared.places(strategy.bar_hours)[rows].copy()
            inside = places[places >= 0]
            columns = PlainColumns(
                places=places,
                first=int(inside[0]) if inside.size else len(shared.candles),
                ratio=ratio[rows].copy(),
                sigma=sigma[rows].copy(),
                atr=shared.held_ranges(strategy.bar_hours, strategy.atr_length)[rows].copy(),
            )
            flags = compute_flags(
                rules=rules, market=self._market, ratio=columns.ratio, places=columns.places
            )
            self._plain[key] = columns, flags
        return self._plain[key]

    def _columns(self, strategy: Strategy, candles: Candles) -> Signals:
        with self._lock:
            shared = self._share(candles)
            return compute_columns(strategy=strategy, candles=shared.candles, shared=shared)

    def _share(self, candles: Candles) -> SharedBars:
        return self._shared.setdefault(candles.instrument, SharedBars(candles))
