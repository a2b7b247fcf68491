"""Stress of a book: what known days do to it, by hand, by candles and by law."""

from __future__ import annotations

import math
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from magnetfund.kernel.errors import InvalidInput
from risk.domain.fuse.thresholds import compute_loss_threshold
from risk.domain.margin import build_tiers, compute_liquidation_price, flat_tier
from risk.domain.stress import (
    StressBook,
    StressPosition,
    StressScenario,
    build_event_scenarios,
    build_grid_scenarios,
    build_scenarios,
    build_shock_scenarios,
    compute_equity,
    compute_stress,
    compute_stresses,
    move_of,
)

pytestmark = pytest.mark.slow

EVENTS = {scenario.name: scenario for scenario in build_event_scenarios()}
SHOCKS = {scenario.name: scenario for scenario in build_shock_scenarios()}
TIERS = build_tiers(caps=(20_000, 200_000, 1_000_000), rates=(0.004, 0.012, 0.03))


def all_in(*, leverage: float, side: int = 1, asset: str = "BTC", **more: object) -> StressBook:
    """100 of equity, all of it the isolated margin of one position, maintenance 0.4 %."""
    position = StressPosition(
        name="only",
        asset=asset,
        side=side,
        quantity=leverage,
        entry_price=100.0,
        mark_price=100.0,
        tiers=flat_tier(rate=0.004),
        isolated_wallet=100.0,
        **more,
    )
    return StressBook(positions=(position,))


def fall(move: float) -> StressScenario:
    return StressScenario(name="fall", title="A fall", move_others=move)


@pytest.mark.parametrize(
    ("leverage", "event", "survives"),
    [
        (2.0, "btc-2020-03-12-low", True),
        (2.0, "btc-2020-03-12-48h-low", False),
        (2.5, "btc-2020-03-12-low", False),
        (3.0, "btc-2020-03-12-low", False),
        (1.0, "btc-2020-03-12-48h-low", True),
        # What the close alone would have told: a stress by closes misses the liquidation.
        (2.5, "btc-2020-03-12-close", True),
        (3.0, "btc-2020-03-12-close", False),
        (3.0, "btc-2020-03-12-hour", True),
        (3.0, "btc-2021-05-19-low", True),
    ],
)
def test_a_2x_long_survives_the_low_of_12_march_2020_but_not_48_hours_and_2_5x_not_the_day(
    leverage: float, event: str, survives: bool
) -> None:
    result = compute_stress(book=all_in(leverage=leverage), scenario=EVENTS[event])
    assert (result.liquidations == ()) is survives
    assert (result.equity_after > 0.0) is survives


@pytest.mark.parametrize("leverage", [3.0, 4.0])
def test_a_short_meets_the_best_hour(leverage: float) -> None:
    """A 3x short is liquidated at +32.8 %, beyond the best hour of +27.7 %; a 4x short before."""
    result = compute_stress(
        book=all_in(leverage=leverage, side=-1), scenario=EVENTS["btc-best-hour"]
    )
    assert bool(result.liquidations) is (leverage == 4.0)


@pytest.mark.real_data
def test_the_shipped_moves_are_those_of_the_candles(real_data: Path) -> None:
    table = pd.read_parquet(real_data / "candles/binance-spot-BTCUSDT-1h-2017-2024.parquet")
    candles = table.set_index(pd.to_datetime(table["date"], utc=True))
    before = candles["close"].shift(1)
    for day, moves in {
        "2020-03-12": {"low": -0.444, "close": -0.395, "48h-low": -0.523, "hour": -0.245},
        "2021-05-19": {"low": -0.300, "close": -0.144, "hour": -0.161},
    }.items():
        start = pd.Timestamp(day, tz="UTC")
        hours = candles.loc[start : start + pd.Timedelta("23h")]
        two_days = candles.loc[start : start + pd.Timedelta("47h")]
        base = before.loc[start]
        found = {
            "low": hours["low"].min() / base - 1,
            "close": hours["close"].iloc[-1] / base - 1,
            "48h-low": two_days["low"].min() / base - 1,
            "hour": (hours["low"] / before.loc[hours.index] - 1).min(),
        }
        for kind, move in moves.items():
            assert move_of(scenario=EVENTS[f"btc-{day}-{kind}"], asset="BTC") == move
            assert found[kind] == pytest.approx(move, abs=6e-4)
    calm = candles.loc["2017-10":"2021-06"]
    best = (calm["high"] / before.loc[calm.index] - 1).max()
    assert move_of(scenario=EVENTS["btc-best-hour"], asset="BTC") == pytest.approx(best, abs=6e-4)


