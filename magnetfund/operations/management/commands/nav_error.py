"""How far an error of net assets moved published prices, and whom deals at them cost."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser

from investors.models import Fund
from investors.services.nav_errors import MATERIAL_FROM, NavErrors, measure_nav_errors
from magnetfund.core.commands import FundCommand
from magnetfund.kernel.errors import InvalidInput


class Command(FundCommand):
    help = __doc__

    def add_own_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--first", type=date.fromisoformat, required=True, help="YYYY-MM-DD")
        parser.add_argument("--last", type=date.fromisoformat, help="the newest NAV without it")
        parser.add_argument(
            "--amount", type=Decimal, required=True, help="what net assets lacked; -12.50: too much"
        )
        parser.add_argument(
            "--material", type=Decimal, default=MATERIAL_FROM, help="share of the right price"
        )

    def work(self, **options: Any) -> dict[str, Any]:
        fund = Fund.objects.filter(book=settings.MAGNET_BOOK).first()
        if fund is None:
            raise InvalidInput("no fund has been founded", code="no_fund")
        found = measure_nav_errors(
            fund=fund,
            first=options["first"],
            last=options["last"],
            amount=options["amount"],
            material_from=options["material"],
        )
        plain = describe(found)
        if not options["json"]:
            for row in (*plain["prices"], *plain["deals"]):
                self.stdout.write(", ".join(f"{name} {value}" for name, value in row.items()))
            word = "material" if found.is_material else "not material"
            self.stdout.write(
                f"{word}: holders are owed {plain['owed']}, others gained {plain['gained']}, "
                f"of which the manager makes good {plain['fund_loss']}"
            )
        return plain


def describe(found: NavErrors) -> dict[str, Any]:
    """The figures as text."""
    return {
        "is_material": found.is_material,
        "owed": f"{found.owed:.2f}",
        "gained": f"{found.gained:.2f}",
        "fund_loss": f"{found.fund_loss:.2f}",
        "prices": [
            {
                "nav": error.day.isoformat(),
                "share_class": error.share_class,
                "published": f"{error.published:f}",
                "right": f"{error.right:f}",
                "ratio": f"{error.ratio:.6f}",
                "is_material": error.material,
            }
            for error in found.errors
        ],
        "deals": [
            {
                "investor": row.entry.lot.holding.investor.number,
                "nav": row.found.deal.day.isoformat(),
                "deal": row.found.deal.kind.value,
                "units": f"{row.found.deal.units:f}",
                "due": f"{row.found.due:f}",
                "settlement": row.found.settlement.value,
            }
            for row in found.deals
        ],
    }
