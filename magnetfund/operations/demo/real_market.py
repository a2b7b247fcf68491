"""The demo fund's past on an exchange's real prices: fetched whole before anything is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings

from magnetfund.core.actors import Actor
from magnetfund.kernel.clock import from_milliseconds, to_milliseconds, utc_now
from magnetfund.kernel.errors import InvalidInput, Unavailable
from trading.domain.candle_files import RawCandles
from trading.domain.market import HOUR_MS, InstrumentTerms
from trading.domain.market.symbols import SIMULATED, normalise_venue
from trading.models import Instrument
from trading.services.candle_import import import_candles
from trading.services.exchange_candles import fetch_candles, fetch_terms, open_exchange
from trading.services.instruments import add_instrument

#: Hours that may be missing at the beginning of the past.
SHORT_HOURS = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class RealMarket:
    """Terms and hours of each instrument, as the venue told them."""

    venue: str
    told: tuple[tuple[InstrumentTerms, str, RawCandles], ...]

    def store(self) -> list[Instrument]:
        """Add the instruments and bring their hours in by the usual door."""
        actor = Actor.system("load_demo")
        rows = []
        for terms, source, raw in self.told:
            row = add_instrument(
                terms, source=source, stated_at=utc_now(), actor=actor, is_active=True
            )
            import_candles(
                raw, instrument=row, timeframe="1h", source=f"{self.venue} REST", actor=actor
            )
            rows.append(row)
        return rows


def read_real_market(symbols: Sequence[str], *, start: datetime, end: datetime) -> RealMarket:
    """What the exchange of ``MARKET`` tells of ``symbols``; nothing is written.

    Raises :class:`Unavailable` (``exchange_away``) and :class:`InvalidInput` (``short_history``,
    ``unknown_instrument``), each with the next step.
    """
    venue = normalise_venue(settings.MARKET)
    client = open_exchange(venue)
    told = []
    try:
        for symbol in symbols:
            terms, source = fetch_terms(client, venue=venue, symbol=symbol)
            raw = fetch_candles(
                client,
                symbol=symbol,
                timeframe="1h",
                start_ms=to_milliseconds(start),
                end_ms=to_milliseconds(end),
            )
            _require_past(symbol, venue, raw, start)
            told.append((terms, source, raw))
    except Unavailable as error:
        raise Unavailable(
            f"{error.message}; or start without MARKET, on simulated prices",
            code=error.code,
            details=error.details,
        ) from None
    return RealMarket(venue=venue, told=tuple(told))


def _require_past(symbol: str, venue: str, raw: RawCandles, start: datetime) -> None:
    if (
        raw.open_time.size
        and int(raw.open_time[0]) <= to_milliseconds(start) + SHORT_HOURS * HOUR_MS
    ):
        return
    since = (
        f"{from_milliseconds(int(raw.open_time[0])):%d %B %Y}" if raw.open_time.size else "never"
    )
    raise InvalidInput(
        f"{venue} tells hours of {symbol} since {since}; the demo fund's past needs them since "
        f"{start:%d %B %Y}. Start without MARKET, on simulated prices",
        code="short_history",
    )


def refuse_simulated_home() -> None:
    """Raise :class:`InvalidInput` (``two_markets``) where this home trades simulated prices."""
    row = Instrument.objects.filter(is_active=True, venue=SIMULATED).first()
    if row is not None:
        raise InvalidInput(
            f"this home's fund trades simulated prices ({row.symbol}); for real ones start "
            f"another home: MAGNET_HOME=var-real MARKET={settings.MARKET} make run",
            code="two_markets",
        )
