"""Does price reach a level before its mirror point?  The evidence test over real hours.

Run as ``python -m studies.magnet_evidence [--data FOLDER] [--seed 20170817]``.
Every kind that hourly bars can show and the three controls, on BTC 2017-10..2021-06 beside the
published figures and on ETH 2020-09..2025-09.  Holm's correction runs over both markets together.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from studies.samples import Sample, find_folder, load_candles
from trading.domain.evidence import (
    Candidate,
    ControlKind,
    EvidenceRow,
    EvidenceRun,
    run_evidence_test,
)

SEED = 20_170_817
BTC = Sample(
    name="BTC 2017-10..2021-06", instruments=("BTC",), start="2017-10-01", end="2021-07-01"
)
ETH = Sample(
    name="ETH 2020-09..2025-09", instruments=("ETH",), start="2020-09-20", end="2025-09-20"
)

PUBLISHED_BTC: Mapping[str, tuple[float, float]] = {
    Candidate.STRUCTURAL: (0.493, -1.8),
    Candidate.EQUAL_EXTREMES: (0.509, 0.5),
    Candidate.BEYOND_EQUAL: (0.515, 0.9),
    Candidate.POC: (0.520, 1.4),
    Candidate.VALUE_AREA: (0.481, -2.1),
    Candidate.VWAP: (0.470, -3.8),
    Candidate.PRIOR_DAY: (0.484, -3.2),
    Candidate.WEEK_MONTH: (0.495, -0.6),
    Candidate.ROUND_MINOR: (0.489, -5.1),
    Candidate.ROUND_MAJOR: (0.491, -1.8),
    Candidate.GAP: (0.452, -3.9),
    ControlKind.RANDOM_PRICE: (0.497, -0.8),
    ControlKind.PAST_CLOSE: (0.489, -1.7),
}
"""P(level before mirror) and z as first measured, on hours of another source of the same venue."""


def print_run(run: EvidenceRun, name: str, published: Mapping[str, tuple[float, float]]) -> None:
    """One market's table."""
    print(f"\n{name}: {run.decisions:,} decisions over {run.bars:,} hours, seed {run.seed}")
    print(f"{'kind':<26}{'n':>7}{'P(first)':>10}{'z':>7}{'95 % interval':>18}{'Holm p':>9}", end="")
    print(f"{'matched':>9}{'z':>6}{'bounce':>9}{'z':>6}{'dropped':>9}{'published':>16}")
    for row in run.rows:
        if row.first.n:
            print_row(row, published.get(row.name))
    print("VOID: the random-price control is not clean" if run.void else "random control clean")


def print_row(row: EvidenceRow, published: tuple[float, float] | None) -> None:
    """One candidate or control."""
    first = row.first
    label = f"control: {row.name}" if row.control else row.name
    interval = f"{first.low:.3f} to {first.high:.3f}"
    holm = "" if math.isnan(row.p_holm) else f"{row.p_holm:.3f}"
    known = "" if published is None else f".{1000 * published[0]:.0f} ({published[1]:+.1f})"
    print(
        f"{label:<26}{first.n:>7,}{first.value:>10.3f}{first.z:>7.1f}{interval:>18}{holm:>9}"
        f"{row.matched.value:>+9.3f}{row.matched.z:>6.1f}{row.bounce.value:>+9.3f}"
        f"{row.bounce.z:>6.1f}{row.dropped_both + row.dropped_neither:>9,}{known:>16}"
    )


def run_sample(
    folder: Path, sample: Sample, seed: int, earlier: Sequence[float] = ()
) -> EvidenceRun:
    """The test on one sample; hours before it only warm up, hours after it end the races."""
    instrument = sample.instruments[0]
    first_at, last_at = sample.bounds_ms()
    return run_evidence_test(
        candles=load_candles(folder, instrument),
        market=f"{instrument}/USDT",
        seed=seed,
        first_at=first_at,
        last_at=last_at,
        earlier_p_values=earlier,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the tables; 1 where the data is absent or a control is not clean."""
    parser = argparse.ArgumentParser(description="The evidence test of magnets over real hours.")
    parser.add_argument("--data", help="folder of real data")
    parser.add_argument("--seed", type=int, default=SEED)
    options = parser.parse_args(arguments)
    folder = find_folder(options.data)
    if folder is None:
        print("real candle files are not on this machine (set MAGNET_DATA to their folder)")
        return 1
    alone = run_sample(folder, ETH, options.seed)
    eth_p = [row.p_value for row in alone.rows if not row.control and row.first.n]
    btc = run_sample(folder, BTC, options.seed, eth_p)
    btc_p = [row.p_value for row in btc.rows if not row.control and row.first.n]
    eth = run_sample(folder, ETH, options.seed, btc_p)
    print_run(btc, BTC.name, PUBLISHED_BTC)
    print_run(eth, ETH.name, {})
    best = max(
        (row for run in (btc, eth) for row in run.rows if not row.control and row.first.n),
        key=lambda row: row.first.z,
    )
    print(f"\nbest of all kinds: {best.name}, z {best.first.z:+.1f}, Holm p {best.p_holm:.3f}")
    return 1 if btc.void or eth.void else 0


if __name__ == "__main__":
    sys.exit(main())
