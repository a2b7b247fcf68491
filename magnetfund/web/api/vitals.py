"""Counters of this web process: requests, errors, uptime, memory.  Kept in memory alone."""

from __future__ import annotations

import resource
import threading
import time
from collections import deque
from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from magnetfund.kernel.identifiers import START_ANSWER, START_QUESTION, answer_start

STARTED_AT = time.time()
_lock = threading.Lock()
_requests: deque[float] = deque(maxlen=100_000)
_errors: deque[float] = deque(maxlen=10_000)
_total = 0


class VitalsMiddleware:
    """Counts every request and every answer of 500 and above."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        global _total
        response = self._get_response(request)
        token, question = settings.START_TOKEN, request.headers.get(START_QUESTION)
        if token and question:
            response.headers[START_ANSWER] = answer_start(token, question)
        now = time.time()
        with _lock:
            _total += 1
            _requests.append(now)
            if response.status_code >= 500:
                _errors.append(now)
        return response


def read_vitals() -> dict[str, float | int]:
    """Uptime in seconds, requests in all and per minute, errors of the last hour, memory, CPU."""
    now = time.time()
    with _lock:
        minute = sum(1 for at in _requests if at > now - 60)
        errors = sum(1 for at in _errors if at > now - 3600)
        total = _total
    usage = resource.getrusage(resource.RUSAGE_SELF)
    uptime = now - STARTED_AT
    return {
        "uptime_seconds": int(uptime),
        "requests_total": total,
        "requests_per_minute": float(minute),
        "errors_last_hour": errors,
        "memory_mb": round(usage.ru_maxrss / 1024.0, 1),
        "cpu_percent": round((usage.ru_utime + usage.ru_stime) / max(uptime, 1.0) * 100.0, 2),
    }
