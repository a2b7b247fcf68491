"""Sizing: every law, which one binds, whole lots, and the laws that hold for any case (SIZ-1)."""

from __future__ import annotations

import dataclasses
import math
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from risk.domain.limits import OPTION_STRATEGY_LIMITS, Limits, StrategyLimits
from risk.domain.sizing import (
    SizeCap,
    SizingCase,
    SizingDecision,
    SizingReason,
    liquidation_price_core,
    lots_within_core,
    size_position,
)
from risk.domain.sizing.comparisons import compare_sizing, compute_kelly_share

EQUITY = 430_000.0


def case(**changes: object) -> SizingCase:
    """A long at 60,000 with a stop 2 % away, tier 1, 1.0x, lots of 0.001."""
    base = SizingCase(
        equity=EQUITY,
        entry_price=60_000.0,
        stop_price=58_800.0,
        leverage=1.0,
        lot_units=0.001,
        tier=1,
        notional_min=5.0,
        maintenance_rate=0.004,
    )
    return dataclasses.replace(base, **changes)  # type: ignore[arg-type]


def assert_within_every_law(decision: SizingDecision) -> None:
    asked = decision.case
    equity = asked.equity
    assert decision.risk <= 0.01 * equity
    assert decision.margin <= 0.20 * equity - asked.margin_open_instrument
    assert decision.margin <= 0.50 * equity - asked.margin_open_total
    assert decision.gap_loss <= 0.10 * equity
    assert decision.gap_loss <= 0.15 * equity - asked.gap_loss_open_book
    if asked.tier is not None:
        assert decision.margin <= {1: 0.15, 2: 0.10, 3: 0.05, 4: 0.0}[asked.tier] * equity
    assert decision.lots >= 0
    assert isinstance(decision.lots, int)


@pytest.mark.parametrize(("tier", "share"), [(1, 0.15), (2, 0.10), (3, 0.05)])
def test_the_tier_margin_binds_on_a_plain_trade(tier: int, share: float) -> None:
    decision = size_position(case=case(tier=tier))
    assert decision.binding_cap is SizeCap.TIER_MARGIN
    # 64,500 / 60 a lot = 1,075 lots exactly, and so on.
    assert decision.lots == math.floor(share * EQUITY / 60.0)
    assert decision.margin_share == pytest.approx(share, abs=0.0002)
    assert decision.notional == pytest.approx(decision.margin * 1.0)


def test_tier_four_commits_nothing() -> None:
    decision = size_position(case=case(tier=4))
    assert decision.lots == 0
    assert not decision.is_safe
    assert decision.reasons == (SizingReason.TIER_FOUR,)


def test_without_a_tier_the_position_limit_binds() -> None:
    decision = size_position(case=case(tier=None, stop_price=59_700.0))
    assert decision.lots == math.floor(0.2 * EQUITY / 60.0)
    assert decision.binding_cap in (SizeCap.TIER_MARGIN, SizeCap.POSITION_MARGIN)


def test_loss_at_stop_counts_fees_slippage_and_funding() -> None:
    # By hand, a unit: 6,000 + 60,000*0.0007 + 54,000*0.0007 + 60,000*0.003 = 6,259.8.
    decision = size_position(case=case(stop_price=54_000.0, funding_rate=0.003, leverage=2.0))
    assert decision.binding_cap is SizeCap.RISK
    assert decision.lots == math.floor(4_300.0 / 6.2598)
    assert decision.risk == pytest.approx(decision.quantity * 6_259.8)
    assert decision.risk_share <= 0.01


def test_expected_funding_received_does_not_enlarge_a_trade() -> None:
    wide = case(stop_price=54_000.0, leverage=2.0)
    paid = size_position(case=wide).lots
    assert size_position(case=dataclasses.replace(wide, funding_rate=-0.01)).lots == paid


