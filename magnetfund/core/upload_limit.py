"""No request may bring more than one document's worth of files, whoever sends it."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import RequestDataTooBig
from django.core.files.uploadhandler import FileUploadHandler

#: A document of 10 MB with its form around it.
REQUEST_BYTES_MAX = 10_100_000


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
