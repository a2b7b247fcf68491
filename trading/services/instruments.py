"""Instruments: one row per venue and symbol, with terms that somebody stated.

Tick, lot, minimum, fees and maintenance tiers come from the venue, from a dated file or from a
person, and each row says from which; there is no default.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import DatabaseError, transaction

from magnetfund.core.actors import Actor
from magnetfund.core.services.audit import record_audit
from magnetfund.core.services.signing import refusal_of
from magnetfund.kernel.clock import isoformat_z, utc_now
from magnetfund.kernel.errors import InvalidInput
from magnetfund.kernel.money import require_carried
from risk.domain.margin import flat_tier
from trading.domain.market import InstrumentKind, InstrumentTerms
from trading.domain.market.events import MarketEventKind
from trading.domain.market.symbols import SIMULATED, normalise_symbol, normalise_venue, parse_symbol
from trading.models import Instrument, Order, Position
from trading.services.instrument_files import shipped_terms
from trading.services.market_events import NewMarketEvent, record_market_events

#: Fields of an instrument that its venue states.
TERMS = ("tick", "lot", "minimum_notional", "maker_fee", "taker_fee", "maintenance_tiers")


def get_instrument(symbol: str, *, venue: str | None = None) -> Instrument:
    """The instrument of a symbol, on a venue if one is named.

    Without a venue a real market goes before the simulated one; two real ones must be told apart.
    Raises :class:`InvalidInput` (``unknown_instrument``, ``several_venues``).
    """
    name = normalise_symbol(symbol)
    rows = list(Instrument.objects.filter(symbol=name).order_by("venue"))
    if venue is not None:
        rows = [row for row in rows if row.venue == normalise_venue(venue)]
    real = [row for row in rows if row.venue != SIMULATED]
    if len(real) > 1:
        venues = ", ".join(row.venue for row in real)
        raise InvalidInput(
            f"{name} exists on {venues}; name one with --venue", code="several_venues"
        )
    for row in real or rows:
        return row
    known = [f"{row.symbol} on {row.venue}" for row in Instrument.objects.all()[:20]]
    where = f" on {venue}" if venue else ""
    raise InvalidInput(
        f"there is no instrument {name}{where}; known: {', '.join(known) or 'none yet'}",
        code="unknown_instrument",
    )


def ensure_instrument(
    symbol: str, *, venue: str, source_label: str = "", actor: Actor
) -> Instrument:
    """The instrument, added with the shipped terms of its venue where it is new.

    Raises :class:`InvalidInput`: ``sim_only`` for the simulated venue, ``no_terms`` (with the
    command that supplies them) where no terms are on file.
    """
    name, where = normalise_symbol(symbol), normalise_venue(venue)
    if where == SIMULATED:
        raise InvalidInput(
            f"the venue {SIMULATED} holds simulated prices only; name the market that the prices "
            f"come from",
            code="sim_only",
        )
    row = Instrument.objects.filter(venue=where, symbol=name).first()
    if row is not None:
        return row
    shipped = shipped_terms(where)
    terms = shipped.terms.get(name) if shipped is not None else None
    if shipped is None or terms is None:
        raise InvalidInput(
            f"tick, lot and fees of {name} on {where} are unknown; run: manage.py add_instrument "
            f"{name} --venue {where} --from-exchange (or with --tick, --lot, --minimum, "
            f"--maker-fee, --taker-fee, --maintenance)",
            code="no_terms",
        )
    return add_instrument(
        terms,
        source=shipped.source,
        stated_at=shipped.stated_at,
        source_label=source_label,
        actor=actor,
    )


def add_instrument(
    terms: InstrumentTerms,
    *,
    source: str,
    stated_at: datetime,
    actor: Actor,
    source_label: str = "",
    is_active: bool = False,
) -> Instrument:
    """A new instrument with stated terms; an existing one with the same terms is returned as it is.

    ``is_active`` lets the books of this home trade it; otherwise it has history alone.
    Raises :class:`InvalidInput`: ``terms_differ`` where it exists with others, ``two_markets``
    where this home trades another venue already, ``currency_not_carried`` where it is to be traded
    and settles in what the books do not carry.
    """
    with transaction.atomic():
        if is_active:
            _refuse_two_markets(terms.venue)
            require_carried(terms.settle, what=terms.symbol)
        row, is_new = Instrument.objects.get_or_create(
            venue=terms.venue,
            symbol=terms.symbol,
            defaults={
                "kind": terms.kind.value,
                "base": terms.base,
                "quote": terms.quote,
                "settle": terms.settle,
                **_columns(terms),
                "gap_floor": terms.gap_floor,
                "source_label": source_label or terms.source_label,
                "metadata_source": source[:200],
                "metadata_at": stated_at,
                "is_active": is_active,
            },
        )
        if is_new:
            record_audit(
                actor=actor,
                action="instrument.added",
                subject=("instrument", f"{row.venue}:{row.symbol}"),
                body={**_plain(_columns(terms)), "source": source},
            )
        elif changes := _changes(row, terms):
            raise InvalidInput(
                f"{row.symbol} on {row.venue} exists with another {' and '.join(changes)}; "
                f"run: manage.py refresh_instruments --venue {row.venue}",
                code="terms_differ",
            )
        elif is_active and not row.is_active:
            row.is_active = True
            row.save(update_fields=["is_active"])
            record_audit(
                actor=actor,
                action="instrument.activated",
                subject=("instrument", f"{row.venue}:{row.symbol}"),
            )
    return row


def add_simulated_instrument(
    symbol: str,
    *,
    tick: Decimal,
    lot: Decimal,
    minimum_notional: Decimal,
    maker_fee: Decimal,
    taker_fee: Decimal,
    maintenance_rate: Decimal,
    actor: Actor,
) -> Instrument:
    """A perpetual of the simulated market, which states its own terms."""
    parts = parse_symbol(symbol)
    terms = InstrumentTerms(
        symbol=str(parts),
        venue=SIMULATED,
        kind=InstrumentKind.LINEAR_PERPETUAL,
        base=parts.base,
        quote=parts.quote,
        settle=parts.settle,
        tick=tick,
        lot=lot,
        minimum_notional=minimum_notional,
        maker_fee=maker_fee,
        taker_fee=taker_fee,
        maintenance_tiers=flat_tier(rate=float(maintenance_rate)),
        source_label="SIMULATED",
    )
    return add_instrument(
        terms, source="simulated market", stated_at=utc_now(), actor=actor, is_active=True
    )


def refresh_terms(
    terms: InstrumentTerms, *, source: str, stated_at: datetime, actor: Actor
) -> dict[str, list[str]]:
    """Bring a known instrument to what its venue states now; returns old and new by field.

    A change of tick or lot waits while a position or an order is open: their quantities and prices
    are whole steps of the old ones.  A role other than the trader's takes over no lower fees or
    maintenance: :class:`Conflict` (``looser_terms``).  Every change is an audit line and an event
    of the market.
    """
    with transaction.atomic():
        row = Instrument.objects.select_for_update().get(venue=terms.venue, symbol=terms.symbol)
        changes = _changes(row, terms)
        steps = [name for name in ("tick", "lot") if name in changes]
        if steps and (held := _in_old_steps(row)):
            raise InvalidInput(
                f"{row.symbol}: {row.venue} changed its {' and '.join(steps)} while {held} "
                f"is open; close it, then refresh again",
                code="steps_in_use",
            )
        row.metadata_source, row.metadata_at = source[:200], stated_at
        for name, value in _columns(terms).items():
            setattr(row, name, value)
        try:
            with transaction.atomic():
                row.save(update_fields=[*TERMS, "metadata_source", "metadata_at"])
        except DatabaseError as error:
            raise refusal_of(error, wall="instrument: ", code="looser_terms") or error from None
        if changes:
            record_audit(
                actor=actor,
                action="instrument.terms_changed",
                subject=("instrument", f"{row.venue}:{row.symbol}"),
                body={"changes": changes, "source": source},
            )
            record_market_events(
                [
                    NewMarketEvent(
                        kind=MarketEventKind.TERMS_CHANGED,
                        occurred_at=utc_now(),
                        instrument=row,
                        source=source,
                        detail={"changes": changes, "stated_at": isoformat_z(stated_at)},
                    )
                ]
            )
    return changes


def _in_old_steps(row: Instrument) -> str:
    """What is open in whole steps of an instrument as it is; empty where nothing is."""
    if Position.objects.filter(instrument=row).exclude(quantity=0).exists():
        return "a position"
    return "an order" if Order.objects.filter(instrument=row, closed_at=None).exists() else ""


def _refuse_two_markets(venue: str) -> None:
    """A home trades one venue: simulated and real prices never meet in its books."""
    other = Instrument.objects.filter(is_active=True).exclude(venue=venue).first()
    if other is not None:
        raise InvalidInput(
            f"this home trades {other.symbol} on {other.venue}; an instrument of {venue} can be "
            f"added with history alone (without --trade)",
            code="two_markets",
        )


def _columns(terms: InstrumentTerms) -> dict[str, Any]:
    """The terms as the row stores them; tiers as [upper bound, rate] in text."""
    return {
        "tick": terms.tick,
        "lot": terms.lot,
        "minimum_notional": terms.minimum_notional,
        "maker_fee": terms.maker_fee,
        "taker_fee": terms.taker_fee,
        "maintenance_tiers": [[str(tier.cap), str(tier.rate)] for tier in terms.maintenance_tiers],
    }


def _changes(row: Instrument, terms: InstrumentTerms) -> dict[str, list[str]]:
    stated = _columns(terms)
    return {
        name: [_text(getattr(row, name)), _text(stated[name])]
        for name in TERMS
        if getattr(row, name) != stated[name]
    }


def _text(value: Any) -> str:
    return f"{value.normalize():f}" if isinstance(value, Decimal) else str(value)


def _plain(columns: dict[str, Any]) -> dict[str, Any]:
    return {
        name: _text(value) if isinstance(value, Decimal) else value
        for name, value in columns.items()
    }
