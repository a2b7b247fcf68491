"""Move minutes that are older than 90 days into Parquet files of the home, a month each, with their
hashes. Needs the owner's role; a home does it by itself once a day (--daily)."""

from __future__ import annotations

import os
from typing import Any

from django.core.management.base import CommandParser

from magnetfund.core.actors import Actor
from magnetfund.core.commands import FundCommand
from magnetfund.kernel.counting import count_of
from magnetfund.operations.minute_archive import archive_today
from trading.models import CandleFile
from trading.services.candle_archive import KEEP_DAYS, archive_months


class Command(FundCommand):
    help = __doc__

    def add_own_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--keep-days", type=int, default=KEEP_DAYS)
        parser.add_argument("--months", type=int, help="stop after so many")
        parser.add_argument(
            "--daily", action="store_true", help="only if it was not done today, and out of the way"
        )

    def work(self, **options: Any) -> dict[str, Any]:
        def tell(row: CandleFile) -> None:
            self.say(
                f"{row.instrument.symbol} {row.starts_at:%Y-%m}: {count_of(row.rows, 'minute')}, "
                f"{row.size / 1e6:.1f} MB, {row.path}"
            )

        actor = Actor.system("archive_candles")
        if options["daily"]:
            os.nice(10)
            row = archive_today(actor=actor, months_max=options["months"], on_month=tell)
            self.say("Already done today." if row is None else f"{row.detail}.")
            return {"done": row is not None}
        made = archive_months(
            keep_days=options["keep_days"],
            months_max=options["months"],
            actor=actor,
            on_month=tell,
        )
        self.say(f"{count_of(len(made), 'month')} moved into files.")
        return {"months": len(made), "rows": sum(row.rows for row in made)}
