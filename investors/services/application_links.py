"""The mailed link by which an application is resumed: it proves the address and lasts 30 days."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core import signing
from django.urls import reverse

from investors.models import Application
from investors.services.kyc import MORE_INFO_MAIL
from magnetfund.core.services.mail import queue_mail, register_mail
from magnetfund.kernel.clock import utc_now
from magnetfund.kernel.errors import NotFound

LINK = "application_link"
LINK_LIFETIME = timedelta(days=30)


def mail_link(row: Application) -> None:
    queue_mail(
        key=f"{LINK}:{row.pk}:{row.generation}", kind=LINK, recipient=row.email,
        params={"application": str(row.pk)},
    )  # fmt: skip


def sign_link(row: Application) -> str:
    """The word of the newest link of an application."""
    return signing.dumps([str(row.pk), row.generation], salt=LINK)


def open_link(word: str) -> Application:
    """The application of a link, whose address is proved by it.  Sessions that an older link opened
    are over; a newer link that was only mailed, which anybody can ask for, ends none.

    Raises :class:`NotFound` (``link_over``) for an old, replaced or forged one.
    """
    try:
        pk, generation = signing.loads(word, salt=LINK, max_age=LINK_LIFETIME)
        row = Application.objects.get(pk=pk, generation=generation, erased_at=None)
    except (signing.BadSignature, Application.DoesNotExist, ValueError, TypeError):
        raise NotFound("this link is no longer valid", code="link_over") from None
    row.email_proved_at = row.email_proved_at or utc_now()
    row.opened_generation = row.generation
    row.save(update_fields=["email_proved_at", "opened_generation"])
    return row


def _write_link(params: Mapping[str, Any]) -> Mapping[str, Any]:
    row = Application.objects.get(pk=params["application"])
    return {"link": settings.PUBLIC_URL + reverse("apply_open", args=[sign_link(row)])}


def _write_more_info(params: Mapping[str, Any]) -> Mapping[str, Any]:
    row = Application.objects.filter(investor_id=params["investor"], erased_at=None).first()
    path = reverse("account_login") if row is None else reverse("apply_open", args=[sign_link(row)])
    return {"link": settings.PUBLIC_URL + path}


register_mail(LINK, _write_link)
register_mail(MORE_INFO_MAIL, _write_more_info)
