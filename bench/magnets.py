"""Seconds for every kind of magnet over years of hours, and milliseconds for one hour more.

Run as ``python -m bench.magnets``.
"""

from __future__ import annotations

import time

import numpy as np

from bench.decision import load_hours
from bench.timing import Row, best_seconds, print_rows
from trading.domain.magnets.history import compute_magnet_history
from trading.domain.magnets.stream import MagnetStream

MORE_HOURS = 2_000


def run() -> list[Row]:
    """The rows of this bench."""
    source, candles = load_hours()
    whole = best_seconds(lambda: compute_magnet_history(candles=candles), rounds=2)
    stream = MagnetStream()
    start = len(candles) - MORE_HOURS
    stream.extend(candles=candles.between(0, start))
    took = np.empty(MORE_HOURS)
    for row in range(start, len(candles)):
        before = time.perf_counter()
        stream.extend(candles=candles.between(row, row + 1))
        took[row - start] = time.perf_counter() - before
    return [
        (f"all magnets, {len(candles)} {source}", whole, 10.0, "s"),
        (
            f"one hour more, p95 of {MORE_HOURS}",
            1000 * float(np.percentile(took, 95)),
            3.0,
            "ms",
        ),
    ]


if __name__ == "__main__":
    print_rows(run())
