"""Bringing all instruments of a venue to what it states today, and closing what it ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from magnetfund.core.actors import Actor
from magnetfund.core.services.audit import record_audit
from magnetfund.kernel.clock import utc_now
from magnetfund.kernel.errors import Conflict, InvalidInput
from trading.domain.market.events import MarketEventKind
from trading.models import BookMember, Instrument, MarketEvent
from trading.services.exchange_candles import fetch_terms, open_exchange
from trading.services.instruments import refresh_terms
from trading.services.market_events import NewMarketEvent, record_market_events
from trading.services.membership import change_members, members_of
from trading.venues.ccxt_calls import ask_exchange

#: What Binance says of a contract that ends or has ended; BREAK and the like are pauses.
ENDED = ("PRE_DELIVERING", "DELIVERING", "DELIVERED", "PRE_SETTLE", "SETTLING", "CLOSE")
REASON = "the venue ends the instrument"


@dataclass(slots=True, kw_only=True)
class RefreshReport:
    """By symbol: old and new terms, why nothing was taken over, what the venue ended."""

    changed: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    ended: dict[str, str] = field(default_factory=dict)


def refresh_venue(*, venue: str, symbols: Sequence[str], book: str, actor: Actor) -> RefreshReport:
    """Refresh ``symbols``; one that the venue ends leaves the book, which closes it on paper.

    Raises :class:`Unavailable` (``exchange_away``) with nothing written.
    """
    client = open_exchange(venue)
    markets = ask_exchange(client, lambda: client.load_markets())
    found = RefreshReport()
    for symbol in symbols:
        ending = say_ending(markets.get(symbol))
        if ending:
            found.ended[symbol] = ending
            end_instrument(
                Instrument.objects.get(venue=venue, symbol=symbol),
                why=ending, book=book, actor=actor,
            )  # fmt: skip
            continue
        try:
            terms, source = fetch_terms(client, venue=venue, symbol=symbol)
            changes = refresh_terms(terms, source=source, stated_at=utc_now(), actor=actor)
        except (InvalidInput, Conflict) as error:
            found.refused[symbol] = error.message
            row = Instrument.objects.get(venue=venue, symbol=symbol)
            _say_once(MarketEventKind.TERMS_REFUSED, row, why=error.message)
            continue
        if changes:
            found.changed[symbol] = changes
    return found


def say_ending(market: dict[str, Any] | None) -> str:
    """How the venue ended an instrument, by its entry in the list of markets; empty where not."""
    if market is None:
        return "not listed any more"
    status = str((market.get("info") or {}).get("status", ""))
    return f"status {status}" if status in ENDED else ""


def end_instrument(row: Instrument, *, why: str, book: str, actor: Actor) -> None:
    """Let every slot on an instrument leave the book, once; the trader closes what is held.

    A book keeps at least one slot: where nothing else is left, the slots are paused instead.
    """
    if _say_once(MarketEventKind.SYMBOL_ENDED, row, why=why):
        record_audit(
            actor=actor,
            action="instrument.ended",
            subject=("instrument", f"{row.venue}:{row.symbol}"),
            body={"why": why},
        )
    state = BookMember.State
    staying = (state.LEAVING, state.GONE)
    codes = [
        member.strategy
        for member in members_of(book).members
        if member.instrument.pk == row.pk and member.state not in staying
    ]
    if not codes:
        return
    for wanted in (state.LEAVING, state.PAUSED):
        try:
            change_members(
                book=book, strategies=codes, instruments=[row], state=wanted,
                reason=f"{REASON}: {why}", actor=actor,
            )  # fmt: skip
        except Conflict as refusal:
            if refusal.code != "last_member":
                return
        else:
            return


def _say_once(kind: MarketEventKind, row: Instrument, *, why: str) -> bool:
    """Record what a refresh found, once until a later refresh takes terms over; whether it is new.

    A refusal for another reason is told again, an ending is not.
    """
    known = MarketEvent.objects.filter(
        instrument=row, kind=kind.value, occurred_at__gt=row.metadata_at
    )
    if kind is MarketEventKind.TERMS_REFUSED:
        known = known.filter(detail__reason=why)
    if known.exists():
        return False
    event = NewMarketEvent(
        kind=kind, occurred_at=utc_now(), instrument=row, source=row.venue, detail={"reason": why}
    )
    record_market_events([event])
    return True
