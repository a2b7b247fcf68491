"""Dealing rules: forward pricing, liquidity terms, order wordings, and moves that keep sums."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from investors.domain.dealing import (
    DealingDate,
    GateRequest,
    LockedLot,
    LockUp,
    Rank,
    RedemptionRefusal,
    SubscriptionStep,
    cap_by_holder,
    check_redemption,
    choose_dealing_date,
    compute_free_units,
    count_business_days,
    deal_switch,
    decide_subscription,
    fill_gate,
    gross_of_net,
    size_gross_redemption,
    size_holdback,
    split_side_pocket,
    transfer_units,
)
from investors.domain.strike import (
    ClassTerms,
    LotInput,
    PocketLot,
    RedemptionOrder,
    deal_redemptions,
    merge_side_pocket,
)
from magnetfund.kernel.errors import InvalidInput

D = Decimal
FRIDAY = date(2026, 1, 2)
micro_units = st.integers(1, 10**12).map(lambda count: D(count).scaleb(-6))
cents = st.integers(0, 10**12).map(lambda count: D(count).scaleb(-2))
prices = st.integers(1, 10**10).map(lambda count: D(count).scaleb(-6))
shares = st.integers(0, 10**6).map(lambda count: D(count).scaleb(-6))


def dealing_date(day: date, *, is_suspended: bool = False) -> DealingDate:
    noon = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    return DealingDate(
        day=day,
        cutoff_at=noon,
        funding_deadline_at=noon,
        valuation_at=noon + timedelta(hours=4),
        is_suspended=is_suspended,
    )


def lot(name: str, number: int, units: Decimal, *, cost: Decimal = D(0)) -> LotInput:
    return LotInput(
        lot=name,
        number=number,
        units=units,
        mark=D(100 + number),
        clock=FRIDAY,
        dealing_day=FRIDAY + timedelta(days=number),
        cost=cost,
        holder="ann",
    )


lots = st.lists(st.tuples(micro_units, cents), min_size=1, max_size=5).map(
    lambda rows: [
        lot(f"L{number}", number, units, cost=cost) for number, (units, cost) in enumerate(rows)
    ]
)


def test_an_order_takes_the_first_open_day_whose_cutoff_it_meets() -> None:
    monday, tuesday = date(2026, 1, 5), date(2026, 1, 6)
    calendar = [dealing_date(tuesday), dealing_date(monday), dealing_date(FRIDAY)]
    at_cutoff = datetime(2026, 1, 2, 12, tzinfo=UTC)
    assert choose_dealing_date(calendar=calendar, received_at=at_cutoff).day == FRIDAY
    late = at_cutoff + timedelta(microseconds=1)
    assert choose_dealing_date(calendar=calendar, received_at=late).day == monday
    noticed = choose_dealing_date(calendar=calendar, received_at=at_cutoff, notice_days=2)
    assert noticed.day == tuesday
    suspended = [dealing_date(FRIDAY, is_suspended=True), dealing_date(monday)]
    assert choose_dealing_date(calendar=suspended, received_at=at_cutoff).day == monday
    with pytest.raises(InvalidInput) as ended:
        choose_dealing_date(calendar=calendar, received_at=at_cutoff, notice_days=9)
    assert ended.value.code == "no_dealing_day"


@given(minutes=st.integers(-5000, 20_000), notice=st.integers(0, 3))
def test_nobody_ever_deals_at_a_known_price(minutes: int, notice: int) -> None:
    days = [FRIDAY + timedelta(days=step) for step in range(30)]
    received = datetime(2026, 1, 2, tzinfo=UTC) + timedelta(minutes=minutes)
    found = choose_dealing_date(
        calendar=[dealing_date(day) for day in days], received_at=received, notice_days=notice
    )
    assert received <= found.cutoff_at < found.valuation_at
    assert count_business_days(after=received.date(), until=found.day) >= notice


def test_a_cutoff_after_the_valuation_is_no_dealing_day() -> None:
    noon = datetime(2026, 1, 2, 12, tzinfo=UTC)
    with pytest.raises(InvalidInput) as known:
        DealingDate(day=FRIDAY, cutoff_at=noon, funding_deadline_at=noon, valuation_at=noon)
    assert known.value.code == "not_forward"


@pytest.mark.parametrize(
    ("approved", "cleared_minute", "rolls", "step"),
    [
        (True, 0, 0, SubscriptionStep.DEAL),
        (True, 1, 0, SubscriptionStep.ROLL),
        (False, 0, 1, SubscriptionStep.ROLL),
        (True, None, 2, SubscriptionStep.REFUND),
        (False, 0, 2, SubscriptionStep.REFUND),
    ],
)
def test_a_subscription_needs_approval_and_cleared_money_in_time(
    approved: bool, cleared_minute: int | None, rolls: int, step: SubscriptionStep
) -> None:
    day = dealing_date(FRIDAY)
    cleared = (
        None
        if cleared_minute is None
        else day.funding_deadline_at + timedelta(minutes=cleared_minute)
    )
    found = decide_subscription(
        dealing_date=day, is_kyc_approved=approved, cleared_at=cleared, rolls=rolls, rolls_max=2
    )
    assert found is step


def test_a_hard_lock_holds_units_and_a_soft_lock_lets_go_for_a_fee() -> None:
    held = [LockedLot(lot="a", units=D(5), lockup_until=FRIDAY + timedelta(days=1))]
    hard = compute_free_units(lots=held, day=FRIDAY, lock=LockUp.HARD)
    assert [row.units for row in hard] == [D(0)]
    soft = compute_free_units(lots=held, day=FRIDAY, lock=LockUp.SOFT, soft_fee_rate="0.03")
    assert [(row.units, row.fee_rate) for row in soft] == [(D(5), D("0.03"))]
    later = compute_free_units(lots=held, day=FRIDAY + timedelta(days=1), lock=LockUp.HARD)
    assert [row.units for row in later] == [D(5)]


@settings(max_examples=80)
@given(
    asked=st.lists(st.tuples(micro_units, st.integers(0, 3)), min_size=1, max_size=6),
    price=prices,
    cap=cents,
    rank=st.sampled_from(Rank),
)
def test_a_gate_never_lets_more_through_than_its_cap_and_loses_no_unit(
    asked: list[tuple[Decimal, int]], price: Decimal, cap: Decimal, rank: Rank
) -> None:
    requests = [
        GateRequest(
            order=str(number),
            holder=str(number),
            units=units,
            first_day=FRIDAY + timedelta(days=queued),
        )
        for number, (units, queued) in enumerate(asked)
    ]
    fills = fill_gate(requests=requests, price=price, cap=cap, rank=rank)
    worth = sum((fill.filled for fill in fills), D(0)) * price
    wanted = sum((request.units for request in requests), D(0)) * price
    assert worth <= max(cap, D(0))
    assert worth > min(cap, wanted) - price * D("0.000001") * (len(asked) + 1)
    for request, fill in zip(requests, fills, strict=True):
        assert fill.filled + fill.deferred == request.units
        assert 0 <= fill.filled <= request.units
    waiting = {fill.order for fill in fills if fill.deferred}
    if rank is Rank.OLDER_FIRST and any(fill.deferred for fill in fills):
        stuck = min(item.first_day for item in requests if item.order in waiting)
        slack = D("0.000001") * len(asked)
        younger = [
            fill.filled
            for request, fill in zip(requests, fills, strict=True)
            if request.first_day > stuck
        ]
        assert sum(younger, D(0)) <= slack


def test_a_deferred_order_keeps_its_day_and_goes_first_where_the_policy_says() -> None:
    old = GateRequest(order="old", holder="ann", units=D(30), first_day=FRIDAY)
    new = GateRequest(order="new", holder="bob", units=D(30), first_day=FRIDAY + timedelta(days=7))
    equal = fill_gate(requests=[new, old], price=1, cap=40)
    assert [fill.filled for fill in equal] == [D(20), D(20)]
    ranked = fill_gate(requests=[new, old], price=1, cap=40, rank=Rank.OLDER_FIRST)
    assert [fill.filled for fill in ranked] == [D(10), D(30)]
    assert [fill.deferred for fill in ranked] == [D(20), D(0)]


def test_the_fund_gate_and_the_dealing_engine_fill_alike() -> None:
    terms, wanted = ClassTerms(), [D("123.456789"), D("77.7"), D("0.000001")]
    held = [
        LotInput(
            lot=name, number=0, units=D(1000), mark=D(1), clock=FRIDAY, dealing_day=FRIDAY,
            holder=name,
        )
        for name in "abc"
    ]  # fmt: skip
    orders = [
        RedemptionOrder(order=name, holder=name, units=units)
        for name, units in zip("abc", wanted, strict=True)
    ]
    dealt = deal_redemptions(
        terms=terms, price=D("1.25"), fees={}, lots=held, orders=orders, gate_value=D(100)
    )
    requests = [
        GateRequest(order=name, holder=name, units=units, first_day=FRIDAY)
        for name, units in zip("abc", wanted, strict=True)
    ]
    fills = fill_gate(requests=requests, price="1.25", cap=100)
    assert [fill.filled for fill in fills] == [result.units for result in dealt]


def test_an_investor_gate_counts_all_orders_of_the_holder() -> None:
    requests = [
        GateRequest(order=name, holder="ann", units=D(40), first_day=FRIDAY) for name in "ab"
    ]
    fills = cap_by_holder(requests=requests, held={"ann": D(100)}, share="0.25")
    assert [fill.filled for fill in fills] == [D("12.5"), D("12.5")]
    with pytest.raises(InvalidInput) as short:
        cap_by_holder(requests=requests, held={"ann": D(79)}, share="0.25")
    assert short.value.code == "not_enough_units"


def test_the_terms_refuse_in_their_fixed_order() -> None:
    held = [LockedLot(lot="a", units=D(10), lockup_until=date(2027, 1, 1))]
    locked = compute_free_units(lots=held, day=FRIDAY, lock=LockUp.HARD)
    free = compute_free_units(lots=held, day=FRIDAY, lock=LockUp.NONE)

    def refusal(
        units: str, *, rows: object = free, suspended: bool = False
    ) -> RedemptionRefusal | None:
        return check_redemption(
            units=units,
            lots=held,
            free=locked if rows is locked else free,
            indicative_price=100,
            minimum_value=200,
            minimum_holding=300,
            is_suspended=suspended,
        )

    assert refusal("11", suspended=True) is RedemptionRefusal.SUSPENDED
    assert refusal("11", rows=locked) is RedemptionRefusal.NOT_ENOUGH_UNITS
    assert refusal("1", rows=locked) is RedemptionRefusal.LOCKED_UP
    assert refusal("1") is RedemptionRefusal.BELOW_MINIMUM
    assert refusal("8") is RedemptionRefusal.LEAVES_BELOW_MINIMUM
    assert refusal("7") is None
    assert refusal("10") is None


@settings(max_examples=80)
@given(own=lots, price=prices, wanted=st.integers(1, 10**12))
def test_a_gross_redemption_never_exceeds_what_was_asked(
    own: list[LotInput], price: Decimal, wanted: int
) -> None:
    gross = D(wanted).scaleb(-2)
    worth = sum((row.units for row in own), D(0)) * price
    if worth < gross:
        with pytest.raises(InvalidInput) as short:
            size_gross_redemption(lots=own, price=price, fees={}, gross=gross)
        assert short.value.code == "not_enough_value"
        return
    found = size_gross_redemption(lots=own, price=price, fees={}, gross=gross)
    paid = sum((row.units for row in found), D(0)) * price
    assert gross - price * D("0.000001") < paid <= gross


def test_a_net_redemption_leaves_the_wanted_sum_after_the_exit_fee() -> None:
    gross = gross_of_net(net=990, exit_fee_rate="0.01")
    assert gross == 1000
    assert size_holdback(payout=990, share="0.05", is_full_redemption=True).held == D("49.50")
    assert size_holdback(payout=990, share="0.05", is_full_redemption=False).held == 0


@settings(max_examples=80)
@given(own=lots, part=shares)
def test_a_transfer_keeps_units_cost_marks_and_clocks(own: list[LotInput], part: Decimal) -> None:
    held = sum((row.units for row in own), D(0))
    units = max(D("0.000001"), (held * part).quantize(D("0.000001")))
    moves = transfer_units(
        lots=own, from_holder="ann", to_holder="bob", units=units, first_number=50
    )
    parents = {row.lot: row for row in own}
    assert sum((move.goes.units for move in moves), D(0)) == units
    for move in moves:
        parent, left = parents[move.parent], move.stays
        assert (left.units if left else 0) + move.goes.units == parent.units
        assert (left.cost if left else 0) + move.goes.cost == parent.cost
        assert (move.goes.mark, move.goes.clock) == (parent.mark, parent.clock)
        assert move.goes.holder == "bob"


@settings(max_examples=80)
@given(own=lots, part=shares, main_price=prices)
def test_a_pocket_split_and_merged_at_one_price_gives_every_unit_back(
    own: list[LotInput], part: Decimal, main_price: Decimal
) -> None:
    part = min(part, D("0.999999"))
    moves = split_side_pocket(lots=own, value=part * 3, gross=3) if part else ()
    pockets = [move.goes for move in moves]
    for move in moves:
        assert move.stays is not None
        assert move.goes.mark == move.stays.mark
    held = [
        PocketLot(
            lot=row.lot,
            share_class="A",
            holder=row.holder,
            units=row.units,
            price=main_price,
            value=row.units * main_price,
            mark=row.mark,
            clock=row.clock,
        )
        for row in pockets
    ]
    if not held:
        return
    same = merge_side_pocket(
        lots=held, terms={"A": ClassTerms()}, prices={"A": main_price}, day=held[0].clock
    )
    assert [(row.units, row.mark) for row in same] == [(row.units, row.mark) for row in pockets]


def test_a_switch_spends_the_payout_in_the_other_class_on_the_same_day() -> None:
    (result,) = deal_redemptions(
        terms=ClassTerms(exit_fee_rate=D("0.01")),
        price=D(110),
        fees={"a": D(2)},
        lots=[lot("a", 0, D(10), cost=D(1000))],
        orders=[RedemptionOrder(order="s", holder="ann", units=D(10))],
        gate_value=D(10**6),
    )
    assert (result.payout, result.performance_fee) == (D("1069.20"), D(20))
    switch = deal_switch(redemption=result, into=ClassTerms(entry_fee_rate=D("0.02")), price=D(7))
    bought = switch.subscription
    assert switch.clearing == D("1069.20")
    assert bought.entry_fee + bought.consideration + bought.residue == switch.clearing


@pytest.mark.parametrize(("units", "code"), [("11", "not_enough_units"), ("0", "not_positive")])
def test_a_transfer_refuses_what_is_not_there(units: str, code: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        transfer_units(
            lots=[lot("a", 0, D(10))], from_holder="ann", to_holder="bob", units=units,
            first_number=1,
        )  # fmt: skip
    assert refused.value.code == code
