"""A request on candles: refusals, equal hashes, costs that add up, and the readable engine."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from magnetfund.kernel.errors import InvalidInput
from trading.domain.backtest.reference import run_reference
from trading.domain.engine.rules import TradedInstrument
from trading.domain.market import Candles
from trading.domain.market.candles import MINUTE_MS
from trading.domain.research.coverage import InstrumentSeries
from trading.domain.research.drawing import draw_excursions, draw_trade
from trading.domain.research.figures import build_figures, describe_trades
from trading.domain.research.report import build_report
from trading.domain.research.request import BacktestRequest, SleeveRequest, request_of
from trading.domain.research.run import (
    Prepared,
    compute_slot_signals,
    funding_rates_of,
    prepare,
    run_backtest,
)
from trading.domain.research.trade_charts import BARS_MAX, BEST, NEWEST, WORST, join_bars
from trading.domain.strategies.registry import STRATEGIES
from trading.tests.magnet_bars import make_random_bars, without_bars

NAME = "BTC/USDT:USDT"
HOUR_MS, DAY_MS = 3_600_000, 86_400_000


@pytest.fixture(scope="module")
def bars() -> Candles:
    return replace(make_random_bars(count=4_000, seed=11), instrument=NAME)


def series_of(candles: Candles, **funding: object) -> InstrumentSeries:
    return InstrumentSeries(
        rules=TradedInstrument(symbol=NAME, tick_size=0.01, lot_size=0.001),
        candles=candles,
        funding_ms=np.array(list(funding.get("at", [])), dtype=np.int64),  # type: ignore[call-overload]
        funding_rate=np.array(list(funding.get("rate", [])), dtype=np.float64),  # type: ignore[call-overload]
    )


def ready(candles: Candles, strategy: str = "moving-average", **options: object) -> Prepared:
    parameters = options.pop("parameters", {"fast": 5, "slow": 20})
    request = BacktestRequest(
        sleeves=(SleeveRequest(strategy=strategy, parameters=parameters),),  # type: ignore[arg-type]
        instruments=(NAME,),
        **options,  # type: ignore[arg-type]
    )
    return prepare(request=request, series={NAME: series_of(candles)}, builders=STRATEGIES)


def code_of(work: object) -> str:
    with pytest.raises(InvalidInput) as caught:
        work()  # type: ignore[operator]
    return caught.value.code


@pytest.mark.slow
def test_equal_inputs_give_an_equal_hash_and_result_and_others_do_not(bars: Candles) -> None:
    first, again = ready(bars), ready(bars)
    assert first.inputs_hash == again.inputs_hash
    assert build_figures(run_backtest(first)) == build_figures(run_backtest(again))
    changed = replace(bars, close=bars.close.copy())
    changed.close[2_000] = (changed.close[2_000] + changed.open[2_000]) / 2
    others = [
        ready(changed),
        ready(bars, cash=1e5),
        ready(bars, parameters={"fast": 6, "slow": 20}),
    ]
    hashes = {item.inputs_hash for item in [first, *others]}
    assert len(hashes) == 4


def test_a_request_survives_being_stored(bars: Candles) -> None:
    request = ready(bars, unseen_ms=int(bars.open_time[3_000])).request
    assert request_of(json.loads(json.dumps(request.plain()))) == request


@pytest.mark.slow
def test_the_readable_engine_gives_the_same_trades(bars: Candles) -> None:
    prepared = ready(bars)
    done = run_backtest(prepared)
    raw = run_reference(
        rules=prepared.rules, market=prepared.market, signals=compute_slot_signals(prepared)
    )
    assert done.result.trades == raw.trades
    assert len(raw.trades) > 20


@pytest.mark.slow
def test_the_split_of_costs_adds_up_to_the_cash(bars: Candles) -> None:
    done = run_backtest(ready(bars, rules="bare"))
    figures = build_figures(done)
    costs = figures["costs"]
    assert math.isclose(
        costs["before"] + costs["fees"] + costs["slippage"] + costs["funding"], costs["net"]
    )
    open_profit = sum(p["open_profit"] for p in figures["open_positions"])
    if not done.result.open_positions:
        assert math.isclose(430_000.0 + costs["net"], figures["final_equity"], rel_tol=1e-9)
    assert costs["fees"] < 0 > costs["slippage"]
    assert open_profit == sum(p.open_profit for p in done.result.open_positions)


@pytest.mark.slow
def test_months_compound_to_the_whole_and_excursions_hold_the_exit(bars: Candles) -> None:
    done = run_backtest(ready(bars))
    figures = build_figures(done)
    whole = math.prod(
        1.0 + v for year in figures["months"] for v in year["months"] if v is not None
    )
    assert math.isclose(whole - 1.0, figures["metrics"]["total_return"], rel_tol=1e-9)
    for row in describe_trades(done.result.trades, done.prepared.rules, done.prepared.market):
        assert row["mae_r"] <= 0 <= row["mfe_r"]


@pytest.mark.slow
def test_history_before_the_span_warms_up_and_the_span_alone_trades(bars: Candles) -> None:
    start = int(bars.open_time[2_000])
    done = run_backtest(ready(bars, start_ms=start))
    assert min(trade.entry_time for trade in done.result.trades) >= start
    whole = compute_slot_signals(ready(bars))[0].direction[2_000:]
    np.testing.assert_array_equal(compute_slot_signals(done.prepared)[0].direction, whole)


@pytest.mark.parametrize(
    ("code", "options"),
    [
        ("unknown_strategy", {"strategy": "no-such"}),
        ("unknown_parameter", {"parameters": {"fats": 5}}),
        ("out_of_bounds", {"parameters": {"fast": 0}}),
        ("bad_parameter", {"parameters": {"fast": "ten"}}),
        ("bad_parameter", {"parameters": {"fast": 30, "slow": 20}}),
        ("bad_timeframe", {"timeframe": "4h"}),
        ("no_candles", {"start_ms": 4_102_444_800_000}),
        ("out_of_bounds", {"cash": 1.0}),
        ("bad_rules", {"rules": "lucky"}),
        ("bad_span", {"start_ms": 10 * DAY_MS, "end_ms": 9 * DAY_MS}),
    ],
)
def test_what_cannot_be_run_is_refused(
    bars: Candles, code: str, options: dict[str, object]
) -> None:
    assert code_of(lambda: ready(bars, **options)) == code  # type: ignore[arg-type]


@pytest.mark.slow
def test_holes_and_short_spans_and_hours_named_minutes_are_refused(bars: Candles) -> None:
    holed = without_bars(bars, list(range(1_000, 1_100)))
    assert code_of(lambda: ready(holed)) == "too_many_gaps"
    assert ready(holed, gap_share_max=0.05).coverage[0].missing == 100
    short = bars.between(0, 60)
    assert code_of(lambda: run_backtest(ready(short, parameters={}))) == "warm_up"
    minutes = replace(bars, timeframe_ms=MINUTE_MS)
    assert code_of(lambda: ready(minutes)) == "wrong_timeframe"


def test_dated_funding_falls_on_its_bar_and_the_default_elsewhere(bars: Candles) -> None:
    times = np.arange(0, 48 * HOUR_MS, HOUR_MS, dtype=np.int64)
    stored = series_of(bars, at=[8 * HOUR_MS, 20 * HOUR_MS + 1], rate=[0.0005, -0.0002])
    rate = funding_rates_of(times, stored, "dated", HOUR_MS)
    assert rate[8] == 0.0005
    assert rate[20] == -0.0002
    assert rate[16] == rate[0] == 0.0001
    assert rate[1] == 0.0
    assert funding_rates_of(times, stored, "none", HOUR_MS).sum() == 0.0
    days = np.arange(0, 2 * DAY_MS, DAY_MS, dtype=np.int64)
    # A daily bar holds three stamps: its open and the two inside it.
    assert funding_rates_of(days, stored, "default", DAY_MS).tolist() == pytest.approx([0.0003] * 2)


@pytest.mark.slow
def test_the_report_is_one_page_without_script_or_foreign_address(bars: Candles) -> None:
    done = run_backtest(ready(bars))
    rows = describe_trades(done.result.trades, done.prepared.rules, done.prepared.market)
    text = build_report(
        title="<b>own</b>", subtitle="", figures=build_figures(done), trades=rows * 300
    )
    assert "<b>own</b>" not in text
    assert "&lt;b&gt;own" in text
    assert "<script" not in text
    assert "http" not in text
    assert len(text.encode()) <= 2_000_000
    assert text.count("<tr><td>") <= 3_000


@pytest.mark.slow
def test_a_trade_stands_on_its_candles_with_its_levels_and_its_reason(bars: Candles) -> None:
    found = run_backtest(ready(bars, strategy="magnet", parameters={}))
    figures = build_figures(found)
    charts = figures["trade_charts"]
    assert 0 < len(charts) <= NEWEST + BEST + WORST
    rows = {
        row["entry_ms"]: row
        for row in describe_trades(found.result.trades, found.prepared.rules, found.prepared.market)
    }
    signals = compute_slot_signals(found.prepared)[0]
    assert charts[0]["title"] == "Best"
    assert charts[0]["r"] == max(row["r"] for row in rows.values())
    for chart in charts:
        row, candles = rows[chart["entry_ms"]], chart["candles"]
        assert {name: chart[name] for name in ("entry", "exit", "stop", "target")} == {
            name: row[name] for name in ("entry", "exit", "stop", "target")
        }
        assert len(candles["t"]) <= BARS_MAX
        assert candles["t"][0] <= chart["entry_ms"] <= chart["exit_ms"]
        assert max(candles["high"]) >= row["entry"] >= min(candles["low"])
        at = int(np.searchsorted(bars.open_time, chart["entry_ms"]))
        assert chart["zone"] == signals.target_zone_price[at - 1]
        assert "strength" in chart["why"]
    plot = draw_trade(charts[0])
    assert plot.count("<svg") == plot.count("</svg>") == 1
    assert all(name in plot for name in ("r-stop", "r-entry", "r-held", "r-exit"))
    assert "nan" not in plot
    dots = draw_excursions(figures["excursion_points"])
    assert dots.count("<circle") == len(found.result.trades)
    assert draw_excursions([]) == ""


def test_joined_candles_keep_every_extreme(bars: Candles) -> None:
    (market,) = ready(bars).market.instruments
    joined = join_bars(market, 100, 1_000, 0.01)
    assert len(joined["t"]) <= BARS_MAX
    assert max(joined["high"]) == pytest.approx(market.high[100:1_000].max() * 0.01)
    assert min(joined["low"]) == pytest.approx(market.low[100:1_000].min() * 0.01)
    assert joined["close"][-1] == pytest.approx(market.close[999] * 0.01)
