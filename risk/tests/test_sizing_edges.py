"""Sizing at its edges: each room by hand, what is refused, and figures of a trade that is none."""

from __future__ import annotations

import dataclasses
import math

import pytest

from risk.domain.limits import DEFAULT_LIMITS, StrategyLimits
from risk.domain.sizing import (
    SizeCap,
    SizingCase,
    SizingReason,
    lots_within_core,
    size_position,
)
from risk.domain.sizing.choose import compute_rooms
from risk.domain.sizing.comparisons import compare_sizing, compute_kelly_share
from risk.domain.sizing.core import (
    gap_loss_rate_core,
    is_stop_before_liquidation_core,
    liquidation_price_core,
    lots_core,
    stop_loss_rate_core,
)


def case(**changes: object) -> SizingCase:
    """100,000 of equity, a long at 100 with a stop at 98, 2x, tier 2, lots of 0.1."""
    base = SizingCase(
        equity=100_000.0, entry_price=100.0, stop_price=98.0, leverage=2.0, lot_units=0.1, tier=2
    )
    return dataclasses.replace(base, **changes)  # type: ignore[arg-type]


def test_every_room_by_hand() -> None:
    asked = case(
        size_factor=0.5,
        margin_open_instrument=3_000.0,
        margin_open_group=5_000.0,
        margin_open_total=20_000.0,
        gap_loss_open_instrument=1_000.0,
        gap_loss_open_book=4_000.0,
    )
    assert compute_rooms(case=asked, limits=DEFAULT_LIMITS) == pytest.approx(
        {
            SizeCap.RISK: 500.0,
            SizeCap.TIER_MARGIN: 5_000.0,
            SizeCap.POSITION_MARGIN: 8_500.0,
            SizeCap.GROUP_MARGIN: 7_500.0,
            SizeCap.TOTAL_MARGIN: 15_000.0,
            SizeCap.GAP_POSITION: 4_500.0,
            SizeCap.GAP_BOOK: 5_500.0,
        }
    )
    # The instrument is part of its group, so the group holds its margin at least.
    lone = case(margin_open_instrument=3_000.0)
    assert compute_rooms(case=lone, limits=DEFAULT_LIMITS)[SizeCap.GROUP_MARGIN] == 17_000.0


def test_the_notional_of_each_room_is_its_money_over_its_cost() -> None:
    asked = case(margin_open_instrument=30_000.0, fee_rate_in=0.0, fee_rate_out=0.0)
    shown = {room.cap: room for room in size_position(case=asked).rooms}
    # A unit loses 2 at the stop and 0.02 + 0.0196 of slippage; a quarter of 100 in its worst hour.
    assert shown[SizeCap.RISK].notional_max == pytest.approx(1_000 / 2.0396 * 100)
    assert shown[SizeCap.TIER_MARGIN].notional_max == pytest.approx(20_000.0)
    assert shown[SizeCap.GAP_POSITION].notional_max == pytest.approx(40_000.0)
    assert shown[SizeCap.GAP_BOOK].notional_max == pytest.approx(60_000.0)
    assert shown[SizeCap.POSITION_MARGIN].money == pytest.approx(-10_000.0)
    assert shown[SizeCap.POSITION_MARGIN].notional_max == 0.0
    assert [cap for cap, room in shown.items() if room.is_binding] == [SizeCap.POSITION_MARGIN]


def test_a_law_that_costs_nothing_bounds_nothing() -> None:
    asked = case(fee_rate_in=0.0, fee_rate_out=0.0, gap_rate_floor=0.0)
    decision = size_position(case=asked)
    shown = {room.cap: room.notional_max for room in decision.rooms}
    assert shown[SizeCap.GAP_POSITION] == shown[SizeCap.GAP_BOOK] == math.inf
    assert decision.gap_loss == 0.0


def test_a_law_that_costs_less_than_a_coin_still_bounds() -> None:
    asked = case(entry_price=0.5, stop_price=0.49, leverage=1.0)
    shown = {room.cap: room.notional_max for room in size_position(case=asked).rooms}
    assert shown[SizeCap.RISK] == pytest.approx(1_000 / (0.01 + 0.99 * 0.0007) * 0.5)


