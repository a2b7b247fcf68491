"""Choose the leverage of one case: formula, caps, the one that binds, and the reasons.

Invariants: 1.0 <= leverage <= 3.0 whatever comes in; a bad, missing or stale input is tier 4 and
1.0x with a reason code, never an exception; leverage never rises with conflict, volatility,
maintenance rate or holding time, never falls with strength or distance.
"""

from __future__ import annotations

import math
from decimal import Decimal
from functools import lru_cache
from statistics import NormalDist

from risk.domain.leverage.core import (
    DISTANCE_MAX,
    LEVERAGE_BOOST_MAX,
    LEVERAGE_CLAMP,
    LEVERAGE_MIN,
    capped_core,
    leverage_core,
    liquidation_cap_core,
    tier_core,
    volatility_cap_core,
)
from risk.domain.leverage.types import (
    CapName,
    CapStatus,
    EvidencePolicy,
    EvidenceState,
    LeverageCap,
    LeverageCase,
    LeverageDecision,
    LeverageReason,
)
from risk.domain.leverage.words import build_reasoning, build_refusal
from risk.domain.limits import DEFAULT_LIMITS, Limits

DAYS_PER_YEAR = 365.0
OPPOSITE_ZONES_MIN = 3
"""Fewer known zones on the other side are missing knowledge, not missing opposition."""

#: Leverage that the state of the evidence allows.
EVIDENCE_CAP_UNPROVEN = LEVERAGE_MIN
EVIDENCE_CAP_SUPPORTED = LEVERAGE_CLAMP
EVIDENCE_CAP_HIGH_TENSION = LEVERAGE_BOOST_MAX


def choose_leverage(*, case: LeverageCase, limits: Limits = DEFAULT_LIMITS) -> LeverageDecision:
    """The leverage of one case, every cap with its value, tier, size factor and reasoning.

    L = D * S / (1 + C + V), clamped to 1.0..2.5, then x1.2 up to 3.0 in high tension; then the
    smallest of the caps whose inputs are there, never below 1.0 (LEV-1, LEV-2).  A cap below 1.0
    shrinks ``size_factor`` instead.  Never raises.
    """
    refusals = _find_bad_input(case)
    if refusals:
        return _refuse(case, limits, refusals)
    price, magnet_price, atr, strength, conflict, volatility = _numbers(case)
    distance = abs(price - magnet_price) / atr
    raw, formula, is_high_tension = leverage_core(distance, strength, conflict, volatility)
    ratio = 1.0 + volatility if case.volatility_ratio is None else float(case.volatility_ratio)
    tier = tier_core(strength, conflict, ratio)
    reasons: list[LeverageReason] = []
    if case.opposite_zones is not None and case.opposite_zones < OPPOSITE_ZONES_MIN:
        reasons.append(LeverageReason.UNMAPPED_SIDE)
        tier, formula, is_high_tension = 4, LEVERAGE_MIN, False
    elif tier == 4:
        reasons.append(LeverageReason.BELOW_TIER_3)
    if is_high_tension:
        reasons.append(LeverageReason.HIGH_TENSION)
    if raw < LEVERAGE_MIN:
        reasons.append(LeverageReason.FLOOR)
    elif raw > LEVERAGE_CLAMP:
        reasons.append(LeverageReason.CLAMPED)

    side = case.side or _side_of(price, magnet_price)
    caps, smallest, binding = _judge_caps(_find_caps(case, limits, side), formula)
    leverage, size_factor = capped_core(formula, smallest)
    if binding is not None:
        reasons.append(LeverageReason.CAPPED)
    if size_factor < 1.0:
        reasons.append(LeverageReason.SIZE_REDUCED)
    evidence_leverage = max(LEVERAGE_MIN, min(leverage, _evidence_cap(case)))
    return LeverageDecision(
        case=case,
        limits_version=limits.version,
        leverage=leverage,
        raw_leverage=raw,
        formula_leverage=formula,
        distance=min(distance, DISTANCE_MAX),
        strength_share=strength / 100.0,
        conflict=conflict,
        volatility=volatility,
        is_high_tension=is_high_tension,
        side=side,
        tier=tier,
        size_factor=size_factor,
        caps=caps,
        binding_cap=binding,
        evidence_leverage=evidence_leverage,
        reasons=tuple(reasons),
        reasoning=build_reasoning(
            case=case,
            raw=raw,
            formula=formula,
            leverage=leverage,
            tier=tier,
            size_factor=size_factor,
            caps=caps,
            reasons=reasons,
            evidence_leverage=evidence_leverage,
        ),
    )