def test_own_risk_share_makes_the_trade_smaller_never_larger() -> None:
    wide = case(stop_price=54_000.0, leverage=2.0)
    full = size_position(case=wide).lots
    assert size_position(case=dataclasses.replace(wide, risk_share=0.0035)).lots < 0.36 * full
    assert size_position(case=dataclasses.replace(wide, risk_share=0.02)).lots == full


def test_the_gap_law_caps_one_position_at_forty_percent_of_equity() -> None:
    # 10 % / 25 % floor = 40.0 % of equity without costs; fees bring it just under.
    decision = size_position(case=case(leverage=3.0, stop_price=59_400.0))
    assert decision.binding_cap is SizeCap.GAP_POSITION
    assert decision.notional / EQUITY == pytest.approx(0.40, abs=0.002)
    assert decision.gap_loss <= 0.10 * EQUITY
    measured = size_position(case=case(leverage=3.0, stop_price=59_400.0, gap_rate_floor=0.245))
    assert measured.notional / EQUITY == pytest.approx(0.408, abs=0.002)


def test_the_book_gap_law_leaves_what_the_open_book_did_not_use() -> None:
    decision = size_position(
        case=case(leverage=3.0, stop_price=59_400.0, gap_loss_open_book=0.10 * EQUITY)
    )
    assert decision.binding_cap is SizeCap.GAP_BOOK
    assert decision.gap_loss <= 0.05 * EQUITY


def test_the_larger_of_measured_gap_and_class_floor_counts() -> None:
    near = case(leverage=3.0, stop_price=59_400.0)
    worse = dataclasses.replace(near, gap_rate=0.28)
    assert size_position(case=worse).lots < size_position(case=near).lots
    milder = dataclasses.replace(near, gap_rate=0.10)
    assert size_position(case=milder).lots == size_position(case=near).lots


def test_a_shared_wallet_loses_the_whole_gap() -> None:
    isolated = case(leverage=3.0, stop_price=59_400.0, gap_rate=0.5)
    cross = dataclasses.replace(isolated, is_isolated=False)
    assert size_position(case=cross).lots < size_position(case=isolated).lots


def test_group_and_total_margin_leave_what_is_free() -> None:
    group = size_position(case=case(margin_open_group=0.18 * EQUITY))
    assert group.binding_cap is SizeCap.GROUP_MARGIN
    assert group.margin <= 0.02 * EQUITY + 1e-9
    total = size_position(case=case(margin_open_total=0.49 * EQUITY))
    assert total.binding_cap is SizeCap.TOTAL_MARGIN
    assert total.margin <= 0.01 * EQUITY + 1e-9
    position = size_position(case=case(margin_open_instrument=0.19 * EQUITY))
    assert position.binding_cap is SizeCap.POSITION_MARGIN


def test_a_used_up_limit_is_no_trade_with_the_limit_named() -> None:
    decision = size_position(case=case(margin_open_total=0.5 * EQUITY))
    assert decision.reasons == (SizingReason.NO_ROOM,)
    assert decision.binding_cap is SizeCap.TOTAL_MARGIN
    assert "all positions" in decision.reasoning


def test_below_the_minimum_notional_is_no_trade_never_rounded_up() -> None:
    small = case(equity=1_000.0, notional_min=100.0, lot_units=0.0001)
    assert size_position(case=small).lots == 25  # 150 of margin at 6 a lot
    refused = size_position(case=dataclasses.replace(small, notional_min=150.01))
    assert refused.lots == 0
    assert refused.reasons == (SizingReason.BELOW_MINIMUM,)
    exact = size_position(case=dataclasses.replace(small, notional_min=149.0))
    assert exact.lots == 25


def test_less_than_a_lot_is_no_trade() -> None:
    decision = size_position(case=case(equity=300.0))
    assert decision.reasons == (SizingReason.BELOW_LOT,)


@pytest.mark.parametrize(
    ("stop", "is_safe"), [(49_999.0, False), (50_000.0, True), (50_001.0, True)]
)
def test_the_stop_lies_within_half_the_way_to_liquidation(stop: float, is_safe: bool) -> None:
    decision = size_position(case=case(stop_price=stop, leverage=2.0, liquidation_price=40_000.0))
    assert decision.is_safe is is_safe
    if not is_safe:
        assert decision.reasons == (SizingReason.STOP_BEYOND_LIQUIDATION,)


