"""Download the funding rates that an exchange charged. Repeated runs fetch only missing ones."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.core.management.base import CommandParser

from magnetfund.core.actors import Actor
from magnetfund.core.commands import FundCommand
from magnetfund.kernel.clock import to_milliseconds
from magnetfund.kernel.errors import InvalidInput
from trading.domain.market.symbols import normalise_symbol
from trading.services.exchange_candles import fetch_funding, fetch_time_ms, open_exchange
from trading.services.funding import import_funding
from trading.services.instruments import ensure_instrument


class Command(FundCommand):
    help = __doc__

    def add_own_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--exchange", default="binanceusdm")
        parser.add_argument("--instrument", required=True, help="for example BTC/USDT:USDT")
        parser.add_argument("--from", dest="start", required=True, help="YYYY-MM-DD")

    def work(self, **options: Any) -> dict[str, Any]:
        try:
            day = datetime.strptime(options["start"], "%Y-%m-%d").replace(tzinfo=UTC)
        except ValueError:
            raise InvalidInput(
                f"{options['start']} is not a date; use YYYY-MM-DD", code="bad_date"
            ) from None
        client, actor = open_exchange(options["exchange"]), Actor.system("backfill_funding")
        symbol = normalise_symbol(options["instrument"])
        raw = fetch_funding(
            client, symbol=symbol, start_ms=to_milliseconds(day), end_ms=fetch_time_ms(client)
        )
        instrument = ensure_instrument(symbol, venue=options["exchange"], actor=actor)
        report = import_funding(raw, instrument=instrument, source=options["exchange"], actor=actor)
        self.say(f"{report.taken:,} new rates, {report.already_stored:,} stored before.")
        return {"instrument": symbol, "venue": instrument.venue, "taken": report.taken}
