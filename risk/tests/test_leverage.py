"""Leverage: the founding formula, caps, tiers, and what bad input becomes (LEV-1, LEV-2)."""

from __future__ import annotations

import dataclasses
import math
import sys
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from risk.domain.leverage import (
    CapName,
    CapStatus,
    EvidencePolicy,
    EvidenceState,
    LeverageCase,
    LeverageDecision,
    LeverageReason,
    choose_leverage,
    leverage_core,
    liquidation_cap_core,
    policy_of_level,
    resolve_evidence_policy,
    tier_core,
)
from risk.domain.limits import Limits

Z_999_5 = 3.2905267314919255


def case(**changes: object) -> LeverageCase:
    """A long toward a magnet 2.4 ATR away."""
    base = LeverageCase(
        price=60_000.0,
        magnet_price=61_200.0,
        atr=500.0,
        strength=82.0,
        conflict=0.41,
        volatility=0.0,
        volatility_ratio=0.9,
    )
    return dataclasses.replace(base, **changes)  # type: ignore[arg-type]


def cap(decision: LeverageDecision, name: CapName):  # type: ignore[no-untyped-def]
    return next(item for item in decision.caps if item.name is name)


def test_worked_example_of_the_magnet_definitions() -> None:
    # Target S 82 at 2.4 A, C 0.41, R 0.9: raw 2.4 * 0.82 / 1.41 = 1.40, L 1.40x, tier 2.
    decision = choose_leverage(case=case())
    assert decision.raw_leverage == pytest.approx(1.3957, abs=5e-5)
    assert round(decision.leverage, 2) == 1.40
    assert decision.tier == 2
    assert decision.distance == pytest.approx(2.4)
    assert decision.strength_share == 0.82
    assert decision.size_factor == 1.0
    assert decision.binding_cap is None


def test_clamp_comes_before_the_boost() -> None:
    # Clamped 2.5 boosted is 3.0; boosting first would clamp to 2.5.
    raw, leverage, is_high_tension = leverage_core(3.0, 100.0, 0.0, 0.0)
    assert (raw, leverage, is_high_tension) == (3.0, 3.0, True)
    # raw below 1: the floor is boosted to 1.2; boosting first would leave 1.0.
    raw, leverage, _ = leverage_core(0.5, 60.0, 0.0, 0.0)
    assert raw == pytest.approx(0.3)
    assert leverage == pytest.approx(1.2)


@pytest.mark.parametrize(
    ("drag", "strength", "expected"),
    [
        (0.14999999, 60.0, True),
        (0.15, 60.0, False),
        (0.15000001, 60.0, False),
        (0.1, 59.999999, False),
        (0.1, 60.0, True),
        (0.1, 60.000001, True),
    ],
)
def test_high_tension_starts_below_015_and_at_60(
    drag: float, strength: float, expected: bool
) -> None:
    assert leverage_core(2.0, strength, drag, 0.0)[2] is expected
    assert leverage_core(2.0, strength, 0.0, drag)[2] is expected


@pytest.mark.parametrize(
    ("strength", "conflict", "ratio", "tier"),
    [
        (80.0, 0.29, 1.19, 1),
        (79.99, 0.29, 1.19, 2),
        (80.0, 0.3, 1.19, 2),
        (80.0, 0.29, 1.2, 2),
        (65.0, 0.49, 1.49, 2),
        (64.99, 0.49, 1.49, 3),
        (65.0, 0.5, 1.49, 3),
        (65.0, 0.49, 1.5, 3),
        (50.0, 0.79, 1.99, 3),
        (49.99, 0.79, 1.99, 4),
        (50.0, 0.8, 1.99, 4),
        (50.0, 0.79, 2.0, 4),
        (math.nan, 0.1, 1.0, 4),
        (90.0, math.nan, 1.0, 4),
        (90.0, 0.1, math.nan, 4),
    ],
)
def test_tier_edges(strength: float, conflict: float, ratio: float, tier: int) -> None:
    assert tier_core(strength, conflict, ratio) == tier


@pytest.mark.parametrize(
    ("sigma", "side", "expected"), [(0.8, 1, 3.2), (0.8, -1, 2.2), (1.2, 1, 2.4), (1.2, -1, 1.4)]
)
def test_liquidation_cap_figures_at_04_percent_seven_days(
    sigma: float, side: int, expected: float
) -> None:
    # Published: mmr 0.4 %, 7 days, eps 0.1 %.
    assert round(liquidation_cap_core(side, sigma, 0.004, 7 / 365, Z_999_5), 1) == expected


