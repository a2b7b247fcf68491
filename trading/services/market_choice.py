"""Which market this home's trader follows: the ``MARKET`` setting, or the simulated one of a demo.

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


def choose_market() -> MarketData:
    """The market to trade on paper.

    Raises :class:`InvalidInput`: ``no_source`` where none is set, ``two_markets`` where this home
    trades another one, ``no_instruments`` where it trades none of it yet, ``unknown_exchange``.
    """
    if not names_real_market():
        config = load_simulation()
        if config is not None:
            return SimulatedSource(config)
        raise InvalidInput(
            "no market is set: start with MARKET=binanceusdm (or another exchange that ccxt "
            "knows), after add_instrument SYMBOL --from-exchange --trade",
            code="no_source",
        )
    venue = normalise_venue(settings.MARKET)
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
