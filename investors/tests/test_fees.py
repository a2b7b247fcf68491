"""Fee terms: day counts, tiers, floors, hurdles and fee units against published numbers."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from decimal import Decimal, getcontext, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from investors.domain.fees import (
    ClassTerms,
    DayCount,
    Hurdle,
    Tier,
    choose_clock,
    compute_accrued_fee,
    compute_annual_fee,
    compute_hurdle_return,
    compute_management_fee,
    compute_performance_fee,
    compute_posting,
    crystallise_units,
    is_crystallisation_day,
    year_fraction,
)
from magnetfund.kernel.errors import InvalidInput

D = Decimal
CENT, MICRO = D("0.01"), D("0.000001")


@pytest.mark.parametrize(
    ("basis", "days", "year"),
    [(DayCount.ACT_365F, 59, 365), (DayCount.ACT_360, 59, 360), (DayCount.THIRTY_360, 60, 360)],
)
def test_each_day_count_measures_the_end_of_the_year_to_february(
    basis: DayCount, days: int, year: int
) -> None:
    found = year_fraction(start=date(2025, 1, 31), end=date(2025, 3, 31), day_count=basis)
    assert abs(found - D(days) / year) < D("1e-25")


def test_thirty_360_keeps_an_end_on_the_31st_after_an_early_start() -> None:
    found = year_fraction(
        start=date(2024, 12, 15), end=date(2025, 1, 31), day_count=DayCount.THIRTY_360
    )
    assert abs(found * 360 - 46) < D("1e-25")


def test_tiers_are_marginal_and_the_floor_holds() -> None:
    tiers = (Tier(above=D(0), rate=D("0.02")), Tier(above=D(1000), rate=D("0.01")))
    terms = ClassTerms(tiers=tiers, management_floor=D(5))
    assert compute_annual_fee(terms=terms, base=D(3000)) == 40
    assert compute_annual_fee(terms=terms, base=D(500)) == 10
    assert compute_annual_fee(terms=terms, base=D(-1)) == 5


def test_a_year_at_two_percent_costs_two_percent() -> None:
    terms = ClassTerms(tiers=(Tier(above=D(0), rate=D("0.02")),))
    fee = compute_management_fee(
        terms=terms, base=D(1000), start=date(2025, 1, 1), end=date(2026, 1, 1)
    )
    assert fee == 20


@given(st.lists(st.decimals(0, 100, places=7), max_size=40))
def test_rounded_postings_add_to_the_rounded_total(accruals: list[Decimal]) -> None:
    cumulative = posted = D(0)
    for accrued in accruals:
        amount, cumulative = compute_posting(
            cumulative_before=cumulative, accrued=accrued, quantum=CENT
        )
        posted += amount
    assert posted == sum(accruals, D(0)).quantize(CENT)


@pytest.mark.parametrize(
    ("hurdle", "nets"),
    [
        (Hurdle.HARD, ("104", "108.8", "109.6", "111.2")),
        (Hurdle.SOFT_GROSS, ("104", "107.2", "108", "109.6")),
        (Hurdle.SOFT_NET, ("104", "109", "108", "109.6")),
        (Hurdle.SOFT_CATCH_UP, ("104", "108", "108", "109.6")),
    ],
)
def test_net_values_by_hurdle_kind_at_104_109_110_112(
    hurdle: Hurdle, nets: tuple[str, ...]
) -> None:
    terms = ClassTerms(performance_rate=D("0.2"), hurdle=hurdle, hurdle_rate=D("0.08"))
    due = compute_hurdle_return(terms=terms, days=365)
    for gross, net in zip(("104", "109", "110", "112"), nets, strict=True):
        fee = compute_performance_fee(terms=terms, price=D(gross), mark=D(100), hurdle_return=due)
        assert D(gross) - fee == D(net)


def test_k_and_l_gates_2020_slide_37_profit_10_hurdle_5_costs_1_hard_and_2_soft() -> None:
    for hurdle, fee in ((Hurdle.HARD, 1), (Hurdle.SOFT_GROSS, 2), (Hurdle.SOFT_CATCH_UP, 2)):
        terms = ClassTerms(performance_rate=D("0.2"), hurdle=hurdle)
        assert (
            compute_performance_fee(terms=terms, price=D(110), mark=D(100), hurdle_return=D("0.05"))
            == fee
        )


def test_analyst_forum_153601_management_and_performance_fee_together_are_3_57() -> None:
    terms = ClassTerms(performance_rate=D("0.15"), hurdle=Hurdle.HARD)
    gross = D(120) * (1 - D("0.01"))
    fee = compute_performance_fee(terms=terms, price=gross, mark=D(100), hurdle_return=D("0.03"))
    assert fee + D("1.20") == D("3.57")


def test_three_years_by_cancellation_end_at_154_40() -> None:
    """Open guide "Fees, Performance Fees & Equalization", section 2: 140 / 120 / 160."""
    terms = ClassTerms(performance_rate=D("0.2"))
    fine = D("1e-18")
    units, mark, value = D(1), D(100), D(100)
    for growth in (D("1.4"), D(120) / 132, D(160) / 120):
        price = value / units * growth
        fee = compute_performance_fee(terms=terms, price=price, mark=mark)
        taken = crystallise_units(
            units=units, price=price, fee_per_unit=fee, mark=mark,
            unit_quantum=fine, cash_quantum=fine,
        )  # fmt: skip
        units, mark, value = taken.units, taken.mark, taken.units * price
    assert value.quantize(MICRO) == D("154.400000")
    assert price.quantize(D("0.0001")) == D("169.6970")


def test_a_second_crystallisation_on_one_day_takes_nothing() -> None:
    terms = ClassTerms(performance_rate=D("0.2"))
    fee = compute_performance_fee(terms=terms, price=D(140), mark=D(100))
    once = crystallise_units(
        units=D(10), price=D(140), fee_per_unit=fee, mark=D(100),
        unit_quantum=MICRO, cash_quantum=CENT,
    )  # fmt: skip
    assert (once.cancelled, once.payable, once.mark) == (D("0.571428"), D("79.99"), D(140))
    assert once.units + once.cancelled == 10
    assert once.payable + once.dust == 10 * fee
    assert compute_performance_fee(terms=terms, price=D(140), mark=once.mark) == 0


def test_the_fee_becomes_final_on_the_last_day_of_its_months() -> None:
    terms = ClassTerms(crystallisation_months=(2, 12))
    assert is_crystallisation_day(terms=terms, day=date(2024, 2, 29))
    assert not is_crystallisation_day(terms=terms, day=date(2024, 2, 28))
    assert not is_crystallisation_day(terms=terms, day=date(2024, 3, 31))


def test_prices_and_units_have_six_decimals_and_cash_has_cents_unless_the_terms_say_more() -> None:
    terms = ClassTerms()
    assert (terms.price_quantum, terms.unit_quantum, terms.cash_quantum) == (MICRO, MICRO, CENT)


@pytest.mark.parametrize("step", ["0.02", "10", "0", "1e-19"])
@pytest.mark.parametrize("name", ["price_quantum", "unit_quantum", "cash_quantum"])
def test_a_step_is_a_power_of_ten_up_to_one_that_the_ledger_can_store(name: str, step: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        ClassTerms(**{name: D(step)})
    assert caught.value.code == "bad_quantum"
    assert getattr(ClassTerms(**{name: D("1e-18")}), name) == D("1e-18")
    assert getattr(ClassTerms(**{name: D(1)}), name) == 1


def test_terms_that_cannot_be_right_are_refused() -> None:
    for refused in (
        {"tiers": (Tier(above=D(1), rate=D("0.1")),)},
        {"tiers": (Tier(above=D(0), rate=D("0.1")),), "management_rate": D("0.02")},
    ):
        with pytest.raises(InvalidInput) as caught:
            ClassTerms(**refused)
        assert caught.value.code == "bad_tiers"
    with pytest.raises(InvalidInput):
        ClassTerms(performance_rate=D(1))
    with pytest.raises(InvalidInput):
        ClassTerms(crystallisation_months=(13,))
    with pytest.raises(InvalidInput):
        compute_performance_fee(terms=ClassTerms(), price=D(0), mark=D(1))


def fraction_of_360(start: date, end: date) -> Decimal:
    days = year_fraction(start=start, end=end, day_count=DayCount.THIRTY_360) * 360
    return days.quantize(CENT)


def test_thirty_360_counts_from_the_30th_when_it_starts_on_the_31st() -> None:
    assert fraction_of_360(date(2025, 1, 31), date(2025, 2, 15)) == 15
    assert fraction_of_360(date(2025, 1, 30), date(2026, 3, 31)) == 360 + 60
    assert fraction_of_360(date(2025, 1, 29), date(2025, 1, 31)) == 2


@pytest.mark.parametrize("basis", list(DayCount))
def test_a_period_of_no_days_is_no_year_and_none_runs_backwards(basis: DayCount) -> None:
    day = date(2025, 5, 5)
    assert year_fraction(start=day, end=day, day_count=basis) == 0
    with pytest.raises(InvalidInput) as caught:
        year_fraction(start=day, end=date(2025, 5, 4), day_count=basis)
    assert caught.value.code == "period_reversed"


def test_half_a_year_costs_half_and_three_tiers_add_up() -> None:
    tiers = tuple(
        Tier(above=D(above), rate=D(rate))
        for above, rate in ((0, "0.02"), (1000, "0.01"), (5000, "0.005"))
    )
    terms = ClassTerms(tiers=tiers, day_count=DayCount.ACT_360)
    assert compute_annual_fee(terms=terms, base=D(7000)) == 20 + 40 + 10
    half = compute_management_fee(
        terms=terms, base=D(7000), start=date(2025, 1, 1), end=date(2025, 6, 30)
    )
    assert half == 35


def test_a_hurdle_grows_by_the_day_simple_or_compound_or_not_at_all() -> None:
    simple = ClassTerms(hurdle=Hurdle.HARD, hurdle_rate=D("0.08"))
    compound = ClassTerms(hurdle=Hurdle.HARD, hurdle_rate=D("0.08"), hurdle_compounds=True)
    none = ClassTerms(hurdle_rate=D("0.08"))
    assert compute_hurdle_return(terms=simple, days=730) == D("0.16")
    assert compute_hurdle_return(terms=compound, days=730) == D("0.1664")
    half = compute_hurdle_return(terms=compound, days=73)
    assert abs((1 + half) ** 5 - D("1.08")) < D("1e-20")
    assert compute_hurdle_return(terms=none, days=730) == 0
    for terms in (simple, compound, none):
        assert compute_hurdle_return(terms=terms, days=0) == 0
        with pytest.raises(InvalidInput) as caught:
            compute_hurdle_return(terms=terms, days=-1)
        assert caught.value.code == "period_reversed"


@pytest.mark.parametrize("hurdle", [Hurdle.SOFT_GROSS, Hurdle.SOFT_NET])
def test_a_soft_hurdle_is_met_when_it_is_reached_exactly(hurdle: Hurdle) -> None:
    terms = ClassTerms(performance_rate=D("0.2"), hurdle=hurdle)
    at_it = D(110) if hurdle is Hurdle.SOFT_GROSS else D("112.5")  # 112.5 - 2.5 = 110
    for price, fee in ((at_it, (at_it - 100) / 5), (at_it - CENT, D(0))):
        found = compute_performance_fee(
            terms=terms, price=price, mark=D(100), hurdle_return=D("0.1")
        )
        assert found == fee


def test_a_fee_that_eats_the_whole_price_is_refused() -> None:
    for fee in (D(100), D(101)):
        with pytest.raises(InvalidInput) as caught:
            crystallise_units(
                units=D(1), price=D(100), fee_per_unit=fee, mark=D(90),
                unit_quantum=MICRO, cash_quantum=CENT,
            )  # fmt: skip
        assert caught.value.code == "fee_above_price"


def test_a_lot_without_a_fee_keeps_its_units_and_its_mark() -> None:
    for units, fee in ((D(7), D(0)), (D(0), D(3))):
        kept = crystallise_units(
            units=units, price=D(100), fee_per_unit=fee, mark=D(120),
            unit_quantum=MICRO, cash_quantum=CENT,
        )  # fmt: skip
        assert (kept.units, kept.mark, kept.cancelled, kept.payable) == (units, 120, 0, 0)


def test_written_terms_become_decimals_and_keep_their_defaults() -> None:
    tier = Tier(above="0", rate="0.02")  # type: ignore[arg-type]  # text at the door
    terms = ClassTerms(tiers=(tier,), management_floor="5", hurdle_rate="0.08")  # type: ignore[arg-type]
    assert [type(value) for value in (tier.above, tier.rate)] == [Decimal, Decimal]
    assert type(terms.management_floor) is type(terms.hurdle_rate) is Decimal
    assert terms.crystallisation_months == (12,)
    assert not terms.hurdle_compounds
    ClassTerms(crystallisation_months=tuple(range(1, 13)))


@pytest.mark.parametrize(
    "build",
    [
        lambda: Tier(above=D(-1), rate=D("0.1")),
        lambda: Tier(above=D(0), rate=D(1)),
        lambda: Tier(above=D(0), rate=D("-0.1")),
        lambda: ClassTerms(management_floor=D(-1)),
        lambda: ClassTerms(hurdle_rate=D("-0.1")),
        lambda: ClassTerms(crystallisation_months=(0,)),
        lambda: ClassTerms(tiers=(Tier(above=D(0), rate=D(0)), Tier(above=D(0), rate=D(0)))),
    ],
)
def test_rates_and_bounds_out_of_range_are_refused(build: Callable[[], object]) -> None:
    with pytest.raises(InvalidInput):
        build()


def test_a_fee_accrues_over_the_hurdle_of_the_days_since_its_clock() -> None:
    terms = ClassTerms(performance_rate=D("0.2"), hurdle=Hurdle.HARD, hurdle_rate=D("0.1"))
    clock = date(2025, 1, 1)
    found = compute_accrued_fee(
        terms=terms, price=D(125), mark=D(100), clock=clock, day=date(2026, 1, 1)
    )
    assert found == 3  # a fifth of 125 less 110
    with pytest.raises(InvalidInput) as caught:
        compute_accrued_fee(
            terms=terms, price=D(125), mark=D(100), clock=clock, day=date(2024, 12, 31)
        )
    assert caught.value.code == "period_reversed"


@pytest.mark.parametrize(
    ("is_cumulative", "fee_taken", "moves"),
    [(True, True, True), (True, False, False), (False, True, True), (False, False, True)],
)
def test_a_hurdle_clock_starts_again_with_a_fee_or_with_each_year(
    is_cumulative: bool, fee_taken: bool, moves: bool
) -> None:
    clock, day = date(2024, 1, 1), date(2025, 1, 1)
    terms = ClassTerms(hurdle_is_cumulative=is_cumulative)
    found = choose_clock(terms=terms, clock=clock, day=day, fee_taken=fee_taken)
    assert found == (day if moves else clock)
    assert not ClassTerms().hurdle_is_cumulative  # all clocks restart unless the class says so


@pytest.mark.parametrize(
    "wrong",
    [
        {"gate_share": D(0)},
        {"gate_share": D("1.01")},
        {"investor_gate_share": D(0)},
        {"investor_gate_share": D("-0.1")},
        {"holdback_share": D("1.5")},
        {"notice_days": -1},
        {"lock_up_days": -1},
        {"rolls_max": -1},
    ],
)
def test_dealing_terms_that_cannot_be_right_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(InvalidInput):
        ClassTerms(**wrong)  # type: ignore[arg-type]  # one wrong term at a time


def test_terms_hold_nothing_back_unless_they_say_so() -> None:
    terms = ClassTerms()
    assert (terms.notice_days, terms.lock_up_days, terms.holdback_share) == (0, 0, 0)
    assert (terms.gate_share, terms.investor_gate_share, terms.rolls_max) == (1, 1, 3)


def test_a_callers_precision_neither_shortens_a_fee_nor_is_changed_by_one() -> None:
    terms = ClassTerms(performance_rate=D("0.2"))
    with localcontext(prec=4) as context:
        fee = compute_performance_fee(terms=terms, price=D("123.456789"), mark=D(100))
        with pytest.raises(InvalidInput):
            compute_performance_fee(terms=terms, price=D(-1), mark=D(100))
        assert getcontext() is context
    assert fee == D("4.6913578")
