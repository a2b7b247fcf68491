"""Equalisation: one price, credits above the mark, contingent redemptions below."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from investors.domain.equalisation import (
    EqualisedClass,
    EqualisedLot,
    LotEqualisation,
    value_class,
)
from investors.domain.fees import ClassTerms, Hurdle
from investors.tests.equalisation_history import (
    crystallise_class,
    redeem_equalised,
    subscribe_equalised,
)
from magnetfund.kernel.errors import InvalidInput

D = Decimal
DAY, MID, END = date(2026, 1, 1), date(2026, 7, 1), date(2027, 1, 1)
TERMS = ClassTerms(performance_rate=D("0.2"))
FINE = D("1e-20")


def lot(name: str, mark: str, *, units: str = "1") -> EqualisedLot:
    return EqualisedLot(lot=name, holder=name, units=D(units), mark=D(mark), clock=DAY)


def fund(mark: str, *lots: EqualisedLot) -> EqualisedClass:
    return EqualisedClass(mark=D(mark), clock=DAY, lots=lots)


def corrections(equalised: EqualisedClass, gross: str) -> dict[str, LotEqualisation]:
    value = value_class(terms=TERMS, equalised=equalised, gross=gross, day=END)
    return {item.lot: item for item in value.lots}


def test_tiger_brokers_mark_1_cost_1_2_price_1_4_charges_8_and_returns_4() -> None:
    """Tiger Brokers help 05146234, positive equalisation: 100 shares, 20 %: 8 charged by the
    class's mark, 4 of it given back as units."""
    equalised = fund("1", lot("a", "1.2", units="100"))
    value = value_class(terms=TERMS, equalised=equalised, gross="1.4", day=END)
    assert 100 * value.fee_per_unit == 8
    assert 100 * value.lots[0].credit == 4
    after = crystallise_class(terms=TERMS, equalised=equalised, gross="1.4", day=END)
    assert after.lots[0].units_change == (D(4) / D("1.32")).quantize(D("0.000001"), "ROUND_DOWN")
    assert after.payable == 4


def test_vauban_handbook_100_110_90_120_pays_4_and_corrects_2_each_way() -> None:
    """handbook.vauban.io 3368082: mark 100, A in at 110, B in at 90, then 120: fee 4 a share,
    NAV 116; A bought 10 of the gain already (credit 2), B gained 10 more (deficit 2)."""
    equalised = fund("100", lot("0", "100", units="10"))
    for name, gross in (("A", 110), ("B", 90)):
        equalised = subscribe_equalised(
            terms=TERMS, equalised=equalised, gross=gross, day=MID, lot=name, holder=name,
            amount=10 * gross,
        ).equalised  # fmt: skip
    value = value_class(terms=TERMS, equalised=equalised, gross=120, day=END)
    assert (value.fee_per_unit, value.price) == (4, 116)
    assert [(item.credit, item.contingent) for item in value.lots] == [(0, 0), (2, 0), (0, 2)]
    # 20 % of 20, 10 and 30 on ten units each.
    assert value.accrual == 40 + 20 + 60
    after = crystallise_class(terms=TERMS, equalised=equalised, gross=120, day=END)
    assert (after.price, after.equalised.mark, after.payable) == (116, 116, 120)
    step = (D(20) / 116).quantize(D("0.000001"), "ROUND_DOWN")
    assert [item.units_change for item in after.lots] == [0, step, -step - D("0.000001")]
    assert {item.mark for item in after.equalised.lots} == {116}


