"""The money of a dealing day: what is swept, what the bank keeps for payments, what goes to or from
the venue; and the value of every investor after it."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from uuid import UUID

from investors.domain.exact import round_to_total
from investors.domain.ledger import JointLine, build_joint_entry
from investors.domain.ledger.chart import BANK, OWED_FROM_BANK
from investors.models import NavStrike, UnitEntry, UnitLot
from investors.services.holder_values import HolderValue, write_snapshots
from investors.services.ledger import NewEntry, post_entries, read_balances
from magnetfund.core.actors import Actor
from trading.models import BookFlow

ZERO, CENT = Decimal(0), Decimal("0.01")


def settle_strike(strike: NavStrike, *, paid_in: Decimal, actor: Actor) -> None:
    """Sweep client money of dealt orders, and keep in the bank what is owed and no more."""
    fund, at = strike.fund, strike.valuation_at
    until = at + timedelta(microseconds=1)
    balances = read_balances(fund, before=until)
    owed = -sum((balances.get((account, fund.currency), ZERO) for account in OWED_FROM_BANK), ZERO)
    in_bank = balances.get((BANK, fund.currency), ZERO) + paid_in
    lines: dict[str, list[JointLine]] = {}
    flow = in_bank - owed
    if paid_in:
        lines["collection_swept"] = [JointLine(amounts={"amount": paid_in})]
    if flow:
        lines["venue_funded"] = [JointLine(amounts={"amount": flow})]
    news = [
        NewEntry.of(
            build_joint_entry(
                event=event,
                source_ref=f"{event}:{strike.pk}",
                effective_at=at,
                lines=parts,
                currency=fund.currency,
            )
        )
        for event, parts in lines.items()
        if parts
    ]
    post_entries(fund, news, actor=actor)
    if flow:
        BookFlow.objects.create(
            book=fund.book,
            amount=flow,
            source_ref=f"strike:{strike.pk}",
            text=f"Dealing day {at:%Y-%m-%d}",
            occurred_at=at,
        )


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
