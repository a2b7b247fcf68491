"""Accounts of investors: made with the acceptance, opened by a mailed link that works once."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from allauth.account.models import EmailAddress
from django.conf import settings
from django.core import signing
from django.db import transaction
from django.urls import reverse

from investors.models import Investor
from magnetfund.core.actors import Actor
from magnetfund.core.models import RoleGrant, User
from magnetfund.core.roles import Role
from magnetfund.core.services.audit import record_audit
from magnetfund.core.services.mail import queue_mail, register_mail
from magnetfund.kernel.clock import utc_now
from magnetfund.kernel.errors import NotFound

INVITATION = "invitation"
INVITATION_LIFETIME = timedelta(days=14)


def invite_investor(*, investor: Investor, actor: Actor) -> User | None:
    """Give an accepted investor an account without a password, and mail the link to open it.

    None where another account has the address: the house sorts that out, the acceptance stands.
    In the caller's transaction.
    """
    with transaction.atomic():
        if User.objects.filter(email=investor.email).exists():
            record_audit(
                actor=actor,
                action="investor.account_taken",
                subject=("investor", investor.pk),
                body={"why": "another account has this address"},
            )
            return None
        user = User.objects.create_user(investor.email, None, name=investor.legal_name)
        RoleGrant.objects.create(user=user, role=Role.INVESTOR.value)
        Investor.objects.filter(pk=investor.pk).update(user=user)
        investor.user = user
        record_audit(
            actor=actor,
            action="account.created",
            subject=("user", user.pk),
            body={"investor": investor.number},
        )
        queue_mail(
            key=f"{INVITATION}:{user.pk}",
            kind=INVITATION,
            recipient=user.email,
            params={"user": str(user.pk), "name": investor.legal_name},
        )
    return user


def sign_invitation(user: User) -> str:
    """The word of an invitation's link: good until the account is opened, at most 14 days."""
    return signing.dumps([str(user.pk), _state(user)], salt=INVITATION)


def read_invitation(word: str) -> User:
    """The account that a link opens; raises :class:`NotFound` (``link_over``) for a used, old or
    forged one."""
    try:
        pk, state = signing.loads(word, salt=INVITATION, max_age=INVITATION_LIFETIME)
        user = User.objects.get(pk=pk, is_active=True)
    except (signing.BadSignature, User.DoesNotExist, ValueError, TypeError):
        raise NotFound("this link is no longer valid", code="link_over") from None
    if state != _state(user):
        raise NotFound("this link was used already", code="link_over")
    return user


def open_account(*, user: User, password: str | None) -> User:
    """Open an invited account: the address is proved by the link, a password is set if given.

    ``user`` is as the link was read; raises :class:`NotFound` (``link_over``) where somebody opened
    the account since.
    """
    with transaction.atomic():
        row = User.objects.select_for_update(of=("self",)).get(pk=user.pk)
        if not row.is_active or _state(row) != _state(user):
            raise NotFound("this link was used already", code="link_over")
        # The link is over by either, before its lock goes: a passkey is made after the sign-in.
        row.last_login = utc_now()
        if password is not None:
            row.set_password(password)
        row.save(update_fields=["password", "last_login"])
        EmailAddress.objects.get_or_create(
            user=row, email=row.email, defaults={"verified": True, "primary": True}
        )
        record_audit(actor=Actor.of(row), action="account.opened", subject=("user", row.pk))
    return row


def _state(user: User) -> str:
    """Changes with the first sign-in and with every password."""
    return hashlib.sha256(f"{user.password}|{user.last_login}".encode()).hexdigest()[:20]


def _write_invitation(params: Mapping[str, Any]) -> Mapping[str, Any]:
    user = User.objects.get(pk=params["user"])
    return {"link": settings.PUBLIC_URL + reverse("join", args=[sign_invitation(user)])}


register_mail(INVITATION, _write_invitation)
