"""The daily value of each investor, struck or estimated, as the portal's curve shows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

from django.db.models import Q

from investors.models import DealingOrder, DealingProposal, Fund, InvestorSnapshot
from investors.models.dealing import DISTRIBUTED

ZERO = Decimal(0)


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
    ``until``) count as taken out by the giver and put in by the receiver, at what they were worth.
    """
    orders = DealingOrder.objects.filter(share_class__fund=fund).exclude(
        kind=DealingOrder.Kind.SWITCH
    )
    orders = orders.filter(Q(dealt_amount__isnull=False) | Q(kind__in=DISTRIBUTED))
    if until is not None:
        orders = orders.exclude(kind__in=DISTRIBUTED, received_at__gt=until)
    found: dict[UUID, Decimal] = {}
    for order in orders.iterator(chunk_size=5000):
        moved = _put_in(order)
        found[order.investor_id] = found.get(order.investor_id, ZERO) + moved
    transfers = DealingProposal.objects.filter(
        share_class__fund=fund, kind=DealingProposal.Kind.TRANSFER, is_approved=True
    )
    if until is not None:
        transfers = transfers.filter(decided_at__lte=until)
    for giver, receiver, value in transfers.values_list("investor_id", "receiver_id", "value"):
        found[giver] = found.get(giver, ZERO) - (value or ZERO)
        if receiver is not None:
            found[receiver] = found.get(receiver, ZERO) + (value or ZERO)
    return found


def _put_in(order: DealingOrder) -> Decimal:
    """Money that an order put in; below zero what it took out or is owed."""
    if order.kind == DealingOrder.Kind.SUBSCRIPTION:
        return order.funded_amount
    if order.kind == DealingOrder.Kind.REINVESTMENT:
        # Out when it is declared, in again when it buys units.
        return ZERO if order.dealt_units else -(order.amount or ZERO)
    return -(order.dealt_amount or ZERO)
