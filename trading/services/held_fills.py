"""What the sleeves of a book held at an instant, from the fills before it."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from django.db import connection

from trading.domain.positions import NetPosition
from trading.services.fills import rebuild_positions

#: The fills of what each sleeve holds, from the one that opened it; of that one, if it closed the
#: other side first, the part that opened.
HELD = """
WITH added AS (
  SELECT id, instrument_id, strategy, side, quantity, price, fee, occurred_at,
         sum(CASE side WHEN 'buy' THEN quantity ELSE -quantity END) OVER told AS held,
         row_number() OVER told AS place
  FROM trading_fill WHERE book = %(book)s AND occurred_at < %(before)s
  WINDOW told AS (PARTITION BY instrument_id, strategy ORDER BY occurred_at, id)
), turned AS (
  SELECT *, sign(held) IS DISTINCT FROM sign(lag(held) OVER sleeve) AS turns FROM added
  WINDOW sleeve AS (PARTITION BY instrument_id, strategy ORDER BY place)
), opened AS (
  SELECT *, max(place) FILTER (WHERE turns) OVER (PARTITION BY instrument_id, strategy) AS first
  FROM turned
)
SELECT instrument_id, strategy, side,
       CASE WHEN place = first THEN abs(held) ELSE quantity END, price, fee, occurred_at
FROM opened WHERE place >= first AND held <> 0 ORDER BY occurred_at, id
"""


class HeldFill(NamedTuple):
    """A fill of what is held."""

    instrument_id: int
    strategy: str
    side: str
    quantity: Decimal
    price: Decimal
    fee: Decimal
    occurred_at: datetime


def held_at(book: str, *, before: datetime) -> dict[tuple[int, str], NetPosition]:
    """Quantity and average price of what each sleeve held, by instrument key and strategy; one
    that held nothing is left out.

    A book has ever more fills, so PostgreSQL adds them up and gives those since the one that opened
    what is held: no older one has a part in it.  What was realised before it is left out too.
    """
    with connection.cursor() as cursor:
        cursor.execute(HELD, {"book": book, "before": before})
        return rebuild_positions(HeldFill(*values) for values in cursor.fetchall())
