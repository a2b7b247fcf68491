"""Attorneys of a holder: proposed with the deed, decided by two people, acting within it, ended.

An attorney has a compliance file of his own, and acts while it is approved: a hit of the screening
on him stops him at once.  Money goes to the holder's approved accounts, as it does for the holder.
"""

from __future__ import annotations

import hashlib
from datetime import date

from django.db import transaction
from django.db.models import Q

from investors.domain.onboarding import KycState
from investors.domain.onboarding.uploads import check_upload
from investors.models import Investor, PowerOfAttorney
from investors.services.kyc_file import find_case
from investors.services.messages import send_message
from investors.services.sealing import make_key, seal, unseal
from investors.services.two_people import decide_proposal
from magnetfund.core.actors import Actor
from magnetfund.core.models import User
from magnetfund.core.roles import Capability, refusal_of
from magnetfund.core.services.audit import record_audit
from magnetfund.core.services.signing import ATTORNEY
from magnetfund.kernel.clock import utc_now
from magnetfund.kernel.errors import Conflict, InvalidInput, NotAllowed

REASON_MAX = 300


def propose_power(
    *,
    investor: Investor,
    attorney: Investor,
    may_subscribe: bool,
    may_redeem: bool,
    first_day: date,
    last_day: date,
    deed_name: str,
    deed: bytes,
    actor: Actor,
    may_change_account: bool = False,
) -> PowerOfAttorney:
    """Open the file of an attorney with the deed, which is sealed; another person decides.

    ``attorney`` is the file of the person, approved as an investor's is.  Raises the codes of
    :func:`check_upload`, :class:`InvalidInput` (``bad_attorney``, ``bad_days``) and
    :class:`Conflict` (``power_known``).
    """
    actor.require(Capability.KYC_REVIEW)
    if actor.user is None:
        raise NotAllowed("a power is proposed by a person", code="needs_person")
    _require_attorney(investor, attorney)
    if last_day < first_day or last_day < utc_now().date():
        raise InvalidInput("the last day comes after the first one and today", code="bad_days")
    found = check_upload(name=deed_name, content=deed)
    with transaction.atomic():
        Investor.objects.select_for_update(of=("self",)).get(pk=investor.pk)
        for known in PowerOfAttorney.objects.filter(
            investor=investor, attorney=attorney, ended_at=None
        ).exclude(is_approved=False):
            if known.is_approved is None or known.last_day >= utc_now().date():
                raise Conflict("a power of this attorney stands or waits", code="power_known")
            _end(known, actor, "its last day is over")
        row = PowerOfAttorney(
            investor=investor, attorney=attorney, may_subscribe=may_subscribe,
            may_redeem=may_redeem, may_change_account=may_change_account, first_day=first_day,
            last_day=last_day, deed_name=found.name, deed_type=found.media_type,
            deed_size=len(deed), deed_digest=hashlib.sha256(deed).hexdigest(),
            proposed_by=actor.user,
        )  # fmt: skip
        make_key(row.pk)
        row.sealed_content = seal(row.pk, deed, place=f"deed:{row.pk}")
        row.save(force_insert=True)
        _note(actor, "attorney.proposed", row)
    return row


def decide_power(
    *, proposal: PowerOfAttorney, is_approved: bool, actor: Actor, reason: str = ""
) -> PowerOfAttorney:
    """Approve or decline a power on the actor's signature; a director decides where the attorney's
    file is of high risk or names a public office.

    Raises :class:`NotAllowed` (``senior_manager_needed``, ``own_file``), :class:`InvalidInput`
    (``bad_attorney``: his file is not approved any more) and what :func:`decide_proposal` raises.
    """
    user = actor.user
    if user is None or not (user.can(Capability.KYC_APPROVE) or user.can(Capability.KYC_SENIOR)):
        raise refusal_of(Capability.KYC_APPROVE)
    attorney, holder = proposal.attorney, proposal.investor
    if user.person in {row.user.person for row in (attorney, holder) if row.user is not None}:
        raise NotAllowed("nobody may decide on their own file", code="own_file")
    case = find_case(attorney)
    is_grave = case.risk == "high" or case.is_politically_exposed
    if is_approved and is_grave and not user.can(Capability.KYC_SENIOR):
        raise NotAllowed(
            "high risk or public office: a director approves", code="senior_manager_needed"
        )
    with transaction.atomic():
        if is_approved:
            _require_attorney(holder, attorney)
        row = decide_proposal(
            proposal, action=ATTORNEY, is_approved=is_approved, actor=actor, reason=reason,
            what="a power of attorney",
        )  # fmt: skip
        _note(actor, "attorney.approved" if is_approved else "attorney.declined", row)
        if is_approved:
            days = f"from {row.first_day:%-d %b %Y} until {row.last_day:%-d %b %Y}"
            _tell(holder, f"power-approved:{row.pk}", "Your attorney may act for you",
                  f"{attorney.legal_name} may {row.scope} for you {days}. You see every order of "
                  "his, and can revoke the power under Advisers.")  # fmt: skip
            _tell(attorney, f"power-approved:{row.pk}", "You may act as an attorney",
                  f"You may {row.scope} for {holder.legal_name} {days}. Choose the holder under "
                  "Settings.")  # fmt: skip
    return row


