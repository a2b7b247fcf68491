"""What stands apart in side pockets: claims and capital by the ledger, units by their movements."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Sum

from investors.domain.ledger.chart import POCKET_ASSETS, POCKET_CAPITAL, UNITS_HELD
from investors.domain.strike import PocketLot
from investors.models import Fund, PocketChange, ShareClass, SidePocket

ZERO = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class PocketBalance:
    """One pocket by the ledger: what the claim is carried at, and the capital of its units."""

    name: str
    assets: Decimal
    capital: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class PocketHolding:
    """Pocket units that belong to one lot of one holder, and what they are carried at before any
    fee."""

    pocket: SidePocket
    investor: UUID
    share_class: str
    lot: int
    entry_day: date
    units: Decimal
    value: Decimal
    mark: Decimal


def read_pocket_balances(fund: Fund, *, before: datetime | None = None) -> dict[str, PocketBalance]:
    """By name, in the fund's currency, over entries effective strictly before an instant."""
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT p.instrument,
                      coalesce(sum(p.amount) FILTER (WHERE p.account_id = %s), 0),
                      coalesce(-sum(p.amount) FILTER (WHERE p.account_id = %s), 0)
               FROM investors_posting p JOIN investors_entry e ON e.id = p.entry_id
               WHERE e.fund_id = %s AND p.account_id = ANY(%s) AND p.currency = %s
                 AND (%s::timestamptz IS NULL OR e.effective_at < %s)
               GROUP BY p.instrument ORDER BY p.instrument""",
            [
                POCKET_ASSETS, POCKET_CAPITAL, fund.pk, [POCKET_ASSETS, POCKET_CAPITAL],
                fund.currency, before, before,
            ],
        )  # fmt: skip
        return {
            name: PocketBalance(name=name, assets=assets, capital=capital)
            for name, assets, capital in cursor.fetchall()
        }


def read_merged(fund: Fund) -> dict[UUID, datetime]:
    """The NAV's instant at which each pocket that came back became main units."""
    rows = PocketChange.objects.filter(pocket__fund=fund, kind=PocketChange.Kind.MERGE)
    return dict(rows.exclude(strike=None).values_list("pocket_id", "strike__valuation_at"))


def compare_pockets(fund: Fund, *, before: datetime | None = None) -> list[str]:
    """Sentences about every pocket whose claim, capital and units do not agree.

    The claim is the capital of its units; both are the sum of what the movements brought, and the
    units of each class in the ledger are those of the movements.
    """
    units, values = _moved(fund, before)
    held = _held(fund, before)
    balances = read_pocket_balances(fund, before=before)
    found = []
    for name in sorted({*balances, *values}):
        stands = balances.get(name, PocketBalance(name=name, assets=ZERO, capital=ZERO))
        if stands.assets != stands.capital:
            found.append(
                f"{name}: a claim of {stands.assets} stands against capital of {stands.capital}"
            )
        if stands.capital != values.get(name, ZERO):
            found.append(
                f"{name}: capital {stands.capital}, by its movements {values.get(name, ZERO)}"
            )
    return found + [
        f"{name} class {code}: {units.get((name, code), ZERO)} units, "
        f"ledger {held.get((name, code), ZERO)}"
        for name, code in sorted({*units, *held})
        if units.get((name, code), ZERO) != held.get((name, code), ZERO)
    ]


def _moved(
    fund: Fund, before: datetime | None
) -> tuple[dict[tuple[str, str], Decimal], dict[str, Decimal]]:
    units: dict[tuple[str, str], Decimal] = {}
    values: dict[str, Decimal] = {}
    for name, code, moved, value in _rows(
        """SELECT 'SP-' || k.number, c.code, sum(x.units), sum(x.value)
           FROM investors_pocketentry x JOIN investors_sidepocket k ON k.id = x.pocket_id
           JOIN investors_unitlot l ON l.id = x.lot_id
           JOIN investors_shareclass c ON c.id = l.share_class_id
           WHERE k.fund_id = %s AND (%s::timestamptz IS NULL OR x.effective_at < %s)
           GROUP BY 1, 2""",
        [fund.pk, before, before],
    ):
        units[name, code] = moved
        values[name] = values.get(name, ZERO) + value
    return units, values


