"""Make the monthly statements of a month: what is missing, and a new version where books changed.

Interrupted, it goes on where it stood when it is run again.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser

from investors.models import Fund, Investor
from investors.services.investor_statements import make_statements
from magnetfund.core.commands import FundCommand, Progress
from magnetfund.kernel.errors import NotFound
from magnetfund.operations.people import actor_by_email


class Command(FundCommand):
    help = __doc__

    def add_own_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--period", required=True, help="a month, YYYY-MM")
        parser.add_argument("--investor", default="", help="account number; all without it")
        parser.add_argument("--as", dest="email", required=True, help="your e-mail address")

    def work(self, **options: Any) -> dict[str, Any]:
        fund = Fund.objects.filter(book=settings.MAGNET_BOOK).first()
        if fund is None:
            raise NotFound("no fund has been founded", code="no_fund")
        investor = None
        if options["investor"]:
            investor = Investor.objects.filter(number=options["investor"]).first()
            if investor is None:
                raise NotFound(f"no account {options['investor']}", code="no_investor")
        bars: list[Progress] = []

        def advance(count: int) -> None:
            if count > 0:
                bars[0].advance(count)
            else:
                bars.append(Progress(label="statements", total=-count))

        run = make_statements(
            fund=fund,
            period=options["period"],
            actor=actor_by_email(options["email"]),
            investor=investor,
            progress=None if self.wants_json else advance,
        )
        self.say(
            f"{len(run.made)} statements made, {run.kept} stood already, "
            f"{len(run.refused)} not issued"
        )
        for number, code in run.refused.items():
            self.say(f"  {number}: {code}")
        return {
            "period": run.period,
            "made": [paper.number for paper in run.made],
            "kept": run.kept,
            "refused": run.refused,
        }