def test_liquidation_cap_is_tighter_for_shorts_and_in_the_decision() -> None:
    long = choose_leverage(case=case(sigma_ewma=0.8, maintenance_rate=0.004))
    short = choose_leverage(
        case=case(magnet_price=58_800.0, sigma_ewma=0.8, maintenance_rate=0.004)
    )
    name = CapName.LIQUIDATION_PROBABILITY
    assert cap(short, name).value < cap(long, name).value
    assert (long.side, short.side) == (1, -1)


def test_the_simulated_liquidation_cap_rules_when_smaller() -> None:
    sharp = case(sigma_ewma=0.8, maintenance_rate=0.004, liquidation_cap_simulated=1.1)
    decision = choose_leverage(case=sharp)
    assert decision.leverage == pytest.approx(1.1)
    assert decision.binding_cap is CapName.LIQUIDATION_PROBABILITY


def test_a_cap_below_one_shrinks_the_size_not_the_leverage() -> None:
    decision = choose_leverage(case=case(venue_cap=0.6))
    assert decision.leverage == 1.0
    assert decision.size_factor == 0.6
    assert LeverageReason.SIZE_REDUCED in decision.reasons


def test_volatility_cap_uses_the_larger_sigma() -> None:
    limits = Limits(volatility_target=Decimal("1.0"))
    decision = choose_leverage(case=case(sigma_ewma=0.5, sigma_sample=0.8), limits=limits)
    assert cap(decision, CapName.VOLATILITY).value == pytest.approx(1.25)
    assert decision.leverage == pytest.approx(1.25)
    assert decision.binding_cap is CapName.VOLATILITY


def test_caps_without_inputs_are_listed_as_not_evaluated() -> None:
    decision = choose_leverage(case=case())
    statuses = {item.name: item.status for item in decision.caps}
    assert list(statuses) == list(CapName)
    assert statuses[CapName.FUND_LIMIT] is CapStatus.SLACK
    assert statuses[CapName.EVIDENCE] is CapStatus.ADVISORY
    for name in (
        CapName.VOLATILITY,
        CapName.LIQUIDATION_PROBABILITY,
        CapName.VENUE,
        CapName.CLIENT_CLASS,
    ):
        assert statuses[name] is CapStatus.NOT_EVALUATED
        assert cap(decision, name).value is None


@pytest.mark.parametrize(
    ("policy", "state", "proven", "expected", "beside"),
    [
        (EvidencePolicy.OFF, None, False, 2.7, 1.0),
        (EvidencePolicy.ADVISORY, None, False, 2.7, 1.0),
        (EvidencePolicy.ADVISORY, EvidenceState.SUPPORTED, False, 2.7, 2.5),
        (EvidencePolicy.ENFORCED, None, False, 1.0, 1.0),
        (EvidencePolicy.ENFORCED, EvidenceState.UNPROVEN, True, 1.0, 1.0),
        (EvidencePolicy.ENFORCED, EvidenceState.EXPIRED, True, 1.0, 1.0),
        (EvidencePolicy.ENFORCED, EvidenceState.SUPPORTED, False, 2.5, 2.5),
        (EvidencePolicy.ENFORCED, EvidenceState.SUPPORTED, True, 2.7, 2.7),
    ],
)
def test_evidence_acts_only_when_enforced(
    policy: EvidencePolicy,
    state: EvidenceState | None,
    proven: bool,
    expected: float,
    beside: float,
) -> None:
    # raw 3 * 0.825 / 1.1 = 2.25, high tension 2.7
    strong = case(
        magnet_price=62_000.0,
        strength=82.5,
        conflict=0.1,
        evidence_policy=policy,
        evidence_state=state,
        is_high_tension_proven=proven,
    )
    decision = choose_leverage(case=strong)
    assert decision.leverage == pytest.approx(expected)
    assert decision.evidence_leverage == pytest.approx(beside)


def test_live_requires_enforced_unless_two_people_signed() -> None:
    advisory = EvidencePolicy.ADVISORY
    assert resolve_evidence_policy(is_live=False, chosen=None) is advisory
    assert resolve_evidence_policy(is_live=True, chosen=None) is EvidencePolicy.ENFORCED
    assert resolve_evidence_policy(is_live=True, chosen=advisory) is EvidencePolicy.ENFORCED
    signed = resolve_evidence_policy(is_live=True, chosen=advisory, is_override_signed=True)
    assert signed is advisory
    unchosen = resolve_evidence_policy(is_live=True, chosen=None, is_override_signed=True)
    assert unchosen is EvidencePolicy.ENFORCED


@pytest.mark.parametrize(
    ("level", "policy"),
    [
        ("0", EvidencePolicy.OFF),
        ("1", EvidencePolicy.ADVISORY),
        ("2", EvidencePolicy.ENFORCED),
    ],
)
def test_a_level_of_the_limits_is_a_policy(level: str, policy: EvidencePolicy) -> None:
    assert policy_of_level(Decimal(level)) is policy


