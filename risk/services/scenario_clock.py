"""The clock of a told story: while it is open, a book's authority rows keep the story's times."""

from __future__ import annotations

from django.db import DatabaseError, connection, transaction

from magnetfund.kernel.errors import Conflict


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