def test_a_strategy_may_ask_for_sixty_percent_but_no_more() -> None:
    asked = case(stop_price=48_000.0, leverage=2.0, liquidation_price=40_000.0)
    assert not size_position(case=asked).is_safe
    assert size_position(case=dataclasses.replace(asked, stop_liquidation_share=0.6)).is_safe
    beyond = dataclasses.replace(asked, stop_price=47_000.0, stop_liquidation_share=0.9)
    assert not size_position(case=beyond).is_safe


@pytest.mark.parametrize(
    ("leverage", "side", "move"),
    [(2.0, 1, -0.498), (2.5, 1, -0.398), (3.0, 1, -0.331), (3.0, -1, 0.328)],
)
def test_liquidation_distances_of_the_all_in_form(leverage: float, side: int, move: float) -> None:
    # Published at mmr 0.4 %: 2x -49.8 %, 2.5x -39.8 %, 3x -33.1 %, 3x short +32.8 %.
    price = liquidation_price_core(100.0, side, leverage, 0.004)
    assert price / 100.0 - 1.0 == pytest.approx(move, abs=0.0006)


def test_a_short_at_one_x_still_has_a_liquidation_price() -> None:
    assert liquidation_price_core(100.0, -1, 1.0, 0.004) == pytest.approx(199.2, abs=0.05)
    assert liquidation_price_core(100.0, 1, 1.0, 0.004) == 0.0


def test_unknown_liquidation_is_said() -> None:
    decision = size_position(case=case(maintenance_rate=None))
    assert SizingReason.LIQUIDATION_NOT_EVALUATED in decision.reasons
    assert decision.liquidation_price is None
    assert "not evaluated" in decision.reasoning


def test_a_short_is_read_from_its_stop() -> None:
    decision = size_position(case=case(stop_price=61_200.0, target_price=55_000.0))
    assert decision.side == -1
    assert decision.is_safe
    assert decision.reward is not None
    assert decision.reward > 0


def test_the_size_factor_shrinks_the_whole_trade() -> None:
    full = size_position(case=case(lot_units=1e-6)).lots
    reduced = size_position(case=case(lot_units=1e-6, size_factor=0.6)).lots
    assert reduced == pytest.approx(0.6 * full, rel=1e-5)
    assert size_position(case=case(size_factor=0.0)).reasons == (SizingReason.NO_ROOM,)


def test_option_strategies_stand_under_the_stricter_figure() -> None:
    asked = case(tier=None, strategy_limits=OPTION_STRATEGY_LIMITS, stop_price=59_700.0)
    decision = size_position(case=asked)
    assert decision.margin_share <= 0.05  # their 5 % position, not the fund's 20 %
    wide = dataclasses.replace(asked, stop_price=40_000.0)
    assert size_position(case=wide).risk_share <= 0.01  # the fund's 1 %, not their 2 %


