"""Refresh tokens of the API: each is good once, and using one again ends its whole family.

A sign-in begins a family; each refresh exchanges its one good token for the next in a single
UPDATE, so of two at once one wins and the other is a reuse.  A family ends with a reuse, with the
account's deactivation and with a changed password.
"""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from magnetfund.core.actors import Actor
from magnetfund.core.models import RefreshFamily, User
from magnetfund.core.services.audit import record_audit
from magnetfund.kernel.clock import utc_now


@dataclass(frozen=True, slots=True, kw_only=True)
class FamilyToken:
    """What a refresh token names: its family and itself."""

    family: uuid.UUID
    token: str


def start_family(user: User, *, expires_at: datetime) -> FamilyToken:
    """Begin the family of one sign-in."""
    token = uuid.uuid4().hex
    row = RefreshFamily.objects.create(
        user=user, token=token, password_mark=_mark(user), expires_at=expires_at
    )
    return FamilyToken(family=row.pk, token=token)


def rotate(given: FamilyToken, *, expires_at: datetime) -> tuple[User, FamilyToken] | None:
    """Exchange a token for the next one; None ends the family where the token is not good."""
    fresh = uuid.uuid4().hex
    with transaction.atomic():
        row = RefreshFamily.objects.select_for_update().filter(pk=given.family).first()
        if row is None or row.revoked_at is not None:
            return None
        user = User.objects.filter(pk=row.user_id, is_active=True).first()
        reason = (
            "reused"
            if row.token != given.token
            else "account"
            if user is None or _mark(user) != row.password_mark
            else ""
        )
        if user is None or reason:
            row.revoked_at = utc_now()
            row.save(update_fields=["revoked_at"])
            record_audit(
                actor=Actor.system("tokens"),
                action="api.tokens_revoked",
                subject=("user", row.user_id),
                body={"family": str(row.pk), "reason": reason},
            )
            return None
        row.token, row.expires_at = fresh, expires_at
        row.save(update_fields=["token", "expires_at"])
    return user, FamilyToken(family=given.family, token=fresh)


def is_family_alive(family: str, user: User) -> bool:
    """Whether a sign-in still holds: it was not ended, and the password is the one it used."""
    try:
        named = uuid.UUID(family)
    except ValueError:
        return False
    # These columns alone: the session that stops the fund may read no token.
    alive = RefreshFamily.objects.filter(pk=named, user=user, revoked_at=None)
    return _mark(user) in alive.values_list("password_mark", flat=True)


def purge_families() -> int:
    """Remove the families whose last token ran out; returns how many."""
    return RefreshFamily.objects.filter(expires_at__lt=utc_now()).delete()[0]


def _mark(user: User) -> str:
    """A value that changes with the password without revealing it."""
    return hashlib.sha256(f"{user.pk}:{user.password}".encode()).hexdigest()
