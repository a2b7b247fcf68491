"""Sending a root, or the news that there is none: to every auditor by mail, to a webhook if set."""

from __future__ import annotations

import json
import logging
from typing import Any

import requests
from django.conf import settings

from magnetfund.core.models import RoleGrant
from magnetfund.core.roles import Role
from magnetfund.core.services.mail import queue_mail, register_mail
from magnetfund.kernel.clock import utc_now
from magnetfund.operations.books.root import StoredRoot

_log = logging.getLogger("magnetfund.books")
ROOT_MAIL, BROKEN_MAIL = "books_root", "books_differ"


register_mail(ROOT_MAIL, lambda params: {**params, "text": json.dumps(params["file"], indent=1)})
register_mail(BROKEN_MAIL, lambda params: params)


def _auditors() -> list[str]:
    return list(
        RoleGrant.objects.filter(role=Role.AUDITOR.value, revoked_at=None, user__is_active=True)
        .order_by("user__email")
        .values_list("user__email", flat=True)
    )


def publish_root(root: StoredRoot) -> str:
    """Tell everybody who is to hold the root; returns one line of what was done."""
    file = {"document": root.document, "signature": root.signature, "key": root.key}
    people = _auditors()
    for email in people:
        queue_mail(
            key=f"{ROOT_MAIL}:{root.number}:{email}",
            kind=ROOT_MAIL,
            recipient=email,
            params={"number": root.number, "file": file},
        )
    return f"root {root.number} to {len(people)} auditors{_post(file)}"


def publish_differences(differences: list[str]) -> None:
    """Tell the auditors at once that the books did not verify."""
    for email in _auditors():
        queue_mail(
            key=f"{BROKEN_MAIL}:{utc_now():%Y-%m-%d}:{email}",
            kind=BROKEN_MAIL,
            recipient=email,
            params={"count": len(differences), "differences": differences[:20]},
        )


def _post(file: dict[str, Any]) -> str:
    if not settings.ROOT_WEBHOOK_URL:
        return ""
    try:
        answer = requests.post(settings.ROOT_WEBHOOK_URL, json=file, timeout=5)
        answer.raise_for_status()
    except requests.RequestException as error:
        _log.error("the webhook did not take the root: %s", type(error).__name__)
        return f"; the webhook did not take it ({type(error).__name__})"
    return " and to the webhook"
