"""Rounding money: steps are kept, nonsense is refused."""

from __future__ import annotations

from decimal import Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from magnetfund.kernel.errors import InvalidInput
from magnetfund.kernel.money import Rounding, quantize, round_to_step

D = Decimal


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


def test_an_amount_is_rounded_with_all_its_digits_whatever_the_callers_precision():
    with localcontext(prec=3):
        rounded = quantize(D("12345678901234567890.0123456785"), D("1e-9"))
    assert rounded == D("12345678901234567890.012345678")
    assert quantize(D("0.019"), D("0.01"), Rounding.DOWN) == D("0.01")
    assert quantize(D("0.025"), D("0.01"), Rounding.HALF_UP) == D("0.03")
