"""Leverage at its edges: every field of a decision by hand, reasons, caps and their ties."""

from __future__ import annotations

import dataclasses
import math
from decimal import Decimal
from statistics import NormalDist

import pytest

from risk.domain.leverage import (
    CapName,
    CapStatus,
    EvidencePolicy,
    EvidenceState,
    LeverageCase,
    LeverageDecision,
    LeverageReason,
    choose_leverage,
    class_leverage_max,
    leverage_core,
    liquidation_cap_core,
)
from risk.domain.leverage.core import capped_core, volatility_cap_core
from risk.domain.limits import DEFAULT_LIMITS, Limits


def case(**changes: object) -> LeverageCase:
    """A long toward a magnet two ATR away: raw 2 x 0.9 / 1.2 = 1.5."""
    base = LeverageCase(
        price=100.0, magnet_price=104.0, atr=2.0, strength=90.0, conflict=0.15, volatility=0.05
    )
    return dataclasses.replace(base, **changes)  # type: ignore[arg-type]


def cap(decision: LeverageDecision, name: CapName) -> float | None:
    return next(item.value for item in decision.caps if item.name is name)


@pytest.mark.parametrize(
    ("kind", "most"),
    [
        ("cfd", 2.0),  # ESMA decision (EU) 2018/796: crypto at 2:1
        ("equity", 2.0),  # Federal Reserve Regulation T: half is paid
        ("spot", 1.0),  # nothing is borrowed
        ("linear_perpetual", None),
    ],
)
def test_the_class_of_an_instrument_caps_its_leverage(kind: str, most: float | None) -> None:
    assert class_leverage_max(kind) == most


def test_a_decision_by_hand() -> None:
    found = choose_leverage(case=case())
    assert found.raw_leverage == found.formula_leverage == pytest.approx(1.5)
    assert found.leverage == pytest.approx(1.5)
    assert (found.distance, found.strength_share) == (2.0, 0.9)
    assert (found.conflict, found.volatility, found.side) == (0.15, 0.05, 1)
    assert (found.tier, found.size_factor, found.is_high_tension) == (1, 1.0, False)
    assert (found.reasons, found.binding_cap, found.evidence_leverage) == ((), None, 1.0)
    bare = case()
    assert (bare.is_high_tension_proven, bare.is_stale) == (False, False)
    assert bare.evidence_policy is EvidencePolicy.ADVISORY


def test_a_refused_decision_by_hand() -> None:
    found = choose_leverage(case=case(price=0.0, side=-1))
    assert (found.raw_leverage, found.formula_leverage, found.leverage) == (0.0, 1.0, 1.0)
    assert (found.distance, found.strength_share, found.conflict, found.volatility) == (0.0,) * 4
    assert (found.side, found.tier, found.size_factor, found.is_high_tension) == (-1, 4, 0.0, False)
    assert (found.binding_cap, found.evidence_leverage) == (None, 1.0)
    assert [item.name for item in found.caps] == list(CapName)
    assert {item.status for item in found.caps} == {CapStatus.NOT_EVALUATED}
    assert choose_leverage(case=case(price=0.0)).side == 0
    assert choose_leverage(case=case(price=0.0, side=1)).side == 1
    assert choose_leverage(case=case(side=7)).side == 0


def test_the_distance_shown_ends_at_three() -> None:
    assert choose_leverage(case=case(magnet_price=150.0)).distance == 3.0
    assert choose_leverage(case=case(magnet_price=95.0)).distance == 2.5


@pytest.mark.parametrize(
    ("change", "reasons"),
    [
        ({"strength": 40.0}, {LeverageReason.BELOW_TIER_3, LeverageReason.FLOOR}),
        ({"conflict": 0.05}, {LeverageReason.HIGH_TENSION}),
        ({"magnet_price": 101.0}, {LeverageReason.FLOOR}),
        # Exactly 1 and exactly 2.5 are neither raised nor cut.
        ({"strength": 60.0, "volatility": 0.0, "conflict": 0.2}, set()),
        (
            {"magnet_price": 106.0, "strength": 100.0, "conflict": 0.2, "volatility": 0.0},
            set(),
        ),
        (
            {"magnet_price": 106.0, "strength": 100.0, "conflict": 0.15, "volatility": 0.0},
            {LeverageReason.CLAMPED},
        ),
        ({"venue_cap": 1.2}, {LeverageReason.CAPPED}),
        ({"venue_cap": 1.0}, {LeverageReason.CAPPED}),
        ({"venue_cap": 0.9}, {LeverageReason.CAPPED, LeverageReason.SIZE_REDUCED}),
        ({"opposite_zones": 2}, {LeverageReason.UNMAPPED_SIDE}),
        ({"opposite_zones": 3}, set()),
    ],
)
def test_each_reason_is_given_when_it_holds(
    change: dict[str, object], reasons: set[LeverageReason]
) -> None:
    assert set(choose_leverage(case=case(**change)).reasons) == reasons


