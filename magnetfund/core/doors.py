"""Who must show a second factor, and how fresh it must be for the steps that matter most.

People of the house have no page without a second factor: a session that was opened by a password
alone reaches the pages of the account and nothing else.  A step-up asks for the factor again.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode, urlsplit

from allauth.account.internal.flows.login import get_authentication_records
from allauth.mfa.models import Authenticator
from csp.constants import SELF, UNSAFE_EVAL, UNSAFE_INLINE
from django.conf import settings
from django.contrib import messages
from django.contrib.auth import logout
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.urls import reverse
from django_htmx.http import HttpResponseClientRedirect

from magnetfund.core.models import User
from magnetfund.core.roles import STAFF_ROLES
from magnetfund.core.stop_lane import ROAD_NAMES
from magnetfund.kernel.errors import FundError

_log = logging.getLogger("magnetfund.doors")
#: How old a second factor may be for a step that asks for it anew.
STEP_UP_SECONDS = 300
#: The account's own pages, where a factor is set up or shown, and signing out.
ACCOUNT_PAGES = "/account/"
#: What no cache keeps, also for whoever is not signed in yet.
PRIVATE_PATHS = (ACCOUNT_PAGES, "/admin/", "/desk/", "/api/auth/", "/join/", "/advise/")
#: Requests that a page makes by itself keep no session alive.
BACKGROUND_PATHS = ("/live",)
SEEN = "seen_at"
SEEN_STEP_SECONDS = 60


class StepUpNeeded(FundError):
    """The step asks for a passkey or a code that is fresh."""

    http_status = 403
    default_code = "step_up_needed"


def is_of_the_house(user: Any) -> bool:
    """Whether the account belongs to the staff, by its roles or by its mark."""
    return bool(
        isinstance(user, User) and (user.is_staff or user.is_superuser or user.roles & STAFF_ROLES)
    )


def has_factor(user: User) -> bool:
    """Whether the account has a passkey or an authenticator app."""
    kinds = (Authenticator.Type.TOTP, Authenticator.Type.WEBAUTHN)
    return bool(Authenticator.objects.filter(user=user, type__in=kinds).exists())


def may_answer_as_invented(user: Any) -> bool:
    """Whether the one button of the demo stands for this person's factor: only there, and only
    where the person has none of his own."""
    return settings.MAGNET_ENV == "demo" and isinstance(user, User) and not has_factor(user)


def _factor_shown_at(request: HttpRequest) -> float | None:
    """When this session last showed a second factor, in seconds since 1970."""
    records = get_authentication_records(request, request.user)
    shown = [float(record["at"]) for record in records if record.get("method") == "mfa"]
    return max(shown, default=None)


def _token_shown_at(request: Any) -> float | None:
    """When the sign-in behind an API token showed a code; a refreshed token carries none.

    An invented person of the demo, who has no factor, shows it by signing in.
    """
    payload = getattr(getattr(request, "auth", None), "payload", None) or {}
    at = payload.get("factor_at")
    if at is None and payload and may_answer_as_invented(request.user):
        at = payload.get("iat")
    return float(at) if isinstance(at, int | float) else None


def require_step_up(request: Any) -> None:
    """Raise :class:`StepUpNeeded` unless a passkey or code was shown in the last five minutes.

    The one place that says "fresh": a signature over a content (made and checked by a signer of its
    own) takes its place where there is one.  ``request`` is a page's or the API's.
    """
    if not settings.SECOND_FACTOR_REQUIRED:
        return
    token = _token_shown_at(request)
    at = token if token is not None else _factor_shown_at(getattr(request, "_request", request))
    if at is None or not 0 <= time.time() - at <= STEP_UP_SECONDS:
        raise StepUpNeeded("confirm it is you with a passkey or a code, then do this again")


def require_step_up_for_order(request: Any, notional: Decimal | None) -> None:
    """:func:`require_step_up` for a person's order above ``STEP_UP_NOTIONAL``, or of open size.

    ``notional`` is in quote currency, None where the limits choose the size.  The orchestrator's
    own account is no person and holds no factor.
    """
    if is_of_the_house(request.user) and (notional is None or notional > settings.STEP_UP_NOTIONAL):
        require_step_up(request)


def page_behind(request: HttpRequest) -> str:
    """The page of ours on which a form stood; the desk where the browser does not say."""
    htmx = getattr(request, "htmx", None)
    named = (htmx.current_url if htmx else None) or request.headers.get("Referer", "")
    parts = urlsplit(named)
    if parts.netloc and parts.netloc != request.get_host():
        return "/desk/"
    return f"{parts.path}?{parts.query}" if parts.query else parts.path or "/desk/"


def ask_for_factor(request: HttpRequest, back_to: str) -> HttpResponse:
    """Lead to where the factor is shown or set up, and back."""
    user = request.user
    name = "second_factor"
    if isinstance(user, User) and has_factor(user):
        name = "mfa_reauthenticate"
        kinds = set(Authenticator.objects.filter(user=user).values_list("type", flat=True))
        if Authenticator.Type.WEBAUTHN in kinds:
            name = "mfa_reauthenticate_webauthn"
    address = f"{reverse(name)}?{urlencode({'next': back_to})}"
    if getattr(request, "htmx", None):
        return HttpResponseClientRedirect(address)
    return HttpResponseRedirect(address)


class SecondFactorMiddleware:
    """Shuts every page to people of the house until the second factor was shown, and ends idle
    sessions."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        # A stop writes nothing before it has stopped, and nothing stands in its way.
        if getattr(request, "on_stop_lane", False) or not request.user.is_authenticated:
            return self._get_response(request)
        if self._is_idle(request):
            logout(request)
            _log.info("an idle session was ended")
            return self._get_response(request)
        if not self._may_pass(request):
            if request.path.startswith("/api/"):
                return JsonResponse(
                    {"error": {"code": "second_factor_needed",
                               "message": "sign in with your second factor"}},
                    status=403,
                )  # fmt: skip
            back_to = request.get_full_path() if request.method == "GET" else page_behind(request)
            return ask_for_factor(request, back_to)
        return self._get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """A step that asks for a fresh factor leads to it; the form is sent again afterwards, by
        the person, for nothing is done in his name meanwhile."""
        if not isinstance(exception, StepUpNeeded):
            return None
        messages.info(request, "Confirm it is you. Then press the button again.")
        return ask_for_factor(request, page_behind(request))

    def _may_pass(self, request: HttpRequest) -> bool:
        if not settings.SECOND_FACTOR_REQUIRED or not is_of_the_house(request.user):
            return True
        if request.path.startswith((ACCOUNT_PAGES, settings.STATIC_URL)):
            return True
        if request.path in {reverse(name) for name in ROAD_NAMES}:
            return True
        return _factor_shown_at(request) is not None

    def _is_idle(self, request: HttpRequest) -> bool:
        """Whether the session slept too long; notes when it was last used."""
        now, seen = time.time(), request.session.get(SEEN)
        limit = settings.IDLE_SECONDS["staff" if is_of_the_house(request.user) else "investor"]
        if seen is not None and now - seen > limit:
            return True
        is_used = request.path not in BACKGROUND_PATHS
        if is_used and (seen is None or now - seen > SEEN_STEP_SECONDS):
            request.session[SEEN] = now
        return False


class PrivatePageMiddleware:
    """Says what a browser may keep and use: nothing of a private page, no sensors."""

    PERMISSIONS = (
        "accelerometer=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), "
        "microphone=(), midi=(), payment=(), usb=(), "
        "publickey-credentials-create=(self), publickey-credentials-get=(self)"
    )

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self._get_response(request)
        response.headers.setdefault("Permissions-Policy", self.PERMISSIONS)
        if request.path.startswith(("/admin/", "/docs")):
            # Pages of libraries that write styles and scripts into the page; from here alone.
            response._csp_replace = {  # type: ignore[attr-defined]  # read by django-csp
                "script-src": [SELF, UNSAFE_INLINE, UNSAFE_EVAL],
                "style-src": [SELF, UNSAFE_INLINE],
            }
        is_signed_in = settings.SESSION_COOKIE_NAME in request.COOKIES
        if (
            is_signed_in
            or "Authorization" in request.headers
            or request.path.startswith(PRIVATE_PATHS)
        ):
            # Also for what a page set by itself: a shared cache must never hold it.
            response.headers["Cache-Control"] = "no-store"
        return response
