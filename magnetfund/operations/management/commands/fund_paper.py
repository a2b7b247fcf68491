"""Write a paper of the fund at one dealt NAV into a file: one of those that the desk lists."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser

from investors.models import NavStrike
from investors.services.fund_papers import TITLES, fund_paper, fund_table
from investors.services.papers import note_download
from magnetfund.core.commands import FundCommand
from magnetfund.kernel.errors import InvalidInput, NotFound
from magnetfund.operations.people import actor_by_email


class Command(FundCommand):
    help = __doc__

    def add_own_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("kind", choices=list(TITLES))
        parser.add_argument("file", type=Path, help="a new file: .pdf, .csv or .xlsx")
        parser.add_argument("--nav", type=date.fromisoformat, required=True, help="YYYY-MM-DD")
        parser.add_argument("--as", dest="email", required=True, help="your e-mail address")

    def work(self, **options: Any) -> dict[str, Any]:
        strike = (
            NavStrike.objects.filter(
                fund__book=settings.MAGNET_BOOK,
                valuation_at__date=options["nav"],
                state=NavStrike.State.DEALT,
            )
            .select_related("fund")
            .first()
        )
        if strike is None:
            raise NotFound(f"no dealt NAV of {options['nav']}", code="no_strike")
        actor, kind, file = actor_by_email(options["email"]), options["kind"], options["file"]
        if file.exists():
            raise InvalidInput(f"{file} exists", code="file_exists")
        form = file.suffix.lstrip(".")
        if form == "pdf":
            paper = fund_paper(strike=strike, kind=kind, actor=actor)
            number, content = paper.number, note_download(paper, actor=actor)
        else:
            number, content = fund_table(strike=strike, kind=kind, actor=actor, form=form)
        file.write_bytes(content)
        self.say(f"{number}: {len(content)} bytes in {file}")
        return {"number": number, "file": str(file), "bytes": len(content)}
