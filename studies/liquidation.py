"""How often accounts without an edge are liquidated or ruined in a bootstrapped year.

Run as ``python -m studies.liquidation [--data FOLDER] [--paths 20000] [--seed 1]``; BTC hours from
2017-10 to 2021-06, published figures in brackets: liquidated, ruined, ever under half, median.  A
second table leaves out one stretch of days at a time: how much of a figure hangs on it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from risk.domain.liquidation import AccountRules, build_bootstrap_bars, simulate_account_years
from studies.magnet_evidence import BTC
from studies.samples import find_folder, find_rows, load_candles

SEED = 1
ROWS: tuple[tuple[str, AccountRules, tuple[float, float, float, float]], ...] = (
    ("1x all-in, no fuse", AccountRules(leverage=1.0), (0.0, 0.043, 0.692, 0.49)),
    ("2x all-in, no fuse", AccountRules(leverage=2.0), (0.0135, 0.576, 0.938, 0.10)),
    ("2.5x all-in, no fuse", AccountRules(leverage=2.5), (0.033, 0.763, 0.969, 0.10)),
    ("3x all-in, no fuse", AccountRules(leverage=3.0), (0.086, 0.883, 0.984, 0.09)),
    ("5x all-in, no fuse", AccountRules(leverage=5.0), (0.316, 0.996, 0.999, 0.07)),
    ("10x all-in, no fuse", AccountRules(leverage=10.0), (0.792, 1.0, 1.0, 0.0)),
    ("20x all-in, no fuse", AccountRules(leverage=20.0), (0.976, 1.0, 1.0, 0.0)),
    ("3x all-in, fuse", AccountRules(leverage=3.0, with_fuse=True), (0.0, 0.0, 0.475, 0.57)),
    (
        "3x, 15% cap, fuse",
        AccountRules(leverage=3.0, margin_cap=0.15, with_fuse=True),
        (0.0, 0.0, 0.006, 0.87),
    ),
    (
        "3x, 15% cap, fuse halts at 5%",
        AccountRules(leverage=3.0, margin_cap=0.15, with_fuse=True, cool_off_hours=0),
        (0.0, 0.0, 0.0, 0.98),
    ),
    (
        "10x all-in, perfect fuse",
        AccountRules(leverage=10.0, with_fuse=True),
        (0.0, 0.134, 0.984, 0.17),
    ),
    (
        "3x all-in, fuse 4h late",
        AccountRules(leverage=3.0, with_fuse=True, latency_hours=4),
        (0.004, 0.036, 0.76, 0.40),
    ),
    (
        "3x all-in, fuse 24h late",
        AccountRules(leverage=3.0, with_fuse=True, latency_hours=24),
        (0.043, 0.209, 0.81, 0.34),
    ),
)

LEFT_OUT = (
    ("2017-12-06", "2017-12-09"),
    ("2017-12-21", "2017-12-24"),
    ("2018-01-15", "2018-01-18"),
    ("2018-02-05", "2018-02-07"),
    ("2019-10-25", "2019-10-27"),
    ("2020-03-12", "2020-03-14"),
    ("2020-03-13", "2020-03-14"),
    ("2021-05-19", "2021-05-20"),
)
"""The wildest days of the sample, from the first to before the last."""


def print_left_out(
    bars: NDArray[np.float64], times: NDArray[np.int64], paths: int, seed: int
) -> None:
    """The share liquidated without a fuse when a few days are not in the history."""
    leverages = (2.0, 2.5, 3.0, 5.0, 10.0)
    print("\nliquidated, no fuse, by the days left out of the history")
    print(f"{'left out':<28}" + "".join(f"{f'{leverage:g}x':>9}" for leverage in leverages))
    for first, last in (None, None), *LEFT_OUT:
        kept, label = np.ones(times.size, dtype=np.bool_), "nothing"
        if first and last:
            label = f"{first} to {last}"
            start, end = (np.datetime64(day, "ms").astype(np.int64) for day in (first, last))
            kept = (times < start) | (times >= end)
        shares = [
            simulate_account_years(
                bars=np.ascontiguousarray(bars[kept]),
                rules=AccountRules(leverage=leverage),
                paths=paths,
                seed=seed,
            ).liquidated
            for leverage in leverages
        ]
        print(f"{label:<28}" + "".join(f"{share:>9.4f}" for share in shares))


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; 1 where the data is absent."""
    parser = argparse.ArgumentParser(description="Accounts without an edge over real hours.")
    parser.add_argument("--data", help="folder of real data")
    parser.add_argument("--paths", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=SEED)
    options = parser.parse_args(arguments)
    folder = find_folder(options.data)
    if folder is None:
        print("real candle files are not on this machine (set MAGNET_DATA to their folder)")
        return 1
    candles = load_candles(folder, "BTC")
    rows = find_rows(candles, BTC)
    bars = build_bootstrap_bars(
        high=candles.high[rows], low=candles.low[rows], close=candles.close[rows]
    )
    print(f"{BTC.name}, {options.paths:,} years a row, seed {options.seed} (published in brackets)")
    print(
        f"{'account':<32}{'liquidated':>16}{'ruined':>15}{'under half':>15}{'median':>13}", end=""
    )
    print(f"{'trips':>8}")
    for name, rules, known in ROWS:
        found = simulate_account_years(
            bars=bars, rules=rules, paths=options.paths, seed=options.seed
        )
        print(
            f"{name:<32}{found.liquidated:>9.4f} ({known[0]:.3f}){found.ruined:>7.3f} "
            f"({known[1]:.3f}){found.halved:>7.3f} ({known[2]:.3f}){found.equity_median:>6.2f} "
            f"({known[3]:.2f}){found.trips_mean:>8.1f}"
        )
    print_left_out(bars, candles.open_time[rows][1:], options.paths, options.seed)
    return 0


if __name__ == "__main__":
    sys.exit(main())
