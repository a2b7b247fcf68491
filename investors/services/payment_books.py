"""What a confirmed payment clears in the books, and what its return puts back."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal

from investors.domain.exact import round_to_total
from investors.domain.ledger import JointLine, Tags, build_joint_entry, reverse_entry
from investors.domain.ledger.chart import (
    COMPENSATION_PAYABLE,
    EXPENSES_PAYABLE,
    MANAGEMENT_PAYABLE,
    PERFORMANCE_PAYABLE,
    POCKET_PAYABLE,
    REBATES_PAYABLE,
    REDEMPTIONS_PAYABLE,
    UNMATCHED,
)
from investors.domain.payments import PaymentKind
from investors.models import (
    DealingOrder,
    Entry,
    Fund,
    LineAllocation,
    Payment,
    StatementLine,
    UnitLot,
)
from investors.services.ledger import (
    NewEntry,
    class_balance,
    open_since,
    post_entry,
    read_balances,
    read_entry,
)
from investors.services.rebates import owed_by_lot
from magnetfund.core.actors import Actor
from magnetfund.kernel.errors import Conflict
from magnetfund.kernel.money import currency_quantum

ZERO = Decimal(0)
#: The event of each kind, and the liability that it clears.
CLEARS: Mapping[PaymentKind, tuple[str, str]] = {
    PaymentKind.REDEMPTION: ("redemption_paid", REDEMPTIONS_PAYABLE),
    PaymentKind.DISTRIBUTION: ("distribution_paid", REDEMPTIONS_PAYABLE),
    PaymentKind.COMPENSATION: ("compensation_paid", COMPENSATION_PAYABLE),
    PaymentKind.REFUND: ("receipt_returned", UNMATCHED),
    PaymentKind.MANAGEMENT_FEE: ("management_fee_paid", MANAGEMENT_PAYABLE),
    PaymentKind.PERFORMANCE_FEE: ("performance_fee_paid", PERFORMANCE_PAYABLE),
    PaymentKind.EXPENSE: ("expense_paid", EXPENSES_PAYABLE),
    PaymentKind.REBATE: ("rebate_paid", REBATES_PAYABLE),
    PaymentKind.POCKET: ("pocket_paid", POCKET_PAYABLE),
}
#: Kinds that are owed to a holder by his lots.
OF_LOTS = (PaymentKind.REBATE, PaymentKind.POCKET)


def owed_balance(fund: Fund, kind: PaymentKind) -> Decimal:
    """What the ledger owes of a kind, in the fund's currency."""
    account = CLEARS[kind][1]
    return -read_balances(fund, accounts=[account]).get((account, fund.currency), ZERO)


def book_payment(row: Payment, *, actor: Actor, at: datetime) -> Entry:
    """Clear the liability against the bank, in the caller's transaction."""
    kind = PaymentKind(row.kind)
    event, _ = CLEARS[kind]
    effective = max(at, open_since(row.fund))
    entry = build_joint_entry(
        event=event,
        source_ref=f"payment:{row.pk}",
        effective_at=effective,
        lines=_lines(row, kind, effective),
        currency=row.currency,
        text=f"Payment {row.reference}",
    )
    posted = post_entry(row.fund, NewEntry.of(entry), actor=actor)
    if posted is None:
        raise Conflict("this payment is in the books already", code="reference_used")
    if row.order is not None:
        _settle(row.order, row.amount, at)
    if row.line is not None:
        _use_line(row, row.amount, posted, actor, at)
    return posted


def book_holdback_release(order: DealingOrder, *, actor: Actor, at: datetime) -> None:
    """Move what was held back of an order to what is payable."""
    fund = order.share_class.fund
    entry = build_joint_entry(
        event="holdback_released",
        source_ref=f"holdback:{order.pk}",
        effective_at=max(at, open_since(fund)),
        lines=[_line(order.share_class.code, order.held_amount)],
        currency=fund.currency,
    )
    post_entry(fund, NewEntry.of(entry), actor=actor)


