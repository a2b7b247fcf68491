"""Mail of the platform: queued in the transaction of the event it tells of, sent by a job.

A mail is claimed and the claim committed before it goes out, so that no two workers send it; one
that a mail server refused is tried again, later each time.  Where a worker died between sending and
noting it, the row stays claimed: nobody knows whether it went, and nobody sends it a second time.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core.mail import EmailMessage
from django.db import transaction
from django.template.loader import render_to_string

from magnetfund.core.models import OutgoingMail
from magnetfund.kernel.clock import utc_now

_log = logging.getLogger(__name__)
TRIES_MAX = 12
FIRST_WAIT = timedelta(seconds=30)
LONGEST_WAIT = timedelta(hours=6)
#: What a kind of mail adds to its parameters while it is written: links, names, figures.
Writer = Callable[[Mapping[str, Any]], Mapping[str, Any]]
_WRITERS: dict[str, Writer] = {}


def register_mail(kind: str, writer: Writer) -> None:
    """Name what a kind of mail is written from; its words are ``templates/mail/KIND.txt``, the
    subject on their first line."""
    _WRITERS[kind] = writer


def queue_mail(*, key: str, kind: str, recipient: str, params: Mapping[str, Any]) -> OutgoingMail:
    """Queue a mail in the caller's transaction; a second one with its key is not queued."""
    row, _ = OutgoingMail.objects.get_or_create(
        key=key, defaults={"kind": kind, "recipient": recipient, "params": dict(params)}
    )
    return row


@dataclass(frozen=True, slots=True, kw_only=True)
class NewMail:
    """A mail that is to be queued, as :func:`queue_mail` takes it."""

    key: str
    kind: str
    recipient: str
    params: Mapping[str, Any]


def queue_mails(mails: Iterable[NewMail]) -> None:
    """Queue many mails in the caller's transaction, each once for its key."""
    OutgoingMail.objects.bulk_create(
        [
            OutgoingMail(
                key=item.key, kind=item.kind, recipient=item.recipient, params=dict(item.params)
            )
            for item in mails
        ],
        batch_size=1000,
        ignore_conflicts=True,
    )


def send_waiting(*, most: int = 50) -> int:
    """Send what is due, oldest first; how many went."""
    sent = 0
    for _ in range(most):
        row = _claim()
        if row is None:
            break
        sent += _send(row)
    return sent


def write_mail(row: OutgoingMail) -> tuple[str, str]:
    """Subject and body of a mail as of now."""
    writer = _WRITERS.get(row.kind)
    found = dict(writer(row.params)) if writer is not None else {}
    text = render_to_string(
        f"mail/{row.kind}.txt",
        {**row.params, **found, "site": settings.PUBLIC_URL, "fund_name": settings.STEWARD},
    )
    subject, _, body = text.strip().partition("\n")
    return " ".join(subject.split()), body.strip() + "\n"


def _claim() -> OutgoingMail | None:
    now = utc_now()
    with transaction.atomic():
        row = (
            OutgoingMail.objects.select_for_update(skip_locked=True)
            .filter(sent_at=None, claimed_at=None, next_try_at__lte=now, tries__lt=TRIES_MAX)
            .order_by("next_try_at")
            .first()
        )
        if row is None:
            return None
        row.claimed_at, row.tries = now, row.tries + 1
        row.save(update_fields=["claimed_at", "tries"])
    return row


def _send(row: OutgoingMail) -> int:
    try:
        subject, body = write_mail(row)
        EmailMessage(subject=subject, body=body, to=[row.recipient]).send()
    except Exception as error:  # whatever a mail server or a template says, the row keeps it
        _log.warning("mail %s was not sent: %s", row.pk, type(error).__name__)
        wait = min(FIRST_WAIT * 2 ** (row.tries - 1), LONGEST_WAIT)
        row.claimed_at, row.next_try_at = None, utc_now() + wait
        row.problem = f"{type(error).__name__}: {error}"[:200]
        row.save(update_fields=["claimed_at", "next_try_at", "problem"])
        return 0
    row.sent_at, row.problem = utc_now(), ""
    row.save(update_fields=["sent_at", "problem"])
    return 1
