"""Waking the trader and waiting until a stopped book has closed what it held.

Needs no Django: a stop by command waits for none to start.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Protocol

#: What the trader listens for; sent when the sender's transaction commits.
BELL = "magnetfund_orders"
RING = f"NOTIFY {BELL}"
#: How long whoever stopped waits for the trader to close everything (s).
FLAT_SECONDS = 5.0
_OPEN = "SELECT count(*) FROM trading_position WHERE book = %s AND quantity <> 0"


class Cursor(Protocol):
    """A cursor of Django or of psycopg, outside a transaction."""

    def execute(self, query: Any, params: Sequence[Any], /) -> Any: ...

    def fetchone(self) -> Any: ...


def wait_until_flat(cursor: Cursor, book: str, *, seconds: float = FLAT_SECONDS) -> tuple[int, int]:
    """Positions open at first, and those still open after at most ``seconds``."""
    deadline = time.monotonic() + seconds
    first: int | None = None
    while True:
        cursor.execute(_OPEN, [book])
        (left,) = cursor.fetchone()
        first = left if first is None else first
        if left == 0 or time.monotonic() > deadline:
            return first, left
        time.sleep(0.02)
