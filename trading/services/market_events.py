"""Events of market data: what happened to a source or a series, when, and with which figures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from magnetfund.kernel.clock import utc_now
from trading.domain.market.events import MarketEventKind
from trading.models import Instrument, MarketEvent


@dataclass(frozen=True, slots=True, kw_only=True)
class NewMarketEvent:
    """An event to record.  ``venue`` is needed only where no instrument is given."""

    kind: MarketEventKind
    occurred_at: datetime
    source: str
    instrument: Instrument | None = None
    venue: str = ""
    detail: Mapping[str, Any] = field(default_factory=dict)


def record_market_events(events: Iterable[NewMarketEvent]) -> int:
    """Store events as they are; returns how many."""
    rows = [
        MarketEvent(
            kind=event.kind.value,
            occurred_at=event.occurred_at,
            recorded_at=utc_now(),
            venue=event.instrument.venue if event.instrument else event.venue,
            instrument=event.instrument,
            source=event.source[:200],
            detail=dict(event.detail),
        )
        for event in events
    ]
    MarketEvent.objects.bulk_create(rows)
    return len(rows)
