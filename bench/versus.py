"""The kernel beside vectorbt, backtesting.py and raptorbt, timed in one process on equal candles.

Run as ``python -m bench.versus``.  The peers are installed once into ``.bench-venv`` (the
project's own environment stays as locked), and the whole comparison runs there.  Without that
environment and without a network there is nothing to compare, and the bench says so.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from bench.data import BTC_FILE, ROOT, load_tick_candles, make_tick_candles
from bench.timing import Row, Skip, best_seconds, print_rows

ENVIRONMENT = ROOT / ".bench-venv"
PEERS = ("vectorbt", "backtesting", "raptorbt", "numba", "numpy", "pandas", "pyarrow")
LOT_SIZE, CASH = 1e-5, 10_000.0
INSTALL_SECONDS_MAX = 600


def run() -> list[Row]:
    """The rows of this bench; raises :class:`Skip` where the peers cannot be had."""
    python = prepare_environment(ENVIRONMENT)
    told = subprocess.run(
        [python, "-m", "bench.versus", "--here"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if told.returncode:
        raise Skip(f"the peers failed: {told.stderr.strip().splitlines()[-1:]}")
    return [tuple(row) for row in json.loads(told.stdout.splitlines()[-1])]


def prepare_environment(folder: Path) -> str:
    """The Python of an environment that has the peers, made on the first run."""
    python = str(folder / "bin" / "python")
    if not Path(python).exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    probe = [python, "-c", "import vectorbt, backtesting, raptorbt"]
    if subprocess.run(probe, capture_output=True, check=False).returncode == 0:
        return python
    try:
        subprocess.run(
            [python, "-m", "pip", "install", "-q", *PEERS],
            check=True,
            capture_output=True,
            timeout=INSTALL_SECONDS_MAX,
        )
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        raise Skip(f"the peers cannot be installed here: {error}") from None
    return python


def measure() -> list[Row]:
    """All engines over the same bars; peers must be importable."""
    from bench.moving_average import (
        MovingAverageParameters,
        build_tick_candles,
        run_moving_average,
        sweep_moving_average,
    )
    from bench.peers import run_backtesting, run_raptorbt, run_vectorbt, sweep_vectorbt
    from bench.sweep import COMBINATIONS

    candles = load_tick_candles(BTC_FILE, tick_size=0.01)
    if candles is None:
        candles = make_tick_candles(bars=58_419, seed=7)
    parameters = MovingAverageParameters(close_at_end=False)
    kernel = best_seconds(
        lambda: run_moving_average(candles=candles, parameters=parameters, lot_size=LOT_SIZE),
        rounds=20,
    )
    tick = candles.tick_size
    prices = [column * tick for column in (candles.open, candles.high, candles.low, candles.close)]

    def run_from_prices() -> object:
        o, h, lo, c = prices
        fresh = build_tick_candles(
            time_ms=candles.time_ms, open_price=o, high=h, low=lo, close=c, tick_size=tick
        )
        return run_moving_average(candles=fresh, parameters=parameters, lot_size=LOT_SIZE)

    converted = best_seconds(run_from_prices, rounds=20)
    rust = best_seconds(
        lambda: run_raptorbt(candles=candles, parameters=parameters, cash=CASH), rounds=20
    )
    vectorised = best_seconds(
        lambda: run_vectorbt(candles=candles, parameters=parameters, cash=CASH).final_value(),
        rounds=10,
    )
    stepping = best_seconds(
        lambda: run_backtesting(
            candles=candles, parameters=parameters, cash=CASH, lot_size=LOT_SIZE
        ),
        rounds=2,
    )
    sweep = best_seconds(
        lambda: sweep_moving_average(
            candles=candles, combinations=COMBINATIONS, lot_size=LOT_SIZE, workers=2
        ),
        rounds=3,
    )
    vectorised_sweep = best_seconds(
        lambda: sweep_vectorbt(candles=candles, combinations=COMBINATIONS, cash=CASH), rounds=1
    )
    mine = run_moving_average(
        candles=candles, parameters=parameters, cash=CASH, lot_size=LOT_SIZE
    ).trades[:, :6]
    theirs, _ = run_backtesting(
        candles=candles, parameters=parameters, cash=CASH, lot_size=LOT_SIZE
    )
    differing = float((mine != theirs).sum()) if mine.shape == theirs.shape else float("inf")
    bars = len(candles)
    return [
        (f"MA/ATR kernel, {bars} bars, whole run", bars / kernel, 1e7, "bars/s"),
        ("  with the conversion to ticks", bars / converted, 1e7, "bars/s"),
        ("raptorbt, the same bars, long side alone", bars / rust, 0, "bars/s"),
        ("kernel with conversion over raptorbt", rust / converted, 1.0, "x"),
        ("vectorbt, the same bars", bars / vectorised, 0, "bars/s"),
        ("backtesting.py, the same bars", bars / stepping, 0, "bars/s"),
        ("kernel over vectorbt", vectorised / kernel, 1.0, "x"),
        ("kernel over backtesting.py", stepping / kernel, 100.0, "x"),
        ("trade fields that differ from backtesting.py", differing, 0.0, "fields"),
        (f"sweep of {len(COMBINATIONS)} sets", sweep, 1.0, "s"),
        (f"vectorbt, the same {len(COMBINATIONS)} sets", vectorised_sweep, 0, "s"),
        ("sweep over vectorbt", vectorised_sweep / sweep, 20.0, "x"),
    ]


if __name__ == "__main__":
    if "--here" in sys.argv:
        print(json.dumps(measure()))
    else:
        print_rows(run())
