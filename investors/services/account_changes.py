"""A holder's request to be paid to another account: asked, called back, signed by another, cooled
off; or withdrawn, or refused.

The call-back proposes the account as :func:`add_payee` does; :func:`approve_payee` signs it.
"""

from __future__ import annotations

from datetime import date, datetime

from django.db import IntegrityError, transaction

from investors.domain.receipts import mask_number
from investors.models import AccountChange, Fund, Investor, PayeeAccount, PowerOfAttorney
from investors.services.account_change_rules import (
    ACCOUNTS_PLACE,
    CALL_US,
    note_change,
    require_changeable,
    tell_change,
    write_refusal,
)
from investors.services.attorneys import find_power
from investors.services.money_accounts import (
    add_payee,
    close_payee,
    require_account,
    require_own_name,
    take_off,
)
from magnetfund.core.actors import Actor
from magnetfund.core.models import User
from magnetfund.core.roles import Capability
from magnetfund.kernel.clock import utc_now
from magnetfund.kernel.errors import Conflict, InvalidInput, NotAllowed

#: Requests of one holder that may be open at a time.
OPEN_MAX = 3
CALLED_MIN = 5


def ask_change(
    *,
    fund: Fund,
    investor: Investor,
    kind: str,
    name: str,
    number: str,
    currency: str,
    actor: Actor,
    bank: str = "",
) -> AccountChange:
    """Ask that the holder be paid to another account; the fund calls him back.

    The holder asks, or an attorney whose power says so: :class:`NotAllowed` (``not_own``,
    ``not_in_power``) for everybody else, and where the account stays as it is
    (:func:`require_changeable`).  Raises :class:`InvalidInput` (``bad_account``,
    ``unknown_currency``, ``third_party``) and :class:`Conflict` (``account_exists``,
    ``change_waiting``, ``too_many_changes``).
    """
    user, power = _require_asker(investor, actor)
    require_changeable(investor)
    packed = require_account(kind=kind, number=number, currency=currency)
    require_own_name(investor, name)
    if not f"{name.strip()}{bank.strip()}".isprintable():
        raise InvalidInput(
            "holder and bank are written in printable characters", code="bad_account"
        )
    listed = PayeeAccount.objects.filter(
        fund=fund, investor=investor, number=packed, closed_at=None
    )
    try:
        with transaction.atomic():
            Investor.objects.select_for_update(of=("self",)).get(pk=investor.pk)
            if listed.exists():
                raise Conflict("this account is on the list already", code="account_exists")
            known = AccountChange.objects.filter(fund=fund, investor=investor)
            if sum(row.is_open for row in known.select_related("payee")[:50]) >= OPEN_MAX:
                raise Conflict(
                    f"{OPEN_MAX} accounts wait already; withdraw one first",
                    code="too_many_changes",
                )
            row = AccountChange.objects.create(
                fund=fund, investor=investor, kind=kind, name=name.strip(), number=packed,
                bank=bank.strip(), currency=currency, asked_by=user, under_power=power,
            )  # fmt: skip
            by = f", asked for by {power.acts_as}" if power is not None else ""
            said = {"attorney": power.attorney.number} if power is not None else {}
            note_change(row, "account_change.asked", actor, **said)
            tell_change(
                row,
                "asked",
                "We received your new account",
                f"You asked to be paid to the account {mask_number(packed)}{by}. We call you back "
                f"at the number that we have before anything is changed. {CALL_US} You can "
                "withdraw it under Settings.",
            )
    except IntegrityError:
        raise Conflict("you asked for this account already", code="change_waiting") from None
    return row


def withdraw_change(*, change: AccountChange, actor: Actor) -> AccountChange:
    """Take a request back until its account is in use, by the holder or the attorney who may ask.

    Raises :class:`NotAllowed` (``not_own``, ``not_in_power``) and :class:`Conflict`
    (``change_closed``).
    """
    _require_asker(change.investor, actor)
    with transaction.atomic():
        row = _lock_open(change)
        if row.payee is not None:
            take_off(row.payee, actor, why="withdrawn by the holder")
        row.withdrawn_by, row.withdrawn_at = actor.user, utc_now()
        row.save(update_fields=["withdrawn_by", "withdrawn_at"])
        note_change(row, "account_change.withdrawn", actor)
        tell_change(
            row,
            "withdrawn",
            "Your new account was withdrawn",
            f"The request for the account {mask_number(row.number)} was withdrawn; nothing is paid "
            f"there. {ACCOUNTS_PLACE}",
        )
    return row


