"""What the magnet part hands out: levels, zones, readings of a bar, and columns for the kernel.

Prices are float64 in the quote currency, strengths S run 0..100, member strengths s 0..1,
distances are in A = ATR(14) of the hourly bars.  Times are integer milliseconds since 1970-01-01
UTC.  Nothing here carries knowledge from after its ``known_at``: what happens later to a level is
an event with its own ``known_at``, never a change of the record.

Two words that the definitions use for one thing are kept apart here: a level's ``family`` is what
adds one term to a zone's strength (structural, volume, ...), its ``kind`` is the exact recipe
(swing high, value area low, ...).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum, StrEnum

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
CodeArray = NDArray[np.int8]
BarColumns = tuple[FloatArray, FloatArray, FloatArray, FloatArray, FloatArray]
"""Open, high, low, close, volume of the same bars, each of shape (n,)."""

LONG = 0
"""Column of the direction whose target lies above the price."""
SHORT = 1
"""Column of the direction whose target lies below the price."""


class Family(StrEnum):
    """Independent sources of levels; a zone's strength takes the best member of each."""

    STRUCTURAL = "structural"
    LIQUIDITY = "liquidity"
    VOLUME = "volume"
    TIMEFRAME = "timeframe"
    ROUND = "round"
    GAP = "gap"
    ORDER_FLOW = "order_flow"
    GAMMA = "gamma"


class LevelKind(StrEnum):
    """The recipe of a level."""

    SWING_HIGH = "swing_high"
    SWING_LOW = "swing_low"
    EQUAL_HIGHS = "equal_highs"
    EQUAL_LOWS = "equal_lows"
    POC = "poc"
    VAH = "vah"
    VAL = "val"
    VWAP = "vwap_developing"
    PRIOR_HIGH = "prior_high"
    PRIOR_LOW = "prior_low"
    ROUND_MINOR = "round_minor"
    ROUND_MAJOR = "round_major"
    GAP_BULLISH = "gap_bullish"
    GAP_BEARISH = "gap_bearish"
    BID_WALL = "bid_wall"
    ASK_WALL = "ask_wall"
    CALL_WALL = "call_wall"
    PUT_WALL = "put_wall"
    # Shown beside the zones, never part of their strength: the calibration did not hold them.
    HVN = "high_volume_node"
    LVN = "low_volume_node"
    PRIOR_CLOSE = "prior_close"
    PERIOD_OPEN = "period_open"
    ANCHORED_VWAP = "vwap_anchored"
    LIQUIDATION_CLUSTER = "liquidation_cluster_modelled"


class SideRule(StrEnum):
    """From which side a level acts while it lives."""

    ABOVE = "above"  # stands over the price until a close beyond ends it
    BELOW = "below"
    EITHER = "either"  # belongs to the side on which it lies at the moment


class EventKind(StrEnum):
    """What can happen to a level after it became known."""

    TOUCHED = "touched"
    SWEPT = "swept"  # wick or up to three closes beyond, then a close back inside
    BROKEN = "broken"  # a close of its own timeframe beyond it
    TRADED = "traded"  # price traded a naked point of control or the near edge of a gap
    FILLED = "filled"  # price reached the far edge of a gap
    INVERTED = "inverted"  # a close through the far edge of a gap
    REPLACED = "replaced"  # the next session of that length closed
    EXPIRED = "expired"


