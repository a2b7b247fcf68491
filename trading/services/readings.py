"""What the platform saw at each close, stored: compact readings for all bars, levels with events.

A reading is written once, in the order of time; a level's row is written soon after it became known
and told its end later.  Nothing is recomputed.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Mapping
from typing import Any

import numpy as np
from django.db import connection
from numpy.typing import NDArray

from magnetfund.kernel.clock import from_milliseconds, isoformat_z, to_milliseconds
from trading.domain.magnets.types import LevelHistory, MagnetMap, MagnetReading, Zone
from trading.domain.strategies.signals import Reason
from trading.domain.strategies.signals import Signal as PureSignal
from trading.models import Magnet
from trading.services.book.words import finite_or_none
from trading.services.feeds import InstrumentFeed

TIMEFRAME = "1h"
#: Readings that one statement writes.  As one JSON text: a column of texts is quoted one by one.
READINGS_AT_ONCE = 500
ADD_READINGS = """
    INSERT INTO trading_signal (instrument_id, timeframe, known_at, close, atr, reading)
    SELECT %(instrument)s, %(timeframe)s, known_at, close, atr, reading
    FROM json_to_recordset(%(rows)s::json)
    AS told (known_at timestamptz, close float8, atr float8, reading jsonb)
    ON CONFLICT DO NOTHING"""
#: Levels that one statement writes, a few milliseconds of work.
LEVELS_AT_ONCE = 400
#: One JSON text again, with milliseconds: instants by the thousand take longer than their rows.
LEVELS = """(
        SELECT kind, timeframe, family, price, far, epoch + created_ms * ms AS created_at,
               epoch + known_ms * ms AS known_at, epoch + dead_ms * ms AS dead_at
        FROM json_to_recordset(%(levels)s::json) AS told (kind text, timeframe text, family text,
             price float8, far float8, created_ms int8, known_ms int8, dead_ms int8),
             (VALUES (timestamptz 'epoch', interval '1 millisecond')) AS time (epoch, ms)
    ) AS level"""
ADD_LEVELS = f"""
    INSERT INTO trading_magnet (instrument_id, kind, timeframe, side, price, created_at, known_at,
                                dead_at, detail, params_version)
    SELECT %(instrument)s, kind, timeframe, '', price, created_at, known_at, dead_at,
           jsonb_build_object('family', family, 'far', far), '1'
    FROM {LEVELS} ON CONFLICT DO NOTHING"""  # noqa: S608 - our own text
END_LEVELS = f"""
    UPDATE trading_magnet AS stored SET dead_at = level.dead_at
    FROM {LEVELS}
    WHERE stored.instrument_id = %(instrument)s AND stored.kind = level.kind
      AND stored.timeframe = level.timeframe AND stored.known_at = level.known_at
      AND stored.price = level.price AND stored.dead_at IS NULL"""  # noqa: S608 - our own text


class ReadingLog:
    """Readings of one instrument, kept until :meth:`save`."""

    def __init__(self, *, feed: InstrumentFeed) -> None:
        self._feed = feed
        self._rows: list[dict[str, Any]] = []
        self._waiting: deque[tuple[str, str]] = deque()
        self._levels_known_ms = _newest_level_ms(feed)

    def note(
        self,
        known_ms: int,
        close: float,
        signals: Mapping[str, PureSignal],
        *,
        full: bool = False,
        newest: bool = True,
    ) -> None:
        """Keep the reading of one closed bar.

        ``full`` adds the zones that a page draws, ``newest`` to them what stands beside zones.
        """
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
                if newest:
                    reading["map"].update(self._plain_context())
        self._rows.append(
            {
                "known_at": isoformat_z(from_milliseconds(known_ms)),
                "close": close,
                "atr": finite_or_none(signals.get("magnet", some).atr),
                "reading": reading,
            }
        )

    def _plain_context(self) -> dict[str, Any]:
        """What is shown beside the zones and has no part in any strength."""
        return {
            "clusters": [
                {"price": cluster.price, "share": round(cluster.share, 4), "long": cluster.long}
                for cluster in self._feed.liquidation_clusters()
            ],
            "averages": [
                {"since": since, "at": at_ms, "price": mean, "deviation": deviation}
                for since, at_ms, mean, deviation in self._feed.anchored_averages()
            ],
        }

    def save(self) -> None:
        """Write the readings noted; the levels that came or ended wait for :meth:`store_levels`.

        A fresh instrument has thousands of levels, and nobody may wait for them to be written.
        """
        with connection.cursor() as cursor:
            for start in range(0, len(self._rows), READINGS_AT_ONCE):
                told = json.dumps(self._rows[start : start + READINGS_AT_ONCE])
                key = self._feed.instrument.pk
                cursor.execute(
                    ADD_READINGS, {"instrument": key, "timeframe": TIMEFRAME, "rows": told}
                )
        self._rows = []
        magnets = self._feed.magnets()
        if magnets is None or magnets.last_known_at is None:
            return
        levels, since = magnets.levels(), self._levels_known_ms
        # Ends before beginnings: after a crash the newest level stored says what is still to do.
        for statement, rows in (
            (END_LEVELS, (levels.dead_at > since) & (levels.known_at <= since)),
            (ADD_LEVELS, levels.known_at > since),
        ):
            chosen = np.flatnonzero(rows)
            chosen = chosen[np.argsort(levels.known_at[chosen], kind="stable")]
            known = levels.known_at[chosen]
            start = 0
            while start < chosen.size:
                # A close's levels are written together.
                last = known[min(start + LEVELS_AT_ONCE, chosen.size) - 1]
                stop = int(np.searchsorted(known, last, side="right"))
                self._waiting.append((statement, _plain_levels(levels, chosen[start:stop])))
                start = stop
        self._levels_known_ms = magnets.last_known_at

    def store_levels(self) -> bool:
        """Write the next few hundred levels that wait; returns whether more of them do."""
        if self._waiting:
            statement, told = self._waiting.popleft()
            with connection.cursor() as cursor:
                cursor.execute(statement, {"instrument": self._feed.instrument.pk, "levels": told})
        return bool(self._waiting)


def _plain_levels(levels: LevelHistory, rows: NDArray[np.int64]) -> str:
    """Levels as a JSON text; a time that never came is null."""

    def instants(times: NDArray[np.int64]) -> list[int | None]:
        return [ms if ms >= 0 else None for ms in times[rows].tolist()]

    columns: dict[str, list[Any]] = {
        "kind": levels.kind[rows].tolist(),
        "timeframe": levels.timeframe[rows].tolist(),
        "family": levels.family[rows].tolist(),
        "price": levels.price[rows].tolist(),
        "far": levels.price_far[rows].tolist(),
        "created_ms": instants(levels.created_at),
        "known_ms": instants(levels.known_at),
        "dead_ms": instants(levels.dead_at),
    }
    table = zip(*columns.values(), strict=True)
    return json.dumps([dict(zip(columns, row, strict=True)) for row in table])


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
