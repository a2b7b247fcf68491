"""Attribution adds to what it explains, in one period, over many, and in one order."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from magnetfund.kernel.errors import InvalidInput
from risk.domain.attribution import (
    CASH,
    Attribution,
    DayTrade,
    ExecutedOrder,
    HeldDay,
    Segment,
    attribute_active_return,
    attribute_day,
    compute_shortfall,
    link_attributions,
)

rates = st.floats(-0.5, 1.0)
weights = st.floats(0.01, 1.0)
rows = st.lists(st.tuples(weights, weights, rates, rates), min_size=1, max_size=5)


def attribution(found: list[tuple[float, float, float, float]]) -> Attribution:
    ours, theirs = math.fsum(row[0] for row in found), math.fsum(row[1] for row in found)
    return attribute_active_return(
        segments=[
            Segment(
                name=str(number),
                portfolio_weight=row[0] / ours,
                benchmark_weight=row[1] / theirs,
                portfolio_return=row[2],
                benchmark_return=row[3],
            )
            for number, row in enumerate(found)
        ]
    )


def explained(found: Attribution) -> float:
    return math.fsum(effect.total for effect in found.effects)


def test_the_three_market_example_of_bacon() -> None:
    # Bacon, Practical Portfolio Performance Measurement and Attribution: 8.3 % against 6.4 %.
    found = attribution([(0.4, 0.4, 0.20, 0.10), (0.3, 0.2, -0.05, -0.04), (0.3, 0.4, 0.06, 0.08)])
    assert found.portfolio_return == pytest.approx(0.083)
    assert found.benchmark_return == pytest.approx(0.064)
    assert [row.allocation for row in found.effects] == pytest.approx([0, -0.0104, -0.0016])
    assert [row.selection for row in found.effects] == pytest.approx([0.04, -0.002, -0.008])
    assert [row.interaction for row in found.effects] == pytest.approx([0, -0.001, 0.002])
    assert explained(found) == pytest.approx(0.019)


@given(periods=st.lists(rows, min_size=1, max_size=6))
def test_effects_add_to_the_active_return_in_each_period_and_linked(
    periods: list[list[tuple[float, float, float, float]]],
) -> None:
    found = [attribution(period) for period in periods]
    for period in found:
        assert explained(period) == pytest.approx(period.active_return, abs=1e-9)
    linked = link_attributions(periods=found)
    growth = math.prod(1 + period.portfolio_return for period in found) - 1
    assert linked.portfolio_return == pytest.approx(growth)
    assert explained(linked) == pytest.approx(linked.active_return, rel=1e-7, abs=1e-9)


def test_linking_one_period_changes_nothing() -> None:
    found = attribution([(0.4, 0.5, 0.2, 0.1), (0.6, 0.5, -0.1, 0.05)])
    assert explained(link_attributions(periods=[found])) == pytest.approx(explained(found))


@pytest.mark.parametrize(
    ("segments", "code"),
    [
        ([], "no_segments"),
        ([("a", 0.5, 1.0)], "weights_not_one"),
        ([("a", 0.5, 0.5), ("a", 0.5, 0.5)], "duplicate_segment"),
        ([("a", math.nan, 1.0)], "not_finite"),
    ],
)
def test_what_is_not_a_whole_portfolio_is_refused(
    segments: list[tuple[str, float, float]], code: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        attribute_active_return(
            segments=[
                Segment(
                    name=name,
                    portfolio_weight=ours,
                    benchmark_weight=theirs,
                    portfolio_return=0.1,
                    benchmark_return=0.1,
                )
                for name, ours, theirs in segments
            ]
        )
    assert refused.value.code == code


def test_a_total_loss_cannot_be_linked() -> None:
    lost = attribution([(1.0, 1.0, -1.0, 0.1)])
    with pytest.raises(InvalidInput) as refused:
        link_attributions(periods=[lost])
    assert refused.value.code == "total_loss"


def test_the_shortfall_example_of_impulse_robotics() -> None:
    # CFA Institute, execution of portfolio decisions: 1,000 wanted at 10.00, 700 bought at 10.07
    # after an arrival at 10.05, fees 14, close 10.08: 87, or 0.87 percent.
    found = compute_shortfall(
        order=ExecutedOrder(
            side=1,
            size=1000,
            filled=700,
            decision_price=10.00,
            arrival_price=10.05,
            execution_price=10.07,
            closing_price=10.08,
            fees=14,
        )
    )
    parts = [found.delay, found.impact, found.opportunity, found.fees]
    assert parts == pytest.approx([35, 14, 24, 14])
    assert found.total == pytest.approx(87)
    assert found.share == pytest.approx(0.0087)


prices = st.floats(1.0, 1000.0)


@given(
    side=st.sampled_from([1, -1]),
    size=st.floats(1.0, 1000.0),
    part=st.floats(0.0, 1.0),
    path=st.tuples(prices, prices, prices, prices),
    fees=st.floats(0.0, 100.0),
)
def test_the_shortfall_is_the_paper_gain_less_the_real_gain(
    side: int, size: float, part: float, path: tuple[float, float, float, float], fees: float
) -> None:
    decision, arrival, execution, close = path
    order = ExecutedOrder(
        side=side,
        size=size,
        filled=size * part,
        decision_price=decision,
        arrival_price=arrival,
        execution_price=execution,
        closing_price=close,
        fees=fees,
    )
    paper = side * size * (close - decision)
    real = side * order.filled * (close - execution) - fees
    assert compute_shortfall(order=order).total == pytest.approx(paper - real, rel=1e-9, abs=1e-6)


def test_a_day_is_split_by_what_was_held_and_what_was_traded() -> None:
    # 2 held from 100 to 110, a half sold at noon at 108; 1 of costs; equity 1,000.
    day = HeldDay(
        name="A", quantity=2.0, price=100.0, price_end=110.0, costs=1.0,
        trades=(DayTrade.of(moment=0.5, quantity=-1.0, price=108.0),),
    )  # fmt: skip
    assert (day.gain, day.mean_exposure) == (pytest.approx(17.0), pytest.approx(150.0))
    found = attribute_day(held=[day], equity=1_000.0, total_return=0.0175, benchmark={"A": 1.0})
    instrument, cash = found.effects
    # 15 % held of what rose by 10 %, against all of it; 15 would have been earned without trading.
    assert found.active_return == pytest.approx(0.0175 - 0.10)
    assert instrument.allocation == pytest.approx(0.0)
    assert instrument.selection + instrument.interaction == pytest.approx(0.002)
    assert (cash.name, cash.allocation) == (CASH, pytest.approx(-0.085))
    # Half a thousandth that no price or fill explains.
    assert cash.selection + cash.interaction == pytest.approx(0.0005)


def test_a_round_trip_within_an_instant_is_selection() -> None:
    trades = tuple(
        DayTrade.of(moment=0.25, quantity=size, price=price)
        for size, price in ((1.0, 100.0), (-1.0, 98.0))
    )
    day = HeldDay(name="A", quantity=0.0, price=100.0, price_end=120.0, trades=trades)
    found = attribute_day(held=[day], equity=1_000.0, total_return=-0.002, benchmark={"A": 1.0})
    instrument, cash = found.effects
    assert instrument.selection + instrument.interaction == pytest.approx(-0.002)
    assert cash.selection + cash.interaction == pytest.approx(0.0)
    assert found.portfolio_return == pytest.approx(-0.002)


def test_a_short_day_and_a_day_without_cash_add_up_too() -> None:
    short = HeldDay(name="A", quantity=-5.0, price=100.0, price_end=90.0)
    full = HeldDay(name="B", quantity=15.0, price=100.0, price_end=102.0)
    found = attribute_day(
        held=[short, full], equity=1_000.0, total_return=0.09, benchmark={"A": 0.5, "B": 0.5}
    )
    assert found.portfolio_return == pytest.approx(0.09)
    assert math.fsum(effect.total for effect in found.effects) == pytest.approx(0.09 + 0.04)


@pytest.mark.parametrize(
    ("equity", "price", "name", "code"),
    [
        (0.0, 100.0, "A", "no_equity"),
        (1.0, 0.0, "A", "no_price"),
        (1.0, 100.0, "B", "unknown_segment"),
    ],
)
def test_a_day_that_cannot_be_split_is_refused(
    equity: float, price: float, name: str, code: str
) -> None:
    day = HeldDay(name="A", quantity=1.0, price=price, price_end=100.0)
    with pytest.raises(InvalidInput) as refused:
        attribute_day(held=[day], equity=equity, total_return=0.0, benchmark={name: 1.0})
    assert refused.value.code == code
