"""Store a published sanctions list that names are screened against: OFAC's sdn.xml or the EU's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from investors.domain.onboarding.list_files import FORMATS
from investors.models import Screening
from investors.services.rescreening import screen_everybody
from investors.services.screening import import_list
from magnetfund.core.actors import Actor
from magnetfund.core.commands import FundCommand
from magnetfund.kernel.errors import InvalidInput


class Command(FundCommand):
    help = __doc__

    def add_own_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--format", choices=FORMATS, required=True)
        parser.add_argument(
            "--kind", choices=Screening.Kind.values, default=str(Screening.Kind.SANCTIONS)
        )

    def work(self, **options: Any) -> dict[str, Any]:
        try:
            content = options["file"].read_bytes()
        except OSError as error:
            raise InvalidInput(f"the file cannot be read: {error}", code="bad_list") from None
        row = import_list(
            content=content,
            form=options["format"],
            kind=options["kind"],
            actor=Actor.system("import_list"),
        )
        files, hits = screen_everybody()
        self.say(
            f"{row.name} of {row.version}: {row.names_count} names. "
            f"{files} files screened, {hits} new hits."
        )
        return {
            "list": row.name, "version": row.version, "names": row.names_count, "files": files,
            "hits": hits,
        }  # fmt: skip
