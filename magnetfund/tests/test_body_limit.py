"""A body that is too large is refused before it is kept, whoever sends it and however."""

from __future__ import annotations

import asyncio
import json
import tempfile
from typing import Any

import pytest
from django.core.handlers.asgi import ASGIHandler

from magnetfund import asgi
from magnetfund.core.upload_limit import BODY_BYTES_MAX, BodyLimit

PIECE = 1_000_000


def ask(
    application: Any, *, pieces: int, length: bytes | None = None, path: str = "/apply/"
) -> tuple[int, bytes, int]:
    """Status and body of the answer to a POST of so many pieces, and how many were taken."""
    headers = [(b"host", b"localhost"), (b"content-type", b"application/octet-stream")]
    headers += [] if length is None else [(b"content-length", length)]
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST",
        "scheme": "http", "path": path, "raw_path": path.encode(), "query_string": b"",
        "root_path": "", "headers": headers, "client": ("127.0.0.1", 1), "server": ("localhost", 1),
    }  # fmt: skip
    taken, sent = 0, []

    async def receive() -> dict[str, Any]:
        nonlocal taken
        taken += 1
        return {"type": "http.request", "body": b"x" * PIECE, "more_body": taken < pieces}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    asyncio.run(application(scope, receive, send))
    starts = [item for item in sent if item["type"] == "http.response.start"]
    assert len(starts) == 1, "one answer, and no more"
    return starts[0]["status"], sent[-1]["body"], taken


async def count(scope: Any, receive: Any, send: Any) -> None:
    """An application that reads its body to the end, as Django does, and answers its size."""
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        size += len(message["body"])
        if not message["more_body"]:
            break
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(size).encode()})


def test_what_fits_reaches_the_application_whole():
    limited = BodyLimit(count)
    assert ask(limited, pieces=11) == (200, b"11000000", 11)
    assert ask(limited, pieces=3, length=b"3000000") == (200, b"3000000", 3)


@pytest.mark.parametrize("length", [b"11000001", b"9" * 5_000, b"-1", b"many"])
def test_a_stated_length_that_is_too_large_or_none_is_refused_unread(length: bytes):
    status, body, taken = ask(BodyLimit(count), pieces=3, length=length)
    assert (status, taken) == (413, 0)
    assert b"at most 11 MB" in body


@pytest.mark.parametrize("length", [None, b"5"])
def test_a_body_in_pieces_is_read_no_further_than_the_limit(
    monkeypatch: pytest.MonkeyPatch, length: bytes | None
):
    """Through the handler of Django, which keeps what it is given in a temporary file."""
    kept: list[Any] = []
    real = tempfile.SpooledTemporaryFile

    def keep(*given: Any, **more: Any) -> Any:
        kept.append(real(*given, **more))
        return kept[-1]

    monkeypatch.setattr(tempfile, "SpooledTemporaryFile", keep)
    status, body, taken = ask(
        BodyLimit(ASGIHandler()), pieces=1_000, length=length, path="/api/orders"
    )
    assert (status, taken) == (413, BODY_BYTES_MAX // PIECE + 1)
    assert json.loads(body)["error"]["code"] == "body_too_large"
    assert all(file.closed for file in kept)


def test_the_web_stands_behind_it():
    assert isinstance(asgi.application, BodyLimit)
