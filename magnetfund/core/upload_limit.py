"""No request may bring more than one document's worth of files, whoever sends it."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from django.core.exceptions import RequestDataTooBig
from django.core.files.uploadhandler import FileUploadHandler

#: A document of 10 MB with its form around it.
REQUEST_BYTES_MAX = 10_100_000
#: Any body: a deed of ten mebibytes with its form around it.
BODY_BYTES_MAX = 11_000_000
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class BodyLimit:
    """Stands around the whole application and ends a request whose body is too large with 413.

    Django writes a body to a temporary file to its end before it asks what the request is, so a
    stranger could fill the disk with one; what is sent in pieces states no length at all.
    """

    def __init__(self, application: Any, *, most: int = BODY_BYTES_MAX) -> None:
        self._application, self._most = application, most

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        stated = dict(scope["headers"]).get(b"content-length", b"0")
        if len(stated) > 12 or not stated.isdigit() or int(stated) > self._most:
            await self._refuse(scope, send)
            return
        taken, is_over = 0, False

        async def receive_bounded() -> Message:
            nonlocal taken, is_over
            message = await receive()
            if message["type"] == "http.request":
                taken += len(message.get("body", b""))
                is_over = taken > self._most
            # Whoever is gone is answered nothing, and what came of the body is dropped.
            return {"type": "http.disconnect"} if is_over else message

        await self._application(scope, receive_bounded, send)
        if is_over:
            await self._refuse(scope, send)

    async def _refuse(self, scope: Message, send: Send) -> None:
        message = f"a request brings at most {self._most // 1_000_000} MB"
        kind, body = b"text/plain; charset=utf-8", f"A{message[1:]}."
        if scope["path"].startswith("/api/"):
            error = {"code": "body_too_large", "message": message, "details": {}}
            kind, body = b"application/json", json.dumps({"error": error})
        headers = [(b"content-type", kind), (b"connection", b"close")]
        await send({"type": "http.response.start", "status": 413, "headers": headers})
        await send({"type": "http.response.body", "body": body.encode()})


class BoundedUploadHandler(FileUploadHandler):
    """Stands before the handlers that store, and looks at the stated length alone."""

    def handle_raw_input(
        self,
        input_data: Any,
        META: dict[str, Any],
        content_length: int,
        boundary: Any,
        encoding: str | None = None,
    ) -> None:
        if content_length > REQUEST_BYTES_MAX:
            raise RequestDataTooBig("a request brings at most one file of 10 MB")

    def receive_data_chunk(self, raw_data: bytes, start: int) -> bytes:
        return raw_data

    def file_complete(self, file_size: int) -> None:
        return None
