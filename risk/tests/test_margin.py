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
    compute_cfd_financing,
    compute_funding_cash,
    compute_maintenance_margin,
    evaluate_cfd_account,
    find_cfd_close_out_price,
    find_liquidation_bounds,
    find_liquidation_price,
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
    found = find_liquidation_price(
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
    price = find_liquidation_price(
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
    bounds = find_liquidation_bounds(legs=legs, wallet_balance=wallet, mark_price=mark)
    assert bounds.liquidated == (account_excess(mark, legs, wallet) <= 0)
    for bound in (bounds.lower, bounds.upper):
        if bound is not None:
            assert account_excess(bound, legs, wallet) == pytest.approx(0.0, abs=1e-3)
    if not bounds.liquidated:
        low = bounds.lower or 1.0
        high = bounds.upper or 2.0 * mark
        for share in (0.01, 0.5, 0.99):
            assert account_excess(low + share * (high - low), legs, wallet) > 0


def test_the_other_symbols_of_a_cross_account_move_the_liquidation_price() -> None:
    def price(maintenance: float, unrealised: float) -> float:
        found = find_liquidation_price(
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
    price = find_cfd_close_out_price(
        balance=balance, side=side, quantity=quantity, entry_price=entry, leverage=leverage
    )
    assert price is not None
    account = evaluate_cfd_account(
        balance=balance, open_profit=side * quantity * (price - entry), used_margin=used
    )
    assert account.margin_level == pytest.approx(0.5)


def test_cfd_financing_charges_the_markup_on_both_sides() -> None:
    long = compute_cfd_financing(side=1, notional=36_500.0, reference_rate=0.05, markup_rate=0.025)
    short = compute_cfd_financing(
        side=-1, notional=36_500.0, reference_rate=0.05, markup_rate=0.025, days=3
    )
    assert long == pytest.approx(7.5)
    assert short == pytest.approx(-7.5)


@pytest.mark.parametrize("bad", [math.nan, math.inf, 0.0, -1.0])
def test_bad_numbers_are_refused_not_computed(bad: float) -> None:
    with pytest.raises(InvalidInput):
        find_liquidation_price(
            side=1, quantity=bad, entry_price=1.0, wallet_balance=1.0, tiers=TIERS
        )
    with pytest.raises(InvalidInput):
        compute_all_in_liquidation_price(
            entry_price=bad, side=1, leverage=2.0, maintenance_rate=0.004
        )
