"""What becomes of money that came in: it funds an order, waits for the next one, or goes back.

A receipt is owed to its sender (2015) until a part of it funds an order or is kept for the
investor's next one (2010).  Order, then line, are locked in this order everywhere.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.db import transaction
from django.db.models import Max, Sum

from investors.domain.ledger import Tags, build_entry
from investors.domain.receipts import (
    Outcome,
    Payer,
    Suggestion,
    WaitingOrder,
    measure_match,
)
from investors.models import (
    DealingOrder,
    Entry,
    Fund,
    Investor,
    LineAllocation,
    StatementLine,
)
from investors.services.ledger import NewEntry, open_since, post_entry
from investors.services.receipt_suggestions import (
    describe_arrival,
    describe_order,
    known_accounts,
    note_outcome,
    read_cleared_at,
)
from investors.services.reversed_receipts import find_reversal, require_not_reversed
from magnetfund.core.actors import Actor
from magnetfund.core.roles import Capability
from magnetfund.core.services.audit import record_audit
from magnetfund.kernel.clock import utc_now
from magnetfund.kernel.errors import Conflict, InvalidInput
from magnetfund.kernel.money import currency_quantum, quantize

ZERO = Decimal(0)
REASON_MAX = 300


def match_as_suggested(*, line: StatementLine, actor: Actor, at: datetime) -> bool:
    """Match what is certain, note the outcome of the rest; whether it was matched."""
    found = note_outcome(line)
    if not found.is_automatic or find_reversal(line) is not None:
        return False
    match_receipt(
        line=line,
        order=DealingOrder.objects.get(pk=found.order),
        amount=found.matched,
        actor=actor,
        at=at,
        reason="reference, own account and amount agree",
    )
    return True


def match_receipt(
    *,
    line: StatementLine,
    order: DealingOrder,
    actor: Actor,
    amount: Decimal | None = None,
    reason: str = "",
    at: datetime | None = None,
) -> DealingOrder:
    """Use a receipt, or ``amount`` of it, for an order; money of a third party is refused.

    Without ``amount`` as much as the order still wants.  Raises :class:`Conflict` (``not_waiting``,
    ``not_final``, ``nothing_open``, ``receipt_reversed``) and :class:`InvalidInput`
    (``third_party_money``, ``currency_differs``, ``wrong_amount``, ``reason_missing`` for a payer
    who is not proved).
    """
    actor.require(Capability.DEALING_PROCESS)
    at = at or utc_now()
    with transaction.atomic():
        row = DealingOrder.objects.select_for_update(of=("self",)).get(pk=order.pk)
        money = _lock_line(line)
        require_not_reversed(money)
        if row.state != "accepted" or row.kind != DealingOrder.Kind.SUBSCRIPTION:
            raise Conflict("this order is not awaiting funds", code="not_waiting")
        fund = row.share_class.fund
        waiting, arrival = describe_order(row, fund), describe_arrival(money)
        given = min(money.open_amount, waiting.rest) if amount is None else amount
        _require_part(given, money, most=min(money.open_amount, waiting.rest))
        found = measure_match(
            arrival=arrival, order=waiting, accounts=known_accounts(fund, [arrival])
        )
        _require_payer(found, money, reason)
        _allocate(
            money, use="order", amount=given, order=row, investor=row.investor, reason=reason,
            actor=actor, at=at,
        )  # fmt: skip
        _fund(row, row.funded_amount + given, actor, at)
        record_audit(
            actor=actor,
            action="receipt.matched",
            subject=("statement_line", money.pk),
            body={"order": str(row.pk), "amount": f"{given:f}", "reason": reason[:REASON_MAX]},
            at=at,
        )
    return row


def _require_payer(found: Suggestion, line: StatementLine, reason: str) -> None:
    if found.outcome is Outcome.WRONG_CURRENCY:
        raise InvalidInput(
            f"the order is not in {line.currency}; the money goes back", code="currency_differs"
        )
    if found.payer is Payer.OTHER:
        raise InvalidInput(
            "money of a third party is not accepted; it goes back to where it came from",
            code="third_party_money",
        )
    if found.payer is Payer.UNNAMED and not reason.strip():
        raise InvalidInput(
            "say how you know that the money is the investor's", code="reason_missing"
        )


def advance_receipt(
    *, line: StatementLine, investor: Investor, actor: Actor, reason: str,
    at: datetime | None = None,
) -> LineAllocation:  # fmt: skip
    """Keep what is open of a receipt for the investor's next order, as he asked for.

    ``reason`` names his instruction.  Raises what :func:`match_receipt` raises.
    """
    actor.require(Capability.DEALING_PROCESS)
    at = at or utc_now()
    if not reason.strip():
        raise InvalidInput("name the investor's instruction", code="reason_missing")
    with transaction.atomic():
        money = _lock_line(line)
        require_not_reversed(money)
        _require_part(money.open_amount, money, most=money.open_amount)
        probe = WaitingOrder(
            order="", reference="", investor=str(investor.pk),
            name=investor.legal_name, amount=money.open_amount, paid=ZERO,
            currency=money.fund.currency, deadline_at=None,
        )  # fmt: skip
        arrival = describe_arrival(money)
        found = measure_match(
            arrival=arrival, order=probe, accounts=known_accounts(money.fund, [arrival])
        )
        _require_payer(found, money, reason)
        row = _allocate(
            money, use="advance", amount=money.open_amount, order=None, investor=investor,
            reason=reason, actor=actor, at=at,
        )  # fmt: skip
        record_audit(
            actor=actor,
            action="receipt.advanced",
            subject=("statement_line", money.pk),
            body={"investor": str(investor.pk), "amount": f"{row.amount:f}"},
            at=at,
        )
    return row


def use_advance(*, order: DealingOrder, actor: Actor, at: datetime | None = None) -> DealingOrder:
    """Fund an order with money that its investor has standing for it."""
    actor.require(Capability.DEALING_PROCESS)
    at = at or utc_now()
    with transaction.atomic():
        row = DealingOrder.objects.select_for_update(of=("self",)).get(pk=order.pk)
        if row.state != "accepted" or row.kind != DealingOrder.Kind.SUBSCRIPTION:
            raise Conflict("this order is not awaiting funds", code="not_waiting")
        rest = (row.amount or ZERO) - row.funded_amount
        for line_id, standing in standing_advances(row.investor, row.share_class.fund):
            part = min(rest, standing)
            if part <= 0:
                break
            line = _lock_line(StatementLine(pk=line_id))
            require_not_reversed(line)
            rest -= part
            for use, amount, target in (("advance", -part, None), ("order", part, row)):
                LineAllocation.objects.create(
                    line=line, use=use, amount=amount, order=target, investor=row.investor,
                    reason="advance used", made_by=actor.user, made_by_label=actor.label,
                    made_at=at,
                )  # fmt: skip
        used = (row.amount or ZERO) - row.funded_amount - rest
        if used == 0:
            raise Conflict("the investor has no money standing", code="nothing_open")
        _fund(row, row.funded_amount + used, actor, at)
        record_audit(
            actor=actor,
            action="order.advance_used",
            subject=("dealing_order", row.pk),
            body={"amount": f"{used:f}"},
            at=at,
        )
    return row


def standing_advances(investor: Investor, fund: Fund) -> list[tuple[UUID, Decimal]]:
    """Receipts with money that stands for an investor's next order, oldest first."""
    rows = (
        LineAllocation.objects.filter(investor=investor, line__fund=fund, use="advance")
        .values("line_id")
        .annotate(total=Sum("amount"), booked=Max("line__booked_at"))
        .filter(total__gt=0)
        .order_by("booked", "line_id")
    )
    return [(row["line_id"], row["total"]) for row in rows]