def test_an_unmapped_side_has_the_formula_of_a_floor_and_no_tension() -> None:
    found = choose_leverage(case=case(conflict=0.0, opposite_zones=0))
    assert (found.formula_leverage, found.leverage, found.size_factor) == (1.0, 1.0, 1.0)


def test_without_a_ratio_the_tier_takes_one_plus_the_pressure() -> None:
    calm = {"strength": 95.0, "conflict": 0.1}
    assert choose_leverage(case=case(**calm, volatility=0.19)).tier == 1
    assert choose_leverage(case=case(**calm, volatility=0.21)).tier == 2
    assert choose_leverage(case=case(**calm, volatility=0.21, volatility_ratio=1.1)).tier == 1


def test_a_side_that_is_given_rules_over_the_one_that_is_read() -> None:
    read = case(sigma_ewma=0.8, maintenance_rate=0.004)
    given = dataclasses.replace(read, side=-1)
    assert (choose_leverage(case=read).side, choose_leverage(case=given).side) == (1, -1)
    name = CapName.LIQUIDATION_PROBABILITY
    below = dataclasses.replace(read, magnet_price=96.0)
    assert cap(choose_leverage(case=given), name) == cap(choose_leverage(case=below), name)
    assert choose_leverage(case=case(magnet_price=100.0)).side == 0


def test_a_cap_at_the_formula_does_not_bind_and_just_below_it_does() -> None:
    exact = choose_leverage(case=case())
    at_it = choose_leverage(case=case(venue_cap=exact.formula_leverage))
    assert (at_it.binding_cap, at_it.leverage) == (None, exact.leverage)
    below = choose_leverage(case=case(venue_cap=math.nextafter(exact.formula_leverage, 0.0)))
    assert below.binding_cap is CapName.VENUE


def test_of_two_equal_caps_the_first_is_named() -> None:
    found = choose_leverage(case=case(venue_cap=1.2, client_class_cap=1.2))
    assert found.binding_cap is CapName.VENUE
    assert [item.is_binding for item in found.caps] == [False] * 4 + [True, False]


def test_an_advisory_cap_stands_beside_and_never_acts() -> None:
    beside = case(evidence_policy=EvidencePolicy.ADVISORY, evidence_state=EvidenceState.UNPROVEN)
    found = choose_leverage(case=beside)
    assert (cap(found, CapName.EVIDENCE), found.binding_cap) == (1.0, None)
    assert {item.name: item.status for item in found.caps}[CapName.EVIDENCE] is CapStatus.ADVISORY
    off = choose_leverage(case=case(evidence_policy=EvidencePolicy.OFF))
    assert cap(off, CapName.EVIDENCE) is None


def test_the_liquidation_cap_by_hand() -> None:
    z = NormalDist().inv_cdf(1 - float(DEFAULT_LIMITS.liquidation_probability_max) / 2)
    asked = case(sigma_ewma=0.4, sigma_sample=0.5, maintenance_rate=0.0, holding_days=73.0)
    name = CapName.LIQUIDATION_PROBABILITY
    width = 0.5 * math.sqrt(0.2) * z
    assert cap(choose_leverage(case=asked), name) == pytest.approx(1 / (1 - math.exp(-width)))
    by_horizon = dataclasses.replace(asked, holding_days=None)
    width = 0.5 * math.sqrt(float(DEFAULT_LIMITS.liquidation_horizon_days) / 365) * z
    assert cap(choose_leverage(case=by_horizon), name) == pytest.approx(1 / (1 - math.exp(-width)))
    for missing in ("maintenance_rate", "sigma"):
        names = ("sigma_ewma", "sigma_sample") if missing == "sigma" else (missing,)
        unknown = dataclasses.replace(asked, **dict.fromkeys(names))
        assert cap(choose_leverage(case=unknown), name) is None
        simulated = dataclasses.replace(unknown, liquidation_cap_simulated=2.0)
        assert cap(choose_leverage(case=simulated), name) == 2.0
    larger = dataclasses.replace(asked, liquidation_cap_simulated=99.0)
    assert cap(choose_leverage(case=larger), name) == cap(choose_leverage(case=asked), name)


def test_a_small_volatility_is_a_volatility() -> None:
    limits = Limits(volatility_target=Decimal("0.5"))
    found = choose_leverage(case=case(sigma_sample=0.25, maintenance_rate=0.01), limits=limits)
    assert cap(found, CapName.VOLATILITY) == 2.0
    assert cap(found, CapName.LIQUIDATION_PROBABILITY) is not None
    assert cap(choose_leverage(case=case(), limits=limits), CapName.VOLATILITY) is None
    assert cap(choose_leverage(case=case(sigma_ewma=0.5)), CapName.VOLATILITY) is None


