"""The register of units: movements in their chain, lots, holdings and what holders were shown."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from django.db import connection
from django.db.models import Q

from investors.domain.ledger.chart import UNIT_CAPITAL, UNITS_HELD
from investors.models import DealingOrder, Fund, Holding, InvestorSnapshot, NavStrike, UnitLot
from investors.models.dealing import TAKING
from investors.services.dealing import OPEN_STATES
from investors.services.holder_values import net_invested
from magnetfund.kernel.chains import Link, find_chain_breaks, plain_instant
from magnetfund.kernel.identifiers import canonical
from magnetfund.kernel.money import quantize

ZERO, CENT = Decimal(0), Decimal("0.01")
BATCH = 5_000
SHOWN = 40


def find_unit_chain_breaks(fund: Fund) -> list[str]:
    """Every movement of units hashes to what was recorded, in an unbroken chain."""
    return list(find_chain_breaks(read_movements(fund), what="unit movement"))[:SHOWN]


def read_movements(fund: Fund) -> Iterator[Link]:
    """Movements of units in order, each with what its hash covers."""
    last = -(2**62)
    while True:
        with connection.cursor() as cursor:
            cursor.execute(
                """SELECT u.seq, u.id, u.lot_id, l.number, c.code, h.investor_id, u.kind, u.units,
                          u.price, u.high_water_mark, u.hurdle_start, u.strike_id, u.order_id,
                          u.entry_id, u.effective_at, u.recorded_at, u.prev_hash, u.row_hash
                   FROM investors_unitentry u JOIN investors_unitlot l ON l.id = u.lot_id
                   JOIN investors_shareclass c ON c.id = l.share_class_id
                   JOIN investors_holding h ON h.id = l.holding_id
                   WHERE u.fund_id = %s AND u.seq > %s ORDER BY u.seq LIMIT %s""",
                [fund.pk, last, BATCH],
            )
            rows = cursor.fetchall()
        for row in rows:
            yield _movement(fund, row)
        if len(rows) < BATCH:
            return
        last = rows[-1][0]


def _movement(fund: Fund, row: tuple[Any, ...]) -> Link:
    seq, pk, lot, number, code, holder, kind, units, price, mark, clock, *rest = row
    strike, order, entry, effective, recorded, previous, stored = rest
    values = [
        fund.pk, seq, pk, lot, number, code, holder, kind, canonical(units), canonical(price),
        canonical(mark), clock.isoformat(), strike, order, entry, plain_instant(effective),
        plain_instant(recorded),
    ]  # fmt: skip
    return Link(seq=seq, previous=bytes(previous), stored=bytes(stored), values=values)


def find_unit_differences(fund: Fund) -> list[str]:
    """Lots agree with their movements, holdings with their lots, the unit register with the
    ledger."""
    found = []
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT l.number, l.units, coalesce(sum(u.units), 0)
               FROM investors_unitlot l JOIN investors_shareclass c ON c.id = l.share_class_id
               LEFT JOIN investors_unitentry u ON u.lot_id = l.id
               WHERE c.fund_id = %s GROUP BY l.id
               HAVING l.units <> coalesce(sum(u.units), 0)""",
            [fund.pk],
        )
        found += [f"lot {n}: register {a} units, movements {b} units" for n, a, b in cursor]
        cursor.execute(
            """SELECT h.id, h.units, coalesce(sum(l.units), 0)
               FROM investors_holding h JOIN investors_shareclass c ON c.id = h.share_class_id
               LEFT JOIN investors_unitlot l ON l.holding_id = h.id
               WHERE c.fund_id = %s GROUP BY h.id
               HAVING h.units <> coalesce(sum(l.units), 0)""",
            [fund.pk],
        )
        found += [f"holding {n}: {a} units, sum of its lots {b} units" for n, a, b in cursor]
        cursor.execute(
            """SELECT p.lot, sum(p.amount) FROM investors_posting p
               JOIN investors_entry e ON e.id = p.entry_id
               WHERE e.fund_id = %s AND p.account_id = %s
                 AND p.currency = 'U:' || %s || ':' || p.share_class GROUP BY p.lot""",
            [fund.pk, UNITS_HELD, fund.code],
        )
        ledger = dict(cursor.fetchall())
    for lot in UnitLot.objects.filter(share_class__fund=fund):
        if ledger.get(lot.pk, ZERO) != lot.units:
            found.append(
                f"lot {lot.number}: register {lot.units}, ledger {ledger.get(lot.pk, ZERO)}"
            )
    return found


