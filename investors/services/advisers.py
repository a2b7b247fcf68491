"""Advisers of a holder: asked for by him, signed, accepted by a link, read-only, and ended at once.

Access opens on the holder's own signature; where he has no key to sign with, on that of compliance
who called him back.  It ends with its last day, with the holder's account, or when it is ended.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

from allauth.account.models import EmailAddress
from allauth.usersessions.models import UserSession
from django.conf import settings
from django.core import signing
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.urls import reverse

from investors.models import AdviserAccess, Investor
from investors.services.messages import send_message
from magnetfund.core.actors import Actor
from magnetfund.core.models import RefreshFamily, RoleGrant, User
from magnetfund.core.roles import STAFF_ROLES, Capability, Role
from magnetfund.core.services.audit import record_audit
from magnetfund.core.services.mail import queue_mail, register_mail
from magnetfund.core.services.signing import ADVISER, signed_step
from magnetfund.kernel.clock import utc_now
from magnetfund.kernel.errors import Conflict, InvalidInput, NotAllowed, NotFound

#: How long access lasts at most, and how long its link is good.
LONGEST = timedelta(days=365)
LINK_LIFETIME = timedelta(days=14)
#: The kind of the mail and the salt of its link.
INVITATION = "adviser_invitation"
#: How often it is noted that an adviser looks.
LOOK_STEP = timedelta(minutes=5)


def invite_adviser(
    *,
    investor: Investor,
    name: str,
    email: str,
    until: date,
    sees_holdings: bool,
    sees_papers: bool,
    actor: Actor,
) -> AdviserAccess:
    """Ask for an adviser's access until the end of a day (UTC); nothing is mailed before it is
    signed (:func:`grant_access`).

    Raises :class:`NotAllowed` (``not_own``: the holder alone asks), :class:`InvalidInput`
    (``bad_name``, ``bad_address``, ``own_address``, ``bad_date``, ``nothing_shown``) and
    :class:`Conflict` (``adviser_known``).
    """
    holder = _require_holder(investor, actor)
    plain, address = " ".join(name.split()), email.strip().lower()
    if not 1 < len(plain) <= 200 or not plain.isprintable():
        raise InvalidInput("give the adviser's full name", code="bad_name")
    try:
        validate_email(address)
    except ValidationError:
        raise InvalidInput("this is no e-mail address", code="bad_address") from None
    if address in (holder.email.lower(), investor.email.lower()):
        raise InvalidInput("an adviser has an address of his own", code="own_address")
    today = utc_now().date()
    if not today <= until <= today + LONGEST:
        raise InvalidInput("access lasts from today for a year at most", code="bad_date")
    if not (sees_holdings or sees_papers):
        raise InvalidInput("choose what the adviser sees", code="nothing_shown")
    with transaction.atomic():
        Investor.objects.select_for_update(of=("self",)).get(pk=investor.pk)
        for known in AdviserAccess.objects.filter(investor=investor, email=address, ended_at=None):
            if known.stands_on(today):
                raise Conflict(
                    "this adviser has access or is invited; end that first", code="adviser_known"
                )
            _end(known, actor)
        row = AdviserAccess.objects.create(
            investor=investor, name=plain, email=address, until=until,
            sees_holdings=sees_holdings, sees_papers=sees_papers, invited_by=holder,
        )  # fmt: skip
        _note(actor, "adviser.invited", row)
    return row


def grant_access(*, access: AdviserAccess, actor: Actor, confirmed_how: str = "") -> AdviserAccess:
    """Open an access on the actor's signature and mail the adviser his link.

    The actor is the holder, or somebody of compliance who says how the holder confirmed it.
    Raises :class:`SignatureMissing` until it is signed, :class:`NotAllowed` (``same_person``),
    :class:`InvalidInput` (``call_back_missing``) and :class:`Conflict` (``access_closed``).
    """
    how = confirmed_how.strip()[:300]
    with transaction.atomic():
        row = _lock(access)
        is_holder = actor.user is not None and row.investor.user_id == actor.user.pk
        if is_holder:
            how = ""
            _require_holder(row.investor, actor)
        else:
            actor.require(Capability.KYC_APPROVE)
            actor.require_other_than(row.invited_by, "confirming an adviser")
            if not how:
                raise InvalidInput("say how the holder confirmed it", code="call_back_missing")
        if row.granted_at is not None or not row.stands_on(utc_now().date()):
            raise Conflict("this access is signed, ended or over", code="access_closed")
        row.granted_by, row.granted_at, row.confirmed_how = actor.user, utc_now(), how
        with signed_step(action=ADVISER, subject=row.pk):
            row.save(update_fields=["granted_by", "granted_at", "confirmed_how"])
        _note(actor, "adviser.granted", row)
        queue_mail(
            key=f"{INVITATION}:{row.pk}",
            kind=INVITATION,
            recipient=row.email,
            params={"access": str(row.pk), "name": row.name, "holder": row.investor.legal_name},
        )
        if not is_holder:
            body = (
                f"We called you back, and {row.name} <{row.email}> was sent a link to read your "
                f"{row.scope} until {row.until:%-d %b %Y}. You can end it at any time."
            )
            _tell(row, "granted", "Your adviser's access was confirmed", body)
    return row


def sign_adviser_link(access: AdviserAccess) -> str:
    """The word of an invitation's link: good until it is accepted, 14 days at most."""
    return signing.dumps(str(access.pk), salt=INVITATION)


