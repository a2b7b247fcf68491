"""Recompute every book independently and list each difference. Exits with status 1 if there are
any."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import CommandParser

from investors.models import Fund
from investors.services.verification import CHECKS, one_snapshot
from magnetfund.core.commands import FundCommand
from magnetfund.core.services.audit_check import find_audit_breaks
from magnetfund.core.services.signatures import find_untold_grants
from magnetfund.kernel.errors import InvalidInput
from magnetfund.operations.books.root import find_root_differences
from trading.services.candle_archive import find_file_differences


class Command(FundCommand):
    help = __doc__

    def add_own_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--book", help="check this book only")

    def work(self, **options: Any) -> dict[str, Any]:
        funds = Fund.objects.order_by("code")
        if options["book"]:
            funds = funds.filter(book=options["book"])
            if not funds:
                raise InvalidInput(f"there is no book {options['book']}", code="unknown_book")
        differences: dict[str, list[str]] = {}
        with one_snapshot():
            for fund in funds:
                for check in CHECKS:
                    self._tell(fund.code, check.__doc__ or check.__name__, check(fund), differences)
            for common in (find_audit_breaks, find_untold_grants, find_root_differences):
                self._tell("audit", common.__doc__ or "", common(), differences)
            words = find_file_differences.__doc__ or ""
            self._tell("candles", words, find_file_differences(), differences)
        result = {
            "clean": not differences,
            "funds": [fund.code for fund in funds],
            "differences": differences,
        }
        if differences:
            if options["json"]:
                self.print_json(result)
            sys.exit(1)
        return result

    def _tell(
        self, part: str, words: str, found: list[str], differences: dict[str, list[str]]
    ) -> None:
        """One line for a check, and one for each difference."""
        said = " ".join(words.split(".")[0].split())
        self.say(f"{part:<12} {'ok  ' if not found else 'FAIL'} {said}")
        for line in found:
            self.say(f"{'':<12}      {line}")
        if found:
            differences.setdefault(part, []).extend(found)
