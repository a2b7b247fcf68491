"""Messages to investors: kept in the portal, with a copy by mail where the investor wants one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django.conf import settings
from django.db import transaction
from django.urls import reverse

from investors.models import Fund, Investor, Message
from magnetfund.core.models import User
from magnetfund.core.services.mail import queue_mail, register_mail
from magnetfund.kernel.clock import utc_now

MAIL = "portal_message"
SUBJECT_MAX, BODY_MAX = 160, 4_000


def send_message(*, investor: Investor, key: str, subject: str, body: str) -> Message:
    """Leave a message in the portal, once for its key, in the caller's transaction."""
    with transaction.atomic():
        row, is_new = Message.objects.get_or_create(
            key=f"{key}:{investor.pk}",
            defaults={
                "investor": investor,
                "subject": subject[:SUBJECT_MAX],
                "body": body[:BODY_MAX],
            },
        )
        user = investor.user
        if is_new and user is not None and user.is_active and user.wants_mail:
            queue_mail(
                key=f"{MAIL}:{row.pk}",
                kind=MAIL,
                recipient=user.email,
                params={"message": row.pk, "name": investor.legal_name},
            )
    return row


def send_to_holders(*, fund: Fund, key: str, subject: str, body: str) -> int:
    """Leave a message for everybody with units or an open order in a fund; how many."""
    holders: Iterable[Investor] = (
        Investor.objects.filter(holdings__share_class__fund=fund, holdings__units__gt=0)
        .union(
            Investor.objects.filter(
                orders__share_class__fund=fund,
                orders__state__in=("submitted", "accepted", "funded", "deferred", "payable"),
            )
        )
        .order_by("number")
    )
    count = 0
    for investor in holders:
        send_message(investor=investor, key=key, subject=subject, body=body)
        count += 1
    return count


def mark_read(*, investor: Investor, pk: int | None = None) -> int:
    """Mark one message, or all, as read; how many were new."""
    rows = Message.objects.filter(investor=investor, read_at=None)
    if pk is not None:
        rows = rows.filter(pk=pk)
    return rows.update(read_at=utc_now())


def save_settings(*, user: User, time_zone: str, theme: str, wants_mail: bool) -> None:
    """Keep how a person wants the portal; the values are those that the form offers."""
    user.time_zone, user.theme, user.wants_mail = time_zone, theme, wants_mail
    user.save(update_fields=["time_zone", "theme", "wants_mail"])


def _write(params: Mapping[str, Any]) -> Mapping[str, Any]:
    row = Message.objects.get(pk=params["message"])
    return {
        "subject": row.subject,
        "body": row.body,
        "link": settings.PUBLIC_URL + reverse("messages"),
    }


register_mail(MAIL, _write)