def find_lot_differences(fund: Fund) -> list[str]:
    """Price, mark, hurdle date and cost of every lot are those of its movements and its issue."""
    found = []
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT l.number, l.entry_price, f.price, l.high_water_mark, n.high_water_mark,
                      l.hurdle_start, n.hurdle_start, l.strike_id, f.strike_id, l.cost, paid.cost,
                      l.share_class_id = h.share_class_id,
                      l.parent_id IS NULL OR f.kind = 'merge'
               FROM investors_unitlot l
               JOIN investors_shareclass c ON c.id = l.share_class_id
               JOIN investors_holding h ON h.id = l.holding_id
               LEFT JOIN LATERAL (SELECT u.* FROM investors_unitentry u WHERE u.lot_id = l.id
                                  ORDER BY u.id LIMIT 1) f ON true
               LEFT JOIN LATERAL (SELECT u.* FROM investors_unitentry u WHERE u.lot_id = l.id
                                  ORDER BY u.id DESC LIMIT 1) n ON true
               LEFT JOIN LATERAL (SELECT -sum(p.amount) AS cost FROM investors_posting p
                                  WHERE p.lot = l.id AND p.entry_id = f.entry_id
                                    AND p.account_id = %s) paid ON true
               WHERE c.fund_id = %s ORDER BY l.number""",
            [UNIT_CAPITAL, fund.pk],
        )
        rows = cursor.fetchall()
    for number, *pairs, same_class, is_first in rows:
        if not same_class:
            found.append(f"lot {number}: its class is not that of its holding")
        price, first, mark, newest, clock, last, strike, issued_at, cost, paid = pairs
        if first is None and not is_first:
            continue  # a transfer gave it units of side pockets alone
        told = [("mark", mark, newest), ("hurdle date", clock, last)]
        if is_first:
            told += [("price", price, first), ("NAV", strike, issued_at), ("cost", cost, paid)]
        found += [
            f"lot {number}: {name} {stored}, by its movements {again}"
            for name, stored, again in told
            if stored != again
        ]
    return found


def find_reservation_differences(fund: Fund) -> list[str]:
    """Reserved units of every holding are those of its open redemptions and switches."""
    wanted: dict[tuple[Any, int], Decimal] = {}
    everything = set()
    for order in DealingOrder.objects.filter(
        share_class__fund=fund, kind__in=TAKING, state__in=OPEN_STATES
    ):
        key = (order.investor_id, order.share_class_id)
        wanted[key] = wanted.get(key, ZERO) + (order.units or ZERO)
        if order.is_all:
            everything.add(key)
    found = []
    for row in Holding.objects.filter(share_class__fund=fund).filter(
        Q(reserved_units__gt=0) | Q(investor_id__in=[who for who, _ in wanted])
    ):
        key = (row.investor_id, row.share_class_id)
        again = row.units if key in everything else wanted.get(key, ZERO)
        if row.reserved_units != again:
            found.append(
                f"holding {row.pk}: {row.reserved_units} units reserved, open orders ask for "
                f"{again}"
            )
    return found


def find_snapshot_differences(fund: Fund) -> list[str]:
    """What each holder was shown at each NAV agrees with movements, prices and fees."""
    found: list[str] = []
    elsewhere = set(
        Holding.objects.exclude(share_class__fund=fund).values_list("investor_id", flat=True)
    )
    strikes = list(NavStrike.objects.filter(fund=fund, state="dealt").order_by("valuation_at"))
    newest = {strike.valuation_at.date(): strike for strike in strikes}
    for day, strike in newest.items():
        again = _values_at(strike)
        rows = InvestorSnapshot.objects.filter(
            day=day, is_estimate=False, investor__holdings__share_class__fund=fund
        ).distinct()
        for row in rows.select_related("investor"):
            if row.investor_id in elsewhere:
                continue
            units, value = again.get(row.investor_id, (ZERO, ZERO))
            if (row.units, row.value) != (units, value):
                found.append(
                    f"holder {row.investor.number} at {day}: shown {row.units} units worth "
                    f"{row.value}, recomputed {units} worth {value}"
                )
    return found[:SHOWN] + (_find_invested(fund, newest[max(newest)]) if newest else [])


def _values_at(strike: NavStrike) -> dict[Any, tuple[Decimal, Decimal]]:
    """Units and value of each holder after the dealing at a NAV."""
    prices = {
        row.share_class_id: row.issue_price for row in strike.classes.select_related("share_class")
    }
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT h.investor_id, l.share_class_id, sum(u.units),
                      CASE WHEN bool_or(u.kind = 'fee_cancel' AND u.strike_id = %s) THEN 0
                           ELSE coalesce(max(n.performance_fee_per_unit), 0) END
               FROM investors_unitentry u JOIN investors_unitlot l ON l.id = u.lot_id
               JOIN investors_holding h ON h.id = l.holding_id
               LEFT JOIN investors_lotnav n ON n.lot_id = l.id AND n.strike_id = %s
               WHERE u.fund_id = %s AND u.effective_at <= %s
               GROUP BY h.investor_id, l.id, l.share_class_id HAVING sum(u.units) > 0""",
            [strike.pk, strike.pk, strike.fund_id, strike.valuation_at],
        )
        rows = cursor.fetchall()
    held: dict[Any, tuple[Decimal, Decimal]] = {}
    for who, class_id, units, fee in rows:
        had_units, had_value = held.get(who, (ZERO, ZERO))
        held[who] = (had_units + units, had_value + units * (prices[class_id] - fee))
    return {who: (units, quantize(value, CENT)) for who, (units, value) in held.items()}


def _find_invested(fund: Fund, strike: NavStrike) -> list[str]:
    """Money put in less taken out, as the newest struck day shows it."""
    day, invested = strike.valuation_at.date(), net_invested(fund, until=strike.valuation_at)
    rows = InvestorSnapshot.objects.filter(day=day, is_estimate=False, investor_id__in=invested)
    return [
        f"holder {row.investor.number} at {day}: shown {row.net_invested} put in, recomputed "
        f"{invested[row.investor_id]}"
        for row in rows.select_related("investor")
        if row.net_invested != invested[row.investor_id]
    ]
