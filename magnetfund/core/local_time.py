"""Investors read times in their own zone; people of the house all read UTC."""

from __future__ import annotations

from collections.abc import Callable
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from magnetfund.core.models import User


class LocalTimeMiddleware:
    """Sets the zone of one request; what is stored and what the API says stays UTC."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if getattr(request, "on_stop_lane", False):
            return self._get_response(request)
        with timezone.override(self._zone(request)):
            return self._get_response(request)

    def _zone(self, request: HttpRequest) -> ZoneInfo | None:
        # A visitor without a session is not looked up.
        if not request.session.session_key:
            return None
        user = request.user
        if not isinstance(user, User) or user.is_staff or user.time_zone == "UTC":
            return None
        try:
            return ZoneInfo(user.time_zone)
        except (ZoneInfoNotFoundError, ValueError):
            return None
