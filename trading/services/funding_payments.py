"""Booking the funding that the venue charged or paid: each stamp of a position once.

Only the gateway role may write these rows.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from django.db import connection

from magnetfund.kernel.clock import isoformat_z, utc_now
from magnetfund.kernel.errors import InvariantBroken
from trading.models import FundingPayment, Instrument

#: One statement, so that payments and positions stand or fall together, whoever else writes them;
#: one JSON text, which is as long to read for one payment as for fifty.
PAY_FUNDING = """
WITH told AS (
    SELECT position.id, told.*
    FROM ROWS FROM (json_to_recordset(%(rows)s::json) AS (instrument int8, strategy text,
        stamp timestamptz, rate float8, notional numeric, amount numeric, recorded timestamptz))
        WITH ORDINALITY
        AS told (instrument, strategy, stamp, rate, notional, amount, recorded, place)
    JOIN trading_position AS position ON position.book = %(book)s
     AND position.instrument_id = told.instrument AND position.strategy = told.strategy
), paid AS (
    INSERT INTO trading_fundingpayment
           (book, instrument_id, strategy, stamp, rate, notional, amount, recorded_at)
    SELECT %(book)s, instrument, strategy, stamp, rate, notional, amount, recorded
    FROM told ORDER BY place
    ON CONFLICT DO NOTHING RETURNING instrument_id, strategy, amount
), summed AS (
    SELECT instrument_id, strategy, sum(amount) AS amount FROM paid GROUP BY 1, 2
), moved AS (
    UPDATE trading_position AS position SET funding = position.funding + summed.amount FROM summed
    WHERE position.book = %(book)s AND position.instrument_id = summed.instrument_id
      AND position.strategy = summed.strategy
)
SELECT count(*) FROM paid
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class FundingPaid:
    """A funding payment of a sleeve's position at a stamp; what was received is above 0."""

    instrument: Instrument
    strategy: str
    stamp: datetime
    rate: float
    notional: Decimal
    amount: Decimal
    recorded_at: datetime = field(default_factory=utc_now)


class FundingLog:
    """The payments of a book.  A history (``is_history``) keeps them until something reads them."""

    def __init__(self, book: str, *, is_history: bool) -> None:
        self._book = book
        self._is_history = is_history
        self._kept: list[FundingPaid] = []

    def note(self, paid: FundingPaid) -> None:
        """Book a payment, or keep it for :meth:`save`."""
        self._kept.append(paid)
        if not self._is_history:
            self.save()

    def save(self) -> None:
        """Book what was kept."""
        if self._kept:
            record_funding(self._book, self._kept)
            self._kept = []


def record_funding(book: str, payments: Sequence[FundingPaid]) -> None:
    """Book funding payments of a book in their order; a repeated stamp changes nothing.

    Raises :class:`InvariantBroken` where there is no position.
    """
    rows = [
        {
            "instrument": paid.instrument.pk,
            "strategy": paid.strategy,
            "stamp": isoformat_z(paid.stamp),
            "rate": paid.rate,
            "notional": f"{paid.notional:f}",
            "amount": f"{paid.amount:f}",
            "recorded": isoformat_z(paid.recorded_at),
        }
        for paid in payments
    ]
    with connection.cursor() as cursor:
        cursor.execute(PAY_FUNDING, {"book": book, "rows": json.dumps(rows)})
        (booked,) = cursor.fetchone()
    if booked < len(rows):
        for paid in payments:
            _require_paid(book, paid)


def _require_paid(book: str, paid: FundingPaid) -> None:
    known = FundingPayment.objects.filter(
        book=book, instrument=paid.instrument, strategy=paid.strategy, stamp=paid.stamp
    )
    if not known.exists():
        raise InvariantBroken(f"funding of {paid.strategy} without a position")
