"""Which market this home's trader follows: the ``MARKET`` setting, the simulated one of a demo, or
the exchange of the instruments that it trades.

Each refusal names the next step; nothing is written and, before the network is asked, nothing
reached.
"""

from __future__ import annotations

from django.conf import settings

from magnetfund.kernel.errors import InvalidInput
from trading.domain.market.symbols import SIMULATED, normalise_venue
from trading.models import Instrument
from trading.services.exchange_candles import open_exchange
from trading.services.live_market import LiveMarket
from trading.services.live_prices import LivePrices
from trading.services.market_source import SimulatedSource, load_simulation
from trading.venues.binance_streams import STREAMED, BinanceStreams
from trading.venues.market_data import MarketData

SIMULATED_NAMES = ("simulated", SIMULATED)


def names_real_market() -> bool:
    """Whether the setting asks for real prices."""
    return bool(settings.MARKET) and settings.MARKET not in SIMULATED_NAMES


def followed_exchange() -> str:
    """The exchange whose prices this home follows, "" where it follows none.

    It is named by ``MARKET``; without it, by the instruments that a home without a simulated market
    trades: choosing the first of them chooses the exchange.
    """
    if settings.MARKET:
        return normalise_venue(settings.MARKET) if names_real_market() else ""
    if load_simulation() is not None:
        return ""
    traded = Instrument.objects.filter(is_active=True).exclude(venue=SIMULATED).order_by("pk")
    return traded.values_list("venue", flat=True).first() or ""


def choose_market() -> MarketData:
    """The market to trade on paper.

    Raises :class:`InvalidInput`: ``no_source`` where none is chosen, ``two_markets`` where this
    home trades another one, ``no_instruments`` where it trades none of it yet,
    ``unknown_exchange``.
    """
    venue = followed_exchange()
    if not venue:
        config = load_simulation()
        if config is not None:
            return SimulatedSource(config)
        raise InvalidInput(
            "no market is chosen: add an instrument of an exchange on the desk's page Instruments "
            "or by add_instrument SYMBOL --from-exchange --trade; MARKET=binanceusdm (or another "
            "exchange that ccxt knows) names one for the whole home",
            code="no_source",
        )
    other = Instrument.objects.filter(is_active=True).exclude(venue=venue).first()
    if other is not None:
        raise InvalidInput(
            f"MARKET is {venue}, but this home trades {other.symbol} on {other.venue}; start "
            f"another home for it (MAGNET_HOME)",
            code="two_markets",
        )
    client = open_exchange(venue)
    if not Instrument.objects.filter(is_active=True, venue=venue).exists():
        raise InvalidInput(
            f"this home trades no instrument of {venue} yet: add_instrument BTC/USDT:USDT "
            f"--venue {venue} --from-exchange --trade",
            code="no_instruments",
        )
    return LiveMarket(client, venue=venue, streams=_streams if venue in STREAMED else None)


def _streams(prices: LivePrices) -> BinanceStreams:
    return BinanceStreams(prices, host=settings.EXCHANGE_HOST, proxy=settings.EXCHANGE_PROXY)
