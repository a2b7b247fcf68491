"""A money request takes effect once: the effect and its stored answer commit together.

The try-lock comes before the read, so a second caller with the same key is told "in flight" instead
of waiting.  Keys answer for seven days, then they are refused as expired and may be purged a week
later.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from django.db import transaction

from magnetfund.core.locks import try_lock_text
from magnetfund.core.models import IdempotencyKey
from magnetfund.kernel.clock import utc_now
from magnetfund.kernel.errors import Conflict, InvalidInput

KEY_LIFETIME = timedelta(days=7)
PURGE_AFTER = timedelta(days=14)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredAnswer:
    """A stored response; ``is_replay`` is true when it was replayed and nothing was executed."""

    status: int
    body: bytes
    content_type: str = "application/json"
    is_replay: bool = False


def fingerprint_of(method: str, path: str, body: bytes) -> str:
    """What makes two requests the same request."""
    return hashlib.sha256(b"\x1f".join([method.encode(), path.encode(), body])).hexdigest()


def run_once(
    *,
    principal: str,
    key: str,
    fingerprint: str,
    execute: Callable[[], StoredAnswer],
) -> StoredAnswer:
    """Run ``execute`` in a transaction and store its answer, or replay the stored one.

    Raises :class:`InvalidInput` for a bad key or another body under a known key, and
    :class:`Conflict` while the first call runs (``in_flight``) or after seven days
    (``key_expired``).  When ``execute`` raises, everything rolls back and the key stays usable.
    """
    if not key or len(key) > 200 or not key.isprintable():
        raise InvalidInput("the idempotency key must have 1 to 200 printable characters")
    with transaction.atomic():
        if not try_lock_text(f"{principal}:{key}"):
            raise Conflict(
                "a request with this key is still in progress; retry shortly", code="in_flight"
            )
        row = IdempotencyKey.objects.filter(principal=principal, key=key).first()
        if row is not None:
            if row.fingerprint != fingerprint:
                raise InvalidInput(
                    "this key was already used with a different request; use a new key",
                    code="key_reused",
                )
            if row.created_at < utc_now() - KEY_LIFETIME:
                raise Conflict(
                    "this key has expired after 7 days; use a new key", code="key_expired"
                )
            return StoredAnswer(
                status=row.status,
                body=bytes(row.body),
                content_type=row.content_type,
                is_replay=True,
            )
        answer = execute()
        IdempotencyKey.objects.create(
            principal=principal,
            key=key,
            fingerprint=fingerprint,
            status=answer.status,
            body=answer.body,
            content_type=answer.content_type,
        )
        return answer


def find_outcome(*, principal: str, key: str) -> StoredAnswer | None:
    """The outcome that :func:`store_outcome` kept for a request, None while there is none."""
    row = IdempotencyKey.objects.filter(principal=principal, key=_outcome_key(key)).first()
    if row is None:
        return None
    return StoredAnswer(
        status=row.status, body=bytes(row.body), content_type=row.content_type, is_replay=True
    )


def store_outcome(*, principal: str, key: str, answer: StoredAnswer) -> StoredAnswer:
    """Keep what came of a request after its effect had committed; the first outcome stays."""
    row, is_new = IdempotencyKey.objects.get_or_create(
        principal=principal,
        key=_outcome_key(key),
        defaults={
            "fingerprint": "",
            "status": answer.status,
            "body": answer.body,
            "content_type": answer.content_type,
        },
    )
    return StoredAnswer(status=row.status, body=bytes(row.body), is_replay=not is_new)


def _outcome_key(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest() + ":outcome"


def purge_expired_keys() -> int:
    """Remove keys that are past answering; returns how many."""
    return IdempotencyKey.objects.filter(created_at__lt=utc_now() - PURGE_AFTER).delete()[0]
