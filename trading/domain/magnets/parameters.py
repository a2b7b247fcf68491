"""The parameters of levels, zones, strength and targets, under one version.

Distances are in A = ATR(14) of the hourly bars unless a comment says otherwise; lives and
half-lives are in days; weights and factors are pure numbers.  The values were fitted for a readable
spread of readings, never for profit.  Changing one changes every later reading, so the version is
part of each map that leaves this package.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields

from magnetfund.kernel.errors import InvalidInput
from trading.domain.magnets.types import Family

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


@dataclass(frozen=True, slots=True, kw_only=True)
class MagnetParameters:
    """Every number of the magnet definitions; the defaults are the calibrated version 1.

    Per-timeframe tuples are in the order (1h, 4h, 1d), per-session tuples (day, week, month).
    """

    version: str = "magnets.1"
    atr_length: int = 14
    families: frozenset[Family] = field(default_factory=lambda: frozenset(Family))

    swing_order: tuple[int, int, int] = (5, 5, 3)
    life_days: tuple[float, float, float] = (20.0, 90.0, 360.0)
    half_life_days: tuple[float, float, float] = (5.0, 15.0, 45.0)
    equal_tolerance: float = 0.15  # in ATR of the swings' own timeframe
    equal_bars_apart: int = 3
    sweep_bars: int = 3
    gap_size_min: float = 0.25  # in ATR of the gap's own timeframe

    session_half_life_days: tuple[float, float, float] = (45.0, 60.0, 90.0)
    poc_life_days: tuple[float, float, float] = (30.0, 90.0, 180.0)
    row_height: tuple[float, float, float] = (0.05, 0.10, 0.20)
    value_area_share: float = 0.70
    volume_rank_days: float = 30.0
    session_rank_count: tuple[int, int, int] = (30, 12, 12)
    session_missing_max: float = 0.05  # share of a session's hours

    round_minor_share: float = 0.01
    round_major_share: float = 0.05

    weight_main: float = 0.85
    weight_gap: float = 0.70
    weight_round: float = 0.60
    factor_timeframe: tuple[float, float, float] = (0.55, 0.70, 0.85)
    factor_session: tuple[float, float, float] = (0.85, 0.95, 1.00)
    factor_round: tuple[float, float] = (0.5, 1.0)  # minor, major
    strength_base: float = 0.20
    strength_touch: float = 0.30
    strength_recency: float = 0.25
    strength_volume: float = 0.25
    member_strength_max: float = 0.95
    touch_distance: float = 0.1
    touch_excursion: float = 1.0

    merge_distance: float = 0.25
    zone_strength_min: float = 15.0
    zone_reach: float = 6.0
    level_reach: float = 8.0
    target_distance_min: float = 1.5
    opposite_distance_min: float = 0.25
    ordinary_strength: float = 40.0
    pull_decay: float = 3.0
    distance_max: float = 3.0
    conflict_max: float = 9.99
    opposite_zones_min: int = 3
    heavy_zone_reach: float = 3.0
    protective_strength_min: float = 40.0
    protective_distance_min: float = 0.5
    protective_distance_max: float = 2.25

    volatility_short_bars: int = 24
    volatility_long_bars: int = 720
    volatility_lambda: float = 0.94

    def __repr__(self) -> str:
        """Every number; families in their order, since this text stands in hashes of inputs."""
        told = []
        for item in fields(self):
            value = getattr(self, item.name)
            text = str(sorted(value)) if isinstance(value, frozenset) else repr(value)
            told.append(f"{item.name}={text}")
        return f"MagnetParameters({', '.join(told)})"

    def __post_init__(self) -> None:
        for name in (item.name for item in fields(self)):
            value = getattr(self, name)
            numbers = value if isinstance(value, tuple) else (value,)
            for number in numbers:
                if isinstance(number, (int, float)) and not (math.isfinite(number) and number > 0):
                    raise InvalidInput(
                        f"magnet parameter {name} must be finite and positive",
                        code="magnet_parameter",
                        details={"name": name},
                    )
        if self.level_reach < self.zone_reach + self.merge_distance:
            raise InvalidInput(
                "level_reach must cover zone_reach and one merge distance",
                code="magnet_parameter",
                details={"name": "level_reach"},
            )


DEFAULT_PARAMETERS = MagnetParameters()