@pytest.mark.real_data
def test_the_worst_hour_of_ether_is_that_of_the_candles(real_data: Path) -> None:
    table = pd.read_parquet(real_data / "candles/binance-spot-ETHUSDT-1h-2020-2025.parquet")
    candles = table.set_index(pd.to_datetime(table["date"], utc=True)).loc[
        "2021-05-18":"2021-05-19"
    ]
    before = candles["close"].shift(1)
    day = candles.loc["2021-05-19"]
    hour = (day["low"] / before.loc[day.index] - 1).min()
    low = day["low"].min() / before.loc[day.index].iloc[0] - 1
    assert move_of(scenario=EVENTS["eth-2021-05-19-hour"], asset="ETH") == pytest.approx(
        hour, abs=6e-4
    )
    assert move_of(scenario=EVENTS["eth-2021-05-19-low"], asset="ETH") == pytest.approx(
        low, abs=6e-4
    )


def test_the_events_are_those_of_the_published_days() -> None:
    """In per cent: BTC, ETH and everything else, as each day is told."""
    told = {
        "btc-2020-03-12-low": (-44.4, -48.0, -44.4),
        "btc-2020-03-12-close": (-39.5, -39.5, -39.5),
        "btc-2020-03-12-48h-low": (-52.3, -52.3, -52.3),
        "btc-2020-03-12-hour": (-24.5, -24.5, -24.5),
        "btc-2021-05-19-low": (-30.0, -44.1, -30.0),
        "btc-2021-05-19-close": (-14.4, -14.4, -14.4),
        "btc-2021-05-19-hour": (-16.1, -28.0, -16.1),
        "btc-2025-10-10-low": (-16.2, -16.2, -16.2),
        "btc-2025-10-10-hour": (-10.7, -10.7, -10.7),
        "eth-2020-03-12-low": (-44.4, -48.0, -48.0),
        "eth-2021-05-19-low": (-30.0, -44.1, -44.1),
        "eth-2021-05-19-hour": (-16.1, -28.0, -28.0),
        "btc-2022-11-08": (-25.0, -25.0, -25.0),
        "sp500-1987-10-19": (-20.47, -20.47, -20.47),
        "sp500-2008-10-15": (-9.03, -9.03, -9.03),
        "btc-best-hour": (27.7, 27.7, 27.7),
        "btc-gap-down": (-2.3, -2.3, -2.3),
        "btc-gap-up": (2.3, 2.3, 2.3),
    }
    shipped = {
        name: tuple(100 * move_of(scenario=event, asset=asset) for asset in ("BTC", "ETH", "SOL"))
        for name, event in EVENTS.items()
    }
    assert shipped == {name: pytest.approx(moves) for name, moves in told.items()}


def test_events_pull_every_other_asset_along() -> None:
    crash = EVENTS["btc-2020-03-12-low"]
    assert [move_of(scenario=crash, asset=asset) for asset in ("BTC", "ETH", "SOL")] == [
        -0.444,
        -0.480,
        -0.444,
    ]


def test_what_ships_has_names_of_its_own_and_a_grid_from_worst_to_best() -> None:
    scenarios = build_scenarios()
    assert len({scenario.name for scenario in scenarios}) == len(scenarios)
    assert [scenario.move_others for scenario in build_grid_scenarios()] == [
        -0.3,
        -0.2,
        -0.1,
        0.1,
        0.2,
        0.3,
    ]


@pytest.mark.parametrize("steps", [(), (0.0,), (0.1, 1.0), (-0.1,)])
def test_a_grid_refuses_steps_that_are_no_fall(steps: tuple[float, ...]) -> None:
    with pytest.raises(InvalidInput) as refusal:
        build_grid_scenarios(steps=steps)
    assert refusal.value.code == "bad_move"


