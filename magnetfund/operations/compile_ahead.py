"""Compile what reads magnets, beside a first start that has other things to do meanwhile.

Run as ``python -m magnetfund.operations.compile_ahead``: twenty seconds of a processor, once for a
version of the code; what it compiles is read from the disk afterwards.
"""

from __future__ import annotations

from trading.domain.market import HOUR_MS, Candle
from trading.domain.strategies.magnet import MagnetStrategy


def main() -> None:
    """Ask for one signal; the first compiles."""
    bar = Candle(
        open_time=HOUR_MS, open=100.0, high=101.0, low=99.0, close=100.5, volume=1.0
    )  # fmt: skip
    MagnetStrategy().stream().update(bar)


if __name__ == "__main__":
    main()
