"""What a run gave: raw from an engine, then measured.

Equity is in quote currency at each close of the market's grid.  Drawdowns are fractions <= 0 and
include the opening cash.  Rates of return are compounded; a year has 365 days (a 24/7 market).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from magnetfund.kernel.identifiers import content_hash
from risk.domain.ratios import (
    compute_equity_drawdowns,
    compute_growth_rate,
    compute_profit_factor,
    compute_sharpe,
    compute_sortino,
)
from trading.domain.backtest.market import MarketBars
from trading.domain.engine.book import CloseReason, Denial, FuseMove, RoundTrip, Trigger
from trading.domain.engine.rules import EngineRules, TradedInstrument
from trading.domain.strategies.signals import DAY_MS

FloatColumn = NDArray[np.float64]
IntColumn = NDArray[np.int64]

FILL_RULE_VERSION = "bars.1"
"""Changes whenever a fill, a fuse step or a rounding of the engine changes."""
AMBIGUOUS_SHARE_MAX = 0.05
"""Above this share of ambiguous trades, without finer data, a result is not certified."""
DAYS_A_YEAR = 365.0
"""A market that never closes."""
_YEAR_MS = 365 * DAY_MS
#: Why lots leave without slippage, and by the fuse's: as plain numbers, asked for each trade.
UNSLIPPED = frozenset({int(CloseReason.TARGET), int(CloseReason.LIQUIDATION)})
FUSED = frozenset({int(CloseReason.FUSE), int(CloseReason.FUSE_CUT)})


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenPosition:
    """What is still held after the last bar, at its mark; it is reported, not closed."""

    slot: int
    side: int
    lots: int
    entry_ticks: int
    entry_time: int
    mark_ticks: int
    open_profit: float
    leverage: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RawRun:
    """What an engine writes down.  ``refusals`` counts entry signals by :class:`Denial`."""

    equity: FloatColumn
    trades: tuple[RoundTrip, ...]
    fuse_events: tuple[FuseMove, ...]
    refusals: Mapping[int, int]
    orders: int
    open_positions: tuple[OpenPosition, ...]
    cash: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """Figures of a whole run.

    ``cagr`` and ``sharpe`` are annual (daily closes at 00:00 UTC, ddof 1, sqrt(365), no risk-free
    rate); NaN where undefined.  ``exposure`` is the share of bars with a position.
    ``profit_factor`` is infinite without a loss.
    """

    years: float
    total_return: float
    cagr: float
    volatility: float
    sharpe: float
    sortino: float
    drawdown_max: float
    trades: int
    trades_a_year: float
    win_rate: float
    profit_factor: float
    average_net: float
    average_r: float
    average_r_error: float
    average_r_gross: float
    fees: float
    funding: float
    exposure: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SleeveShare:
    """What one slot earned: its closed trades, its costs, and what is still open."""

    slot: int
    strategy_id: str
    symbol: str
    trades: int
    wins: int
    net: float
    fees: float
    funding: float
    open_profit: float
    average_r: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What must be known beside the figures (by code word where there are kinds)."""

    bars: int
    orders: int
    ambiguous_trades: int
    gaps: int
    liquidations: int
    refusals: Mapping[str, int]
    exits: Mapping[str, int]
    fuse: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class BacktestResult:
    """A finished run with everything needed to read, compare and repeat it.

    ``monthly`` maps "YYYY-MM" to the month's return.  ``is_certified`` is False when too many
    trades are ambiguous.  ``seeds`` names every source of randomness (empty: there is none).
    """

    time_ms: IntColumn
    equity: FloatColumn
    drawdown: FloatColumn
    trades: tuple[RoundTrip, ...]
    fuse_events: tuple[FuseMove, ...]
    open_positions: tuple[OpenPosition, ...]
    monthly: Mapping[str, float]
    metrics: Metrics
    counts: Counts
    sleeves: tuple[SleeveShare, ...]
    is_certified: bool
    data_hash: str
    parameters: Mapping[str, object]
    parameters_hash: str
    fill_rule_version: str
    seeds: Mapping[str, int]