@pytest.mark.parametrize(("side", "after"), [(1, 1.0), (-1, 1.3)])
def test_the_loss_in_the_worst_hour_by_hand(side: int, after: float) -> None:
    shared = gap_loss_rate_core(200.0, side, 4.0, 0.3, 0.001, 0.002, False)
    isolated = gap_loss_rate_core(200.0, side, 4.0, 0.3, 0.001, 0.002, True)
    fees = 200 * 0.001 + 200 * after * 0.002
    assert shared == pytest.approx(60.0 + fees)
    assert isolated == pytest.approx(50.0 + fees)  # a quarter is all the wallet holds


def test_the_loss_at_the_stop_by_hand() -> None:
    found = stop_loss_rate_core(100.0, 90.0, 0.001, 0.002, 0.003, 0.004, 0.005)
    assert found == pytest.approx(10 + 100 * 0.003 + 90 * 0.007 + 100 * 0.005)
    assert stop_loss_rate_core(100.0, 110.0, 0.0, 0.0, 0.0, 0.0, -0.5) == pytest.approx(10.0)


def test_each_law_in_turn_sets_the_size_and_of_equals_the_first_is_named() -> None:
    for place, cap in enumerate(list(SizeCap)[1:]):
        rooms = [1000.0] * 7
        rooms[place] = 500.0
        # Price 100, 1x, a lot of 1; the stop and the gap cost 100 too.
        assert lots_core(100.0, 1.0, 1.0, 100.0, 100.0, *rooms) == (5, cap.value)
    assert lots_core(100.0, 1.0, 1.0, 100.0, 100.0, *[1000.0] * 7) == (10, SizeCap.RISK)
    assert lots_core(100.0, 4.0, 2.0, 10.0, 10.0, *[1000.0] * 7) == (20, SizeCap.TIER_MARGIN)
    assert lots_core(1.0, 1.0, 2.0, 1.0, 100.0, *[1000.0] * 7) == (5, SizeCap.GAP_POSITION)


def test_a_count_of_lots_ends_where_floats_count_no_further() -> None:
    assert lots_within_core(0.0, 0.0) == lots_within_core(-0.5, 0.0) == 0
    assert lots_within_core(1e300, 1e-5) == lots_within_core(1.0, 0.0) == 2**53
    assert lots_within_core(2.0**53, 1.0) == 2**53
    assert lots_within_core(2.0**53 - 1.0, 1.0) == 2**53 - 1
    assert lots_within_core(0.5, 0.25) == 2
    assert lots_within_core(1.0, -1.0) == 2**53
    # 0.3 / 0.1 is 2.99..., and 3 x 0.1 is a bit more than 0.3.
    assert lots_within_core(0.3, 0.1) == 2
    # 0.35 / 0.005 is 70 in float64, and 70 x 0.005 a bit more than 0.35.
    assert lots_within_core(0.35, 0.005) == 69


def test_liquidation_of_a_single_tier_by_hand() -> None:
    assert liquidation_price_core(100.0, 1, 4.0, 0.02) == pytest.approx(75 / 0.98)
    assert liquidation_price_core(100.0, -1, 4.0, 0.02) == pytest.approx(125 / 1.02)
    assert liquidation_price_core(100.0, 1, 0.5, 0.02) == 0.0
    assert is_stop_before_liquidation_core(100.0, 90.0, 80.0, 0.5)
    assert not is_stop_before_liquidation_core(100.0, 89.9, 80.0, 0.5)
    assert is_stop_before_liquidation_core(100.0, 110.0, 120.0, 0.5)


def test_no_trade_has_no_figures() -> None:
    none = size_position(case=case(tier=4, target_price=110.0))
    assert (none.lots, none.quantity, none.notional, none.margin, none.margin_share) == (0,) * 5
    assert (none.risk, none.risk_share, none.gap_loss, none.side) == (0,) * 4
    assert (none.reward, none.reward_risk, none.is_safe) == (None, None, False)
    assert (none.binding_cap, none.rooms) == (SizeCap.NONE, ())


