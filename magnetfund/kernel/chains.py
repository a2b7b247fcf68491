"""The hash chains of the books, recomputed outside PostgreSQL.

A second implementation of what the triggers write: the digest of a row is sha256 of its
predecessor's digest and the row's own canonical text, which is PostgreSQL's text of a JSON array.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any


class Raw(str):
    """JSON text as PostgreSQL gave it, put into the array as it is."""

    __slots__ = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One row of a chain: its number, both stored digests and the values that are hashed."""

    seq: int
    previous: bytes
    stored: bytes
    values: Sequence[Any]


def plain_instant(instant: datetime) -> str:
    """An instant as the triggers write it: UTC, microseconds, no zone."""
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")


def array_text(values: Iterable[Any]) -> str:
    """The text that PostgreSQL gives a JSON array of strings, whole numbers, nulls and raw JSON."""
    return "[" + ", ".join(_text(value) for value in values) + "]"


def _text(value: Any) -> str:
    if isinstance(value, Raw):
        return str(value)
    if value is None or isinstance(value, int):
        return json.dumps(value)
    return json.dumps(str(value), ensure_ascii=False)


def digest_row(previous: bytes, values: Iterable[Any]) -> bytes:
    """The digest of a row that follows ``previous``."""
    return hashlib.sha256(previous + array_text(values).encode()).digest()


def find_chain_breaks(links: Iterable[Link], *, what: str) -> Iterator[str]:
    """Sentences about rows of one chain, in order, that are missing, do not follow or changed.

    The first row has number 1 and no predecessor.
    """
    before, digest = 0, b""
    for link in links:
        if link.seq != before + 1:
            yield f"{what} {link.seq}: hash chain broken after {what} {before}, rows are missing"
        elif link.previous != digest:
            yield f"{what} {link.seq}: hash chain broken after {what} {before}"
        if digest_row(link.previous, link.values) != link.stored:
            yield f"{what} {link.seq}: its hash is not that of its content"
        before, digest = link.seq, link.stored