def read_adviser_link(word: str) -> AdviserAccess:
    """The access that a link offers; raises :class:`NotFound` (``link_over``) for a used, old,
    ended or forged one."""
    try:
        pk = signing.loads(word, salt=INVITATION, max_age=LINK_LIFETIME)
        row = AdviserAccess.objects.select_related("investor").get(pk=pk)
    except (signing.BadSignature, AdviserAccess.DoesNotExist, ValidationError, TypeError):
        raise NotFound("this link is no longer valid", code="link_over") from None
    _require_offered(row)
    return row


def account_of(access: AdviserAccess) -> User | None:
    """The account that has the invited address already."""
    return User.objects.filter(email=access.email).first()


def open_adviser_account(*, access: AdviserAccess, password: str | None) -> User:
    """Make the account of a new adviser and accept for him: the link proves his address.

    Raises :class:`NotFound` (``link_over``) and :class:`Conflict` (``address_taken``).
    """
    with transaction.atomic():
        row = _lock(access)
        _require_offered(row)
        if account_of(row) is not None:
            raise Conflict("there is an account of this address; sign in", code="address_taken")
        user = User.objects.create_user(row.email, password, name=row.name)
        EmailAddress.objects.create(user=user, email=row.email, verified=True, primary=True)
        record_audit(
            actor=Actor.of(user),
            action="account.created",
            subject=("user", user.pk),
            body={"adviser_of": row.investor.number},
        )
        _accept(row, user)
    return user


def accept_access(*, access: AdviserAccess, actor: Actor) -> AdviserAccess:
    """Accept for an account that is there already and signed in.

    Raises :class:`NotFound` (``link_over``) and :class:`NotAllowed` (``other_account``,
    ``of_the_house``: nobody of the house reads a holder's portal).
    """
    user = actor.user
    with transaction.atomic():
        row = _lock(access)
        _require_offered(row)
        if user is None or not user.is_active or user.email.lower() != row.email.lower():
            raise NotAllowed("this link was sent to another address", code="other_account")
        if user.roles & STAFF_ROLES or user.is_staff:
            raise NotAllowed("an account of the house cannot be an adviser's", code="of_the_house")
        _accept(row, user)
    return row


def end_access(*, access: AdviserAccess, actor: Actor) -> AdviserAccess:
    """End an access at once, with the adviser's sessions; by the holder or by compliance.

    Raises :class:`NotAllowed` and :class:`Conflict` (``access_closed``).
    """
    with transaction.atomic():
        row = _lock(access)
        is_holder = actor.user is not None and row.investor.user_id == actor.user.pk
        if not is_holder:
            actor.require(Capability.KYC_REVIEW)
        if row.ended_at is not None:
            raise Conflict("this access has ended", code="access_closed")
        _end(row, actor)
        if not is_holder:
            _tell(row, "ended", "Your adviser's access has ended",
                  f"The fund ended the access of {row.name} <{row.email}>.")  # fmt: skip
    return row


