"""Propose the orders of a CSV or .xlsx for holders, all or none; another person decides on each."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser

from investors.models import Fund
from investors.services.dealing_import import BYTES_MAX, import_dealings
from magnetfund.core.commands import FundCommand
from magnetfund.kernel.errors import InvalidInput, NotFound
from magnetfund.operations.people import actor_by_email


class Command(FundCommand):
    help = __doc__

    def add_own_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--as", dest="email", required=True, help="your e-mail address")
        parser.add_argument("--dry-run", action="store_true", help="say what would be proposed")

    def work(self, **options: Any) -> dict[str, Any]:
        fund = Fund.objects.filter(book=settings.MAGNET_BOOK).first()
        if fund is None:
            raise NotFound("no fund has been founded", code="no_fund")
        try:
            with options["file"].open("rb") as handle:
                content = handle.read(BYTES_MAX + 1)
        except OSError as error:
            raise InvalidInput(
                f"{options['file']}: {error.strerror}", code="unreadable_file"
            ) from None
        report = import_dealings(
            fund=fund,
            content=content,
            actor=actor_by_email(options["email"]),
            is_dry_run=options["dry_run"],
        )
        for item in report.refused:
            self.say(f"  line {item.line}: {item.words} ({item.code})")
        self.say(
            f"{report.lines} lines, {len(report.refused)} refused, "
            f"{len(report.proposals)} proposed"
            f"{' (dry run)' if options['dry_run'] else ''}"
        )
        return {
            "lines": report.lines,
            "refused": [asdict(item) for item in report.refused],
            "proposals": [row.reference for row in report.proposals],
            "is_dry_run": options["dry_run"],
        }
