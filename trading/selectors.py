"""Every read of the trading app that a page, the API and an export share.

Returns are those of the unit value, so subscriptions and redemptions never move them.  Each list is
bounded.  Nothing here reaches the network or writes.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from django.db import connection

from magnetfund.kernel.clock import utc_now
from trading.models import Fill, Instrument, Order, Position, Signal, Trade, Valuation

LIST_MAX = 500
DAYS_A_YEAR = 365


@dataclass(frozen=True, slots=True, kw_only=True)
class Performance:
    """The fund's figures as of ``as_of``; percentages are in percent, missing ones None.

    ``sharpe_ratio``: daily returns of the unit value, sample standard deviation, times sqrt(365),
    given from 30 daily returns on.  ``max_drawdown`` is negative or zero, in percent, on daily
    closes and the newest value, the first value included.
    """

    as_of: datetime
    equity: Decimal
    daily_pnl: Decimal
    daily_pnl_percent: float
    return_30d: float | None
    return_since_inception: float
    max_drawdown: float
    sharpe_ratio: float | None
    open_positions: int
    leverage_used: float
    days: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesPoint:
    at: datetime
    equity: Decimal
    unit_value: Decimal
    drawdown: float


def latest_valuation(book: str) -> Valuation | None:
    return Valuation.objects.filter(book=book).order_by("-at").first()


def daily_unit_values(
    book: str, *, since: datetime | None = None
) -> list[tuple[datetime, Decimal]]:
    """The last unit value of each UTC day, oldest first."""
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT DISTINCT ON (date_trunc('day', at AT TIME ZONE 'UTC')) at, unit_value
               FROM trading_valuation WHERE book = %s AND (%s::timestamptz IS NULL OR at >= %s)
               ORDER BY date_trunc('day', at AT TIME ZONE 'UTC'), at DESC""",
            [book, since, since],
        )
        return list(cursor.fetchall())


def find_drawdown(values: Sequence[Decimal]) -> list[float]:
    """Fall from the running maximum at each value, as a fraction <= 0; the first value counts."""
    peak = Decimal(0)
    out = []
    for value in values:
        peak = max(peak, value)
        out.append(float(value / peak - 1) if peak > 0 else 0.0)
    return out


def find_sharpe(values: Sequence[Decimal]) -> float | None:
    """Annualised Sharpe ratio of daily values; None under 30 returns or without any variation."""
    returns = [float(b / a - 1) for a, b in itertools.pairwise(values) if a > 0]
    if len(returns) < 30:
        return None
    spread = statistics.stdev(returns)
    if spread == 0:
        return None
    return statistics.fmean(returns) / spread * math.sqrt(DAYS_A_YEAR)


def current_performance(book: str) -> Performance | None:
    """The figures of now; None before the first valuation."""
    last = latest_valuation(book)
    if last is None:
        return None
    days = daily_unit_values(book)
    values = [value for _, value in days]
    month_ago = last.at - timedelta(days=30)
    base = next((value for at, value in reversed(days) if at <= month_ago), None)
    day_change = last.unit_value / last.day_start_unit_value - 1
    return Performance(
        as_of=last.at,
        equity=last.equity,
        daily_pnl=last.equity - last.equity / (1 + day_change),
        daily_pnl_percent=float(day_change) * 100,
        return_30d=None if base is None else float(last.unit_value / base - 1) * 100,
        return_since_inception=float(last.unit_value / values[0] - 1) * 100,
        max_drawdown=min(find_drawdown(values)) * 100,
        sharpe_ratio=find_sharpe(values),
        open_positions=last.open_positions,
        leverage_used=last.leverage,
        days=len(days),
    )


INTERVALS = {
    "1h": timedelta(hours=1),
    "4h": timedelta(hours=4),
    "1d": timedelta(days=1),
    "1w": timedelta(days=7),
}
PERIODS = {
    "1d": timedelta(days=1),
    "7d": timedelta(days=7),
    "30d": timedelta(days=30),
    "90d": timedelta(days=90),
    "1y": timedelta(days=365),
    "all": None,
}


def performance_series(book: str, *, period: str, interval: str) -> list[SeriesPoint]:
    """Last valuation of each interval, oldest first, at most 2,000 points; drawdown is measured
    from the peak inside the period."""
    length = PERIODS[period]
    step = int(INTERVALS[interval].total_seconds())
    since = utc_now() - length if length is not None else None
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT * FROM (
                 SELECT DISTINCT ON (slot) at, equity, unit_value,
                        floor(extract(epoch FROM at) / %s) AS slot
                 FROM trading_valuation
                 WHERE book = %s AND (%s::timestamptz IS NULL OR at >= %s)
                 ORDER BY slot DESC, at DESC LIMIT 2000) t ORDER BY at""",
            [step, book, since, since],
        )
        rows = cursor.fetchall()
    falls = find_drawdown([row[2] for row in rows])
    return [
        SeriesPoint(at=at, equity=equity, unit_value=unit, drawdown=fall)
        for (at, equity, unit, _), fall in zip(rows, falls, strict=True)
    ]


def recent_trades(book: str, *, limit: int = 20, since: datetime | None = None) -> list[Trade]:
    rows = Trade.objects.filter(book=book).select_related("instrument")
    if since is not None:
        rows = rows.filter(closed_at__gte=since)
    return list(rows.order_by("-closed_at", "-recorded_at")[: min(limit, LIST_MAX)])


def open_positions(book: str) -> list[Position]:
    return list(
        Position.objects.filter(book=book)
        .exclude(quantity=0)
        .select_related("instrument")
        .order_by("instrument__symbol", "strategy")[:LIST_MAX]
    )


def working_orders(book: str) -> list[Order]:
    return list(
        Order.objects.filter(book=book, closed_at=None)
        .select_related("instrument")
        .prefetch_related("events")
        .order_by("-occurred_at")[:LIST_MAX]
    )


def recent_orders(book: str, *, limit: int = 50) -> list[Order]:
    return list(
        Order.objects.filter(book=book)
        .select_related("instrument")
        .prefetch_related("events")
        .order_by("-occurred_at")[: min(limit, LIST_MAX)]
    )


def recent_fills(book: str, *, limit: int = 50) -> list[Fill]:
    return list(
        Fill.objects.filter(book=book)
        .select_related("instrument", "order")
        .order_by("-occurred_at", "-id")[: min(limit, LIST_MAX)]
    )


def latest_signal(instrument: Instrument, *, timeframe: str = "1h") -> Signal | None:
    return (
        Signal.objects.filter(instrument=instrument, timeframe=timeframe)
        .order_by("-known_at")
        .first()
    )


def active_instruments() -> list[Instrument]:
    return list(Instrument.objects.filter(is_active=True).order_by("symbol")[:LIST_MAX])
