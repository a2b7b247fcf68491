"""The figures of a finished backtest as plain data: what pages, files and the API show.

Shares and returns are fractions, money is quote currency, times are milliseconds UTC, what is not
defined is None.  Series are thinned so that no extreme of a stretch is lost (the lowest equity and
the deepest fall of each bucket are kept).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

from risk.domain.ratios import (
    compute_equity_drawdowns,
    compute_growth_rate,
    compute_rolling_sharpe,
    compute_sharpe_facts,
)
from trading.domain.backtest.market import MarketBars
from trading.domain.backtest.result import (
    DAYS_A_YEAR,
    BacktestResult,
    compute_annual_sharpe,
    compute_daily_equity,
    compute_returns,
    compute_slipped_ticks,
    find_rows,
    mark_held,
)
from trading.domain.engine.book import CloseReason, RoundTrip
from trading.domain.engine.rules import EngineRules
from trading.domain.research.run import Backtest
from trading.domain.research.statements import state_assumptions
from trading.domain.research.trade_charts import build_trade_charts, list_excursions
from trading.domain.research.trials import TrialFacts
from trading.domain.strategies.signals import DAY_MS

POINTS_MAX = 900
ROLLING_DAYS = 180
#: Above every price in ticks.
NO_LOW = 2**62
#: The word of each reason, which an enumeration would be asked for at each trade.
CODES = {reason.value: reason.code for reason in CloseReason}
R_EDGES = tuple(round(-3.0 + 0.5 * step, 1) for step in range(19))
FloatColumn = NDArray[np.float64]


def build_figures(backtest: Backtest) -> dict[str, Any]:
    """Everything that is shown of a run, JSON-ready."""
    result, prepared = backtest.result, backtest.prepared
    rules, market = prepared.rules, prepared.market
    daily = compute_daily_equity(result.time_ms, result.equity, rules.bar_ms)
    held = compute_held(result, market)
    hold = compute_buy_and_hold(rules, market)
    rows = describe_trades(result.trades, rules, prepared.executed)
    figures: dict[str, Any] = {
        "metrics": asdict(result.metrics),
        "counts": asdict(result.counts),
        "periods": _split_periods(backtest, hold),
        "series": thin_series(result, hold, held),
        "rolling": _roll(result, daily, held, rules),
        "months": tabulate_months(result.monthly),
        "costs": split_costs(rows),
        "sleeves": _by_side(rows),
        "r_histogram": _histogram([row["r"] for row in rows]),
        "excursions": _summarise_excursions(rows),
        "excursion_points": list_excursions(rows),
        "trade_charts": build_trade_charts(backtest),
        "durations": _summarise_durations(rows),
        "exits": result.counts.exits,
        "refusals": result.counts.refusals,
        "fuse": result.counts.fuse,
        "open_positions": [asdict(position) for position in result.open_positions],
        "last_trades": rows[-50:][::-1],
        "ambiguous_share": result.counts.ambiguous_trades / len(rows) if rows else None,
        "is_certified": result.is_certified,
        "final_equity": float(result.equity[-1]),
        "coverage": [{**asdict(item), "missing_share": item.missing_share}
                     for item in prepared.coverage],
        "resolution": prepared.request.resolution,
        "assumptions": state_assumptions(backtest),
        "data_hash": prepared.data_hash,
        "inputs_hash": prepared.inputs_hash,
        "fill_rule_version": result.fill_rule_version,
        "seeds": dict(result.seeds),
    }  # fmt: skip
    cleaned: dict[str, Any] = clean(figures)
    return cleaned


def compute_trial_facts(result: BacktestResult, rules: EngineRules) -> TrialFacts | None:
    """Daily Sharpe and its moments; None where equity never moved."""
    returns = compute_daily_returns(result, rules)
    facts = compute_sharpe_facts(returns=returns) if returns.size > 2 else None
    if facts is None:
        return None
    return TrialFacts(
        sharpe=facts.sharpe, days=facts.periods, skewness=facts.skewness, kurtosis=facts.kurtosis
    )


def compute_daily_returns(result: BacktestResult, rules: EngineRules) -> FloatColumn:
    """Returns between the closes of UTC days, the first from the opening cash."""
    daily = compute_daily_equity(result.time_ms, result.equity, rules.bar_ms)
    return compute_returns(daily, start=rules.cash_opening)


def compute_held(result: BacktestResult, market: MarketBars) -> NDArray[np.bool_]:
    """Whether anything was held during each bar of the grid."""
    return mark_held(market.time_ms, result.trades, result.open_positions)


def compute_buy_and_hold(rules: EngineRules, market: MarketBars) -> FloatColumn:
    """Equity of the opening cash put into all instruments in equal parts, and left there.

    One taker fee and one slippage at the start, no funding; an instrument that is listed later is
    cash until then.
    """
    part = rules.cash_opening / len(market.instruments)
    total = np.zeros(len(market))
    for index, (bars, instrument) in enumerate(
        zip(market.instruments, rules.instruments, strict=True)
    ):
        rows = market.rows[index]
        known = np.maximum.accumulate(rows)
        cost = 1.0 + instrument.taker_fee_rate + instrument.slippage_rate
        bought = part / (float(bars.open[0]) * cost)
        close = bars.close[np.maximum(known, 0)].astype(np.float64)
        total += np.where(known >= 0, bought * close, part)
    return total


def describe_trades(
    trades: Sequence[RoundTrip], rules: EngineRules, market: MarketBars
) -> list[dict[str, Any]]:
    """Round trips as rows: prices in quote currency, R, excursions in R, costs, why.

    ``market`` holds the bars on which orders executed.
    """
    reached = _find_extremes(trades, rules, market)
    return [
        _describe_trade(trade, rules, high, low)
        for trade, (high, low) in zip(trades, reached, strict=True)
    ]


def _find_extremes(
    trades: Sequence[RoundTrip], rules: EngineRules, market: MarketBars
) -> list[tuple[int, int]]:
    """Highest and lowest tick of each trade, its entry among them."""
    found = [(trade.entry_ticks, trade.entry_ticks) for trade in trades]
    for number, bars in enumerate(market.instruments):
        own = [k for k, item in enumerate(trades) if rules.slots[item.slot].instrument == number]
        if not own:
            continue
        first = np.searchsorted(bars.time_ms, [trades[k].entry_time for k in own])
        stop = find_rows(bars.time_ms, [trades[k].exit_time for k in own]) + 1
        edges = np.column_stack((first, stop)).ravel()
        # One row more, so that a trade on the last bar has an end.
        high = np.maximum.reduceat(np.append(bars.high, 0), edges)[::2].tolist()
        low = np.minimum.reduceat(np.append(bars.low, NO_LOW), edges)[::2].tolist()
        for k, top, bottom, has_bars in zip(own, high, low, (stop > first).tolist(), strict=True):
            if has_bars:
                entry = trades[k].entry_ticks
                found[k] = max(top, entry), min(bottom, entry)
    return found


def _describe_trade(trade: RoundTrip, rules: EngineRules, high: int, low: int) -> dict[str, Any]:
    slot = rules.slots[trade.slot]
    instrument = rules.instruments[slot.instrument]
    tick = instrument.tick_size
    best, worst = (high, low) if trade.side > 0 else (low, high)
    at_risk = abs(trade.decision_ticks - trade.stop_ticks) or 1
    return {
        "strategy": slot.traits.strategy_id,
        "instrument": instrument.symbol,
        "side": "long" if trade.side > 0 else "short",
        "entry_ms": trade.entry_time,
        "exit_ms": trade.exit_time,
        "entry": trade.entry_ticks * tick,
        "exit": trade.exit_ticks * tick,
        "stop": trade.stop_ticks * tick,
        "target": trade.target_ticks * tick if trade.target_ticks else None,
        "quantity": trade.lots * instrument.lot_size,
        "leverage": trade.leverage,
        "tier": trade.tier,
        "r": trade.r_multiple,
        "mae_r": (worst - trade.entry_ticks) * trade.side / at_risk,
        "mfe_r": (best - trade.entry_ticks) * trade.side / at_risk,
        "fees": trade.fees,
        "slippage": compute_slipped_ticks(instrument, trade) * trade.lots * instrument.tick_value,
        "funding": trade.funding,
        "net": trade.net,
        "reason": CODES[trade.reason],
        "is_ambiguous": trade.ambiguous,
        "cuts": trade.cuts,
        "equity_at_entry": trade.equity_at_entry,
    }


def split_costs(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Where the money went: price moves before costs, then each cost (negative), then the net."""
    fees = -sum(row["fees"] for row in rows)
    slippage = -sum(row["slippage"] for row in rows)
    funding = sum(row["funding"] for row in rows)
    net = sum(row["net"] for row in rows)
    return {
        "before": net - fees - slippage - funding,
        "fees": fees,
        "slippage": slippage,
        "funding": funding,
        "net": net,
    }


