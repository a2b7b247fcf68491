"""Order-flow walls: unusually large, lasting offers in the order book, from snapshots.

The book is bucketed at ``max(tick, 0.02 A)``.  A bucket is a wall when all of these hold: its size
is at least five times the median and at least the 99th percentile of earlier sizes at the same
distance from the middle; its notional is at least 0.5 % of the mean hourly volume; it is seen in at
least 80 % of the snapshots of the last 60 seconds; and it did not retreat while price was within
0.25 A.  What retreats is a suspect with a spoof score, not a wall.  A wall is known at the end of
that window.  A stale or broken book has no walls.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from magnetfund.kernel.errors import InvalidInput
from trading.domain.magnets.external import ExternalLevel
from trading.domain.magnets.types import FloatArray, LevelKind

BID, ASK = 0, 1


@dataclass(frozen=True, slots=True, kw_only=True)
class DepthSnapshot:
    """The book at ``at`` (ms): price and size columns of a side, best first.

    ``contiguous`` is False when an update was missed since the previous snapshot.
    """

    at: int
    bid_prices: FloatArray
    bid_sizes: FloatArray
    ask_prices: FloatArray
    ask_sizes: FloatArray
    contiguous: bool = True

    @property
    def middle(self) -> float:
        """Half way between the best bid and the best ask."""
        return float(self.bid_prices[0] + self.ask_prices[0]) / 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class WallParameters:
    """Thresholds; distances in ATR, times in ms, notional as a share of mean hourly volume."""

    bucket: float = 0.02
    reach: float = 6.0
    size_over_median: float = 5.0
    percentile: float = 99.0
    notional_share: float = 0.005
    seen_share: float = 0.8
    window_ms: int = 60_000
    near: float = 0.25
    retreat_share: float = 0.5
    stale_ms: int = 10_000
    earlier_snapshots_min: int = 30


DEFAULT_WALLS = WallParameters()


@dataclass(frozen=True, slots=True, kw_only=True)
class BookWall:
    """One wall or suspect.

    ``size`` in base units, ``distance`` from the middle in ATR, ``age_ms`` since when it has stood,
    ``refill_rate`` share of its size added again per minute, ``cancel_ratio`` share of the removed
    size that went while price was not near it, ``spoof_score`` share of approaches it retreated in.
    """

    side: int
    price: float
    size: float
    notional: float
    size_over_median: float
    distance: float
    age_ms: int
    refill_rate: float
    cancel_ratio: float
    spoof_score: float
    known_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BookWalls:
    """Walls and suspects at one instant; ``reason`` says why there are none to be had.

    ``imbalance`` = (bid - ask)/(bid + ask) of the sizes within 1 A, NaN without a usable book.
    """

    walls: tuple[BookWall, ...]
    suspects: tuple[BookWall, ...]
    imbalance: float
    reason: str


def find_book_walls(
    *,
    snapshots: Sequence[DepthSnapshot],
    now: int,
    atr: float,
    tick_size: float,
    hourly_notional: float,
    parameters: WallParameters = DEFAULT_WALLS,
) -> BookWalls:
    """Walls at ``now`` from the snapshots up to now, oldest first (24 hours of them are usual).

    ``atr`` and ``tick_size`` in price, ``hourly_notional`` the mean hourly volume of the last 24
    hours in quote currency.  Later snapshots are ignored.  Raises :class:`InvalidInput` for
    non-positive numbers or snapshots out of order.
    """
    if not all(np.isfinite(x) and x > 0 for x in (atr, tick_size, hourly_notional)):
        raise InvalidInput("range, tick and volume must be positive", code="wall_input")
    seen = [snapshot for snapshot in snapshots if snapshot.at <= now]
    if any(b.at <= a.at for a, b in pairwise(seen)):
        raise InvalidInput("snapshots must be in time order", code="wall_input")
    window = [snapshot for snapshot in seen if snapshot.at > now - parameters.window_ms]
    earlier = seen[: len(seen) - len(window)]
    reason = _refuse(earlier, window, now, parameters)
    if reason:
        return BookWalls(walls=(), suspects=(), imbalance=float("nan"), reason=reason)
    bucket = max(tick_size, parameters.bucket * atr)
    buckets = int(parameters.reach * atr / bucket) + 1
    found: list[BookWall] = []
    for side in (BID, ASK):
        grid = _Grid.build(earlier, window, side, bucket, buckets)
        found += _judge_side(grid, side, bucket, atr, hourly_notional, now, parameters)
    return BookWalls(
        walls=tuple(wall for wall in found if wall.spoof_score == 0.0),
        suspects=tuple(wall for wall in found if wall.spoof_score > 0.0),
        imbalance=_imbalance(window[-1], atr),
        reason="",
    )


def build_wall_levels(
    *, walls: Sequence[BookWall], dead_at: int | None = None
) -> tuple[ExternalLevel, ...]:
    """The walls as levels for the zones; ``dead_at`` when their source last showed them."""
    return tuple(
        ExternalLevel(
            kind=LevelKind.BID_WALL if wall.side == BID else LevelKind.ASK_WALL,
            price=wall.price,
            created_at=wall.known_at - wall.age_ms,
            known_at=wall.known_at,
            dead_at=dead_at,
            volume_rank=1.0,
        )
        for wall in walls
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Grid:
    """Sizes by snapshot and bucket: at fixed prices for the window and by distance before it."""

    times: NDArray[np.int64]
    middles: FloatArray
    first_bucket: int
    sizes: FloatArray  # (window snapshots, buckets) at fixed prices
    earlier: FloatArray  # (earlier snapshots, buckets) by distance from the middle

    @classmethod
    def build(
        cls,
        earlier: Sequence[DepthSnapshot],
        window: Sequence[DepthSnapshot],
        side: int,
        bucket: float,
        buckets: int,
    ) -> _Grid:
        middle = round(window[-1].middle / bucket)
        first = middle if side == ASK else middle - buckets
        sizes = np.zeros((len(window), buckets + 1))
        for row, snapshot in zip(sizes, window, strict=True):
            prices, amounts = _side(snapshot, side)
            place = np.floor(prices / bucket + 0.5).astype(np.int64) - first
            inside = (place >= 0) & (place <= buckets)
            np.add.at(row, place[inside], amounts[inside])
        by_distance = np.zeros((len(earlier), buckets + 1))
        for row, snapshot in zip(by_distance, earlier, strict=True):
            prices, amounts = _side(snapshot, side)
            place = np.floor(np.abs(prices - snapshot.middle) / bucket + 0.5).astype(np.int64)
            inside = place <= buckets
            np.add.at(row, place[inside], amounts[inside])
        return cls(
            times=np.array([snapshot.at for snapshot in window], dtype=np.int64),
            middles=np.array([snapshot.middle for snapshot in window]),
            first_bucket=first,
            sizes=sizes,
            earlier=by_distance,
        )


def _side(snapshot: DepthSnapshot, side: int) -> tuple[FloatArray, FloatArray]:
    if side == BID:
        return snapshot.bid_prices, snapshot.bid_sizes
    return snapshot.ask_prices, snapshot.ask_sizes


def _refuse(
    earlier: Sequence[DepthSnapshot],
    window: Sequence[DepthSnapshot],
    now: int,
    parameters: WallParameters,
) -> str:
    """Why no wall can be named now, or an empty text."""
    if not window or now - window[-1].at > parameters.stale_ms:
        return "stale_book"
    if not all(snapshot.contiguous for snapshot in window):
        return "broken_book"
    if any(not snapshot.bid_prices.size or not snapshot.ask_prices.size for snapshot in window):
        return "empty_book"
    if len(earlier) < parameters.earlier_snapshots_min:
        return "warm_up"
    return ""


def _judge_side(
    grid: _Grid,
    side: int,
    bucket: float,
    atr: float,
    hourly_notional: float,
    now: int,
    parameters: WallParameters,
) -> list[BookWall]:
    """Walls and suspects of a side; only buckets that stood long enough are looked at singly."""
    if grid.times[-1] - grid.times[0] < 0.8 * parameters.window_ms:
        return []
    median = np.median(grid.earlier, axis=0)
    high = np.percentile(grid.earlier, parameters.percentile, axis=0)
    prices = (grid.first_bucket + np.arange(grid.sizes.shape[1])) * bucket
    distances = np.abs(prices - grid.middles[:, None])
    steps = np.floor(distances / bucket + 0.5).astype(np.int64)
    steps = np.minimum(steps, median.size - 1)
    needed = np.maximum(parameters.size_over_median * median[steps], high[steps])
    standing = (grid.sizes >= needed) & (grid.sizes > 0.0)
    near = distances <= parameters.near * atr
    lasting = (standing | near).mean(axis=0) >= parameters.seen_share
    found = []
    for column in np.flatnonzero(standing.any(axis=0) & lasting):
        wall = _judge_bucket(
            _Bucket(
                side=side,
                price=float(prices[column]),
                distance=float(distances[-1, column] / atr),
                times=grid.times,
                sizes=grid.sizes[:, column],
                standing=standing[:, column],
                near=near[:, column],
                usual=float(median[steps[-1, column]]),
            ),
            notional_min=parameters.notional_share * hourly_notional,
            now=now,
            parameters=parameters,
        )
        if wall is not None:
            found.append(wall)
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bucket:
    """One price through the window: what rested there, and where it was large or near.

    ``distance`` from the middle in ATR, ``usual`` the median size at that distance.
    """

    side: int
    price: float
    distance: float
    times: NDArray[np.int64]
    sizes: FloatArray
    standing: NDArray[np.bool_]
    near: NDArray[np.bool_]
    usual: float


def _judge_bucket(
    bucket: _Bucket, *, notional_min: float, now: int, parameters: WallParameters
) -> BookWall | None:
    """The wall or suspect at a price that was large at least once; None for neither."""
    sizes, standing, times = bucket.sizes, bucket.standing, bucket.times
    spoof = _spoof_score(sizes, bucket.near, parameters)
    seen = standing | bucket.near if spoof > 0.0 else standing
    size = float(sizes[standing][-1])
    if (
        seen.mean() < parameters.seen_share
        or size * bucket.price < notional_min
        or (spoof == 0.0 and not standing[-1])
    ):
        return None
    changes = np.diff(sizes)
    away = ~bucket.near[1:]
    removed = float(-changes[changes < 0].sum())
    minutes = max(1e-9, (times[-1] - times[0]) / 60_000.0)
    return BookWall(
        side=bucket.side,
        price=bucket.price,
        size=size,
        notional=size * bucket.price,
        size_over_median=float(size / bucket.usual) if bucket.usual > 0 else float("inf"),
        distance=bucket.distance,
        age_ms=int(now - times[int(np.argmax(standing))]),
        refill_rate=float(changes[changes > 0].sum() / size / minutes),
        cancel_ratio=float(-changes[(changes < 0) & away].sum() / removed) if removed > 0 else 0.0,
        spoof_score=spoof,
        known_at=now,
    )


def _spoof_score(sizes: FloatArray, near: NDArray[np.bool_], parameters: WallParameters) -> float:
    """Share of approaches in which the size fell below half of what stood before the approach."""
    starts = np.flatnonzero(near & ~np.concatenate([[False], near[:-1]]))
    approaches = retreats = 0
    for start in starts:
        if start == 0 or sizes[start - 1] <= 0.0:
            continue
        end = start + int(np.argmin(np.append(near[start:], False)))
        approaches += 1
        retreats += int(sizes[start:end].min() < parameters.retreat_share * sizes[start - 1])
    return retreats / approaches if approaches else 0.0


def _imbalance(snapshot: DepthSnapshot, atr: float) -> float:
    middle = snapshot.middle
    bid = float(snapshot.bid_sizes[snapshot.bid_prices >= middle - atr].sum())
    ask = float(snapshot.ask_sizes[snapshot.ask_prices <= middle + atr].sum())
    return (bid - ask) / (bid + ask) if bid + ask > 0 else float("nan")
