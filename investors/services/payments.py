"""Payments out: prepared, approved by another in bands, released in a file, confirmed, returned.

What is owed (2020, 2100, 2120, 2130, 2160, 2015) leaves the books when the bank confirms and not
before.
Holds are asked again at every step; the receiver must be approved and out of its cooling-off.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime

from django.db import transaction

from investors.domain.payments import (
    Debtor,
    PaymentState,
    Transfer,
    is_director_needed,
    require_move,
    write_pain001,
    write_wallet_instructions,
)
from investors.models import (
    FundAccount,
    Payment,
    PaymentFile,
    StatementLine,
)
from investors.services.payment_books import (
    book_payment,
    unbook_payment,
)
from investors.services.payment_drafts import (
    REASON_MAX,
    hash_payment,
    note_payment,
    require_not_held,
    require_receiver,
)
from investors.services.reversed_receipts import require_not_reversed
from investors.services.step_messages import tell_paid
from magnetfund.core.actors import Actor
from magnetfund.core.models import User
from magnetfund.core.roles import Capability
from magnetfund.core.services.signing import PAYMENT, signed_step
from magnetfund.kernel.clock import utc_now
from magnetfund.kernel.errors import Conflict, InvalidInput, NotAllowed


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
        with signed_step(action=PAYMENT, subject=row.pk):
            row.save(
                update_fields=["state", "approved_by", "approved_at", "directed_by", "directed_at"]
            )
        note_payment(actor, "payment.signed", row, at)
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
            note_payment(actor, "payment.released", row, at)
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
        note_payment(actor, "payment.confirmed", row, at)
        tell_paid(row, at=at)
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
        note_payment(actor, "payment.returned", row, at)
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
        note_payment(actor, "payment.cancelled", row, at)
    return row


def _require_payable(row: Payment, at: datetime) -> None:
    """Everything that a payment must satisfy at each step, as of now."""
    if row.line is not None:
        require_not_reversed(StatementLine.objects.select_for_update().get(pk=row.line.pk))
    if row.payee is not None:
        row.payee.refresh_from_db()
        require_receiver(row.payee, currency=row.currency, fund=row.fund, at=at)
        if (row.payee.number, row.payee.name) != (row.to_number, row.to_name):
            raise Conflict("the receiver's details changed", code="changed")
    if row.order is not None:
        require_not_held(row.order.investor, row.payee)
    elif row.payee is not None and row.payee.investor is not None:
        require_not_held(row.payee.investor, row.payee)


def _lock(payment: Payment) -> Payment:
    return (
        Payment.objects.select_for_update(of=("self",))
        .select_related("fund", "payee", "order__investor", "order__share_class", "line")
        .get(pk=payment.pk)
    )
