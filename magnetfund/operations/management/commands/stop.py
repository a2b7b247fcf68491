"""Stop the fund at once: trip the fuse, have the trader close every position, and say what closed.

Goes over a session of the stopping role alone, so it needs neither Redis, a worker nor a free
session of the web. --by names the person of the staff who stops; it needs the right to.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser

from magnetfund.core import stop_line
from magnetfund.core.commands import FundCommand
from magnetfund.core.stop_lane import instead_of_default, make_lane
from magnetfund.operations.people import actor_by_email
from risk.services.stop import stop_trading
from trading.services.closing import wait_until_flat
from trading.services.manual import ring_bell

#: How long the command waits for the trader to close everything.
FLAT_SECONDS = 5.0


class Command(FundCommand):
    help = __doc__
    #: Whoever stops waits for it; looking the whole project over takes as long as its start.
    requires_system_checks = []

    def add_own_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--reason", required=True, help="why, for the record")
        parser.add_argument("--by", required=True, help="e-mail address of who stops")
        parser.add_argument("--book", default=settings.MAGNET_BOOK)

    def work(self, **options: Any) -> dict[str, Any]:
        book = options["book"]
        has_lane = bool(settings.DATABASE_STOP_URL)
        with instead_of_default(make_lane()) if has_lane else nullcontext():
            actor = actor_by_email(options["by"])
            stop_line.hold_open()
            try:
                event = stop_trading(book=book, reason=options["reason"], actor=actor)
            finally:
                stop_line.let_go()
            ring_bell()
            held, left = wait_until_flat(book, seconds=FLAT_SECONDS)
        self.say(
            f"Book {book} is stopped. Positions closed: {held - left}, still open: {left}. "
            "Two risk officers arm it again."
        )
        return {
            "book": book,
            "event": str(event.pk),
            "positions_closed": held - left,
            "positions_left": left,
            "barrier": event.measured,
        }
