"""The law that ties the three methods: marks per lot, series, and equalisation pay the same.

Random histories of subscriptions, returns, redemptions and crystallisations, under every hurdle:
each investor's value and the manager's total fee agree to six decimals after every event.  A mark
kept for the fund as a whole does not.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from investors.domain.equalisation import value_class
from investors.domain.fee_methods import FeeLot, follow_class, prove_fees
from investors.domain.fees import ClassTerms, Hurdle
from investors.domain.performance import ClassPoint
from investors.domain.strike import (
    ClassInput,
    LotInput,
    StrikeInputs,
    compute_strike,
    recompute_strike,
)
from investors.tests.fee_players import (
    PAR,
    START,
    ZERO,
    ByEqualisation,
    ByFund,
    ByLots,
    BySeries,
    Event,
    Method,
    play,
)
from magnetfund.tests.drill_size import IS_SHORT, drilled

pytestmark = pytest.mark.slow

D = Decimal
SIX = D("0.0000005")


def assert_same(one: list[dict[str, Decimal]], other: list[dict[str, Decimal]]) -> None:
    for left, right in zip(one, other, strict=True):
        for lot in left.keys() | right.keys():
            assert abs(left.get(lot, D(0)) - right.get(lot, D(0))) < SIX


kinds = st.sampled_from(["subscribe", "subscribe", "redeem", "leave", "crystallise", "crystallise"])
histories = st.lists(
    st.tuples(kinds, st.decimals("0.01", "0.99", places=2), st.integers(1, 200)),
    min_size=1,
    max_size=14,
)
all_terms = st.builds(
    ClassTerms,
    performance_rate=st.sampled_from([D("0.1"), D("0.2"), D("0.35")]),
    hurdle=st.sampled_from(list(Hurdle)),
    hurdle_rate=st.sampled_from([D("0.03"), D("0.08"), D("0.2")]),
    hurdle_compounds=st.booleans(),
    hurdle_is_cumulative=st.booleans(),
)


def check_law(events: list[Event], terms: ClassTerms) -> None:
    lots = ByLots(terms)
    expected = play(lots, events, terms)
    others: list[Method] = [BySeries(terms, False), BySeries(terms, True), ByEqualisation(terms)]
    for method in others:
        assert_same(expected, play(method, events, terms))
        assert abs(method.paid - lots.paid) < SIX


@given(events=histories, terms=all_terms)
@settings(max_examples=120, deadline=None)
def test_lots_series_and_equalisation_give_each_investor_the_same(
    events: list[Event], terms: ClassTerms
) -> None:
    check_law(events, terms)


@pytest.mark.drill
@given(events=histories, terms=all_terms)
@settings(max_examples=drilled(2000), deadline=None, derandomize=IS_SHORT)
def test_the_law_over_many_histories(events: list[Event], terms: ClassTerms) -> None:
    check_law(events, terms)


#: Gains, losses, entries above and below the mark, and four crystallisations.
HISTORY: list[Event] = [
    ("subscribe", D("0.8"), 90),
    ("subscribe", D("0.2"), 90),
    ("crystallise", D("0.9"), 90),
    ("subscribe", D("0.1"), 40),
    ("redeem", D("0.5"), 41),
    ("crystallise", D("0.3"), 120),
    ("subscribe", D("0.3"), 33),
    ("crystallise", D("0.95"), 180),
    ("crystallise", D("0.6"), 180),
]


@pytest.mark.parametrize("hurdle", list(Hurdle))
def test_the_law_holds_and_series_do_roll_up_on_one_full_history(hurdle: Hurdle) -> None:
    terms = ClassTerms(performance_rate=D("0.2"), hurdle=hurdle, hurdle_rate=D("0.05"))
    check_law(HISTORY, terms)
    rolled = BySeries(terms, True)
    play(rolled, HISTORY, terms)
    assert rolled.rolled > 0
    assert rolled.paid > 100


def test_a_mark_kept_for_the_whole_fund_splits_the_late_investor_s_fee() -> None:
    """In at 90 under a mark of 100, then back to 100: 2 are due on the late investor's gain of 10
    and nothing on the first one's recovery; one mark for the pool charges each of them 1."""
    terms = ClassTerms(performance_rate=D("0.2"))
    lots, fund = ByLots(terms), ByFund(terms)
    for method in (lots, fund):
        method.subscribe("first", PAR, START)
        method.grow(D("-0.1"))
        method.subscribe("late", D(90), START)
        method.grow(PAR / 90 - 1)
    assert all(abs(value - 99) < SIX for value in fund.values().values())
    assert abs(lots.values(START)["late"] - 98) < SIX
    assert abs(lots.values(START)["first"] - 100) < SIX


