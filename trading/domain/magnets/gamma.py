"""Gamma walls as levels: strikes where dealers' hedging plausibly bunches.

The walls themselves are computed from the option chain
(:func:`trading.domain.options.exposure.compute_gamma_exposure`); here they become levels.  Open
interest is published late, usually the next morning: a wall is known at that publication, never at
the date of the interest.  It stands until the next publication, or until the last option that made
it has expired.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from magnetfund.kernel.errors import InvalidInput
from trading.domain.magnets.external import ExternalLevel
from trading.domain.magnets.types import LevelKind

HALF_LIFE_DAYS = 5.0
WALL_KINDS = (LevelKind.CALL_WALL, LevelKind.PUT_WALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class GammaWall:
    """A strike, and the expiry of the last option whose open interest made it (ms UTC)."""

    strike: float
    expires_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GammaWalls:
    """The walls of one publication; None where a side has none.

    ``interest_ms`` is the time of the open interest, ``known_ms`` when it was known (ms UTC).
    """

    interest_ms: int
    known_ms: int
    call: GammaWall | None
    put: GammaWall | None

    def __post_init__(self) -> None:
        if self.known_ms < self.interest_ms:
            raise InvalidInput("interest was known before its date", code="gamma_times")


def keep_newer(publications: Sequence[GammaWalls]) -> tuple[GammaWalls, ...]:
    """In the order of knowing, without those whose interest is older than what was known then."""
    kept: list[GammaWalls] = []
    for walls in sorted(publications, key=lambda walls: (walls.known_ms, walls.interest_ms)):
        if not kept or walls.interest_ms > kept[-1].interest_ms:
            kept.append(walls)
    return tuple(kept)


def build_gamma_levels(publications: Sequence[GammaWalls]) -> tuple[ExternalLevel, ...]:
    """The levels of all publications, each ended by the next one or by its own expiry.

    A publication that came after a newer one, or a wall that had expired when it became known,
    gives no level.
    """
    ordered = keep_newer(publications)
    followers: list[int | None] = [walls.known_ms for walls in ordered[1:]]
    return tuple(
        ExternalLevel(
            kind=kind,
            price=wall.strike,
            created_at=walls.known_ms,
            known_at=walls.known_ms,
            dead_at=wall.expires_ms if following is None else min(following, wall.expires_ms),
            volume_rank=1.0,
            half_life_days=HALF_LIFE_DAYS,
        )
        for walls, following in zip(ordered, [*followers, None], strict=False)
        for kind, wall in zip(WALL_KINDS, (walls.call, walls.put), strict=True)
        if wall is not None and wall.expires_ms > walls.known_ms
    )
