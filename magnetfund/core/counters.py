"""Counters of throttles: in Redis, and in PostgreSQL while Redis is stopped, frozen or gone.

Redis is asked with short time-outs; once it failed it is left alone for some seconds, so that a
frozen one costs a request a quarter of a second now and then and never an error.
"""

from __future__ import annotations

import logging
import time
from typing import Any

import redis
from django.core.cache.backends.base import DEFAULT_TIMEOUT, BaseCache
from django.core.cache.backends.db import DatabaseCache
from django.core.cache.backends.redis import RedisCache

_log = logging.getLogger("magnetfund.counters")
TABLE = "core_cachedcounter"
ANSWER_SECONDS = 0.25
LEAVE_ALONE_SECONDS = 10.0


class CounterCache(BaseCache):
    """Django cache backend; ``LOCATION`` is the URL of Redis."""

    def __init__(self, location: str, params: dict[str, Any]) -> None:
        super().__init__(params)
        options = {"socket_timeout": ANSWER_SECONDS, "socket_connect_timeout": ANSWER_SECONDS}
        self._fast = RedisCache(location, {**params, "OPTIONS": options})
        self._sure = DatabaseCache(TABLE, {**params, "OPTIONS": {"MAX_ENTRIES": 100_000}})
        self._left_alone_until = 0.0

    def get(self, key: str, default: Any = None, version: int | None = None) -> Any:
        return self._ask("get", key, default, version)

    def set(
        self, key: str, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None
    ) -> Any:
        return self._ask("set", key, value, timeout, version)

    def add(
        self, key: str, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None
    ) -> Any:
        return self._ask("add", key, value, timeout, version)

    def touch(self, key: str, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> Any:
        return self._ask("touch", key, timeout, version)

    def delete(self, key: str, version: int | None = None) -> Any:
        return self._ask("delete", key, version)

    def has_key(self, key: str, version: int | None = None) -> Any:
        return self._ask("has_key", key, version)

    def incr(self, key: str, delta: int = 1, version: int | None = None) -> Any:
        return self._ask("incr", key, delta, version)

    def clear(self) -> Any:
        return self._ask("clear")

    def _ask(self, name: str, *arguments: Any) -> Any:
        if time.monotonic() >= self._left_alone_until:
            try:
                return getattr(self._fast, name)(*arguments)
            except (redis.RedisError, OSError) as error:
                self._left_alone_until = time.monotonic() + LEAVE_ALONE_SECONDS
                _log.error("Redis is away, counting in PostgreSQL: %s", type(error).__name__)
        return getattr(self._sure, name)(*arguments)