def take_part(
    *, order: DealingOrder, reason: str, actor: Actor, at: datetime | None = None
) -> DealingOrder:
    """Deal what was paid of a short order, as the investor asked for.

    Raises :class:`Conflict` (``not_waiting``) and :class:`InvalidInput` (``below_minimum``).
    """
    actor.require(Capability.DEALING_PROCESS)
    at = at or utc_now()
    if not reason.strip():
        raise InvalidInput("name the investor's instruction", code="reason_missing")
    with transaction.atomic():
        row = DealingOrder.objects.select_for_update(of=("self",)).get(pk=order.pk)
        if row.state != "accepted" or not row.funded_amount:
            raise Conflict("no money has come in for this order", code="not_waiting")
        least = row.share_class.minimum_subscription
        holds = row.share_class.holdings.filter(investor=row.investor_id, units__gt=0).exists()
        if row.funded_amount < least and not holds:
            raise InvalidInput(
                f"the minimum first subscription is {least:,.2f}", code="below_minimum"
            )
        row.is_part_taken = True
        _fund(row, row.funded_amount, actor, at)
        record_audit(
            actor=actor,
            action="order.part_taken",
            subject=("dealing_order", row.pk),
            body={"amount": f"{row.funded_amount:f}", "reason": reason.strip()[:REASON_MAX]},
            at=at,
        )
    return row


