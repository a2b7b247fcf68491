"""Bring the terms of a venue's instruments to what it states today; every change is recorded."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from magnetfund.core.actors import Actor
from magnetfund.core.commands import FundCommand
from magnetfund.kernel.clock import utc_now
from magnetfund.kernel.errors import InvalidInput
from trading.domain.market.symbols import SIMULATED, normalise_symbol, normalise_venue
from trading.models import Instrument
from trading.services.exchange_candles import fetch_terms, open_exchange
from trading.services.instruments import refresh_terms


class Command(FundCommand):
    help = __doc__

    def add_own_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--venue", default="binanceusdm")
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
        client = open_exchange(venue)
        changed: dict[str, Any] = {}
        refused: dict[str, str] = {}
        for symbol in symbols:
            try:
                terms, source = fetch_terms(client, venue=venue, symbol=symbol)
                changes = refresh_terms(
                    terms,
                    source=source,
                    stated_at=utc_now(),
                    actor=Actor.system("refresh_instruments"),
                )
            except InvalidInput as error:
                refused[symbol] = error.message
                self.say(f"{symbol}: {error.message}")
                continue
            if changes:
                changed[symbol] = changes
                told = ", ".join(f"{k} {old} to {new}" for k, (old, new) in changes.items())
                self.say(f"{symbol}: {told}.")
        self.say(f"{len(symbols)} instruments, {len(changed)} changed, {len(refused)} refused.")
        if refused and len(refused) == len(symbols):
            raise InvalidInput("no instrument was refreshed", code="nothing_refreshed")
        return {"venue": venue, "changed": changed, "refused": refused}