def test_k_and_l_gates_2020_slides_17_and_18_claw_back_is_gone() -> None:
    """Without equalisation the second unit enters at 108 while the first one accrued 2: flat, both
    are worth 108; after a loss of 20 both are worth 99, so the late unit lost 9 and the first one
    11 from its gross high.  With it the late unit pays 110 and both lose 10."""
    pool = D(110) + 108
    assert (pool - 2, (pool - 2) / 2, (pool - 20) / 2) == (216, 108, 99)
    equalised = fund("100", lot("first", "100"))
    bought = subscribe_equalised(
        terms=TERMS, equalised=equalised, gross=110, day=MID, lot="late", holder="late", amount=110
    )
    assert (bought.to_units, bought.credit, bought.residue) == (108, 2, 0)
    flat = value_class(terms=TERMS, equalised=bought.equalised, gross=110, day=END)
    assert [item.net_value for item in flat.lots] == [108, 110]
    fallen = value_class(terms=TERMS, equalised=bought.equalised, gross=100, day=END)
    assert [item.net_value for item in fallen.lots] == [100, 100]


def test_a_credit_is_lost_as_the_market_falls_and_recaptured_up_to_its_maximum() -> None:
    """The clause collected at lawinsider.com, "Equalisation Credit": reduced with a decline of the
    value per share, recaptured after, never above what was paid."""
    equalised = fund("100", lot("a", "110"))
    path = ["110", "105", "100", "90", "100", "104", "110", "130"]
    credits = [corrections(equalised, gross)["a"].credit for gross in path]
    assert credits == [2, 1, 0, 0, 0, D("0.8"), 2, 2]


def test_a_contingent_redemption_grows_up_to_the_mark_of_the_class() -> None:
    equalised = fund("100", lot("b", "90"))
    path = ["80", "90", "95", "100", "120"]
    assert [corrections(equalised, g)["b"].contingent for g in path] == [0, 0, 1, 2, 2]


def test_an_unrecovered_credit_keeps_its_mark_in_money_over_the_next_period() -> None:
    """In at 110, crystallised at 104: the credit left is 0.80, and no fee was the investor's."""
    after = crystallise_class(
        terms=TERMS, equalised=fund("100", lot("a", "110")), gross=104, day=END,
        unit_quantum=FINE, cash_quantum=FINE,
    )  # fmt: skip
    (kept,) = after.equalised.lots
    assert (after.price, after.equalised.mark, after.payable) == (D("103.2"), D("103.2"), 0)
    assert abs(kept.units * after.price - 104) < D("1e-15")
    assert abs(kept.units * kept.mark - 110) < D("1e-15")


@given(
    mark=st.decimals("60", "150", places=2),
    entry=st.decimals("60", "150", places=2),
    gross=st.decimals("40", "220", places=2),
)
def test_without_a_hurdle_the_corrections_have_their_closed_forms(
    mark: Decimal, entry: Decimal, gross: Decimal
) -> None:
    """EC = min(p(e - h), p max(0, g - h)); CR = p max(0, min(g, h) - e)."""
    found = corrections(fund(str(mark), lot("a", str(entry))), str(gross))["a"]
    p = D("0.2")
    credit = min(p * (entry - mark), p * max(D(0), gross - mark))
    assert found.credit == (credit if entry > mark else 0)
    assert found.contingent == (p * max(D(0), min(gross, mark) - entry) if entry < mark else 0)


@given(
    entry=st.decimals("60", "150", places=2),
    gross=st.decimals("40", "220", places=2),
    rate=st.decimals("0", "0.2", places=2),
)
def test_under_a_hard_hurdle_thresholds_take_the_place_of_marks(
    entry: Decimal, gross: Decimal, rate: Decimal
) -> None:
    """EC = min(p(Te - Th), p max(0, g - Th)) where T = mark (1 + H), each with its own clock; so a
    lot above the mark of the class may still owe a contingent redemption."""
    terms = ClassTerms(performance_rate=D("0.2"), hurdle=Hurdle.HARD, hurdle_rate=rate)
    own = replace(lot("a", str(entry)), clock=MID)
    value = value_class(terms=terms, equalised=fund("100", own), gross=gross, day=END)
    (found,) = value.lots
    ours = entry * (1 + rate * (END - MID).days / 365)
    classes = D(100) * (1 + rate)
    p, tiny = D("0.2"), D("1e-20")
    credit = max(D(0), min(p * (ours - classes), p * max(D(0), gross - classes)))
    contingent = p * max(D(0), min(gross, classes) - ours)
    assert abs(found.credit - credit) < tiny
    assert abs(found.contingent - contingent) < tiny


