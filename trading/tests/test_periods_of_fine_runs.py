"""Seen and unseen trades of a run that executes on shorter bars are all of its trades."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from trading.domain.engine.rules import TradedInstrument
from trading.domain.market import HOUR_MS, MINUTE_MS, resample
from trading.domain.research.coverage import InstrumentSeries
from trading.domain.research.figures import build_figures
from trading.domain.research.request import BacktestRequest, SleeveRequest
from trading.domain.research.run import Backtest, prepare, run_backtest
from trading.domain.strategies.registry import STRATEGIES
from trading.tests.magnet_bars import make_random_bars

NAME, QUARTER_MS = "BTC/USDT:USDT", 15 * MINUTE_MS


def run(unseen_ms: int | None = None) -> Backtest:
    bars = make_random_bars(count=12_000, seed=11)
    quarters = replace(
        bars,
        instrument=NAME,
        timeframe_ms=QUARTER_MS,
        open_time=bars.open_time[0] + QUARTER_MS * np.arange(len(bars), dtype=np.int64),
    )
    sleeve = SleeveRequest(strategy="moving-average", parameters={"fast": 5, "slow": 20})
    request = BacktestRequest(
        sleeves=(sleeve,), instruments=(NAME,), resolution="15m", unseen_ms=unseen_ms
    )
    nothing = np.empty(0)
    series = InstrumentSeries(
        rules=TradedInstrument(symbol=NAME, tick_size=0.01, lot_size=0.001),
        candles=resample(candles=quarters, timeframe_ms=HOUR_MS),
        funding_ms=nothing.astype(np.int64),
        funding_rate=nothing,
        shorter=quarters,
    )
    return run_backtest(prepare(request=request, series={NAME: series}, builders=STRATEGIES))


@pytest.mark.slow
def test_a_trade_that_ends_within_the_last_seen_bar_is_a_seen_one():
    inner = [t.exit_time for t in run().result.trades if t.exit_time % HOUR_MS]
    ended = inner[len(inner) // 2]
    done = run(unseen_ms=ended // HOUR_MS * HOUR_MS + HOUR_MS)
    told = {row["name"]: row["trades"] for row in build_figures(done)["periods"]}
    earlier = sum(t.exit_time <= ended for t in done.result.trades)
    count = len(done.result.trades)
    assert told == {"whole": count, "seen": earlier, "unseen": count - earlier}
