"""Import candle files (CSV, JSON, also as .gz; zipped CSV, Feather, Parquet). Every candle is
checked; a file is imported in full or not at all."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from magnetfund.core.actors import Actor
from magnetfund.core.commands import FundCommand, Progress
from magnetfund.kernel.clock import isoformat_z
from trading.domain.candle_files import require_length
from trading.domain.market import timeframe_ms
from trading.services.candle_files import read_candle_file
from trading.services.candle_import import ImportReport, import_candles
from trading.services.instruments import ensure_instrument


class Command(FundCommand):
    help = __doc__

    def add_own_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("files", nargs="+", type=Path)
        parser.add_argument("--instrument", required=True, help="for example BTC/USDT:USDT")
        parser.add_argument(
            "--venue", default="binanceusdm", help="the market that the prices come from"
        )
        parser.add_argument("--timeframe", default="1h")
        parser.add_argument(
            "--source", help="where the prices come from; the file's name if absent"
        )
        parser.add_argument("--label", default="", help='shown with the prices, e.g. "spot proxy"')
        parser.add_argument(
            "--confirm-jumps",
            action="store_true",
            help="a second source shows the same prices: take jumps that would be refused",
        )

    def work(self, **options: Any) -> dict[str, Any]:
        actor = Actor.system("import_candles")
        results = []
        for path in options["files"]:
            began = time.monotonic()
            raw = read_candle_file(path)
            require_length(raw, length_ms=timeframe_ms(options["timeframe"]))
            # Only a file that can be read makes an instrument that is new.
            instrument = ensure_instrument(
                options["instrument"],
                venue=options["venue"],
                source_label=options["label"],
                actor=actor,
            )
            progress = None if self.wants_json else Progress(label=path.name, total=len(raw))
            report = import_candles(
                raw,
                instrument=instrument,
                timeframe=options["timeframe"],
                source=(options["source"] or path.name)[:40],
                actor=actor,
                confirm_jumps=options["confirm_jumps"],
                on_progress=progress.advance if progress else None,
            )
            seconds = time.monotonic() - began
            self._tell(path, report, seconds)
            results.append(_plain(path, report, seconds))
        return {"instrument": instrument.symbol, "venue": instrument.venue, "files": results}

    def _tell(self, path: Path, report: ImportReport, seconds: float) -> None:
        rate = report.rows / seconds if seconds > 0 else 0.0
        self.say(
            f"{path.name}: {report.rows:,} rows in {seconds:.2f} s ({rate:,.0f} rows/s), "
            f"{report.taken:,} new, {report.already_stored:,} stored before."
        )
        if report.differing:
            self.say(
                f"  {report.differing:,} candles differ from stored candles; the stored "
                f"ones were kept."
            )
        if report.refused:
            reasons = ", ".join(f"{count:,} {why}" for why, count in sorted(report.refused.items()))
            self.say(f"  Refused: {reasons}.")
            if {"jump", "scale"} & report.refused.keys():
                self.say("  If a second source shows the same prices: add --confirm-jumps.")
        if report.levels:
            self.say(f"  {report.levels:,} new price levels taken and recorded as events.")
        if report.released:
            self.say(f"  {report.released:,} of the new candles had been refused earlier.")
        if report.gaps:
            self.say(f"  The series has {report.gaps:,} gaps, {report.gap_bars:,} bars missing.")


def _plain(path: Path, report: ImportReport, seconds: float) -> dict[str, Any]:
    return {
        "file": path.name,
        "rows": report.rows,
        "taken": report.taken,
        "released": report.released,
        "levels": report.levels,
        "already_stored": report.already_stored,
        "differing": report.differing,
        "refused": report.refused,
        "first": isoformat_z(report.first) if report.first else None,
        "last": isoformat_z(report.last) if report.last else None,
        "gaps": report.gaps,
        "gap_bars": report.gap_bars,
        "seconds": round(seconds, 3),
    }
