"""Import candle files (CSV, zipped CSV, JSON, Feather, Parquet). Every candle is checked; a file
is imported in full or not at all."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from magnetfund.core.actors import Actor
from magnetfund.core.commands import FundCommand, Progress
from magnetfund.kernel.clock import isoformat_z
from trading.services.candle_files import read_candle_file
from trading.services.candle_store import ImportReport, import_candles
from trading.services.instruments import ensure_perpetual


class Command(FundCommand):
    help = __doc__

    def add_own_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("files", nargs="+", type=Path)
        parser.add_argument("--instrument", required=True, help="for example BTC/USDT:USDT")
        parser.add_argument("--timeframe", default="1h")
        parser.add_argument(
            "--source", help="where the prices come from; the file's name if absent"
        )
        parser.add_argument("--label", default="", help='shown with the prices, e.g. "spot proxy"')

    def work(self, **options: Any) -> dict[str, Any]:
        results = []
        for path in options["files"]:
            began = time.monotonic()
            raw = read_candle_file(path)
            # Only a file that can be read makes an instrument that is new.
            instrument = ensure_perpetual(options["instrument"], source_label=options["label"])
            progress = None if self.wants_json else Progress(label=path.name, total=len(raw))
            report = import_candles(
                raw,
                instrument=instrument,
                timeframe=options["timeframe"],
                source=(options["source"] or path.name)[:40],
                actor=Actor.system("import_candles"),
                on_progress=progress.advance if progress else None,
            )
            seconds = time.monotonic() - began
            self._tell(path, report, seconds)
            results.append(_plain(path, report, seconds))
        return {"instrument": instrument.symbol, "files": results}

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
        if report.gaps:
            self.say(f"  The series has {report.gaps:,} gaps, {report.gap_bars:,} bars missing.")


def _plain(path: Path, report: ImportReport, seconds: float) -> dict[str, Any]:
    return {
        "file": path.name,
        "rows": report.rows,
        "taken": report.taken,
        "already_stored": report.already_stored,
        "differing": report.differing,
        "refused": report.refused,
        "first": isoformat_z(report.first) if report.first else None,
        "last": isoformat_z(report.last) if report.last else None,
        "gaps": report.gaps,
        "gap_bars": report.gap_bars,
        "seconds": round(seconds, 3),
    }
