"""Magnets: prices where orders plausibly cluster, the zones they form, and what pulls a bar.

One module a family of levels, ``zones`` joins them, ``walk`` takes bars in order, ``history`` runs
it over a whole history, ``stream`` one bar at a time, with identical results.  Nothing here touches
a file or a clock.  Importing this package does not import numba; computing does.
"""

from __future__ import annotations

from trading.domain.magnets.external import ExternalLevel
from trading.domain.magnets.gamma import GammaWall, GammaWalls, build_gamma_levels
from trading.domain.magnets.history import (
    MagnetHistory,
    compute_magnet_history,
    compute_magnet_signals,
)
from trading.domain.magnets.liquidation_clusters import (
    LiquidationCluster,
    find_liquidation_clusters,
)
from trading.domain.magnets.order_flow import (
    BookWall,
    BookWalls,
    DepthSnapshot,
    WallParameters,
    build_wall_levels,
    find_book_walls,
)
from trading.domain.magnets.parameters import DEFAULT_PARAMETERS, MagnetParameters
from trading.domain.magnets.stream import MagnetStream
from trading.domain.magnets.types import (
    LONG,
    SHORT,
    EventKind,
    Family,
    Level,
    LevelEvent,
    LevelHistory,
    LevelKind,
    MagnetMap,
    MagnetReading,
    MagnetSignals,
    ReadingReason,
    SideRule,
    StrengthParts,
    Zone,
    ZoneMember,
)

__all__ = [
    "DEFAULT_PARAMETERS",
    "LONG",
    "SHORT",
    "BookWall",
    "BookWalls",
    "DepthSnapshot",
    "EventKind",
    "ExternalLevel",
    "Family",
    "GammaWall",
    "GammaWalls",
    "Level",
    "LevelEvent",
    "LevelHistory",
    "LevelKind",
    "LiquidationCluster",
    "MagnetHistory",
    "MagnetMap",
    "MagnetParameters",
    "MagnetReading",
    "MagnetSignals",
    "MagnetStream",
    "ReadingReason",
    "SideRule",
    "StrengthParts",
    "WallParameters",
    "Zone",
    "ZoneMember",
    "build_gamma_levels",
    "build_wall_levels",
    "compute_magnet_history",
    "compute_magnet_signals",
    "find_book_walls",
    "find_liquidation_clusters",
]