@pytest.mark.parametrize("hurdle", list(Hurdle))
def test_the_accrual_is_class_fee_less_credits_plus_contingent_redemptions(hurdle: Hurdle) -> None:
    terms = ClassTerms(performance_rate=D("0.2"), hurdle=hurdle, hurdle_rate=D("0.05"))
    equalised = fund("100", lot("a", "112", units="3"), lot("b", "91", units="7"))
    for gross in ("95", "104", "109", "140"):
        value = value_class(terms=terms, equalised=equalised, gross=gross, day=END)
        class_fee = equalised.units * value.fee_per_unit
        credits = sum(item.units * item.credit for item in value.lots)
        contingents = sum(item.units * item.contingent for item in value.lots)
        assert value.accrual == class_fee - credits + contingents


def test_a_redemption_pays_its_share_of_credit_and_withholds_its_share_of_contingent() -> None:
    equalised = fund("100", lot("a", "110", units="10"), lot("b", "90", units="10"))
    out = redeem_equalised(terms=TERMS, equalised=equalised, gross=120, day=END, lot="a", units=4)
    assert (out.price, out.credit_paid, out.withheld) == (116, 8, 0)
    assert (out.payout, out.payable, out.residue) == (472, 8, 0)
    out = redeem_equalised(
        terms=TERMS, equalised=out.equalised, gross=120, day=END, lot="b", units=10
    )
    assert (out.credit_paid, out.withheld, out.payout, out.payable) == (0, 20, 1140, 60)
    assert [(item.lot, item.units) for item in out.equalised.lots] == [("a", 6)]


@given(
    entries=st.lists(st.decimals("60", "150", places=2), min_size=1, max_size=5),
    gross=st.decimals("60", "180", places=2),
    hurdle=st.sampled_from(list(Hurdle)),
)
@settings(max_examples=60, deadline=None)
def test_rounding_at_crystallisation_stays_with_the_fund(
    entries: list[Decimal], gross: Decimal, hurdle: Hurdle
) -> None:
    terms = ClassTerms(performance_rate=D("0.2"), hurdle=hurdle, hurdle_rate=D("0.05"))
    lots = [lot(str(k), str(entry), units="3.333333") for k, entry in enumerate(entries)]
    equalised = fund("100", *lots)
    value = value_class(terms=terms, equalised=equalised, gross=gross, day=END)
    after = crystallise_class(terms=terms, equalised=equalised, gross=gross, day=END)
    left = after.equalised.units * after.price
    assert abs(equalised.units * gross - left - after.payable - after.residue) < D("1e-40")
    assert after.payable <= value.accrual
    assert all(0 <= event.residue < D("0.0102") for event in after.lots)


def test_what_cannot_be_is_refused() -> None:
    equalised = fund("100", lot("a", "100"))

    def redeem(name: str, units: int) -> object:
        return redeem_equalised(
            terms=TERMS, equalised=equalised, gross=110, day=END, lot=name, units=units
        )

    def subscribe(name: str, amount: str) -> object:
        return subscribe_equalised(
            terms=TERMS, equalised=equalised, gross=110, day=END, lot=name, holder="x",
            amount=amount,
        )  # fmt: skip

    for call, name, number, code in (
        (redeem, "z", 1, "unknown_lot"),
        (redeem, "a", 2, "not_enough_units"),
        (redeem, "a", 0, "not_positive"),
        (subscribe, "a", "100", "duplicate_lot"),
        (subscribe, "b", "0.00001", "amount_too_small"),
    ):
        with pytest.raises(InvalidInput) as caught:
            call(name, number)  # type: ignore[operator]
        assert caught.value.code == code
