"""Orders, fills, positions and trades of one book against each other."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from django.db import connection

from trading.domain.orders import FINAL_STATES
from trading.domain.positions import NetPosition
from trading.models import Fill, FundingPayment, Position
from trading.services.fills import fold_fills
from trading.services.settlement import describe_unsettled, find_unsettled

ZERO = Decimal(0)
#: Stored columns end at the eighteenth decimal; sums of them may differ far behind it.
CLOSE = Decimal("1e-9")
#: A rate is a float; what it makes of a notional is kept to the eighth decimal.
RATE_CLOSE = Decimal("1e-6")
SHOWN = 40


def find_position_differences(book: str) -> list[str]:
    """Stored positions agree with positions rebuilt from fills, and so does each fill's profit."""
    rebuilt: dict[tuple[int, str], NetPosition] = {}
    found: list[str] = []
    rows = Fill.objects.filter(book=book).order_by("occurred_at", "id")
    for row, effect in fold_fills(rows.iterator(chunk_size=2_000)):
        rebuilt[row.instrument_id, row.strategy] = effect.position
        if abs(effect.realised - row.realised) > CLOSE:
            found.append(
                f"fill {row.pk}: stored profit {row.realised}, recomputed {effect.realised}"
            )
    for stored in Position.objects.filter(book=book).select_related("instrument"):
        ours = rebuilt.pop((stored.instrument_id, stored.strategy), NetPosition())
        if ours.quantity != stored.quantity or abs(
            ours.average_price - stored.average_price
        ) > Decimal("1e-12"):
            found.append(
                f"{stored.instrument.symbol} {stored.strategy}: stored {stored.quantity} at "
                f"{stored.average_price}, recomputed from fills {ours.quantity} at "
                f"{ours.average_price}"
            )
    found += [f"fills without a position: {key}" for key, p in rebuilt.items() if p.quantity]
    return found[:SHOWN]


def find_order_differences(book: str) -> list[str]:
    """Orders are settled, and agree with their events, their fills and the check that let them
    pass."""
    unsettled = [describe_unsettled(order) for order in find_unsettled(book)[:SHOWN]]
    return [*unsettled, *_find_orders(book)][:SHOWN]


def _find_orders(book: str) -> Iterator[str]:
    with connection.cursor() as cursor:
        cursor.execute(ORDERS, [book])
        rows = cursor.fetchall()
    final = {state.value for state in FINAL_STATES} | {"DENIED"}
    for row in rows:
        (
            pk, state, filled, price, closed_at, steps, newest, last, joined, executed,
            worth, fits, has_check, checked,
        ) = row  # fmt: skip
        what = f"order {str(pk)[:8]}"
        if steps != newest or not joined or last != state:
            yield f"{what}: state {state}, its events lead to {last}"
        if filled != executed:
            yield f"{what}: {filled} filled, its fills add to {executed}"
        if executed and abs(price * executed - worth) > CLOSE * worth:
            yield f"{what}: average price {price}, by its fills {worth / executed}"
        if not fits:
            yield f"{what}: a fill is of another instrument, side or sleeve"
        if (closed_at is not None) != (state in final):
            yield f"{what}: state {state}, closed at {closed_at}"
        if has_check and not checked:
            yield f"{what}: the check that it names did not accept it"


ORDERS = """
SELECT o.id, o.state, o.filled_quantity, o.average_price, o.closed_at,
       e.steps, e.newest, e.last, e.joined, coalesce(f.executed, 0), coalesce(f.worth, 0),
       coalesce(f.fits, true), o.pretrade_check IS NOT NULL,
       o.state = 'DENIED' OR (c.accepted AND c.order_id = o.id AND c.side = o.side
         AND c.quantity = o.quantity AND c.book = o.book)
FROM trading_order o
LEFT JOIN LATERAL (
  SELECT count(*) AS steps, max(s.seq) AS newest,
         (array_agg(s.to_state ORDER BY s.seq DESC))[1] AS last,
         bool_and(s.seq = 1 OR s.from_state = s.before) AS joined
  FROM (SELECT v.*, lag(v.to_state) OVER (ORDER BY v.seq) AS before
        FROM trading_orderevent v WHERE v.order_id = o.id) s) e ON true
LEFT JOIN LATERAL (
  SELECT sum(x.quantity) AS executed, sum(x.quantity * x.price) AS worth,
         bool_and(x.instrument_id = o.instrument_id AND x.side = o.side
           AND x.strategy = o.strategy AND x.book = o.book AND x.venue = o.venue) AS fits
  FROM trading_fill x WHERE x.order_id = o.id) f ON true
LEFT JOIN risk_pretradecheck c ON c.id = o.pretrade_check
WHERE o.book = %s ORDER BY o.occurred_at, o.id
"""


def find_trade_differences(book: str) -> list[str]:
    """Closed trades and open positions together have earned what fills and funding say."""
    found = []
    with connection.cursor() as cursor:
        cursor.execute(TRADES, [book] * 4)
        for symbol, strategy, *pairs in cursor.fetchall():
            told = zip(("profit", "fees", "funding"), pairs[::2], pairs[1::2], strict=True)
            found += [
                f"{symbol} {strategy}: {name} of trades {stored}, of fills {again}"
                for name, stored, again in told
                if abs(stored - again) > CLOSE
            ]
        cursor.execute(
            "SELECT id, net_pnl, gross_pnl - commission + funding FROM trading_trade "
            "WHERE book = %s AND net_pnl <> gross_pnl - commission + funding",
            [book],
        )
        found += [
            f"trade {str(pk)[:8]}: net {net}, recomputed {again}"
            for pk, net, again in cursor.fetchall()
        ]
    return found


TRADES = """
SELECT i.symbol, k.strategy, sum(k.gross), sum(k.realised), sum(k.commission), sum(k.fee),
       sum(k.funding), sum(k.paid)
FROM (
  SELECT instrument_id, strategy, gross_pnl AS gross, 0 AS realised, commission, 0 AS fee,
         funding, 0 AS paid FROM trading_trade WHERE book = %s
  UNION ALL SELECT instrument_id, strategy, realised, 0, fees, 0, funding, 0
    FROM trading_position WHERE book = %s
  UNION ALL SELECT instrument_id, strategy, 0, realised, 0, fee, 0, 0
    FROM trading_fill WHERE book = %s
  UNION ALL SELECT instrument_id, strategy, 0, 0, 0, 0, 0, amount
    FROM trading_fundingpayment WHERE book = %s) k
JOIN trading_instrument i ON i.id = k.instrument_id GROUP BY i.symbol, k.strategy
"""


def find_payment_differences(book: str) -> list[str]:
    """Funding is its rate on its notional."""
    found: list[str] = []
    for row in FundingPayment.objects.filter(book=book).select_related("instrument"):
        again = abs(row.notional * Decimal(repr(row.rate)))
        if abs(abs(row.amount) - again) > max(RATE_CLOSE, again * RATE_CLOSE):
            found.append(
                f"funding of {row.instrument.symbol} at {row.stamp:%Y-%m-%d %H:%M}: stored "
                f"{row.amount}, recomputed {again} either way"
            )
    return found[:SHOWN]
