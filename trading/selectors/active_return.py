"""Why the book returned something else than its instruments held in equal parts, day by day."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise

from django.db import connection
from django.db.models import Sum
from django.db.models.functions import TruncDate

from magnetfund.kernel.clock import utc_midnight
from risk.domain.attribution import (
    Attribution,
    DayTrade,
    HeldDay,
    attribute_day,
    link_attributions,
)
from trading.models import BookFlow, FillDay, FundingPayment, Instrument
from trading.selectors.portfolio import read_daily_closes

#: A valuation this long before midnight is no value of the day's end.
VALUED_WITHIN = "2 hours"
DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class ActiveReturn:
    """The linked attribution of ``days`` days; ``left_out`` had no value or no price.

    ``attribution`` is None where no day could be told.
    """

    instruments: tuple[str, ...]
    days: int
    left_out: int
    first: date | None = None
    last: date | None = None
    attribution: Attribution | None = None

    @property
    def rows(self) -> tuple[tuple[str, float, float, float], ...]:
        """Name, allocation, selection with its interaction, and both; then all of them."""
        effects = self.attribution.effects if self.attribution else ()
        found = [(e.name, e.allocation, e.selection + e.interaction, e.total) for e in effects]
        allocation, selection, total = (
            (math.fsum(column) for column in zip(*(row[1:] for row in found), strict=True))
            if found
            else (0.0, 0.0, 0.0)
        )
        return (*found, ("all", allocation, selection, total))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Worth:
    equity: float
    unit_value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _DayMoves:
    """The fills of one day as sums, with their fees."""

    day: datetime
    traded: DayTrade
    fees: float


@dataclass(slots=True)
class _Moves:
    """Days with fills and funding of one instrument, the oldest first, taken day by day."""

    days: list[_DayMoves] = field(default_factory=list)
    funding: dict[date, float] = field(default_factory=dict)
    quantity: float = 0.0
    place: int = 0

    def take(self, until: datetime) -> list[_DayMoves]:
        """The days before an instant that were not taken yet; they change what is held."""
        first = self.place
        while self.place < len(self.days) and self.days[self.place].day < until:
            self.quantity += self.days[self.place].traded.quantity
            self.place += 1
        return self.days[first : self.place]


def view_active_return(book: str, *, since: datetime | None, until: datetime) -> ActiveReturn:
    """Complete UTC days from ``since`` (None: the first) on, against the traded instruments.

    The benchmark holds each instrument that the book ever traded in equal parts, rebalanced daily,
    without costs.  Brinson and Fachler by instrument, linked by Carino.  A day counts where the
    book was valued at both its ends and every instrument has both closes.
    """
    end = utc_midnight(until)
    worth = _read_worth(book, since, end)
    instruments = list(
        Instrument.objects.filter(
            pk__in=FillDay.objects.filter(book=book).values("instrument_id")
        ).order_by("symbol")
    )
    if not worth or not instruments:
        return ActiveReturn(instruments=(), days=0, left_out=0)
    start = min(worth)
    closes = read_daily_closes(instruments, start=start - DAY, end=end)
    moves = _read_moves(book, instruments, start=start, end=end)
    flows = _read_flows(book, start=start, end=end)
    symbols = tuple(item.symbol for item in instruments)
    benchmark = dict.fromkeys(symbols, 1.0 / len(symbols))
    found: list[Attribution] = []
    told: list[date] = []
    days = [start + DAY * k for k in range((end - start).days + 1)]
    for opening, closing in pairwise(days):
        held = [_hold_day(name, moves[name], closes[name], opening) for name in symbols]
        before, after = worth.get(opening), worth.get(closing)
        whole = [item for item in held if item is not None]
        if (
            before is None
            or after is None
            or before.equity + flows.get(opening.date(), 0.0) <= 0
            or len(whole) < len(held)
        ):
            continue
        found.append(
            attribute_day(
                held=whole,
                equity=before.equity + flows.get(opening.date(), 0.0),
                total_return=after.unit_value / before.unit_value - 1.0,
                benchmark=benchmark,
            )
        )
        told.append(opening.date())
    return ActiveReturn(
        instruments=symbols,
        days=len(found),
        left_out=len(days) - 1 - len(found),
        first=told[0] if told else None,
        last=told[-1] if told else None,
        attribution=link_attributions(periods=found) if found else None,
    )


def _hold_day(
    name: str, moves: _Moves, closes: dict[date, float], opening: datetime
) -> HeldDay | None:
    """The day of an instrument; None where a close is missing, its fills are taken all the same."""
    moves.take(opening)
    quantity = moves.quantity
    days = moves.take(opening + DAY)
    price, price_end = (closes.get(day.date()) for day in (opening - DAY, opening))
    if price is None or price_end is None:
        return None
    return HeldDay(
        name=name,
        quantity=quantity,
        price=price,
        price_end=price_end,
        trades=tuple(item.traded for item in days),
        costs=sum(item.fees for item in days) - moves.funding.get(opening.date(), 0.0),
    )


def _read_worth(book: str, since: datetime | None, end: datetime) -> dict[datetime, _Worth]:
    """The newest valuation within two hours before each midnight, by that midnight."""
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT day, v.equity, v.unit_value
               FROM generate_series(
                      date_trunc('day', coalesce(%(since)s::timestamptz,
                        (SELECT min(at) FROM trading_valuation WHERE book = %(book)s)), 'UTC'),
                      %(end)s::timestamptz, interval '24 hours') day
               JOIN LATERAL (
                 SELECT equity, unit_value FROM trading_valuation
                 WHERE book = %(book)s AND at <= day AND at > day - %(within)s::interval
                 ORDER BY at DESC LIMIT 1) v ON true
               WHERE v.unit_value > 0""",
            {"book": book, "since": since, "end": end, "within": VALUED_WITHIN},
        )
        return {
            day: _Worth(equity=float(equity), unit_value=float(unit_value))
            for day, equity, unit_value in cursor.fetchall()
        }