# --- margin -----------------------------------------------------------------------------------


def two_longs(*, cross_wallet: float, liquidation_fee_rate: float) -> StressBook:
    shared = {
        "side": 1,
        "tiers": flat_tier(rate=0.01),
        "close_fee_rate": 0.0,
        "liquidation_fee_rate": liquidation_fee_rate,
    }
    return StressBook(
        positions=(
            StressPosition(
                name="ether", asset="ETH", quantity=10, entry_price=100, mark_price=100, **shared
            ),
            StressPosition(
                name="bitcoin",
                asset="BTC",
                quantity=1,
                entry_price=10_000,
                mark_price=10_000,
                **shared,
            ),
        ),
        cross_wallet=cross_wallet,
    )


def test_a_cross_account_closes_its_worst_position_first_and_keeps_the_rest_if_that_is_enough() -> (
    None
):
    """By hand: value 1,100 - 1,050 - 10 = 40 against 89.5 + 9.9; after BTC 32.1 - 10 > 9.9."""
    result = compute_stress(
        book=two_longs(cross_wallet=1_100, liquidation_fee_rate=0.002),
        scenario=StressScenario(
            name="split", title="BTC falls, ETH hardly", moves=(("BTC", -0.105), ("ETH", -0.01))
        ),
    )
    assert [one.name for one in result.liquidations] == ["bitcoin"]
    assert result.liquidations[0].margin_level == pytest.approx(40 / 99.4)
    assert result.liquidation_cost == pytest.approx(17.9)
    assert result.equity_after == pytest.approx(22.1)


def test_a_gap_through_the_whole_cross_wallet_is_disclosed() -> None:
    """By hand: 1,000 - 900 - 113.75 - 50 - 11.875 = -75.625."""
    result = compute_stress(
        book=two_longs(cross_wallet=1_000, liquidation_fee_rate=0.0125),
        scenario=StressScenario(
            name="both", title="Both fall", moves=(("BTC", -0.09), ("ETH", -0.05))
        ),
    )
    assert [one.name for one in result.liquidations] == ["bitcoin", "ether"]
    assert result.equity_after == 0.0
    assert result.gap_shortfall == pytest.approx(75.625)


def test_liquidations_come_in_the_order_of_margin_level_across_wallets() -> None:
    book = two_longs(cross_wallet=1_000, liquidation_fee_rate=0.0125)
    wallets = {"deep": 100.0, "shallow": 200.0}
    isolated = tuple(
        StressPosition(
            name=name,
            asset="BTC",
            side=1,
            quantity=0.1,
            entry_price=10_000,
            mark_price=10_000,
            tiers=flat_tier(rate=0.004),
            isolated_wallet=wallet,
        )
        for name, wallet in reversed(wallets.items())
    )
    result = compute_stress(
        book=StressBook(positions=(*isolated, *book.positions), cross_wallet=1_000),
        scenario=fall(-0.25),
    )
    levels = [one.margin_level for one in result.liquidations]
    assert [one.name for one in result.liquidations] == ["deep", "bitcoin", "ether", "shallow"]
    assert levels[0] < levels[1] < levels[3]


@given(
    st.sampled_from([1, -1]),
    st.floats(1.0, 40.0),
    st.floats(-0.9, 1.5),
    st.floats(10.0, 4_000.0),
)
def test_isolated_positions_are_liquidated_exactly_beyond_their_liquidation_price(
    side: int, leverage: float, move: float, wallet: float
) -> None:
    quantity = wallet * leverage / 100.0
    position = StressPosition(
        name="one",
        asset="BTC",
        side=side,
        quantity=quantity,
        entry_price=100.0,
        mark_price=100.0,
        tiers=TIERS,
        isolated_wallet=wallet,
        close_fee_rate=0.0,
    )
    price = compute_liquidation_price(
        side=side, quantity=quantity, entry_price=100.0, wallet_balance=wallet, tiers=TIERS
    )
    mark = 100.0 * (1.0 + move)
    if price is not None and abs(mark - price) < 1e-6 * price:
        return
    result = compute_stress(book=StressBook(positions=(position,)), scenario=fall(move))
    beyond = price is not None and (mark <= price if side > 0 else mark >= price)
    assert bool(result.liquidations) is beyond


