"""Enter rates of a stablecoin from a CSV file (columns time and rate); a controller signs them."""

from __future__ import annotations

import csv
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser

from investors.models import Fund
from investors.services.coin_rates import propose_rates
from magnetfund.core.commands import FundCommand
from magnetfund.kernel.counting import count_of
from magnetfund.kernel.errors import InvalidInput, NotFound
from magnetfund.kernel.money import decimal_of
from magnetfund.operations.people import actor_by_email


class Command(FundCommand):
    help = __doc__

    def add_own_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, help="time (ISO 8601 with a zone) and rate")
        parser.add_argument("--coin", required=True, help="for example USDC")
        parser.add_argument("--source", help="where the rates were read; the file's name if absent")
        parser.add_argument("--as", dest="email", required=True, help="your e-mail address")

    def work(self, **options: Any) -> dict[str, Any]:
        fund = Fund.objects.filter(book=settings.MAGNET_BOOK).first()
        if fund is None:
            raise NotFound("no fund has been founded", code="no_fund")
        path = options["file"]
        row = propose_rates(
            fund=fund,
            coin=options["coin"].upper(),
            source=options["source"] or path.name,
            lines=_read(path),
            actor=actor_by_email(options["email"]),
        )
        self.say(
            f"{count_of(len(row.lines), 'rate')} of {row.coin} entered, {row.lines[0][0]} to "
            f"{row.lines[-1][0]}. They count once a controller has signed them (page Rates)."
        )
        return {"proposal": str(row.pk), "coin": row.coin, "rates": len(row.lines)}


def _read(path: Path) -> list[tuple[datetime, Decimal]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as handle:
            rows = list(csv.DictReader(handle))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InvalidInput(f"{path} cannot be read: {error}", code="unreadable_file") from None
    found = []
    for number, row in enumerate(rows, start=2):
        try:
            found.append((datetime.fromisoformat(row["time"]), decimal_of(row["rate"].strip())))
        except (KeyError, ValueError, TypeError, AttributeError):
            raise InvalidInput(
                f"{path}, line {number}: expected columns time and rate, for example "
                "2026-03-11T00:00:00Z,0.8812",
                code="bad_line",
            ) from None
    return found