def test_reward_and_ratio_are_after_costs() -> None:
    decision = size_position(case=case(target_price=62_400.0))
    unit = 2_400.0 - 60_000.0 * 0.0007 - 62_400.0 * 0.0005
    assert decision.reward == pytest.approx(decision.quantity * unit)
    assert decision.reward_risk == pytest.approx(decision.reward / decision.risk)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"equity": 0.0}, SizingReason.NO_EQUITY),
        ({"equity": math.nan}, SizingReason.NO_EQUITY),
        ({"entry_price": -1.0}, SizingReason.BAD_ENTRY),
        ({"stop_price": None}, SizingReason.NO_STOP),
        ({"stop_price": 60_000.0}, SizingReason.NO_STOP),
        ({"stop_price": math.inf}, SizingReason.NO_STOP),
        ({"side": -1}, SizingReason.STOP_WRONG_SIDE),
        ({"side": 0}, SizingReason.STOP_WRONG_SIDE),
        ({"target_price": 0.0}, SizingReason.BAD_TARGET),
        ({"leverage": 0.9999}, SizingReason.BAD_LEVERAGE),
        ({"leverage": 3.0001}, SizingReason.BAD_LEVERAGE),
        ({"leverage": math.nan}, SizingReason.BAD_LEVERAGE),
        ({"size_factor": 1.0001}, SizingReason.BAD_SIZE_FACTOR),
        ({"size_factor": -0.1}, SizingReason.BAD_SIZE_FACTOR),
        ({"fee_rate_in": -0.1}, SizingReason.BAD_COST),
        ({"slippage_rate_out": math.nan}, SizingReason.BAD_COST),
        ({"gap_rate": math.inf}, SizingReason.BAD_COST),
        ({"funding_rate": math.nan}, SizingReason.BAD_COST),
        ({"risk_share": 0.0}, SizingReason.BAD_COST),
        ({"maintenance_rate": 1.0}, SizingReason.BAD_COST),
        ({"liquidation_price": -1.0}, SizingReason.BAD_COST),
        ({"stop_liquidation_share": 0.0}, SizingReason.BAD_COST),
        ({"margin_open_total": -1.0}, SizingReason.BAD_BOOK),
        ({"gap_loss_open_book": math.nan}, SizingReason.BAD_BOOK),
        ({"lot_units": 0.0}, SizingReason.BAD_LOT),
        ({"notional_min": math.nan}, SizingReason.BAD_LOT),
    ],
)
def test_bad_input_is_no_trade_with_its_reason(
    change: dict[str, object], reason: SizingReason
) -> None:
    decision = size_position(case=case(**change))
    assert decision.reasons == (reason,)
    assert (decision.lots, decision.is_safe, decision.notional) == (0, False, 0.0)


def test_leverage_of_exactly_one_and_three_is_sized() -> None:
    assert size_position(case=case(leverage=1.0)).is_safe
    assert size_position(case=case(leverage=3.0)).is_safe


def test_tighter_limits_give_a_smaller_trade() -> None:
    limits = Limits(version=3, margin_share_tier_1=Decimal("0.03"))
    decision = size_position(case=case(), limits=limits)
    assert decision.margin_share <= 0.03
    assert decision.limits_version == 3


def test_lots_within_stops_at_the_edge() -> None:
    assert lots_within_core(100.0, 10.0) == 10
    assert lots_within_core(math.nextafter(100.0, 0.0), 10.0) == 9
    assert lots_within_core(math.nextafter(100.0, 200.0), 10.0) == 10
    assert lots_within_core(0.0, 10.0) == 0
    assert lots_within_core(-1.0, 10.0) == 0
    assert lots_within_core(math.nan, 10.0) == 0


money = st.floats(min_value=1_000.0, max_value=1e9)
shares = st.floats(min_value=0.0, max_value=0.3)


@st.composite
def cases(draw: st.DrawFn) -> SizingCase:
    entry = draw(st.floats(min_value=0.01, max_value=1e5))
    side = draw(st.sampled_from([1, -1]))
    equity = draw(money)
    return SizingCase(
        equity=equity,
        entry_price=entry,
        stop_price=entry * (1.0 - side * draw(st.floats(min_value=0.0005, max_value=0.4))),
        leverage=draw(st.floats(min_value=1.0, max_value=3.0)),
        lot_units=draw(st.sampled_from([1e-5, 0.001, 0.01, 1.0])),
        tier=draw(st.sampled_from([None, 1, 2, 3])),
        fee_rate_in=draw(st.floats(min_value=0.0, max_value=0.01)),
        fee_rate_out=draw(st.floats(min_value=0.0, max_value=0.01)),
        slippage_rate_in=draw(st.floats(min_value=0.0, max_value=0.01)),
        slippage_rate_out=draw(st.floats(min_value=0.0, max_value=0.01)),
        funding_rate=draw(st.floats(min_value=-0.01, max_value=0.01)),
        gap_rate=draw(st.floats(min_value=0.0, max_value=0.9)),
        is_isolated=draw(st.booleans()),
        margin_open_total=equity * draw(shares),
        gap_loss_open_book=equity * draw(shares) / 3.0,
    )


