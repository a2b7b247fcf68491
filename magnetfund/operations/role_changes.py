"""People and roles: an administrator proposes, a director decides.

Until a home has a director there is nobody to decide, and what its administrator proposes takes
effect at once.  Nobody gets a role by his own hand, and nobody of the house has an investor's
account.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction
from django.db.models import QuerySet
from django.urls import reverse

from investors.services.accounts import sign_invitation
from magnetfund.core.actors import Actor
from magnetfund.core.locks import AdvisoryLock, take_lock
from magnetfund.core.models import RoleGrant, RoleProposal, User
from magnetfund.core.roles import STAFF_ROLES, Capability, Role
from magnetfund.core.services.audit import record_audit
from magnetfund.core.services.mail import queue_mail, register_mail
from magnetfund.core.services.signing import ROLE, ROLE_TAKEN, signed_step, signed_to
from magnetfund.kernel.clock import utc_now
from magnetfund.kernel.errors import Conflict, InvalidInput

MAIL = "staff_invitation"
REASON_MAX = 300


def _directors() -> QuerySet[RoleGrant]:
    return RoleGrant.objects.filter(
        role=Role.DIRECTOR.value, revoked_at=None, user__is_active=True, user__is_simulated=False
    )


def has_director() -> bool:
    """Whether somebody can decide about roles."""
    return _directors().exists()


def is_last_director(user: User) -> bool:
    """Whether nobody could decide about roles any more without this account."""
    others = _directors().exclude(user=user)
    return _directors().filter(user=user).exists() and not others.exists()


def propose_role(
    *, email: str, name: str, role: str, reason: str, actor: Actor, is_grant: bool = True
) -> RoleProposal:
    """Propose to give a role or to take it.

    Raises :class:`InvalidInput` (``bad_email``, ``bad_name``, ``bad_role``, ``reason_missing``,
    ``not_of_the_house``, ``own_role``) and :class:`Conflict` (``role_held``, ``role_not_held``,
    ``proposal_open``, ``last_administrator``).
    """
    actor.require(Capability.ROLES_MANAGE)
    assert actor.user is not None
    address, plain = email.strip().lower(), name.strip()
    try:
        validate_email(address)
    except ValidationError:
        raise InvalidInput("this is not a valid email address", code="bad_email") from None
    if role not in {item.value for item in STAFF_ROLES}:
        raise InvalidInput("this is no role of the house", code="bad_role")
    if not reason.strip():
        raise InvalidInput("a reason is needed", code="reason_missing")
    with transaction.atomic():
        take_lock(AdvisoryLock.FOUNDING, 0)
        user = User.objects.filter(email=address).first()
        _check(user, plain, role, actor, is_grant=is_grant)
        if RoleProposal.objects.filter(email=address, role=role, decided_at=None).exists():
            raise Conflict("this is proposed already", code="proposal_open")
        row = RoleProposal.objects.create(
            email=address,
            name=user.name if user is not None else plain,
            role=role,
            is_grant=is_grant,
            reason=reason.strip()[:REASON_MAX],
            proposed_by=actor.user,
        )
        _note(actor, "role.proposed", row)
        if not has_director():
            row.decided_at, row.is_approved = utc_now(), True
            row.save(update_fields=["decided_at", "is_approved"])
            _apply(row, actor)
    return row


def _check(user: User | None, name: str, role: str, actor: Actor, *, is_grant: bool) -> None:
    if user is None and (not is_grant or not 1 < len(name) <= 200 or not name.isprintable()):
        raise InvalidInput("give the person's full name", code="bad_name")
    if user is not None and (user.pk == actor.person or user.person == actor.person):
        raise InvalidInput("nobody changes the roles of his own", code="own_role")
    if user is not None and user.roles & {Role.INVESTOR, Role.ADVISER}:
        raise InvalidInput(
            "this is the account of an investor or an adviser; people of the house have their own",
            code="not_of_the_house",
        )
    holds = user is not None and role in user.roles
    if is_grant and holds:
        raise Conflict("this person has the role already", code="role_held")
    if not is_grant and not holds:
        raise Conflict("this person does not have the role", code="role_not_held")


def decide_role(*, proposal: RoleProposal, is_approved: bool, actor: Actor) -> RoleProposal:
    """A director's decision.

    Raises :class:`Conflict` (``proposal_closed``) for a decided one, and
    :class:`SignatureMissing` until the director has signed what he decides.
    """
    actor.require(Capability.ROLES_APPROVE)
    with transaction.atomic():
        take_lock(AdvisoryLock.FOUNDING, 0)
        row = RoleProposal.objects.select_for_update(of=("self",)).get(pk=proposal.pk)
        if row.decided_at is not None:
            raise Conflict("this proposal has been decided", code="proposal_closed")
        actor.require_other_than(row.proposed_by, "a change of roles")
        row.decided_by, row.decided_at, row.is_approved = actor.user, utc_now(), is_approved
        action = ROLE if row.is_grant else ROLE_TAKEN
        with signed_step(action=signed_to(action, is_approved=is_approved), subject=row.pk):
            row.save(update_fields=["decided_by", "decided_at", "is_approved"])
        _note(actor, "role.decided", row, approved=is_approved)
        if is_approved:
            _apply(row, actor)
    return row


def _apply(row: RoleProposal, actor: Actor) -> None:
    """Give or take the role; a new person is mailed the link to an account."""
    user = User.objects.filter(email=row.email).first()
    if not row.is_grant:
        grants = RoleGrant.objects.filter(user=user, role=row.role, revoked_at=None)
        if row.role == Role.ADMINISTRATOR and not _others_administer(user):
            raise Conflict("the last administrator stays", code="last_administrator")
        grants.update(revoked_by=actor.user, revoked_at=utc_now())
        _note_role(actor, "role.revoked", user, row)
        return
    if user is None:
        user = User.objects.create_user(row.email, None, name=row.name, is_staff=True)
        record_audit(actor=actor, action="account.created", subject=("user", user.pk))
        queue_mail(
            key=f"{MAIL}:{user.pk}", kind=MAIL, recipient=user.email,
            params={"user": str(user.pk), "name": user.name},
        )  # fmt: skip
    RoleGrant.objects.get_or_create(
        user=user, role=row.role, revoked_at=None, defaults={"granted_by": actor.user}
    )
    _note_role(actor, "role.granted", user, row)


def _others_administer(user: User | None) -> bool:
    grants = RoleGrant.objects.filter(
        role=Role.ADMINISTRATOR.value, revoked_at=None, user__is_active=True
    )
    return grants.exclude(user=user).exists()


def _note(actor: Actor, action: str, row: RoleProposal, **more: object) -> None:
    record_audit(
        actor=actor,
        action=action,
        subject=("role_proposal", row.pk),
        body={"email": row.email, "role": row.role, "grant": row.is_grant, **more},
    )


def _note_role(actor: Actor, action: str, user: User | None, row: RoleProposal) -> None:
    """The line of a grant or its end, by which the books know that it came about."""
    assert user is not None
    record_audit(
        actor=actor,
        action=action,
        subject=("user", user.pk),
        body={"role": row.role, "proposal": str(row.pk)},
    )


def _write_invitation(params: Mapping[str, Any]) -> Mapping[str, Any]:
    user = User.objects.get(pk=params["user"])
    return {"link": settings.PUBLIC_URL + reverse("join", args=[sign_invitation(user)])}


register_mail(MAIL, _write_invitation)
