"""Payments out: prepared, approved by another in bands, released in a file, confirmed, returned.

What is owed (2020, 2100, 2120, 2130, 2015) leaves the books when the bank confirms and not before.
Holds are asked again at every step; the receiver must be approved and out of its cooling-off.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

from django.db import transaction
from django.db.models import Max, Sum

from investors.domain.onboarding import KycState
from investors.domain.payments import (
    ACTIVE,
    Debtor,
    PaymentKind,
    PaymentState,
    Transfer,
    is_director_needed,
    require_move,
    write_pain001,
    write_wallet_instructions,
)
from investors.models import (
    DealingOrder,
    Fund,
    FundAccount,
    PayeeAccount,
    Payment,
    PaymentFile,
    StatementLine,
)
from investors.services.payment_books import (
    book_holdback_release,
    book_payment,
    owed_balance,
    unbook_payment,
)
from magnetfund.core.actors import Actor
from magnetfund.core.locks import AdvisoryLock, take_lock
from magnetfund.core.models import User
from magnetfund.core.roles import Capability
from magnetfund.core.services.audit import record_audit
from magnetfund.core.services.signing import signed_step
from magnetfund.kernel.clock import utc_now
from magnetfund.kernel.errors import Conflict, InvalidInput, NotAllowed
from magnetfund.kernel.identifiers import content_hash
from magnetfund.kernel.money import currency_quantum, quantize

ZERO = Decimal(0)
REASON_MAX = 300
FEES = (PaymentKind.MANAGEMENT_FEE, PaymentKind.PERFORMANCE_FEE, PaymentKind.EXPENSE)


def payable_of(order: DealingOrder) -> Decimal:
    """What is owed of a redemption and not in a payment yet."""
    spoken = order.payments.filter(state__in=ACTIVE).aggregate(n=Sum("amount"))["n"] or ZERO
    dealt: Decimal = order.dealt_amount or ZERO
    left: Decimal = dealt - order.held_amount - order.paid_amount - spoken
    return left


def owed(fund: Fund, kind: PaymentKind) -> Decimal:
    """What is owed of a fee or of expenses and not in a payment yet."""
    spoken = fund.payments.filter(kind=kind.value, state__in=ACTIVE).aggregate(n=Sum("amount"))
    return owed_balance(fund, kind) - (spoken["n"] or ZERO)


def prepare_redemption(
    *, order: DealingOrder, payee: PayeeAccount, actor: Actor, at: datetime | None = None
) -> Payment:
    """Prepare what is owed of a dealt redemption.

    Raises :class:`Conflict` (``nothing_owed``), :class:`InvalidInput` (``third_party``) and what
    :func:`require_receiver` raises.
    """
    actor.require(Capability.DEALING_PROCESS)
    at = at or utc_now()
    with transaction.atomic():
        row = DealingOrder.objects.select_for_update(of=("self",)).get(pk=order.pk)
        amount = payable_of(row)
        if row.kind != DealingOrder.Kind.REDEMPTION or amount <= 0:
            raise Conflict("nothing is owed of this order", code="nothing_owed")
        if payee.investor_id != row.investor_id:
            raise InvalidInput(
                "proceeds go to an account of the investor alone", code="third_party"
            )
        require_not_held(row)
        return _prepare(
            fund=row.share_class.fund, kind=PaymentKind.REDEMPTION, amount=amount,
            currency=row.share_class.fund.currency, payee=payee, order=row,
            text=f"Redemption {row.reference}", actor=actor, at=at,
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
            raise Conflict("nothing of this order is held back", code="nothing_owed")
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
        raise InvalidInput("this is no fee or expense", code="wrong_kind")
    if payee.investor_id is not None:
        raise InvalidInput("a fee is not paid to an investor", code="third_party")
    with transaction.atomic():
        take_lock(AdvisoryLock.STRIKE_OF_FUND, fund.pk)
        most = owed(fund, kind)
        if most <= 0:
            raise Conflict("nothing is owed of this kind", code="nothing_owed")
        wanted = most if amount is None else amount
        if wanted > most:
            raise InvalidInput(f"only {most:,.2f} is owed", code="too_much")
        return _prepare(
            fund=fund, kind=kind, amount=wanted, currency=fund.currency, payee=payee,
            text=text, actor=actor, at=at,
        )  # fmt: skip


def prepare_refund(
    *, line: StatementLine, actor: Actor, reason: str, at: datetime | None = None
) -> Payment:
    """Prepare the open money of a receipt to go back to where it came from, and nowhere else.

    Raises :class:`Conflict` (``nothing_owed``, ``no_origin`` where the line names no account).
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
        if row.final_at is None or row.open_amount <= 0:
            raise Conflict("nothing of this receipt is open", code="nothing_owed")
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
        raise InvalidInput("this is no payable amount", code="wrong_amount")
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
    _note(actor, "payment.prepared", row, at)
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


