"""Access to the staff desk: signed in, staff, and with the capability for the step."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse

from magnetfund.core.roles import Capability

View = Callable[..., HttpResponse]


def desk_view(capability: Capability = Capability.DESK_VIEW) -> Callable[[View], View]:
    """Decorator for desk views; staff without the capability receive a 403."""

    def decorate(view: View) -> View:
        @login_required
        @wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            user: Any = request.user
            if not user.is_active or not user.can(capability):
                raise PermissionDenied
            return view(request, *args, **kwargs)

        return guarded

    return decorate
