"""Run a request on given candles: signals in columns, the compiled kernel, measured figures.

Signals are made over every candle that is given, also before the span, so a span begins warmed up
where there is history.  The worst adverse bar known at each close is counted from the first candle.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from magnetfund.kernel.clock import from_milliseconds
from magnetfund.kernel.errors import InvalidInput
from magnetfund.kernel.identifiers import content_hash
from risk.domain.fuse import FuseRules, ResetPolicy
from trading.domain.backtest.fine import FineMarket, build_fine_market
from trading.domain.backtest.market import (
    InstrumentBars,
    MarketBars,
    build_instrument_bars,
    join_markets,
)
from trading.domain.backtest.result import FILL_RULE_VERSION, BacktestResult, build_result
from trading.domain.engine.rules import (
    EngineRules,
    LimitRules,
    SlotRules,
    TradedInstrument,
    bare_rules,
)
from trading.domain.market.blackouts import Blackout
from trading.domain.market.candles import Candles
from trading.domain.market.funding import FundingRates, spread_funding
from trading.domain.market.resampling import resample
from trading.domain.market.slices import check_spacing, name_length
from trading.domain.research.barring import bar_entries
from trading.domain.research.coverage import (
    Coverage,
    InstrumentSeries,
    check_gaps,
    cover_span,
    plan_execution,
)
from trading.domain.research.identity import hash_trial_base, plain_rules
from trading.domain.research.parameters import read_parameters
from trading.domain.research.request import BacktestRequest
from trading.domain.strategies.base import Strategy
from trading.domain.strategies.magnet import MagnetStrategy
from trading.domain.strategies.registry import compute_columns
from trading.domain.strategies.signals import Reason, Signals

WAITING = (int(Reason.WARM_UP), int(Reason.NOT_DECISION_BAR))
Builder = Callable[..., Strategy]
Columns = Callable[[Strategy, Candles], Signals]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A request on its bars, before any signal: what the hash of the inputs is made of.

    ``trial_base`` is the hash of what a trial stands on beside its parameters.
    """

    request: BacktestRequest
    strategies: tuple[Strategy, ...]
    rules: EngineRules
    market: MarketBars
    candles: tuple[Candles, ...]
    rows: tuple[slice, ...]
    coverage: tuple[Coverage, ...]
    data_hash: str
    inputs_hash: str
    trial_base: str
    opposite_reach: float | None = None
    fine: FineMarket | None = None
    blackouts: tuple[Blackout, ...] = ()

    @property
    def executed(self) -> MarketBars:
        """The bars on which orders executed."""
        return self.market if self.fine is None else self.fine.bars


@dataclass(frozen=True, slots=True, kw_only=True)
class Backtest:
    """A finished run with what it was made from; ``signals`` has one column set per slot."""

    prepared: Prepared
    result: BacktestResult
    signals: tuple[Signals, ...]


def prepare(
    *,
    request: BacktestRequest,
    series: Mapping[str, InstrumentSeries],
    builders: Mapping[str, Builder],
    sources: Mapping[str, str] | None = None,
    limits: LimitRules | None = None,
    fuse: FuseRules | None = None,
    opposite_reach: float | None = None,
    blackouts: Sequence[Blackout] = (),
) -> Prepared:
    """Check a request against its candles and build the bars.

    ``sources`` holds, by strategy, the hash of a source that is not of this program.
    ``opposite_reach`` is the limits' reach (hourly ATR) for heavy opposing zones, which acts under
    the rules of the fund, as ``blackouts`` do.  Raises :class:`InvalidInput` with the code of the
    first thing that stands against the run.
    """
    reach = opposite_reach if request.rules == "fund" else None
    strategies = tuple(
        build(builders, sleeve.strategy, sleeve.parameters, opposite_reach=reach)
        for sleeve in request.sleeves
    )
    for strategy in strategies:
        if strategy.timeframe_ms != request.bar_ms:
            raise InvalidInput(
                f"{strategy.traits.strategy_id} reads candles of "
                f"{name_length(strategy.timeframe_ms)}, not of {request.timeframe}",
                code="bad_timeframe",
            )
    candles = tuple(fit_candles(series[name].candles, request) for name in request.instruments)
    rows = tuple(_find_rows(item, request) for item in candles)
    shorter, plan = plan_execution(request, series, candles, rows)
    coverage = tuple(
        cover_span(item, part, series[name], plan, index)
        for index, (name, item, part) in enumerate(
            zip(request.instruments, candles, rows, strict=True)
        )
    )
    for item in coverage:
        check_gaps(item, request)
    rules = _build_rules(request, strategies, series, limits, fuse)
    bars = [
        _build_bars(item, part, series[name], instrument, request)
        for name, item, part, instrument in zip(
            request.instruments, candles, rows, rules.instruments, strict=True
        )
    ]
    market = join_markets(bars)
    data_hash, fine = market.data_hash(), None
    if plan is not None:
        fine = build_fine_market(
            market=market,
            shorter=shorter,
            plan=plan,
            tick_sizes=[item.tick_size for item in rules.instruments],
        )
        data_hash = content_hash([data_hash, fine.bars.data_hash()])
    inputs: dict[str, Any] = {
        "request": replace(request, controls=0).plain(),
        "rules": plain_rules(rules),
        "data": data_hash,
        "warm_up": [item.between(0, part.start).open_time.tolist()[:1] for item, part in
                    zip(candles, rows, strict=True)],
        "strategies": [repr(strategy) for strategy in strategies],
        "sources": dict(sources or {}),
        "fill_rule": FILL_RULE_VERSION,
    }  # fmt: skip
    events = tuple(blackouts) if request.rules == "fund" else ()
    if events:
        inputs["blackouts"] = [asdict(item) for item in events]
    return Prepared(
        request=request,
        strategies=strategies,
        rules=rules,
        market=market,
        candles=candles,
        rows=rows,
        coverage=coverage,
        data_hash=data_hash,
        inputs_hash=content_hash(inputs),
        trial_base=hash_trial_base(inputs, request=request, strategies=strategies, rules=rules),
        opposite_reach=reach,
        fine=fine,
        blackouts=events,
    )


