"""Show or change what a book trades: strategies on instruments, in versions."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser

from magnetfund.core.actors import Actor
from magnetfund.core.commands import FundCommand
from magnetfund.core.models import User
from magnetfund.kernel.errors import InvalidInput
from trading.models import BookMember
from trading.services.membership import (
    Membership,
    change_members,
    find_book_instrument,
    members_of,
)

STATES = {
    "add": BookMember.State.TRADING,
    "pause": BookMember.State.PAUSED,
    "resume": BookMember.State.TRADING,
    "remove": BookMember.State.LEAVING,
}


class Command(FundCommand):
    help = (
        "Show or change what a book trades. A running trader follows at once; removing closes the "
        "position first."
    )

    def add_own_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("action", choices=["show", *STATES])
        parser.add_argument("--book", default=settings.MAGNET_BOOK)
        parser.add_argument("--strategy", action="append", default=[], help="repeat for several")
        parser.add_argument("--instrument", action="append", default=[], help="repeat for several")
        parser.add_argument("--venue", help="of the instruments, where a symbol is on several")
        parser.add_argument("--reason", default="", help="kept with the change")
        parser.add_argument("--by", default="", help="email address of the person who changes it")

    def work(self, **options: Any) -> dict[str, Any]:
        book = options["book"]
        if options["action"] == "show":
            found = members_of(book)
        else:
            found = change_members(
                book=book,
                strategies=options["strategy"],
                instruments=[
                    find_book_instrument(book, name, venue=options["venue"])
                    for name in options["instrument"]
                ],
                state=STATES[options["action"]],
                reason=options["reason"],
                actor=_person(options["by"]),
            )
        self._tell(book, found)
        return {
            "book": book,
            "version": found.version,
            "slots": [
                {"strategy": m.strategy, "instrument": m.instrument.symbol, "state": m.state}
                for m in found.members
            ],
        }

    def _tell(self, book: str, found: Membership) -> None:
        if not found.version:
            self.say(
                f"Book {book} has no membership yet; its trader begins one with every active "
                "strategy on every active instrument."
            )
            return
        self.say(f"Book {book}, version {found.version}:")
        for member in found.members:
            self.say(
                f"  {member.strategy:<16} {member.instrument.symbol} on "
                f"{member.instrument.venue:<12} {member.state:<8} {member.reason}"
            )


def _person(email: str) -> Actor:
    user = User.objects.filter(email=email.strip().lower(), is_active=True).first()
    if user is None:
        raise InvalidInput(
            "say who changes the book: --by EMAIL of an active account", code="unknown_person"
        )
    return Actor.of(user)
