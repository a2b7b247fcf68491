"""Who may call what (capabilities as DRF permissions), and the answer to a repeated request."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from django.core.cache import caches
from django.http import HttpResponse
from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request
from rest_framework.throttling import UserRateThrottle
from rest_framework.views import APIView

from magnetfund.core.roles import Capability, Role
from magnetfund.core.services.idempotency import StoredAnswer, fingerprint_of, run_once
from magnetfund.kernel.errors import InvalidInput, NotAllowed

IDEMPOTENCY_HEADER = "Idempotency-Key"


def needs(*capabilities: Capability) -> type[BasePermission]:
    """A permission for accounts that hold any of the capabilities."""

    class HasCapability(BasePermission):
        message = f"you need the capability {capabilities[0].value} for this request"

        def has_permission(self, request: Request, view: APIView) -> bool:
            user: Any = request.user
            is_open = bool(user and user.is_authenticated and user.is_active)
            if is_open and any(user.can(item) for item in capabilities):
                return True
            if is_open and request.method not in SAFE_METHODS and user.roles == {Role.ADVISER}:
                raise NotAllowed("an adviser reads and changes nothing", code="read_only")
            return False

    return HasCapability


class StopThrottle(UserRateThrottle):
    """Counted in this process alone: a stop asks neither Redis nor a table."""

    scope = "stop"
    cache = caches["process"]


def answer_once(
    request: Request,
    *,
    key: str,
    work: Callable[[], tuple[int, dict[str, Any]]],
    upload: bytes = b"",
) -> HttpResponse:
    """Run a money request once for its key; a repetition gets the stored bytes.

    A refusal by the platform (an error) is not stored, so the caller may mend the
    request and use the key again; a denial is an answer and is stored.  ``upload`` is the content
    of a file, of which the body holds the name alone.
    """
    body = _raw_body(request) + upload

    def execute() -> StoredAnswer:
        status, answer = work()
        return StoredAnswer(status=status, body=json.dumps(answer).encode())

    answer = run_once(
        principal=principal_of(request),
        key=key,
        # With the query: it names the holder for whom an attorney acts.
        fingerprint=fingerprint_of(request.method or "", request.get_full_path(), body),
        execute=execute,
    )
    return respond(answer)


def key_of(request: Request, field: str) -> str:
    """The key of the header or the field; both may be given if they are the same."""
    header = request.headers.get(IDEMPOTENCY_HEADER, "")
    if header and field and header != field:
        raise InvalidInput("header and field name two idempotency keys", code="two_keys")
    if not header and not field:
        raise InvalidInput(
            "an idempotency key is needed: header Idempotency-Key or field idempotency_key",
            code="key_missing",
        )
    return header or field


def principal_of(request: Request) -> str:
    """Owner of an idempotency key; keys are never shared between accounts."""
    return f"user:{request.user.pk}"


def respond(answer: StoredAnswer) -> HttpResponse:
    """The stored response; a replay is marked in a header."""
    response = HttpResponse(answer.body, content_type=answer.content_type, status=answer.status)
    if answer.is_replay:
        response["Idempotent-Replayed"] = "true"
    return response


def _raw_body(request: Request) -> bytes:
    """The parsed body in one fixed spelling: the stream itself is read already."""
    return json.dumps(request.data, sort_keys=True, default=str).encode()
