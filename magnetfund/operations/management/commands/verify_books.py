"""Recompute every book independently and list each difference. Exits with status 1 if there are
any."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import CommandParser

from investors.models import Fund
from investors.services.verification import CHECKS
from magnetfund.core.commands import FundCommand
from magnetfund.core.services.audit_check import find_audit_breaks
from magnetfund.kernel.errors import InvalidInput


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
        for fund in funds:
            for check in CHECKS:
                found = check(fund)
                words = (check.__doc__ or check.__name__).split(".")[0].strip()
                self.say(f"{fund.code:<12} {'ok  ' if not found else 'FAIL'} {words}")
                for line in found:
                    self.say(f"{'':<12}      {line}")
                if found:
                    differences.setdefault(fund.code, []).extend(found)
        broken = find_audit_breaks()
        self.say(f"{'audit':<12} {'ok  ' if not broken else 'FAIL'} Audit hash chain is unbroken")
        if broken:
            differences["audit"] = broken
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
