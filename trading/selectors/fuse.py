"""What the fuse sees and counts, read back: for the Risk page, the ticket and the API.

The readings are those that the engine was given at the newest close, judged by the functions that
the engine calls, under the limits in force.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection

from magnetfund.core.models import Heartbeat
from magnetfund.kernel.clock import from_milliseconds, to_milliseconds
from risk.domain.fuse import (
    MANUAL_WATCH,
    Condition,
    FuseRules,
    MarketReading,
    find_entry_block,
)
from risk.domain.limits import Limits

#: A reading that is older than this says nothing about the next close.
READING_AGE_MAX = timedelta(hours=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What the fuse watches on one instrument: the newest values, and those of the last bars.

    The newest come from the newest bar that has a map, else from the newest bar.  Conflict stands
    per side, toward the target zone of a long and of a short.
    """

    symbol: str
    base: str
    known_at: datetime
    volatility_ratio: float | None
    conflicts: dict[int, float | None]
    volatility_ratios: list[float]
    conflicts_past: dict[int, list[float]]

    def reading(self, side: int, *, at: datetime) -> MarketReading:
        """What the newest close says about a side; without a recent one, nothing."""
        if at - self.known_at > READING_AGE_MAX:
            return MarketReading(side=side)
        return MarketReading(
            side=side,
            volatility_ratio=_or_nan(self.volatility_ratio),
            conflict=_or_nan(self.conflicts[side]),
        )


def recent_measures(
    *, bars: int = 24, timeframe: str = "1h", instrument_id: int | None = None
) -> list[Measured]:
    """The measures at the last ``bars`` closes of each active instrument that has any, or of
    ``instrument_id`` alone, oldest first; one read for all."""
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT i.symbol, i.base, bar.known_at, bar.has_map, bar.ratio, bar.long, bar.short
               FROM trading_instrument i CROSS JOIN LATERAL (
                 SELECT known_at, reading ? 'map' AS has_map,
                        coalesce((reading #>> '{map,volatility_ratio}')::float,
                                 (reading #>> '{magnet,volatility_ratio}')::float) AS ratio,
                        (reading #>> '{map,long,conflict}')::float AS long,
                        (reading #>> '{map,short,conflict}')::float AS short
                 FROM trading_signal WHERE instrument_id = i.id AND timeframe = %(timeframe)s
                 ORDER BY known_at DESC LIMIT %(bars)s) bar
               WHERE i.is_active AND (%(instrument)s::bigint IS NULL OR i.id = %(instrument)s)
               ORDER BY i.symbol, bar.known_at""",
            {"timeframe": timeframe, "bars": bars, "instrument": instrument_id},
        )
        rows = cursor.fetchall()
    found = []
    for (name, base), group in itertools.groupby(rows, key=lambda row: row[:2]):
        past = list(group)
        newest = next((row for row in reversed(past) if row[3]), past[-1])
        found.append(
            Measured(
                symbol=name,
                base=base,
                known_at=newest[2],
                volatility_ratio=newest[4],
                conflicts={1: newest[5], -1: newest[6]},
                volatility_ratios=[row[4] for row in past if row[4] is not None],
                conflicts_past={
                    1: [row[5] for row in past if row[5] is not None],
                    -1: [row[6] for row in past if row[6] is not None],
                },
            )
        )
    return found


def find_manual_block(
    *, instrument_id: int, side: int, limits: Limits, at: datetime
) -> Condition | None:
    """The market trigger that holds against an entry by hand now; the Risk page draws the same."""
    for item in recent_measures(bars=1, instrument_id=instrument_id):
        return find_entry_block(
            reading=item.reading(side, at=at),
            watched=MANUAL_WATCH,
            rules=FuseRules.of_limit_set(limits),
        )
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class LossStreak:
    """Where a strategy of a book stands: losses in a row, and until when it is locked."""

    strategy: str
    losses: int
    locked_until: datetime | None


def loss_streaks(beat: Heartbeat | None, *, at: datetime) -> list[LossStreak]:
    """Every sleeve as its engine counts it, from the trader's newest beat; empty without one."""
    if beat is None:
        return []
    return [
        LossStreak(
            strategy=row["strategy"],
            losses=row["losses"],
            locked_until=from_milliseconds(row["locked_until_ms"])
            if row["locked_until_ms"] > to_milliseconds(at)
            else None,
        )
        for row in beat.detail.get("streaks", [])
    ]


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value
