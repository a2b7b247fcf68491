"""Splitting and rounding money: parts add up exactly, steps are kept, nonsense is refused."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from magnetfund.kernel.errors import InvalidInput
from magnetfund.kernel.money import Rounding, allocate, round_to_step

D = Decimal
CENT = D("0.01")
WEIGHTS = st.lists(st.decimals(0, 10**6, places=4), min_size=1, max_size=12).filter(any)


@given(cents=st.integers(-(10**14), 10**14), weights=WEIGHTS)
def test_parts_add_exactly_and_lie_within_a_cent_of_their_share(cents, weights):  # type: ignore[no-untyped-def]
    amount = cents * CENT
    parts = allocate(amount, weights, CENT)
    assert sum(parts) == amount
    total = sum(weights)
    for part, weight in zip(parts, weights, strict=True):
        assert abs(part * total - amount * weight) < CENT * total
    assert allocate(-amount, weights, CENT) == tuple(-part for part in parts)


def test_the_largest_remainder_goes_first_and_ties_to_the_lowest_index():
    assert allocate(D("0.05"), [D(1), D(1), D(1)], CENT) == (D("0.02"), D("0.02"), D("0.01"))
    assert allocate(D(100), [D(2), D(1), D(0)], CENT) == (D("66.67"), D("33.33"), D(0))


@pytest.mark.parametrize(
    ("amount", "weights", "code"),
    [
        ("1", [], "bad_weights"), ("1", ["0", "0"], "bad_weights"),
        ("1", ["2", "-1"], "bad_weights"), ("1.001", ["1"], "too_fine"),
    ],
)  # fmt: skip
def test_what_cannot_be_split_is_refused(amount: str, weights: list[str], code: str):
    with pytest.raises(InvalidInput) as refused:
        allocate(D(amount), [D(w) for w in weights], CENT)
    assert refused.value.code == code


@given(
    value=st.decimals(-(10**9), 10**9, places=6),
    step=st.sampled_from([D("0.1"), D("0.25"), D("0.003"), D(5)]),
)
def test_a_rounded_value_is_a_whole_number_of_steps_toward_zero(value: Decimal, step: Decimal):
    rounded = round_to_step(value, step)
    assert rounded % step == 0
    assert abs(rounded) <= abs(value) < abs(rounded) + step
    assert round_to_step(rounded, step, Rounding.HALF_EVEN) == rounded


def test_a_step_of_nothing_is_refused():
    with pytest.raises(InvalidInput, match="step"):
        round_to_step(D(1), D(0))
