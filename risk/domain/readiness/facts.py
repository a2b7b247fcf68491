"""The five fixed thresholds as facts, each shown by itself (STR-6).

They are shown, not believed: the best of many worthless variants passes them often.  Shares are
fractions, the Sharpe ratio is annualised and net of costs.  A figure that is missing or no number
never passes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from magnetfund.kernel.errors import InvalidInput

TRADES_MIN = 100
WIN_RATE_MIN = 0.65
SHARPE_MIN = 1.5
DRAWDOWN_LIMIT = 0.10
PROFIT_FACTOR_MIN = 2.0
Z_95 = 1.959963984540054
"""Two-sided 95 % quantile of the normal distribution."""


class FactName(StrEnum):
    """The five, in the order in which they are shown."""

    TRADES = "trades"
    WIN_RATE = "win_rate"
    SHARPE = "sharpe"
    DRAWDOWN = "drawdown"
    PROFIT_FACTOR = "profit_factor"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackRecord:
    """What a strategy did, net of costs.

    ``drawdown_max`` is a positive fraction; ``profit_factor`` is infinite where nothing was lost.
    """

    wins: int
    losses: int
    sharpe: float | None
    drawdown_max: float | None
    profit_factor: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One threshold with what was measured; the interval is a 95 % one, None where not known."""

    name: FactName
    value: float | None
    threshold: float
    is_passed: bool
    interval: tuple[float, float] | None
    words: str


def compute_wilson_interval(*, wins: int, trades: int) -> tuple[float, float]:
    """Wilson's 95 % score interval of a win rate (Wilson 1927).

    Raises ``InvalidInput`` (``bad_counts``) unless 0 <= wins <= trades and trades > 0.
    """
    if trades <= 0 or not 0 <= wins <= trades:
        raise InvalidInput("wins must lie between 0 and a positive number", code="bad_counts")
    rate, spread = wins / trades, Z_95 * Z_95 / trades
    middle = (rate + spread / 2.0) / (1.0 + spread)
    half = Z_95 * math.sqrt((rate * (1.0 - rate) + spread / 4.0) / trades) / (1.0 + spread)
    return max(0.0, middle - half), min(1.0, middle + half)


def read_facts(*, record: TrackRecord) -> tuple[Fact, ...]:
    """Measure the five facts.  Raises ``InvalidInput`` (``bad_counts``) for negative counts."""
    if record.wins < 0 or record.losses < 0:
        raise InvalidInput("counts of trades cannot be negative", code="bad_counts")
    trades = record.wins + record.losses
    rate = record.wins / trades if trades else None
    interval = compute_wilson_interval(wins=record.wins, trades=trades) if trades else None
    return (
        _at_least(FactName.TRADES, float(trades), TRADES_MIN, "{:.0f} trades, at least {:.0f}"),
        _at_least(
            FactName.WIN_RATE, rate, WIN_RATE_MIN, "win rate {:.1%}, at least {:.0%}", interval
        ),
        _at_least(FactName.SHARPE, record.sharpe, SHARPE_MIN, "Sharpe {:.2f}, at least {:.1f}"),
        _drawdown(record.drawdown_max),
        _at_least(
            FactName.PROFIT_FACTOR,
            record.profit_factor,
            PROFIT_FACTOR_MIN,
            "profit factor {:.2f}, at least {:.1f}",
        ),
    )


def _at_least(
    name: FactName,
    value: float | None,
    threshold: float,
    words: str,
    interval: tuple[float, float] | None = None,
) -> Fact:
    known = value is not None and not math.isnan(value)
    return Fact(
        name=name,
        value=value,
        threshold=threshold,
        is_passed=value is not None and known and value >= threshold,
        interval=interval,
        words=words.format(value, threshold)
        if known
        else f"{name.value.replace('_', ' ')} is not known",
    )


def _drawdown(value: float | None) -> Fact:
    known = value is not None and math.isfinite(value) and value >= 0.0
    return Fact(
        name=FactName.DRAWDOWN,
        value=value,
        threshold=DRAWDOWN_LIMIT,
        is_passed=value is not None and known and value < DRAWDOWN_LIMIT,
        interval=None,
        words=f"drawdown {value:.1%}, below {DRAWDOWN_LIMIT:.0%}"
        if known
        else "drawdown is not known",
    )