def policy_of_level(level: Decimal) -> EvidencePolicy:
    """The policy of the limits' figure ``evidence_level``: 0 off, 1 advisory, 2 enforced."""
    return tuple(EvidencePolicy)[int(level)]


def resolve_evidence_policy(
    *, is_live: bool, chosen: EvidencePolicy | None, is_override_signed: bool = False
) -> EvidencePolicy:
    """The policy in force: advisory where nothing is chosen, enforced in live.

    In live a weaker choice counts only with an override signed by two people.
    """
    if is_live and not is_override_signed:
        return EvidencePolicy.ENFORCED
    if chosen is None:
        return EvidencePolicy.ENFORCED if is_live else EvidencePolicy.ADVISORY
    return chosen


def _is_number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer beyond float64
        return False


def _is_positive(value: object) -> bool:
    return _is_number(value) and value > 0  # type: ignore[operator]  # a number by the first test


def _is_not_negative(value: object) -> bool:
    return _is_number(value) and value >= 0  # type: ignore[operator]  # a number by the first test


def _find_bad_input(case: LeverageCase) -> list[LeverageReason]:
    if case.magnet_price is None:
        return [LeverageReason.NO_TARGET]
    bad: list[LeverageReason] = []
    if not _is_positive(case.price):
        bad.append(LeverageReason.BAD_PRICE)
    if not _is_positive(case.magnet_price):
        bad.append(LeverageReason.BAD_MAGNET_PRICE)
    if not _is_positive(case.atr):
        bad.append(LeverageReason.BAD_ATR)
    if not _is_positive(case.strength) or case.strength > 100:  # type: ignore[operator]
        bad.append(LeverageReason.BAD_STRENGTH)
    if not _is_not_negative(case.conflict):
        bad.append(LeverageReason.BAD_CONFLICT)
    if not _is_not_negative(case.volatility):
        bad.append(LeverageReason.BAD_VOLATILITY)
    if case.volatility_ratio is not None and not _is_positive(case.volatility_ratio):
        bad.append(LeverageReason.BAD_VOLATILITY_RATIO)
    if case.side is not None and case.side not in (1, -1):
        bad.append(LeverageReason.BAD_SIDE)
    if not _are_cap_inputs_sound(case):
        bad.append(LeverageReason.BAD_CAP_INPUT)
    if case.is_stale:
        bad.append(LeverageReason.STALE_INPUT)
    return bad


def _are_cap_inputs_sound(case: LeverageCase) -> bool:
    positive = (
        case.sigma_ewma,
        case.sigma_sample,
        case.holding_days,
        case.liquidation_cap_simulated,
        case.venue_cap,
        case.client_class_cap,
    )
    for value in positive:
        if value is not None and not _is_positive(value):
            return False
    rate = case.maintenance_rate
    if rate is not None and not (_is_not_negative(rate) and rate < 1.0):
        return False
    zones = case.opposite_zones
    return zones is None or _is_not_negative(zones)


def _numbers(case: LeverageCase) -> tuple[float, float, float, float, float, float]:
    """The six needed numbers as floats; only called after they were found sound."""
    return (
        float(case.price or 0.0),
        float(case.magnet_price or 0.0),
        float(case.atr or 0.0),
        float(case.strength or 0.0),
        float(case.conflict or 0.0),
        float(case.volatility or 0.0),
    )


def _side_of(price: float, magnet_price: float) -> int:
    return (magnet_price > price) - (magnet_price < price)


def _refuse(case: LeverageCase, limits: Limits, refusals: list[LeverageReason]) -> LeverageDecision:
    caps = tuple(
        LeverageCap(name=name, value=None, status=CapStatus.NOT_EVALUATED, words="input refused")
        for name in CapName
    )
    return LeverageDecision(
        case=case,
        limits_version=limits.version,
        leverage=LEVERAGE_MIN,
        raw_leverage=0.0,
        formula_leverage=LEVERAGE_MIN,
        distance=0.0,
        strength_share=0.0,
        conflict=0.0,
        volatility=0.0,
        is_high_tension=False,
        side=case.side if case.side in (1, -1) else 0,
        tier=4,
        size_factor=0.0,
        caps=caps,
        binding_cap=None,
        evidence_leverage=LEVERAGE_MIN,
        reasons=tuple(refusals),
        reasoning=build_refusal(refusals),
    )


@lru_cache(maxsize=64)
def _touch_quantile(probability: float) -> float:
    """z of 1 - eps/2: twice a path's chance of ending beyond a level is its chance of touching."""
    return NormalDist().inv_cdf(1.0 - probability / 2.0)


