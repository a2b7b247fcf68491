"""Download closed candles from an exchange. Repeated runs fetch only missing candles."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.core.management.base import CommandParser

from magnetfund.core.actors import Actor
from magnetfund.core.commands import FundCommand, Progress
from magnetfund.kernel.clock import to_milliseconds
from magnetfund.kernel.errors import InvalidInput
from trading.domain.market import timeframe_ms
from trading.domain.market.symbols import normalise_symbol
from trading.models import Instrument
from trading.services.candle_import import import_candles
from trading.services.candle_store import load_candles
from trading.services.exchange_candles import fetch_candles, fetch_time_ms, open_exchange
from trading.services.instruments import ensure_instrument


class Command(FundCommand):
    help = __doc__

    def add_own_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--exchange", default="binanceusdm")
        parser.add_argument("--instrument", required=True, help="for example BTC/USDT:USDT")
        parser.add_argument("--timeframe", default="1h")
        parser.add_argument("--from", dest="start", required=True, help="YYYY-MM-DD")
        parser.add_argument(
            "--confirm-jumps",
            action="store_true",
            help="a second source shows the same prices: take jumps that would be refused",
        )

    def work(self, **options: Any) -> dict[str, Any]:
        frame = options["timeframe"]
        step = timeframe_ms(frame)
        client = open_exchange(options["exchange"])
        actor = Actor.system("backfill_candles")
        symbol = normalise_symbol(options["instrument"])
        start, end = _start(options["start"]), fetch_time_ms(client)
        known = Instrument.objects.filter(venue=options["exchange"], symbol=symbol).first()
        if known is not None:
            stored = load_candles(known, frame, start_ms=start)
            if len(stored) and int(stored.open_time[0]) == start:
                start = int(stored.open_time[-1]) + step
        total = max(0, (end - start) // step)
        progress = None if self.wants_json else Progress(label="candles", total=total)
        raw = fetch_candles(
            client,
            symbol=symbol,
            timeframe=frame,
            start_ms=start,
            end_ms=end,
            on_progress=progress.advance if progress else None,
        )
        # Only a venue that answered makes an instrument that is new.
        instrument = ensure_instrument(symbol, venue=options["exchange"], actor=actor)
        report = import_candles(
            raw,
            instrument=instrument,
            timeframe=frame,
            source=options["exchange"],
            actor=actor,
            confirm_jumps=options["confirm_jumps"],
        )
        self.say(f"{report.taken:,} new candles, {sum(report.refused.values()):,} rejected.")
        return {
            "instrument": instrument.symbol,
            "venue": instrument.venue,
            "taken": report.taken,
            "refused": report.refused,
        }


def _start(text: str) -> int:
    try:
        return to_milliseconds(datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC))
    except ValueError:
        raise InvalidInput(f"{text} is not a date; use YYYY-MM-DD", code="bad_date") from None
