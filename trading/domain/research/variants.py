"""The runs of a sweep: many variants of one strategy on one market, on every core.

Whatever variants have in common (longer bars, averages, volatility, magnets) is made once.  A rule
on one instrument runs in the loop that steps over quiet bars, several variants side by side; every
other strategy runs packed.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from magnetfund.kernel.errors import InvalidInput
from trading.domain.backtest.kernel.outlook import Outlook, build_outlook, find_day_ends
from trading.domain.backtest.kernel.run import pack_market, pack_signals
from trading.domain.backtest.kernel.variants import SUMS, Figures, VariantRunner
from trading.domain.engine.rules import EngineRules
from trading.domain.market.candles import Candles
from trading.domain.research.moments import DayMoments, find_edges
from trading.domain.research.run import Builder, Prepared, build, compute_slot_signals, cut_rows
from trading.domain.strategies.base import Strategy
from trading.domain.strategies.magnet import MagnetStrategy
from trading.domain.strategies.registry import compute_columns
from trading.domain.strategies.rules import Decisions, RuleStrategy
from trading.domain.strategies.shared import KeepMagnets, SharedBars
from trading.domain.strategies.signals import Reason, Signals, StrategyTraits

#: Variants that one thread takes at a time, at most.
TAKEN_MAX = 64
#: As a plain number: a comparison with an enumeration would widen the whole column first.
WARM_UP = int(Reason.WARM_UP)
#: How often a caller is told how far it is, also inside one long variant.
TOLD_SECONDS = 1.0
FloatColumn = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """The runs of variants in their order; ``places`` are their numbers among those asked for.

    ``sums`` as :func:`..marks.summarise` writes them; ``path`` holds return and deepest fall of the
    seen days (fractions of the equity at their start).  ``is_whole`` is False where it was stopped.
    """

    places: NDArray[np.int64]
    moments: DayMoments
    sums: FloatColumn
    path: FloatColumn
    falls: FloatColumn
    trades: NDArray[np.int64]
    is_whole: bool


class VariantBench:
    """One market packed once, with what the variants of a strategy share."""

    def __init__(
        self,
        prepared: Prepared,
        builders: Mapping[str, Builder],
        *,
        cut_days: int,
        threads: int | None = None,
        keep_magnets: KeepMagnets | None = None,
    ) -> None:
        """``threads`` None is one for every core; ``keep_magnets`` as :class:`SharedBars` has."""
        self._keep_magnets = keep_magnets
        self._prepared, self._builders, self._cut = prepared, builders, cut_days
        self._sleeve = prepared.request.sleeves[0]
        self._market = pack_market(prepared.market)
        self._lock = threading.Lock()
        self._shared: dict[str, SharedBars] = {}
        self._outlooks: dict[tuple[Any, ...], Outlook] = {}
        self._rules: dict[StrategyTraits, EngineRules] = {}
        self._local = threading.local()
        self._threads = threads or os.cpu_count() or 1
        #: Whether the runner's equity holds every bar of a run, or only the ends of its days.
        self.is_whole = False
        self.days = find_day_ends(self._market.time_ms, prepared.rules.bar_ms).size
        self.edges = find_edges(self.days)

    def try_all(
        self,
        count: int,
        variant_at: Callable[[int], Mapping[str, Any]],
        *,
        on_done: Callable[[int], bool] | None = None,
    ) -> Tried:
        """Run ``count`` variants, made as they are needed; those that cannot be run are left out.

        ``on_done`` is told how many more are done, at least once a second, and stops the rest by
        answering False.
        """
        moments = np.zeros((2, count, len(self.edges) - 1))
        sums, path = np.zeros((count, SUMS)), np.zeros((count, 2))
        falls, trades = np.zeros(count), np.full(count, -1, dtype=np.int64)
        stopped = threading.Event()
        share = min(TAKEN_MAX, -(-count // (4 * self._threads))) or 1

        def ask(first: int) -> Iterator[tuple[int, Mapping[str, Any]]]:
            for k in range(first, min(first + share, count)):
                if stopped.is_set():
                    return
                yield k, variant_at(k)

        def work(first: int) -> int:
            for k, figures in self.run(self.runner(), ask(first), np.empty(self.days)):
                moments[:, k], path[k] = figures.gaps, figures.path
                sums[k], falls[k], trades[k] = figures.sums, figures.fall, figures.trades
            return min(share, count - first)

        with ThreadPoolExecutor(max_workers=self._threads) as pool:
            left: set[Future[int]] = {pool.submit(work, k) for k in range(0, count, share)}
            while left:
                done, left = wait(left, timeout=TOLD_SECONDS, return_when="FIRST_COMPLETED")
                try:
                    more = sum(future.result() for future in done)
                    if on_done is not None and not stopped.is_set() and not on_done(more):
                        stopped.set()
                except BaseException:
                    stopped.set()
                    raise
        kept = np.flatnonzero(trades >= 0)
        return Tried(
            places=kept,
            moments=DayMoments(edges=self.edges, sums=moments[0, kept], squares=moments[1, kept]),
            sums=sums[kept],
            path=path[kept],
            falls=falls[kept],
            trades=trades[kept],
            is_whole=not stopped.is_set(),
        )

    def runner(self) -> VariantRunner:
        """The arrays of this thread."""
        found: VariantRunner | None = getattr(self._local, "runner", None)
        if found is None:
            found = self._local.runner = VariantRunner(
                rules=self._prepared.rules,
                market=self._market,
                cut_days=self._cut,
                edges=self.edges,
            )
        return found

    def run(
        self,
        runner: VariantRunner,
        asked: Iterable[tuple[int, Mapping[str, Any]]],
        returns: FloatColumn,
    ) -> Iterator[tuple[int, Figures]]:
        """Run numbered variants, those that share an outlook side by side, in any order.

        Those that cannot be built or never warm up are left out.  ``returns`` receives the daily
        returns of the last.
        """
        prepared = self._prepared
        # Dated events bar entries by bar, which decisions shared by variants do not know.
        is_alone = len(prepared.rules.slots) == 1 and not prepared.blackouts
        beside: dict[int, tuple[Outlook, list[tuple[int, EngineRules, Decisions]]]] = {}
        rooms: list[Decisions] = self._local.__dict__.setdefault("rooms", [])
        used = 0
        for k, parameters in asked:
            try:
                strategy, rules = self._build(parameters)
                if not (isinstance(strategy, (RuleStrategy, MagnetStrategy)) and is_alone):
                    yield k, self._run_signals(runner, strategy, rules, returns)
                    continue
                room = rooms[used] if used < len(rooms) else None
                decisions, outlook = self.decide(strategy, rules, room=room)
            except InvalidInput:
                continue
            rooms[used : used + 1] = [decisions]
            one = (k, rules, decisions)
            if decisions.reach.size:
                beside.setdefault(id(outlook), (outlook, []))[1].append(one)
                used += 1
            else:
                yield from self._run_decisions(runner, outlook, [one], returns)
        for outlook, group in beside.values():
            yield from self._run_decisions(runner, outlook, group, returns)

    def _build(self, parameters: Mapping[str, Any]) -> tuple[Strategy, EngineRules]:
        strategy = build(
            self._builders,
            self._sleeve.strategy,
            {**self._sleeve.parameters, **parameters},
            opposite_reach=self._prepared.opposite_reach,
        )
        return strategy, self._rules_of(strategy.traits)

    def _run_decisions(
        self,
        runner: VariantRunner,
        outlook: Outlook,
        group: Sequence[tuple[int, EngineRules, Decisions]],
        returns: FloatColumn,
    ) -> Iterator[tuple[int, Figures]]:
        figures = runner.run_decisions(
            variants=[(rules, decisions) for _, rules, decisions in group],
            outlook=outlook,
            returns=returns,
            whole=self.is_whole,
        )
        return zip((k for k, _, _ in group), figures, strict=True)

    def _run_signals(
        self, runner: VariantRunner, strategy: Strategy, rules: EngineRules, returns: FloatColumn
    ) -> Figures:
        variant = replace(self._prepared, strategies=(strategy,), rules=rules)
        signals = compute_slot_signals(variant, columns=self._columns)
        packed = pack_signals(rules=rules, market=self._prepared.market, signals=signals)
        return runner.run_signals(rules=rules, signals=packed, returns=returns)

    def _rules_of(self, traits: StrategyTraits) -> EngineRules:
        found = self._rules.get(traits)
        if found is None:
            base = self._prepared.rules
            slots = tuple(replace(slot, traits=traits) for slot in base.slots)
            found = self._rules[traits] = replace(base, slots=slots)
        return found

    def decide(
        self,
        strategy: RuleStrategy | MagnetStrategy,
        rules: EngineRules,
        *,
        room: Decisions | None = None,
    ) -> tuple[Decisions, Outlook]:
        """What a strategy says on the only instrument, and what its run shares with others.

        ``room`` as :meth:`RuleStrategy.decide` has it.
        """
        shared = self._share_span()
        with self._lock:
            outlook = self._look_out(strategy, rules, shared)
        decisions = strategy.decide(shared, room=room)
        said = decisions.reason[outlook.first :]
        # The last decision is warm in all but the shortest spans.
        if not said.size or (said[-1] == WARM_UP and not (said != WARM_UP).any()):
            raise InvalidInput("the span is shorter than the warm-up", code="warm_up")
        return decisions, outlook

    def _look_out(
        self, strategy: RuleStrategy | MagnetStrategy, rules: EngineRules, shared: SharedBars
    ) -> Outlook:
        key = (*strategy.base_key, rules.slots[0].traits.trigger_volatility)
        found = self._outlooks.get(key)
        if found is None:
            rows, market = self._prepared.rows[0], self._prepared.market
            base = cut_rows(strategy.base(shared), rows)
            found = self._outlooks[key] = build_outlook(
                rules=rules,
                market=self._market,
                rows=strategy.decision_rows(shared) - rows.start,
                base=pack_signals(rules=rules, market=market, signals=[base]),
            )
        return found

    def _share_span(self) -> SharedBars:
        """The candles of the only instrument up to the end of the span."""
        candles = self._prepared.candles[0]
        found = self._shared.get(candles.instrument)
        return found or self._share(candles.between(0, self._prepared.rows[0].stop))

    def _columns(self, strategy: Strategy, candles: Candles) -> Signals:
        shared = self._share(candles)
        return compute_columns(strategy=strategy, candles=shared.candles, shared=shared)

    def _share(self, candles: Candles) -> SharedBars:
        with self._lock:
            return self._shared.setdefault(
                candles.instrument, SharedBars(candles, keep_magnets=self._keep_magnets)
            )