def tabulate_months(monthly: Mapping[str, float]) -> list[dict[str, Any]]:
    """Years from the newest: twelve returns (None outside the run) and the year's own."""
    years: dict[str, list[float | None]] = {}
    for name, value in monthly.items():
        year, month = name.split("-")
        years.setdefault(year, [None] * 12)[int(month) - 1] = value
    return [
        {
            "year": year,
            "months": months,
            "whole": math.prod(1.0 + value for value in months if value is not None) - 1.0,
        }
        for year, months in sorted(years.items(), reverse=True)
    ]


def thin_series(
    result: BacktestResult, hold: FloatColumn, held: NDArray[np.bool_]
) -> dict[str, list[float]]:
    """At most ``POINTS_MAX`` points: equity and buy-and-hold at each end, the deepest fall within.

    ``t`` is in seconds, as the charts take it.
    """
    size = result.equity.size
    edges = np.unique(np.linspace(0, size, min(size, POINTS_MAX) + 1).astype(np.int64))
    starts, last = edges[:-1], edges[1:] - 1
    return {
        "t": (result.time_ms[last] // 1000).tolist(),
        "equity": np.round(result.equity[last], 2).tolist(),
        "drawdown": np.round(np.minimum.reduceat(result.drawdown, starts), 6).tolist(),
        "hold": np.round(hold[last], 2).tolist(),
        "exposure": np.round(np.add.reduceat(held, starts) / np.diff(edges), 4).tolist(),
    }


def _roll(
    result: BacktestResult, daily: FloatColumn, held: NDArray[np.bool_], rules: EngineRules
) -> dict[str, list[float | None]]:
    """Sharpe and exposure over the last 180 days at each day's close, thinned."""
    returns = compute_returns(daily, start=rules.cash_opening)
    if returns.size <= ROLLING_DAYS:
        return {"t": [], "sharpe": [], "exposure": []}
    rolled = compute_rolling_sharpe(
        returns=returns, window=ROLLING_DAYS, periods_a_year=DAYS_A_YEAR
    )
    sharpe = np.nan_to_num(rolled[ROLLING_DAYS - 1 :])
    day = (result.time_ms + rules.bar_ms - 1) // DAY_MS
    ends = np.flatnonzero(np.append(np.diff(day) != 0, True))
    counts = np.cumsum(np.concatenate(([0], held)))
    first = np.concatenate(([0], ends[:-1] + 1))[: ends.size - ROLLING_DAYS + 1]
    stop = ends[ROLLING_DAYS - 1 :] + 1
    exposure = (counts[stop] - counts[first]) / (stop - first)
    step = max(1, sharpe.size // (POINTS_MAX // 2))
    return {
        "t": (result.time_ms[ends[ROLLING_DAYS - 1 :]] // 1000)[::step].tolist(),
        "sharpe": np.round(sharpe, 3)[::step].tolist(),
        "exposure": np.round(exposure, 4)[::step].tolist(),
    }


def _split_periods(backtest: Backtest, hold: FloatColumn) -> list[dict[str, Any]]:
    """The whole span, and seen beside unseen where the request says where unseen data begin."""
    result, request = backtest.result, backtest.prepared.request
    rules = backtest.prepared.rules
    spans = [("whole", 0, result.equity.size)]
    if request.unseen_ms is not None:
        cut = int(np.searchsorted(result.time_ms, request.unseen_ms))
        if 1 < cut < result.equity.size - 1:
            spans += [("seen", 0, cut), ("unseen", cut, result.equity.size)]
    found = []
    for name, first, stop in spans:
        start = float(result.equity[first - 1]) if first else rules.cash_opening
        start_hold = float(hold[first - 1]) if first else rules.cash_opening
        times = result.time_ms[first:stop]
        years = (int(times[-1]) + rules.bar_ms - int(times[0])) / (DAYS_A_YEAR * DAY_MS)
        mine, theirs = (
            _measure_equity(
                compute_daily_equity(times, column[first:stop], rules.bar_ms), base, years
            )
            for column, base in ((result.equity, start), (hold, start_hold))
        )
        found.append(
            {
                "name": name,
                "first_ms": int(times[0]),
                "last_ms": int(times[-1]) + rules.bar_ms,
                "run": mine,
                "hold": theirs,
                "trades": sum(
                    int(times[0]) <= t.exit_time < int(times[-1]) + rules.bar_ms
                    for t in result.trades
                ),
            }
        )
    return found


def _measure_equity(equity: FloatColumn, start: float, years: float) -> dict[str, float]:
    """Return, annual return, Sharpe and deepest fall of daily marks."""
    end = float(equity[-1])
    return {
        "total_return": end / start - 1.0,
        "cagr": compute_growth_rate(growth=end / start, years=years),
        "sharpe": compute_annual_sharpe(compute_returns(equity, start=start)),
        "drawdown_max": float(compute_equity_drawdowns(equity=equity, start=start).min()),
    }


def _by_side(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    groups: dict[tuple[str, str, str], list[Mapping[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["strategy"], row["instrument"], row["side"]), []).append(row)
    return [
        {
            "strategy": key[0],
            "instrument": key[1],
            "side": key[2],
            "trades": len(group),
            "wins": sum(row["net"] > 0 for row in group),
            "win_rate": sum(row["net"] > 0 for row in group) / len(group),
            "average_r": sum(row["r"] for row in group) / len(group),
            "net": sum(row["net"] for row in group),
        }
        for key, group in sorted(groups.items())
    ]


def _histogram(values: Sequence[float]) -> list[dict[str, Any]]:
    """Trades by R in half steps from -3 to 6, the ends open."""
    inner = np.clip(np.array(values, dtype=np.float64), R_EDGES[0], R_EDGES[-1] - 1e-9)
    counts, _ = np.histogram(inner, bins=np.array(R_EDGES))
    return [
        {"low": low, "high": high, "trades": int(count)}
        for low, high, count in zip(R_EDGES[:-1], R_EDGES[1:], counts, strict=True)
    ]


def _quartiles(values: Sequence[float]) -> dict[str, float]:
    if not values:
        return {"low": math.nan, "middle": math.nan, "high": math.nan}
    low, middle, high = np.percentile(np.array(values), (25, 50, 75)).tolist()
    return {"low": low, "middle": middle, "high": high}


def _summarise_excursions(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Quartiles in R: how far winners went against us, how far losers went our way."""
    won = [row for row in rows if row["net"] > 0]
    lost = [row for row in rows if row["net"] <= 0]
    return {
        "winners_mae": _quartiles([row["mae_r"] for row in won]),
        "winners_mfe": _quartiles([row["mfe_r"] for row in won]),
        "losers_mae": _quartiles([row["mae_r"] for row in lost]),
        "losers_mfe": _quartiles([row["mfe_r"] for row in lost]),
    }


def _summarise_durations(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Quartiles of the hours that a trade lasted."""
    hours = [((row["exit_ms"] - row["entry_ms"]) / 3_600_000, row["net"] > 0) for row in rows]
    return {
        "winners": _quartiles([length for length, won in hours if won]),
        "losers": _quartiles([length for length, won in hours if not won]),
    }


#: Kinds that JSON takes as they are.
PLAIN = frozenset({int, str, bool, type(None)})


def clean(value: Any) -> Any:
    """The value with what is no finite number as None, ready for JSON."""
    kind = type(value)
    if kind is float:
        return value if isfinite(value) else None
    if kind is int or kind is str or value is None:
        return value
    if kind is dict:
        # Rows and series are most of it: what is plain passes without a call for each value.
        return {
            str(key): item
            if (sort := type(item)) in PLAIN or (sort is float and isfinite(item))
            else clean(item)
            for key, item in value.items()
        }
    if kind is list:
        return [
            item
            if (sort := type(item)) in PLAIN or (sort is float and isfinite(item))
            else clean(item)
            for item in value
        ]
    if isinstance(value, float):
        return value if isfinite(value) else None
    if isinstance(value, (str, int)):
        return value
    if isinstance(value, (list, tuple)):
        return [clean(item) for item in value]
    if isinstance(value, np.generic):
        return clean(value.item())
    if isinstance(value, Mapping):
        return {str(key): clean(item) for key, item in value.items()}
    return value