def _find_caps(
    case: LeverageCase, limits: Limits, side: int
) -> list[tuple[CapName, float | None, bool, str]]:
    """Each cap as ``(name, value or None, acts, words)``."""
    sigma = max(case.sigma_ewma or 0.0, case.sigma_sample or 0.0)
    maximum = float(limits.leverage_max)
    return [
        (CapName.FUND_LIMIT, maximum, True, f"the fund's limit is {maximum:.2f}x"),
        _find_volatility_cap(limits, sigma),
        _find_liquidation_cap(case, limits, side, sigma),
        _find_evidence_cap(case),
        _given_cap(CapName.VENUE, case.venue_cap, "the venue"),
        _given_cap(CapName.CLIENT_CLASS, case.client_class_cap, "the client classification"),
    ]


def _find_volatility_cap(limits: Limits, sigma: float) -> tuple[CapName, float | None, bool, str]:
    if limits.volatility_target is None:
        return CapName.VOLATILITY, None, False, "no volatility target is set"
    if sigma <= 0.0:
        return CapName.VOLATILITY, None, False, "not evaluated: no volatility available"
    target = float(limits.volatility_target)
    value = volatility_cap_core(target, sigma)
    return (
        CapName.VOLATILITY,
        value,
        True,
        f"annualised volatility {sigma:.0%} against a target of {target:.0%}: at most {value:.2f}x",
    )


def _find_liquidation_cap(
    case: LeverageCase, limits: Limits, side: int, sigma: float
) -> tuple[CapName, float | None, bool, str]:
    value: float | None = None
    days = float(limits.liquidation_horizon_days)
    if case.holding_days is not None:
        days = float(case.holding_days)
    probability = float(limits.liquidation_probability_max)
    if sigma > 0.0 and case.maintenance_rate is not None and probability > 0.0:
        value = liquidation_cap_core(
            side,
            sigma,
            float(case.maintenance_rate),
            days / DAYS_PER_YEAR,
            _touch_quantile(probability),
        )
    if case.liquidation_cap_simulated is not None:
        simulated = float(case.liquidation_cap_simulated)
        value = simulated if value is None else min(value, simulated)
    if value is None:
        words = "not evaluated: no volatility or maintenance margin rate"
        return CapName.LIQUIDATION_PROBABILITY, None, False, words
    words = f"a {probability:.2%} chance of liquidation within {days:g} days allows {value:.2f}x"
    return CapName.LIQUIDATION_PROBABILITY, value, True, words


def compute_evidence_cap(
    *, state: EvidenceState | None, is_high_tension_proven: bool = False
) -> float:
    """Leverage that the state of the evidence allows; None is untested."""
    if state is not EvidenceState.SUPPORTED:
        return EVIDENCE_CAP_UNPROVEN
    return EVIDENCE_CAP_HIGH_TENSION if is_high_tension_proven else EVIDENCE_CAP_SUPPORTED


def _evidence_cap(case: LeverageCase) -> float:
    return compute_evidence_cap(
        state=case.evidence_state, is_high_tension_proven=case.is_high_tension_proven
    )


def _find_evidence_cap(case: LeverageCase) -> tuple[CapName, float | None, bool, str]:
    if case.evidence_policy is EvidencePolicy.OFF:
        return CapName.EVIDENCE, None, False, "not applied: evidence policy is off"
    value = _evidence_cap(case)
    state = "untested" if case.evidence_state is None else case.evidence_state.value
    return (
        CapName.EVIDENCE,
        value,
        case.evidence_policy is EvidencePolicy.ENFORCED,
        f"the evidence for this magnet is {state}, which allows {value:.2f}x",
    )


def _given_cap(
    name: CapName, value: float | None, who: str
) -> tuple[CapName, float | None, bool, str]:
    if value is None:
        return name, None, False, f"not evaluated: no limit set by {who}"
    return name, float(value), True, f"limit set by {who}: {value:.2f}x"


def _judge_caps(
    found: list[tuple[CapName, float | None, bool, str]], formula: float
) -> tuple[tuple[LeverageCap, ...], float, CapName | None]:
    """The caps with their status, the smallest acting value, and the cap that binds (if any)."""
    smallest, binding = math.inf, None
    for name, value, acts, _ in found:
        if acts and value is not None and value < smallest:
            smallest, binding = value, name
    if smallest >= formula:
        binding = None
    caps = []
    for name, value, acts, words in found:
        if value is None:
            status = CapStatus.NOT_EVALUATED
        elif not acts:
            status = CapStatus.ADVISORY
        else:
            status = CapStatus.BINDING if name is binding else CapStatus.SLACK
        caps.append(LeverageCap(name=name, value=value, status=status, words=words))
    return tuple(caps), smallest, binding
