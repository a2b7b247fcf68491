"""The pre-trade check: every denial has its code, and being stricter never lets more through."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from risk.domain.fuse import FuseState
from risk.domain.limits import FIGURES, Limits, Tighter
from risk.domain.pretrade import (
    BookOrder,
    BookPosition,
    BookSnapshot,
    CheckStatus,
    EngineState,
    InstrumentRules,
    Mode,
    OrderRequest,
    OrderType,
    RecentOrder,
    ReferencePrice,
    Side,
    check_order,
)

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
D = Decimal
RULES = InstrumentRules(
    instrument="BTC/USDT:USDT", tick_size=D("0.1"), lot_size=D("0.001"), notional_min=D(5)
)
ORDER = OrderRequest(
    instrument="BTC/USDT:USDT",
    strategy="trend",
    side=Side.BUY,
    type=OrderType.MARKET,
    quantity=D("0.1"),
    stop_price=D("49000"),
    leverage=D(1),
)
BOOK = BookSnapshot(
    equity=D(430_000),
    mode=Mode.PAPER,
    fuse_state=FuseState.ARMED,
    engine_state=EngineState.READY,
    instrument=RULES,
    reference=ReferencePrice(price=D(50_000), observed_at=NOW - timedelta(seconds=2)),
)


def judge(order: OrderRequest = ORDER, book: BookSnapshot = BOOK, **limits: Any):
    return check_order(order=order, book=book, limits=Limits(**limits), now=NOW)


def held(quantity: str) -> BookSnapshot:
    position = BookPosition(
        instrument="BTC/USDT:USDT",
        strategy="trend",
        quantity=D(quantity),
        mark=D(50_000),
        margin=abs(D(quantity)) * 50_000,
        gap_loss=abs(D(quantity)) * 12_500,
    )
    return replace(BOOK, positions=(position,))


def test_a_good_entry_passes_and_says_what_it_reserves():
    verdict = judge()
    assert verdict.accepted
    assert verdict.codes == ()
    assert verdict.notional == D(5_000)
    assert verdict.margin == D(5_000)
    # |EP - stop| + (fee + slippage) on both prices: 1,000 + 0.0007 x 99,000 = 1,069.30 a unit.
    assert verdict.loss_at_stop == D("106.93")


@pytest.mark.parametrize(
    ("order", "book", "code"),
    [
        ({"quantity": D("NaN")}, {}, "order_shape"),
        ({"quantity": D(0)}, {}, "order_shape"),
        ({"leverage": D("0.5")}, {}, "order_shape"),
        ({"price": D(50_000)}, {}, "order_shape"),
        ({}, {"instrument": replace(RULES, is_allowed=False)}, "allowlist"),
        ({}, {"instrument": replace(RULES, is_restricted=True)}, "restricted"),
        ({}, {"mode": Mode.LIVE}, "live_approval"),
        ({}, {"fuse_state": FuseState.TRIPPED}, "fuse_state"),
        ({}, {"fuse_state": None}, "fuse_state"),
        ({}, {"strategy_locked_until": NOW + timedelta(hours=1)}, "strategy_lock"),
        ({}, {"engine_state": EngineState.RECONCILING}, "engine_state"),
        ({}, {"reference": None}, "stale_price"),
        (
            {},
            {"reference": ReferencePrice(price=D(50_000), observed_at=NOW - timedelta(hours=1))},
            "stale_price",
        ),
        (
            {},
            {"reference": ReferencePrice(price=D(50_000), observed_at=NOW, price_before=D(40_000))},
            "price_drift",
        ),
        ({"type": OrderType.LIMIT, "price": D(52_000)}, {}, "price_collar"),
        ({"stop_price": D("49000.05")}, {}, "tick_size"),
        ({"quantity": D("0.1005")}, {}, "lot_size"),
        ({}, {"instrument": replace(RULES, notional_min=D(6_000))}, "minimum_notional"),
        ({}, {"instrument": replace(RULES, quantity_max=D("0.05"))}, "order_quantity"),
        ({"quantity": D(11)}, {}, "order_value"),
        ({"stop_price": None}, {}, "protective_stop"),
        ({"stop_price": D(51_000)}, {}, "protective_stop"),
        ({"stop_price": D(5_000)}, {}, "loss_at_stop"),
        ({"leverage": D("3.5")}, {}, "leverage"),
        ({"quantity": D(2)}, {}, "position_margin"),
        ({"tier": 3, "quantity": D("0.5")}, {}, "position_margin"),
        ({"tier": 4}, {}, "position_margin"),
        ({"must_reduce": True}, {}, "reduces"),
    ],
)
def test_each_denial_names_its_control(order: dict[str, Any], book: dict[str, Any], code: str):
    verdict = judge(replace(ORDER, **order), replace(BOOK, **book))
    assert not verdict.accepted
    assert code in verdict.codes
    assert verdict.quantity_allowed < ORDER.quantity or code == "order_value" or verdict.denials


def test_a_repeated_order_is_a_duplicate():
    recent = RecentOrder(
        instrument=ORDER.instrument,
        strategy=ORDER.strategy,
        side=ORDER.side,
        quantity=ORDER.quantity,
        price=None,
        submitted_at=NOW - timedelta(seconds=3),
    )
    assert judge(book=replace(BOOK, recent=(recent,))).codes == ("duplicate",)


def test_no_limit_acts_under_bare_rules_and_every_other_control_does():
    huge = replace(ORDER, quantity=D(900), leverage=D(20))
    bare = replace(BOOK, is_bare=True)
    assert "order_value" in judge(huge).codes
    assert judge(huge, bare).accepted
    assert judge(huge, replace(bare, fuse_state=FuseState.TRIPPED)).codes == ("fuse_state",)
    assert judge(replace(huge, stop_price=None), bare).codes == ("protective_stop",)


def test_the_message_rate_keeps_a_quarter_for_closing():
    recent = tuple(
        RecentOrder(
            instrument="ETH/USDT:USDT",
            strategy="magnet",
            side=Side.SELL,
            quantity=D(k + 1),
            price=None,
            submitted_at=NOW - timedelta(seconds=0.5),
        )
        for k in range(3)
    )
    busy = replace(held("0.1"), recent=recent)
    entry = judge(book=busy)
    closing = judge(replace(ORDER, side=Side.SELL, stop_price=None), busy)
    assert "message_rate_second" in entry.codes
    assert closing.accepted


def test_an_order_never_meets_our_own_resting_order():
    resting = BookOrder(
        order_id="o-1",
        instrument=ORDER.instrument,
        strategy="magnet",
        side=Side.SELL,
        type=OrderType.LIMIT,
        quantity_open=D("0.1"),
        price=D(50_010),
        submitted_at=NOW - timedelta(minutes=5),
    )
    assert judge(book=replace(BOOK, orders=(resting,))).codes == ("self_cross",)


@pytest.mark.parametrize("state", [FuseState.TRIPPED, FuseState.DISARMED, None])
def test_closing_is_allowed_whatever_the_fuse_says(state: FuseState | None):
    book = replace(held("0.3"), fuse_state=state, engine_state=EngineState.STOPPED, reference=None)
    sell = replace(ORDER, side=Side.SELL, quantity=D("0.3"), stop_price=None)
    verdict = judge(sell, book)
    assert verdict.accepted
    assert verdict.reduces
    assert verdict.margin == 0


def test_closing_more_than_is_held_is_an_entry():
    tripped = replace(held("0.3"), fuse_state=FuseState.TRIPPED)
    verdict = judge(replace(ORDER, side=Side.SELL, quantity=D("0.301")), tripped)
    assert not verdict.reduces
    assert "fuse_state" in verdict.codes


def test_what_closing_orders_will_close_cannot_be_closed_twice():
    waiting = BookOrder(
        order_id="o-2",
        instrument=ORDER.instrument,
        strategy="trend",
        side=Side.SELL,
        type=OrderType.MARKET,
        quantity_open=D("0.2"),
        price=D(50_000),
        submitted_at=NOW - timedelta(seconds=30),
        reduces=True,
    )
    book = replace(held("0.3"), orders=(waiting,))
    assert judge(replace(ORDER, side=Side.SELL, quantity=D("0.1")), book).reduces
    assert not judge(replace(ORDER, side=Side.SELL, quantity=D("0.2")), book).reduces


@pytest.mark.parametrize(
    ("leaving", "margin_held"),
    [
        ({}, D(0)),
        ({"quantity_open": D("0.6")}, D(30_000)),
        ({"type": OrderType.LIMIT}, D(60_000)),
        ({"strategy": "magnet"}, D(60_000)),
        ({"reduces": False, "margin": D(7)}, D(60_007)),
    ],
)
def test_a_reversal_asks_for_the_margin_of_what_it_opens(
    leaving: dict[str, Any], margin_held: Decimal
):
    exit_order = BookOrder(
        order_id="o-2",
        instrument=ORDER.instrument,
        strategy="trend",
        side=Side.BUY,
        type=OrderType.MARKET,
        quantity_open=D("1.2"),
        price=D(50_000),
        submitted_at=NOW,
        reduces=True,
    )
    book = replace(held("-1.2"), orders=(replace(exit_order, **leaving),))
    room = D("0.2") * BOOK.equity - margin_held
    reversal = replace(ORDER, quantity=D("1.3"), stop_price=D(49_900))
    verdict = judge(reversal, book)
    [check] = [check for check in verdict.checks if check.control == "position_margin"]
    assert check.limit == room
    assert ("position_margin" in verdict.codes) == (room < D(65_000))


def tightened(limits: Limits, name: str, share: Decimal) -> Limits:
    """The set with one figure moved in its tight direction."""
    rule = FIGURES[name]
    value = getattr(limits, name)
    if value is None:
        return limits
    moved = value * (1 - share) if rule.tighter is Tighter.LOWER else value * (1 + share)
    moved = max(moved, rule.bound) if rule.tighter is Tighter.LOWER else min(moved, rule.bound)
    if rule.is_count:
        moved = moved.to_integral_value()
    return replace(limits, **{name: moved})


@given(
    name=st.sampled_from(sorted(FIGURES)),
    share=st.decimals("0.01", "0.9", places=2),
    lots=st.integers(1, 3_000),
    stop=st.integers(400_000, 499_999),
    leverage=st.sampled_from([D(1), D("1.5"), D(2), D(3)]),
    before=st.sampled_from([D("0"), D("0.2"), D("1")]),
)
@settings(max_examples=150, deadline=None)
def test_tighter_limits_never_approve_more(
    name: str, share: Decimal, lots: int, stop: int, leverage: Decimal, before: Decimal
):
    order = replace(ORDER, quantity=lots * RULES.lot_size, stop_price=stop * D("0.1"),
                    leverage=leverage)  # fmt: skip
    book = held(str(before)) if before else BOOK
    wide = check_order(order=order, book=book, limits=Limits(), now=NOW)
    tight = check_order(order=order, book=book, limits=tightened(Limits(), name, share), now=NOW)
    assert wide.accepted or not tight.accepted
    assert tight.quantity_allowed <= wide.quantity_allowed


@given(lots=st.integers(1, 3_000), stop=st.integers(300_000, 499_999))
@settings(max_examples=100, deadline=None)
def test_the_allowed_quantity_would_have_passed(lots: int, stop: int):
    order = replace(ORDER, quantity=lots * RULES.lot_size, stop_price=stop * D("0.1"))
    verdict = judge(order)
    allowed = verdict.quantity_allowed
    assert allowed <= order.quantity
    if allowed * 50_000 >= RULES.notional_min:
        assert judge(replace(order, quantity=allowed)).accepted


def test_every_control_is_told_in_the_verdict_of_a_sound_order():
    statuses = {check.control.value: check.status for check in judge().checks}
    assert len(statuses) == 36
    assert CheckStatus.DENIED not in statuses.values()
