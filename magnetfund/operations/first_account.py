"""The first administrator of an empty home: by a link that is printed once and works once."""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime, timedelta

from allauth.account.models import EmailAddress
from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction

from magnetfund.core.actors import Actor
from magnetfund.core.locks import AdvisoryLock, take_lock
from magnetfund.core.models import RoleGrant, SystemConfig, User
from magnetfund.core.roles import Role
from magnetfund.core.services.audit import record_audit
from magnetfund.kernel.clock import isoformat_z, utc_now
from magnetfund.kernel.errors import InvalidInput, NotFound

KEY = "founding.link"
LIFETIME = timedelta(days=2)
#: Where the web answers the link; its word follows. To look it up by its name would load every page
#: of the house, which was nearly half of what the preparation of an empty home cost.
PLACE = "found/"


def has_administrator() -> bool:
    """Whether a person can set up this home already."""
    return RoleGrant.objects.filter(
        role=Role.ADMINISTRATOR.value, revoked_at=None, user__is_active=True
    ).exists()


def print_link() -> str | None:
    """A new link for the first administrator, which ends the one before; None once there is one.

    Only a hash of its word is stored: the link itself stands on the screen of who prepares the
    home, and nowhere else.
    """
    if has_administrator():
        return None
    word = secrets.token_urlsafe(32)
    SystemConfig.objects.update_or_create(
        key=KEY,
        defaults={
            "value": {"digest": _digest(word), "until": isoformat_z(utc_now() + LIFETIME)},
            "updated_at": utc_now(),
        },
    )
    return f"{settings.PUBLIC_URL}/{PLACE}{word}/"


def check_link(word: str) -> None:
    """Raise :class:`NotFound` (``link_over``) unless this is the link of a home without anybody."""
    row = SystemConfig.objects.filter(key=KEY).first()
    if row is None or has_administrator():
        raise NotFound("this link is no longer valid", code="link_over")
    until = datetime.fromisoformat(row.value["until"])
    is_same = secrets.compare_digest(row.value["digest"], _digest(word))
    if not is_same or until < utc_now():
        raise NotFound("this link is no longer valid", code="link_over")


def make_first_administrator(*, word: str, name: str, email: str, password: str | None) -> User:
    """The account of the first administrator; raises :class:`NotFound` (``link_over``) and
    :class:`InvalidInput` (``bad_email``, ``bad_name``, ``account_exists``)."""
    address, plain = email.strip().lower(), name.strip()
    try:
        validate_email(address)
    except ValidationError:
        raise InvalidInput("this is not a valid email address", code="bad_email") from None
    if not 1 < len(plain) <= 200 or not plain.isprintable():
        raise InvalidInput("give your full name", code="bad_name")
    with transaction.atomic():
        take_lock(AdvisoryLock.FOUNDING, 0)
        check_link(word)
        if User.objects.filter(email=address).exists():
            raise InvalidInput("this address has an account already", code="account_exists")
        user = User.objects.create_user(address, password, name=plain, is_staff=True)
        EmailAddress.objects.create(user=user, email=address, verified=True, primary=True)
        RoleGrant.objects.create(user=user, role=Role.ADMINISTRATOR.value)
        SystemConfig.objects.filter(key=KEY).update(
            value={"digest": "", "until": isoformat_z(utc_now())}, updated_at=utc_now()
        )
        actor = Actor.of(user)
        record_audit(actor=actor, action="account.created", subject=("user", user.pk))
        record_audit(
            actor=actor,
            action="role.granted",
            subject=("user", user.pk),
            body={"role": Role.ADMINISTRATOR.value, "by": "the link that prepare printed"},
        )
    return user


def _digest(word: str) -> str:
    return hashlib.sha256(word.encode()).hexdigest()
