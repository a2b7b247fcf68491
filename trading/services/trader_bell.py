"""What ends a trader's wait between two beats: a person's bell in the database, or a price."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable

import psycopg
from django.db import OperationalError, connection

from trading.services.manual import BELL


class Bell:
    """Waits on the database's notifications and, where a source pushes prices, on those."""

    def __init__(self, wake_handle: Callable[[], int | None]) -> None:
        self._wake_handle = wake_handle
        self._heard_on: object = None

    def wait(self, seconds: float) -> str:
        """What came within ``seconds``: "bell", "price", or "" for neither.

        A database that is gone costs a second and is connected to again.
        """
        try:
            connection.ensure_connection()
            raw = connection.connection
            if raw is not self._heard_on:
                raw.execute(f"LISTEN {BELL}")
                self._heard_on = raw
            handle = self._wake_handle()
            if handle is not None:
                ready, _, _ = select.select([raw.fileno(), handle], [], [], seconds)
                if handle in ready and raw.fileno() not in ready:
                    os.read(handle, 4_096)
                    return "price"
                seconds = 0.0
            for _ in raw.notifies(timeout=seconds, stop_after=1):
                return "bell"
        except (OperationalError, psycopg.Error):
            connection.close()
            self._heard_on = None
            time.sleep(1.0)
        return ""
