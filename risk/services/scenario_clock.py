"""The clock of a told story: while it is open, a book's authority rows keep the story's times."""

from __future__ import annotations

from datetime import UTC, datetime

from django.db import DatabaseError, connection, transaction

from magnetfund.kernel.errors import Conflict
from risk.models import ScenarioClock, WallInstance


def open_scenario(book: str) -> None:
    """Open the clock of a book without a past, in the transaction of the story's first rows.

    Raises :class:`Conflict` for the live book of a production and for a book with a past.  A
    story that breaks off later leaves its clock open: nothing takes the book for a live one.
    """
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT wall_open_scenario(%s)", [book])
    except DatabaseError as error:
        raise Conflict(str(error).splitlines()[0], code="no_scenario") from None


def close_scenario(book: str) -> None:
    """Close the clock of a story for ever; nothing happens where none is open."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT wall_close_scenario(%s)", [book])


def is_told(book: str) -> bool:
    """Whether the story of a book is being told; never of the live book of a production."""
    return ScenarioClock.objects.filter(book=book, closed_at=None).exists()


def signed_since(book: str) -> datetime | None:
    """Since when signatures of a book are people's; ``None`` while they may be invented."""
    if WallInstance.objects.filter(kind="test").exists():
        return None
    clock = ScenarioClock.objects.filter(book=book).first()
    return datetime.min.replace(tzinfo=UTC) if clock is None else clock.closed_at
