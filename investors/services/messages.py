"""Messages to investors: kept in the portal, with a copy by mail where the investor wants one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.urls import reverse

from investors.models import Fund, Investor, Message
from magnetfund.core.models import User
from magnetfund.core.services.mail import NewMail, queue_mails, register_mail
from magnetfund.kernel.clock import utc_now

MAIL = "portal_message"
SUBJECT_MAX, BODY_MAX = 160, 4_000
MAILED_WITHIN = timedelta(days=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A message of an event at ``at``; its key and the investor name it once.  Of some events a
    mail is sent even to whoever wants none: a thief of a session could have switched it off."""

    investor: UUID
    key: str
    subject: str
    body: str
    at: datetime
    is_always_mailed: bool = False


def send_message(*, investor: Investor, key: str, subject: str, body: str) -> Message:
    """Leave a message in the portal, once for its key, in the caller's transaction."""
    send_messages([Draft(investor=investor.pk, key=key, subject=subject, body=body, at=utc_now())])
    return Message.objects.get(key=f"{key}:{investor.pk}")


def send_messages(drafts: Iterable[Draft]) -> None:
    """Leave many messages, each once for its key, in the caller's transaction, and queue a mail for
    whoever wants one.  An event of longer ago, as a replay brings it, mails nobody."""
    wanted = {f"{item.key}:{item.investor}": item for item in drafts}
    if not wanted:
        return
    with transaction.atomic():
        known = set(Message.objects.filter(key__in=wanted).values_list("key", flat=True))
        Message.objects.bulk_create(
            [
                Message(
                    investor_id=item.investor,
                    key=key,
                    subject=item.subject[:SUBJECT_MAX],
                    body=item.body[:BODY_MAX],
                    sent_at=item.at,
                )
                for key, item in wanted.items()
                if key not in known
            ],
            batch_size=1000,
            ignore_conflicts=True,
        )
        mailed = utc_now() - MAILED_WITHIN
        new = {key: item for key, item in wanted.items() if key not in known and item.at >= mailed}
        if new:
            _queue(new)


def _queue(drafts: Mapping[str, Draft]) -> None:
    always = [key for key, item in drafts.items() if item.is_always_mailed]
    rows = Message.objects.filter(
        Q(investor__user__wants_mail=True) | Q(key__in=always),
        key__in=list(drafts),
        investor__user__is_active=True,
    ).select_related("investor__user")
    queue_mails(
        [
            NewMail(
                key=f"{MAIL}:{row.pk}",
                kind=MAIL,
                recipient=row.investor.user.email,
                params={"message": row.pk, "name": row.investor.legal_name},
            )
            for row in rows
            if row.investor.user is not None
        ]
    )


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
