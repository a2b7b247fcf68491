"""The road of an emergency stop through the web: sessions of its own, nothing written before it.

Whatever such a request asks the database for (its session, the account, its roles) goes over one
of a few sessions of the stopping role, held open by this process.  So it needs no free session of
the pool, and the role behind it cannot write a row that another could be waiting for.
"""

from __future__ import annotations

import logging
import queue
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any, cast

from django.conf import settings
from django.db import connections
from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from magnetfund.core.stop_session import OPTIONS
from magnetfund.env import parse_database_url

_log = logging.getLogger("magnetfund.stop")
#: Stops that one process can take in at the same time.
LANES = 3
WAIT_SECONDS = 1.0
ROAD_NAMES = ("desk_stop", "api_emergency_stop")


class StopLaneMiddleware:
    """Stands before every middleware that asks the database."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response
        self._lanes: queue.Queue[Any] = queue.Queue()
        if settings.DATABASE_STOP_URL:
            for _ in range(LANES):
                self._lanes.put(None)

    @cached_property
    def _paths(self) -> frozenset[str]:
        return frozenset(reverse(name) for name in ROAD_NAMES)

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not settings.DATABASE_STOP_URL or request.path not in self._paths:
            return self._get_response(request)
        try:
            lane = self._lanes.get(timeout=WAIT_SECONDS)
        except queue.Empty:
            _log.error("every session for stopping is in use; taking the pool")
            return self._get_response(request)
        try:
            lane = lane or make_lane()
            with instead_of_default(lane):
                request.on_stop_lane = True  # type: ignore[attr-defined]  # read with the session
                return self._get_response(request)
        finally:
            self._lanes.put(lane)


def make_lane() -> Any:
    """A Django connection as the stopping role that keeps its session and may change threads."""
    lane = connections.create_connection("default")
    found = parse_database_url("DATABASE_STOP_URL", settings.DATABASE_STOP_URL)
    lane.settings_dict = {
        **lane.settings_dict,
        **found,
        "OPTIONS": {**cast("dict[str, object]", found["OPTIONS"]), "options": OPTIONS},
        "CONN_MAX_AGE": None,
        "CONN_HEALTH_CHECKS": True,
    }
    lane.inc_thread_sharing()
    return lane


@contextmanager
def instead_of_default(lane: Any) -> Iterator[None]:
    """Let this thread's ordinary queries run over ``lane``."""
    before = connections["default"]
    connections["default"] = lane
    lane.health_check_done = False
    try:
        yield
    finally:
        if lane.in_atomic_block or lane.errors_occurred:
            lane.close()
        lane.close_if_unusable_or_obsolete()
        connections["default"] = before
