"""Access to the staff desk: signed in, staff, and with the capability for the step."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import resolve_url
from django_htmx.http import HttpResponseClientRedirect

from magnetfund.core.doors import require_step_up
from magnetfund.core.roles import Capability

View = Callable[..., HttpResponseBase]


def _ask_to_sign_in(request: HttpRequest) -> HttpResponse:
    """The sign-in page; htmx leaves the page it is on, so that no part is filled with a form."""
    htmx = getattr(request, "htmx", None)
    if htmx:
        login = resolve_url(settings.LOGIN_URL)
        return HttpResponseClientRedirect(
            f"{login}?{urlencode({'next': htmx.current_url_abs_path or '/desk/'})}"
        )
    return redirect_to_login(request.get_full_path())


def desk_view(
    capability: Capability = Capability.DESK_VIEW, *, step_up: bool = False
) -> Callable[[View], View]:
    """Decorator for desk views; staff without the capability receive a 403.

    ``step_up`` asks for a second factor that is fresh (:func:`magnetfund.core.doors
    .require_step_up`).
    """

    def decorate(view: View) -> View:
        @wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if not request.user.is_authenticated:
                return _ask_to_sign_in(request)
            user: Any = request.user
            if not user.is_active or not user.can(capability):
                raise PermissionDenied
            if step_up:
                require_step_up(request)
            return view(request, *args, **kwargs)

        return guarded

    return decorate
