"""The library in a plain process: no Django, no settings, no database."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pyarrow as pa
from pyarrow import parquet

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
