"""Round numbers: a minor grid of about 1 % of the price and a major one of about 5 %.

The step is ``nice(share * P)``: the value 1, 2 or 5 times a power of ten that is nearest on a
logarithmic scale.  A line of the major grid is not also a minor one.  The grid follows the price;
a line has no touches and no age.
"""

from __future__ import annotations

import math

from trading.domain.compiled import compiled_part
from trading.domain.magnets.state import (
    FAMILIES,
    KINDS,
    N_MEMBERS,
    ROUND_LINES_MAX,
    Constants,
    State,
)
from trading.domain.magnets.types import Family, LevelKind

ROUND = FAMILIES.index(Family.ROUND)
ROUND_MINOR = KINDS.index(LevelKind.ROUND_MINOR)
ROUND_MAJOR = KINDS.index(LevelKind.ROUND_MAJOR)


@compiled_part
def nice(value: float) -> float:
    """The number 1, 2 or 5 times a power of ten nearest to ``value`` (> 0) by ratio."""
    power = 10.0 ** math.floor(math.log10(value))
    lead = value / power
    if lead < math.sqrt(2.0):
        return 1.0 * power
    if lead < math.sqrt(10.0):
        return 2.0 * power
    if lead < math.sqrt(50.0):
        return 5.0 * power
    return 10.0 * power


@compiled_part
def add_round_lines(state: State, c: Constants, price: float, reach: float) -> None:
    """Write the grid lines within ``reach`` of ``price`` as members, strength included."""
    minor = nice(c.round_minor_share * price)
    each = round(nice(c.round_major_share * price) / minor)
    first = max(1, math.ceil((price - reach) / minor))
    last = min(math.floor((price + reach) / minor), first + ROUND_LINES_MAX - 1)
    part = c.strength_base + c.strength_recency
    for line in range(first, last + 1):
        major = line % each == 0
        member = state.members[state.counts[N_MEMBERS]]
        member["level"] = -1
        member["kind"] = ROUND_MAJOR if major else ROUND_MINOR
        member["family"] = ROUND
        member["price"] = line * minor
        factor = c.factor_round[1] if major else c.factor_round[0]
        member["strength"] = min(c.member_strength_max, c.weight_round * factor * part)
        member["touch"] = 0.0
        member["recency"] = 1.0
        member["volume"] = 0.0
        state.counts[N_MEMBERS] += 1