def require_not_held(order: DealingOrder) -> None:
    """Raise :class:`NotAllowed` (``on_hold``) while the investor's identity check holds payouts."""
    order.investor.refresh_from_db(fields=["kyc_state"])
    if order.investor.kyc_state == KycState.RESTRICTED:
        raise NotAllowed("payments to this investor are on hold", code="on_hold")


def approve_payment(
    *, payment: Payment, seen_hash: str, actor: Actor, at: datetime | None = None
) -> Payment:
    """Second signature on what was shown; above the fund's band a director signs too.

    Raises :class:`Conflict` (``changed``, ``wrong_state``, ``signed_already``) and
    :class:`SignatureMissing` until the actor has signed this payment.
    """
    at = at or utc_now()
    with transaction.atomic():
        row = _lock(payment)
        is_director = actor.user is not None and not actor.user.can(Capability.PAYMENTS_APPROVE)
        actor.require(Capability.PAYMENTS_DIRECT if is_director else Capability.PAYMENTS_APPROVE)
        if row.state != PaymentState.PREPARED:
            raise Conflict("this payment does not wait for a signature", code="wrong_state")
        actor.require_other_than(row.prepared_by, "a payment")
        if seen_hash != row.content_hash or hash_payment(row) != row.content_hash:
            raise Conflict(
                "the payment changed since you opened this page; reload and review it again",
                code="changed",
            )
        _require_payable(row, at)
        if is_director:
            _sign_as_director(row, actor, at)
        else:
            _sign(row, actor, at)
        needs_director = is_director_needed(amount=row.amount, band=row.fund.payment_band)
        if row.approved_by_id and (row.directed_by_id or not needs_director):
            require_move(row.state, PaymentState.APPROVED)
            row.state = PaymentState.APPROVED
        with signed_step():
            row.save(
                update_fields=["state", "approved_by", "approved_at", "directed_by", "directed_at"]
            )
        _note(actor, "payment.signed", row, at)
    return row


def _sign(row: Payment, actor: Actor, at: datetime) -> None:
    if row.approved_by_id is not None:
        raise Conflict("this payment waits for a director", code="signed_already")
    if row.directed_by is not None:
        actor.require_other_than(row.directed_by, "a payment")
    row.approved_by, row.approved_at = actor.user, at


def _sign_as_director(row: Payment, actor: Actor, at: datetime) -> None:
    if not is_director_needed(amount=row.amount, band=row.fund.payment_band):
        raise Conflict("this payment needs no director", code="signed_already")
    if row.directed_by_id is not None:
        raise Conflict("a director has signed already", code="signed_already")
    if row.approved_by is not None:
        actor.require_other_than(row.approved_by, "a payment")
    row.directed_by, row.directed_at = actor.user, at


def release_payments(
    *, payments: Sequence[Payment], account: FundAccount, actor: Actor, at: datetime | None = None
) -> PaymentFile:
    """Write approved payments into one instruction file of an account of the fund.

    Holds, cooling-off and hashes are asked again; one payment that fails releases none.
    """
    actor.require(Capability.DEALING_PROCESS)
    at = at or utc_now()
    if actor.user is None:
        raise NotAllowed("payments are released by a person", code="needs_person")
    if account.approved_at is None or account.closed_at is not None:
        raise InvalidInput("this account is not in use", code="unknown_account")
    if not payments:
        raise InvalidInput("choose at least one payment", code="nothing_chosen")
    with transaction.atomic():
        rows = [_lock(item) for item in sorted(payments, key=lambda item: item.number)]
        for row in rows:
            require_move(row.state, PaymentState.RELEASED)
            _require_payable(row, at)
            if row.fund_id != account.fund_id or row.currency != account.currency:
                raise InvalidInput(
                    f"{row.reference} is in {row.currency}, the account in {account.currency}",
                    code="currency_differs",
                )
        file = _write_file(rows, account, actor.user, at)
        for row in rows:
            row.state, row.file = PaymentState.RELEASED, file
            row.save(update_fields=["state", "file"])
            _note(actor, "payment.released", row, at)
    return file


