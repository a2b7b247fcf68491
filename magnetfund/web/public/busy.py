"""What a crowd gets: the same public page and the same figures for some seconds."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import wraps
from typing import Any, Generic, TypeVar

from django.conf import settings
from django.http import HttpRequest, HttpResponse

T = TypeVar("T")
View = Callable[[HttpRequest], HttpResponse]


class Kept(Generic[T]):
    """A value that one caller at a time makes anew; the others get the last one meanwhile."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._value: T | None = None
        self._made_at = 0.0

    def get(self, make: Callable[[], T]) -> T:
        """The value, at most ``PUBLIC_CACHE_SECONDS`` old unless it is being made right now."""
        seconds = settings.PUBLIC_CACHE_SECONDS
        if not seconds:
            return make()
        value = self._value
        if value is not None and time.monotonic() - self._made_at < seconds:
            return value
        if not self._lock.acquire(blocking=value is None):
            assert value is not None
            return value
        try:
            if self._value is None or time.monotonic() - self._made_at >= seconds:
                self._value = make()
                self._made_at = time.monotonic()
            return self._value
        finally:
            self._lock.release()


def same_for_strangers(view: View) -> View:
    """Show visitors without a session the same answer for some seconds, whatever their query."""
    kept: Kept[tuple[bytes, str]] = Kept()

    @wraps(view)
    def shown(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if settings.SESSION_COOKIE_NAME in request.COOKIES:
            return view(request, *args, **kwargs)

        def make() -> tuple[bytes, str]:
            response = view(request, *args, **kwargs)
            return response.content, response.headers["Content-Type"]

        content, kind = kept.get(make)
        return HttpResponse(content, content_type=kind)

    return shown