def record_call_back(
    *,
    change: AccountChange,
    called_at: datetime,
    called_number: str,
    known_since: date,
    spoken_with: str,
    actor: Actor,
) -> AccountChange:
    """Record that the holder confirmed his request by telephone, and propose the account; another
    person signs it (:func:`approve_payee`).

    The number called was known before the day of the request (UTC).  Raises :class:`NotAllowed`
    (``same_person`` of whoever asked, and what :func:`require_changeable` does),
    :class:`InvalidInput` (``bad_call``) and :class:`Conflict` (``change_closed``,
    ``already_called``, ``account_exists``).
    """
    actor.require(Capability.ACCOUNTS_PROPOSE)
    number, who = " ".join(called_number.split()), " ".join(spoken_with.split())
    if not CALLED_MIN <= len(number) <= 40 or not 2 <= len(who) <= 80:
        raise InvalidInput("say which number was called and who spoke", code="bad_call")
    with transaction.atomic():
        row = _lock_open(change)
        if row.payee is not None:
            raise Conflict("the call-back is recorded already", code="already_called")
        actor.require_other_than(row.asked_by, "a call-back")
        require_changeable(row.investor)
        if not row.asked_at <= called_at <= utc_now():
            raise InvalidInput("the call comes after the request and before now", code="bad_call")
        if known_since >= row.asked_at.date():
            raise InvalidInput(
                "call a number that was known before the day of the request", code="bad_call"
            )
        called = f"{called_at:%-d %b %Y, %H:%M} UTC"
        evidence = (
            f"asked in the portal {row.asked_at:%-d %b %Y}, called back {called} at {number}, "
            f"known since {known_since:%-d %b %Y}; spoke with {who}"
        )
        row.payee = add_payee(
            fund=row.fund, investor=row.investor, kind=row.kind, name=row.name, number=row.number,
            bank=row.bank, currency=row.currency, evidence=evidence, actor=actor,
        )  # fmt: skip
        row.called_by, row.called_at, row.known_since = actor.user, called_at, known_since
        row.called_number, row.spoken_with = number, who
        row.save(
            update_fields=[
                "payee", "called_by", "called_at", "known_since", "called_number", "spoken_with",
            ]
        )  # fmt: skip
        note_change(row, "account_change.called_back", actor, payee=str(row.payee.pk))
        tell_change(
            row,
            "called",
            "We called you back about your new account",
            f"You confirmed the account {mask_number(row.number)} on {called}. Another person of "
            f"the fund signs it now. {CALL_US}",
        )
    return row


def refuse_change(*, change: AccountChange, reason: str, actor: Actor) -> AccountChange:
    """Refuse a request until its account is in use, by either of the two who sign; the holder reads
    the reason.

    Raises :class:`InvalidInput` (``reason_missing``) and :class:`Conflict` (``change_closed``).
    """
    if actor.user is None or not actor.user.can(Capability.ACCOUNTS_PROPOSE):
        actor.require(Capability.ACCOUNTS_APPROVE)
    if not reason.strip():
        raise InvalidInput("a reason is needed", code="reason_missing")
    with transaction.atomic():
        row = _lock_open(change)
        if row.payee is None:
            write_refusal(row, reason=reason, actor=actor)
        else:
            close_payee(payee=row.payee, reason=reason, actor=actor)
    return AccountChange.objects.select_related("investor", "payee").get(pk=change.pk)


def _lock_open(change: AccountChange) -> AccountChange:
    """The request, locked with its account; raises :class:`Conflict` (``change_closed``) once it
    is in use or over."""
    payee = AccountChange.objects.values_list("payee", flat=True).get(pk=change.pk)
    if payee is not None:
        PayeeAccount.objects.select_for_update(of=("self",)).get(pk=payee)
    row = (
        AccountChange.objects.select_for_update(of=("self",))
        .select_related("investor", "fund", "payee", "asked_by")
        .get(pk=change.pk)
    )
    if not row.is_open:
        raise Conflict(f"this request is {row.state_words}", code="change_closed")
    return row


def _require_asker(investor: Investor, actor: Actor) -> tuple[User, PowerOfAttorney | None]:
    user = actor.user
    if user is not None and investor.user_id == user.pk:
        actor.require(Capability.PORTAL_VIEW)
        return user, None
    power = find_power(investor, user) if user is not None else None
    if user is None or power is None:
        raise NotAllowed("the holder alone asks for another account", code="not_own")
    if not power.may_change_account:
        raise NotAllowed("your power of attorney does not include this", code="not_in_power")
    return user, power