def test_figures_of_a_trade_by_hand() -> None:
    found = size_position(case=case(target_price=106.0, funding_rate=0.001))
    # The margin of tier 2 allows 10,000 / 5 lots, the loss at the stop 1,000 / 0.22386.
    loss = 2 + 100 * 0.0007 + 98 * 0.0007 + 100 * 0.001
    lots = min(2_000, math.floor(1_000 / (0.1 * loss)))
    assert (found.lots, found.quantity) == (lots, pytest.approx(0.1 * lots))
    assert found.notional == pytest.approx(10.0 * lots)
    assert found.margin == pytest.approx(5.0 * lots)
    assert found.margin_share == pytest.approx(5.0 * lots / 100_000)
    assert found.risk == pytest.approx(0.1 * lots * loss)
    assert found.risk_share == pytest.approx(found.risk / 100_000)
    assert found.gap_loss == pytest.approx(0.1 * lots * (25 + 0.1))
    unit = 6.0 - 100 * 0.0007 - 106 * 0.0005 - 100 * 0.001
    assert found.reward == pytest.approx(0.1 * lots * unit)
    assert found.reward_risk == pytest.approx(unit / loss)
    # Funding that is received is no reward.
    paid = size_position(case=case(target_price=106.0, funding_rate=-0.5))
    assert paid.reward == pytest.approx(paid.quantity * (unit + 0.1))


def test_a_single_lot_under_the_minimum_says_so_and_one_at_it_is_a_trade() -> None:
    one = case(equity=60.0, lot_units=0.1)  # 6 of margin: one lot of 10 at 2x
    assert size_position(case=one).lots == 1
    assert size_position(case=dataclasses.replace(one, notional_min=10.0)).lots == 1
    refused = size_position(case=dataclasses.replace(one, notional_min=10.01))
    assert refused.reasons == (SizingReason.BELOW_MINIMUM,)


def test_liquidation_on_the_profit_side_contradicts_itself() -> None:
    for side, liquidation, is_safe in (
        (1, 101.0, False),
        (1, 100.0, False),
        (1, 90.0, True),
        (1, 0.0, True),
        (-1, 99.0, False),
        (-1, 0.5, False),
        (-1, 110.0, True),
    ):
        found = size_position(case=case(stop_price=100.0 - side, liquidation_price=liquidation))
        assert found.is_safe is is_safe
        if not is_safe:
            assert found.reasons == (SizingReason.STOP_BEYOND_LIQUIDATION,)


def test_a_strategy_may_keep_its_stop_nearer_than_the_fund_asks() -> None:
    asked = case(stop_price=92.0, liquidation_price=80.0)
    strict = StrategyLimits(stop_liquidation_share_max=DEFAULT_LIMITS.loss_at_stop_share * 30)
    assert size_position(case=asked).is_safe
    assert not size_position(case=dataclasses.replace(asked, strategy_limits=strict)).is_safe


@pytest.mark.parametrize("bad", [True, "1", None, 10**400, math.nan, -1.0, 0.0])
def test_what_is_no_positive_number_is_refused_wherever_one_is_needed(bad: object) -> None:
    for name, reason in (
        ("equity", SizingReason.NO_EQUITY),
        ("entry_price", SizingReason.BAD_ENTRY),
        ("stop_price", SizingReason.NO_STOP),
        ("lot_units", SizingReason.BAD_LOT),
    ):
        assert reason in size_position(case=case(**{name: bad})).reasons


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("fee_rate_in", SizingReason.BAD_COST),
        ("fee_rate_out", SizingReason.BAD_COST),
        ("slippage_rate_in", SizingReason.BAD_COST),
        ("gap_rate_floor", SizingReason.BAD_COST),
        ("risk_share", SizingReason.BAD_COST),
        ("maintenance_rate", SizingReason.BAD_COST),
        ("margin_open_instrument", SizingReason.BAD_BOOK),
        ("margin_open_group", SizingReason.BAD_BOOK),
        ("gap_loss_open_instrument", SizingReason.BAD_BOOK),
        ("notional_min", SizingReason.BAD_LOT),
        ("target_price", SizingReason.BAD_TARGET),
    ],
)
def test_a_figure_below_zero_is_refused(name: str, reason: SizingReason) -> None:
    assert size_position(case=case(**{name: -0.5})).reasons == (reason,)


def test_a_side_must_be_one_of_two_and_away_from_the_stop() -> None:
    assert size_position(case=case(side=1)).side == 1
    assert size_position(case=case(side=-1, stop_price=102.0)).side == -1
    for side, stop in ((1, 102.0), (-1, 98.0), (-2, 102.0), (2, 98.0)):
        found = size_position(case=case(side=side, stop_price=stop))
        assert found.reasons == (SizingReason.STOP_WRONG_SIDE,)


def test_all_that_is_wrong_is_said_at_once() -> None:
    found = size_position(case=case(equity=0.0, leverage=0.5, size_factor=2.0))
    assert found.reasons == (
        SizingReason.NO_EQUITY,
        SizingReason.BAD_LEVERAGE,
        SizingReason.BAD_SIZE_FACTOR,
    )


