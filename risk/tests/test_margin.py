"""Maintenance tiers, liquidation prices, CFD close-out, funding: worked values and laws."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from magnetfund.kernel.errors import InvalidInput
from risk.domain.margin import (
    MarginLeg,
    MarginState,
    build_tiers,
    compute_all_in_liquidation_price,
    compute_cfd_close_out_price,
    compute_funding_cash,
    compute_liquidation_bounds,
    compute_liquidation_price,
    compute_maintenance_margin,
    evaluate_cfd_account,
    find_tier,
    flat_tier,
)

TIERS = build_tiers(caps=(20_000, 200_000, 1_000_000), rates=(0.006, 0.012, 0.03))


def margin(notional: float) -> float:
    return compute_maintenance_margin(tiers=TIERS, notional=notional)


def test_amounts_of_the_invented_example_are_0_120_and_3720() -> None:
    assert [tier.amount for tier in TIERS] == pytest.approx([0.0, 120.0, 3720.0])


@pytest.mark.parametrize("edge", [20_000.0, 200_000.0])
def test_maintenance_margin_is_continuous_across_tier_edges(edge: float) -> None:
    assert margin(math.nextafter(edge, 0.0)) == pytest.approx(margin(edge), abs=1e-6)


@given(st.floats(0, 999_999), st.floats(0, 999_999))
def test_maintenance_margin_never_falls_with_the_notional(a: float, b: float) -> None:
    low, high = sorted((a, b))
    assert margin(low) <= margin(high) + 1e-9


def test_a_notional_above_the_last_tier_is_refused() -> None:
    with pytest.raises(InvalidInput) as caught:
        find_tier(tiers=TIERS, notional=1_000_000.0)
    assert caught.value.code == "above_last_tier"


@pytest.mark.parametrize(
    ("caps", "rates"),
    [
        ((), ()),
        ((1.0,), (0.1, 0.2)),
        ((2.0, 1.0), (0.1, 0.2)),
        ((1.0, 2.0), (0.2, 0.1)),
        ((1.0,), (0.0,)),
    ],
)
def test_tiers_that_cannot_be_are_refused(
    caps: tuple[float, ...], rates: tuple[float, ...]
) -> None:
    with pytest.raises(InvalidInput):
        build_tiers(caps=caps, rates=rates)


@pytest.mark.parametrize(
    ("side", "leverage", "move"),
    [(1, 2.0, -0.498), (1, 2.5, -0.398), (1, 3.0, -0.331), (-1, 3.0, 0.328), (-1, 1.0, 0.992)],
)
def test_published_distances_to_liquidation_at_a_maintenance_of_0_4_percent(
    side: int, leverage: float, move: float
) -> None:
    price = compute_all_in_liquidation_price(
        entry_price=100.0, side=side, leverage=leverage, maintenance_rate=0.004
    )
    assert price is not None
    assert price / 100.0 - 1.0 == pytest.approx(move, abs=5e-4)


def test_an_unlevered_long_has_no_liquidation_price() -> None:
    assert (
        compute_all_in_liquidation_price(
            entry_price=100.0, side=1, leverage=1.0, maintenance_rate=0.004
        )
        is None
    )


def test_a_reserved_close_fee_brings_liquidation_nearer_on_both_sides() -> None:
    for side in (1, -1):
        plain, reserved = (
            compute_all_in_liquidation_price(
                entry_price=100.0,
                side=side,
                leverage=5.0,
                maintenance_rate=0.004,
                close_fee_rate=fee,
            )
            for fee in (0.0, 0.0005)
        )
        assert plain is not None
        assert reserved is not None
        assert (reserved - plain) * side > 0


@given(
    st.sampled_from([1, -1]),
    st.floats(1.05, 100),
    st.floats(0.001, 0.008),
    st.floats(0.01, 1e5),
    st.floats(0.001, 1e4),
)
def test_the_general_formula_agrees_with_the_all_in_form_in_one_tier(
    side: int, leverage: float, rate: float, entry: float, quantity: float
) -> None:
    expected = compute_all_in_liquidation_price(
        entry_price=entry, side=side, leverage=leverage, maintenance_rate=rate
    )
    found = compute_liquidation_price(
        side=side,
        quantity=quantity,
        entry_price=entry,
        wallet_balance=entry * quantity / leverage,
        tiers=flat_tier(rate=rate),
    )
    assert expected is not None
    assert found == pytest.approx(expected, rel=1e-9)


def account_excess(price: float, legs: tuple[MarginLeg, ...], wallet: float) -> float:
    """Account value less maintenance margin, computed the plain way."""
    value = wallet
    for leg in legs:
        value += leg.side * leg.quantity * (price - leg.entry_price)
        value -= compute_maintenance_margin(tiers=leg.tiers, notional=leg.quantity * price)
    return value


WIDE = build_tiers(caps=(20_000, 200_000, 1_000_000, math.inf), rates=(0.006, 0.012, 0.03, 0.1))


@given(st.sampled_from([1, -1]), st.floats(1.5, 50), st.floats(100, 3e6))
def test_the_tier_is_that_of_the_notional_at_the_liquidation_price(
    side: int, leverage: float, notional: float
) -> None:
    entry = 30_000.0
    leg = MarginLeg(side=side, quantity=notional / entry, entry_price=entry, tiers=WIDE)
    wallet = notional / leverage
    price = compute_liquidation_price(
        side=side, quantity=leg.quantity, entry_price=entry, wallet_balance=wallet, tiers=WIDE
    )
    assert price is not None
    assert account_excess(price, (leg,), wallet) == pytest.approx(0.0, abs=1e-6 * notional)


@given(st.floats(0.1, 5), st.floats(0.1, 5), st.floats(2_000, 400_000))
def test_a_hedged_pair_lives_between_its_bounds(long: float, short: float, wallet: float) -> None:
    legs = (
        MarginLeg(side=1, quantity=long, entry_price=31_000.0, tiers=WIDE),
        MarginLeg(side=-1, quantity=short, entry_price=29_000.0, tiers=WIDE),
    )
    mark = 30_000.0
    bounds = compute_liquidation_bounds(legs=legs, wallet_balance=wallet, mark_price=mark)
    assert bounds.liquidated == (account_excess(mark, legs, wallet) <= 0)
    for bound in (bounds.lower, bounds.upper):
        if bound is not None:
            assert account_excess(bound, legs, wallet) == pytest.approx(0.0, abs=1e-3)
    if not bounds.liquidated:
        low = bounds.lower or 1.0
        high = bounds.upper or 2.0 * mark
        for share in (0.01, 0.5, 0.99):
            assert account_excess(low + share * (high - low), legs, wallet) > 0


def test_an_account_is_liquidated_from_its_bound_on_in_a_higher_tier_too() -> None:
    legs = (MarginLeg(side=1, quantity=2.0, entry_price=50_000.0, tiers=WIDE),)
    lower = compute_liquidation_bounds(legs=legs, wallet_balance=10_000.0, mark_price=5e4).lower
    assert lower is not None
    assert 20_000 < 2.0 * lower < 200_000
    for share, is_gone in ((1.0001, False), (0.9999, True)):
        found = compute_liquidation_bounds(
            legs=legs, wallet_balance=10_000.0, mark_price=share * lower
        )
        assert found.liquidated == is_gone


def test_the_liquidation_price_of_a_coin_worth_a_fraction_of_a_cent_scales() -> None:
    # A short whose price of liquidation lies beyond the last cap.
    large, small = (
        compute_liquidation_price(
            side=-1, quantity=size, entry_price=500_000.0 / size, wallet_balance=700_000.0,
            tiers=WIDE,
        )
        for size in (1.0, 1e10)
    )  # fmt: skip
    assert large is not None
    assert small is not None
    assert large > 1_000_000
    assert small * 1e10 == pytest.approx(large)


def test_the_other_symbols_of_a_cross_account_move_the_liquidation_price() -> None:
    def price(maintenance: float, unrealised: float) -> float:
        found = compute_liquidation_price(
            side=1,
            quantity=1.0,
            entry_price=30_000.0,
            wallet_balance=10_000.0,
            tiers=WIDE,
            other_maintenance=maintenance,
            other_unrealised=unrealised,
        )
        assert found is not None
        return found

    # By hand, with the tier of 20,000 to 200,000: (WB - TMM + UPNL + 120 - 30,000) / (0.012 - 1).
    assert price(0, 0) == pytest.approx((10_000 + 120 - 30_000) / (0.012 - 1))
    assert price(500, -1_000) == pytest.approx((10_000 - 1_500 + 120 - 30_000) / (0.012 - 1))


def test_longs_pay_a_positive_funding_rate_and_shorts_receive_it() -> None:
    assert compute_funding_cash(side=1, mark_notional=10_000.0, rate=0.0001) == pytest.approx(-1.0)
    assert compute_funding_cash(side=-1, mark_notional=10_000.0, rate=0.0001) == pytest.approx(1.0)


def test_a_cfd_account_is_called_and_then_closed_out_at_half_its_margin() -> None:
    states = [
        evaluate_cfd_account(balance=1_000.0, open_profit=p, used_margin=1_000.0).state
        for p in (1.0, 0.0, -499.0, -500.0)
    ]
    assert states == [
        MarginState.SOUND,
        MarginState.MARGIN_CALL,
        MarginState.MARGIN_CALL,
        MarginState.CLOSE_OUT,
    ]
    idle = evaluate_cfd_account(balance=0.0, open_profit=0.0, used_margin=0.0)
    assert idle.margin_level is None


@given(st.sampled_from([1, -1]), st.floats(1.1, 30), st.floats(1.0, 1.4))
def test_the_cfd_close_out_price_stands_at_half_the_initial_margin(
    side: int, leverage: float, funded: float
) -> None:
    entry, quantity = 100.0, 10.0
    used = entry * quantity / leverage
    balance = used * funded
    price = compute_cfd_close_out_price(
        balance=balance, side=side, quantity=quantity, entry_price=entry, leverage=leverage
    )
    assert price is not None
    account = evaluate_cfd_account(
        balance=balance, open_profit=side * quantity * (price - entry), used_margin=used
    )
    assert account.margin_level == pytest.approx(0.5)


@pytest.mark.parametrize("bad", [math.nan, math.inf, 0.0, -1.0])
def test_bad_numbers_are_refused_not_computed(bad: float) -> None:
    with pytest.raises(InvalidInput):
        compute_liquidation_price(
            side=1, quantity=bad, entry_price=1.0, wallet_balance=1.0, tiers=TIERS
        )
    with pytest.raises(InvalidInput):
        compute_all_in_liquidation_price(
            entry_price=bad, side=1, leverage=2.0, maintenance_rate=0.004
        )


@pytest.mark.parametrize(
    ("notional", "tier"), [(0.0, 0), (0.5, 0), (19_999.0, 0), (20_000.0, 1), (200_000.0, 2)]
)
def test_a_band_holds_its_floor_and_not_its_cap(notional: float, tier: int) -> None:
    found = find_tier(tiers=TIERS, notional=notional)
    assert found is TIERS[tier]
    assert found.floor <= notional < found.cap


@pytest.mark.parametrize("bad", [-1.0, math.nan, math.inf])
def test_a_notional_that_cannot_be_has_no_tier(bad: float) -> None:
    with pytest.raises(InvalidInput) as caught:
        find_tier(tiers=TIERS, notional=bad)
    assert caught.value.code == "bad_notional"


def test_rates_may_stay_and_must_lie_between_zero_and_one() -> None:
    same = build_tiers(caps=(1.0, 2.0), rates=(0.1, 0.1))
    assert [tier.amount for tier in same] == [0.0, 0.0]
    for caps, rates in (((1.0,), (1.0,)), ((0.0,), (0.1,)), ((1.0, 1.0), (0.1, 0.2))):
        with pytest.raises(InvalidInput) as caught:
            build_tiers(caps=caps, rates=rates)
        assert caught.value.code == "bad_tiers"


def test_a_close_fee_by_hand_on_both_sides() -> None:
    def price(side: int, rate: float, fee: float) -> float | None:
        return compute_all_in_liquidation_price(
            entry_price=100.0, side=side, leverage=4.0, maintenance_rate=rate, close_fee_rate=fee
        )

    assert price(1, 0.01, 0.002) == pytest.approx(100 * (0.75 + 0.002) / (1 - 0.012))
    assert price(-1, 0.01, 0.002) == pytest.approx(100 * (1.25 - 0.002) / (1 + 0.012))
    assert price(1, 0.0, 0.0) == pytest.approx(75.0)
    for rate, fee in ((1.0, 0.0), (-0.01, 0.0), (0.5, 0.5), (0.5, -0.1)):
        with pytest.raises(InvalidInput) as caught:
            price(1, rate, fee)
        assert caught.value.code == "bad_rate"


@pytest.mark.parametrize("side", [0, 2, -2])
def test_no_side_but_long_and_short(side: int) -> None:
    calls = [
        lambda: MarginLeg(side=side, quantity=1.0, entry_price=1.0, tiers=TIERS),
        lambda: compute_all_in_liquidation_price(
            entry_price=1.0, side=side, leverage=2.0, maintenance_rate=0.01
        ),
        lambda: compute_funding_cash(side=side, mark_notional=1.0, rate=0.1),
        lambda: compute_cfd_close_out_price(
            balance=1.0, side=side, quantity=1.0, entry_price=1.0, leverage=2.0
        ),
    ]
    for call in calls:
        with pytest.raises(InvalidInput) as caught:
            call()
        assert caught.value.code == "bad_side"


def leg(side: int = 1, quantity: float = 1.0, entry: float = 100.0) -> MarginLeg:
    return MarginLeg(side=side, quantity=quantity, entry_price=entry, tiers=flat_tier(rate=0.01))


def test_legs_without_tiers_or_with_no_size_are_refused() -> None:
    with pytest.raises(InvalidInput) as caught:
        MarginLeg(side=1, quantity=1.0, entry_price=1.0, tiers=())
    assert caught.value.code == "no_tiers"
    for change in ({"quantity": 0.0}, {"entry": 0.0}, {"entry": math.nan}):
        with pytest.raises(InvalidInput):
            leg(**change)


def test_bounds_of_a_hedged_pair_by_hand() -> None:
    # 3 long and 1 short at 100 with 40 of own money, 10 kept for other symbols, 5 won on them:
    # 35 + 2 (p - 100) = 0.04 p. A net short of as much mirrors it above the mark.
    tiers = {"other_maintenance": 10.0, "other_unrealised": 5.0, "mark_price": 100.0}
    long = compute_liquidation_bounds(legs=(leg(1, 3.0), leg(-1)), wallet_balance=40.0, **tiers)
    short = compute_liquidation_bounds(legs=(leg(-1, 3.0), leg(1)), wallet_balance=40.0, **tiers)
    assert (long.lower, long.upper) == (pytest.approx(165 / 1.96), None)
    assert (short.lower, short.upper) == (None, pytest.approx(235 / 2.04))
    assert not long.liquidated
    assert not short.liquidated


def test_an_account_at_its_margin_exactly_is_liquidated_and_one_above_is_not() -> None:
    def gone(wallet: float) -> bool:
        return compute_liquidation_bounds(
            legs=(leg(),), wallet_balance=wallet, mark_price=100.0
        ).liquidated

    assert gone(1.0)
    assert not gone(1.0 + 1e-9)
    bound = compute_liquidation_bounds(legs=(leg(),), wallet_balance=1.0, mark_price=100.0)
    assert bound.lower == pytest.approx(100.0)


def test_a_pair_of_equal_legs_is_liquidated_where_its_margin_eats_the_wallet() -> None:
    # Only the margins move with the price: 2 x 0.01 p = 4.
    found = compute_liquidation_bounds(legs=(leg(1), leg(-1)), wallet_balance=4.0, mark_price=100.0)
    assert (found.lower, found.upper) == (None, pytest.approx(200.0))


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"legs": ()}, "no_legs"),
        ({"mark_price": 0.0}, "bad_mark_price"),
        ({"wallet_balance": math.nan}, "bad_balance"),
        ({"other_maintenance": math.inf}, "bad_balance"),
        ({"other_unrealised": math.nan}, "bad_balance"),
    ],
)
def test_an_account_without_figures_has_no_bounds(change: dict[str, object], code: str) -> None:
    given = {"legs": (leg(),), "wallet_balance": 10.0, "mark_price": 100.0, **change}
    with pytest.raises(InvalidInput) as caught:
        compute_liquidation_bounds(**given)  # type: ignore[arg-type]
    assert caught.value.code == code


def test_a_liquidation_price_needs_finite_balances_and_a_mark() -> None:
    plain = {
        "side": 1, "quantity": 1.0, "entry_price": 100.0, "wallet_balance": 10.0,
        "tiers": flat_tier(rate=0.01),
    }  # fmt: skip
    assert compute_liquidation_price(**plain, mark_price=90.0) == pytest.approx(90 / 0.99)
    rich = compute_liquidation_price(**{**plain, "wallet_balance": 100.0})
    assert rich is None
    with pytest.raises(InvalidInput) as caught:
        compute_liquidation_price(**plain, other_unrealised=math.nan)
    assert caught.value.code == "bad_balance"
    with pytest.raises(InvalidInput) as caught:
        compute_liquidation_price(**plain, mark_price=0.0)
    assert caught.value.code == "bad_mark_price"


def test_beyond_the_last_cap_its_rate_is_carried_on() -> None:
    # A short of 1 at 990,000 with 100,000: the price lies above the last cap of 1,000,000.
    found = compute_liquidation_price(
        side=-1, quantity=1.0, entry_price=990_000.0, wallet_balance=100_000.0, tiers=TIERS
    )
    assert found == pytest.approx((100_000 + 3720 + 990_000) / 1.03)


def test_funding_needs_finite_figures() -> None:
    assert compute_funding_cash(side=1, mark_notional=0.0, rate=0.1) == 0.0
    for notional, rate in ((-1.0, 0.1), (math.inf, 0.1), (1.0, math.nan)):
        with pytest.raises(InvalidInput) as caught:
            compute_funding_cash(side=1, mark_notional=notional, rate=rate)
        assert caught.value.code == "bad_funding"


def test_a_cfd_account_by_hand_with_financing_and_its_own_levels() -> None:
    found = evaluate_cfd_account(
        balance=900.0, open_profit=200.0, used_margin=500.0, financing=100.0,
        margin_call_level=2.0, close_out_level=2.0,
    )  # fmt: skip
    assert (found.equity, found.used_margin, found.margin_level) == (1000.0, 500.0, 2.0)
    assert found.state is MarginState.CLOSE_OUT
    idle = evaluate_cfd_account(balance=5.0, open_profit=0.0, used_margin=0.0, financing=1.0)
    assert (idle.equity, idle.used_margin, idle.state) == (4.0, 0.0, MarginState.SOUND)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"balance": math.nan}, "bad_balance"),
        ({"financing": math.inf}, "bad_balance"),
        ({"used_margin": -0.5}, "bad_balance"),
        ({"close_out_level": 0.0}, "bad_level"),
        ({"close_out_level": 1.1}, "bad_level"),
    ],
)
def test_cfd_figures_that_cannot_be_are_refused(change: dict[str, float], code: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        evaluate_cfd_account(**{"balance": 1.0, "open_profit": 0.0, "used_margin": 0.5, **change})
    assert caught.value.code == code


def test_a_cfd_close_out_price_by_hand() -> None:
    plain = {"side": 1, "quantity": 10.0, "entry_price": 100.0, "leverage": 5.0}
    # Initial margin 200: a long with 250 has 150 to lose over 10, and 210 at a level of 0.2.
    assert compute_cfd_close_out_price(balance=250.0, **plain) == pytest.approx(85.0)
    assert compute_cfd_close_out_price(
        balance=250.0, close_out_level=0.2, **plain
    ) == pytest.approx(79.0)
    assert compute_cfd_close_out_price(balance=1_095.0, **plain) == pytest.approx(0.5)
    assert compute_cfd_close_out_price(balance=1_100.0, **plain) is None
    with pytest.raises(InvalidInput):
        compute_cfd_close_out_price(balance=math.nan, **plain)
    for name in ("quantity", "entry_price", "leverage"):
        with pytest.raises(InvalidInput) as caught:
            compute_cfd_close_out_price(balance=250.0, **{**plain, name: 0.0})
        assert caught.value.code == f"bad_{name}"


@pytest.mark.parametrize(("mark", "is_gone"), [(1_050_000.0, False), (1_200_000.0, True)])
def test_a_mark_beyond_the_last_cap_is_judged_at_its_rate(mark: float, is_gone: bool) -> None:
    short = MarginLeg(side=-1, quantity=1.0, entry_price=990_000.0, tiers=TIERS)
    found = compute_liquidation_bounds(legs=(short,), wallet_balance=100_000.0, mark_price=mark)
    assert found.liquidated is is_gone
