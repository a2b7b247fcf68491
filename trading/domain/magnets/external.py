"""Levels that other sources bring: book walls, gamma walls.

They enter the walk when they become known, age and are touched like any level, and end at their own
``dead_at``.  Strength weights are those of the main families; a book wall counts as an hourly
level, a gamma wall as a daily one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from magnetfund.kernel.errors import InvalidInput
from trading.domain.magnets.parameters import DAY_MS, MagnetParameters
from trading.domain.magnets.state import EXTERNAL, FAMILIES, KINDS, SIDES, TIMEFRAMES
from trading.domain.magnets.types import Family, LevelKind, SideRule

_FAMILY = {
    LevelKind.BID_WALL: Family.ORDER_FLOW,
    LevelKind.ASK_WALL: Family.ORDER_FLOW,
    LevelKind.CALL_WALL: Family.GAMMA,
    LevelKind.PUT_WALL: Family.GAMMA,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ExternalLevel:
    """A level of another source; times in ms UTC, price in quote currency.

    ``volume_rank`` is the source's own size rank in 0..1 (0 when unknown); ``half_life_days`` its
    ageing.  ``dead_at`` is None while the source still shows it.
    """

    kind: LevelKind
    price: float
    created_at: int
    known_at: int
    dead_at: int | None = None
    volume_rank: float = 0.0
    half_life_days: float = 1.0

    def __post_init__(self) -> None:
        numbers = (self.price, self.half_life_days)
        if not all(math.isfinite(x) and x > 0 for x in numbers) or self.kind not in _FAMILY:
            raise InvalidInput("an external level needs a wall's kind, price, half-life > 0")
        ends_early = self.dead_at is not None and self.dead_at < self.known_at
        if self.known_at < self.created_at or ends_early or not 0.0 <= self.volume_rank <= 1.0:
            raise InvalidInput("an external level's times or rank are out of order")


def pack_external(levels: Sequence[ExternalLevel], parameters: MagnetParameters) -> NDArray[Any]:
    """The levels as rows for the walk, in the order in which they become known."""
    rows = np.zeros(len(levels), dtype=EXTERNAL)
    for row, level in zip(rows, sorted(levels, key=lambda x: (x.known_at, x.price)), strict=True):
        gamma = _FAMILY[level.kind] is Family.GAMMA
        row["kind"] = KINDS.index(level.kind)
        row["family"] = FAMILIES.index(_FAMILY[level.kind])
        row["timeframe"] = TIMEFRAMES.index("1d" if gamma else "1h")
        row["side"] = SIDES.index(SideRule.EITHER)
        row["price"] = row["price_far"] = level.price
        row["volume_rank"] = level.volume_rank
        row["weight"] = parameters.weight_main
        row["timeframe_factor"] = parameters.factor_timeframe[2 if gamma else 0]
        row["half_life"] = level.half_life_days * DAY_MS
        row["created_at"] = level.created_at
        row["known_at"] = level.known_at
        row["expires_at"] = -1 if level.dead_at is None else level.dead_at
    return rows