def end_all_access(investor: Investor, *, actor: Actor) -> None:
    """End every access to a holder's portal, in the caller's transaction."""
    for row in AdviserAccess.objects.select_for_update(of=("self",)).filter(
        investor=investor, ended_at=None
    ):
        _end(row, actor)


def accesses_of(user: User) -> QuerySet[AdviserAccess]:
    """What an account may read now, by the holders' names: accepted, in time, and of holders whose
    own account is open."""
    if Role.ADVISER not in user.roles:
        return AdviserAccess.objects.none()
    holds = RoleGrant.objects.filter(
        user=OuterRef("investor__user"), role=Role.INVESTOR.value, revoked_at=None
    )
    return (
        AdviserAccess.objects.filter(
            Exists(holds),
            user=user,
            ended_at=None,
            until__gte=utc_now().date(),
            investor__user__is_active=True,
        )
        .select_related("investor")
        .order_by("investor__legal_name", "invited_at")
    )


def note_look(access: AdviserAccess) -> None:
    """Note that the adviser looks, every five minutes at most."""
    now = utc_now()
    if access.seen_at is None or now - access.seen_at >= LOOK_STEP:
        AdviserAccess.objects.filter(pk=access.pk, ended_at=None).update(seen_at=now)
        access.seen_at = now


def _lock(access: AdviserAccess) -> AdviserAccess:
    return (
        AdviserAccess.objects.select_for_update(of=("self",))
        .select_related("investor", "invited_by")
        .get(pk=access.pk)
    )


def _require_holder(investor: Investor, actor: Actor) -> User:
    """The holder's own account with its portal."""
    if actor.user is None or investor.user_id != actor.user.pk:
        raise NotAllowed("the holder alone gives access to his portal", code="not_own")
    actor.require(Capability.PORTAL_VIEW)
    return actor.user


def _require_offered(row: AdviserAccess) -> None:
    if row.state != "invited":
        raise NotFound("this link was used already, or its access has ended", code="link_over")


def _accept(row: AdviserAccess, user: User) -> None:
    RoleGrant.objects.get_or_create(user=user, role=Role.ADVISER.value, revoked_at=None)
    row.user, row.accepted_at = user, utc_now()
    row.save(update_fields=["user", "accepted_at"])
    _note(Actor.of(user), "adviser.accepted", row)
    _tell(row, "accepted", "Your adviser can read your portal now",
          f"{row.name} <{row.email}> accepted and reads your {row.scope} until "
          f"{row.until:%-d %b %Y}. You see there when he last looked, and can end it.")  # fmt: skip


def _end(row: AdviserAccess, actor: Actor) -> None:
    row.ended_by, row.ended_at = actor.user, utc_now()
    row.save(update_fields=["ended_by", "ended_at"])
    _note(actor, "adviser.ended", row)
    if row.user is not None:
        sign_out(row.user)
        if not accesses_of(row.user).exists():
            RoleGrant.objects.filter(
                user=row.user, role=Role.ADVISER.value, revoked_at=None
            ).update(revoked_at=row.ended_at, revoked_by=actor.user)


def sign_out(user: User) -> None:
    """End every session and every API sign-in of an account."""
    for session in UserSession.objects.filter(user=user):
        session.end()
    RefreshFamily.objects.filter(user=user, revoked_at=None).update(revoked_at=utc_now())


def _tell(row: AdviserAccess, event: str, subject: str, body: str) -> None:
    send_message(investor=row.investor, key=f"adviser-{event}:{row.pk}", subject=subject, body=body)


def _note(actor: Actor, action: str, row: AdviserAccess) -> None:
    record_audit(
        actor=actor,
        action=action,
        subject=("adviser_access", row.pk),
        body={
            "investor": row.investor.number,
            "adviser": row.email,
            "shows": row.scope,
            "until": row.until.isoformat(),
            **({"confirmed_how": row.confirmed_how} if row.confirmed_how else {}),
        },
    )


def _write_invitation(params: Mapping[str, Any]) -> Mapping[str, Any]:
    row = AdviserAccess.objects.get(pk=params["access"])
    return {
        "link": settings.PUBLIC_URL + reverse("adviser_link", args=[sign_adviser_link(row)]),
        "scope": row.scope,
        "until": f"{row.until:%-d %b %Y}",
    }


register_mail(INVITATION, _write_invitation)