def test_the_margin_level_is_that_of_the_tier_at_the_stressed_price() -> None:
    """By hand: 90,000 at 1.2 % less 160 needs 920; the wallet has 10,500 - 10,000 left."""
    position = StressPosition(
        name="one",
        asset="BTC",
        side=1,
        quantity=1_000,
        entry_price=100,
        mark_price=100,
        tiers=TIERS,
        isolated_wallet=10_500,
        close_fee_rate=0.0,
    )
    result = compute_stress(book=StressBook(positions=(position,)), scenario=fall(-0.1))
    assert result.liquidations[0].margin_level == pytest.approx(500 / 920)
    assert result.liquidations[0].result == pytest.approx(-10_000)
    assert result.liquidation_cost == pytest.approx(500)


def test_a_notional_exactly_at_the_last_cap_keeps_its_rate() -> None:
    short = StressPosition(
        name="short",
        asset="BTC",
        side=-1,
        quantity=10_000,
        entry_price=100,
        mark_price=100,
        tiers=TIERS,
        isolated_wallet=900_000,
        close_fee_rate=0.0,
    )
    result = compute_stress(book=StressBook(positions=(short,)), scenario=fall(0.0))
    assert result.equity_after == 900_000


def test_a_notional_above_the_last_tier_keeps_its_rate() -> None:
    short = StressPosition(
        name="short",
        asset="BTC",
        side=-1,
        quantity=9_000,
        entry_price=100,
        mark_price=100,
        tiers=TIERS,
        isolated_wallet=900_000,
    )
    result = compute_stress(book=StressBook(positions=(short,)), scenario=fall(0.3))
    assert result.liquidations == ()
    assert result.equity_after == pytest.approx(900_000 - 270_000 - 0.0005 * 1_170_000)


# --- costs, carry, fuse -----------------------------------------------------------------------


def test_ten_times_the_funding_is_paid_at_three_stamps_and_never_received() -> None:
    for side, paid in ((1, 100.0 * 2 * 0.0001 * 10 * 3), (-1, 0.0)):
        result = compute_stress(
            book=all_in(leverage=2, side=side, funding_rate=0.0001), scenario=SHOCKS["funding-x10"]
        )
        assert result.funding_paid == pytest.approx(paid)
        assert result.equity_after == pytest.approx(100 - paid - 200 * 0.0005)


@pytest.mark.parametrize(("hours", "stamps"), [(8.0, 3), (4.0, 6), (1.0, 24), (48.0, 0), (0.5, 48)])
def test_funding_falls_due_at_each_stamp_of_the_day(hours: float, stamps: int) -> None:
    book = all_in(leverage=2, funding_rate=0.0001, funding_hours=hours)
    result = compute_stress(
        book=book, scenario=StressScenario(name="day", title="A day", hours=24.0)
    )
    assert result.funding_paid == pytest.approx(200 * 0.0001 * stamps)


def test_five_times_the_spread_costs_the_exit() -> None:
    result = compute_stress(
        book=all_in(leverage=3, half_spread=0.0004), scenario=SHOCKS["spread-x5"]
    )
    assert result.spread_paid == pytest.approx(300 * 0.002)
    assert result.equity_after == pytest.approx(100 - 0.6 - 0.15)


def test_adverse_deviations_move_both_sides_of_a_hedge_against_it() -> None:
    shared = {
        "asset": "BTC",
        "quantity": 1.0,
        "entry_price": 100.0,
        "mark_price": 100.0,
        "tiers": flat_tier(rate=0.004),
        "daily_volatility": 0.03,
        "close_fee_rate": 0.0,
    }
    hedge = StressBook(
        positions=(
            StressPosition(name="long", side=1, **shared),
            StressPosition(name="short", side=-1, **shared),
        ),
        cross_wallet=100.0,
    )
    assert compute_stress(book=hedge, scenario=fall(-0.3)).price_result == pytest.approx(0.0)
    depths = {"correlation-one": 1.0, "volatility-x1.5": 1.5, "venue-down-24h": 1.0}
    for name, multiple in depths.items():
        result = compute_stress(book=hedge, scenario=SHOCKS[name])
        move = 2.326 * 0.03 * multiple
        assert result.price_result == pytest.approx(100 * (math.exp(-move) - math.exp(move)))