def test_the_default_costs_are_the_documented_ones() -> None:
    asked = case()
    assert (asked.fee_rate_in, asked.fee_rate_out) == (0.0005, 0.0005)
    assert (asked.slippage_rate_in, asked.slippage_rate_out) == (0.0002, 0.0002)
    assert (asked.gap_rate_floor, asked.stop_liquidation_share, asked.size_factor) == (0.25, 0.5, 1)
    zero = ("funding_rate", "gap_rate", "notional_min", "margin_open_instrument")
    zero += ("margin_open_group", "margin_open_total", "gap_loss_open_instrument")
    assert {getattr(asked, name) for name in (*zero, "gap_loss_open_book")} == {0.0}
    assert asked.is_isolated
    assert [cap.value for cap in SizeCap] == list(range(8))


@pytest.mark.parametrize(
    ("win_rate", "payoff", "share"),
    [
        (-0.5, 1.0, 0.0),
        (1.5, 1.0, 0.0),
        (0.0, 1.0, 0.0),
        (1.0, 2.0, 1.0),
        (0.5, 2.0, 0.25),
        (0.9, -1.0, 0.0),
        (0.9, 0.5, 0.7),
        (0.9, math.inf, 0.0),
    ],
)
def test_kelly_at_its_edges(win_rate: float, payoff: float, share: float) -> None:
    assert compute_kelly_share(win_rate=win_rate, payoff=payoff) == pytest.approx(share)


def test_a_comparison_by_hand_and_with_what_is_not_known() -> None:
    decision = size_position(case=case())
    kelly, target = compare_sizing(
        decision=decision, win_rate=0.5, payoff=2.0, sigma=0.5, volatility_target=0.25
    )
    # A quarter of Kelly's 25 % of equity at the stop.
    notional = 0.0625 * 100_000 * decision.notional / decision.risk
    assert kelly.notional == pytest.approx(notional)
    assert kelly.ratio == pytest.approx(decision.notional / notional)
    assert (target.notional, target.ratio) == (50_000.0, decision.notional / 50_000.0)
    no_edge = compare_sizing(decision=decision, win_rate=0.5, payoff=1.0)[0]
    assert (no_edge.notional, no_edge.ratio) == (0.0, None)
    for unknown in (
        {"win_rate": 0.5},
        {"payoff": 2.0},
        {"win_rate": 0.5, "payoff": 2.0, "kelly_share": 0.0},
        {"sigma": 0.5},
        {"volatility_target": 0.5},
        {"sigma": 0.0, "volatility_target": 0.5},
        {"sigma": -0.5, "volatility_target": 0.5},
        {"sigma": 0.5, "volatility_target": 0.0},
        {"sigma": 0.5, "volatility_target": -0.5},
    ):
        assert [found.notional for found in compare_sizing(decision=decision, **unknown)] == [
            None,
            None,
        ]
    none = size_position(case=case(tier=4))
    assert compare_sizing(decision=none, win_rate=0.5, payoff=2.0)[0].notional is None


def test_prices_that_differ_by_less_than_a_coin_are_still_told_apart() -> None:
    assert size_position(case=case(side=1, stop_price=99.5)).is_safe
    near = case(stop_price=99.9, liquidation_price=99.5)
    assert size_position(case=near).is_safe
    assert not size_position(case=dataclasses.replace(near, liquidation_price=100.5)).is_safe
    # A short that nothing liquidates.
    assert size_position(case=case(stop_price=102.0, liquidation_price=0.0)).is_safe


def test_a_room_of_a_few_cents_is_room_for_less_than_a_lot() -> None:
    for equity in (30.0, 5.0):  # three of margin, five cents of loss at the stop
        assert size_position(case=case(equity=equity)).reasons == (SizingReason.BELOW_LOT,)
    small = compare_sizing(decision=size_position(case=case()), sigma=0.5, volatility_target=1e-6)
    assert small[1].notional == pytest.approx(0.2)
    assert small[1].ratio is not None


def test_a_cap_has_a_stable_word() -> None:
    assert [cap.code for cap in (SizeCap.RISK, SizeCap.GAP_BOOK)] == ["risk", "gap_book"]


def test_a_decision_tells_the_liquidation_price_of_its_maintenance_rate() -> None:
    assert size_position(case=case(maintenance_rate=0.02)).liquidation_price == pytest.approx(
        50 / 0.98
    )
