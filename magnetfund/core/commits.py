"""A commit that need not be on the disk before the work goes on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection, transaction


@contextmanager
def commit_early() -> Iterator[None]:
    """A transaction whose commit does not wait for the disk.

    For what is soon written anew: a server that crashes may lose its last half second, and nothing
    of what was committed otherwise.  Within another transaction it changes nothing.
    """
    if connection.in_atomic_block:
        yield
        return
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL synchronous_commit = off")
        yield
