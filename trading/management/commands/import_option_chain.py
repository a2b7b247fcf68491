"""Import an option chain (CSV) as a dated snapshot; its gamma walls become magnets."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from magnetfund.core.actors import Actor
from magnetfund.core.commands import FundCommand
from magnetfund.kernel.clock import isoformat_z
from magnetfund.kernel.counting import count_of
from magnetfund.kernel.errors import InvalidInput
from trading.services.instruments import get_instrument
from trading.services.option_chains import ChainReport, ChainTerms, import_option_chain

ROWS_NAMED = 10


class Command(FundCommand):
    help = __doc__

    def add_own_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument(
            "--instrument", required=True, help="whose magnets it makes, e.g. BTC/USDT:USDT"
        )
        parser.add_argument("--venue", help="where several venues have the instrument")
        parser.add_argument(
            "--at", help="when the chain was stated; the file's timestamp if absent"
        )
        parser.add_argument("--published", help="when it became public; the time stated if absent")
        parser.add_argument("--spot", type=float, help="the file's index_price if absent")
        parser.add_argument(
            "--multiplier", type=float, default=1.0, help="units of the asset in a contract"
        )
        parser.add_argument(
            "--in-coin", action="store_true", help="prices are in the coin, as Deribit's on BTC"
        )
        parser.add_argument(
            "--source", help="where the chain comes from; the file's name if absent"
        )

    def work(self, **options: Any) -> dict[str, Any]:
        report = import_option_chain(
            options["file"],
            instrument=get_instrument(options["instrument"], venue=options["venue"]),
            terms=ChainTerms(
                stated_at=_instant(options["at"], "--at"),
                published_at=_instant(options["published"], "--published"),
                spot=options["spot"],
                multiplier=options["multiplier"],
                in_coin=options["in_coin"],
            ),
            actor=Actor.system("import_option_chain"),
            source=options["source"] or "",
        )
        self._tell(report)
        row = report.snapshot
        return {
            "snapshot": row.pk,
            "is_new": report.is_new,
            "stated_at": isoformat_z(row.stated_at),
            "known_at": isoformat_z(row.known_at),
            "options": row.options,
            "refused": dict(report.refused),
            "call_wall": row.call_wall,
            "put_wall": row.put_wall,
            "flip": row.flip,
            "sha256": row.sha256,
        }

    def _tell(self, report: ChainReport) -> None:
        row = report.snapshot
        said = "stored" if report.is_new else "was stored before; nothing changed"
        self.say(
            f"{count_of(row.options, 'option')} on {row.instrument.symbol} as of "
            f"{isoformat_z(row.stated_at)}: {said}. Known from {isoformat_z(row.known_at)}."
        )
        self.say(
            f"  Call wall {_figure(row.call_wall)}, put wall {_figure(row.put_wall)}, gamma turns "
            f"at {_figure(row.flip)}."
        )
        for refusal in report.refused_rows[:ROWS_NAMED]:
            self.say(f"  Line {refusal.line} refused: {refusal.reason.value}.")
        more = len(report.refused_rows) - ROWS_NAMED
        if more > 0:
            self.say(f"  {count_of(more, 'further row')} refused.")


def _instant(text: str | None, name: str) -> datetime | None:
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidInput(f"{name} is a time such as 2026-11-20T08:00Z", code="bad_time") from None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def _figure(value: float | None) -> str:
    return "none" if value is None else f"{value:,.2f}".removesuffix(".00")