def test_the_smallest_acting_cap_is_the_one_named() -> None:
    decision = choose_leverage(case=case(venue_cap=1.3, client_class_cap=1.2))
    assert decision.leverage == pytest.approx(1.2)
    assert decision.binding_cap is CapName.CLIENT_CLASS
    assert cap(decision, CapName.VENUE).status is CapStatus.SLACK
    assert [item.name for item in decision.caps if item.is_binding] == [CapName.CLIENT_CLASS]


def test_eu_retail_class_has_no_leverage_above_two() -> None:
    strong = case(magnet_price=70_000.0, strength=99.0, conflict=0.0, client_class_cap=2.0)
    assert choose_leverage(case=strong).leverage == 2.0


@pytest.mark.parametrize("zones", [0, 1, 2])
def test_an_unmapped_side_is_tier_four_at_one(zones: int) -> None:
    decision = choose_leverage(case=case(conflict=0.0, opposite_zones=zones))
    assert (decision.tier, decision.leverage, decision.is_high_tension) == (4, 1.0, False)
    assert LeverageReason.UNMAPPED_SIDE in decision.reasons
    assert choose_leverage(case=case(opposite_zones=3)).tier == 2


BAD = [None, math.nan, math.inf, -math.inf, -1.0, True, "7", 10**400]


@pytest.mark.parametrize("value", BAD)
@pytest.mark.parametrize(
    "name", ["price", "magnet_price", "atr", "strength", "conflict", "volatility"]
)
def test_bad_input_is_tier_four_at_one_with_a_reason(name: str, value: object) -> None:
    decision = choose_leverage(case=case(**{name: value}))
    assert decision.leverage == 1.0
    assert decision.tier == 4
    assert decision.size_factor == 0.0
    assert decision.reasons
    assert "Tier 4" in decision.reasoning


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"price": 0.0}, LeverageReason.BAD_PRICE),
        ({"magnet_price": 0.0}, LeverageReason.BAD_MAGNET_PRICE),
        ({"magnet_price": None}, LeverageReason.NO_TARGET),
        ({"atr": 0.0}, LeverageReason.BAD_ATR),
        ({"strength": 0.0}, LeverageReason.BAD_STRENGTH),
        ({"strength": 100.1}, LeverageReason.BAD_STRENGTH),
        ({"conflict": -0.1}, LeverageReason.BAD_CONFLICT),
        ({"volatility": -0.1}, LeverageReason.BAD_VOLATILITY),
        ({"volatility_ratio": 0.0}, LeverageReason.BAD_VOLATILITY_RATIO),
        ({"side": 2}, LeverageReason.BAD_SIDE),
        ({"sigma_ewma": math.nan}, LeverageReason.BAD_CAP_INPUT),
        ({"sigma_sample": 0.0}, LeverageReason.BAD_CAP_INPUT),
        ({"maintenance_rate": 1.0}, LeverageReason.BAD_CAP_INPUT),
        ({"maintenance_rate": -0.1}, LeverageReason.BAD_CAP_INPUT),
        ({"venue_cap": 0.0}, LeverageReason.BAD_CAP_INPUT),
        ({"client_class_cap": math.inf}, LeverageReason.BAD_CAP_INPUT),
        ({"holding_days": 0.0}, LeverageReason.BAD_CAP_INPUT),
        ({"opposite_zones": -1}, LeverageReason.BAD_CAP_INPUT),
        ({"is_stale": True}, LeverageReason.STALE_INPUT),
    ],
)
def test_each_bad_input_has_its_reason(change: dict[str, object], reason: LeverageReason) -> None:
    decision = choose_leverage(case=case(**change))
    assert decision.reasons == (reason,)
    assert (decision.leverage, decision.tier) == (1.0, 4)


def test_zero_conflict_and_zero_volatility_are_no_bad_input() -> None:
    assert choose_leverage(case=case(conflict=0.0, volatility=0.0)).tier == 1


def test_the_reasoning_holds_the_real_numbers() -> None:
    words = choose_leverage(case=case(venue_cap=1.25)).reasoning
    for piece in (
        "61,200",
        "2.40 ATR",
        "60,000",
        "82",
        "0.41",
        "1.40x",
        "1.25x",
        "venue",
        "tier 2",
    ):
        assert piece in words


def test_the_decision_keeps_its_inputs_and_the_limits_version() -> None:
    asked = case()
    decision = choose_leverage(case=asked, limits=Limits(version=7))
    assert decision.case is asked
    assert decision.limits_version == 7


