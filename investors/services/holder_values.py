"""The daily value of each investor, struck or estimated, as the portal's curve shows it."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

from django.db import connection
from django.db.models import Case, F, Q, QuerySet, Sum, Value, When
from django.db.models.functions import Coalesce

from investors.models import (
    DealingOrder,
    DealingProposal,
    Distribution,
    Fund,
    InvestorSnapshot,
    NavStrike,
    UnitEntry,
)
from investors.models.dealing import MADE
from magnetfund.core.fields import ExactField
from magnetfund.kernel.money import quantize

ZERO, CENT = Decimal(0), Decimal("0.01")
#: Money that an order put in; below zero what it took out or is owed.
PUT_IN = Case(
    When(kind=DealingOrder.Kind.SUBSCRIPTION, then=F("funded_amount")),
    # Out when it is declared, in again when it buys units.
    When(kind=DealingOrder.Kind.REINVESTMENT, dealt_units__gt=0, then=Value(ZERO)),
    When(kind=DealingOrder.Kind.REINVESTMENT, then=-F("amount")),
    default=-Coalesce(F("dealt_amount"), Value(ZERO)),
    output_field=ExactField(),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class HolderValue:
    """Units of one investor over all classes and what they are worth, in cents."""

    units: Decimal
    value: Decimal


def write_snapshots(
    fund: Fund, *, day: date, values: Mapping[UUID, HolderValue], is_estimate: bool
) -> int:
    """Keep one day's value of everybody who ever dealt in the fund."""
    total = sum((held.value for held in values.values()), ZERO)
    nothing = HolderValue(units=ZERO, value=ZERO)
    invested = net_invested(fund)
    InvestorSnapshot.objects.bulk_create(
        [
            InvestorSnapshot(
                investor_id=who,
                day=day,
                units=values.get(who, nothing).units,
                value=values.get(who, nothing).value,
                net_invested=invested[who],
                share_of_fund=float(values.get(who, nothing).value / total) if total > 0 else 0.0,
                is_estimate=is_estimate,
            )
            for who in sorted(invested, key=str)
        ],
        batch_size=5000,
        update_conflicts=True,
        unique_fields=["investor", "day"],
        update_fields=["units", "value", "net_invested", "share_of_fund", "is_estimate"],
    )
    return len(invested)


def net_invested(fund: Fund, *, until: datetime | None = None) -> dict[UUID, Decimal]:
    """Money put in less money taken out, per investor who ever dealt.

    A distribution is taken out when it is declared.  Units that were transferred (up to
    ``until``) count as taken out by the giver and put in by the receiver, at what they were worth
    at the NAV before, less what was distributed on them since: that went to who held them then.
    What a side pocket set apart counts as taken out, at its net value of that NAV, and what was
    merged back as put in.
    """
    orders = DealingOrder.objects.filter(share_class__fund=fund).exclude(
        kind=DealingOrder.Kind.SWITCH
    )
    orders = orders.filter(Q(dealt_amount__isnull=False) | Q(kind__in=MADE))
    if until is not None:
        orders = orders.exclude(kind__in=MADE, received_at__gt=until)
    found: dict[UUID, Decimal] = dict(
        orders.order_by().values_list("investor_id").annotate(put_in=Sum(PUT_IN))
    )
    transfers = DealingProposal.objects.filter(
        share_class__fund=fund, kind=DealingProposal.Kind.TRANSFER, is_approved=True
    )
    if until is not None:
        transfers = transfers.filter(decided_at__lte=until)
    paid = _distributed_before(fund, transfers)
    for row in transfers.only("investor_id", "receiver_id", "value"):
        worth = (row.value or ZERO) - paid.get(row.pk, ZERO)
        found[row.investor_id] = found.get(row.investor_id, ZERO) - worth
        if row.receiver_id is not None:
            found[row.receiver_id] = found.get(row.receiver_id, ZERO) + worth
    for who, value in _set_apart(fund, until):
        found[who] = found.get(who, ZERO) - value
    return found


def _set_apart(fund: Fund, until: datetime | None) -> list[tuple[UUID, Decimal]]:
    """Net value of each investor's units as they went into side pockets, less what came back of
    them, in cents."""
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT h.investor_id, round(-sum(u.units * n.net_value_per_unit), 2)
               FROM investors_unitentry u JOIN investors_unitlot l ON l.id = u.lot_id
               JOIN investors_holding h ON h.id = l.holding_id
               JOIN investors_lotnav n ON n.lot_id = u.lot_id AND n.strike_id = u.strike_id
               WHERE u.fund_id = %s AND u.kind = 'side_pocket_out'
                 AND (%s::timestamptz IS NULL OR u.effective_at <= %s)
               GROUP BY h.investor_id, u.strike_id
               UNION ALL
               SELECT h.investor_id, round(-sum(u.units * u.price), 2)
               FROM investors_unitentry u JOIN investors_unitlot l ON l.id = u.lot_id
               JOIN investors_holding h ON h.id = l.holding_id
               WHERE u.fund_id = %s AND u.kind = 'merge'
                 AND (%s::timestamptz IS NULL OR u.effective_at <= %s)
               GROUP BY h.investor_id, u.strike_id""",
            [fund.pk, until, until] * 2,
        )
        found: list[tuple[UUID, Decimal]] = cursor.fetchall()
    return found


def _distributed_before(fund: Fund, transfers: QuerySet[DealingProposal]) -> dict[UUID, Decimal]:
    """What was distributed on the units of each transfer between the NAV that valued them and the
    transfer, in cents."""
    declared = Distribution.objects.filter(share_class__fund=fund, is_approved=True)
    if not declared.exists():
        return {}
    struck = list(
        fund.strikes.filter(state=NavStrike.State.DEALT)
        .order_by("valuation_at")
        .values_list("valuation_at", flat=True)
    )
    each: dict[tuple[int, int], list[tuple[datetime, Decimal]]] = {}
    for item, at, per_unit in declared.values_list(
        "share_class_id", "decided_at", "lowers_marks_by"
    ):
        if at is not None and per_unit is not None:
            each.setdefault((item, bisect_left(struck, at)), []).append((at, per_unit))
    found: dict[UUID, Decimal] = {}
    for row in transfers.only("share_class_id", "decided_at"):
        assert row.decided_at is not None
        paid = each.get((row.share_class_id, bisect_left(struck, row.decided_at)), [])
        per_unit = sum((one for at, one in paid if at <= row.decided_at), ZERO)
        if per_unit:
            moved = UnitEntry.objects.filter(
                kind=UnitEntry.Kind.TRANSFER_IN, entry__source_ref=f"units_transferred:{row.pk}"
            ).aggregate(total=Sum("units"))["total"]
            found[row.pk] = quantize((moved or ZERO) * per_unit, CENT)
    return found
