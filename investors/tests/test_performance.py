"""Returns and bridges: published numbers, the guards, an oracle, and the identities."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from math import prod

import pytest
import pyxirr
from hypothesis import given, settings
from hypothesis import strategies as st

from investors.domain.performance import (
    Undefined,
    annualise_return,
    build_monthly_table,
    build_return_bridge,
    build_value_bridge,
    compute_modified_dietz,
    compute_mwr,
    compute_twr,
    compute_xirr,
)
from magnetfund.kernel.errors import InvalidInput

D = Decimal
START = date(2020, 1, 1)
money = st.integers(1, 10**9).map(lambda cents: D(cents) / 100)
growths = st.integers(1, 400).map(lambda percent: D(percent) / 100)


def near(found: Decimal | None, expected: str, within: str) -> bool:
    return found is not None and abs(found - D(expected)) <= D(within)


@pytest.mark.parametrize(
    ("flows", "rate", "within"),
    [
        pytest.param(
            [
                ("2008-01-01", "-10000"),
                ("2008-03-01", "2750"),
                ("2008-10-30", "4250"),
                ("2009-02-15", "3250"),
                ("2009-04-01", "2750"),
            ],
            "0.3733625335",
            "1e-6",
            id="Microsoft XIRR page",
        ),
        pytest.param(
            [("2008-01-01", "-2500"), ("2008-09-01", "2750")],
            "0.153239",
            "1e-6",
            id="Qlik RangeXIRR",
        ),
        pytest.param(
            [
                ("2015-06-11", "-1000"),
                ("2015-07-21", "-9000"),
                ("2018-06-10", "20000"),
                ("2015-10-17", "-3000"),
            ],
            "0.1635371584432641",
            "1e-12",
            id="Rust crate xirr, unsorted dates",
        ),
        pytest.param(
            [("2016-07-08", "-379"), *((f"{year}-07-08", "100") for year in range(2017, 2022))],
            "0.10004608364",
            "1e-10",
            id="Rust crate financial",
        ),
        pytest.param(
            [("2010-12-29", "-10000"), ("2012-01-25", "20"), ("2012-03-08", "10100")],
            "0.0100612",
            "1e-7",
            id="XNPV example's XIRR",
        ),
    ],
)
def test_xirr_gives_published_rates(flows: list[tuple[str, str]], rate: str, within: str) -> None:
    assert near(compute_xirr(flows=flows).value, rate, within)


def test_two_roots_are_named_and_none_is_chosen() -> None:
    figure = compute_xirr(flows=[(0, 100), (365, -250), (730, 156)])
    assert figure.value is None
    assert figure.reason is Undefined.SEVERAL_ROOTS
    assert [round(root, 9) for root in figure.roots] == [D("0.2"), D("0.3")]
    with pytest.raises(InvalidInput, match="not defined") as caught:
        figure.require()
    assert caught.value.code == "several_roots"


@pytest.mark.parametrize(
    ("flows", "reason"),
    [
        ([(0, -100)], Undefined.FEWER_THAN_TWO_DATES),
        ([(0, -100), (0, 100)], Undefined.FEWER_THAN_TWO_DATES),
        ([(0, -100), (9, -5)], Undefined.NO_SIGN_CHANGE),
        ([(0, 100), (365, -100), (730, 100)], Undefined.NO_ROOT),
    ],
)
def test_flows_without_a_rate_say_why(flows: list[tuple[int, int]], reason: Undefined) -> None:
    figure = compute_xirr(flows=flows)
    assert figure.value is None
    assert figure.reason is reason


@settings(max_examples=50, deadline=None)
@given(
    opening=money,
    legs=st.lists(st.tuples(st.integers(1, 900), money), min_size=1, max_size=6),
    growth=st.integers(50, 400).map(lambda percent: D(percent) / 100),  # the oracle gives up below
)
def test_one_change_of_sign_agrees_with_pyxirr(
    opening: Decimal, legs: list[tuple[int, Decimal]], growth: Decimal
) -> None:
    paid = [(0, -opening), *((day, -amount) for day, amount in legs)]
    closing = -sum((amount for _, amount in paid), D(0)) * growth
    figure = compute_xirr(flows=[*paid, (1000, closing)])
    oracle = pyxirr.xirr(
        [*(START + timedelta(days=day) for day, _ in paid), START + timedelta(days=1000)],
        [*(float(amount) for _, amount in paid), float(closing)],
    )
    assert oracle is not None
    assert figure.value is not None
    assert abs(float(figure.value) - oracle) <= 1e-6 * max(1.0, abs(oracle))


def test_a_total_loss_is_minus_one_hundred_percent_and_is_not_solved() -> None:
    lost = compute_mwr(opening_value=100, closing_value=0, start=0, end=365)
    assert lost.value == -1
    assert compute_twr(opening_value=100, closing_value=0, start=0, end=9).value == -1


def test_published_time_weighted_returns() -> None:
    acadifi = compute_twr(
        opening_value=1_000_000, closing_value=1_350_000, flows=[(181, 1_050_000, 200_000)]
    )
    assert near(acadifi.value, "0.1340", "5e-5")
    rapipartes = compute_twr(opening_value=100, closing_value=130, flows=[(9, 110, 25)])
    assert near(rapipartes.value, "0.0593", "5e-5")


def test_published_money_weighted_return_beside_its_time_weighted_one() -> None:
    # theanalystspace: -200, +100, +170 at years 0, 1, 2; two-year growth 1.70.
    mwr = compute_xirr(flows=[(0, -200), (365, 100), (730, 170)])
    assert near(mwr.value, "0.2052", "5e-5")
    assert near(annualise_return(total_return="0.70", days=730).value, "0.3038", "5e-5")


def test_a_chain_that_starts_at_or_below_zero_is_not_defined() -> None:
    broken = compute_twr(opening_value=100, closing_value=50, flows=[(5, 40, -40)])
    assert broken.value is None
    assert broken.reason is Undefined.STARTS_AT_OR_BELOW_ZERO
    under = compute_twr(opening_value=100, closing_value=-1)
    assert under.value is None
    assert under.reason is Undefined.VALUE_BELOW_ZERO


def test_modified_dietz_weighs_a_flow_by_its_days() -> None:
    at_end = compute_modified_dietz(
        opening_value=100, closing_value=165, flows=[(15, 50)], start=0, end=30
    )
    assert at_end.value == D(15) / D(125)
    empty = compute_modified_dietz(
        opening_value=10, closing_value=0, flows=[(0, -10)], start=0, end=30
    )
    assert empty.reason is Undefined.DENOMINATOR_NOT_POSITIVE


def test_a_period_under_a_year_is_not_annualised() -> None:
    short = annualise_return(total_return="0.10", days=364)
    assert short.value == D("0.10")
    assert not short.is_annualised


@settings(max_examples=50, deadline=None)
@given(opening=money, steps=st.lists(st.tuples(growths, money), max_size=5), last=growths)
def test_the_return_bridge_adds_to_the_gain_exactly(
    opening: Decimal, steps: list[tuple[Decimal, Decimal]], last: Decimal
) -> None:
    value, flows = opening, []
    for number, (growth, amount) in enumerate(steps, start=1):
        before = value * growth
        flows.append((number * 30, before, amount))
        value = before + amount
    closing = (value * last).quantize(D("0.01"))
    bridge = build_return_bridge(
        opening_value=opening, closing_value=closing, flows=flows, start=0, end=400
    )
    gain = closing - opening - sum((amount for _, _, amount in flows), D(0))
    assert sum((line.earned for line in bridge.lines), D(0)) == bridge.gain == gain
    if not flows and bridge.timing_effect is not None:
        assert abs(bridge.timing_effect) < D("1e-9")


def test_the_value_bridge_shows_its_rounding_and_refuses_what_is_unexplained() -> None:
    bridge = build_value_bridge(
        opening="100.004",
        closing="112.01",
        components={"management_fee": "-0.333", "subscriptions": 10, "funding:core": "2.339"},
    )
    assert [line.label for line in bridge.lines] == [
        "subscriptions",
        "funding:core",
        "management_fee",
    ]
    explained = sum((line.amount for line in bridge.lines), D(0))
    assert bridge.opening + explained + bridge.rounding == bridge.closing
    with pytest.raises(InvalidInput) as unexplained:
        build_value_bridge(opening=100, closing=200, components={"subscriptions": 10})
    assert unexplained.value.code == "bridge_unexplained"
    with pytest.raises(InvalidInput) as unknown:
        build_value_bridge(opening=1, closing=1, components={"luck": 0})
    assert unknown.value.code == "unknown_component"


def test_the_months_chain_to_the_year() -> None:
    path = [("2024-12-31", 100), ("2025-01-31", 110), ("2025-03-31", 99), ("2025-12-31", 120)]
    *_, year = build_monthly_table(values=path)
    assert year.total == D("0.2")
    assert year.months[0] == D("0.1")
    assert year.months[1] is None
    chained = prod(1 + month for month in year.months if month is not None) - 1
    assert near(chained, "0.2", "1e-25")
