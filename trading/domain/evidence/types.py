"""What the evidence test hands out.

Probabilities and shares are fractions; ``z`` is (estimate - null) / standard error.  "First" means
that price reached the level before its mirror point, the point at the same distance on the other
side; a price without drift gives 0.5 at any volatility.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from magnetfund.kernel.errors import InvalidInput


class Candidate(StrEnum):
    """A sort of level put to the test."""

    STRUCTURAL = "structural"
    EQUAL_EXTREMES = "equal_highs_lows"
    BEYOND_EQUAL = "beyond_equal_highs_lows"
    POC = "poc_prior_day"
    NAKED_POC = "poc_naked"
    VALUE_AREA = "vah_val"
    VWAP = "vwap"
    PRIOR_DAY = "prior_day"
    WEEK_MONTH = "week_month"
    ROUND_MINOR = "round_minor"
    ROUND_MAJOR = "round_major"
    GAP = "fair_value_gap"
    WALL = "book_wall"
    GAMMA = "gamma_wall"


class ControlKind(StrEnum):
    """Levels without meaning that go through the same test."""

    RANDOM_PRICE = "random_price"
    JITTERED_PRIOR_DAY = "jittered_prior_day"
    PAST_CLOSE = "past_close"


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceParameters:
    """Spacing and lengths in bars, distances in ATR; the defaults are those for hourly bars."""

    decide_every: int = 4
    horizon_bars: int = 500
    block_bars: int = 168
    resamples: int = 3000
    distance_min: float = 0.25
    distance_max: float = 6.0
    matched_horizon_bars: int = 24
    bounce_bars: int = 3
    bounce_draws: int = 5
    past_close_bars: int = 720
    momentum_bars: int = 24
    random_control_z_max: float = 2.0

    def __post_init__(self) -> None:
        numbers = [getattr(self, name) for name in self.__dataclass_fields__]
        if not all(math.isfinite(x) and x > 0 for x in numbers) or self.resamples < 100:
            raise InvalidInput("evidence parameters must be positive", code="evidence_parameter")
        if self.distance_min >= self.distance_max:
            raise InvalidInput(
                "distance_min must lie below distance_max", code="evidence_parameter"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A mean with its block-bootstrap error; all NaN when ``n`` is 0."""

    n: int
    value: float
    standard_error: float
    z: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceRow:
    """One candidate or control.

    ``first`` estimates P(level before mirror) against 0.5; ``dropped_both`` and ``dropped_neither``
    count decisions whose bar held both points or whose horizon held none.  ``matched`` estimates
    the excess of P(hit within the horizon) over decisions of the same cell, ``bounce`` the excess
    of P(close back on the approach side three bars after a touch); null 0.  ``p_value`` is
    two-sided, ``p_holm`` after Holm's correction (NaN for controls, which are not claims).
    """

    name: str
    control: bool
    first: Estimate
    dropped_both: int
    dropped_neither: int
    p_value: float
    p_holm: float
    matched: Estimate
    bounce: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceRun:
    """One run on one market and span; ``void`` when the random-price control is not clean."""

    market: str
    timeframe: str
    first_at: int
    last_at: int
    bars: int
    decisions: int
    seed: int
    parameters: EvidenceParameters
    levels_version: str
    rows: tuple[EvidenceRow, ...]
    void: bool

    def row(self, name: str) -> EvidenceRow:
        """The row of a candidate or control; raises :class:`InvalidInput` if it was not run."""
        for row in self.rows:
            if row.name == name:
                return row
        raise InvalidInput("no such row in the run", code="evidence_row", details={"name": name})