@pytest.mark.parametrize(
    "name",
    ["sigma_ewma", "liquidation_cap_simulated", "venue_cap", "client_class_cap", "holding_days"],
)
def test_half_is_a_number_for_every_cap_and_less_than_nothing_is_not(name: str) -> None:
    fine = choose_leverage(case=case(**{name: 0.5}))
    assert LeverageReason.BAD_CAP_INPUT not in fine.reasons
    bad = choose_leverage(case=case(**{name: -0.5}))
    assert bad.reasons == (LeverageReason.BAD_CAP_INPUT,)


def test_the_edges_of_what_may_be_asked() -> None:
    for change in (
        {"strength": 100.0},
        {"strength": 0.5},
        {"volatility_ratio": 0.5},
        {"maintenance_rate": 0.0},
        {"maintenance_rate": 0.99},
        {"price": 0.5, "magnet_price": 0.6, "atr": 0.1},
    ):
        assert choose_leverage(case=case(**change)).size_factor > 0.0
    every = choose_leverage(
        case=case(price=-1.0, atr=0.0, strength=0.0, conflict=-0.5, is_stale=True)
    )
    assert every.reasons == (
        LeverageReason.BAD_PRICE,
        LeverageReason.BAD_ATR,
        LeverageReason.BAD_STRENGTH,
        LeverageReason.BAD_CONFLICT,
        LeverageReason.STALE_INPUT,
    )


def test_the_cores_at_their_edges() -> None:
    assert volatility_cap_core(0.5, 0.0) == math.inf
    assert volatility_cap_core(0.5, -1.0) == math.inf
    assert volatility_cap_core(0.5, 0.25) == 2.0
    assert capped_core(2.0, 1.5) == (1.5, 1.0)
    assert capped_core(2.0, 3.0) == (2.0, 1.0)
    assert capped_core(2.0, 0.25) == (1.0, 0.25)
    # A drag on each side counts once, and the boost ends at three.
    raw, leverage, is_tense = leverage_core(2.0, 80.0, 0.25, 0.75)
    assert (raw, leverage, is_tense) == (0.8, 1.0, False)
    assert leverage_core(3.0, 75.0, 0.0, 0.0)[1] == pytest.approx(2.7)
    assert leverage_core(3.0, 90.0, 0.0, 0.0)[1] == 3.0


def test_the_liquidation_core_where_nothing_and_where_everything_binds() -> None:
    assert liquidation_cap_core(1, 0.0, 0.0, 1.0, 3.0) == math.inf
    assert liquidation_cap_core(-1, 0.0, 0.0, 1.0, 3.0) == math.inf
    assert liquidation_cap_core(1, 1e6, 0.01, 1.0, 3.0) == 1.0
    assert liquidation_cap_core(-1, 1e6, 0.01, 1.0, 3.0) == 0.0
    # 700 is still an exponent.
    assert liquidation_cap_core(-1, 700.0, 0.0, 1.0, 1.0) == pytest.approx(
        math.exp(-700.0), rel=1e-9, abs=0.0
    )
    assert liquidation_cap_core(1, 0.0, 0.5, 1.0, 3.0) == 2.0
    assert liquidation_cap_core(-1, 0.0, 0.5, 1.0, 3.0) == 2.0
    assert liquidation_cap_core(-1, 1.0, 0.5, 4.0, 0.5) == pytest.approx(1 / (1.5 * math.e - 1))


def test_without_a_volatility_or_a_chance_there_is_no_liquidation_cap() -> None:
    name = CapName.LIQUIDATION_PROBABILITY
    assert cap(choose_leverage(case=case(maintenance_rate=0.5)), name) is None
    never = Limits(liquidation_probability_max=Decimal(0))
    asked = case(sigma_ewma=0.5, maintenance_rate=0.01)
    assert cap(choose_leverage(case=asked, limits=never), name) is None


def test_a_case_without_a_direction_takes_the_tighter_cap_of_a_short() -> None:
    given = {"sigma_ewma": 0.8, "maintenance_rate": 0.004}
    name = CapName.LIQUIDATION_PROBABILITY
    flat = choose_leverage(case=case(magnet_price=100.0, **given))
    short = choose_leverage(case=case(side=-1, **given))
    assert (flat.side, cap(flat, name)) == (0, cap(short, name))
    assert liquidation_cap_core(0, 1e6, 0.01, 1.0, 3.0) == 0.0


def test_a_side_that_is_given_is_long_or_short() -> None:
    assert choose_leverage(case=case(side=1)).reasons == ()
    for side in (0, 2, -2):
        assert choose_leverage(case=case(side=side)).reasons == (LeverageReason.BAD_SIDE,)


def test_an_exponent_beyond_seven_hundred_counts_as_everything() -> None:
    # Relative alone: an absolute tolerance takes a figure this small for zero.
    nearly = liquidation_cap_core(-1, 699.5, 0.0, 1.0, 1.0)
    assert nearly == pytest.approx(math.exp(-699.5), rel=1e-9, abs=0.0)
    assert liquidation_cap_core(-1, 700.5, 0.0, 1.0, 1.0) == 0.0
