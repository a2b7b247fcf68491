"""Add a sleeve to a running book or retire one: one person proposes, another approves."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser

from magnetfund.core.actors import Actor
from magnetfund.core.commands import FundCommand
from magnetfund.core.models import User
from magnetfund.kernel.errors import InvalidInput
from trading.models import SleeveProposal
from trading.services.sleeve_proposals import (
    approve_sleeve,
    open_sleeve_proposals,
    propose_retirement,
    propose_sleeve,
    return_sleeve,
)

RISK_DEFAULT = "0.0035"


class Command(FundCommand):
    help = __doc__

    def add_own_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("action", choices=["show", "propose", "retire", "approve", "return"])
        parser.add_argument("strategy", nargs="?", default="", help="its name")
        parser.add_argument("--book", default=settings.MAGNET_BOOK)
        parser.add_argument(
            "--name", default="", help="as people read it; the strategy's if absent"
        )
        parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
        parser.add_argument(
            "--risk", default=RISK_DEFAULT, help="share of equity that a trade loses at its stop"
        )
        parser.add_argument("--expectation", default="", help="what may honestly be expected of it")
        parser.add_argument("--reason", default="", help="kept with the proposal")
        parser.add_argument("--by", default="", help="email address of the person who does it")

    def work(self, **options: Any) -> dict[str, Any]:
        book, code = options["book"], options["strategy"]
        if options["action"] == "show":
            rows = list(open_sleeve_proposals(book))
            for row in rows:
                self._tell(row)
            return {"book": book, "open": [_plain(row) for row in rows]}
        actor = _person(options["by"])
        if options["action"] == "propose":
            row = propose_sleeve(
                book=book,
                code=code,
                name=options["name"] or code.replace("-", " ").capitalize(),
                risk_fraction=_share(options["risk"]),
                parameters=dict(text.partition("=")[::2] for text in options["set"]),
                expectation=options["expectation"],
                reason=options["reason"],
                actor=actor,
            )
        elif options["action"] == "retire":
            row = propose_retirement(book=book, code=code, reason=options["reason"], actor=actor)
        else:
            found = open_sleeve_proposals(book).filter(code=code).first()
            if found is None:
                raise InvalidInput(f"no proposal for {code} is open", code="no_proposal")
            if options["action"] == "return":
                row = return_sleeve(proposal=found, reason=options["reason"], actor=actor)
            else:
                self._tell(found)
                row = approve_sleeve(proposal=found, seen_hash=found.content_hash, actor=actor)
        self._tell(row)
        if row.decision == SleeveProposal.Decision.APPROVED and row.action == "add":
            self.say(
                f"  Next, an operator: manage.py book add --strategy {code} --instrument "
                f'BTC/USDT:USDT --reason "why" --by EMAIL'
            )
        return _plain(row)

    def _tell(self, row: SleeveProposal) -> None:
        state = row.decision or "waits for a second person"
        self.say(f"{row.action} {row.code}: {state}")
        self.say(
            f"  {row.name}, {(row.risk_fraction * 100).normalize():f} % of equity at the stop, by "
            f"{row.proposed_by}: {row.reason}"
        )
        for name, value in row.parameters.items():
            if not isinstance(value, dict):
                self.say(f"  {name} = {value}")
        pin = row.parameters.get("source")
        if pin:
            self.say(f"  file {pin['file']}, sha256 {pin['hash']}")


def _plain(row: SleeveProposal) -> dict[str, Any]:
    return {
        "id": str(row.pk),
        "action": row.action,
        "strategy": row.code,
        "decision": row.decision,
        "hash": row.content_hash,
    }


def _share(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        raise InvalidInput(f"{text} is not a share of equity", code="bad_number") from None


def _person(email: str) -> Actor:
    user = User.objects.filter(email=email.strip().lower(), is_active=True).first()
    if user is None:
        raise InvalidInput(
            "say who does it: --by EMAIL of an active account", code="unknown_person"
        )
    return Actor.of(user)