class ReadingReason(IntEnum):
    """Why a direction has (or has not) a usable reading; 0 is usable, the rest mean tier 4."""

    OK = 0
    NO_TARGET = 1
    UNMAPPED_SIDE = 2
    WARM_UP = 3

    @property
    def code(self) -> str:
        """The stable word for APIs and records."""
        return self.name.lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelEvent:
    """One happening of a level, known at the close of the bar that shows it."""

    kind: EventKind
    known_at: int
    price: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StrengthParts:
    """The components of a member's strength, each in 0..1.

    ``s = weight * timeframe * (0.20 + 0.30 touch + 0.25 recency + 0.25 volume)``, at most 0.95.
    """

    weight: float
    timeframe: float
    touch: float
    recency: float
    volume: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """A price where orders plausibly cluster, alive on ``[known_at, dead_at)``.

    ``created_at`` is the close of the bar that made it (a swing's own bar, a session's last bar),
    ``known_at`` the earliest close at which it can be known.  ``price_far`` is the other edge
    where the recipe has one (a gap's far edge, an equal-highs pool's end), else ``price``.
    ``touches`` counts the plain touches; ``events`` are in time order.
    """

    level_id: int
    price: float
    price_far: float
    kind: LevelKind
    family: Family
    side_rule: SideRule
    timeframe: str
    created_at: int
    known_at: int
    dead_at: int | None
    touches: int
    events: tuple[LevelEvent, ...]
    parts: StrengthParts | None = None
    modelled: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ZoneMember:
    """A level inside a zone at one bar: its strength s in 0..1 and where it came from."""

    level: Level
    strength: float
    age_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Zone:
    """All levels within 0.25 A of a seed: one place.

    ``distance`` is |price - last close| / A; ``pull`` = max(0, S-40)/60 * exp(-distance/3).
    ``members`` are strongest first.  ``best_by_family`` is the one member of each family that
    counts; ``strength_without`` says what S would be if that family were unknown.
    """

    price: float
    low: float
    high: float
    strength: float
    distance: float
    pull: float
    members: tuple[ZoneMember, ...]
    best_by_family: Mapping[Family, ZoneMember]
    strength_without: Mapping[Family, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class MagnetReading:
    """One direction at one bar: what pulls, what opposes, and the inputs of tier and leverage.

    ``distance`` (D) is capped at 3 A.  ``conflict`` (C) is the best opposite pull over the
    target's, 0..9.99; NaN without a target.  ``reason`` other than OK means tier 4 and 1.0x.
    ``heavy_opposite_strength`` is the strongest zone on the other side within 3 A (0 = none).
    """

    direction: int
    reason: ReadingReason
    target: Zone | None
    opposite: Zone | None
    protective: Zone | None
    distance: float
    strength: float
    conflict: float
    target_pull: float
    opposite_pull: float
    opposite_zones: int
    heavy_opposite_strength: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MagnetMap:
    """Everything known about levels at the close of one bar.

    ``zones`` are those of S >= 15 within 6 A, by price.  ``context`` are levels that are shown but
    have no part in any strength.  ``volatility_ratio`` is R, ``volatility_pressure`` V = max(0,
    R - 1).  ``better`` is the direction of the lower conflict, for display only.
    """

    known_at: int
    close: float
    atr: float
    volatility_ratio: float
    volatility_pressure: float
    zones: tuple[Zone, ...]
    long: MagnetReading
    short: MagnetReading
    better: int | None
    context: tuple[Level, ...]
    parameters_version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MagnetSignals:
    """The reading of every bar in columns: shape (n,) a bar, (n, 2) a bar and direction.

    Column :data:`LONG` looks at targets above the close, :data:`SHORT` below.  Prices are NaN and
    strengths and pulls 0 where nothing was found; ``conflict`` is NaN without a target.  Row i
    uses bars 0..i only, and is the same whether computed in a batch or one bar at a time.

    ``target_near`` is the target zone's edge facing the price, ``target_far`` the other one;
    ``target_distance`` is |target price - close| / A, not capped; ``distance`` is capped at 3.
    ``opposite_*`` describe the strongest pull on the other side (``opposite_pull`` is there also
    without a target: an open position divides it by the pull of its recorded target).
    ``protective_*`` describe the nearest zone of S >= 40 at 0.5..2.25 A on the loss side.
    ``reason`` holds :class:`ReadingReason` values.
    """

    known_at: IntArray
    close: FloatArray
    atr: FloatArray
    volatility_ratio: FloatArray
    volatility_pressure: FloatArray
    zone_count: IntArray

    reason: CodeArray
    target_price: FloatArray
    target_near: FloatArray
    target_far: FloatArray
    target_strength: FloatArray
    target_distance: FloatArray
    target_pull: FloatArray
    distance: FloatArray
    conflict: FloatArray
    opposite_price: FloatArray
    opposite_near: FloatArray
    opposite_far: FloatArray
    opposite_strength: FloatArray
    opposite_pull: FloatArray
    opposite_zones: IntArray
    heavy_opposite_strength: FloatArray
    protective_price: FloatArray
    protective_near: FloatArray
    protective_far: FloatArray
    parameters_version: str

    def __len__(self) -> int:
        return int(self.close.shape[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelHistory:
    """Every level that ever became known, in columns, oldest ``known_at`` first, with its events.

    ``dead_at`` and the events' ``known_at`` lie in the future of a row's ``known_at``: a reader at
    time t must ignore what is later than t, as :func:`levels_known_at` does.  ``dead_at`` is -1
    while a level lives.  The developing averages, one moving price each, are given per bar in
    ``vwap`` with shape (n, 3) for day, week and month.
    """

    level_id: IntArray
    kind: NDArray[np.str_]
    family: NDArray[np.str_]
    timeframe: NDArray[np.str_]
    price: FloatArray
    price_far: FloatArray
    volume_rank: FloatArray
    created_at: IntArray
    known_at: IntArray
    dead_at: IntArray
    event_level_id: IntArray
    event_kind: NDArray[np.str_]
    event_price: FloatArray
    event_known_at: IntArray
    vwap: FloatArray
    bar_known_at: IntArray

    def __len__(self) -> int:
        return int(self.level_id.shape[0])
