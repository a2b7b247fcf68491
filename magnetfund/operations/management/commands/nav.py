"""The NAV of a fund at an instant, from what the books knew at another: NAV(V, K)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser

from investors.models import Fund
from investors.services.nav_as_known import nav_as_known
from magnetfund.core.commands import FundCommand
from magnetfund.kernel.clock import require_utc, utc_now
from magnetfund.kernel.errors import InvalidInput


class Command(FundCommand):
    help = __doc__

    def add_own_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--at", required=True, help="valuation instant, ISO 8601 with zone")
        parser.add_argument("--known", help="what was recorded by this instant; now without it")

    def work(self, **options: Any) -> dict[str, Any]:
        fund = Fund.objects.filter(book=settings.MAGNET_BOOK).first()
        if fund is None:
            raise InvalidInput("no fund has been founded", code="no_fund")
        known = _instant(options["known"]) if options["known"] else utc_now()
        found = nav_as_known(fund=fund, valuation_at=_instant(options["at"]), known_at=known)
        plain = found.plain()
        if not options["json"]:
            for name, value in plain.items():
                if name != "classes":
                    self.stdout.write(f"{name}: {value}")
            for item in plain["classes"]:
                self.stdout.write(", ".join(f"{name} {value}" for name, value in item.items()))
        return plain


def _instant(text: str) -> datetime:
    try:
        return require_utc(datetime.fromisoformat(text))
    except (ValueError, TypeError):
        raise InvalidInput(
            f"{text[:40]!r} is no instant; write 2026-02-01T00:00:00+00:00", code="bad_time"
        ) from None