def test_k_and_l_gates_2020_slides_17_and_18_a_late_entry_shares_in_the_claw_back() -> None:
    """First unit 100 to 110, second in at 108.  Flat: GAV 218, fee 2, NAV 216, 108 each.  After a
    loss of 20: capital 198, 99 each, so one lost 9 and the other 11; by lots both lose alike."""
    terms = ClassTerms(performance_rate=D("0.2"))
    lots, fund = ByLots(terms), ByFund(terms)
    for method in (lots, fund):
        method.subscribe("first", PAR, START)
        method.grow(D("0.1"))
        method.subscribe("late", D(108), START)
    assert (fund.pool, sum(fund.values().values())) == (218, 216)
    assert set(fund.values().values()) == {108}
    assert list(lots.values(START).values()) == [108, 108]
    for method in (lots, fund):
        method.grow(D(-20) / 218)
    assert all(abs(value - 99) < SIX for value in fund.values().values())
    first, late = lots.values(START).values()
    assert first - late > 1


@pytest.mark.parametrize("hurdle", [Hurdle.HARD, Hurdle.SOFT_GROSS, Hurdle.SOFT_CATCH_UP])
def test_with_a_hurdle_the_clock_of_the_class_does_not_serve_a_later_entry(hurdle: Hurdle) -> None:
    """Why each lot keeps its own clock: under the class's clock the later lot would be asked for a
    year's hurdle on half a year, and the methods would part."""
    terms = ClassTerms(performance_rate=D("0.2"), hurdle=hurdle, hurdle_rate=D("0.1"))
    lots, equal = ByLots(terms), ByEqualisation(terms)
    middle, end = START + timedelta(days=182), START + timedelta(days=365)
    for method in (lots, equal):
        method.subscribe("0", D(1000), START)
        method.grow(D("0.02"))
        method.subscribe("1", D(1000), middle)
        method.grow(D("0.07"))
    assert abs(equal.values(end)["1"] - lots.values(end)["1"]) < SIX
    common = [replace(item, clock=START) for item in equal.equalised.lots]
    equal.equalised = replace(equal.equalised, lots=tuple(common))
    assert abs(equal.values(end)["1"] - lots.values(end)["1"]) > 1


@pytest.mark.parametrize("hurdle", list(Hurdle))
def test_a_proof_publishes_the_price_and_the_corrections_of_equalisation_played(
    hurdle: Hurdle,
) -> None:
    """From gross prices and marks per lot alone, after each event of the full history."""
    terms = ClassTerms(performance_rate=D("0.2"), hurdle=hurdle, hurdle_rate=D("0.05"))
    points, day, corrected = [ClassPoint(day=START, price=PAR, terms=terms)], START, ZERO
    for count, (kind, _, days) in enumerate(HISTORY, start=1):
        day += timedelta(days=days)
        lots, equal = ByLots(terms), ByEqualisation(terms)
        for method in (lots, equal):
            play(method, HISTORY[:count], terms)
        now = ClassPoint(day=day, price=lots.gross, terms=terms)
        points.append(replace(now, crystallises=kind == "crystallise"))
        held = [
            FeeLot(number=int(name), opened=START, units=units, mark=mark, clock=clock,
                   fee_per_unit=lots.fee(name, day))
            for name, (units, mark, clock) in lots.lots.items()
        ]  # fmt: skip
        proof = prove_fees(
            code="A", terms=terms, price=lots.gross, day=day, charged=ZERO, lots=held,
            unit=follow_class([*points, now]),
        )  # fmt: skip
        value = value_class(terms=terms, equalised=equal.equalised, gross=equal.gross, day=day)
        assert abs(proof.published_price - value.price) < D("0.000001")
        for mine, played in zip(proof.lots, value.lots, strict=True):
            assert abs(mine.credit - played.units * played.credit) < SIX
            assert abs(mine.contingent - played.units * played.contingent) < SIX
        corrected += proof.credits + proof.contingent
    assert corrected > 1


@pytest.mark.parametrize(
    ("hurdle", "fees"),
    [
        (Hurdle.NONE, ("0.8", "1.6", "1.8", "2", "2.4")),
        (Hurdle.HARD, ("0", "0", "0.2", "0.4", "0.8")),
        (Hurdle.SOFT_GROSS, ("0", "1.6", "1.8", "2", "2.4")),
        (Hurdle.SOFT_NET, ("0", "0", "0", "2", "2.4")),
        (Hurdle.SOFT_CATCH_UP, ("0", "0", "1", "2", "2.4")),
    ],
)
def test_both_engines_know_every_hurdle_below_on_and_above_its_threshold(
    hurdle: Hurdle, fees: tuple[str, ...]
) -> None:
    """h = 100, H = 8 %, p = 20 % at g = 104 / 108 / 109 / 110 / 112, as in the table of forms."""
    terms = ClassTerms(performance_rate=D("0.2"), hurdle=hurdle, hurdle_rate=D("0.08"))
    held = LotInput(lot="l", number=1, units=D(1), mark=PAR, clock=START, dealing_day=START)
    item = ClassInput(
        code="A", terms=terms, launch_price=PAR, lots=(held,), gav_before=PAR, nav_before=PAR
    )
    for gross, fee in zip((104, 108, 109, 110, 112), fees, strict=True):
        inputs = StrikeInputs(
            day=START + timedelta(days=365), previous_day=START, net_assets=D(gross),
            classes=(item,),
        )  # fmt: skip
        assert compute_strike(inputs).classes[0].performance_fee == D(fee)
        assert recompute_strike(inputs)["A"]["performance_fee"] == D(fee)
