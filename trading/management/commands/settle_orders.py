"""Settle the orders of unknown outcome of a book by asking its venue, where no trader runs."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser

from magnetfund.core.actors import Actor
from magnetfund.core.commands import FundCommand
from trading.services.settlement import settle_book


class Command(FundCommand):
    help = (
        "Settle the orders of unknown outcome of a book by asking its venue. A running trader does "
        "this by itself at each beat."
    )

    def add_own_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--book", default=settings.MAGNET_BOOK)

    def work(self, **options: Any) -> dict[str, Any]:
        settled = settle_book(options["book"], actor=Actor.system("settle_orders"))
        for order in settled.orders:
            self.say(f"{order.id}  {order.side} {order.quantity:f}: {order.state}")
        if not settled.orders:
            self.say("No order was in doubt.")
        differences = settled.reconciliation.differences
        self.say(
            "Books and venue agree."
            if not differences
            else f"Books and venue differ in {len(differences)} places; the Risk page lists them."
        )
        return {
            "book": options["book"],
            "orders": {str(order.id): order.state for order in settled.orders},
            "differences": differences,
        }
