"""The memory of the bar walk: level rows, events, bar rings, forming periods, scratch.

One hourly bar after another goes through :func:`trading.domain.magnets.walk.walk_bars`, which reads
and writes this state and never looks beyond the bar in hand.  Batch and stream run the same walk,
so their results are the same numbers; ``data up to t`` and ``all data, read at t`` agree because a
row, once written, changes only through a later bar.

Codes: kinds, families, event kinds are positions in their enums; timeframes are positions in
``TIMEFRAMES``.  Rings hold ``RING`` bars, position ``i & RING_MASK``.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from trading.domain.magnets.parameters import DAY_MS, MagnetParameters
from trading.domain.magnets.types import EventKind, Family, LevelKind, SideRule

TIMEFRAMES = ("1h", "4h", "1d", "1w", "1M", "1y")
KINDS = tuple(LevelKind)
FAMILIES = tuple(Family)
SIDES = tuple(SideRule)
EVENTS = tuple(EventKind)

RING = 1024
RING_MASK = RING - 1
ROUND_LINES_MAX = 1000
NEW_ROWS_MAX = 512
"""No bar can add more levels or, beside the events of living ones, more events than this."""

# Positions in ``State.counts``.
N_LEVELS, N_EVENTS, N_ACTIVE, N_BARS, N_EXTERNAL, N_MEMBERS, N_ZONES = range(7)
# Forming periods.
FOUR_HOURS, DAY, WEEK, MONTH, YEAR = range(5)

LEVEL = np.dtype(
    [
        ("kind", np.int64),
        ("family", np.int64),
        ("timeframe", np.int64),
        ("side", np.int64),
        ("price", np.float64),
        ("price_far", np.float64),
        ("volume_rank", np.float64),
        ("weight", np.float64),
        ("timeframe_factor", np.float64),
        ("half_life", np.float64),  # ms; 0 = never ages
        ("created_at", np.int64),
        ("known_at", np.int64),
        ("dead_at", np.int64),  # -1 while it lives
        ("expires_at", np.int64),  # -1 = no end of its own
        ("touches", np.int64),
        ("touch_sum", np.float64),
        ("touch_at", np.int64),
        ("armed", np.int64),
        ("watch", np.int64),  # after death: own-timeframe bars or a gap still followed for events
    ]
)
EVENT = np.dtype(
    [("level", np.int64), ("kind", np.int64), ("price", np.float64), ("known_at", np.int64)]
)
BAR = np.dtype(
    [
        ("close_time", np.int64),
        ("high", np.float64),
        ("low", np.float64),
        ("close", np.float64),
        ("volume", np.float64),
    ]
)
FORMING = np.dtype(
    [
        ("start", np.int64),  # open time of the period, -1 = none open
        ("covered", np.int64),  # 0 when the history began inside the period
        ("bars", np.int64),
        ("open", np.float64),
        ("high", np.float64),
        ("low", np.float64),
        ("close", np.float64),
        ("volume", np.float64),
        ("vwap_weight", np.float64),
        ("vwap_mean", np.float64),
        ("vwap_m2", np.float64),
        ("vwap_level", np.int64),
    ]
)
RANGE = np.dtype(
    [
        ("count", np.int64),
        ("seed_sum", np.float64),
        ("value", np.float64),
        ("close", np.float64),
    ]
)
MEMBER = np.dtype(
    [
        ("level", np.int64),  # -1 = a line of the round grid
        ("kind", np.int64),
        ("family", np.int64),
        ("price", np.float64),
        ("strength", np.float64),
        ("touch", np.float64),
        ("recency", np.float64),
        ("volume", np.float64),
        ("zone", np.int64),
    ]
)
ZONE = np.dtype(
    [
        ("price", np.float64),
        ("low", np.float64),
        ("high", np.float64),
        ("strength", np.float64),
        ("distance", np.float64),
        ("pull", np.float64),
        ("kept", np.int64),
    ]
)
EXTERNAL = np.dtype(
    [
        ("kind", np.int64),
        ("family", np.int64),
        ("timeframe", np.int64),
        ("side", np.int64),
        ("price", np.float64),
        ("price_far", np.float64),
        ("volume_rank", np.float64),
        ("weight", np.float64),
        ("timeframe_factor", np.float64),
        ("half_life", np.float64),
        ("created_at", np.int64),
        ("known_at", np.int64),
        ("expires_at", np.int64),
    ]
)

BAR_COLUMNS = (
    "close",
    "atr",
    "volatility_ratio",
    "volatility_pressure",
    "zone_count",
)
SIDE_COLUMNS = (
    "reason",
    "target_price",
    "target_near",
    "target_far",
    "target_strength",
    "target_distance",
    "target_pull",
    "distance",
    "conflict",
    "opposite_price",
    "opposite_near",
    "opposite_far",
    "opposite_strength",
    "opposite_pull",
    "opposite_zones",
    "heavy_opposite_strength",
    "protective_price",
    "protective_near",
    "protective_far",
    "target_zone",
    "opposite_zone",
    "protective_zone",
)
ROW_WIDTH = len(BAR_COLUMNS) + 2 * len(SIDE_COLUMNS) + 3
VWAP_COLUMN = len(BAR_COLUMNS) + 2 * len(SIDE_COLUMNS)


class Constants(NamedTuple):
    """The parameters in the form that compiled code takes; lives and half-lives in ms."""

    atr_length: int
    enabled: tuple[int, ...]  # a family each, 1 = takes part
    swing_order: tuple[int, int, int]
    life: tuple[float, float, float]
    half_life: tuple[float, float, float]
    equal_tolerance: float
    equal_bars_apart: int
    sweep_bars: int
    gap_size_min: float
    session_half_life: tuple[float, float, float]
    poc_life: tuple[float, float, float]
    row_height: tuple[float, float, float]
    value_area_share: float
    rank_bars: tuple[int, int, int]
    session_rank_count: tuple[int, int, int]
    session_missing_max: float
    round_minor_share: float
    round_major_share: float
    weight_main: float
    weight_gap: float
    weight_round: float
    factor_timeframe: tuple[float, float, float]
    factor_session: tuple[float, float, float]
    factor_round: tuple[float, float]
    strength_base: float
    strength_touch: float
    strength_recency: float
    strength_volume: float
    member_strength_max: float
    touch_distance: float
    touch_excursion: float
    merge_distance: float
    zone_strength_min: float
    zone_reach: float
    level_reach: float
    target_distance_min: float
    opposite_distance_min: float
    ordinary_strength: float
    pull_decay: float
    distance_max: float
    conflict_max: float
    opposite_zones_min: int
    heavy_zone_reach: float
    protective_strength_min: float
    protective_distance_min: float
    protective_distance_max: float
    volatility_short_bars: int
    volatility_long_bars: int
    volatility_lambda: float


class State(NamedTuple):
    """All arrays of the walk; ``counts`` holds how much of the growing ones is in use."""

    counts: NDArray[np.int64]
    levels: NDArray[Any]
    events: NDArray[Any]
    active: NDArray[np.int64]
    external: NDArray[Any]
    rings: NDArray[Any]  # (3, RING): 1h, 4h, 1d bars
    ring_counts: NDArray[np.int64]
    forming: NDArray[Any]
    ranges: NDArray[Any]  # Wilder ATR of 1h, 4h, 1d
    session_volumes: NDArray[np.float64]  # (3, 32)
    session_counts: NDArray[np.int64]
    returns: NDArray[np.float64]  # ring of hourly log returns
    members: NDArray[Any]
    order: NDArray[np.int64]
    zones: NDArray[Any]


def build_constants(parameters: MagnetParameters) -> Constants:
    """Translate parameters for compiled code: days to milliseconds, families to switches."""

    def milliseconds(days: tuple[float, float, float]) -> tuple[float, float, float]:
        return (days[0] * DAY_MS, days[1] * DAY_MS, days[2] * DAY_MS)

    direct = {
        name: getattr(parameters, name)
        for name in Constants._fields
        if hasattr(parameters, name) and name not in {"life", "half_life"}
    }
    days = round(parameters.volume_rank_days)
    return Constants(
        **direct,
        enabled=tuple(int(family in parameters.families) for family in FAMILIES),
        life=milliseconds(parameters.life_days),
        half_life=milliseconds(parameters.half_life_days),
        session_half_life=milliseconds(parameters.session_half_life_days),
        poc_life=milliseconds(parameters.poc_life_days),
        rank_bars=(min(24 * days, RING // 2 + 256), 6 * days, days),
    )


def build_state(*, capacity: int = 2048) -> State:
    """An empty memory with room for ``capacity`` level rows; the walk's caller lets it grow."""
    forming = np.zeros(5, dtype=FORMING)
    forming["start"] = -1
    forming["vwap_level"] = -1
    return State(
        counts=np.zeros(8, dtype=np.int64),
        levels=np.zeros(capacity, dtype=LEVEL),
        events=np.zeros(4 * capacity, dtype=EVENT),
        active=np.zeros(capacity, dtype=np.int64),
        external=np.zeros(0, dtype=EXTERNAL),
        rings=np.zeros((3, RING), dtype=BAR),
        ring_counts=np.zeros(3, dtype=np.int64),
        forming=forming,
        ranges=np.zeros(3, dtype=RANGE),
        session_volumes=np.zeros((3, 32)),
        session_counts=np.zeros(3, dtype=np.int64),
        returns=np.zeros(RING),
        members=np.zeros(capacity + ROUND_LINES_MAX, dtype=MEMBER),
        order=np.zeros(capacity + ROUND_LINES_MAX, dtype=np.int64),
        zones=np.zeros(capacity + ROUND_LINES_MAX, dtype=ZONE),
    )


def grow_state(state: State) -> State:
    """The same memory with twice the room for levels, events and scratch."""

    def doubled(array: NDArray[Any]) -> NDArray[Any]:
        larger = np.zeros(2 * array.shape[0], dtype=array.dtype)
        larger[: array.shape[0]] = array
        return larger

    return state._replace(
        levels=doubled(state.levels),
        events=doubled(state.events),
        active=doubled(state.active),
        members=doubled(state.members),
        order=doubled(state.order),
        zones=doubled(state.zones),
    )
