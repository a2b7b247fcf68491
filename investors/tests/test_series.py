"""Series accounting: own price and mark, fee per series, and roll-up into the lead series."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from investors.domain.fees import ClassTerms, Hurdle
from investors.domain.series import (
    Series,
    can_roll_up,
    crystallise_series,
    value_series,
)
from investors.tests.series_history import SeriesOrder, open_series, redeem_from_series, roll_up
from magnetfund.kernel.errors import InvalidInput

D = Decimal
DAY, END = date(2026, 1, 1), date(2027, 1, 1)
TERMS = ClassTerms(performance_rate=D("0.2"))


def opened(code: str, amount: str, *, number: int = 0, par: str = "100") -> Series:
    orders = [SeriesOrder(lot=f"{code}-1", holder="ann", amount=D(amount))]
    return open_series(code=code, number=number, day=DAY, orders=orders, par=par).series


def at(series: Series, price: str) -> Series:
    return replace(series, price=D(price))


def test_series_nav_exercise_100000_in_1000_shares_earns_40000_and_stands_at_140() -> None:
    """ "Partnership accounting" course (scribd 106262039), series NAV, base series, no fees."""
    series = opened("0", "100000")
    assert series.units == 1000
    earned = at(series, str(series.price + 40_000 / series.units))
    value = value_series(terms=ClassTerms(), series=earned, day=END)
    assert (value.net_price, value.net_value) == (140, 140_000)


def test_three_years_of_one_series_end_at_154_40() -> None:
    """Open guide "Fees, Performance Fees & Equalization", section 2: fees 8.00 / 0 / 5.60."""
    series, fees = opened("A", "100"), []
    for price in ("140", "120", "160"):
        taken = crystallise_series(terms=TERMS, series=at(series, price), day=END)
        series = taken.series
        fees.append(taken.payable)
    assert fees == [D("8.00"), 0, D("5.60")]
    assert (series.price, series.mark) == (D("154.40"), D("154.40"))


def test_volta90_documentation_1_05_1_02_1_065() -> None:
    """volta90.trade: fee 0.0100 / 0 / 0.0050, after fee 1.0400 / 1.0200 / 1.0600."""
    series, prices = opened("A", "10000", par="1"), []
    for price in ("1.05", "1.02", "1.065"):
        series = crystallise_series(terms=TERMS, series=at(series, price), day=END).series
        prices.append(series.price)
    assert prices == [D("1.04"), D("1.02"), D("1.06")]


def test_cryptotrader_documentation_marks_116000_and_125280() -> None:
    """100,000 -> 120,000: fee 4,000, mark 116,000; +10 % -> 127,600: fee 2,320, mark 125,280."""
    series, found = opened("A", "100000"), []
    for growth in ("0.2", "0.1"):
        grown = at(series, str(series.price * (1 + D(growth))))
        taken = crystallise_series(terms=TERMS, series=grown, day=END)
        series = taken.series
        found.append((taken.payable, series.units * series.mark))
    assert found == [(4000, 116_000), (2320, 125_280)]


@pytest.mark.parametrize(("hurdle", "net"), [(Hurdle.HARD, "109.6"), (Hurdle.SOFT_CATCH_UP, "108")])
def test_a_series_keeps_its_own_hurdle(hurdle: Hurdle, net: str) -> None:
    terms = ClassTerms(performance_rate=D("0.2"), hurdle=hurdle, hurdle_rate=D("0.08"))
    value = value_series(terms=terms, series=at(opened("A", "1000"), "110"), day=END)
    assert value.net_price == D(net)


def test_two_series_that_paid_a_fee_become_one_and_the_third_lives_on() -> None:
    """The rule of K&L Gates 2020 slide 25 and of Oracle FCIS "Series Method": shares above their
    mark pay and are restated at the price of the oldest series; a series under water is not."""
    lead, second, third = (
        at(opened("A", "1000"), "140"),
        at(opened("B", "1000", number=1), "110"),
        at(opened("C", "1000", number=2), "90"),
    )
    after = [
        crystallise_series(terms=TERMS, series=item, day=END).series
        for item in (second, third, lead)
    ]
    rolled = roll_up(terms=TERMS, series=after)
    assert (rolled.lead.code, rolled.lead.price, rolled.lead.mark) == ("A", 132, 132)
    assert [item.code for item in rolled.kept] == ["C"]
    (exchange,) = rolled.exchanges
    assert (exchange.units_out, exchange.units_in) == (10, D("8.181818"))
    # 10 units at 108.00 are 8.181818 at 132.00, and 0.000024 is named as the fund's residue.
    assert exchange.units_in * 132 + exchange.residue == 1080
    assert rolled.residue == D("0.000024")
    assert rolled.kept[0].mark == 100


def test_a_lead_under_water_takes_nobody_in() -> None:
    lead, second = at(opened("A", "1000"), "90"), at(opened("B", "1000", number=1), "110")
    after = [crystallise_series(terms=TERMS, series=s, day=END).series for s in (lead, second)]
    rolled = roll_up(terms=TERMS, series=after)
    assert rolled.exchanges == ()
    assert [item.code for item in rolled.kept] == ["B"]


def test_a_series_within_its_hurdle_is_not_rolled_up() -> None:
    terms = ClassTerms(performance_rate=D("0.2"), hurdle=Hurdle.HARD, hurdle_rate=D("0.08"))
    lead, second = at(opened("A", "1000"), "120"), at(opened("B", "1000", number=1), "105")
    paid = crystallise_series(terms=terms, series=lead, day=END).series
    none = crystallise_series(terms=terms, series=second, day=END).series
    assert (none.price, none.mark) == (105, 100)
    assert not can_roll_up(terms=terms, lead=paid, series=none)


def test_under_a_hurdle_two_clocks_stay_two_series() -> None:
    lead = opened("A", "1000")
    later = replace(opened("B", "1000", number=1), clock=END)
    hard = ClassTerms(performance_rate=D("0.2"), hurdle=Hurdle.HARD, hurdle_rate=D("0.08"))
    assert can_roll_up(terms=TERMS, lead=lead, series=later)
    assert not can_roll_up(terms=hard, lead=lead, series=later)


def test_the_clock_of_a_cumulative_hurdle_waits_for_a_fee() -> None:
    soft = {"performance_rate": D("0.2"), "hurdle": Hurdle.SOFT_GROSS, "hurdle_rate": D("0.08")}
    series = at(opened("A", "1000"), "105")
    for is_cumulative, clock in ((True, DAY), (False, END)):
        terms = ClassTerms(**soft, hurdle_is_cumulative=is_cumulative)  # type: ignore[arg-type]
        assert crystallise_series(terms=terms, series=series, day=END).series.clock == clock


def test_a_redemption_pays_net_and_leaves_the_price_alone() -> None:
    series = at(opened("A", "1000"), "110")
    out = redeem_from_series(terms=TERMS, series=series, lot="A-1", units=4, day=END)
    assert (out.payout, out.payable, out.residue) == (432, 8, 0)
    assert out.series is not None
    assert (out.series.units, out.series.price, out.series.mark) == (6, 110, 100)
    last = redeem_from_series(terms=TERMS, series=out.series, lot="A-1", units=6, day=END)
    assert last.series is None


@pytest.mark.parametrize(
    ("lot", "units", "code"),
    [("B-1", 1, "unknown_lot"), ("A-1", 11, "not_enough_units"), ("A-1", 0, "not_positive")],
)
def test_a_redemption_that_cannot_be_is_refused(lot: str, units: int, code: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        redeem_from_series(terms=TERMS, series=opened("A", "1000"), lot=lot, units=units, day=END)
    assert caught.value.code == code


def test_openings_that_cannot_be_are_refused() -> None:
    with pytest.raises(InvalidInput) as caught:
        open_series(code="A", number=0, day=DAY, orders=[])
    assert caught.value.code == "no_orders"
    with pytest.raises(InvalidInput) as caught:
        opened("A", "0.00001")
    assert caught.value.code == "amount_too_small"
    with pytest.raises(InvalidInput) as caught:
        roll_up(terms=TERMS, series=[])
    assert caught.value.code == "no_series"


prices = st.lists(st.decimals("60", "190", places=2), min_size=2, max_size=6)


@given(prices=prices)
@settings(max_examples=50, deadline=None)
def test_value_before_is_value_after_fee_and_roll_up(prices: list[Decimal]) -> None:
    series = [at(opened(f"S{k}", "1000", number=k), str(p)) for k, p in enumerate(prices)]
    before = sum(item.units * item.price for item in series)
    paid = [crystallise_series(terms=TERMS, series=item, day=END) for item in series]
    rolled = roll_up(terms=TERMS, series=[taken.series for taken in paid])
    left = sum(item.units * item.price for item in (rolled.lead, *rolled.kept))
    fees = sum(taken.payable for taken in paid)
    assert abs(left + rolled.residue + fees - before) < D("1e-40")
    # A lot loses less than one unit step by rolling up: nobody loses a cent.
    assert all(0 <= exchange.residue < D("0.01") for exchange in rolled.exchanges)
