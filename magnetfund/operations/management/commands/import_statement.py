"""Import the lines of a bank's or chain's statement, each once by its reference."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser

from investors.models import Fund
from investors.services.money_accounts import find_account
from investors.services.statements import FILE_BYTES_MAX, confirm_statement, upload_statement
from magnetfund.core.commands import FundCommand
from magnetfund.kernel.errors import InvalidInput, NotFound
from magnetfund.operations.people import actor_by_email


class Command(FundCommand):
    help = __doc__

    def add_own_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, help="camt.053, or a bank's or chain's CSV or .xlsx")
        parser.add_argument("--account", required=True, help="code of the fund's account")
        parser.add_argument("--as", dest="email", required=True, help="your e-mail address")
        parser.add_argument("--dry-run", action="store_true", help="say what would be imported")

    def work(self, **options: Any) -> dict[str, Any]:
        fund = Fund.objects.filter(book=settings.MAGNET_BOOK).first()
        if fund is None:
            raise NotFound("no fund has been founded", code="no_fund")
        actor = actor_by_email(options["email"])
        try:
            with options["file"].open("rb") as handle:
                content = handle.read(FILE_BYTES_MAX + 1)
        except OSError as error:
            raise InvalidInput(
                f"{options['file']}: {error.strerror}", code="unreadable_file"
            ) from None
        row, report = upload_statement(
            account=find_account(fund, options["account"]),
            name=options["file"].name,
            content=content,
            actor=actor,
        )
        if not options["dry_run"]:
            report = confirm_statement(file=row, actor=actor)
        self.say(
            f"{report.new} new lines, {report.known} known, {report.matched} matched"
            f"{', nothing imported (dry run)' if options['dry_run'] else ''}"
        )
        for item in report.refused:
            self.say(f"  {item['reference']}: {item['words']} ({item['code']})")
        return {"file": str(row.pk), "is_dry_run": options["dry_run"], **report.plain()}
