"""A command that the supervisor starts once a UTC day, apart from the parts that always run."""

from __future__ import annotations

from datetime import date, datetime, timedelta

from magnetfund.operations.servers.process import Child

#: When it begins after 00:00 UTC: after the day's first hour was decided and valued.
AFTER_MIDNIGHT = timedelta(minutes=20)


class DailyChild:
    """A command that is started once a UTC day and ends by itself."""

    def __init__(self, child: Child, *, today: date) -> None:
        self._child = child
        self._day = today
        self._is_running = False

    def look(self, now: datetime) -> str:
        """Start the command where its day has come; what there is to say of one that ended."""
        if self._is_running and not self._child.is_alive:
            self._is_running = False
            if self._child.exit_code:
                return f"{self._child.name} failed (code {self._child.exit_code}); see its log"
        day = (now - AFTER_MIDNIGHT).date()
        if day > self._day and not self._is_running:
            self._day, self._is_running = day, True
            self._child.start()
        return ""

    def stop(self) -> None:
        """End a run that is under way: the month that it moves stays where it was."""
        if self._is_running:
            self._child.ask_to_stop()
            self._child.wait_until_stopped()