def build_result(
    *,
    rules: EngineRules,
    market: MarketBars,
    raw: RawRun,
    parameters: Mapping[str, object] | None = None,
    seeds: Mapping[str, int] | None = None,
    data_hash: str | None = None,
) -> BacktestResult:
    """Measure a raw run.  ``parameters`` are those of the strategies, stored with the rules.

    ``data_hash`` is that of ``market`` where it is known.
    """
    drawdown = compute_equity_drawdowns(equity=raw.equity, start=rules.cash_opening)
    stored: dict[str, object] = {"rules": describe_rules(rules), **(parameters or {})}
    ambiguous = sum(trade.ambiguous for trade in raw.trades)
    return BacktestResult(
        time_ms=market.time_ms,
        equity=raw.equity,
        drawdown=drawdown,
        trades=raw.trades,
        fuse_events=raw.fuse_events,
        open_positions=raw.open_positions,
        monthly=compute_monthly_returns(market.time_ms, raw.equity, rules),
        metrics=measure_run(rules=rules, market=market, raw=raw),
        counts=_count(rules, market, raw),
        sleeves=_attribute(rules, raw),
        is_certified=ambiguous <= AMBIGUOUS_SHARE_MAX * max(1, len(raw.trades)),
        data_hash=data_hash or market.data_hash(),
        parameters=stored,
        parameters_hash=content_hash(stored),
        fill_rule_version=FILL_RULE_VERSION,
        seeds=dict(seeds or {}),
    )


def compute_daily_equity(time_ms: IntColumn, equity: FloatColumn, bar_ms: int) -> FloatColumn:
    """Equity at the last close of each UTC day (a close at 00:00 ends the day before)."""
    day = (time_ms + bar_ms - 1) // DAY_MS
    last = np.flatnonzero(np.append(np.diff(day) != 0, True))
    return equity[last]


def compute_returns(equity: FloatColumn, *, start: float) -> FloatColumn:
    """Returns between marks, the first from ``start``; -1 where everything is lost, then 0."""
    before = np.concatenate(([start], equity[:-1]))
    change = equity / np.where(before > 0, before, 1.0) - 1.0
    return np.where(before > 0, np.maximum(change, -1.0), 0.0)


def compute_annual_sharpe(returns: FloatColumn) -> float:
    """Annual Sharpe ratio of daily returns; NaN under two of them or where nothing moved."""
    if returns.size < 2:
        return math.nan
    ratio = compute_sharpe(returns=returns, periods_a_year=DAYS_A_YEAR)
    return math.nan if ratio is None else ratio


def compute_monthly_returns(
    time_ms: IntColumn, equity: FloatColumn, rules: EngineRules
) -> dict[str, float]:
    """Return of each calendar month (UTC) by "YYYY-MM", compounding to the whole."""
    month = (time_ms + rules.bar_ms - 1).astype("datetime64[ms]").astype("datetime64[M]")
    last = np.flatnonzero(np.append(month[1:] != month[:-1], True))
    ends = equity[last]
    starts = np.concatenate(([rules.cash_opening], ends[:-1]))
    with np.errstate(divide="ignore", invalid="ignore"):
        returns = np.where(starts > 0, ends / starts - 1.0, np.nan)
    return {str(name): float(value) for name, value in zip(month[last], returns, strict=True)}


def measure_run(*, rules: EngineRules, market: MarketBars, raw: RawRun) -> Metrics:
    """All figures of a run."""
    start, end = rules.cash_opening, float(raw.equity[-1])
    years = (int(market.time_ms[-1]) + rules.bar_ms - int(market.time_ms[0])) / _YEAR_MS
    daily = compute_daily_equity(market.time_ms, raw.equity, rules.bar_ms)
    returns = compute_returns(daily, start=start)
    spread = float(returns.std(ddof=1)) if returns.size > 1 else math.nan
    sortino = compute_sortino(returns=returns, periods_a_year=DAYS_A_YEAR)
    net = np.array([trade.net for trade in raw.trades])
    r = np.array([trade.r_multiple for trade in raw.trades])
    gross_r = np.array([_gross_r(rules, trade) for trade in raw.trades])
    factor = compute_profit_factor(results=net)
    count = len(raw.trades)
    return Metrics(
        years=years,
        total_return=end / start - 1.0,
        cagr=compute_growth_rate(growth=end / start, years=years),
        volatility=spread * math.sqrt(DAYS_A_YEAR),
        sharpe=compute_annual_sharpe(returns),
        sortino=math.nan if sortino is None else sortino,
        drawdown_max=float(compute_equity_drawdowns(equity=raw.equity, start=start).min()),
        trades=count,
        trades_a_year=count / years,
        win_rate=float((net > 0).mean()) if count else math.nan,
        profit_factor=factor if factor is not None else (math.inf if (net > 0).any() else math.nan),
        average_net=float(net.mean()) if count else math.nan,
        average_r=float(r.mean()) if count else math.nan,
        average_r_error=float(r.std(ddof=1) / math.sqrt(count)) if count > 1 else math.nan,
        average_r_gross=float(gross_r.mean()) if count else math.nan,
        fees=sum(trade.fees for trade in raw.trades),
        funding=sum(trade.funding for trade in raw.trades),
        exposure=_exposure(rules, market, raw),
    )


