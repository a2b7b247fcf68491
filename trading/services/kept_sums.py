"""The kept sums of fills and trades against the rows that they are sums of."""

from __future__ import annotations

from typing import Any

from django.db import connection

from trading.models import Order
from trading.selectors.attribution import EDGES, LEVERAGES

SHOWN = 40
DIFFERING = """
WITH again ({names}) AS ({again}), kept AS (SELECT {names} FROM {table} WHERE book = %(book)s)
SELECT DISTINCT i.symbol, d.strategy, d.day FROM (
  (TABLE again EXCEPT TABLE kept) UNION ALL (TABLE kept EXCEPT TABLE again)) d
JOIN trading_instrument i ON i.id = d.instrument_id ORDER BY 3, 2, 1 LIMIT {shown}
"""
FILL_NAMES = "instrument_id, strategy, day, fills, quantity, held, paid, fees"
FILLS = """
SELECT instrument_id, strategy, (occurred_at AT TIME ZONE 'UTC')::date, count(*), sum(signed),
  sum(round(signed * (86400 - extract(epoch FROM (occurred_at AT TIME ZONE 'UTC')::time))
    / 86400, 18)),
  sum(round(signed * price, 18)), sum(fee)
FROM (SELECT *, quantity * CASE WHEN side = %(buy)s THEN 1 ELSE -1 END AS signed FROM trading_fill
      WHERE book = %(book)s) f
GROUP BY 1, 2, 3
"""
TRADE_NAMES = (
    "instrument_id, strategy, day, leverage_band, closure_reason, trades, won, lost, gross,"
    " commission, funding, slippage, net, won_net, lost_net, best, worst, last_closed_at, shares,"
    " shares_1, shares_2, shares_3, share_best, share_worst, bins"
)
TRADES = """
SELECT instrument_id, strategy, (closed_at AT TIME ZONE 'UTC')::date,
  (SELECT count(*) FROM unnest(%(leverages)s::float8[]) edge WHERE leverage > edge) AS band,
  closure_reason, count(*), sum((net_pnl > 0)::int), sum((net_pnl < 0)::int), sum(gross_pnl),
  sum(commission), sum(funding), sum(slippage), sum(net_pnl),
  coalesce(sum(net_pnl) FILTER (WHERE net_pnl > 0), 0),
  coalesce(sum(net_pnl) FILTER (WHERE net_pnl < 0), 0), max(net_pnl), min(net_pnl), max(closed_at),
  count(share), coalesce(sum(share), 0), coalesce(sum(share * share), 0),
  coalesce(sum(share * share * share), 0), max(share), min(share),
  ARRAY[{bins}]
FROM (SELECT *, width_bucket(1000 * share, %(edges)s::numeric[]) AS bin
      FROM (SELECT *, round(net_pnl / nullif(greatest(account_balance, 0), 0), 18) AS share
            FROM trading_trade WHERE book = %(book)s) s) t
GROUP BY 1, 2, 3, 4, 5
"""


TOTALS_DIFFERING = """
WITH again AS (
  SELECT instrument_id, strategy, count(*) AS fills,
    sum(quantity * CASE WHEN side = %(buy)s THEN 1 ELSE -1 END) AS quantity
  FROM trading_fill WHERE book = %(book)s GROUP BY 1, 2),
kept AS (SELECT instrument_id, strategy, fills, quantity FROM trading_filltotal
  WHERE book = %(book)s)
SELECT DISTINCT i.symbol, d.strategy FROM (
  (TABLE again EXCEPT TABLE kept) UNION ALL (TABLE kept EXCEPT TABLE again)) d
JOIN trading_instrument i ON i.id = d.instrument_id ORDER BY 2, 1
"""


def make_sums(book: str) -> None:
    """Make all sums of a book anew; whoever books a fill meanwhile waits for it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT trading_sum_days(%(book)s), trading_sum_fills(%(book)s)",
                       {"book": book})  # fmt: skip


def find_sum_differences(book: str) -> list[str]:
    """Sums that pages and the wall of positions read agree with the fills and closed trades."""
    given: dict[str, Any] = {
        "book": book,
        "buy": Order.Side.BUY,
        "edges": [str(edge) for edge in EDGES],
        "leverages": [edge for edge, _ in LEVERAGES],
    }
    bins = ", ".join(f"count(*) FILTER (WHERE bin = {at})" for at in range(len(EDGES) + 1))
    found = []
    with connection.cursor() as cursor:
        for what, names, table, again in (
            ("fills", FILL_NAMES, "trading_fillday", FILLS),
            ("closed trades", TRADE_NAMES, "trading_tradeday", TRADES.format(bins=bins)),
        ):
            text = DIFFERING.format(again=again, names=names, table=table, shown=SHOWN)
            cursor.execute(text, given)
            found += [
                f"{symbol} {strategy}: the sums of {day:%Y-%m-%d} are not those of its {what}"
                for symbol, strategy, day in cursor.fetchall()
            ]
        cursor.execute(TOTALS_DIFFERING, given)
        found += [
            f"{symbol} {strategy}: the sum of all fills is not that of its fills"
            for symbol, strategy in cursor.fetchall()
        ]
    return found
