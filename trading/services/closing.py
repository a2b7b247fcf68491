"""Whether a stopped book has closed what it held."""

from __future__ import annotations

import time

from trading.models import Position


def wait_until_flat(book: str, *, seconds: float) -> tuple[int, int]:
    """Positions open at first, and those still open after at most ``seconds``."""
    deadline = time.monotonic() + seconds
    first: int | None = None
    while True:
        left = Position.objects.filter(book=book).exclude(quantity=0).count()
        first = left if first is None else first
        if left == 0 or time.monotonic() > deadline:
            return first, left
        time.sleep(0.02)
