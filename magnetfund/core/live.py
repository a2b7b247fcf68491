"""Small live messages over Redis: what changed, for whoever watches.  Never money, never needed.

A publisher must never wait for a watcher: an unreachable server is noted once and forgotten.
"""

from __future__ import annotations

import json
import logging
import time
from functools import lru_cache
from typing import Any

import redis
from django.conf import settings

CHANNEL = "magnetfund:live"
_log = logging.getLogger("magnetfund.live")
_is_quiet = False
#: A server that did not answer is not asked again for so long; the trader publishes every second.
LEAVE_ALONE_SECONDS = 10.0
_left_alone_until = 0.0


@lru_cache(maxsize=1)
def live_client() -> redis.Redis:
    """One client per process, with short time-outs."""
    return redis.Redis.from_url(settings.REDIS_URL, socket_timeout=0.3, socket_connect_timeout=0.3)


def publish(kind: str, **body: Any) -> bool:
    """Tell the watchers; returns whether the server took it."""
    global _is_quiet, _left_alone_until
    if time.monotonic() < _left_alone_until:
        return False
    try:
        live_client().publish(CHANNEL, json.dumps({"kind": kind, **body}, default=str))
    except redis.RedisError as error:
        _left_alone_until = time.monotonic() + LEAVE_ALONE_SECONDS
        if not _is_quiet:
            _log.warning("live messages are not delivered: %s", type(error).__name__)
            _is_quiet = True
        return False
    _is_quiet = False
    return True
