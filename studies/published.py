"""The figures printed beside each study, as they were first measured and published.

They were computed by another program over the same candles.  A study prints them next to what the
engine gives today; it never uses them.
"""

from __future__ import annotations

TREND: dict[str, tuple[float, float, float, float]] = {
    "BTC 2017-10..2021-12": (4.1, 1.77, -3.8, 16.0),
    "BTC 2022-01..2024-04": (3.6, 1.56, -1.5, 15.0),
    "ETH 2020-09..2024-04": (3.3, 1.58, -2.6, 17.0),
    "Pair 2020-12..2024-04": (6.8, 1.75, -3.2, 32.0),
}
"""CAGR %, Sharpe, largest drawdown %, trades a year of ``trend`` at 0.35 % risk."""

MAGNET: dict[tuple[str, str], tuple[float, float, float, float, float]] = {
    ("A", "BTC 2017-10..2021-12"): (317, 38.4, -0.120, -3.2, -16),
    ("A", "BTC 2022-01..2024-04"): (375, 36.3, -0.201, -5.1, -12),
    ("A", "ETH 2020-11..2025-09"): (366, 38.2, -0.130, -5.7, -26),
    ("B", "BTC 2017-10..2021-12"): (151, 39.9, -0.094, -1.2, -7),
    ("B", "BTC 2022-01..2024-04"): (188, 40.7, -0.126, -2.1, -6),
    ("B", "ETH 2020-11..2025-09"): (176, 38.5, -0.137, -3.1, -16),
}
"""Trades a year, win %, average R, CAGR %, largest drawdown % of ``magnet`` at 0.35 % risk.

R is the result over what the stop was planned to cost, costs of the round trip included.
"""

ROTATED: dict[tuple[str, str], tuple[float, float, float]] = {
    ("A", "BTC 2017-10..2021-12"): (-0.069, 0.97, -2.2),
    ("A", "BTC 2022-01..2024-04"): (-0.124, 1.00, -4.2),
    ("A", "ETH 2020-11..2025-09"): (-0.094, 0.95, -4.2),
    ("B", "BTC 2017-10..2021-12"): (-0.039, 0.96, -0.6),
    ("B", "BTC 2022-01..2024-04"): (-0.113, 0.60, -2.4),
    ("B", "ETH 2020-11..2025-09"): (-0.086, 0.95, -2.4),
}
"""Means over 200 rotations: average R, share at least as good as the real zones, CAGR %."""
