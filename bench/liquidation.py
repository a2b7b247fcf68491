"""Seconds for 20,000 account years over bootstrapped hours.

Run as ``python -m bench.liquidation``.
"""

from __future__ import annotations

from bench.decision import load_hours
from bench.timing import Row, best_seconds, print_rows
from risk.domain.liquidation import AccountRules, build_bootstrap_bars, simulate_account_years

PATHS = 20_000


def run() -> list[Row]:
    """The rows of this bench."""
    source, candles = load_hours()
    bars = build_bootstrap_bars(high=candles.high, low=candles.low, close=candles.close)
    rules = AccountRules(leverage=3.0, with_fuse=True)
    seconds = best_seconds(
        lambda: simulate_account_years(bars=bars, rules=rules, paths=PATHS, seed=1), rounds=3
    )
    return [(f"{PATHS} account years from {len(candles)} {source}", seconds, 5.0, "s")]


if __name__ == "__main__":
    print_rows(run())
