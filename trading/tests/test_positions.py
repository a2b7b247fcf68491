"""Positions as a fold of fills: laws, worked numbers, refusals."""

from __future__ import annotations

from decimal import Decimal as D

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from magnetfund.kernel.errors import InvalidInput
from trading.domain.positions import (
    NetPosition,
    PositionFill,
    apply_fill,
    commit_margin,
    split_fill,
)


def make_fill(number: int, quantity: str, price: str, fee: str = "0") -> PositionFill:
    return PositionFill(time_ms=1000 + number, quantity=D(quantity), price=D(price), fee=D(fee))


FILLS = st.lists(
    st.tuples(
        st.integers(-500, 500).filter(bool),
        st.integers(1, 10_000_000),
        st.integers(0, 1000),
    ),
    min_size=1,
    max_size=25,
).map(
    lambda rows: [
        PositionFill(
            time_ms=k,
            quantity=D(lots).scaleb(-3),
            price=D(ticks).scaleb(-1),
            fee=D(fee).scaleb(-2),
        )
        for k, (lots, ticks, fee) in enumerate(rows)
    ]
)


def fold(fills: list[PositionFill]) -> NetPosition:
    position = NetPosition()
    for fill in fills:
        position = apply_fill(position=position, fill=fill).position
    return position


@settings(max_examples=60, deadline=None)
@given(fills=FILLS, ticks=st.integers(1, 10_000_000))
def test_realised_and_unrealised_profit_are_the_profit_of_every_fill(
    fills: list[PositionFill], ticks: int
) -> None:
    mark = D(ticks).scaleb(-1)
    position = fold(fills)
    expected = sum((f.quantity * (mark - f.price) for f in fills), D(0))
    assert abs(position.realised + position.unrealised(mark) - expected) < D("1e-30")
    assert position.quantity == sum((f.quantity for f in fills), D(0))
    assert position.fees == sum((f.fee for f in fills), D(0))
    assert (position.quantity == 0) == (position.average_price == 0)


def test_adding_averages_reducing_keeps_the_price_and_a_flip_takes_the_new_one() -> None:
    added = fold([make_fill(1, "1", "100"), make_fill(2, "3", "120")])
    assert (added.quantity, added.average_price) == (D(4), D(115))
    reduced = apply_fill(position=added, fill=make_fill(3, "-1", "125"))
    assert (reduced.realised, reduced.position.average_price) == (D(10), D(115))
    flipped = apply_fill(position=reduced.position, fill=make_fill(4, "-5", "105"))
    assert flipped.is_flip
    assert (flipped.closed, flipped.opened, flipped.realised) == (D(3), D(2), D(-30))
    assert (flipped.position.quantity, flipped.position.average_price) == (D(-2), D(105))
    assert flipped.position.opened_ms == 1004
    bought = apply_fill(position=flipped.position, fill=make_fill(5, "2", "100"))
    assert bought.realised == D(10)
    assert bought.position == NetPosition(realised=D(-10))


@pytest.mark.parametrize("way", [1, -1])
def test_committed_margin_stays_where_the_entry_put_it(way: int) -> None:
    margin = commit_margin(quantity=D(way * 3), price=D(100), leverage=D("1.5"))
    assert margin == 200


@pytest.mark.parametrize(
    ("quantity", "price", "code"),
    [("0", "1", "bad_quantity"), ("1", "0", "bad_price"), ("NaN", "1", "not_finite")],
)
def test_a_fill_that_cannot_be_is_refused(quantity: str, price: str, code: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        make_fill(1, quantity, price)
    assert caught.value.code == code


@pytest.mark.parametrize("way", [D(1), D(-1), D("0.001"), D("-0.001")])
def test_a_fill_that_turns_a_position_over_is_a_close_and_an_opening(way: D):
    held = apply_fill(position=NetPosition(), fill=make_fill(1, str(3 * way), "100")).position
    turning = make_fill(2, str(-5 * way), "110", fee="1")
    closing, opening = split_fill(position=held, fill=turning)
    assert (closing.quantity, opening.quantity) == (-3 * way, -2 * way)
    assert (closing.fee, opening.fee) == (D("0.6"), D("0.4"))
    assert split_fill(position=held, fill=make_fill(3, str(-3 * way), "110")) == (
        make_fill(3, str(-3 * way), "110"),
    )


def test_a_flip_both_closes_and_opens() -> None:
    held = apply_fill(position=NetPosition(), fill=make_fill(1, "3", "100"))
    assert not held.is_flip, "an opening closes nothing"
    assert not apply_fill(position=held.position, fill=make_fill(2, "-3", "110")).is_flip
    assert apply_fill(position=held.position, fill=make_fill(2, "-4", "110")).is_flip


@pytest.mark.parametrize("way", [1, -1])
def test_a_position_of_exactly_one_adds_and_closes_like_any_other(way: int) -> None:
    one = apply_fill(position=NetPosition(), fill=make_fill(1, str(way), "100")).position
    added = apply_fill(position=one, fill=make_fill(2, str(way), "110")).position
    assert (added.average_price, added.opened_ms) == (105, one.opened_ms)
    closed = apply_fill(position=one, fill=make_fill(2, str(-way), "110"))
    assert (closed.closed, closed.opened, closed.realised) == (1, 0, 10 * way)


def test_a_shared_fee_has_the_digits_that_the_ledger_stores() -> None:
    held = apply_fill(position=NetPosition(), fill=make_fill(1, "1", "100")).position
    closing, opening = split_fill(position=held, fill=make_fill(2, "-3", "110", fee="1"))
    assert closing.fee == D("0.333333333333333333")
    assert closing.fee + opening.fee == 1