def unbook_payment(row: Payment, *, actor: Actor, at: datetime) -> None:
    """Reverse the entry of a payment that came back, and owe its money again."""
    assert row.entry is not None
    reversal = reverse_entry(
        read_entry(row.entry),
        kind="payment_returned",
        source_ref=f"payment-returned:{row.pk}",
        effective_at=max(at, open_since(row.fund)),
        text=f"{row.reference} came back",
    )
    posted = post_entry(row.fund, NewEntry.of(reversal), actor=actor)
    if row.order is not None:
        _settle(row.order, -row.amount, at)
    if row.line is not None:
        _use_line(row, -row.amount, posted, actor, at)


def _lines(row: Payment, kind: PaymentKind, at: datetime) -> list[JointLine]:
    """What a payment clears: the order's class, fees by what each class owes, rebates and
    side-pocket proceeds by lot."""
    if row.order is not None:
        return [_line(row.order.share_class.code, row.amount)]
    if kind in OF_LOTS:
        assert row.payee is not None
        assert row.payee.investor is not None
        own = owed_by_lot(row.fund, CLEARS[kind][1], row.payee.investor)
        owed = own.get(row.payee.investor.pk, {})
        if sum(owed.values(), ZERO) < row.amount:
            raise Conflict("less is owed than this payment", code="nothing_owed")
        lots = dict(UnitLot.objects.filter(pk__in=owed).values_list("pk", "share_class__code"))
        return _spread(
            row, {Tags(share_class=lots[lot], lot=lot): part for lot, part in owed.items()}
        )
    if kind not in (PaymentKind.MANAGEMENT_FEE, PaymentKind.PERFORMANCE_FEE):
        return [_line("", row.amount)]
    codes = row.fund.classes.order_by("code").values_list("code", flat=True)
    return _spread(
        row,
        {
            Tags(share_class=code): -class_balance(row.fund, CLEARS[kind][1], code, until=at)
            for code in codes
        },
    )


def _spread(row: Payment, owed: Mapping[Tags, Decimal]) -> list[JointLine]:
    """A payment over what it clears, each by its part of what is owed in all."""
    total = sum(owed.values(), ZERO)
    if total <= 0:
        return [_line("", row.amount)]
    parts = round_to_total(
        [row.amount * part / total for part in owed.values()],
        quantum=currency_quantum(row.currency),
    )
    return [
        JointLine(amounts={"amount": part}, tags=tags)
        for tags, part in zip(owed, parts, strict=True)
        if part
    ]


def _line(code: str, amount: Decimal) -> JointLine:
    return JointLine(amounts={"amount": amount}, tags=Tags(share_class=code))


def _settle(order: DealingOrder, amount: Decimal, at: datetime) -> None:
    row = DealingOrder.objects.select_for_update(of=("self",)).get(pk=order.pk)
    row.paid_amount += amount
    row.updated_at = at
    is_paid = row.paid_amount == row.dealt_amount
    if row.state in (DealingOrder.State.PAYABLE, DealingOrder.State.SETTLED):
        row.state = DealingOrder.State.SETTLED if is_paid else DealingOrder.State.PAYABLE
    row.save(update_fields=["paid_amount", "state", "updated_at"])


def _use_line(
    row: Payment, amount: Decimal, entry: Entry | None, actor: Actor, at: datetime
) -> None:
    assert row.line is not None
    line = StatementLine.objects.select_for_update(of=("self",)).get(pk=row.line.pk)
    line.allocated += amount
    line.save(update_fields=["allocated"])
    LineAllocation.objects.create(
        line=line,
        use=LineAllocation.Use.REFUND,
        amount=amount,
        payment=row,
        entry=entry,
        reason=row.reference,
        made_by=actor.user,
        made_by_label=actor.label,
        made_at=at,
    )
