"""Add an instrument with its terms: from the command line, from a file, or from the exchange."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from magnetfund.core.actors import Actor
from magnetfund.core.commands import FundCommand
from magnetfund.kernel.clock import utc_now
from magnetfund.kernel.errors import InvalidInput
from risk.domain.margin import flat_tier
from trading.domain.market import InstrumentKind, InstrumentTerms
from trading.domain.market.symbols import SIMULATED, normalise_symbol, normalise_venue, parse_symbol
from trading.services.exchange_candles import fetch_terms, open_exchange
from trading.services.instrument_files import read_terms_file
from trading.services.instruments import add_instrument

FIGURES = ("tick", "lot", "minimum", "maker_fee", "taker_fee", "maintenance")


class Command(FundCommand):
    help = __doc__

    def add_own_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("symbol", help="for example BTC/USDT:USDT")
        parser.add_argument("--venue", default="binanceusdm")
        parser.add_argument("--tick", help="price step")
        parser.add_argument("--lot", help="quantity step")
        parser.add_argument("--minimum", help="minimum notional of an order, settle currency")
        parser.add_argument("--maker-fee", help="fraction of notional, for example 0.0002")
        parser.add_argument("--taker-fee", help="fraction of notional, for example 0.0005")
        parser.add_argument("--maintenance", help="maintenance margin rate, for example 0.01")
        parser.add_argument("--from-file", type=Path, help="a TOML file of terms")
        parser.add_argument("--from-exchange", action="store_true", help="ask the venue (network)")
        parser.add_argument("--source", default="command line", help="who states these terms")
        parser.add_argument(
            "--trade", action="store_true", help="let the books of this home trade it"
        )

    def work(self, **options: Any) -> dict[str, Any]:
        symbol, venue = normalise_symbol(options["symbol"]), normalise_venue(options["venue"])
        if venue == SIMULATED:
            raise InvalidInput("the simulated market states its own terms", code="sim_only")
        given = [name for name in FIGURES if options[name] is not None]
        ways = bool(given) + bool(options["from_file"]) + options["from_exchange"]
        if ways != 1:
            raise InvalidInput(
                "give the terms one way: --tick, --lot, --minimum, --maker-fee, --taker-fee and "
                "--maintenance, or --from-file, or --from-exchange",
                code="no_terms",
            )
        if options["from_file"]:
            found = read_terms_file(options["from_file"])
            if found.venue != venue or symbol not in found.terms:
                raise InvalidInput(
                    f"the file has no terms of {symbol} on {venue}", code="unknown_instrument"
                )
            terms, source, stated_at = found.terms[symbol], found.source, found.stated_at
        elif options["from_exchange"]:
            terms, source = fetch_terms(open_exchange(venue), venue=venue, symbol=symbol)
            stated_at = utc_now()
        else:
            terms = _stated(symbol, venue, options)
            source, stated_at = options["source"], utc_now()
        row = add_instrument(
            terms,
            source=source,
            stated_at=stated_at,
            actor=Actor.system("add_instrument"),
            is_active=options["trade"],
        )
        self.say(
            f"{row.symbol} on {row.venue}: tick {terms.tick:f}, lot {terms.lot:f}, minimum "
            f"{terms.minimum_notional:f}, taker fee {terms.taker_fee:f} ({row.metadata_source})."
        )
        return {"symbol": row.symbol, "venue": row.venue, "source": row.metadata_source}


def _stated(symbol: str, venue: str, options: dict[str, Any]) -> InstrumentTerms:
    missing = [name for name in FIGURES if options[name] is None]
    if missing:
        names = ", ".join("--" + name.replace("_", "-") for name in missing)
        raise InvalidInput(f"still needed: {names}", code="no_terms")
    figures: dict[str, Decimal] = {}
    for name in FIGURES:
        try:
            figures[name] = Decimal(options[name])
        except InvalidOperation:
            raise InvalidInput(f"{name} is not a number", code="bad_number") from None
        if not figures[name].is_finite():
            raise InvalidInput(f"{name} is not a number", code="bad_number")
    parts = parse_symbol(symbol)
    return InstrumentTerms(
        symbol=symbol,
        venue=venue,
        kind=InstrumentKind.LINEAR_PERPETUAL,
        base=parts.base,
        quote=parts.quote,
        settle=parts.settle,
        tick=figures["tick"],
        lot=figures["lot"],
        minimum_notional=figures["minimum"],
        maker_fee=figures["maker_fee"],
        taker_fee=figures["taker_fee"],
        maintenance_tiers=flat_tier(rate=float(figures["maintenance"])),
    )
