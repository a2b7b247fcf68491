"""Make every derived figure of every sleeve anew from its closed trades."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser

from magnetfund.core.commands import FundCommand
from trading.services.performance import recalculate_performance


class Command(FundCommand):
    help = __doc__

    def add_own_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--book", default=settings.MAGNET_BOOK)

    def work(self, **options: Any) -> dict[str, Any]:
        written = recalculate_performance(options["book"])
        for strategy, days in written.items():
            self.say(f"{strategy}: {days} days with a trade")
        return {"book": options["book"], "strategies": written}
