"""A streamed order book by the minute: its samples, the walls they show, how long a wall stands.

A stream tells the book many times a second.  Every few seconds it is summed into price buckets, a
sample; at each full minute the samples of that minute are judged against the profiles of earlier
ones by :mod:`.order_flow`, and the last of them becomes the minute's own profile.  A wall becomes
a level at the end of the minute that shows it.  It stands while each following minute shows one on
its side within a bucket of its price, and ends with the first minute that does not; a minute that
is missing shows none.  So levels follow from the minutes alone, whoever reads them and when.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from magnetfund.kernel.errors import InvalidInput
from trading.domain.magnets.external import ExternalLevel
from trading.domain.magnets.order_flow import (
    ASK,
    BID,
    DEFAULT_WALLS,
    BookWall,
    DepthSnapshot,
    WallParameters,
    build_wall_levels,
    find_book_walls,
)
from trading.domain.magnets.types import FloatArray

MINUTE_MS = 60_000
#: Walls of one side that a minute keeps, the largest by value.
WALLS_KEPT = 10
#: Earlier minutes that say what is ordinary: each one of two hours, then every twelfth of a day.
RECENT_MS = 2 * 60 * MINUTE_MS
EARLIER_MS = 24 * 60 * MINUTE_MS
THIN_MINUTES = 12
_ROW = np.dtype([("bucket", "<i8"), ("size", "<f4")])
Levels = Sequence[Sequence[float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class WallInputs:
    """What walls of an instrument are measured in: its hourly ATR and tick (price), and the mean
    hourly volume of the last 24 hours (quote currency)."""

    atr: float
    tick: float
    hourly_notional: float

    def __post_init__(self) -> None:
        if not all(np.isfinite(x) and x > 0 for x in (self.atr, self.tick, self.hourly_notional)):
            raise InvalidInput("range, tick and volume must be positive", code="wall_input")

    @property
    def bucket(self) -> float:
        """Height of a price bucket."""
        return max(self.tick, DEFAULT_WALLS.bucket * self.atr)

    @property
    def reach(self) -> float:
        """How far from the middle levels are read (price)."""
        return DEFAULT_WALLS.reach * self.atr


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedMinute:
    """One minute that ended at ``end_ms``: walls, or the reason why none can be named.

    ``profile`` is its last sample, None where there was none.
    """

    end_ms: int
    bucket: float
    profile: DepthSnapshot | None
    walls: tuple[BookWall, ...]
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StandingWall:
    """A wall while it stands, at the price at which it was first seen; times in ms."""

    side: int
    price: float
    created_at: int
    known_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WallStep:
    """What one minute changed; ``ended`` holds each wall with when it ended (ms)."""

    standing: tuple[StandingWall, ...]
    opened: tuple[tuple[StandingWall, BookWall], ...] = ()
    ended: tuple[tuple[StandingWall, int], ...] = ()


def sum_book(
    *, bids: Levels, asks: Levels, at: int, bucket: float, reach: float, contiguous: bool = True
) -> DepthSnapshot | None:
    """One sample: the sizes within ``reach`` of the middle, by bucket; None for an empty side.

    ``bids`` and ``asks`` are rows of price and size, best first.
    """
    if not bids or not asks:
        return None
    middle = (bids[0][0] + asks[0][0]) / 2.0
    sides: list[tuple[FloatArray, FloatArray]] = []
    for rows, order in ((bids, -1), (asks, 1)):
        table = np.array([row[:2] for row in rows], dtype=np.float64)
        table = table[np.abs(table[:, 0] - middle) <= reach]
        places, inverse = np.unique(
            np.floor(table[:, 0] / bucket + 0.5).astype(np.int64), return_inverse=True
        )
        sizes = np.zeros(places.size)
        np.add.at(sizes, inverse, table[:, 1])
        prices = places.astype(np.float64) * bucket
        sides.append((prices[::order], sizes[::order]))
    (bid_prices, bid_sizes), (ask_prices, ask_sizes) = sides
    if not bid_prices.size or not ask_prices.size:
        return None
    return DepthSnapshot(
        at=at,
        bid_prices=bid_prices,
        bid_sizes=bid_sizes,
        ask_prices=ask_prices,
        ask_sizes=ask_sizes,
        contiguous=contiguous,
    )


def pack_profile(profile: DepthSnapshot, bucket: float) -> bytes:
    """A sample as bytes, about half a kilobyte; sizes keep seven digits."""
    parts = [np.array([profile.bid_prices.size], dtype="<i8").tobytes()]
    for prices, sizes in (
        (profile.bid_prices, profile.bid_sizes),
        (profile.ask_prices, profile.ask_sizes),
    ):
        rows = np.zeros(prices.size, dtype=_ROW)
        rows["bucket"] = np.rint(prices / bucket)
        rows["size"] = sizes
        parts.append(rows.tobytes())
    return zlib.compress(b"".join(parts))


def read_profile(packed: bytes, *, at: int, bucket: float) -> DepthSnapshot:
    """The sample that :func:`pack_profile` wrote.  Raises :class:`InvalidInput` on other bytes."""
    try:
        text = zlib.decompress(packed)
        count = int(np.frombuffer(text[:8], dtype="<i8")[0])
        rows = np.frombuffer(text[8:], dtype=_ROW)
    except (zlib.error, ValueError, IndexError) as error:
        raise InvalidInput("a stored profile cannot be read", code="depth_profile") from error
    bids, asks = rows[:count], rows[count:]
    return DepthSnapshot(
        at=at,
        bid_prices=bids["bucket"] * bucket,
        bid_sizes=bids["size"].astype(np.float64),
        ask_prices=asks["bucket"] * bucket,
        ask_sizes=asks["size"].astype(np.float64),
    )


def is_earlier(profile_ms: int, now_ms: int) -> bool:
    """Whether the profile of a minute (its end, ms) says at ``now_ms`` what is ordinary."""
    age = now_ms - profile_ms
    is_recent = 0 < age <= RECENT_MS
    return is_recent or (0 < age <= EARLIER_MS and profile_ms // MINUTE_MS % THIN_MINUTES == 0)


def judge_minute(
    *,
    samples: Sequence[DepthSnapshot],
    earlier: Sequence[DepthSnapshot],
    end_ms: int,
    inputs: WallInputs,
    parameters: WallParameters = DEFAULT_WALLS,
) -> JudgedMinute:
    """The minute that ended at ``end_ms``, from its samples and earlier profiles, oldest first."""
    window = [item for item in samples if end_ms - MINUTE_MS < item.at <= end_ms]
    before = [item for item in earlier if item.at <= end_ms - MINUTE_MS]
    found = find_book_walls(
        snapshots=[*before, *window],
        now=end_ms,
        atr=inputs.atr,
        tick_size=inputs.tick,
        hourly_notional=inputs.hourly_notional,
        parameters=parameters,
    )
    kept = [
        wall
        for side in (BID, ASK)
        for wall in sorted(
            (wall for wall in found.walls if wall.side == side), key=lambda wall: -wall.notional
        )[:WALLS_KEPT]
    ]
    return JudgedMinute(
        end_ms=end_ms,
        bucket=inputs.bucket,
        profile=window[-1] if window and window[-1].contiguous else None,
        walls=tuple(kept),
        reason=found.reason,
    )


def follow_walls(
    standing: Sequence[StandingWall], *, newest_ms: int, minute: JudgedMinute, told_ms: int = 0
) -> WallStep:
    """Take the walls over one more minute; ``newest_ms`` is the end of the one before it.

    A close that the zones have read already (``told_ms``) is not rewritten: an end that only now
    is known comes after it.
    """
    ended: list[tuple[StandingWall, int]] = []
    if minute.end_ms > newest_ms + MINUTE_MS:
        ended = [(wall, max(newest_ms, told_ms) + MINUTE_MS) for wall in standing]
        standing = ()
    unseen = sorted(standing, key=lambda wall: (wall.side, wall.price, wall.known_at))
    kept: list[StandingWall] = []
    opened: list[tuple[StandingWall, BookWall]] = []
    for seen in sorted(minute.walls, key=lambda wall: (-wall.notional, wall.side, wall.price)):
        near = [
            wall
            for wall in unseen
            if wall.side == seen.side and abs(wall.price - seen.price) <= 1.001 * minute.bucket
        ]
        if near:
            same = min(near, key=lambda wall: (abs(wall.price - seen.price), wall.known_at))
            unseen.remove(same)
            kept.append(same)
            continue
        new = StandingWall(
            side=seen.side,
            price=seen.price,
            created_at=minute.end_ms - seen.age_ms,
            known_at=minute.end_ms,
        )
        opened.append((new, seen))
    ended += [(wall, minute.end_ms) for wall in unseen]
    return WallStep(
        standing=(*kept, *(wall for wall, _ in opened)),
        opened=tuple(opened),
        ended=tuple(ended),
    )


def level_of(wall: StandingWall, dead_at: int | None = None) -> ExternalLevel:
    """The wall as a level for the zones; ``dead_at`` where it ended (ms)."""
    shown = BookWall(
        side=wall.side,
        price=wall.price,
        size=0.0,
        notional=0.0,
        size_over_median=0.0,
        distance=0.0,
        age_ms=wall.known_at - wall.created_at,
        refill_rate=0.0,
        cancel_ratio=0.0,
        spoof_score=0.0,
        known_at=wall.known_at,
    )
    return build_wall_levels(walls=[shown], dead_at=dead_at)[0]
