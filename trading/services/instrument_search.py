"""Finding and adding instruments of the venue that this home follows."""

from __future__ import annotations

from magnetfund.core.actors import Actor
from magnetfund.core.roles import Capability
from magnetfund.kernel.clock import utc_now
from magnetfund.kernel.errors import InvalidInput
from trading.domain.market.symbols import normalise_symbol, normalise_venue
from trading.models import Instrument
from trading.services.exchange_candles import fetch_terms, open_exchange
from trading.services.instruments import add_instrument
from trading.services.market_choice import followed_exchange
from trading.venues.ccxt_calls import ask_once

FOUND_MAX = 20


def search_exchange(text: str, *, exchange: str = "") -> list[str]:
    """Symbols of linear perpetuals whose name holds ``text``, that this home does not know yet.

    ``exchange`` names it where this home follows none yet.  Raises :class:`InvalidInput`
    (``no_source`` where neither does, ``two_markets`` where they differ, ``unknown_exchange``), and
    :class:`Unavailable` (``exchange_away``).
    """
    venue = _venue(exchange)
    client = open_exchange(venue)
    markets = ask_once(client, client.load_markets)
    known = set(Instrument.objects.filter(venue=venue).values_list("symbol", flat=True))
    wanted = text.strip().upper()
    return sorted(
        symbol
        for symbol, market in markets.items()
        if market.get("swap") and market.get("linear") and market.get("active") is not False
        and wanted in symbol and symbol not in known
    )[:FOUND_MAX]  # fmt: skip


def add_from_exchange(symbol: str, *, actor: Actor, exchange: str = "") -> Instrument:
    """The instrument with the terms that its venue states now; books may trade it.

    The first one chooses the exchange that this home follows.
    A person needs ``market.import``.  Raises like :func:`search_exchange`, and
    :class:`InvalidInput` (``unknown_instrument``, ``terms_differ``, ``two_markets``).
    """
    if actor.user is not None:
        actor.require(Capability.MARKET_IMPORT)
    venue, name = _venue(exchange), normalise_symbol(symbol)
    terms, source = fetch_terms(open_exchange(venue), venue=venue, symbol=name)
    return add_instrument(terms, source=source, stated_at=utc_now(), actor=actor, is_active=True)


def _venue(asked: str) -> str:
    followed = followed_exchange()
    named = normalise_venue(asked) if asked.strip() else followed
    if not named:
        raise InvalidInput(
            "this home follows no exchange yet; name one, or start it with MARKET=binanceusdm",
            code="no_source",
        )
    if followed and named != followed:
        raise InvalidInput(
            f"this home follows {followed}; start another one for {named} (MAGNET_HOME)",
            code="two_markets",
        )
    return named
