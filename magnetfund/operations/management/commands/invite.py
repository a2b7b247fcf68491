"""Print a link with which one person of the house, or one investor, enrols a signing key, once,
within a day."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from magnetfund.core.actors import Actor
from magnetfund.core.commands import FundCommand
from magnetfund.core.services.signing_invites import invite_signer


class Command(FundCommand):
    help = __doc__

    def add_own_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--email", required=True)

    def work(self, **options: Any) -> dict[str, Any]:
        url = invite_signer(email=options["email"], actor=Actor.system("manage.py invite"))
        self.say(f"Give this link to that person alone (once, 24 hours): {url}")
        return {"url": url}
