"""Bring the terms of a venue's instruments to what it states today; every change is recorded."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser

from magnetfund.core.actors import Actor
from magnetfund.core.commands import FundCommand
from magnetfund.kernel.counting import count_of
from magnetfund.kernel.errors import InvalidInput
from trading.domain.market.symbols import SIMULATED, normalise_symbol, normalise_venue
from trading.models import Instrument
from trading.services.instrument_refresh import refresh_venue


class Command(FundCommand):
    help = __doc__

    def add_own_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--venue", default="binanceusdm")
        parser.add_argument("--book", default=settings.MAGNET_BOOK)
        parser.add_argument("--instrument", help="one symbol; all of the venue if absent")

    def work(self, **options: Any) -> dict[str, Any]:
        venue = normalise_venue(options["venue"])
        if venue == SIMULATED:
            raise InvalidInput("the simulated market states its own terms", code="sim_only")
        rows = Instrument.objects.filter(venue=venue)
        if options["instrument"]:
            rows = rows.filter(symbol=normalise_symbol(options["instrument"]))
        symbols = list(rows.values_list("symbol", flat=True))
        if not symbols:
            raise InvalidInput(f"no such instrument on {venue}", code="unknown_instrument")
        found = refresh_venue(
            venue=venue,
            symbols=symbols,
            book=options["book"],
            actor=Actor.system("refresh_instruments"),
        )
        for symbol, changes in found.changed.items():
            told = ", ".join(f"{k} {old} to {new}" for k, (old, new) in changes.items())
            self.say(f"{symbol}: {told}.")
        for symbol, why in {**found.refused, **found.ended}.items():
            self.say(f"{symbol}: {why}")
        self.say(
            f"{count_of(len(symbols), 'instrument')}, {len(found.changed)} changed, "
            f"{len(found.refused)} refused, {len(found.ended)} ended."
        )
        if found.refused and len(found.refused) == len(symbols):
            raise InvalidInput("no instrument was refreshed", code="nothing_refreshed")
        return {
            "venue": venue,
            "changed": found.changed,
            "refused": found.refused,
            "ended": found.ended,
        }
