"""What a leverage decision is asked and what it answers.

Strength runs 0..100, conflict C and volatility pressure V are >= 0, ``volatility_ratio`` is R
(V = max(0, R - 1)), sigmas are annualised fractions (0.8 is 80 %), caps are multiples.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class EvidencePolicy(StrEnum):
    """How the measured evidence acts: not at all, shown beside, or as a cap."""

    OFF = "off"
    ADVISORY = "advisory"
    ENFORCED = "enforced"


class EvidenceState(StrEnum):
    """What the test of (kind, market, timeframe) found; anything but supported allows 1.0x."""

    UNPROVEN = "unproven"
    SUPPORTED = "supported"
    EXPIRED = "expired"


class CapName(StrEnum):
    """Every ceiling on leverage, in the order in which they are shown."""

    FUND_LIMIT = "fund_limit"
    VOLATILITY = "volatility"
    LIQUIDATION_PROBABILITY = "liquidation_probability"
    EVIDENCE = "evidence"
    VENUE = "venue"
    CLIENT_CLASS = "client_class"


class CapStatus(StrEnum):
    """What a cap did: binding set the leverage, advisory is shown without acting."""

    BINDING = "binding"
    SLACK = "slack"
    ADVISORY = "advisory"
    NOT_EVALUATED = "not_evaluated"


class LeverageReason(StrEnum):
    """Why a case is tier 4 and 1.0x, or what else must be known about the answer."""

    BAD_PRICE = "bad_price"
    BAD_MAGNET_PRICE = "bad_magnet_price"
    BAD_ATR = "bad_atr"
    BAD_STRENGTH = "bad_strength"
    BAD_CONFLICT = "bad_conflict"
    BAD_VOLATILITY = "bad_volatility"
    BAD_VOLATILITY_RATIO = "bad_volatility_ratio"
    BAD_SIDE = "bad_side"
    BAD_CAP_INPUT = "bad_cap_input"
    STALE_INPUT = "stale_input"
    NO_TARGET = "no_target"
    UNMAPPED_SIDE = "unmapped_side"
    BELOW_TIER_3 = "below_tier_3"
    FLOOR = "floor"
    CLAMPED = "clamped"
    HIGH_TENSION = "high_tension"
    CAPPED = "capped"
    SIZE_REDUCED = "size_reduced"


@dataclass(frozen=True, slots=True, kw_only=True)
class LeverageCase:
    """One case.  The first six numbers are needed (None counts as missing, hence bad input).

    ``side`` None is read from the magnet: above the price is long (+1), below short (-1).
    ``volatility_ratio`` None is taken as 1 + V, which gives the same tier.  ``opposite_zones`` is
    how many zones are known on the other side; fewer than 3 is an unmapped side, None unknown.
    ``sigma_ewma`` and ``sigma_sample`` are the two readings of annualised volatility, the larger
    counts.  ``holding_days`` None uses the limit set's horizon.  ``liquidation_cap_simulated`` is
    the bootstrap's quantile where one was run; the smaller rules.
    """

    price: float | None
    magnet_price: float | None
    atr: float | None
    strength: float | None
    conflict: float | None
    volatility: float | None
    side: int | None = None
    volatility_ratio: float | None = None
    opposite_zones: int | None = None
    is_stale: bool = False
    sigma_ewma: float | None = None
    sigma_sample: float | None = None
    maintenance_rate: float | None = None
    holding_days: float | None = None
    liquidation_cap_simulated: float | None = None
    evidence_policy: EvidencePolicy = EvidencePolicy.ADVISORY
    evidence_state: EvidenceState | None = None
    is_high_tension_proven: bool = False
    venue_cap: float | None = None
    client_class_cap: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LeverageCap:
    """One ceiling: its value (None where not evaluated), what it did, and why in words."""

    name: CapName
    value: float | None
    status: CapStatus
    words: str

    @property
    def is_binding(self) -> bool:
        """Whether this cap set the leverage."""
        return self.status is CapStatus.BINDING


@dataclass(frozen=True, slots=True, kw_only=True)
class LeverageDecision:
    """The answer, with everything that led to it.

    ``raw_leverage`` is before the clamp, ``formula_leverage`` after clamp and boost, ``leverage``
    after the acting caps, never below 1.0.  ``size_factor`` = min(1, smallest acting cap) shrinks
    the size.  ``distance`` is D in ATR (at most 3), ``strength_share`` is S / 100; both are 0 for
    bad input.  ``evidence_leverage`` is what the evidence would allow were it enforced.
    """

    case: LeverageCase
    limits_version: int
    leverage: float
    raw_leverage: float
    formula_leverage: float
    distance: float
    strength_share: float
    conflict: float
    volatility: float
    is_high_tension: bool
    side: int
    tier: int
    size_factor: float
    caps: tuple[LeverageCap, ...]
    binding_cap: CapName | None
    evidence_leverage: float
    reasons: tuple[LeverageReason, ...]
    reasoning: str
