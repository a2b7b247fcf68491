"""Orders of holders against the movements of units that dealt them and the lines that took them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.db import connection

from investors.models import DealingOrder, Fund
from magnetfund.core.models import AuditEvent

ZERO, CENT = Decimal(0), Decimal("0.01")
TAKEN_IN = tuple(f"order.{kind}" for kind in DealingOrder.Kind.values)


def find_dealing_differences(fund: Fund) -> list[str]:
    """Orders agree with the movements that dealt them and with the lines that took them in."""
    lines: dict[str, dict[str, Any]] = {}
    funded = set()
    told = AuditEvent.objects.filter(
        action__in=(*TAKEN_IN, "order.funded"), subject_type="dealing_order"
    )
    for action, pk, body in told.values_list("action", "subject_id", "body"):
        if action == "order.funded":
            funded.add(pk)
        else:
            lines[pk] = {**body, "action": action}
    moved = _read_moves(fund)
    found: list[str] = []
    for order in DealingOrder.objects.filter(share_class__fund=fund).order_by("received_at"):
        what = f"order {str(order.pk)[:8]} of {order.received_at:%Y-%m-%d}"
        found += [f"{what}: {words}" for words in _compare_line(order, lines.get(str(order.pk)))]
        if order.funded_at is not None and str(order.pk) not in funded:
            found.append(f"{what}: no audit line tells of its money")
        found += [f"{what}: {words}" for words in _compare_moves(order, moved.pop(order.pk, None))]
    return found + [f"order {pk}: units moved for an order that is not there" for pk in moved]


def _compare_line(order: DealingOrder, line: dict[str, Any] | None) -> list[str]:
    if line is None:
        return ["no audit line tells that it was taken in"]
    told: list[tuple[str, object, object]] = [
        ("kind", f"order.{order.kind}", line["action"]),
        ("holder", str(order.investor_id), line["investor"]),
        ("class", str(order.share_class_id), line["class"]),
    ]
    if order.into_class_id is not None:
        told.append(("class to switch into", str(order.into_class_id), line.get("into")))
    if order.amount is not None:
        told.append(("amount", order.amount, Decimal(line["amount"] or 0)))
    return [f"{name} {now}, taken in as {then}" for name, now, then in told if now != then]


def _compare_moves(order: DealingOrder, move: dict[str, Decimal] | None) -> list[str]:
    """Units, price and money of a dealt order.  Each lot of a redemption may round by a cent, and
    who leaves a class empty takes what the rounding of its price had left."""
    if move is None:
        return ["dealt without a movement of units"] if order.dealt_units else []
    if order.into_units != move["bought"]:
        return [f"{order.into_units} units bought, {move['bought']} units moved in"]
    found = []
    if (order.dealt_units or ZERO) != move["units"]:
        found.append(f"{order.dealt_units} units dealt, {move['units']} units moved")
    if order.dealt_price != move["price"]:
        found.append(f"dealt at {order.dealt_price}, units moved at {move['price']}")
    money = (order.dealt_amount or ZERO) + (order.fee_amount if order.takes_units else ZERO)
    if abs(money - move["money"]) > CENT * move["rows"] + move["rest"]:
        found.append(f"dealt for {money}, the movements are worth {move['money']}")
    return found


def _read_moves(fund: Fund) -> dict[Any, dict[str, Decimal]]:
    """Units, newest price, money and rows moved for each order; ``bought``: by a switch, ``rest``:
    the most that the rounding of a class left that the order's NAV emptied, as its wall allows."""
    with connection.cursor() as cursor:
        cursor.execute(
            """WITH emptied AS (
                 SELECT n.share_class_id AS class, n.strike_id AS strike,
                   0.01 * count(*) + n.units * r.step AS rest
                 FROM investors_classnav n
                 JOIN investors_unitlot l ON l.share_class_id = n.share_class_id
                 JOIN investors_unitentry u ON u.lot_id = l.id AND u.strike_id = n.strike_id
                   AND u.units < 0
                 CROSS JOIN LATERAL (SELECT max((p.terms ->> 'price_quantum')::numeric) AS step
                   FROM investors_classpolicyversion p WHERE p.share_class_id = n.share_class_id) r
                 WHERE u.fund_id = %s
                 GROUP BY n.share_class_id, n.strike_id, n.units, r.step
                 HAVING sum(-u.units) >= n.units)
               SELECT u.order_id,
                      abs(coalesce(sum(u.units) FILTER (WHERE u.kind <> 'switch_in'), 0)),
                      (array_agg(u.price ORDER BY u.id DESC)
                         FILTER (WHERE u.kind <> 'switch_in'))[1],
                      sum(CASE WHEN u.kind = 'switch_in' THEN 0 WHEN u.units > 0 THEN l.cost
                          ELSE -u.units * (u.price - coalesce(n.performance_fee_per_unit, 0)) END),
                      count(*),
                      coalesce(sum(u.units) FILTER (WHERE u.kind = 'switch_in'), 0),
                      coalesce(max(e.rest) FILTER (WHERE u.units < 0), 0)
               FROM investors_unitentry u JOIN investors_unitlot l ON l.id = u.lot_id
               LEFT JOIN investors_lotnav n ON n.lot_id = l.id AND n.strike_id = u.strike_id
               LEFT JOIN emptied e ON e.class = l.share_class_id AND e.strike = u.strike_id
               WHERE u.fund_id = %s AND u.order_id IS NOT NULL GROUP BY u.order_id""",
            [fund.pk, fund.pk],
        )
        return {
            order: {
                "units": units,
                "price": price,
                "money": money,
                "rows": Decimal(rows),
                "bought": bought,
                "rest": rest,
            }
            for order, units, price, money, rows, bought, rest in cursor.fetchall()
        }
