"""The hub of live messages: one Redis subscription a process feeds every open page.

A page that reads slowly loses old messages, never the connection's memory; without Redis the page
gets a comment now and then and keeps what it shows.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import redis.asyncio as redis
from django.conf import settings
from django.http import HttpRequest, StreamingHttpResponse
from redis.exceptions import RedisError

from magnetfund.core.live import CHANNEL

QUEUE_LENGTH = 20
KEEP_ALIVE_SECONDS = 15.0
RETRY_SECONDS = 3.0


class Hub:
    """Listeners of one process; the reader runs while there is any."""

    def __init__(self) -> None:
        self._listeners: set[asyncio.Queue[str]] = set()
        self._reader: asyncio.Task[None] | None = None

    @property
    def listeners(self) -> int:
        """How many pages listen."""
        return len(self._listeners)

    async def listen(self) -> AsyncIterator[str]:
        """Messages as JSON text; an empty text where nothing came for a while."""
        queue: asyncio.Queue[str] = asyncio.Queue(QUEUE_LENGTH)
        self._listeners.add(queue)
        if self._reader is None or self._reader.done():
            self._reader = asyncio.create_task(self._read())
        try:
            while True:
                try:
                    yield await asyncio.wait_for(queue.get(), KEEP_ALIVE_SECONDS)
                except TimeoutError:
                    yield ""
        finally:
            self._listeners.discard(queue)

    async def _read(self) -> None:
        while self._listeners:
            client = redis.Redis.from_url(settings.REDIS_URL)
            try:
                async with client.pubsub() as subscription:
                    await subscription.subscribe(CHANNEL)
                    while self._listeners:
                        message = await subscription.get_message(
                            ignore_subscribe_messages=True, timeout=5.0
                        )
                        if message is not None:
                            self._tell(message["data"].decode())
            except (RedisError, OSError):
                await asyncio.sleep(RETRY_SECONDS)
            finally:
                await client.aclose()

    def _tell(self, text: str) -> None:
        for queue in self._listeners:
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(text)


hub = Hub()


async def live(request: HttpRequest) -> StreamingHttpResponse:
    """Server-sent events of the shown book: public figures alone."""

    async def stream() -> AsyncIterator[bytes]:
        yield b"retry: 3000\n\n"
        async for text in hub.listen():
            if not text:
                yield b": still here\n\n"
                continue
            message = json.loads(text)
            if message.get("book") != settings.MAGNET_BOOK:
                continue
            message.pop("events", None)
            body = json.dumps(message)
            yield f"event: {message['kind']}\ndata: {body}\n\n".encode()

    response = StreamingHttpResponse(stream(), content_type="text/event-stream")
    response["Cache-Control"] = "no-cache"
    response["X-Accel-Buffering"] = "no"
    return response