def _held(fund: Fund, before: datetime | None) -> dict[tuple[str, str], Decimal]:
    """Pocket units by the ledger, where those of each pocket and class are a currency."""
    prefix = f"U:{fund.code}:"
    found = {}
    for currency, units in _rows(
        """SELECT p.currency, sum(p.amount)
           FROM investors_posting p JOIN investors_entry e ON e.id = p.entry_id
           WHERE e.fund_id = %s AND p.account_id = %s AND p.instrument LIKE 'SP-%%'
             AND starts_with(p.currency, %s) AND (%s::timestamptz IS NULL OR e.effective_at < %s)
             AND p.currency <> %s || p.share_class
           GROUP BY 1""",
        [fund.pk, UNITS_HELD, prefix, before, before, prefix],
    ):
        code, _, name = currency.removeprefix(prefix).rpartition(":")
        found[name, code] = units
    return {key: units for key, units in found.items() if units}


def read_pocket_lots(
    pocket: UUID, *, before: datetime | None = None, known_at: datetime | None = None
) -> list[PocketLot]:
    """Pocket units of each lot with their carrying value, by number of the lot: effective strictly
    before an instant, recorded by another."""
    return [
        PocketLot(lot=lot, share_class=code, holder=who, units=units, price=price, value=value,
                  mark=mark, clock=clock)
        for lot, code, who, units, price, value, mark, clock in _rows(
            """SELECT x.lot_id::text, c.code, h.investor_id::text, sum(x.units),
                      max(x.price) FILTER (WHERE x.kind IN ('created', 'transfer_in')),
                      sum(x.value), max(x.high_water_mark), max(x.hurdle_start)
               FROM investors_pocketentry x JOIN investors_unitlot l ON l.id = x.lot_id
               JOIN investors_holding h ON h.id = l.holding_id
               JOIN investors_shareclass c ON c.id = l.share_class_id
               WHERE x.pocket_id = %s AND (%s::timestamptz IS NULL OR x.effective_at < %s)
                 AND (%s::timestamptz IS NULL OR x.recorded_at <= %s)
               GROUP BY x.lot_id, l.number, c.code, h.investor_id
               HAVING sum(x.units) > 0 ORDER BY l.number""",
            [pocket, before, before, known_at, known_at],
        )
    ]  # fmt: skip


def read_parts_of_holding(
    investor: UUID, share_class: ShareClass
) -> list[tuple[SidePocket, PocketLot]]:
    """Every side pocket's part of each lot of one holder in a class, by number of both."""
    pockets = SidePocket.objects.filter(
        entries__lot__holding__investor=investor, entries__lot__share_class=share_class
    )
    return [
        (pocket, lot)
        for pocket in pockets.distinct().order_by("number")
        for lot in read_pocket_lots(pocket.pk)
        if (lot.holder, lot.share_class) == (str(investor), share_class.code)
    ]


def read_pocket_holdings(
    fund: Fund, *, investor: UUID | None = None, at: datetime | None = None
) -> list[PocketHolding]:
    """Pocket units by lot with what they are carried at, of one investor or of all, up to an
    instant, by pocket, holder and number of the lot."""
    rows = _rows(
        """SELECT x.pocket_id, h.investor_id, c.code, l.number, l.dealing_day, sum(x.units),
                  sum(x.value), max(x.high_water_mark)
           FROM investors_pocketentry x JOIN investors_sidepocket k ON k.id = x.pocket_id
           JOIN investors_unitlot l ON l.id = x.lot_id
           JOIN investors_holding h ON h.id = l.holding_id
           JOIN investors_investor i ON i.id = h.investor_id
           JOIN investors_shareclass c ON c.id = l.share_class_id
           WHERE k.fund_id = %s AND (%s::uuid IS NULL OR h.investor_id = %s)
             AND (%s::timestamptz IS NULL OR x.effective_at <= %s)
           GROUP BY x.pocket_id, k.number, h.investor_id, i.number, c.code, l.number,
             l.dealing_day
           HAVING sum(x.units) > 0 ORDER BY k.number, i.number, c.code, l.number""",
        [fund.pk, investor, investor, at, at],
    )
    pockets = fund.pockets.in_bulk(list({row[0] for row in rows}))
    return [
        PocketHolding(
            pocket=pockets[pocket], investor=who, share_class=code, lot=lot, entry_day=day,
            units=units, value=value, mark=mark,
        )
        for pocket, who, code, lot, day, units, value, mark in rows
    ]  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnPocket:
    """One holder's part of one side pocket over all of his lots, before any fee."""

    pocket: SidePocket
    units: Decimal
    value: Decimal


