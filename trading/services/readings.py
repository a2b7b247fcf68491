"""What the platform saw at each close, stored: compact readings for all bars, levels with events.

A reading is written once, in the order of time; a level's row is written when it became known and
told its end later.  Nothing is recomputed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from magnetfund.kernel.clock import from_milliseconds, to_milliseconds
from trading.domain.magnets.types import MagnetMap, MagnetReading, Zone
from trading.domain.strategies.signals import Reason
from trading.domain.strategies.signals import Signal as PureSignal
from trading.models import Magnet, Signal
from trading.services.book.words import finite_or_none
from trading.services.feeds import InstrumentFeed

TIMEFRAME = "1h"


class ReadingLog:
    """Readings of one instrument, kept until :meth:`save`."""

    def __init__(self, *, feed: InstrumentFeed) -> None:
        self._feed = feed
        self._rows: list[Signal] = []
        self._levels_known_ms = _newest_level_ms(feed)

    def note(
        self, known_ms: int, close: float, signals: Mapping[str, PureSignal], *, full: bool = False
    ) -> None:
        """Keep the reading of one closed bar; ``full`` adds the zones that a page draws."""
        if not signals:
            return
        some = next(iter(signals.values()))
        reading: dict[str, Any] = {
            code: _plain_signal(signal) for code, signal in sorted(signals.items())
        }
        if full:
            found = self._feed.magnet_map()
            if found is not None:
                reading["map"] = plain_map(found)
        self._rows.append(
            Signal(
                instrument=self._feed.instrument,
                timeframe=TIMEFRAME,
                known_at=from_milliseconds(known_ms),
                close=close,
                atr=finite_or_none(signals.get("magnet", some).atr),
                reading=reading,
            )
        )

    def save(self) -> None:
        """Write what was noted, and the levels that came or ended since the last call."""
        Signal.objects.bulk_create(self._rows, ignore_conflicts=True, batch_size=500)
        self._rows = []
        self._save_levels()

    def _save_levels(self) -> None:
        magnets = self._feed.magnets()
        if magnets is None or magnets.last_known_at is None:
            return
        levels = magnets.levels()
        since = self._levels_known_ms
        fresh = np.flatnonzero(levels.known_at > since)
        Magnet.objects.bulk_create(
            [
                Magnet(
                    instrument=self._feed.instrument,
                    kind=str(levels.kind[i]),
                    timeframe=str(levels.timeframe[i]),
                    price=float(levels.price[i]),
                    created_at=from_milliseconds(int(levels.created_at[i])),
                    known_at=from_milliseconds(int(levels.known_at[i])),
                    dead_at=_instant_or_none(int(levels.dead_at[i])),
                    detail={"family": str(levels.family[i]), "far": float(levels.price_far[i])},
                )
                for i in fresh.tolist()
            ],
            ignore_conflicts=True,
            batch_size=1000,
        )
        ended = np.flatnonzero((levels.dead_at > since) & (levels.known_at <= since))
        for i in ended.tolist():
            Magnet.objects.filter(
                instrument=self._feed.instrument,
                kind=str(levels.kind[i]),
                timeframe=str(levels.timeframe[i]),
                known_at=from_milliseconds(int(levels.known_at[i])),
                price=float(levels.price[i]),
                dead_at=None,
            ).update(dead_at=from_milliseconds(int(levels.dead_at[i])))
        self._levels_known_ms = magnets.last_known_at


def plain_map(found: MagnetMap) -> dict[str, Any]:
    """The map of a close as JSON: zones with their strongest members, both directions."""
    return {
        "known_at": found.known_at,
        "close": found.close,
        "atr": finite_or_none(found.atr),
        "volatility_ratio": finite_or_none(found.volatility_ratio),
        "zones": [_plain_zone(zone) for zone in found.zones],
        "long": _plain_reading(found.long),
        "short": _plain_reading(found.short),
        "version": found.parameters_version,
    }


def _plain_zone(zone: Zone) -> dict[str, Any]:
    return {
        "price": zone.price,
        "low": zone.low,
        "high": zone.high,
        "strength": round(zone.strength, 2),
        "distance": round(zone.distance, 3),
        "members": [
            {
                "kind": member.level.kind.value,
                "family": member.level.family.value,
                "timeframe": member.level.timeframe,
                "price": member.level.price,
                "strength": round(member.strength, 3),
                "touches": member.level.touches,
                "known_at": member.level.known_at,
            }
            for member in zone.members[:8]
        ],
    }


def _plain_reading(reading: MagnetReading) -> dict[str, Any]:
    return {
        "reason": reading.reason.code,
        "target": _plain_zone(reading.target) if reading.target else None,
        "opposite": _plain_zone(reading.opposite) if reading.opposite else None,
        "distance": finite_or_none(reading.distance),
        "strength": finite_or_none(reading.strength),
        "conflict": finite_or_none(reading.conflict),
        "opposite_zones": reading.opposite_zones,
    }


def _plain_signal(signal: PureSignal) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "direction": signal.direction,
        "reason": Reason(signal.reason).code,
    }
    for name in ("stop", "target", "distance", "strength", "conflict", "volatility_ratio", "sigma"):
        value = finite_or_none(getattr(signal, name))
        if value is not None:
            plain[name] = round(value, 6)
    return plain


def _newest_level_ms(feed: InstrumentFeed) -> int:
    newest = (
        Magnet.objects.filter(instrument=feed.instrument)
        .order_by("-known_at")
        .values_list("known_at", flat=True)
        .first()
    )
    return to_milliseconds(newest) if newest is not None else -1


def _instant_or_none(milliseconds: int):  # type: ignore[no-untyped-def]  # a datetime or None
    return from_milliseconds(milliseconds) if milliseconds >= 0 else None
