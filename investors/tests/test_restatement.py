"""A wrong NAV put right: strikes re-run, deals compensated, the books still balance."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal as D
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from investors.domain.ledger import sum_legs
from investors.domain.restatement import (
    CompensationTerms,
    CompensationWay,
    DealKind,
    PriceError,
    WrongDeal,
    build_compensation_entries,
    check_price,
    compute_compensations,
    restate_strikes,
    value_fund_loss,
)
from investors.domain.strike import (
    ClassInput,
    ClassTerms,
    LotInput,
    StrikeInputs,
    compute_strike,
)
from magnetfund.kernel.errors import InvalidInput

DAYS = (date(2026, 1, 31), date(2026, 2, 28), date(2026, 3, 31))
NOW = datetime(2026, 4, 1, tzinfo=UTC)
LOT = UUID(int=7)


def history(
    results: list[D], *, management: str = "0.02", performance: str = "0.2"
) -> list[StrikeInputs]:
    """One class of one lot, struck month by month; fees accrue and no money moves."""
    terms = ClassTerms(management_rate=D(management), performance_rate=D(performance))
    gav, accrual, fee = D(100_000), D(0), D(0)
    day, found = date(2025, 12, 31), []
    for next_day, result in zip(DAYS, results, strict=True):
        lot = LotInput(
            lot="one", number=1, units=D(1000), mark=D(100), clock=DAYS[0], dealing_day=DAYS[0]
        )
        item = StrikeInputs(
            day=next_day,
            previous_day=day,
            net_assets=gav + result,
            classes=(
                ClassInput(
                    code="A",
                    terms=terms,
                    launch_price=D(100),
                    lots=(lot,),
                    gav_before=gav,
                    nav_before=gav - accrual,
                    fee_cumulative=fee,
                    accrual_before=accrual,
                ),
            ),
        )
        struck = compute_strike(item).classes[0]
        gav, accrual = struck.gav, struck.performance_fee
        fee, day = struck.fee_cumulative, next_day
        found.append(item)
    return found


results = st.lists(st.decimals("-20000", "20000", places=2), min_size=3, max_size=3)


@given(results)
def test_a_restatement_of_unchanged_inputs_finds_nothing(moves: list[D]) -> None:
    for item in restate_strikes(inputs=history(moves), corrections={}, threshold="0.01"):
        assert item.errors == ()
        assert item.right == item.published


@given(moves=results, off=st.decimals("-5000", "5000", places=2))
def test_the_right_strikes_are_those_of_a_history_without_the_error(moves: list[D], off: D) -> None:
    """A price too low by ``off`` in February is right again in March."""
    wrong = history(moves)
    truth = history([moves[0], moves[1] + off, moves[2] - off])
    restated = restate_strikes(inputs=wrong, corrections={DAYS[1]: off}, threshold="0.01")
    for item, true in zip(restated, truth, strict=True):
        assert item.right.classes == compute_strike(true).classes
        assert item.right.nav == compute_strike(true).nav


def test_a_mark_that_moved_to_the_wrong_price_moves_to_the_right_one_and_stays() -> None:
    inputs = history([D(10_000), D(0), D(5_000)], management="0", performance="0.2")
    assert compute_strike(inputs[0]).classes[0].price == 110
    marked = [inputs[0]]
    for item in inputs[1:]:
        lot = item.classes[0].lots[0]
        new = LotInput(
            lot=lot.lot, number=1, units=lot.units, mark=D(110), clock=DAYS[0], dealing_day=DAYS[0]
        )
        one = item.classes[0]
        marked.append(
            StrikeInputs(
                day=item.day,
                previous_day=item.previous_day,
                net_assets=item.net_assets,
                classes=(
                    ClassInput(
                        code="A",
                        terms=one.terms,
                        launch_price=D(100),
                        lots=(new,),
                        gav_before=one.gav_before,
                        nav_before=one.gav_before,
                    ),
                ),
            )
        )
    restated = restate_strikes(inputs=marked, corrections={DAYS[0]: "-3000"}, threshold="0.01")
    assert [item.right.classes[0].lots[0].mark for item in restated] == [100, 107, 107]
    assert [item.published.classes[0].lots[0].mark for item in restated] == [100, 110, 110]


@pytest.mark.parametrize(
    ("published", "material"), [("100.99", False), ("101", True), ("99", True), ("100", False)]
)
def test_an_error_is_material_from_the_threshold_on(published: str, material: bool) -> None:
    error = check_price(
        day=DAYS[0], share_class="A", published=published, right=100, threshold="0.01"
    )
    assert error.material is material


def error_of(published: str) -> PriceError:
    return check_price(
        day=DAYS[0], share_class="A", published=published, right=100, threshold="0.005"
    )


def deal(kind: DealKind, units: str = "50", lot: UUID | None = LOT) -> WrongDeal:
    return WrongDeal(
        deal=f"{kind}-{units}", kind=kind, day=DAYS[0], share_class="A", units=D(units), lot=lot
    )


@pytest.mark.parametrize(
    ("published", "kind", "due"),
    [
        ("102", DealKind.SUBSCRIPTION, 100),
        ("102", DealKind.REDEMPTION, -100),
        ("98", DealKind.SUBSCRIPTION, -100),
        ("98", DealKind.REDEMPTION, 100),
    ],
)
def test_who_lost_is_owed_and_who_gained_is_not(published: str, kind: DealKind, due: int) -> None:
    (found,) = compute_compensations(
        errors=[error_of(published)],
        deals=[deal(kind)],
        prices_today={"A": D(80)},
        terms=CompensationTerms(),
    )
    assert found.due == due
    assert found.settlement is (CompensationWay.UNITS if due > 0 else CompensationWay.MANAGER)
    assert found.units == (D("1.25") if due > 0 else 0)


def test_leavers_get_cash_large_gains_are_claimed_and_trifles_left() -> None:
    deals = [
        deal(DealKind.SUBSCRIPTION, "10", None),
        deal(DealKind.REDEMPTION, "501"),
        deal(DealKind.SUBSCRIPTION, "0.001"),
    ]
    found = compute_compensations(
        errors=[error_of("102")], deals=deals, prices_today={"A": D(3)}, terms=CompensationTerms()
    )
    assert [item.settlement for item in found] == [
        CompensationWay.CASH,
        CompensationWay.CLAIM,
        CompensationWay.NONE,
    ]


def test_an_error_below_the_threshold_compensates_nobody() -> None:
    found = compute_compensations(
        errors=[error_of("100.4")],
        deals=[deal(DealKind.SUBSCRIPTION)],
        prices_today={"A": D(100)},
        terms=CompensationTerms(),
    )
    assert found == ()


@given(
    st.lists(
        st.tuples(
            st.sampled_from(DealKind),
            st.decimals("0.000001", "10000", places=6),
            st.booleans(),
        ),
        max_size=6,
    ),
    st.booleans(),
)
def test_the_package_balances_and_pays_exactly_what_is_owed(
    made: list[tuple[DealKind, D, bool]], manager: bool
) -> None:
    deals = [
        WrongDeal(
            deal=str(i),
            kind=kind,
            day=DAYS[0],
            share_class="A",
            units=units,
            lot=LOT if holds else None,
        )
        for i, (kind, units, holds) in enumerate(made)
    ]
    terms = CompensationTerms(manager_bears=manager)
    found = compute_compensations(
        errors=[error_of("103")], deals=deals, prices_today={"A": D("97.3")}, terms=terms
    )
    entries = build_compensation_entries(
        compensations=found,
        terms=terms,
        restatement="restatement:1",
        fund="MAGNET",
        currency="USD",
        effective_at=NOW,
    )
    legs = [leg for entry in entries for leg in entry.legs]
    assert not any(sum_legs(legs).values())
    assert len({entry.source_ref for entry in entries}) == len(entries)
    cash = sum(-leg.amount for leg in legs if leg.account == "2310")
    assert cash == sum(item.due for item in found if item.settlement is CompensationWay.CASH)
    given_units = sum((item.units for item in found), D(0))
    held = [leg.amount for leg in legs if (leg.account, leg.lot) == ("8010", LOT)]
    assert sum(held, D(0)) == given_units
    recovered = sum(-leg.amount for leg in legs if leg.account == "4070")
    assert recovered == value_fund_loss(found)


def test_bad_restatements_are_refused() -> None:
    inputs = history([D(0), D(0), D(0)])
    with pytest.raises(InvalidInput, match="order"):
        restate_strikes(inputs=inputs[::-1], corrections={}, threshold="0.01")
    with pytest.raises(InvalidInput, match="without a strike"):
        restate_strikes(inputs=inputs, corrections={NOW.date(): 1}, threshold="0.01")
    with pytest.raises(InvalidInput, match="no right price"):
        compute_compensations(
            errors=[error_of("102")],
            deals=[deal(DealKind.SUBSCRIPTION)],
            prices_today={},
            terms=CompensationTerms(),
        )