def read_own_pockets(investor: UUID) -> list[OwnPocket]:
    """What an investor holds of side pockets, by fund and number."""
    rows = (
        SidePocket.objects.filter(entries__lot__holding__investor=investor)
        .annotate(own_units=Sum("entries__units"), own_value=Sum("entries__value"))
        .filter(own_units__gt=0)
        .select_related("fund", "strike")
        .defer("strike__inputs")
        .order_by("fund__code", "number")
    )
    return [OwnPocket(pocket=row, units=row.own_units, value=row.own_value) for row in rows]


def group_by_holder(rows: Iterable[PocketHolding]) -> dict[UUID, list[PocketHolding]]:
    """The same by investor."""
    found: dict[UUID, list[PocketHolding]] = {}
    for row in rows:
        found.setdefault(row.investor, []).append(row)
    return found


def read_set_apart(
    fund: Fund, *, until: datetime, asked: list[UUID] | None
) -> list[tuple[UUID, datetime, Decimal, Decimal]]:
    """What left the classes for side pockets before an instant (below zero), or came back: holder,
    NAV, net value in cents and value before fees.  What comes back has paid its fee."""
    return _rows(
        """SELECT h.investor_id, u.effective_at,
                  round(sum(u.units * n.net_value_per_unit), 2), sum(u.units * u.price)
           FROM investors_unitentry u JOIN investors_unitlot l ON l.id = u.lot_id
           JOIN investors_holding h ON h.id = l.holding_id
           JOIN investors_lotnav n ON n.lot_id = u.lot_id AND n.strike_id = u.strike_id
           WHERE u.fund_id = %s AND u.effective_at < %s AND u.kind = 'side_pocket_out'
             AND (%s::uuid[] IS NULL OR h.investor_id = ANY(%s))
           GROUP BY 1, 2
           UNION ALL
           SELECT h.investor_id, u.effective_at, round(sum(u.units * u.price), 2),
                  round(sum(u.units * u.price), 2)
           FROM investors_unitentry u JOIN investors_unitlot l ON l.id = u.lot_id
           JOIN investors_holding h ON h.id = l.holding_id
           WHERE u.fund_id = %s AND u.effective_at < %s AND u.kind = 'merge'
             AND (%s::uuid[] IS NULL OR h.investor_id = ANY(%s))
           GROUP BY 1, 2""",
        [fund.pk, until, asked, asked] * 2,
    )


def has_pocket_units(investor: UUID, fund: Fund | None = None) -> bool:
    """Whether an investor holds units of a side pocket, of one fund or of any."""
    return bool(
        _rows(
            """SELECT 1 FROM investors_pocketentry x
               JOIN investors_unitlot l ON l.id = x.lot_id
               JOIN investors_holding h ON h.id = l.holding_id
               JOIN investors_shareclass c ON c.id = l.share_class_id
               WHERE h.investor_id = %s AND (%s::bigint IS NULL OR c.fund_id = %s)
               GROUP BY x.pocket_id, x.lot_id HAVING sum(x.units) > 0 LIMIT 1""",
            [investor, None if fund is None else fund.pk, None if fund is None else fund.pk],
        )
    )


def _rows(sql: str, params: list[Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        found: list[tuple[Any, ...]] = cursor.fetchall()
    return found