def test_a_tighter_fund_limit_caps_leverage() -> None:
    strong = case(magnet_price=70_000.0, strength=99.0, conflict=0.0)
    decision = choose_leverage(case=strong, limits=Limits(leverage_max=Decimal("1.5")))
    assert decision.leverage == 1.5
    assert decision.binding_cap is CapName.FUND_LIMIT


prices = st.floats(min_value=1e-3, max_value=1e6)
strengths = st.floats(min_value=0.01, max_value=100.0)
ratios = st.floats(min_value=0.0, max_value=20.0)
distances = st.floats(min_value=0.0, max_value=10.0)
sigmas = st.floats(min_value=0.01, max_value=5.0)


@given(distances, strengths, ratios, ratios, ratios)
def test_leverage_never_rises_with_conflict_or_volatility(
    distance: float, strength: float, conflict: float, volatility: float, more: float
) -> None:
    base = leverage_core(distance, strength, conflict, volatility)[1]
    assert leverage_core(distance, strength, conflict + more, volatility)[1] <= base
    assert leverage_core(distance, strength, conflict, volatility + more)[1] <= base
    assert 1.0 <= base <= 3.0


@given(distances, strengths, ratios, ratios, distances, strengths)
def test_leverage_never_falls_with_strength_or_distance(
    distance: float,
    strength: float,
    conflict: float,
    volatility: float,
    further: float,
    stronger: float,
) -> None:
    base = leverage_core(distance, strength, conflict, volatility)[1]
    assert leverage_core(distance + further, strength, conflict, volatility)[1] >= base
    higher = min(100.0, strength + stronger)
    assert leverage_core(distance, higher, conflict, volatility)[1] >= base


@given(strengths, ratios, ratios, st.floats(min_value=3.0, max_value=1e9))
def test_distance_beyond_three_changes_nothing(
    strength: float, conflict: float, volatility: float, distance: float
) -> None:
    far = leverage_core(distance, strength, conflict, volatility)
    assert far == leverage_core(3.0, strength, conflict, volatility)


@given(prices, strengths, ratios, ratios, st.integers(min_value=-20, max_value=20))
def test_scaling_all_prices_changes_nothing(
    price: float, strength: float, conflict: float, volatility: float, power: int
) -> None:
    scale = 2.0**power
    plain = case(
        price=price,
        magnet_price=price * 1.02,
        atr=price * 0.01,
        strength=strength,
        conflict=conflict,
        volatility=volatility,
        volatility_ratio=None,
    )
    scaled = dataclasses.replace(
        plain, price=price * scale, magnet_price=price * 1.02 * scale, atr=price * 0.01 * scale
    )
    first, second = choose_leverage(case=plain), choose_leverage(case=scaled)
    assert (first.leverage, first.tier, first.raw_leverage) == (
        second.leverage,
        second.tier,
        second.raw_leverage,
    )


@given(
    st.sampled_from([1, -1]),
    sigmas,
    st.floats(min_value=0.0, max_value=0.2),
    st.floats(min_value=0.1, max_value=365.0),
    st.floats(min_value=0.0, max_value=3.0),
)
def test_liquidation_cap_never_rises_with_sigma_rate_or_time(
    side: int, sigma: float, rate: float, days: float, more: float
) -> None:
    base = liquidation_cap_core(side, sigma, rate, days / 365, Z_999_5)
    assert liquidation_cap_core(side, sigma + more, rate, days / 365, Z_999_5) <= base
    assert (
        liquidation_cap_core(side, sigma, min(0.9, rate + more / 10), days / 365, Z_999_5) <= base
    )
    assert liquidation_cap_core(side, sigma, rate, (days + more) / 365, Z_999_5) <= base


anything = st.one_of(st.none(), st.floats(allow_nan=True, allow_infinity=True), st.integers())


@given(st.tuples(*[anything] * 8))
def test_whatever_comes_in_leverage_stays_within_one_and_three(values: tuple[object, ...]) -> None:
    names = ("price", "magnet_price", "atr", "strength", "conflict", "volatility")
    asked = dict(zip(names, values, strict=False))
    wild = case(**asked, sigma_ewma=values[6], venue_cap=values[7])
    decision = choose_leverage(case=wild)
    assert 1.0 <= decision.leverage <= 3.0
    assert 0.0 <= decision.size_factor <= 1.0
    assert decision.tier in (1, 2, 3, 4)
    assert math.isfinite(decision.leverage)


def test_importing_the_decisions_needs_no_numba_pandas_or_scipy() -> None:
    import subprocess

    code = (
        "import sys, risk.domain.leverage, risk.domain.sizing, risk.domain.fuse, "
        "risk.domain.pretrade, risk.domain.limits; "
        "print([m for m in ('numba', 'pandas', 'scipy', 'numpy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