def release_money(order: DealingOrder, *, actor: Actor, reason: str, at: datetime) -> None:
    """Give the money of an order back to its receipts, in the caller's transaction; it is owed to
    its senders again.  The caller holds the order's row."""
    rows = (
        LineAllocation.objects.filter(order=order, use="order")
        .values("line_id")
        .annotate(total=Sum("amount"))
        .filter(total__gt=0)
    )
    parts = {row["line_id"]: row["total"] for row in rows}
    if sum(parts.values(), ZERO) != order.funded_amount:
        raise Conflict(
            "the receipts of this order are older than the money page; return it by hand",
            code="no_receipts",
        )
    for line_id, total in sorted(parts.items()):
        _allocate(
            _lock_line(StatementLine(pk=line_id)), use="order", amount=-total, order=order,
            investor=order.investor, reason=reason, actor=actor, at=at,
        )  # fmt: skip
    order.funded_amount, order.funded_at = ZERO, None


def release_advances(*, line: StatementLine, actor: Actor, reason: str, at: datetime) -> None:
    """Owe what a receipt keeps for a next order to its sender again, in the caller's transaction;
    the caller holds the line's row."""
    rows = (
        LineAllocation.objects.filter(line=line, use="advance")
        .values("investor_id")
        .annotate(total=Sum("amount"))
        .filter(total__gt=0)
    )
    kept = {row["investor_id"]: row["total"] for row in rows}
    for investor in Investor.objects.filter(pk__in=kept).order_by("pk"):
        _allocate(
            line, use="advance", amount=-kept[investor.pk], order=None, investor=investor,
            reason=reason, actor=actor, at=at,
        )  # fmt: skip


def take_over(*, line: StatementLine, actor: Actor) -> None:
    """Make the actor the owner of an open receipt."""
    actor.require(Capability.DEALING_PROCESS)
    with transaction.atomic():
        row = _lock_line(line)
        row.owner = actor.user
        row.save(update_fields=["owner"])
        record_audit(actor=actor, action="receipt.owned", subject=("statement_line", row.pk))


def _fund(row: DealingOrder, total: Decimal, actor: Actor, at: datetime) -> None:
    """Bring an order to its money; it is funded by the receipt that cleared last."""
    fields = ["funded_amount", "is_part_taken", "updated_at"]
    row.funded_amount, row.updated_at = total, at
    if total == row.amount or row.is_part_taken:
        lines = StatementLine.objects.filter(allocations__order=row, allocations__amount__gt=0)
        row.state = DealingOrder.State.FUNDED
        row.funded_at = max(read_cleared_at(line) for line in lines)
        fields += ["state", "funded_at"]
        record_audit(
            actor=actor,
            action="order.funded",
            subject=("dealing_order", row.pk),
            body={"investor": str(row.investor_id), "amount": f"{total:f}"},
            at=at,
        )
    row.save(update_fields=fields)


def _allocate(
    line: StatementLine,
    *,
    use: str,
    amount: Decimal,
    order: DealingOrder | None,
    investor: Investor,
    reason: str,
    actor: Actor,
    at: datetime,
) -> LineAllocation:
    """Move a part of a locked line between its sender (2015) and client money (2010)."""
    number = line.allocations.count() + 1
    entry = build_entry(
        event="receipt_identified" if amount > 0 else "receipt_released",
        source_ref=f"allocation:{line.pk}:{number}",
        effective_at=max(min(read_cleared_at(line), at), open_since(line.fund)),
        amounts={"amount": abs(amount)},
        currency=line.currency,
        tags=Tags(share_class=order.share_class.code if order is not None else ""),
        text=f"Receipt {line.reference}, {investor.number}",
    )
    posted: Entry | None = post_entry(line.fund, NewEntry.of(entry), actor=actor)
    line.allocated += amount
    line.save(update_fields=["allocated"])
    return LineAllocation.objects.create(
        line=line,
        use=use,
        amount=amount,
        order=order,
        investor=investor,
        entry=posted,
        reason=reason.strip()[:REASON_MAX],
        made_by=actor.user,
        made_by_label=actor.label,
        made_at=at,
    )


def _lock_line(line: StatementLine) -> StatementLine:
    return (
        StatementLine.objects.select_for_update(of=("self",)).select_related("fund").get(pk=line.pk)
    )


def _require_part(amount: Decimal, line: StatementLine, *, most: Decimal) -> None:
    if line.final_at is None:
        raise Conflict("this money is not final yet", code="not_final")
    if line.open_amount <= 0:
        raise Conflict("this receipt is fully allocated", code="nothing_open")
    if not ZERO < amount <= most or quantize(amount, currency_quantum(line.currency)) != amount:
        raise InvalidInput(f"between 0 and {most:,.2f} can be used here", code="wrong_amount")
