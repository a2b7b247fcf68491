"""Import dated funding rates (CSV, Parquet, Feather). Replays, backtests and books use them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from magnetfund.core.actors import Actor
from magnetfund.core.commands import FundCommand
from magnetfund.kernel.clock import isoformat_z
from trading.services.funding import import_funding, read_funding_file
from trading.services.instruments import ensure_instrument


class Command(FundCommand):
    help = __doc__

    def add_own_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("files", nargs="+", type=Path)
        parser.add_argument("--instrument", required=True, help="for example BTC/USDT:USDT")
        parser.add_argument("--venue", default="binanceusdm")
        parser.add_argument("--source", help="where the rates come from; the file's name if absent")

    def work(self, **options: Any) -> dict[str, Any]:
        actor = Actor.system("import_funding")
        results = []
        for path in options["files"]:
            raw = read_funding_file(path)
            instrument = ensure_instrument(
                options["instrument"], venue=options["venue"], actor=actor
            )
            report = import_funding(
                raw, instrument=instrument, source=options["source"] or path.name, actor=actor
            )
            self.say(
                f"{path.name}: {report.rows:,} rows, {report.taken:,} new rates, "
                f"{report.already_stored:,} stored before, {report.refused:,} refused."
            )
            if report.differing:
                self.say(f"  {report.differing:,} rates differ from stored ones, which were kept.")
            results.append(
                {
                    "file": path.name,
                    "taken": report.taken,
                    "already_stored": report.already_stored,
                    "differing": report.differing,
                    "refused": report.refused,
                    "first": isoformat_z(report.first) if report.first else None,
                    "last": isoformat_z(report.last) if report.last else None,
                }
            )
        return {"instrument": instrument.symbol, "venue": instrument.venue, "files": results}
