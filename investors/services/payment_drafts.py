"""What is to be paid: prepared from an order, an accrued fee or a receipt that goes back."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.db import transaction
from django.db.models import Max, Sum

from investors.domain.payments import (
    ACTIVE,
    PaymentKind,
)
from investors.models import (
    DealingOrder,
    Fund,
    Investor,
    PayeeAccount,
    Payment,
    StatementLine,
)
from investors.services.estate_rules import find_paid_executor
from investors.services.kyc_file import is_held, is_on_hold
from investors.services.payment_books import (
    CLEARS,
    book_holdback_release,
    owed_balance,
)
from investors.services.rebates import owed_by_lot
from investors.services.reversed_receipts import require_not_reversed
from magnetfund.core.actors import Actor
from magnetfund.core.locks import AdvisoryLock, take_lock
from magnetfund.core.roles import Capability
from magnetfund.core.services.audit import record_audit
from magnetfund.kernel.clock import utc_now
from magnetfund.kernel.errors import Conflict, InvalidInput, NotAllowed
from magnetfund.kernel.identifiers import content_hash
from magnetfund.kernel.money import currency_quantum, quantize

ZERO = Decimal(0)


REASON_MAX = 300


FEES = (PaymentKind.MANAGEMENT_FEE, PaymentKind.PERFORMANCE_FEE, PaymentKind.EXPENSE)


#: Orders that end in a payment to their holder, and its kind.
PAID_OUT = {
    DealingOrder.Kind.REDEMPTION: PaymentKind.REDEMPTION,
    DealingOrder.Kind.DISTRIBUTION: PaymentKind.DISTRIBUTION,
    # One whose money bought no unit.
    DealingOrder.Kind.REINVESTMENT: PaymentKind.DISTRIBUTION,
    DealingOrder.Kind.COMPENSATION: PaymentKind.COMPENSATION,
}


#: What the text of a payment by lots begins with.
WORDS = {PaymentKind.REBATE: "Fee rebate", PaymentKind.POCKET: "Side-pocket proceeds"}


def payable_of(order: DealingOrder) -> Decimal:
    """What is owed of a redemption or a distribution and not in a payment yet."""
    return list_payable([order])[0]


def list_payable(orders: Sequence[DealingOrder]) -> list[Decimal]:
    """The same of several orders, with one read of their payments."""
    sums = Payment.objects.filter(order__in=orders, state__in=ACTIVE).values_list("order")
    spoken = dict(sums.annotate(total=Sum("amount")).order_by())
    return [_payable(order, spoken.get(order.pk, ZERO)) for order in orders]


def _payable(order: DealingOrder, spoken: Decimal) -> Decimal:
    if order.kind not in PAID_OUT or (order.buys_units and order.dealt_units):
        return ZERO
    dealt: Decimal = order.dealt_amount or ZERO
    left: Decimal = dealt - order.held_amount - order.paid_amount - spoken
    return left


def owed(fund: Fund, kind: PaymentKind) -> Decimal:
    """What is owed of a fee or of expenses and not in a payment yet."""
    spoken = fund.payments.filter(kind=kind.value, state__in=ACTIVE).aggregate(n=Sum("amount"))
    return owed_balance(fund, kind) - (spoken["n"] or ZERO)


def prepare_proceeds(
    *, order: DealingOrder, payee: PayeeAccount, actor: Actor, at: datetime | None = None
) -> Payment:
    """Prepare what is owed of a dealt redemption or of a distribution.

    Raises :class:`Conflict` (``nothing_owed``), :class:`InvalidInput` (``third_party``) and what
    :func:`require_receiver` raises.
    """
    actor.require(Capability.DEALING_PROCESS)
    at = at or utc_now()
    with transaction.atomic():
        row = DealingOrder.objects.select_for_update(of=("self",)).get(pk=order.pk)
        amount = payable_of(row)
        if amount <= 0:
            raise Conflict("nothing is owed on this order", code="nothing_owed")
        if payee.investor_id != row.investor_id:
            raise InvalidInput(
                "proceeds are paid only to an account of the investor", code="third_party"
            )
        require_not_held(row.investor, payee)
        kind = PAID_OUT[DealingOrder.Kind(row.kind)]
        return _prepare(
            fund=row.share_class.fund, kind=kind, amount=amount,
            currency=row.share_class.fund.currency, payee=payee, order=row,
            text=f"{kind.value.capitalize()} {row.reference}", actor=actor, at=at,
        )  # fmt: skip


def release_holdback(
    *, order: DealingOrder, actor: Actor, reason: str, at: datetime | None = None
) -> DealingOrder:
    """The audit is done: what was held back of a redemption becomes payable."""
    actor.require(Capability.PAYMENTS_APPROVE)
    at = at or utc_now()
    if not reason.strip():
        raise InvalidInput("a reason is needed", code="reason_missing")
    with transaction.atomic():
        row = DealingOrder.objects.select_for_update(of=("self",)).get(pk=order.pk)
        if row.held_amount <= 0:
            raise Conflict("no part of this order is held back", code="nothing_owed")
        amount = row.held_amount
        book_holdback_release(row, actor=actor, at=at)
        row.held_amount, row.updated_at = ZERO, at
        row.save(update_fields=["held_amount", "updated_at"])
        record_audit(
            actor=actor,
            action="order.holdback_released",
            subject=("dealing_order", row.pk),
            body={"amount": f"{amount:f}", "reason": reason.strip()[:REASON_MAX]},
            at=at,
        )
    return row


def prepare_fee(
    *,
    fund: Fund,
    kind: PaymentKind,
    payee: PayeeAccount,
    text: str,
    actor: Actor,
    amount: Decimal | None = None,
    at: datetime | None = None,
) -> Payment:
    """Prepare a fee or an expense, whole or in part; never more than is owed of it.

    Raises :class:`Conflict` (``nothing_owed``) and :class:`InvalidInput` (``too_much``,
    ``wrong_kind``, ``third_party`` for an investor's account).
    """
    actor.require(Capability.DEALING_PROCESS)
    at = at or utc_now()
    if kind not in FEES:
        raise InvalidInput("this is not a fee or expense", code="wrong_kind")
    if payee.investor_id is not None:
        raise InvalidInput("a fee is not paid to an investor", code="third_party")
    with transaction.atomic():
        take_lock(AdvisoryLock.STRIKE_OF_FUND, fund.pk)
        most = owed(fund, kind)
        if most <= 0:
            raise Conflict("nothing of this kind is owed", code="nothing_owed")
        wanted = most if amount is None else amount
        if wanted > most:
            raise InvalidInput(f"only {most:,.2f} is owed", code="too_much")
        return _prepare(
            fund=fund, kind=kind, amount=wanted, currency=fund.currency, payee=payee,
            text=text, actor=actor, at=at,
        )  # fmt: skip


def list_rebates(fund: Fund) -> dict[UUID, Decimal]:
    """Rebates that are owed and not in a payment yet, by investor."""
    return list_owed_by_lot(fund, PaymentKind.REBATE)


def list_owed_by_lot(fund: Fund, kind: PaymentKind) -> dict[UUID, Decimal]:
    """What holders are owed by their lots (a rebate, side-pocket proceeds) and no payment has yet,
    by investor."""
    spoken = dict(
        fund.payments.filter(kind=kind.value, state__in=ACTIVE)
        .values_list("payee__investor")
        .annotate(total=Sum("amount"))
        .order_by()
    )
    left = {
        who: sum(lots.values(), ZERO) - spoken.get(who, ZERO)
        for who, lots in owed_by_lot(fund, CLEARS[kind][1]).items()
    }
    return {who: amount for who, amount in left.items() if amount > 0}


def prepare_rebate(
    *, fund: Fund, payee: PayeeAccount, actor: Actor, at: datetime | None = None
) -> Payment:
    """Prepare all that is owed in rebates to the investor whose account ``payee`` is; raises what
    :func:`prepare_of_lots` raises."""
    return prepare_of_lots(fund=fund, kind=PaymentKind.REBATE, payee=payee, actor=actor, at=at)


def prepare_of_lots(
    *,
    fund: Fund,
    kind: PaymentKind,
    payee: PayeeAccount,
    actor: Actor,
    at: datetime | None = None,
) -> Payment:
    """Prepare all that is owed of a rebate or of side pockets to the investor whose account
    ``payee`` is.

    Raises :class:`Conflict` (``nothing_owed``), :class:`InvalidInput` (``third_party`` for an
    account of nobody's), :class:`NotAllowed` (``on_hold``) and what :func:`require_receiver`
    raises.
    """
    actor.require(Capability.DEALING_PROCESS)
    if payee.investor is None:
        raise InvalidInput("this is paid only to an account of the investor", code="third_party")
    with transaction.atomic():
        take_lock(AdvisoryLock.STRIKE_OF_FUND, fund.pk)
        amount = list_owed_by_lot(fund, kind).get(payee.investor.pk, ZERO)
        if amount <= 0:
            raise Conflict("nothing of this is owed to the investor", code="nothing_owed")
        require_not_held(payee.investor, payee)
        return _prepare(
            fund=fund, kind=kind, amount=amount, currency=fund.currency,
            payee=payee, text=f"{WORDS[kind]} {payee.investor.number}", actor=actor,
            at=at or utc_now(),
        )  # fmt: skip


def prepare_refund(
    *, line: StatementLine, actor: Actor, reason: str, at: datetime | None = None
) -> Payment:
    """Prepare the open money of a receipt to go back to where it came from, and nowhere else.

    Raises :class:`Conflict` (``nothing_owed``, ``receipt_reversed``, ``no_origin`` where the line
    names no account).
    """
    actor.require(Capability.DEALING_PROCESS)
    at = at or utc_now()
    if not reason.strip():
        raise InvalidInput("a reason is needed", code="reason_missing")
    with transaction.atomic():
        row = (
            StatementLine.objects.select_for_update(of=("self",))
            .select_related("fund")
            .get(pk=line.pk)
        )
        require_not_reversed(row)
        if row.final_at is None or row.open_amount <= 0:
            raise Conflict("this receipt is fully allocated", code="nothing_owed")
        if not row.party_account:
            raise Conflict("this line does not name the account it came from", code="no_origin")
        if row.refunds.filter(state__in=ACTIVE).exists():
            raise Conflict("a refund of this receipt is on its way", code="nothing_owed")
        return _prepare(
            fund=row.fund, kind=PaymentKind.REFUND, amount=row.open_amount,
            currency=row.currency, payee=None, line=row,
            text=f"Refund of {row.reference}"[:140], actor=actor, at=at, reason=reason,
        )  # fmt: skip


def _prepare(
    *,
    fund: Fund,
    kind: PaymentKind,
    amount: Decimal,
    currency: str,
    payee: PayeeAccount | None,
    text: str,
    actor: Actor,
    at: datetime,
    order: DealingOrder | None = None,
    line: StatementLine | None = None,
    reason: str = "",
) -> Payment:
    if actor.user is None:
        raise NotAllowed("a payment is prepared by a person", code="needs_person")
    if amount <= 0 or quantize(amount, currency_quantum(currency)) != amount:
        raise InvalidInput("this is not a payable amount", code="wrong_amount")
    if payee is not None:
        require_receiver(payee, currency=currency, fund=fund, at=at)
    take_lock(AdvisoryLock.PAYMENTS_OF_FUND, fund.pk)
    number = (fund.payments.aggregate(n=Max("number"))["n"] or 0) + 1
    row = Payment(
        fund=fund,
        number=number,
        kind=kind.value,
        amount=amount,
        currency=currency,
        payee=payee,
        to_name=payee.name if payee else (line.party if line else ""),
        to_number=payee.number if payee else (line.party_account if line else ""),
        to_bank=payee.bank if payee else "",
        text=text[:140],
        order=order,
        line=line,
        prepared_by=actor.user,
        prepared_at=at,
        reason=reason.strip()[:REASON_MAX],
    )
    row.content_hash = hash_payment(row)
    row.save()
    note_payment(actor, "payment.prepared", row, at)
    return row


def hash_payment(row: Payment) -> str:
    """Hash of what a signer sees: who gets how much of what, where, and why."""
    return content_hash(
        [
            row.reference, row.kind, f"{row.amount.normalize():f}", row.currency, row.to_name,
            row.to_number, row.to_bank, row.text, str(row.order_id or ""), str(row.line_id or ""),
        ]
    )  # fmt: skip


def require_receiver(payee: PayeeAccount, *, currency: str, fund: Fund, at: datetime) -> None:
    """Raise :class:`Conflict` (``receiver_not_approved``, ``cooling_off``) and
    :class:`InvalidInput` (``currency_differs``) for an account that may not be paid now."""
    if payee.fund_id != fund.pk or payee.approved_at is None or payee.closed_at is not None:
        raise Conflict("this account is not approved", code="receiver_not_approved")
    if payee.usable_from is not None and at < payee.usable_from:
        raise Conflict(
            f"changed details: payments from {payee.usable_from:%Y-%m-%d %H:%M} UTC on",
            code="cooling_off",
        )
    if payee.currency != currency:
        raise InvalidInput(f"the account is in {payee.currency}", code="currency_differs")


def require_not_held(investor: Investor, payee: PayeeAccount | None) -> None:
    """Raise :class:`NotAllowed` (``on_hold``) while the investor's file holds payouts.

    What a dead holder is owed goes to his executor's account alone.
    """
    executor = None if payee is None else find_paid_executor(investor, payee)
    if executor is None:
        held = is_held(investor)
    else:
        held = is_on_hold(investor) or is_held(executor)
    if held:
        raise NotAllowed("payments to this investor are on hold", code="on_hold")


def note_payment(actor: Actor, action: str, row: Payment, at: datetime) -> None:
    record_audit(
        actor=actor,
        action=action,
        subject=("payment", row.pk),
        body={
            "reference": row.reference,
            "amount": f"{row.amount:f}",
            "currency": row.currency,
            "to": row.to_number,
            "hash": row.content_hash,
        },
        at=at,
    )
