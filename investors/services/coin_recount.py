"""Coins of a fund counted again by their movements, for whoever checks what the ledger says.

It reads what trading and dealing recorded (fills, funding, flows) of the entries before an instant,
and none of the ledger's amounts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal

from django.db import connection

from investors.models import Fund
from investors.services.coin_values import read_market
from investors.services.trading_books import SleevePosition
from magnetfund.kernel.money import CARRIED

ZERO = Decimal(0)


def unrealised_by_symbol(positions: Iterable[SleevePosition]) -> dict[str, Decimal]:
    """The open result of each instrument, of all its sleeves."""
    found: dict[str, Decimal] = {}
    for position in positions:
        found[position.instrument] = found.get(position.instrument, ZERO) + position.unrealised
    return found


def recount_coins(
    fund: Fund, *, before: datetime, unrealised: Mapping[str, Decimal], own: str | None = None
) -> dict[str, list[Decimal]]:
    """The movements of each coin of a real market before an instant, the open result last.

    ``own`` is the coin of money whose entry names none; without it the one of flows now.
    """
    found_own, coins = read_market(fund)
    own = own or found_own
    found: dict[str, list[Decimal]] = {}
    for symbol, amount in [*_moved(fund, before), *unrealised.items()]:
        coin = symbol if symbol in CARRIED else coins.get(symbol, own)
        if coin and coin != fund.currency:
            found.setdefault(coin, []).append(amount)
    return found


def _moved(fund: Fund, before: datetime) -> list[tuple[str, Decimal]]:
    """Results less fees and funding by instrument, and what was sent by the coin of its entry."""
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT i.symbol, sum(f.realised - f.fee) FROM trading_fill f
                 JOIN trading_instrument i ON i.id = f.instrument_id
                 JOIN investors_entry e ON e.source_ref = 'fill:' || f.id
                 WHERE f.book = %(book)s AND e.fund_id = %(fund)s AND e.effective_at < %(at)s
                 GROUP BY 1
               UNION ALL SELECT i.symbol, sum(f.amount) FROM trading_fundingpayment f
                 JOIN trading_instrument i ON i.id = f.instrument_id
                 JOIN investors_entry e ON e.source_ref = 'funding:' || f.id
                 WHERE f.book = %(book)s AND e.fund_id = %(fund)s AND e.effective_at < %(at)s
                 GROUP BY 1
               UNION ALL SELECT (SELECT max(p.instrument) FROM investors_posting p
                   WHERE p.entry_id = e.id), b.amount FROM trading_bookflow b
                 JOIN investors_entry e ON e.source_ref = 'venue_funded:' || b.source_ref
                 WHERE b.book = %(book)s AND e.fund_id = %(fund)s AND e.effective_at < %(at)s
               UNION ALL SELECT '', b.amount FROM trading_bookflow b
                 WHERE b.book = %(book)s AND b.occurred_at < %(at)s
                   AND split_part(b.source_ref, ':', 1) IN (
                     'pocket', 'pocket-cash', 'pocket-merge')""",
            {"book": fund.book, "fund": fund.pk, "at": before},
        )
        return [(symbol or "", amount) for symbol, amount in cursor.fetchall()]
