"""The money of a dealing day: what is swept, what the bank keeps for payments, what goes to or from
the venue; and the value of every investor after it."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from django.db.models import Sum

from investors.domain.exact import round_to_total
from investors.domain.ledger import JointLine, build_joint_entry
from investors.domain.ledger.chart import BANK, OWED_FROM_BANK
from investors.models import DealingOrder, Fund, NavStrike, UnitEntry, UnitLot
from investors.services.holder_values import HolderValue, write_snapshots
from investors.services.ledger import NewEntry, post_entries, read_balances
from magnetfund.core.actors import Actor
from trading.models import BookFlow

ZERO, CENT = Decimal(0), Decimal("0.01")


def settle_strike(strike: NavStrike, *, paid_in: Decimal, actor: Actor) -> None:
    """Sweep client money of dealt orders, and keep in the bank what is owed and no more."""
    fund, at = strike.fund, strike.valuation_at
    if paid_in:
        entry = build_joint_entry(
            event="collection_swept",
            source_ref=f"collection_swept:{strike.pk}",
            effective_at=at,
            lines=[JointLine(amounts={"amount": paid_in})],
            currency=fund.currency,
        )
        post_entries(fund, [NewEntry.of(entry)], actor=actor)
    level_bank(
        fund, at=at, source=f"strike:{strike.pk}", text=f"Dealing day {at:%Y-%m-%d}", actor=actor
    )


def level_bank(fund: Fund, *, at: datetime, source: str, text: str, actor: Actor) -> Decimal:
    """Bring the bank to what is owed from it, from or to the venue; gives what the venue got.

    Money that waits to buy units of the fund itself does not leave and is not fetched.
    """
    balances = read_balances(fund, before=at + timedelta(microseconds=1))
    owed = -sum((balances.get((account, fund.currency), ZERO) for account in OWED_FROM_BANK), ZERO)
    waiting = DealingOrder.objects.filter(
        share_class__fund=fund, kind=DealingOrder.Kind.REINVESTMENT, state="funded"
    ).aggregate(total=Sum("amount"))["total"]
    flow = balances.get((BANK, fund.currency), ZERO) - owed + (waiting or ZERO)
    if not flow:
        return ZERO
    entry = build_joint_entry(
        event="venue_funded",
        source_ref=f"venue_funded:{source}",
        effective_at=at,
        lines=[JointLine(amounts={"amount": flow})],
        currency=fund.currency,
    )
    post_entries(fund, [NewEntry.of(entry)], actor=actor)
    BookFlow.objects.create(
        book=fund.book, amount=flow, source_ref=source, text=text, occurred_at=at
    )
    return flow


def snapshot_investors(strike: NavStrike) -> None:
    """Each investor's units and net value after dealing, for the portal's curve."""
    fees = dict(
        strike.lots.filter(performance_fee_per_unit__gt=0).values_list(
            "lot_id", "performance_fee_per_unit"
        )
    )
    for lot in UnitEntry.objects.filter(strike=strike, kind="fee_cancel").values_list("lot_id"):
        fees.pop(lot[0], None)
    prices = {
        row.share_class_id: row.issue_price for row in strike.classes.select_related("share_class")
    }
    held: dict[UUID, HolderValue] = {}
    rows = UnitLot.objects.filter(share_class__fund=strike.fund, units__gt=0).values_list(
        "pk", "share_class_id", "units", "holding__investor_id"
    )
    for lot_id, class_id, units, who in rows.iterator(chunk_size=5000):
        had = held.get(who, HolderValue(units=ZERO, value=ZERO))
        value = units * (prices[class_id] - fees.get(lot_id, ZERO))
        held[who] = HolderValue(units=had.units + units, value=had.value + value)
    values = {
        who: HolderValue(units=item.units, value=round_to_total([item.value], quantum=CENT)[0])
        for who, item in held.items()
    }
    write_snapshots(strike.fund, day=strike.valuation_at.date(), values=values, is_estimate=False)
