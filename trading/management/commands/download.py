"""Download monthly archives of candles with their checksums, by URL, from a mirror or a folder."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from magnetfund.core.actors import Actor
from magnetfund.core.commands import FundCommand
from magnetfund.kernel.errors import InvalidInput
from trading.domain.market import timeframe_ms
from trading.domain.market.symbols import normalise_symbol
from trading.services.archives import PUBLIC, list_archives, read_archive
from trading.services.candle_import import import_candles
from trading.services.instruments import ensure_instrument

VENUE = "binanceusdm"


class Command(FundCommand):
    help = f"{__doc__} A month that is stored already changes nothing, so it can be run again."

    def add_own_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--instrument", required=True, help="for example BTC/USDT:USDT")
        parser.add_argument("--timeframe", default="1h")
        parser.add_argument("--from", dest="first", required=True, help="first month, YYYY-MM")
        parser.add_argument("--to", dest="last", help="last month, YYYY-MM; the first if absent")
        parser.add_argument("--mirror", default=PUBLIC, help="URL or folder with the same layout")

    def work(self, **options: Any) -> dict[str, Any]:
        frame, symbol = options["timeframe"], normalise_symbol(options["instrument"])
        timeframe_ms(frame)
        actor = Actor.system("download")
        months: dict[str, int] = {}
        missing: list[str] = []
        for archive in list_archives(
            symbol, frame, options["first"], options["last"] or options["first"]
        ):
            raw = read_archive(archive, mirror=options["mirror"])
            if raw is None:
                missing.append(archive.month)
                self.say(f"{archive.month}: not there.")
                continue
            report = import_candles(
                raw,
                instrument=ensure_instrument(symbol, venue=VENUE, actor=actor),
                timeframe=frame,
                source=f"archive {archive.month}",
                actor=actor,
            )
            months[archive.month] = report.taken
            refused = sum(report.refused.values())
            self.say(
                f"{archive.month}: {report.taken:,} new candles, {report.already_stored:,} stored "
                f"before, {refused:,} rejected."
            )
        if not months:
            raise InvalidInput(
                f"none of these months of {symbol} is at {options['mirror']}", code="no_archive"
            )
        return {"instrument": symbol, "venue": VENUE, "months": months, "missing": missing}
