"""Gamma walls as levels: strikes where dealers' hedging plausibly bunches.

The walls themselves are computed from the option chain; here they become levels.  Open interest is
published late, usually the next morning: a wall is known at that publication, never at the date of
the interest.  It stands until the next publication or its expiry.
"""

from __future__ import annotations

from magnetfund.kernel.errors import InvalidInput
from trading.domain.magnets.external import ExternalLevel
from trading.domain.magnets.types import LevelKind

HALF_LIFE_DAYS = 5.0


def build_gamma_levels(
    *,
    call_wall: float | None,
    put_wall: float | None,
    interest_at: int,
    published_at: int,
    dead_at: int | None = None,
) -> tuple[ExternalLevel, ...]:
    """The walls of one publication; a missing wall (None) gives no level.

    ``interest_at`` is the date of the open interest, ``published_at`` when it became public (ms
    UTC), ``dead_at`` when the next publication replaced it.  Raises :class:`InvalidInput` for a
    publication before its data.
    """
    if published_at < interest_at:
        raise InvalidInput("interest was published before its date", code="gamma_times")
    pairs = ((LevelKind.CALL_WALL, call_wall), (LevelKind.PUT_WALL, put_wall))
    return tuple(
        ExternalLevel(
            kind=kind,
            price=price,
            created_at=published_at,
            known_at=published_at,
            dead_at=dead_at,
            volume_rank=1.0,
            half_life_days=HALF_LIFE_DAYS,
        )
        for kind, price in pairs
        if price is not None
    )