def test_half_a_deviation_moves_too_and_a_short_upwards() -> None:
    half = StressScenario(name="half", title="Half a deviation", adverse_sigmas=0.5)
    book = all_in(leverage=1, side=-1, daily_volatility=0.04)
    assert compute_stress(book=book, scenario=half).price_result == pytest.approx(
        100 * (1 - math.exp(0.02))
    )


def test_a_position_that_states_no_carry_pays_none() -> None:
    result = compute_stress(book=all_in(leverage=2), scenario=SHOCKS["funding-x10"])
    assert (result.funding_paid, result.spread_paid) == (0.0, 0.0)
    assert result.closing_fees == pytest.approx(0.1)


def test_a_scenario_in_deviations_needs_a_volatility() -> None:
    with pytest.raises(InvalidInput) as refusal:
        compute_stress(book=all_in(leverage=1), scenario=SHOCKS["volatility-x1.5"])
    assert refusal.value.code == "no_volatility"
    assert refusal.value.details == {"position": "only"}


def test_the_distance_to_the_fuse_is_money_above_the_loss_limit() -> None:
    limit = compute_loss_threshold(100.0, 100.0, 0.025, 0.05)
    position = all_in(leverage=1, close_fee_rate=0.0).positions[0]
    book = StressBook(positions=(position,), loss_limit=limit)
    near, at = (compute_stress(book=book, scenario=fall(-move)) for move in (0.02, 0.03))
    assert near.distance_to_fuse == pytest.approx(0.5)
    assert not near.fuse_tripped
    assert at.distance_to_fuse == pytest.approx(-0.5)
    assert at.fuse_tripped


def test_a_scenario_of_ones_own_runs_beside_those_that_ship() -> None:
    own = StressScenario(
        name="exchange-halt",
        title="Trading stops, SOL halves",
        moves=(("SOL", -0.5),),
        hours=12.0,
        spread_multiple=3.0,
    )
    results = compute_stresses(
        book=all_in(leverage=2, asset="SOL", daily_volatility=0.05),
        scenarios=(*build_scenarios(), own),
    )
    assert len(results) == len(build_scenarios()) + 1
    assert [one.name for one in results[-1].liquidations] == ["only"]


# --- laws -------------------------------------------------------------------------------------

books = st.lists(
    st.tuples(
        st.sampled_from([1, -1]),
        st.floats(0.5, 20.0),
        st.floats(80.0, 120.0),
        st.one_of(st.none(), st.floats(0.0, 500.0)),
    ),
    max_size=5,
).map(
    lambda rows: StressBook(
        positions=tuple(
            StressPosition(
                name=f"p{number}",
                asset="BTC" if number % 2 else "ETH",
                side=side,
                quantity=quantity,
                entry_price=entry,
                mark_price=100.0,
                tiers=flat_tier(rate=0.004),
                isolated_wallet=wallet,
                daily_volatility=0.04,
                funding_rate=0.0001,
                half_spread=0.0002,
            )
            for number, (side, quantity, entry, wallet) in enumerate(rows)
        ),
        cross_wallet=300.0,
        cash_outside=50.0,
    )
)


@given(books, st.sampled_from(build_scenarios()))
def test_every_cent_is_accounted_for_and_no_wallet_owes(
    book: StressBook, scenario: StressScenario
) -> None:
    result = compute_stress(book=book, scenario=scenario)
    told = (
        result.equity_before
        + result.price_result
        - result.funding_paid
        - result.closing_fees
        - result.spread_paid
        - result.liquidation_cost
        + result.gap_shortfall
    )
    assert result.equity_before == compute_equity(book=book)
    assert result.equity_after == pytest.approx(told, abs=1e-6)
    assert result.equity_after >= book.cash_outside
    costs = (result.funding_paid, result.closing_fees, result.spread_paid, result.liquidation_cost)
    assert min(*costs, result.gap_shortfall) >= 0.0


