"""What every signed-in request pays for: the account with its roles, and the session's last sign.

An account and its roles are one read.  When a session was last seen is written once a minute, or
at once where its address or browser changed; allauth alone would write it with every page.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from functools import cache
from typing import Any, cast

from allauth.account.adapter import get_adapter
from allauth.account.auth_backends import AuthenticationBackend
from allauth.usersessions.models import UserSession
from django.contrib.auth.backends import ModelBackend
from django.http import HttpRequest, HttpResponse

from magnetfund.core.models import User

SEEN_SECONDS = 60.0
#: Sessions that one process remembers; an older one is merely written again.
REMEMBERED_MAX = 10_000


ROLES_IN_FORCE = (
    "ARRAY(SELECT role FROM core_rolegrant WHERE user_id = core_user.id AND revoked_at IS NULL)"
)


@cache
def _account_statement() -> str:
    """An account with its roles in force; every signed-in request asks it, so it is built once."""
    columns = ", ".join(f'"{field.column}"' for field in User._meta.concrete_fields)
    return f"SELECT {columns}, {ROLES_IN_FORCE} AS granted FROM core_user WHERE id = %s"  # noqa: S608


class _WithRoles:
    """Reads the roles in force together with the account of a session."""

    def get_user(self, user_id: Any) -> User | None:
        asked = User._meta.pk.to_python(user_id)
        user: Any = next(iter(User.objects.raw(_account_statement(), [asked])), None)
        if user is None or not user.is_active:
            return None
        user.take_roles(user.granted)
        return cast(User, user)


class AccountBackend(_WithRoles, AuthenticationBackend):  # type: ignore[misc]  # untyped
    """Sign-in by the pages of the account."""


class PasswordBackend(_WithRoles, ModelBackend):
    """Sign-in by e-mail and password alone: the API's tokens."""


class ActivityMiddleware:
    """Writes when, from where and with what a session was last seen."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response
        self._seen: OrderedDict[tuple[str, str, str], float] = OrderedDict()
        self._lock = threading.Lock()

    def __call__(self, request: HttpRequest) -> HttpResponse:
        key = request.session.session_key
        # A stop writes nothing before it has stopped.
        is_stop = getattr(request, "on_stop_lane", False)
        if key and not is_stop and request.user.is_authenticated and self._is_due(request, key):
            UserSession.objects.create_from_request(request)
        return self._get_response(request)

    def _is_due(self, request: HttpRequest, key: str) -> bool:
        address = get_adapter(request).get_client_ip(request)
        client = (key, address, request.headers.get("User-Agent", ""))
        now = time.monotonic()
        with self._lock:
            if now - self._seen.get(client, -SEEN_SECONDS) < SEEN_SECONDS:
                return False
            self._seen[client] = now
            self._seen.move_to_end(client)
            while len(self._seen) > REMEMBERED_MAX:
                self._seen.popitem(last=False)
        return True