@given(cases())
def test_no_law_is_ever_broken_by_the_rounded_size(asked: SizingCase) -> None:
    decision = size_position(case=asked)
    assert_within_every_law(decision)
    if decision.is_safe:
        one_more = decision.lots + 1
        room = {item.cap: item for item in decision.rooms}[decision.binding_cap]
        cost = {
            SizeCap.RISK: decision.risk,
            SizeCap.GAP_POSITION: decision.gap_loss,
            SizeCap.GAP_BOOK: decision.gap_loss,
        }.get(decision.binding_cap, decision.margin)
        # The binding law would not let one more lot pass (up to the last bit).
        assert cost / decision.lots * one_more >= room.money * (1.0 - 1e-12)


@given(cases(), st.floats(min_value=0.0, max_value=0.2), st.floats(min_value=1.0, max_value=5.0))
def test_size_never_rises_with_stop_distance_cost_or_gap(
    asked: SizingCase, more: float, factor: float
) -> None:
    base = size_position(case=asked).lots
    assert asked.stop_price is not None
    further = asked.entry_price + (asked.stop_price - asked.entry_price) * factor
    if further > 0:
        wider = dataclasses.replace(asked, stop_price=further)
        assert size_position(case=wider).lots <= base
    for name in ("fee_rate_in", "fee_rate_out", "slippage_rate_in", "slippage_rate_out"):
        dearer = dataclasses.replace(asked, **{name: getattr(asked, name) + more})
        assert size_position(case=dearer).lots <= base
    gappier = dataclasses.replace(asked, gap_rate=asked.gap_rate + more)
    assert size_position(case=gappier).lots <= base


@given(cases(), st.floats(min_value=1.0, max_value=10.0))
def test_more_equity_and_nothing_else_never_shrinks_the_trade(
    asked: SizingCase, factor: float
) -> None:
    richer = dataclasses.replace(asked, equity=asked.equity * factor)
    assert size_position(case=richer).lots >= size_position(case=asked).lots


def test_kelly_of_a_binary_bet() -> None:
    # p - q/b: 60 % at 1:1 is 20 %; 75 % wins with a 1:3 payoff has no edge.
    assert compute_kelly_share(win_rate=0.6, payoff=1.0) == pytest.approx(0.2)
    assert compute_kelly_share(win_rate=0.75, payoff=1 / 3) == pytest.approx(0.0)
    assert compute_kelly_share(win_rate=0.4, payoff=1.0) == 0.0
    assert compute_kelly_share(win_rate=math.nan, payoff=1.0) == 0.0
    assert compute_kelly_share(win_rate=0.6, payoff=0.0) == 0.0


def test_comparisons_stand_beside_the_decision() -> None:
    decision = size_position(case=case(stop_price=54_000.0, leverage=2.0))
    kelly, target = compare_sizing(
        decision=decision, win_rate=0.6, payoff=1.0, sigma=0.8, volatility_target=0.2
    )
    # A quarter of 20 % is 5 % of equity at the stop, five times the 1 % taken.
    assert kelly.ratio == pytest.approx(0.2, rel=0.01)
    assert target.notional == pytest.approx(EQUITY * 0.25)
    half = compare_sizing(decision=decision, win_rate=0.6, payoff=1.0, kelly_share=0.9)[0]
    assert half.notional == pytest.approx(2.0 * (kelly.notional or 0.0))
    assert compare_sizing(decision=decision)[0].notional is None
    assert compare_sizing(decision=decision)[1].notional is None


def test_strategy_limits_must_be_positive() -> None:
    with pytest.raises(ValueError, match="loss_at_stop_share"):
        StrategyLimits(loss_at_stop_share=Decimal(0))
