"""List a book's orders as its venue would be sent them (shadow mode): nothing is signed or sent."""

from __future__ import annotations

from datetime import date
from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser

from magnetfund.core.commands import FundCommand
from magnetfund.kernel.clock import isoformat_z
from magnetfund.kernel.counting import count_of
from magnetfund.kernel.errors import InvalidInput
from trading.models import Order
from trading.services.shadow import is_shadow, write_shadow

ORDERS_MAX = 1_000


class Command(FundCommand):
    help = __doc__

    def add_own_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--book", default=settings.MAGNET_BOOK)
        parser.add_argument("--since", type=date.fromisoformat, help="YYYY-MM-DD; all without it")
        parser.add_argument("--last", type=int, default=50, help="how many, the newest; 50")

    def work(self, **options: Any) -> dict[str, Any]:
        if not is_shadow():
            raise InvalidInput(
                "no orders are written here; start the platform with TRADING_MODE=shadow",
                code="not_shadow",
            )
        if not 1 <= options["last"] <= ORDERS_MAX:
            raise InvalidInput(f"--last takes 1 to {ORDERS_MAX}", code="bad_count")
        rows = Order.objects.filter(book=options["book"]).select_related("instrument")
        if options["since"]:
            rows = rows.filter(occurred_at__date__gte=options["since"])
        newest = list(rows.order_by("-occurred_at", "-pk")[: options["last"]])
        found = [
            {
                "at": isoformat_z(row.occurred_at),
                "venue": row.instrument.venue,
                "purpose": row.purpose,
                "state": row.state,
                "written": write_shadow(row),
            }
            for row in reversed(newest)
        ]
        for item in found:
            self.say(f"{item['at']}  {item['purpose']:8} {item['written']}")
        self.say(f"{count_of(len(found), 'order')} of book {options['book']}; none was sent.")
        return {"book": options["book"], "sent": 0, "orders": found}
