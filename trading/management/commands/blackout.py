"""Show the dated events around which nothing is opened, enter one or withdraw one."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser

from magnetfund.core.actors import Actor
from magnetfund.core.commands import FundCommand
from magnetfund.kernel.errors import InvalidInput
from trading.models import EventBlackout
from trading.services.blackouts import (
    describe_blackout,
    enter_blackout,
    list_blackouts,
    withdraw_blackout,
)


class Command(FundCommand):
    help = __doc__

    def add_own_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("action", choices=["show", "enter", "withdraw"], nargs="?")
        parser.add_argument("--book", default=settings.MAGNET_BOOK)
        parser.add_argument("--title", default="", help="what happens")
        parser.add_argument("--at", default="", help="when, UTC: 2026-12-09T19:00")
        parser.add_argument("--before", type=int, default=60, help="minutes barred before it")
        parser.add_argument("--after", type=int, default=60, help="minutes barred after it")
        parser.add_argument("--instrument", help="without one it bars the whole book")
        parser.add_argument("--number", type=int, help="to withdraw: that of `show`")
        parser.add_argument("--reason", default="", help="to withdraw: kept with it")

    def work(self, **options: Any) -> dict[str, Any]:
        book, actor = options["book"], Actor.system("blackout")
        if options["action"] == "enter":
            row = enter_blackout(
                book=book,
                title=options["title"],
                event_at=_instant(options["at"]),
                before_minutes=options["before"],
                after_minutes=options["after"],
                symbol=options["instrument"],
                actor=actor,
                by_person=False,
            )
        elif options["action"] == "withdraw":
            if options["number"] is None:
                raise InvalidInput("name the event by --number", code="unknown_blackout")
            row = withdraw_blackout(
                book=book,
                number=options["number"],
                reason=options["reason"],
                actor=actor,
                by_person=False,
            )
        else:
            rows = list(list_blackouts(book))
            for item in rows:
                self._tell(item)
            if not rows:
                self.say("No event is entered; nothing is barred.")
            return {"book": book, "events": [describe_blackout(item) for item in rows]}
        self._tell(row)
        return describe_blackout(row)

    def _tell(self, row: EventBlackout) -> None:
        where = row.instrument.symbol if row.instrument else "the whole book"
        state = "withdrawn" if row.withdrawn_at else "nothing is opened"
        self.say(
            f"{row.pk}: {row.title}, {row.event_at:%Y-%m-%d %H:%M} UTC, {where}: {state} from "
            f"{row.starts_at:%Y-%m-%d %H:%M} to {row.ends_at:%Y-%m-%d %H:%M}."
        )


def _instant(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidInput(
            f"{text!r} is not an instant such as 2026-12-09T19:00", code="bad_date"
        ) from None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