def _read_moves(
    book: str, instruments: Sequence[Instrument], *, start: datetime, end: datetime
) -> dict[str, _Moves]:
    """All fills, since what is held follows from them; funding from ``start`` on."""
    names = {item.pk: item.symbol for item in instruments}
    found = {name: _Moves() for name in names.values()}
    days = FillDay.objects.filter(book=book, day__lt=end.date()).values("instrument_id", "day")
    for row in days.annotate(
        bought=Sum("quantity"), left=Sum("held"), quote=Sum("paid"), costs=Sum("fees")
    ).order_by("day"):
        found[names[row["instrument_id"]]].days.append(
            _DayMoves(
                day=datetime.combine(row["day"], time(), tzinfo=UTC),
                traded=DayTrade(
                    quantity=float(row["bought"]),
                    held=float(row["left"]),
                    paid=float(row["quote"]),
                ),
                fees=float(row["costs"]),
            )
        )
    paid = FundingPayment.objects.filter(book=book, stamp__gte=start, stamp__lt=end)
    by_day = paid.values_list("instrument_id", TruncDate("stamp", tzinfo=UTC))
    for pk, day, amount in by_day.annotate(total=Sum("amount")).order_by():
        found[names[pk]].funding[day] = float(amount)
    return found


def _read_flows(book: str, *, start: datetime, end: datetime) -> dict[date, float]:
    """Money that came or left, by day and weighted by how much of the day it was there.

    The valuation at midnight stands before the dealing of that instant.
    """
    found: dict[date, float] = {}
    rows = BookFlow.objects.filter(book=book, occurred_at__gte=start, occurred_at__lt=end)
    for at, amount in rows.values_list("occurred_at", "amount"):
        share = 1.0 - (at - utc_midnight(at)) / DAY
        found[at.date()] = found.get(at.date(), 0.0) + share * float(amount)
    return found