def build(
    builders: Mapping[str, Builder],
    name: str,
    parameters: Mapping[str, object],
    *,
    opposite_reach: float | None = None,
) -> Strategy:
    """A strategy by name with checked parameters; raises :class:`InvalidInput` for a bad one.

    ``opposite_reach`` goes to a strategy that trades magnets, in place of its parameter.
    """
    if name not in builders:
        raise InvalidInput(
            f"there is no strategy {name!r}; known: {', '.join(sorted(builders))}",
            code="unknown_strategy",
        )
    builder = builders[name]
    values = read_parameters(builder, parameters)
    try:
        strategy = builder(**values)
    except InvalidInput:
        raise
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"parameters of {name}: {error}", code="bad_parameter") from None
    if opposite_reach is not None and isinstance(strategy, MagnetStrategy):
        return strategy.reading_opposite_within(opposite_reach)
    return strategy


def run_backtest(prepared: Prepared, *, columns: Columns | None = None) -> Backtest:
    """Signals, the kernel, the figures.  ``columns`` makes the signals of a strategy elsewhere."""
    from trading.domain.backtest.kernel.run import run_kernel

    signals = compute_slot_signals(prepared, columns=columns)
    raw = run_kernel(
        rules=prepared.rules, market=prepared.market, signals=signals, fine=prepared.fine
    )
    result = build_result(
        rules=prepared.rules,
        market=prepared.market,
        raw=raw,
        parameters={"request": prepared.request.plain()},
        # Where slices are finer, the hash of what was prepared covers them as well.
        data_hash=prepared.data_hash if prepared.fine is None else None,
    )
    return Backtest(prepared=prepared, result=result, signals=tuple(signals))


def find_engine_difference(prepared: Prepared, *, columns: Columns | None = None) -> str:
    """Run the readable engine beside the kernel; the first difference in words, empty for none.

    Every field of every trade, refusals, orders and events of the fuse must be the same, and equity
    within a billionth of its size.
    """
    from trading.domain.backtest.kernel.run import run_kernel
    from trading.domain.backtest.reference import find_difference, run_reference

    signals = compute_slot_signals(prepared, columns=columns)
    compiled, readable = (
        run(rules=prepared.rules, market=prepared.market, signals=signals, fine=prepared.fine)
        for run in (run_kernel, run_reference)
    )
    return find_difference(readable, compiled)


def compute_slot_signals(prepared: Prepared, *, columns: Columns | None = None) -> list[Signals]:
    """The signals of every slot, cut to the span.

    Raises :class:`InvalidInput` (``warm_up``) where no strategy ever finishes warming up.
    """
    make = columns or (
        lambda strategy, candles: compute_columns(strategy=strategy, candles=candles)
    )
    found, is_warm = [], False
    for slot in prepared.rules.slots:
        candles = prepared.candles[slot.instrument]
        rows = prepared.rows[slot.instrument]
        part = cut_rows(
            make(prepared.strategies[slot.strategy], candles.between(0, rows.stop)), rows
        )
        is_warm = is_warm or bool((~np.isin(part.reason, WAITING)).any())
        found.append(bar_entries(prepared.blackouts, candles.instrument, part))
    if not is_warm:
        raise InvalidInput(
            "the span is shorter than the warm-up of the strategy; begin it later or import "
            "earlier candles",
            code="warm_up",
        )
    return found


