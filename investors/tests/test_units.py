"""Lots of a holding: the fold of movements, the choice of lots, and the law of total units."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from investors.domain.dealing import (
    LockUp,
    LotUnits,
    merge_side_pocket,
    split_side_pocket,
    transfer_units,
)
from investors.domain.fees import compute_accrued_fee
from investors.domain.strike import (
    ClassTerms,
    LotInput,
    LotStrike,
    RedemptionOrder,
    SubscriptionOrder,
    crystallise_lots,
    deal_redemptions,
    deal_subscription,
)
from investors.domain.units import (
    HeldLot,
    LotMovement,
    LotOpening,
    MovementKind,
    build_crystallisation,
    build_issue,
    build_merge,
    build_redemption,
    build_side_pocket,
    build_transfer,
    choose_first_in_first_out,
    choose_named_lots,
    count_units,
    fold_lots,
    roll_units_forward,
)
from magnetfund.kernel.errors import InvalidInput

D = Decimal
DAY = date(2026, 1, 2)
TERMS = ClassTerms(performance_rate=D("0.2"))


def issue(
    number: int,
    units: str,
    price: str = "100",
    *,
    holder: str = "ann",
    day: date = DAY,
    locked: date | None = None,
) -> LotMovement:
    return LotMovement(
        lot=f"L{number}", kind=MovementKind.ISSUE, units=D(units), day=day,
        cost=D(units) * D(price), mark=D(price), clock=day,
        opens=LotOpening(number=number, holder=holder, dealing_day=day, lockup_until=locked),
    )  # fmt: skip


def by_id(lots: tuple[HeldLot, ...]) -> dict[str, HeldLot]:
    return {held.lot.lot: held for held in lots}


def fees_at(price: Decimal, lots: tuple[HeldLot, ...], day: date) -> dict[str, Decimal]:
    return {
        held.lot.lot: compute_accrued_fee(
            terms=TERMS, price=price, mark=held.lot.mark, clock=held.lot.clock, day=day
        )
        for held in lots
    }


def test_a_lot_is_the_sum_of_its_movements() -> None:
    taken = LotMovement(lot="L1", kind=MovementKind.REDEEM, units=D(-4), cost=D(-400), day=DAY)
    given_back = LotMovement(lot="L1", kind=MovementKind.COMPENSATION, units=D("0.5"), day=DAY)
    (held,) = fold_lots(movements=[issue(1, "10"), taken, given_back])
    assert (held.lot.units, held.lot.cost, held.lot.mark) == (D("6.5"), 600, 100)


def test_folding_in_two_parts_is_folding_at_once() -> None:
    first = [issue(1, "10"), issue(2, "5", "90")]
    then = [LotMovement(lot="L2", kind=MovementKind.REDEEM, units=D(-5), cost=D(-450), day=DAY)]
    assert fold_lots(movements=then, opening=fold_lots(movements=first)) == fold_lots(
        movements=[*first, *then]
    )
    assert [held.lot.lot for held in fold_lots(movements=[*first, *then])] == ["L1"]


def change(lot: str, units: str, *, cost: str = "0", days: int = 0) -> LotMovement:
    return LotMovement(
        lot=lot, kind=MovementKind.REDEEM, units=D(units), cost=D(cost),
        day=DAY + timedelta(days=days),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("movements", "code"),
    [
        ([change("L9", "-1")], "unknown_lot"),
        ([issue(1, "10"), issue(1, "10")], "duplicate_lot"),
        ([issue(1, "10"), change("L1", "-11")], "not_enough_units"),
        ([issue(1, "10"), change("L1", "-10")], "cost_out_of_step"),
        ([issue(1, "10"), change("L1", "-1", cost="-1001")], "cost_out_of_step"),
        ([issue(1, "1"), change("L1", "-1", cost="-100"), change("L1", "-1")], "lot_closed"),
        ([issue(1, "10", day=DAY + timedelta(days=1)), change("L1", "-1")], "not_sorted"),
    ],
)
def test_a_history_that_cannot_be_is_refused(movements: list[LotMovement], code: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        fold_lots(movements=movements)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("kind", "units", "code"),
    [
        (MovementKind.REDEEM, "1", "wrong_sign"),
        (MovementKind.COMPENSATION, "-1", "wrong_sign"),
        (MovementKind.ISSUE, "1", "wrong_opening"),
    ],
)
def test_a_movement_keeps_its_sign(kind: MovementKind, units: str, code: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        LotMovement(lot="L1", kind=kind, units=D(units), day=DAY)
    assert caught.value.code == code


LATER = DAY + timedelta(days=90)
THREE = [issue(1, "10", locked=LATER), issue(2, "5"), issue(3, "7", day=DAY + timedelta(days=30))]


def test_the_oldest_free_lots_leave_first() -> None:
    lots = fold_lots(movements=THREE)
    takes = choose_first_in_first_out(lots=lots, units=12, day=DAY)
    assert [(take.lot, take.units) for take in takes] == [("L1", 10), ("L2", 2)]
    takes = choose_first_in_first_out(lots=lots, units=8, day=DAY, lock=LockUp.HARD)
    assert [(take.lot, take.units) for take in takes] == [("L2", 5), ("L3", 3)]
    takes = choose_first_in_first_out(
        lots=lots, units=12, day=DAY, lock=LockUp.SOFT, soft_fee_rate="0.03"
    )
    assert [(take.units, take.fee_rate) for take in takes] == [(10, D("0.03")), (2, 0)]


@pytest.mark.parametrize(
    ("units", "lock", "code"),
    [(23, LockUp.NONE, "not_enough_units"), (13, LockUp.HARD, "lot_locked"),
     (0, LockUp.NONE, "not_positive")],
)  # fmt: skip
def test_more_than_is_held_or_free_is_refused(units: int, lock: LockUp, code: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        choose_first_in_first_out(lots=fold_lots(movements=THREE), units=units, day=DAY, lock=lock)
    assert caught.value.code == code


def test_an_investor_may_name_his_lots() -> None:
    wanted = [LotUnits(lot="L3", units=D(7)), LotUnits(lot="L2", units=D(1))]
    takes = choose_named_lots(lots=fold_lots(movements=THREE), wanted=wanted, day=DAY)
    assert [(take.lot, take.units) for take in takes] == [("L3", 7), ("L2", 1)]


@pytest.mark.parametrize(
    ("wanted", "code"),
    [
        ([("L9", 1)], "unknown_lot"),
        ([("L2", 6)], "not_enough_units"),
        ([("L1", 1)], "lot_locked"),
        ([("L2", 1), ("L2", 1)], "duplicate_lot"),
        ([("L2", 0)], "not_positive"),
        ([("L2/pocket", 1)], "lot_in_pocket"),
    ],
)
def test_a_wrong_choice_of_lots_is_refused(wanted: list[tuple[str, int]], code: str) -> None:
    lots = fold_lots(movements=THREE)
    moves = split_side_pocket(lots=[lots[1].lot], share="0.2", first_number=4)
    lots = fold_lots(
        movements=build_side_pocket(moves=moves, held=by_id(lots), day=DAY), opening=lots
    )
    lots = tuple(
        HeldLot(lot=held.lot, is_pocket=held.is_pocket, lockup_until=held.lockup_until)
        for held in lots
    )
    choice = [LotUnits(lot=name, units=D(units)) for name, units in wanted]
    with pytest.raises(InvalidInput) as caught:
        choose_named_lots(lots=lots, wanted=choice, day=DAY, lock=LockUp.HARD)
    assert caught.value.code == code


def test_a_transfer_keeps_mark_clock_day_and_lock_up() -> None:
    lots = fold_lots(movements=THREE)
    moves = transfer_units(
        lots=[held.lot for held in lots], from_holder="ann", to_holder="bob", units=12,
        first_number=4,
    )  # fmt: skip
    movements = build_transfer(moves=moves, held=by_id(lots), day=LATER)
    after = fold_lots(movements=movements, opening=lots)
    bobs = [held for held in after if held.lot.holder == "bob"]
    assert [(held.lot.units, held.lockup_until, held.parent) for held in bobs] == [
        (10, LATER, "L1"),
        (2, None, "L2"),
    ]
    assert count_units(after) == 22
    assert sum(held.lot.cost for held in after) == 2200
    forward = roll_units_forward(movements=movements, opening=lots)
    assert (forward.opening, forward.closing) == (22, 22)


def test_units_lost_between_holders_are_noticed() -> None:
    lots = fold_lots(movements=THREE)
    lone = LotMovement(
        lot="L1", kind=MovementKind.TRANSFER_OUT, units=D(-1), cost=D(-100), day=LATER
    )
    with pytest.raises(InvalidInput) as caught:
        roll_units_forward(movements=[lone], opening=lots)
    assert caught.value.code == "units_not_conserved"


def test_a_side_pocket_comes_back_with_its_gain_over_the_mark() -> None:
    lots = fold_lots(movements=[issue(1, "10", locked=LATER)])
    moves = split_side_pocket(lots=[lots[0].lot], share="0.2", first_number=2)
    lots = fold_lots(
        movements=build_side_pocket(moves=moves, held=by_id(lots), day=DAY), opening=lots
    )
    assert [(held.lot.units, held.is_pocket) for held in lots] == [(8, False), (2, True)]
    with pytest.raises(InvalidInput) as caught:
        choose_first_in_first_out(lots=lots, units=9, day=DAY)
    assert caught.value.code == "not_enough_units"
    merges = merge_side_pocket(pockets=[lots[1].lot], pocket_price=150, main_price=120)
    movements = build_merge(
        merges=merges, held=by_id(lots), pocket_price=150, main_price=120, first_number=3,
        day=LATER,
    )  # fmt: skip
    _, back = fold_lots(movements=movements, opening=lots)
    assert (back.lot.units, back.lot.mark, back.lot.cost) == (D("2.5"), 80, 200)
    assert (back.lockup_until, back.is_pocket, back.lot.dealing_day) == (LATER, False, DAY)
    # 2 pocket units at 150 over a mark of 100 gained 100; so did 2.5 units at 120 over 80.
    assert back.lot.units * (120 - back.lot.mark) == 2 * (150 - 100)


def test_the_last_cut_of_a_day_takes_the_cost_that_rounding_left() -> None:
    lot = LotInput(
        lot="L1", number=1, units=D(2), mark=D(1), clock=DAY, dealing_day=DAY, cost=D("0.01"),
        holder="ann",
    )  # fmt: skip
    lots = (HeldLot(lot=lot),)
    orders = [RedemptionOrder(order=str(k), holder="ann", units=D(1)) for k in range(2)]
    results = deal_redemptions(
        terms=TERMS, price=D(1), fees={}, lots=[lot], orders=orders, gate_value=D(10)
    )
    movements = build_redemption(results=results, held=by_id(lots), day=DAY)
    assert fold_lots(movements=movements, opening=lots) == ()


events = st.lists(
    st.tuples(
        st.sampled_from(["subscribe", "redeem", "crystallise", "transfer", "pocket"]),
        st.decimals("0.1", "1", places=3),
        st.decimals("-0.2", "0.25", places=3),
    ),
    max_size=14,
)


@given(events=events)
@settings(max_examples=50, deadline=None)
def test_units_of_all_lots_are_issued_less_redeemed_less_fee_units(
    events: list[tuple[str, Decimal, Decimal]],
) -> None:
    movements: list[LotMovement] = [issue(1, "50"), issue(2, "30", holder="bob")]
    price, number, expected = D(100), 3, D(80)
    for step, (kind, size, growth) in enumerate(events):
        day = DAY + timedelta(days=30 * (step + 1))
        price = (price * (1 + growth)).quantize(D("0.000001"))
        lots = fold_lots(movements=movements)
        open_lots = tuple(held for held in lots if not held.is_pocket)
        anns = [held.lot for held in open_lots if held.lot.holder == "ann"]
        wanted = (sum((lot.units for lot in anns), D(0)) * size).quantize(D("0.000001"))
        new: list[LotMovement] = []
        if kind == "subscribe":
            bought = deal_subscription(
                terms=TERMS, price=price, order=SubscriptionOrder(order="s", amount=1000 * size)
            )
            new = [
                build_issue(result=bought, lot=f"L{number}", number=number, holder="ann", day=day)
            ]
            expected += bought.units
        elif kind == "redeem" and wanted > 0:
            results = deal_redemptions(
                terms=TERMS, price=price, fees=fees_at(price, lots, day), lots=anns,
                orders=[RedemptionOrder(order="r", holder="ann", units=wanted)],
                gate_value=D("1e9"),
            )  # fmt: skip
            new = list(build_redemption(results=results, held=by_id(lots), day=day))
            expected -= results[0].units
            takes = choose_first_in_first_out(lots=[h for h in open_lots if h.lot in anns],
                                              units=wanted, day=day)  # fmt: skip
            assert [(take.lot, take.units) for take in takes] == [
                (cut.lot, cut.units) for cut in results[0].cuts
            ]
        elif kind == "crystallise":
            fees = fees_at(price, open_lots, day)
            struck = [
                LotStrike(
                    lot=held.lot.lot, number=held.lot.number, units=held.lot.units,
                    mark=held.lot.mark, fee_per_unit=fees[held.lot.lot],
                    net_per_unit=price - fees[held.lot.lot],
                )
                for held in open_lots
            ]  # fmt: skip
            cuts = crystallise_lots(terms=TERMS, price=price, lots=struck)
            new = list(build_crystallisation(cuts=cuts, price=price, day=day))
            expected -= sum((cut.units for cut in cuts), D(0))
        elif kind == "transfer" and wanted > 0:
            moves = transfer_units(
                lots=anns, from_holder="ann", to_holder="bob", units=wanted, first_number=number
            )
            new = list(build_transfer(moves=moves, held=by_id(lots), day=day))
        elif kind == "pocket" and not any(held.is_pocket for held in lots):
            moves = split_side_pocket(
                lots=[held.lot for held in lots], share=size / 2, first_number=number
            )
            new = list(build_side_pocket(moves=moves, held=by_id(lots), day=day))
        movements += new
        number += len(new) + 1
    assert count_units(fold_lots(movements=movements)) == expected
    assert roll_units_forward(movements=movements).closing == expected