def compute_slipped_ticks(instrument: TradedInstrument, trade: RoundTrip) -> float:
    """What the assumed slippage of entry and last exit moved, in ticks of each lot."""
    at_exit = instrument.slippage_rate
    if trade.reason in UNSLIPPED:
        at_exit = 0.0
    elif trade.reason in FUSED:
        at_exit = instrument.fuse_slippage_rate
    return trade.entry_ticks * instrument.slippage_rate + trade.exit_ticks * at_exit


def _gross_r(rules: EngineRules, trade: RoundTrip) -> float:
    """R of the price moves alone: the slippage of entry and last exit taken out again."""
    instrument = rules.instruments[rules.slots[trade.slot].instrument]
    slipped = compute_slipped_ticks(instrument, trade)
    at_risk = abs(trade.decision_ticks - trade.stop_ticks) * trade.lots
    return (trade.ticks_lots + slipped * trade.lots) / at_risk if at_risk else 0.0


def _exposure(rules: EngineRules, market: MarketBars, raw: RawRun) -> float:
    """Share of bars in which anything was held."""
    held = mark_held(market.time_ms, raw.trades, raw.open_positions)
    return float(held.mean())


def mark_held(
    open_ms: IntColumn, trades: Sequence[RoundTrip], positions: Sequence[OpenPosition]
) -> NDArray[np.bool_]:
    """Whether anything was held during each bar of a grid of open times."""
    steps = np.zeros(open_ms.size + 1, dtype=np.int64)
    entries = [trade.entry_time for trade in trades] + [item.entry_time for item in positions]
    exits = [trade.exit_time for trade in trades]
    np.add.at(steps, find_rows(open_ms, entries), 1)
    np.add.at(steps, find_rows(open_ms, exits) + 1, -1)
    return np.asarray(np.cumsum(steps)[:-1] > 0)


def find_rows(open_ms: IntColumn, instants_ms: Sequence[int]) -> IntColumn:
    """The bars in which instants lie."""
    stamps = np.array(instants_ms, dtype=np.int64)
    return np.searchsorted(open_ms, stamps, side="right").astype(np.int64) - 1


def find_row(open_ms: IntColumn, instant_ms: int) -> int:
    """The bar in which an instant lies."""
    return int(np.searchsorted(open_ms, instant_ms, side="right")) - 1


def _count(rules: EngineRules, market: MarketBars, raw: RawRun) -> Counts:
    reasons = Counter(trade.reason for trade in raw.trades)
    triggers = Counter(event.trigger for event in raw.fuse_events)
    gaps = sum(int((np.diff(bars.time_ms) > rules.bar_ms).sum()) for bars in market.instruments)
    return Counts(
        bars=len(market),
        orders=raw.orders,
        ambiguous_trades=sum(trade.ambiguous for trade in raw.trades),
        gaps=gaps,
        liquidations=reasons[CloseReason.LIQUIDATION],
        refusals={Denial(number).code: count for number, count in raw.refusals.items()},
        exits={CloseReason(number).code: count for number, count in reasons.items()},
        fuse={Trigger(number).code: count for number, count in triggers.items()},
    )


def _attribute(rules: EngineRules, raw: RawRun) -> tuple[SleeveShare, ...]:
    shares = []
    for index, slot in enumerate(rules.slots):
        trades = [trade for trade in raw.trades if trade.slot == index]
        held = [position for position in raw.open_positions if position.slot == index]
        shares.append(
            SleeveShare(
                slot=index,
                strategy_id=slot.traits.strategy_id,
                symbol=rules.instruments[slot.instrument].symbol,
                trades=len(trades),
                wins=sum(trade.net > 0 for trade in trades),
                net=sum(trade.net for trade in trades),
                fees=sum(trade.fees for trade in trades),
                funding=sum(trade.funding for trade in trades),
                open_profit=sum(position.open_profit for position in held),
                average_r=_mean([trade.r_multiple for trade in trades]),
            )
        )
    return tuple(shares)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.nan


def describe_rules(rules: EngineRules) -> dict[str, object]:
    """The rules of a run as plain data, for its record."""
    from dataclasses import asdict

    return asdict(rules)