def cut_rows(signals: Signals, rows: slice) -> Signals:
    """The given rows of signals."""
    return Signals(**{name: getattr(signals, name)[rows] for name in Signals.__slots__})


def fit_candles(candles: Candles, request: BacktestRequest) -> Candles:
    """Candles of the request's timeframe and before its end, joined from shorter ones if need be.

    Raises :class:`InvalidInput`: ``no_candles``; ``wrong_timeframe`` where the rows stand further
    apart than their timeframe says (hours imported as minutes).
    """
    name = candles.instrument
    if not len(candles):
        raise InvalidInput(f"there are no candles of {name}; import them first", code="no_candles")
    check_spacing(candles)
    if candles.timeframe_ms != request.bar_ms:
        candles = resample(candles=candles, timeframe_ms=request.bar_ms)
    if request.end_ms is not None:
        candles = candles.between(0, int(np.searchsorted(candles.open_time, request.end_ms)))
    return candles


def _find_rows(candles: Candles, request: BacktestRequest) -> slice:
    first = 0
    if request.start_ms is not None:
        first = int(np.searchsorted(candles.open_time, request.start_ms))
    if len(candles) - first < 2:
        raise InvalidInput(
            f"there are no candles of {candles.instrument} in this span; import them first",
            code="no_candles",
        )
    return slice(first, len(candles))


def _build_rules(
    request: BacktestRequest,
    strategies: Sequence[Strategy],
    series: Mapping[str, InstrumentSeries],
    limits: LimitRules | None,
    fuse: FuseRules | None,
) -> EngineRules:
    policy = ResetPolicy.parse(request.reset_policy)
    instruments = []
    for name in request.instruments:
        rules = series[name].rules
        if request.fee_rate is not None:
            rules = replace(rules, taker_fee_rate=request.fee_rate)
        if request.slippage_rate is not None:
            rules = replace(
                rules,
                slippage_rate=request.slippage_rate,
                fuse_slippage_rate=max(rules.fuse_slippage_rate, request.slippage_rate),
            )
        instruments.append(rules)
    whole = EngineRules(
        instruments=tuple(instruments),
        slots=tuple(
            SlotRules(
                traits=strategy.traits,
                strategy=number,
                instrument=index,
                risk_share=sleeve.risk_share,
            )
            for number, (strategy, sleeve) in enumerate(
                zip(strategies, request.sleeves, strict=True)
            )
            for index in range(len(instruments))
        ),
        limits=limits or LimitRules(),
        fuse=replace(fuse or FuseRules(), reset_policy=policy),
        bar_ms=request.bar_ms,
        timeframe_ms=request.bar_ms,
        cash_opening=request.cash,
    )
    return bare_rules(whole) if request.rules == "bare" else whole


def _build_bars(
    candles: Candles,
    rows: slice,
    series: InstrumentSeries,
    rules: TradedInstrument,
    request: BacktestRequest,
) -> InstrumentBars:
    whole = build_instrument_bars(
        time_ms=candles.open_time,
        open_price=candles.open,
        high=candles.high,
        low=candles.low,
        close=candles.close,
        tick_size=rules.tick_size,
        funding_rate=funding_rates_of(candles.open_time, series, request.funding, request.bar_ms),
    )
    return InstrumentBars(**{name: getattr(whole, name)[rows] for name in InstrumentBars.__slots__})


def funding_rates_of(
    time_ms: NDArray[np.int64], series: InstrumentSeries, kind: str, bar_ms: int
) -> NDArray[np.float64]:
    """Funding charged at the open of each bar: the dated rate, else 0.01 % at an 8-hour stamp."""
    if kind == "none":
        return np.zeros(time_ms.size)
    none = FundingRates.none()
    dated = FundingRates(stamp_ms=series.funding_ms, rate=series.funding_rate)
    rates = dated if kind == "dated" else none
    return spread_funding(open_time=time_ms, bar_ms=bar_ms, rates=rates)


def day_words(instant_ms: int) -> str:
    """A day as 1 Oct 2017."""
    day = from_milliseconds(instant_ms)
    return f"{day.day} {day:%b %Y}"
