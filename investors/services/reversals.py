"""A receipt that the bank took back ends: what was owed to its sender is owed to nobody."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from django.db import transaction
from django.db.models import Sum

from investors.domain.ledger import build_entry
from investors.domain.payments import ACTIVE
from investors.models import BookBreak, DealingOrder, LineAllocation, PocketChange, StatementLine
from investors.services.breaks import explain_break
from investors.services.ledger import NewEntry, open_since, post_entry
from investors.services.receipts import release_advances
from investors.services.reversed_receipts import is_named, receipts_of
from magnetfund.core.actors import Actor
from magnetfund.core.roles import Capability
from magnetfund.core.services.audit import record_audit
from magnetfund.kernel.clock import utc_now
from magnetfund.kernel.errors import Conflict, InvalidInput

ZERO = Decimal(0)


def reverse_receipt(
    *, receipt: StatementLine, reversal: StatementLine, actor: Actor, at: datetime | None = None
) -> LineAllocation:
    """End an unused receipt by the debit that took it back, whole and once; its break is explained
    by the actor, and another person closes it.

    Money kept for a next order is unused.  Raises :class:`InvalidInput` (``not_its_reversal``) and
    :class:`Conflict` (``not_open``, ``in_use`` with what to undo first, ``break_posted``).
    """
    actor.require(Capability.DEALING_PROCESS)
    at = at or utc_now()
    with transaction.atomic():
        # In the order of their ids, as whoever locks several lines does.
        ids = [receipt.pk, reversal.pk]
        rows = {
            row.pk: row
            for row in StatementLine.objects.select_for_update(of=("self",))
            .select_related("fund")
            .filter(pk__in=ids)
            .order_by("pk")
        }
        money, taken = rows[receipt.pk], rows[reversal.pk]
        if taken.amount >= 0 or taken.outcome != "payment" or taken.final_at is not None:
            raise Conflict("this line takes nothing back, or is booked", code="not_open")
        _require_mirror(money, taken)
        found = BookBreak.objects.select_for_update(of=("self",)).filter(line=taken).first()
        if found is not None and found.entry_id is not None:
            raise Conflict(
                f"the break {found.reference} was posted as a cost already", code="break_posted"
            )
        hindrance = say_use(money)
        if hindrance:
            raise Conflict(hindrance, code="in_use")
        release_advances(line=money, actor=actor, reason="taken back by the bank", at=at)
        money.refresh_from_db()
        row = _book(money, taken, actor, at)
        if found is not None and found.closed_at is None and found.explained_by_id is None:
            explain_break(
                found=found, cause=f"The bank took receipt {money.reference} back", actor=actor
            )
        record_audit(
            actor=actor,
            action="receipt.reversed",
            subject=("statement_line", money.pk),
            body={"reversal": str(taken.pk), "amount": f"{money.amount:f}"},
            at=at,
        )
    return row


def say_use(receipt: StatementLine) -> str:
    """What a receipt is used for and what to undo before its reversal; empty where it is unused."""
    for order in DealingOrder.objects.filter(receipt_parts__line=receipt).distinct():
        used = order.receipt_parts.filter(line=receipt).aggregate(n=Sum("amount"))["n"]
        if not used:
            continue
        if order.dealt_units:
            return f"order {order.reference} was dealt with its money: work the break by hand"
        return f"its money is on order {order.reference}: cancel that order first"
    if receipt.allocations.filter(use="pocket").exists():
        return "it was paid to holders of a side pocket: work the break by hand"
    refund = receipt.refunds.filter(state__in=[*ACTIVE, "confirmed"]).first()
    if refund is not None:
        way = "work the break by hand" if refund.state in ("released", "confirmed") else (
            "cancel that payment first"
        )  # fmt: skip
        return f"it goes back by payment {refund.reference}: {way}"
    waiting = PocketChange.objects.filter(line=receipt, strike=None, withdrawn_at=None).exclude(
        is_approved=False
    )
    if waiting.exists():
        return "a side pocket is to be paid from it: withdraw or decline that change first"
    return ""


def _require_mirror(money: StatementLine, taken: StatementLine) -> None:
    found = receipts_of(taken)
    if not found.filter(pk=money.pk).exists():
        raise InvalidInput(
            "this line is not of the receipt's amount, currency and account, or the receipt has "
            "ended",
            code="not_its_reversal",
        )
    named = [row.reference for row in found if is_named(row, taken)]
    if named and money.reference not in named:
        raise InvalidInput(f"this line names receipt {named[0]}", code="not_its_reversal")


def _book(money: StatementLine, taken: StatementLine, actor: Actor, at: datetime) -> LineAllocation:
    number = money.allocations.count() + 1
    entry = build_entry(
        event="receipt_reversed",
        source_ref=f"allocation:{money.pk}:{number}",
        effective_at=max(
            min(money.booked_at, at), min(taken.booked_at, at), open_since(money.fund)
        ),
        amounts={"amount": money.amount},
        currency=money.currency,
        text=f"Receipt {money.reference} taken back, {taken.reference}"[:300],
    )
    posted = post_entry(money.fund, NewEntry.of(entry), actor=actor)
    taken.outcome, taken.final_at = StatementLine.Outcome.REVERSED, at
    taken.save(update_fields=["outcome", "final_at"])
    money.allocated += money.amount
    money.save(update_fields=["allocated"])
    return LineAllocation.objects.create(
        line=money,
        use=LineAllocation.Use.REVERSED,
        amount=money.amount,
        reversal=taken,
        entry=posted,
        reason=taken.reference,
        made_by=actor.user,
        made_by_label=actor.label,
        made_at=at,
    )
