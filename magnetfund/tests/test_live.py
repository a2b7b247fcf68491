"""Live figures: one subscription feeds every page, slow pages lose old messages, nothing leaks."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from django.test import AsyncClient

from magnetfund.core.live import CHANNEL
from magnetfund.operations.servers.home import Home
from magnetfund.operations.servers.valkey import Valkey
from magnetfund.web import live


class Told(live.Hub):
    """A hub whose reader is the test."""

    async def _read(self) -> None:
        await asyncio.Event().wait()


def test_each_page_hears_everything_and_leaves_without_a_trace() -> None:
    async def scene() -> tuple[list[bytes], list[bytes], int, int]:
        hub = Told()
        pages = [hub.listen(), hub.listen()]
        waiting = [asyncio.ensure_future(anext(page)) for page in pages]
        await asyncio.sleep(0)
        during = hub.listeners
        hub._tell(b"one")
        first = [await item for item in waiting]
        hub._tell(b"two")
        second = [await anext(page) for page in pages]
        for page in pages:
            await page.aclose()
        return first, second, during, hub.listeners

    first, second, during, after = asyncio.run(scene())
    assert first == [b"one", b"one"]
    assert second == [b"two", b"two"]
    assert (during, after) == (2, 0)


def test_a_slow_page_loses_the_oldest_messages_and_keeps_the_newest() -> None:
    async def scene() -> list[bytes]:
        hub = Told()
        page = hub.listen()
        waiting = asyncio.ensure_future(anext(page))
        await asyncio.sleep(0)
        hub._tell(b"seen")
        await waiting
        for number in range(live.QUEUE_LENGTH + 5):
            hub._tell(str(number).encode())
        return [await anext(page) for _ in range(live.QUEUE_LENGTH)]

    heard = asyncio.run(scene())
    assert heard == [str(number).encode() for number in range(5, live.QUEUE_LENGTH + 5)]


def test_a_quiet_channel_keeps_the_connection_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "KEEP_ALIVE_SECONDS", 0.01)

    async def scene() -> bytes:
        hub = Told()
        page = hub.listen()
        waiting = asyncio.ensure_future(anext(page))
        await asyncio.sleep(0.02)
        hub._keep_alive()
        return await waiting

    assert asyncio.run(scene()) == live.KEEP_ALIVE


def test_an_event_is_of_the_shown_book_alone_and_names_no_inner_event() -> None:
    text = json.dumps({"kind": "tick", "book": "main", "equity": 430000.0, "events": ["ORDER"]})
    event = live.as_event(text, book="main")
    assert event == b'event: tick\ndata: {"kind": "tick", "book": "main", "equity": 430000.0}\n\n'
    assert live.as_event(text, book="other") is None


@pytest.mark.parametrize("text", ["not json", "[]", "7", '{"book": "main"}'])
def test_an_unreadable_message_is_passed_over(text: str) -> None:
    assert live.as_event(text, book="main") is None


def test_one_page_too_many_is_told_to_do_without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "LISTENERS_MAX", 0)
    answer = asyncio.run(AsyncClient().get("/live"))
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "60"


def test_a_stream_can_only_be_read() -> None:
    assert asyncio.run(AsyncClient().post("/live")).status_code == 405


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    valkey = Valkey(Home(tmp_path_factory.mktemp("live")))
    valkey.start()
    try:
        yield valkey.environment()["REDIS_URL"]
    finally:
        valkey.stop()
        shutil.rmtree(valkey.home.sockets, ignore_errors=True)
        shutil.rmtree(valkey.home.cluster, ignore_errors=True)


def test_a_published_figure_reaches_the_page(server: str, settings: Any) -> None:
    settings.REDIS_URL = server

    async def scene() -> list[str]:
        answer = await AsyncClient().get("/live")
        assert answer.headers["Content-Type"] == "text/event-stream"
        assert answer.headers["Cache-Control"] == "no-cache"
        stream = aiter(answer.streaming_content)
        opening = await anext(stream)
        waiting = asyncio.ensure_future(anext(stream))
        publisher = redis.Redis.from_url(server)
        body = {"kind": "tick", "book": settings.MAGNET_BOOK, "equity": 441774.61}
        async with asyncio.timeout(30):
            while not publisher.publish(CHANNEL, json.dumps(body)):
                await asyncio.sleep(0.02)
            heard = await waiting
        await stream.aclose()
        return [opening.decode(), heard.decode()]

    opening, heard = asyncio.run(scene())
    assert opening == "retry: 3000\n\n"
    assert heard.startswith("event: tick\ndata: ")
    assert json.loads(heard.split("data: ")[1])["equity"] == 441774.61
