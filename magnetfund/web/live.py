"""Hub for live updates: one Redis subscription per process serves every open page.

A page that reads slowly loses old messages, never the connection's memory; without Redis the page
gets a comment now and then and keeps what it shows.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator

import redis.asyncio as redis
from django.conf import settings
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.views.decorators.http import require_GET
from redis.exceptions import RedisError

from magnetfund.core.live import CHANNEL

QUEUE_LENGTH = 20
KEEP_ALIVE_SECONDS = 15.0
POLL_SECONDS = 5.0
RETRY_SECONDS = 3.0
#: Open pages of one process; one more is told to do without, so that nobody can hold them all.
LISTENERS_MAX = 2_000
KEEP_ALIVE = b": still here\n\n"


class Hub:
    """Listeners of one process; the reader runs while there is any.

    A message is turned into an event once, however many listen, and the hub alone watches the
    clock: a page costs a queue and nothing while it is quiet.
    """

    def __init__(self) -> None:
        self._listeners: set[asyncio.Queue[bytes]] = set()
        self._reader: asyncio.Task[None] | None = None
        self._told_at = 0.0

    @property
    def listeners(self) -> int:
        """How many pages listen."""
        return len(self._listeners)

    async def listen(self) -> AsyncIterator[bytes]:
        """Events as they are sent; a comment where nothing came for a while."""
        queue: asyncio.Queue[bytes] = asyncio.Queue(QUEUE_LENGTH)
        self._listeners.add(queue)
        if self._reader is None or self._reader.done():
            self._reader = asyncio.create_task(self._read())
        try:
            while True:
                yield await queue.get()
        finally:
            self._listeners.discard(queue)

    async def _read(self) -> None:
        self._told_at = time.monotonic()
        while self._listeners:
            client = redis.Redis.from_url(settings.REDIS_URL)
            try:
                async with client.pubsub() as subscription:
                    await subscription.subscribe(CHANNEL)
                    while self._listeners:
                        message = await subscription.get_message(
                            ignore_subscribe_messages=True, timeout=POLL_SECONDS
                        )
                        if message is not None:
                            self._tell(as_event(message["data"], book=settings.MAGNET_BOOK))
                        self._keep_alive()
            except (RedisError, OSError):
                await asyncio.sleep(RETRY_SECONDS)
                self._keep_alive()
            finally:
                await client.aclose()

    def _keep_alive(self) -> None:
        if time.monotonic() - self._told_at >= KEEP_ALIVE_SECONDS:
            self._tell(KEEP_ALIVE)

    def _tell(self, event: bytes | None) -> None:
        if event is None:
            return
        self._told_at = time.monotonic()
        for queue in self._listeners:
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(event)


hub = Hub()


def as_event(text: str | bytes, *, book: str) -> bytes | None:
    """The message as a server-sent event; nothing where it is of another book or unreadable."""
    try:
        message = json.loads(text)
        kind = message["kind"]
    except (ValueError, KeyError, TypeError):
        return None
    if message.get("book") != book:
        return None
    message.pop("events", None)
    return f"event: {kind}\ndata: {json.dumps(message)}\n\n".encode()


@require_GET
async def live(request: HttpRequest) -> HttpResponseBase:
    """Server-sent events of the shown book: public figures alone."""
    if hub.listeners >= LISTENERS_MAX:
        return HttpResponse(status=503, headers={"Retry-After": "60"})

    async def stream() -> AsyncIterator[bytes]:
        yield b"retry: 3000\n\n"
        async for event in hub.listen():
            yield event

    response = StreamingHttpResponse(stream(), content_type="text/event-stream")
    response["Cache-Control"] = "no-cache"
    response["X-Accel-Buffering"] = "no"
    return response
