"""What every manage.py command shares: clear one-line failures, JSON on demand, a progress bar."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError, OperationalError

from magnetfund.core import failure_words
from magnetfund.kernel.errors import FundError


class FundCommand(BaseCommand):
    """Subclasses write ``work``; an expected failure becomes one line and exit status 1.

    Django's system checks look at the code, which ``make check`` does: no command waits for them.
    """

    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="print the result as one JSON line")
        self.add_own_arguments(parser)

    def add_own_arguments(self, parser: CommandParser) -> None:
        """Arguments beyond ``--json``."""

    def work(self, **options: Any) -> dict[str, Any]:
        """Do the work; the returned mapping is the ``--json`` result."""
        raise NotImplementedError

    def handle(self, *_args: Any, **options: Any) -> None:
        self.wants_json = bool(options["json"])
        try:
            result = self.work(**options)
        except FundError as error:
            raise CommandError(failure_words.refused(error)) from None
        except OperationalError as error:
            raise CommandError(failure_words.unreachable(error)) from None
        except DatabaseError as error:
            raise CommandError(failure_words.rejected(error)) from None
        except KeyboardInterrupt:
            raise CommandError(failure_words.INTERRUPTED) from None
        if self.wants_json:
            self.print_json(result)

    def print_json(self, result: dict[str, Any]) -> None:
        """One line of JSON on standard output."""
        self.stdout.write(json.dumps(result, ensure_ascii=False, default=str))

    def say(self, text: str) -> None:
        """A line for people; silent where JSON was asked for."""
        if not self.wants_json:
            self.stdout.write(text)


@contextmanager
def notice_after(seconds: float, text: str) -> Iterator[None]:
    """Say on stderr why nothing is to be seen, once work has taken so long."""
    timer = threading.Timer(seconds, _notice, [text])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _notice(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


class Progress:
    """One line that moves on a terminal, and a line every ten percent elsewhere (on stderr)."""

    def __init__(self, *, label: str, total: int) -> None:
        self._label = label
        self._total = max(total, 1)
        self._done = 0
        self._began = time.monotonic()
        self._shown = -1
        self._is_terminal = sys.stderr.isatty()

    def advance(self, count: int = 1) -> None:
        """Note that ``count`` more steps are done."""
        self._done += count
        share = min(100, self._done * 100 // self._total)
        step = 1 if self._is_terminal else 10
        if share // step == self._shown // step and self._shown >= 0:
            return
        self._shown = share
        elapsed = time.monotonic() - self._began
        # Before a hundredth is done, the time that is left would be a guess of days.
        left = elapsed * (self._total - self._done) / self._done if share else None
        bar = "█" * (share // 4) + "░" * (25 - share // 4)
        text = f"{self._label} {bar} {share:3d} % {elapsed:5.0f} s"
        text += "" if left is None else f", {left:.0f} s left"
        end = "\r" if self._is_terminal and share < 100 else "\n"
        sys.stderr.write(text + end)
        sys.stderr.flush()