def revoke_power(*, power: PowerOfAttorney, actor: Actor, reason: str) -> PowerOfAttorney:
    """End a power at once, by the holder alone or by compliance; orders that were placed before
    stay as they are.

    Raises :class:`NotAllowed`, :class:`InvalidInput` (``reason_missing``: compliance says why) and
    :class:`Conflict` (``power_closed``).
    """
    with transaction.atomic():
        row = (
            PowerOfAttorney.objects.select_for_update(of=("self",))
            .select_related("investor", "attorney")
            .get(pk=power.pk)
        )
        is_holder = actor.user is not None and row.investor.user_id == actor.user.pk
        if not is_holder:
            actor.require(Capability.KYC_REVIEW)
            if not reason.strip():
                raise InvalidInput("say why it is revoked", code="reason_missing")
        if not row.is_approved or row.ended_at is not None:
            raise Conflict("this power has ended or was never approved", code="power_closed")
        _end(row, actor, reason.strip() or "revoked by the holder")
        for person in (row.investor, row.attorney):
            words = f"{row.acts_as}: the power was revoked. Orders that were placed before stay."
            _tell(person, f"power-ended:{row.pk}", "A power of attorney has ended", words)
    return row


def end_all_powers(investor: Investor, *, actor: Actor, reason: str) -> None:
    """End every power by which others act for an investor, or he for others, in the caller's
    transaction."""
    own = Q(investor=investor) | Q(attorney=investor)
    for row in PowerOfAttorney.objects.select_for_update(of=("self",)).filter(
        own, is_approved=True, ended_at=None
    ):
        _end(row, actor, reason)


def find_power(investor: Investor, user: User) -> PowerOfAttorney | None:
    """The power by which an account acts for a holder now."""
    return next((row for row in powers_of(user) if row.investor_id == investor.pk), None)


def powers_of(user: User) -> list[PowerOfAttorney]:
    """Every power by which an account acts now, by the holders' names: approved, in its days, and
    the attorney's own file and portal open."""
    if not user.can(Capability.PORTAL_VIEW):
        return []
    today = utc_now().date()
    return list(
        PowerOfAttorney.objects.filter(
            attorney__user=user,
            attorney__kyc_state=KycState.APPROVED,
            is_approved=True,
            ended_at=None,
            first_day__lte=today,
            last_day__gte=today,
        )
        .select_related("investor", "attorney")
        .defer("sealed_content")
        .order_by("investor__legal_name", "proposed_at")
    )


def open_deed(*, power: PowerOfAttorney, actor: Actor) -> bytes:
    """The deed for whoever reads compliance files; each opening is noted.

    Raises :class:`NotFound` (``erased``) without its key.
    """
    actor.require(Capability.KYC_VIEW)
    content = unseal(power.pk, power.sealed_content, place=f"deed:{power.pk}")
    record_audit(
        actor=actor,
        action="document.opened",
        subject=("power_of_attorney", power.pk),
        body={"deed": power.deed_digest},
    )
    return content


def _require_attorney(investor: Investor, attorney: Investor) -> None:
    """The attorney is another person with an approved file and a portal of his own."""
    own = investor.user.person if investor.user is not None else None
    is_fit = (
        attorney.pk != investor.pk
        and attorney.kind == "person"
        and attorney.kyc_state == KycState.APPROVED
        and attorney.user is not None
        and attorney.user.person != own
    )
    if not is_fit:
        raise InvalidInput(
            "an attorney is another person, whose own file is approved and who has an account",
            code="bad_attorney",
        )


def _end(row: PowerOfAttorney, actor: Actor, reason: str) -> None:
    row.ended_by, row.ended_at, row.end_reason = actor.user, utc_now(), reason[:REASON_MAX]
    row.save(update_fields=["ended_by", "ended_at", "end_reason"])
    _note(actor, "attorney.ended", row)


def _tell(investor: Investor, key: str, subject: str, body: str) -> None:
    send_message(investor=investor, key=key, subject=subject, body=body)


def _note(actor: Actor, action: str, row: PowerOfAttorney) -> None:
    record_audit(
        actor=actor,
        action=action,
        subject=("power_of_attorney", row.pk),
        body={
            "investor": row.investor.number,
            "attorney": row.attorney.number,
            "may": row.scope,
            "first_day": row.first_day.isoformat(),
            "last_day": row.last_day.isoformat(),
            "deed": row.deed_digest,
        },
    )
