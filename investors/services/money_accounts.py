"""Accounts of the fund, and accounts that it may pay: added by one person, approved by another.

Details that replace others wait out the fund's cooling-off before the first payment goes there.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet

from investors.domain.receipts import mask_number, plain_number
from investors.models import Fund, FundAccount, Investor, PayeeAccount
from investors.services.account_change_rules import (
    ACCOUNTS_PLACE,
    refuse_asked,
    require_payable,
)
from investors.services.estate_rules import find_probate
from investors.services.messages import Draft, send_messages
from magnetfund.core.actors import Actor
from magnetfund.core.models import User
from magnetfund.core.roles import Capability
from magnetfund.core.services.audit import record_audit
from magnetfund.core.services.signing import ACCOUNT, PAYEE, signed_step
from magnetfund.kernel.clock import utc_now
from magnetfund.kernel.errors import Conflict, InvalidInput, NotAllowed
from magnetfund.kernel.money import currency_quantum

EVIDENCE_MIN = 5
NUMBER_MIN = 5


def open_account(
    *,
    fund: Fund,
    code: str,
    kind: str,
    bank: str,
    number: str,
    currency: str,
    actor: Actor,
    confirmations: int = 0,
) -> FundAccount:
    """Propose an account of the fund's own; it is used once a second person approved it.

    Raises :class:`InvalidInput` (``bad_account``, ``unknown_currency``) and :class:`Conflict`
    (``account_exists``).
    """
    actor.require(Capability.ACCOUNTS_PROPOSE)
    user = _person(actor)
    packed = require_account(kind=kind, number=number, currency=currency)
    if not code.strip() or not bank.strip():
        raise InvalidInput("an account has a short code and a bank or chain", code="bad_account")
    if kind == "wallet" and confirmations < 1:
        raise InvalidInput(
            "say how many confirmations make a transfer of this chain final", code="bad_account"
        )
    try:
        with transaction.atomic():
            row = FundAccount.objects.create(
                fund=fund,
                code=code.strip(),
                kind=kind,
                bank=bank.strip(),
                number=packed,
                currency=currency,
                confirmations=confirmations if kind == "wallet" else 0,
                opened_by=user,
            )
            _note(actor, "account.proposed", row)
    except IntegrityError:
        raise Conflict(f"the fund has an account {code} already", code="account_exists") from None
    return row


def approve_account(*, account: FundAccount, actor: Actor) -> FundAccount:
    """Second signature on an account of the fund; raises :class:`SignatureMissing` until the actor
    has signed it."""
    actor.require(Capability.ACCOUNTS_APPROVE)
    with transaction.atomic():
        row = FundAccount.objects.select_for_update().get(pk=account.pk)
        if row.approved_by_id is not None or row.closed_at is not None:
            raise Conflict("this account does not wait for a signature", code="not_waiting")
        actor.require_other_than(row.opened_by, "an account of the fund")
        row.approved_by, row.approved_at = actor.user, utc_now()
        with signed_step(action=ACCOUNT, subject=row.pk):
            row.save(update_fields=["approved_by", "approved_at"])
        _note(actor, "account.approved", row)
    return row


def find_account(fund: Fund, code: str) -> FundAccount:
    """An approved account of the fund by its code; raises :class:`InvalidInput`
    (``unknown_account``)."""
    found = approved_accounts(fund).filter(code=code).first()
    if found is None:
        raise InvalidInput(f"the fund has no approved account {code!r}", code="unknown_account")
    return found


def approved_accounts(fund: Fund) -> QuerySet[FundAccount]:
    """Accounts of the fund that two people signed."""
    return FundAccount.objects.filter(fund=fund, approved_at__isnull=False, closed_at=None)


def add_payee(
    *,
    fund: Fund,
    kind: str,
    name: str,
    number: str,
    currency: str,
    evidence: str,
    actor: Actor,
    investor: Investor | None = None,
    bank: str = "",
) -> PayeeAccount:
    """Propose an account that the fund may pay.

    ``evidence`` says how it was proved.  An investor is paid in his own name alone, or after
    probate in his executor's: another name raises :class:`InvalidInput` (``third_party``).
    """
    actor.require(Capability.ACCOUNTS_PROPOSE)
    user = _person(actor)
    packed = require_account(kind=kind, number=number, currency=currency)
    if len(evidence.strip()) < EVIDENCE_MIN:
        raise InvalidInput(
            "say how the account was proved: call-back, test transfer, signed message",
            code="evidence_missing",
        )
    if investor is not None:
        require_own_name(investor, name)
    if not name.strip():
        raise InvalidInput("the account has no holder", code="bad_account")
    if not f"{name.strip()}{bank.strip()}".isprintable():
        raise InvalidInput(
            "holder and bank are written in printable characters", code="bad_account"
        )
    try:
        with transaction.atomic():
            row = PayeeAccount.objects.create(
                fund=fund,
                investor=investor,
                kind=kind,
                name=name.strip(),
                number=packed,
                bank=bank.strip(),
                currency=currency,
                evidence=evidence.strip()[:300],
                added_by=user,
            )
            _note(actor, "payee.proposed", row)
    except IntegrityError:
        raise Conflict("this account is on the list already", code="account_exists") from None
    return row


def approve_payee(*, payee: PayeeAccount, actor: Actor, at: datetime | None = None) -> PayeeAccount:
    """Second signature; where the holder had an account before, the cooling-off begins.

    Raises :class:`SignatureMissing` until the actor has signed this account.
    """
    actor.require(Capability.ACCOUNTS_APPROVE)
    at = at or utc_now()
    with transaction.atomic():
        row = PayeeAccount.objects.select_for_update(of=("self",)).get(pk=payee.pk)
        if row.approved_by_id is not None or row.closed_at is not None:
            raise Conflict("this account does not wait for a signature", code="not_waiting")
        actor.require_other_than(row.added_by, "an account that is paid")
        require_payable(row)
        same = Q(investor=row.investor_id) if row.investor_id else Q(investor=None, name=row.name)
        is_change = PayeeAccount.objects.filter(
            same, fund=row.fund_id, approved_at__isnull=False
        ).exists()
        days = row.fund.cooling_off_days if is_change else 0
        row.approved_by, row.approved_at = actor.user, at
        row.usable_from = at + timedelta(days=days)
        with signed_step(action=PAYEE, subject=row.pk):
            row.save(update_fields=["approved_by", "approved_at", "usable_from"])
        _note(actor, "payee.approved", row)
        if row.investor is not None:
            body = (
                f"You are paid to the account {mask_number(row.number)} from "
                f"{row.usable_from:%-d %b %Y, %H:%M} UTC on. If you did not ask for this, call us "
                f"at once. {ACCOUNTS_PLACE}"
            )
            told = "An account that you are paid to was added"
            draft = Draft(
                investor=row.investor.pk, key=f"payee:{row.pk}", subject=told, body=body, at=at,
                is_always_mailed=True,
            )  # fmt: skip
            send_messages([draft])
    return row


def close_payee(*, payee: PayeeAccount, reason: str, actor: Actor) -> PayeeAccount:
    """Take an account off the list; either of the two who sign may.  The request of a holder behind
    one that was never in use is refused with the reason."""
    if actor.user is None or not actor.user.can(Capability.ACCOUNTS_PROPOSE):
        actor.require(Capability.ACCOUNTS_APPROVE)
    if not reason.strip():
        raise InvalidInput("a reason is needed", code="reason_missing")
    with transaction.atomic():
        row = PayeeAccount.objects.select_for_update(of=("self",)).get(pk=payee.pk)
        if row.closed_at is not None:
            raise Conflict("this account is closed", code="account_closed")
        take_off(row, actor, why=reason.strip()[:300])
        refuse_asked(row, reason=reason, actor=actor)
    return row


def take_off(row: PayeeAccount, actor: Actor, *, why: str) -> None:
    """Close an account that the caller has locked and may close."""
    row.closed_at = utc_now()
    row.save(update_fields=["closed_at"])
    _note(actor, "payee.closed", row, why=why)


def require_own_name(investor: Investor, name: str) -> None:
    """An investor is paid in his own name alone, a dead one in that of the executor whom two people
    took; raises :class:`InvalidInput` (``third_party``)."""
    step = find_probate(investor)
    own = investor if step is None or step.executor is None else step.executor
    if name.strip().casefold() != own.legal_name.casefold():
        raise InvalidInput(
            f"an investor is paid on an account in the name {own.legal_name}",
            code="third_party",
        )


def require_account(*, kind: str, number: str, currency: str) -> str:
    """The number of an account without its spaces; raises :class:`InvalidInput` (``bad_account``,
    ``unknown_currency``)."""
    if kind not in ("bank", "wallet"):
        raise InvalidInput("an account is a bank account or a wallet", code="bad_account")
    currency_quantum(currency)
    packed = plain_number(number)
    if len(packed) < NUMBER_MIN or not packed.isalnum():
        raise InvalidInput("this is not an account number", code="bad_account")
    if packed[:2].isalpha() and packed[2:4].isdigit() and kind == "bank":
        _require_iban(packed)
    return packed


def _require_iban(number: str) -> None:
    """The check of ISO 13616: moved to the end and read as a number, it leaves 1 modulo 97."""
    turned = number[4:] + number[:4]
    digits = "".join(str(int(sign, 36)) for sign in turned)
    if int(digits) % 97 != 1:
        raise InvalidInput("the check digits of this IBAN are wrong", code="bad_account")


def _person(actor: Actor) -> User:
    if actor.user is None:
        raise NotAllowed("an account is proposed by a person", code="needs_person")
    return actor.user


def _note(actor: Actor, action: str, row: FundAccount | PayeeAccount, **more: str) -> None:
    record_audit(
        actor=actor,
        action=action,
        subject=("account", row.pk),
        body={"number": mask_number(row.number), "currency": row.currency, **more},
    )
