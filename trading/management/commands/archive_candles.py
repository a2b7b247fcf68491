"""Move minutes that are older than 90 days into Parquet files of the home, a month each, with their
hashes. Needs the owner's role; each start of a home does it too."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from magnetfund.core.actors import Actor
from magnetfund.core.commands import FundCommand
from magnetfund.kernel.counting import count_of
from trading.models import CandleFile
from trading.services.candle_archive import KEEP_DAYS, archive_months


class Command(FundCommand):
    help = __doc__

    def add_own_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--keep-days", type=int, default=KEEP_DAYS)
        parser.add_argument("--months", type=int, help="stop after so many")

    def work(self, **options: Any) -> dict[str, Any]:
        def tell(row: CandleFile) -> None:
            self.say(
                f"{row.instrument.symbol} {row.starts_at:%Y-%m}: {count_of(row.rows, 'minute')}, "
                f"{row.size / 1e6:.1f} MB, {row.path}"
            )

        made = archive_months(
            keep_days=options["keep_days"],
            months_max=options["months"],
            actor=Actor.system("archive_candles"),
            on_month=tell,
        )
        self.say(f"{count_of(len(made), 'month')} moved into files.")
        return {"months": len(made), "rows": sum(row.rows for row in made)}