@given(st.floats(1.0, 10.0), st.floats(1.0, 10.0), st.floats(-0.6, -0.001), st.booleans())
def test_more_leverage_never_leaves_more_equity_after_a_loss(
    first: float, second: float, move: float, isolated: bool
) -> None:
    less, more = sorted((first, second))
    after = []
    for leverage in (less, more):
        position = all_in(leverage=leverage, half_spread=0.0002).positions[0]
        book = StressBook(positions=(position,))
        if not isolated:
            shared = StressPosition(
                name="only",
                asset="BTC",
                side=1,
                quantity=leverage,
                entry_price=100.0,
                mark_price=100.0,
                tiers=position.tiers,
                half_spread=0.0002,
            )
            book = StressBook(positions=(shared,), cross_wallet=100.0)
        after.append(compute_stress(book=book, scenario=fall(move)).equity_after)
    assert after[1] <= after[0] + 1e-9


@given(st.floats(1.0, 10.0), st.floats(-0.9, 0.5), st.floats(-0.9, 0.5))
def test_a_deeper_fall_never_leaves_a_long_more(leverage: float, one: float, other: float) -> None:
    deep, flat = sorted((one, other))
    book = all_in(leverage=leverage)
    results = compute_stresses(book=book, scenarios=(fall(deep), fall(flat)))
    assert results[0].equity_after <= results[1].equity_after + 1e-9


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"move_others": -1.0}, "bad_move"),
        ({"moves": (("BTC", math.nan),)}, "bad_move"),
        ({"moves": (("BTC", 0.1), ("BTC", 0.2))}, "asset_twice"),
        ({"hours": -1.0}, "bad_hours"),
        ({"adverse_sigmas": -1.0}, "bad_sigmas"),
        ({"spread_multiple": math.inf}, "bad_multiple"),
        ({"name": ""}, "no_name"),
    ],
)
def test_a_scenario_refuses_what_cannot_happen(changed: dict[str, object], code: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        StressScenario(**({"name": "n", "title": "t"} | changed))
    assert refusal.value.code == code


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"side": 0}, "bad_side"),
        ({"quantity": 0.0}, "bad_quantity"),
        ({"mark_price": math.nan}, "bad_mark_price"),
        ({"mark_price": 0.0}, "bad_mark_price"),
        ({"mark_price": math.inf}, "bad_mark_price"),
        ({"funding_rate": math.nan}, "bad_funding"),
        ({"isolated_wallet": -1.0}, "bad_balance"),
        ({"daily_volatility": -0.1}, "bad_volatility"),
        ({"funding_hours": 0.0}, "bad_funding"),
        ({"close_fee_rate": 1.0}, "bad_rate"),
        ({"tiers": ()}, "no_tiers"),
    ],
)
def test_a_position_refuses_what_cannot_be_held(changed: dict[str, object], code: str) -> None:
    sound = {
        "name": "p",
        "asset": "BTC",
        "side": 1,
        "quantity": 1.0,
        "entry_price": 100.0,
        "mark_price": 100.0,
        "tiers": TIERS,
    }
    with pytest.raises(InvalidInput) as refusal:
        StressPosition(**(sound | changed))
    assert refusal.value.code == code


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"cross_wallet": math.nan}, "bad_balance"),
        ({"cash_outside": math.inf}, "bad_balance"),
        ({"loss_limit": math.nan}, "bad_balance"),
        ({"positions": all_in(leverage=1).positions * 2}, "name_twice"),
    ],
)
def test_a_book_refuses_what_cannot_be_owned(changed: dict[str, object], code: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        StressBook(**({"positions": ()} | changed))
    assert refusal.value.code == code


def test_a_penny_price_and_an_empty_book_are_fine() -> None:
    penny = StressPosition(
        name="p", asset="X", side=1, quantity=1, entry_price=0.5, mark_price=0.5, tiers=TIERS
    )
    assert compute_equity(book=StressBook(positions=(penny,), cross_wallet=3.0)) == 3.0
    empty = compute_stress(book=StressBook(positions=(), cash_outside=7.0), scenario=fall(-0.5))
    assert (empty.equity_after, empty.liquidations, empty.fuse_tripped) == (7.0, (), False)
