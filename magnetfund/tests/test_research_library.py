"""The library in a plain process: no Django, no settings, no database."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from magnetfund import research
from trading.tests.magnet_bars import make_random_bars

SCRIPT = """
import sys
from magnetfund import research

candles = research.load(sys.argv[1], instrument="BTC/USDT:USDT", tick=0.01, lot=0.001)
signals = research.signals("moving-average", candles)
run = research.backtest("moving-average", candles, parameters={"fast": 5, "slow": 20})
print(run.summary())
run.save_report(sys.argv[2])
sweep = research.sweep("moving-average", candles, {"fast": "5,10", "slow": "20:40:20"})
print(len(signals), len(run.trades), len(sweep.variants), "django" in sys.modules)
"""
ROOT = Path(__file__).resolve().parents[2]


def test_ten_lines_load_run_report_and_sweep_without_any_database(tmp_path: Path) -> None:
    bars = make_random_bars(count=4_000, seed=21)
    table = {"open_time": bars.open_time, "open": bars.open, "high": bars.high}
    table |= {"low": bars.low, "close": bars.close, "volume": bars.volume}
    path, report = tmp_path / "bars.parquet", tmp_path / "report.html"
    parquet.write_table(pa.table(table), path)
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(path), str(report)],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = done.stdout.split()[-4:]
    assert told[0] == "4000"
    assert int(told[1]) > 20
    assert told[2:] == ["4", "False"]
    assert report.read_text().startswith("<!doctype html>")


def test_a_market_names_the_bars_at_which_indicators_begin_anew(tmp_path: Path) -> None:
    bars = make_random_bars(count=400, seed=3)
    kept = np.r_[0:100, 103:200, 210:400]  # three bars lost, then ten
    table = {"open_time": bars.open_time[kept], "open": bars.open[kept], "high": bars.high[kept]}
    table |= {"low": bars.low[kept], "close": bars.close[kept], "volume": bars.volume[kept]}
    parquet.write_table(pa.table(table), tmp_path / "bars.parquet")
    market = research.load(
        str(tmp_path / "bars.parquet"), instrument="BTC/USDT:USDT", tick=0.1, lot=0.001
    )
    assert market.restarts == (0, 197)
    ema = research.indicators.over_segments(
        measure=lambda close: research.indicators.ema(values=close, length=20),
        restarts=market.restarts,
        close=market.candles.close,
    )
    assert np.isnan(ema[197:216]).all()
    assert not np.isnan(ema[216:]).any()