def _write_file(
    rows: Sequence[Payment], account: FundAccount, user: User, at: datetime
) -> PaymentFile:
    count = PaymentFile.objects.filter(account__fund=account.fund_id).count() + 1
    name = f"{account.fund.code}-{at:%Y%m%d}-{count:04d}"
    debtor = Debtor(name=account.fund.name, number=account.number)
    transfers = [
        Transfer(
            reference=row.reference, name=row.to_name, number=row.to_number, bank=row.to_bank,
            amount=row.amount, currency=row.currency, text=row.text,
        )
        for row in rows
    ]  # fmt: skip
    if account.kind == "wallet":
        content = write_wallet_instructions(debtor=debtor, transfers=transfers)
    else:
        content = write_pain001(
            message=name, made_at=at, on=at.date(), debtor=debtor, transfers=transfers
        )
    return PaymentFile.objects.create(
        account=account,
        name=name,
        content=content,
        sha256=hashlib.sha256(content).hexdigest(),
        released_by=user,
        released_at=at,
    )


def confirm_payment(
    *, payment: Payment, bank_reference: str, actor: Actor, at: datetime | None = None
) -> Payment:
    """The bank or chain says that a released payment went: now it leaves the books.

    Raises :class:`InvalidInput` (``reference_missing``) and :class:`Conflict` (``wrong_state``).
    """
    actor.require(Capability.DEALING_PROCESS)
    at = at or utc_now()
    if not bank_reference.strip():
        raise InvalidInput("give the bank's or chain's reference", code="reference_missing")
    with transaction.atomic():
        row = _lock(payment)
        require_move(row.state, PaymentState.CONFIRMED)
        row.entry = book_payment(row, actor=actor, at=at)
        row.state, row.confirmed_at = PaymentState.CONFIRMED, at
        row.bank_reference = bank_reference.strip()[:100]
        row.save(update_fields=["state", "confirmed_at", "bank_reference", "entry"])
        _note(actor, "payment.confirmed", row, at)
    return row


def return_payment(
    *, payment: Payment, reason: str, actor: Actor, at: datetime | None = None
) -> Payment:
    """A payment came back: what it cleared is owed again."""
    actor.require(Capability.DEALING_PROCESS)
    at = at or utc_now()
    if not reason.strip():
        raise InvalidInput("a reason is needed", code="reason_missing")
    with transaction.atomic():
        row = _lock(payment)
        require_move(row.state, PaymentState.RETURNED)
        if row.state == PaymentState.CONFIRMED:
            unbook_payment(row, actor=actor, at=at)
        row.state, row.closed_at = PaymentState.RETURNED, at
        row.reason = reason.strip()[:REASON_MAX]
        row.save(update_fields=["state", "closed_at", "reason"])
        _note(actor, "payment.returned", row, at)
    return row


def cancel_payment(
    *, payment: Payment, reason: str, actor: Actor, at: datetime | None = None
) -> Payment:
    """Take a payment back before its release: whoever prepares or signs may."""
    at = at or utc_now()
    if actor.user is None or not actor.user.can(Capability.DEALING_PROCESS):
        actor.require(Capability.PAYMENTS_APPROVE)
    if not reason.strip():
        raise InvalidInput("a reason is needed", code="reason_missing")
    with transaction.atomic():
        row = _lock(payment)
        require_move(row.state, PaymentState.CANCELLED)
        row.state, row.closed_at = PaymentState.CANCELLED, at
        row.reason = reason.strip()[:REASON_MAX]
        row.save(update_fields=["state", "closed_at", "reason"])
        _note(actor, "payment.cancelled", row, at)
    return row


def _require_payable(row: Payment, at: datetime) -> None:
    """Everything that a payment must satisfy at each step, as of now."""
    if row.payee is not None:
        row.payee.refresh_from_db()
        require_receiver(row.payee, currency=row.currency, fund=row.fund, at=at)
        if (row.payee.number, row.payee.name) != (row.to_number, row.to_name):
            raise Conflict("the receiver's details changed", code="changed")
    if row.order is not None:
        require_not_held(row.order)


def _lock(payment: Payment) -> Payment:
    return (
        Payment.objects.select_for_update(of=("self",))
        .select_related("fund", "payee", "order__investor", "order__share_class", "line")
        .get(pk=payment.pk)
    )


def _note(actor: Actor, action: str, row: Payment, at: datetime) -> None:
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
