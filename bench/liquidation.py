"""Seconds for 20,000 account years over bootstrapped hours, under full load.

Run as ``python -m bench.liquidation``.  A ruined account ends its year and a tripped fuse sits its
hours out, so the row that has a bar is one where neither happens: half the equity at 1x, a new
side every day, the fuse watching at levels that are never met, every one of 20,000 x 8,760 hours
worked through.  The second row is what the usual fuse makes of it.
"""

from __future__ import annotations

from bench.decision import load_hours
from bench.timing import Row, best_seconds, print_rows
from risk.domain.liquidation import AccountRules, build_bootstrap_bars, simulate_account_years
from risk.domain.liquidation.bootstrap import YEAR_HOURS

PATHS, SEED = 20_000, 1
FULL_LOAD = AccountRules(leverage=1.0, margin_cap=0.5, with_fuse=True, daily_loss=1.0, drawdown=1.0)
USUAL = AccountRules(leverage=3.0, with_fuse=True)


def run() -> list[Row]:
    """The rows of this bench; the first refuses a case in which an account stops early."""
    source, candles = load_hours()
    bars = build_bootstrap_bars(high=candles.high, low=candles.low, close=candles.close)
    found = simulate_account_years(bars=bars, rules=FULL_LOAD, paths=PATHS, seed=SEED)
    if found.liquidated or found.ruined or found.trips_mean:
        raise RuntimeError("an account of the full load stopped early")
    full, usual = (
        best_seconds(
            lambda rules=rules: simulate_account_years(
                bars=bars, rules=rules, paths=PATHS, seed=SEED
            ),
            rounds=3,
        )
        for rules in (FULL_LOAD, USUAL)
    )
    label = f"{PATHS:,} account years, every hour, {len(candles):,} {source}"
    return [
        (label, full, 5.0, "s"),
        ("the same, hours a second", PATHS * YEAR_HOURS / full, 0.0, "hours/s"),
        ("3x all-in with the usual fuse, most hours sat out", usual, 0.0, "s"),
    ]


if __name__ == "__main__":
    print_rows(run())
