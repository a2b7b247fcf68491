"""Invitations to enrol a signing key: written by the owner's role, used once at the signer."""

from __future__ import annotations

import secrets
from datetime import timedelta
from hashlib import sha256

from django.conf import settings
from django.db import transaction

from magnetfund.core.actors import Actor
from magnetfund.core.models import SigningInvite, User
from magnetfund.core.roles import Capability
from magnetfund.core.services.audit import record_audit
from magnetfund.kernel.clock import utc_now
from magnetfund.kernel.errors import InvalidInput

VALID = timedelta(hours=24)


def invite_signer(*, email: str, actor: Actor) -> str:
    """The address at which somebody of the house, or an investor who gives an adviser access,
    enrols one signing key within a day.

    Runs as the owner of the tables; raises :class:`InvalidInput` (``not_of_the_house``) for an
    account that is not there or is neither.
    """
    user = User.objects.filter(email=email.strip().lower(), is_active=True).first()
    if user is None or not (user.is_desk or user.can(Capability.PORTAL_VIEW)):
        raise InvalidInput(
            f"{email} is neither a staff account nor an investor's", code="not_of_the_house"
        )
    token = secrets.token_urlsafe(32)
    now = utc_now()
    with transaction.atomic():
        SigningInvite.objects.create(
            token_digest=sha256(token.encode()).digest(),
            account=user.pk,
            person=user.person,
            issued_by=actor.label,
            issued_at=now,
            expires_at=now + VALID,
        )
        record_audit(actor=actor, action="signer.invited", subject=("user", user.pk))
    return f"{settings.SIGN_URL}/enrol/{token}/"
