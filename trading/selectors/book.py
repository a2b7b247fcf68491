"""What a book shows: its value over time, trades, orders, fills, positions.

Returns are those of the unit value, so subscriptions and redemptions never move them.  Each list is
bounded.  Nothing here reaches the network or writes.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

import numpy as np
from django.db import connection
from django.db.models import QuerySet

from magnetfund.kernel.clock import utc_now
from magnetfund.kernel.errors import InvalidInput
from risk.domain.ratios import compute_equity_drawdowns, compute_sharpe
from trading.models import Candle, Fill, Instrument, Order, Position, Trade, Valuation

LIST_MAX = 500
POINTS_MAX = 2_000
DAYS_A_YEAR = 365
#: A Sharpe ratio of fewer daily returns says nothing.
RETURNS_MIN = 30


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


def valuations(book: str) -> QuerySet[Valuation]:
    """Every valuation of a book, newest first; to be bounded by who reads it."""
    return Valuation.objects.filter(book=book).order_by("-at")


def latest_valuation(book: str) -> Valuation | None:
    return valuations(book).first()


def daily_unit_values(
    book: str, *, since: datetime | None = None
) -> list[tuple[datetime, Decimal]]:
    """The last unit value of each UTC day, oldest first.

    Each day is one step into the index of (book, at), so a year of minutes costs 365 rows.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT v.at, v.unit_value
               FROM (SELECT min(at) AS first, max(at) AS last FROM trading_valuation
                     WHERE book = %(book)s
                       AND (%(since)s::timestamptz IS NULL OR at >= %(since)s)) span
               CROSS JOIN generate_series(date_trunc('day', span.first, 'UTC'), span.last,
                                          interval '24 hours') AS day
               CROSS JOIN LATERAL (
                 SELECT at, unit_value FROM trading_valuation
                 WHERE book = %(book)s AND at >= greatest(day, span.first)
                   AND at < day + interval '24 hours'
                 ORDER BY at DESC LIMIT 1) v
               ORDER BY v.at""",
            {"book": book, "since": since},
        )
        return list(cursor.fetchall())


def drawdowns_of(values: Sequence[Decimal]) -> list[float]:
    """Fall from the running maximum at each value, as a fraction <= 0; the first value counts."""
    if len(values) < 2 or min(values) <= 0:
        return [0.0] * len(values)
    equity = np.array([float(value) for value in values])
    falls: list[float] = compute_equity_drawdowns(equity=equity, start=equity[0]).tolist()
    return falls


def sharpe_of_values(values: Sequence[Decimal]) -> float | None:
    """Annualised Sharpe ratio of daily values; None under 30 returns or without any variation."""
    returns = _returns([value for value in values if value > 0])
    if len(returns) < RETURNS_MIN:
        return None
    return compute_sharpe(returns=returns, periods_a_year=DAYS_A_YEAR)


def _returns(values: Sequence[Decimal]) -> list[float]:
    return [float(after / before - 1) for before, after in itertools.pairwise(values)]


def current_performance(book: str) -> Performance | None:
    """The figures of now; None before the first valuation."""
    last = latest_valuation(book)
    return None if last is None else build_performance(last, daily_unit_values(book))


def build_performance(last: Valuation, days: Sequence[tuple[datetime, Decimal]]) -> Performance:
    """The figures of the newest valuation over ``days`` of :func:`daily_unit_values`."""
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
        max_drawdown=min(drawdowns_of(values)) * 100,
        sharpe_ratio=sharpe_of_values(values),
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
    """Last valuation of each interval, oldest first, over the newest 2,000 intervals at most;
    drawdown is measured from the peak inside the period."""
    length = PERIODS[period]
    since = utc_now() - length if length is not None else None
    with connection.cursor() as cursor:
        # One step into the index of (book, at) per interval.
        cursor.execute(
            """SELECT v.at, v.equity, v.unit_value
               FROM (SELECT floor(extract(epoch FROM min(at)) / %(step)s)::bigint AS first,
                            floor(extract(epoch FROM max(at)) / %(step)s)::bigint AS last
                     FROM trading_valuation WHERE book = %(book)s
                       AND (%(since)s::timestamptz IS NULL OR at >= %(since)s)) span
               CROSS JOIN generate_series(greatest(span.first, span.last - %(most)s + 1),
                                          span.last) AS slot
               CROSS JOIN LATERAL (
                 SELECT at, equity, unit_value FROM trading_valuation
                 WHERE book = %(book)s
                   AND at >= greatest(to_timestamp(slot * %(step)s), %(since)s)
                   AND at < to_timestamp((slot + 1) * %(step)s)
                 ORDER BY at DESC LIMIT 1) v
               ORDER BY v.at""",
            {
                "book": book,
                "since": since,
                "step": int(INTERVALS[interval].total_seconds()),
                "most": POINTS_MAX,
            },
        )
        rows = cursor.fetchall()
    falls = drawdowns_of([row[2] for row in rows])
    return [
        SeriesPoint(at=at, equity=equity, unit_value=unit, drawdown=fall)
        for (at, equity, unit), fall in zip(rows, falls, strict=True)
    ]


def recent_trades(book: str, *, limit: int = 20, since: datetime | None = None) -> list[Trade]:
    rows = _trades(book)
    if since is not None:
        rows = rows.filter(closed_at__gte=since)
    return list(rows[: min(limit, LIST_MAX)])


@dataclass(frozen=True, slots=True, kw_only=True)
class TradePage:
    """One page of closed trades, newest first; nothing is counted, only looked one row ahead."""

    number: int
    trades: list[Trade]
    has_older: bool


def trade_page(
    book: str, *, number: int, size: int = 20, rows: QuerySet[Trade] | None = None
) -> TradePage:
    """Page ``number`` from 1 of the newest :data:`LIST_MAX` trades, or of the given ``rows``."""
    number = max(1, min(number, LIST_MAX // size))
    begin = (number - 1) * size
    found = list((_trades(book) if rows is None else rows)[begin : begin + size + 1])
    is_last = number == LIST_MAX // size
    return TradePage(
        number=number, trades=found[:size], has_older=len(found) > size and not is_last
    )


def select_trades(
    book: str, *, base: str = "", strategy: str = "", won: bool | None = None, order: str = ""
) -> QuerySet[Trade]:
    """Some of the newest :data:`LIST_MAX` trades; without ``order``, a field, newest first."""
    newest = Trade.objects.filter(book=book).order_by("-closed_at", "-recorded_at")
    rows = _trades(book).filter(pk__in=newest.values("pk")[:LIST_MAX])
    if base:
        rows = rows.filter(instrument__base=base)
    if strategy:
        rows = rows.filter(strategy=strategy)
    if won is not None:
        rows = rows.filter(net_pnl__gt=0) if won else rows.filter(net_pnl__lte=0)
    return rows.order_by(order, "-closed_at") if order else rows


def _trades(book: str) -> QuerySet[Trade]:
    return (
        Trade.objects.filter(book=book)
        .select_related("instrument")
        .defer("instrument__maintenance_tiers")
        .order_by("-closed_at", "-recorded_at")
    )


def open_positions(book: str) -> list[Position]:
    return list(
        Position.objects.filter(book=book)
        .exclude(quantity=0)
        .select_related("instrument")
        .order_by("instrument__symbol", "strategy")[:LIST_MAX]
    )


def recent_orders(book: str, *, limit: int = 50) -> list[Order]:
    return list(
        Order.objects.filter(book=book)
        .select_related("instrument")
        .prefetch_related("events")
        .order_by("-occurred_at")[: min(limit, LIST_MAX)]
    )


def select_orders(
    book: str,
    *,
    base: str = "",
    strategy: str = "",
    states: Iterable[str] = (),
    oldest_first: bool = False,
) -> QuerySet[Order]:
    """Orders of a book; no ``states`` means every state."""
    rows = Order.objects.filter(book=book).select_related("instrument")
    if base:
        rows = rows.filter(instrument__base=base)
    if strategy:
        rows = rows.filter(strategy=strategy)
    if asked := list(states):
        rows = rows.filter(state__in=asked)
    return (
        rows.order_by("occurred_at", "id") if oldest_first else rows.order_by("-occurred_at", "-id")
    )


def recent_fills(book: str, *, limit: int = 50) -> list[Fill]:
    return list(
        Fill.objects.filter(book=book)
        .select_related("instrument")
        .order_by("-occurred_at", "-id")[: min(limit, LIST_MAX)]
    )


def active_instruments() -> list[Instrument]:
    return list(Instrument.objects.filter(is_active=True).order_by("symbol")[:LIST_MAX])


def require_instrument(symbol: str) -> Instrument:
    """An active instrument by ``BTC/USDT:USDT``, or without its signs (``BTCUSDT``).

    Raises :class:`InvalidInput` (``unknown_instrument``).
    """
    short = symbol.replace("/", "").replace(":", "").upper()
    for row in active_instruments():
        pair = f"{row.base}{row.quote}"
        if symbol.upper() == row.symbol or short in (pair, pair + row.settle):
            return row
    raise InvalidInput(f"{symbol} is not an instrument of this fund", code="unknown_instrument")


def read_closes_at(
    instruments: Sequence[Instrument], instants: Sequence[datetime]
) -> dict[tuple[int, datetime], Decimal]:
    """The close of the hour that ended at each instant, by instrument and instant, where stored."""
    rows = (
        Candle.objects.filter(
            instrument__in=instruments,
            timeframe="1h",
            open_time__in=[instant - timedelta(hours=1) for instant in instants],
        )
        .order_by("instrument_id", "open_time", "-version")
        .distinct("instrument_id", "open_time")
        .values_list("instrument_id", "open_time", "close")
    )
    return {(pk, at + timedelta(hours=1)): Decimal(str(close)) for pk, at, close in rows}
