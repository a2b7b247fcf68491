"""Reconciliation, statements, onboarding: breaks have names, nothing issued fails to tie."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from investors.domain.onboarding import (
    MOVES,
    Decider,
    KycFile,
    KycState,
    MoveDenial,
    Risk,
    check_move,
    compute_refresh_day,
)
from investors.domain.performance import ValuedFlow
from investors.domain.reconciliation import (
    BreakKind,
    BreakState,
    Line,
    UnitRoll,
    match_lines,
    move_break,
)
from investors.domain.statements import (
    HoldingPoint,
    Statement,
    StatementHead,
    StatementLot,
    build_statement,
    measure_span,
)
from magnetfund.kernel.errors import InvalidInput

D = Decimal
DAY = date(2026, 3, 31)


def line(key: str, amount: str, *, asset: str = "USD", days_ago: int = 0) -> Line:
    return Line(key=key, asset=asset, amount=D(amount), day=DAY - timedelta(days=days_ago))


def test_each_difference_has_its_name_age_and_weight() -> None:
    found = match_lines(
        ours=[
            line("same", "5"),
            line("here", "1", days_ago=3),
            line("size", "7"),
            line("late", "2", days_ago=4),
            line("twice", "1"),
            line("twice", "1"),
        ],
        theirs=[line("same", "5"), line("there", "9"), line("size", "7.01"), line("late", "2"),
                line("twice", "1")],
        day=DAY,
        tolerance={"USD": D("0.05")},
        days_apart_max=1,
    )  # fmt: skip
    assert found.matched == (("USD", "same"), ("USD", "twice"))
    assert {row.key: (row.kind, row.difference, row.is_blocking) for row in found.breaks} == {
        "here": (BreakKind.MISSING_THERE, D(1), True),
        "there": (BreakKind.MISSING_HERE, D(-9), True),
        "size": (BreakKind.AMOUNT, D("-0.01"), False),
        "late": (BreakKind.DATE, D(0), False),
        "twice": (BreakKind.DUPLICATE_HERE, D(1), True),
    }
    assert {row.key: row.age_days for row in found.breaks}["here"] == 3
    assert found.blocks


lines = st.lists(
    st.builds(
        line,
        st.sampled_from("abcd"),
        st.integers(-5, 5).map(str),
        asset=st.sampled_from(["USD", "BTC"]),
        days_ago=st.integers(0, 3),
    ),
    max_size=8,
)


@given(ours=lines, theirs=lines)
def test_the_breaks_explain_the_whole_difference(ours: list[Line], theirs: list[Line]) -> None:
    found = match_lines(ours=ours, theirs=theirs, day=DAY)
    for asset in ("USD", "BTC"):
        gap = sum((row.amount for row in ours if row.asset == asset), D(0))
        gap -= sum((row.amount for row in theirs if row.asset == asset), D(0))
        assert found.difference_by_asset().get(asset, D(0)) == gap
    turned = match_lines(ours=theirs, theirs=ours, day=DAY)
    assert turned.matched == found.matched
    assert match_lines(ours=ours, theirs=ours, day=DAY).matched == tuple(
        sorted({(row.asset, row.key) for row in ours})
    )


def test_a_break_is_accepted_by_a_second_person_with_a_reason() -> None:
    explained = move_break(
        state=BreakState.OPEN, to=BreakState.EXPLAINED, reason="timing", actor="ann"
    )
    for actor, reason, code in [("ann", "fine", "same_person"), ("bob", " ", "no_reason")]:
        with pytest.raises(InvalidInput) as refused:
            move_break(
                state=explained, to=BreakState.ACCEPTED, reason=reason, actor=actor,
                explained_by="ann",
            )  # fmt: skip
        assert refused.value.code == code
    accepted = move_break(
        state=explained, to=BreakState.ACCEPTED, reason="fine", actor="bob", explained_by="ann"
    )
    with pytest.raises(InvalidInput) as closed:
        move_break(state=accepted, to=BreakState.OPEN, reason="again", actor="bob")
    assert closed.value.code == "no_such_move"


HEAD = StatementHead(
    number="S-1",
    version=1,
    holder="Ann Example",
    fund="Fund",
    currency="USD",
    start=date(2026, 1, 1),
    end=DAY,
    inputs_hash="00",
)


def statement(
    *,
    closing: str = "1080",
    paid_in: str = "500",
    units: str = "10",
    net: str = "108",
    value: str = "1080",
) -> Statement:
    return build_statement(
        head=HEAD,
        opening_value=500,
        closing_value=closing,
        components={
            "subscriptions": 500,
            "realised_result": "103.004",
            "management_fee": "-3.004",
            "performance_fee_accrued": -20,
        },
        flows=[ValuedFlow(date(2026, 2, 1).toordinal(), D(520), D(paid_in))],
        units={
            "A": UnitRoll(
                opening=D(5), issued=D(5), redeemed=D(0), fee_units=D(0), transferred=D(0),
                closing=D(units),
            )
        },
        lots=[
            StatementLot(
                lot="L1", share_class="A", entry_day=date(2026, 1, 1), units=D(10),
                entry_price=D(100), cost=D(1000), mark=D(100), price=D(110), fee_per_unit=D(2),
                net_per_unit=D(net), value=D(value),
            )
        ],
    )  # fmt: skip


def test_a_statement_adds_from_opening_to_closing_and_says_how_the_money_did() -> None:
    made = statement()
    assert made.opening + made.flows + made.fees + made.result == made.closing
    assert (made.flows, made.fees, made.gain) == (D(500), D("-23.00"), D(80))
    points = [
        HoldingPoint(day=HEAD.start, value=D(500), flow=D(0)),
        HoldingPoint(day=date(2026, 2, 1), value=D(520), flow=D(500)),
    ]
    told = measure_span(points, end=HEAD.end, closing=made.closing)
    assert told.gain == made.gain
    assert told.twr is not None
    assert abs(told.twr - (D(520) / 500 * D(1080) / 1020 - 1)) < D("1e-20")
    assert all(check.holds for check in made.tie_outs)
    assert made.content_hash == statement().content_hash


@pytest.mark.parametrize(
    ("change", "check"),
    [
        ({"paid_in": "400"}, "flows_to_bridge"),
        ({"units": "11"}, "unit_roll_forward"),
        ({"net": "107"}, "price_less_fee_is_net_value"),
        ({"net": "107"}, "units_times_net_value"),
        ({"value": "1079"}, "lots_to_closing_value"),
        ({"units": "11"}, "lots_to_closing_units"),
    ],
)
def test_a_statement_that_does_not_tie_is_not_made(change: dict[str, str], check: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        statement(**change)
    assert refused.value.code == "does_not_tie"
    assert check in refused.value.details


def file(state: KycState, risk: Risk | None = Risk.LOW, *, is_exposed: bool = False) -> KycFile:
    return KycFile(
        state=state,
        risk=risk,
        is_politically_exposed=is_exposed,
        is_screening_clear=True,
        prepared_by="ann",
    )


def test_only_the_moves_of_the_table_exist_and_the_final_states_stay() -> None:
    for start, to, role in product(KycState, KycState, Decider):
        denial = check_move(file=file(start), to=to, role=role, actor="bob", reason="known")
        if (start, to) not in MOVES:
            assert denial is MoveDenial.NO_SUCH_MOVE
        else:
            assert (denial is None) == (role in MOVES[start, to])
    assert not [move for move in MOVES if move[0] in (KycState.DECLINED, KycState.EXITED)]


@pytest.mark.parametrize("start", [start for start, to in MOVES if to is KycState.APPROVED])
def test_no_road_to_approval_has_one_person_or_misses_the_senior_manager(start: KycState) -> None:
    for role in MOVES[start, KycState.APPROVED]:
        for risk, is_exposed in product(Risk, (False, True)):
            facts = file(start, risk, is_exposed=is_exposed)
            alone = check_move(file=facts, to=KycState.APPROVED, role=role, actor="ann")
            assert alone is not None
            second = check_move(file=facts, to=KycState.APPROVED, role=role, actor="bob")
            is_allowed = role is Decider.SENIOR_MANAGER or not facts.needs_senior_manager
            assert second is (None if is_allowed else MoveDenial.SENIOR_MANAGER_NEEDED)


def test_approval_needs_documents_screening_and_a_rating() -> None:
    def denial(facts: KycFile) -> MoveDenial | None:
        return check_move(file=facts, to=KycState.APPROVED, role=Decider.COMPLIANCE, actor="bob")

    review = KycState.REVIEW
    missing = KycFile(state=review, documents_missing=("passport",))
    assert denial(missing) is MoveDenial.DOCUMENTS_MISSING
    assert denial(KycFile(state=review)) is MoveDenial.SCREENING_NOT_CLEAR
    assert denial(file(review, None)) is MoveDenial.NOT_RATED
    unsent = KycFile(state=KycState.COLLECTING, documents_missing=("passport",))
    sent = check_move(file=unsent, to=KycState.SUBMITTED, role=Decider.INVESTOR, actor="eve")
    assert sent is MoveDenial.DOCUMENTS_MISSING


def test_declining_needs_a_reason() -> None:
    facts = file(KycState.REVIEW)
    mute = check_move(file=facts, to=KycState.DECLINED, role=Decider.COMPLIANCE, actor="bob")
    assert mute is MoveDenial.NO_REASON


def test_a_riskier_file_is_refreshed_sooner() -> None:
    leap = date(2028, 2, 29)
    assert [compute_refresh_day(approved_on=leap, risk=risk) for risk in Risk] == [
        date(2031, 2, 28),
        date(2030, 2, 28),
        date(2029, 2, 28),
    ]
