"""The walls of one instrument's streamed book: judged each minute, stored, told to the zones.

The trader cuts a minute before it reads the hours that closed with it, so that an hour's zones know
every wall that was known at its close and nothing later.  Walls are rows of :class:`Magnet`, which
stay; the minutes they come from are :class:`DepthMinute`, kept for a day.  A restart reads both
back.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models import Max, Q

from magnetfund.kernel.clock import from_milliseconds, to_milliseconds
from trading.domain.magnets.depth_minutes import (
    EARLIER_MS,
    MINUTE_MS,
    RECENT_MS,
    THIN_MINUTES,
    JudgedMinute,
    StandingWall,
    WallStep,
    follow_walls,
    is_earlier,
    judge_minute,
    level_of,
    pack_profile,
    read_profile,
)
from trading.domain.magnets.external import ExternalLevel
from trading.domain.magnets.order_flow import ASK, BID, BookWall, DepthSnapshot
from trading.domain.magnets.types import Family, LevelKind
from trading.domain.market import HOUR_MS
from trading.models import DepthMinute, Instrument, Magnet
from trading.services.feeds import InstrumentFeed
from trading.venues.market_data import BookWish, ForcedOrder, MarketData

TIMEFRAME = "1h"
KINDS = {BID: LevelKind.BID_WALL, ASK: LevelKind.ASK_WALL}
SIDES = {kind.value: side for side, kind in KINDS.items()}
#: Liquidations of a minute that are kept, the largest by value.
FORCED_KEPT = 50
VERSION = "1"


@dataclass(frozen=True, slots=True, kw_only=True)
class CutMinute:
    """A minute that is to be stored, and what it changes."""

    instrument: Instrument
    minute: JudgedMinute
    step: WallStep
    forced: tuple[ForcedOrder, ...]
    packed: bytes | None


class StreamLevels:
    """Follows the book of one instrument for the zones of its feed."""

    def __init__(self, *, feed: InstrumentFeed, source: MarketData) -> None:
        self._feed = feed
        self._source = source
        self._standing: tuple[StandingWall, ...] = ()
        self._earlier: deque[DepthSnapshot] = deque()
        self._newest_ms = 0
        self._forced_ms = 0

    def begin(self, now_ms: int) -> None:
        """Read back what is stored and tell the feed, before it takes its past.

        What stood when nobody watched any more ended a minute later.
        """
        if self._feed.magnets() is None:
            return
        row = self._feed.instrument
        newest = DepthMinute.objects.filter(instrument=row).aggregate(at=Max("at"))["at"]
        open_walls = list(_walls_of(row).filter(dead_at=None))
        if newest is None and open_walls:
            newest = max(wall.known_at for wall in open_walls)
        self._newest_ms = self._forced_ms = to_milliseconds(newest) if newest else 0
        if open_walls and now_ms >= self._newest_ms + 2 * MINUTE_MS:
            ended = from_milliseconds(self._newest_ms + MINUTE_MS)
            _walls_of(row).filter(dead_at=None).update(dead_at=ended)
            open_walls = []
        self._standing = tuple(
            StandingWall(
                side=SIDES[wall.kind],
                price=wall.price,
                created_at=to_milliseconds(wall.created_at),
                known_at=to_milliseconds(wall.known_at),
            )
            for wall in open_walls
        )
        self._read_profiles(now_ms)
        self._feed.add_levels(load_wall_levels(row))

    def _read_profiles(self, now_ms: int) -> None:
        now = from_milliseconds(now_ms)
        grid = range(0, 60, THIN_MINUTES)
        rows = (
            DepthMinute.objects.filter(instrument=self._feed.instrument, profile__isnull=False)
            .filter(at__gt=now - timedelta(milliseconds=EARLIER_MS), at__lte=now)
            .filter(
                Q(at__gt=now - timedelta(milliseconds=RECENT_MS)) | Q(at__minute__in=list(grid))
            )
            .order_by("at")
            .values_list("at", "bucket", "profile")
        )
        self._earlier = deque(
            read_profile(bytes(profile), at=to_milliseconds(at), bucket=bucket)
            for at, bucket, profile in rows
            if profile is not None
        )

    def wish(self) -> BookWish | None:
        """How the book is to be sampled at present; None where nothing reads its walls."""
        inputs = self._feed.wall_inputs()
        return BookWish(bucket=inputs.bucket, reach=inputs.reach) if inputs is not None else None

    def plan(self, now_ms: int) -> CutMinute | None:
        """The minute that ended last, once; None where it was cut or nothing can be measured.

        A minute whose end the zones have already read says nothing any more.
        """
        end_ms = now_ms // MINUTE_MS * MINUTE_MS
        inputs = self._feed.wall_inputs()
        magnets = self._feed.magnets()
        read_ms = (magnets.last_known_at or 0) if magnets is not None else 0
        if inputs is None or end_ms <= self._newest_ms or end_ms <= read_ms:
            return None
        symbol = self._feed.instrument.symbol
        minute = judge_minute(
            samples=self._source.book_samples(symbol, end_ms - MINUTE_MS, end_ms),
            earlier=self._earlier,
            end_ms=end_ms,
            inputs=inputs,
        )
        forced = self._source.forced_orders(symbol, max(self._forced_ms, end_ms - HOUR_MS) + 1)
        largest = sorted(forced, key=lambda order: -order.price * order.quantity)[:FORCED_KEPT]
        profile = minute.profile
        return CutMinute(
            instrument=self._feed.instrument,
            minute=minute,
            step=follow_walls(
                self._standing, newest_ms=self._newest_ms, minute=minute, told_ms=read_ms
            ),
            forced=tuple(sorted(largest, key=lambda order: order.at_ms)),
            packed=pack_profile(profile, minute.bucket) if profile is not None else None,
        )

    def take(self, cut: CutMinute) -> None:
        """Go on from a minute that is stored."""
        minute = cut.minute
        self._standing = cut.step.standing
        self._newest_ms = minute.end_ms
        self._forced_ms = max([self._forced_ms, *(order.at_ms for order in cut.forced)])
        if cut.packed is not None:
            self._earlier.append(read_profile(cut.packed, at=minute.end_ms, bucket=minute.bucket))
        kept = (item for item in self._earlier if is_earlier(item.at, minute.end_ms + MINUTE_MS))
        self._earlier = deque(kept)
        self._feed.end_levels([level_of(wall, dead_at) for wall, dead_at in cut.step.ended])
        self._feed.add_levels([level_of(wall) for wall, _ in cut.step.opened])


def store_minutes(cuts: Sequence[CutMinute]) -> None:
    """Write some minutes with what they change, all or none; old ones go once an hour."""
    with transaction.atomic():
        DepthMinute.objects.bulk_create([_row_of(cut) for cut in cuts])
        Magnet.objects.bulk_create(
            [
                _magnet_of(cut.instrument, wall, seen)
                for cut in cuts
                for wall, seen in cut.step.opened
            ]
        )
        for cut in cuts:
            for wall, dead_at in cut.step.ended:
                _walls_of(cut.instrument).filter(
                    kind=KINDS[wall.side].value,
                    price=wall.price,
                    known_at=from_milliseconds(wall.known_at),
                ).update(dead_at=from_milliseconds(dead_at))
        end_ms = max(cut.minute.end_ms for cut in cuts)
        if end_ms % HOUR_MS == 0:
            oldest = from_milliseconds(end_ms - EARLIER_MS - HOUR_MS)
            DepthMinute.objects.filter(at__lt=oldest).delete()


def load_wall_levels(instrument: Instrument) -> tuple[ExternalLevel, ...]:
    """Every stored wall of an instrument as a level, in the order in which they became known."""
    return tuple(
        level_of(
            StandingWall(
                side=SIDES[row.kind],
                price=row.price,
                created_at=to_milliseconds(row.created_at),
                known_at=to_milliseconds(row.known_at),
            ),
            to_milliseconds(row.dead_at) if row.dead_at is not None else None,
        )
        for row in _walls_of(instrument).order_by("known_at", "price")
    )


def _walls_of(instrument: Instrument) -> Any:
    return Magnet.objects.filter(
        instrument=instrument, kind__in=sorted(SIDES), timeframe=TIMEFRAME, params_version=VERSION
    )


def _row_of(cut: CutMinute) -> DepthMinute:
    return DepthMinute(
        instrument=cut.instrument,
        at=from_milliseconds(cut.minute.end_ms),
        bucket=cut.minute.bucket,
        profile=cut.packed,
        walls=[_plain_wall(wall) for wall in cut.minute.walls],
        reason=cut.minute.reason,
        forced=[
            [order.at_ms, order.side, float(order.price), float(order.quantity)]
            for order in cut.forced
        ],
    )


def _magnet_of(instrument: Instrument, wall: StandingWall, seen: BookWall) -> Magnet:
    plain = _plain_wall(seen)
    return Magnet(
        instrument=instrument,
        kind=KINDS[wall.side].value,
        timeframe=TIMEFRAME,
        price=wall.price,
        created_at=from_milliseconds(wall.created_at),
        known_at=from_milliseconds(wall.known_at),
        detail={
            "family": Family.ORDER_FLOW.value,
            "far": wall.price,
            **{name: plain[name] for name in ("size", "notional", "size_over_median")},
        },
        params_version=VERSION,
    )


def _plain_wall(wall: BookWall) -> dict[str, Any]:
    """A wall as JSON, which has no infinity: null where nothing rests there as a rule."""
    plain = asdict(wall)
    if not math.isfinite(wall.size_over_median):
        plain["size_over_median"] = None
    return plain
