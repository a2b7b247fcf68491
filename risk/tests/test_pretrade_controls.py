"""Each control of the pre-trade check by hand: what it measures, its limit, and what it allows."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from risk.domain.fuse import FuseState
from risk.domain.leverage import EvidencePolicy
from risk.domain.limits import Limits, StrategyLimits
from risk.domain.pretrade import (
    BookOrder,
    BookPosition,
    BookSnapshot,
    Check,
    CheckStatus,
    Control,
    EngineState,
    InstrumentRules,
    Mode,
    OrderRequest,
    OrderType,
    PreTradeVerdict,
    RecentOrder,
    ReferencePrice,
    Side,
    check_order,
)

D = Decimal
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
PASSED, DENIED = CheckStatus.PASSED, CheckStatus.DENIED
EXEMPT, NOT_EVALUATED = CheckStatus.EXEMPT, CheckStatus.NOT_EVALUATED
BTC, ETH, XAU = "BTC", "ETH", "XAU"
RULES = InstrumentRules(
    instrument=BTC,
    tick_size=D("0.5"),
    lot_size=D("0.1"),
    multiplier=D(2),
    notional_min=D(5),
    quantity_max=D(50),
    correlation_group="coins",
)
#: 10 x 100 x 2 = 2,000 at 2x: 1,000 of margin.
BUY = OrderRequest(
    instrument=BTC, strategy="trend", side=Side.BUY, type=OrderType.MARKET, quantity=D(10),
    stop_price=D(95), leverage=D(2),
)  # fmt: skip
SELL = replace(BUY, side=Side.SELL, stop_price=D(105))


def position(instrument: str, quantity: int, mark: int, margin: int, gap: int, **others: Any):
    return BookPosition(
        instrument=instrument, strategy="trend", quantity=D(quantity), mark=D(mark),
        margin=D(margin), gap_loss=D(gap), **others,
    )  # fmt: skip


def resting(instrument: str, side: Side, quantity: int, price: int, **others: Any) -> BookOrder:
    plain = {
        "order_id": f"{instrument}-{side}-{price}",
        "strategy": "trend",
        "type": OrderType.LIMIT,
        "submitted_at": NOW - timedelta(minutes=5),
    }
    return BookOrder(
        instrument=instrument, side=side, quantity_open=D(quantity), price=D(price),
        **{**plain, **others},
    )  # fmt: skip


POSITIONS = (
    position(BTC, 4, 110, 400, 100, multiplier=D(2), correlation_group="coins"),  # 880
    position(ETH, -3, 50, 75, 30, correlation_group="coins"),  # -150
    position(XAU, 2, 30, 20, 5),  # 60
)
ORDERS = (
    resting(BTC, Side.BUY, 1, 99, multiplier=D(2), margin=D(50), gap_loss=D(20),
            correlation_group="coins"),  # 198
    resting(ETH, Side.SELL, 2, 60, margin=D(40), gap_loss=D(8), correlation_group="coins"),  # 120
    resting(BTC, Side.SELL, 1, 120, margin=D(999), gap_loss=D(999), reduces=True),
    resting(BTC, Side.SELL, 3, 96, margin=D(999), gap_loss=D(999), is_protective=True,
            type=OrderType.STOP),
)  # fmt: skip
EMPTY = BookSnapshot(
    equity=D(100_000),
    mode=Mode.PAPER,
    fuse_state=FuseState.ARMED,
    engine_state=EngineState.READY,
    instrument=RULES,
    reference=ReferencePrice(price=D(100), observed_at=NOW, price_before=D(100)),
)
BOOK = replace(EMPTY, positions=POSITIONS, orders=ORDERS)


def judge(order: OrderRequest = BUY, book: BookSnapshot = BOOK, **limits: Any) -> PreTradeVerdict:
    return check_order(order=order, book=book, limits=Limits(**limits), now=NOW)


def look(control: Control, *args: Any, **limits: Any) -> Check:
    return next(check for check in judge(*args, **limits).checks if check.control is control)


SIZES = {
    Control.ORDER_VALUE: (2_000, 500_000, D(2_500)),
    Control.ORDER_QUANTITY: (10, 50, D(50)),
    # 5 a unit and 0.07 % of 195 for both ways.
    Control.LOSS_AT_STOP: (D("102.73"), 1_000, 1_000 / D("10.273")),
    # A quarter and two fees of 0.05 %: 50.2 a unit.
    Control.GAP_LOSS_POSITION: (622, 10_000, (10_000 - 120) / D("50.2")),
    Control.GAP_LOSS_BOOK: (665, 15_000, (15_000 - 163) / D("50.2")),
    Control.LEVERAGE: (2, 3, None),
    Control.BOOK_LEVERAGE: (D("0.03408"), 3, None),
    Control.POSITION_NOTIONAL: (3_078, 60_000, D("294.61")),
    Control.POSITION_MARGIN: (1_000, 19_550, D("195.5")),
    Control.GROUP_MARGIN: (1_565, 20_000, D("194.35")),
    Control.TOTAL_MARGIN: (1_585, 50_000, D("494.15")),
    Control.GROSS_EXPOSURE: (3_408, 150_000, D("742.96")),
    Control.NET_EXPOSURE: (2_988, 150_000, D("745.06")),
    Control.MINIMUM_NOTIONAL: (2_000, 5, None),
}


@pytest.mark.parametrize("control", SIZES, ids=str)
def test_what_a_control_measures_in_a_full_book_by_hand(control: Control) -> None:
    value, limit, allowed = SIZES[control]
    found = look(control)
    assert (found.status, found.value, found.limit) == (PASSED, value, limit)
    if allowed is None:
        assert found.allowed is None
    else:
        assert found.allowed is not None
        assert abs(found.allowed - allowed) < D("1e-20")


EQUITY_SHARES = {
    Control.LOSS_AT_STOP: D("0.01"),
    Control.GAP_LOSS_POSITION: D("0.1"),
    Control.GAP_LOSS_BOOK: D("0.15"),
    Control.POSITION_NOTIONAL: D("0.6"),
    Control.GROUP_MARGIN: D("0.2"),
    Control.TOTAL_MARGIN: D("0.5"),
    Control.GROSS_EXPOSURE: D("1.5"),
    Control.NET_EXPOSURE: D("1.5"),
}


@pytest.mark.parametrize("control", EQUITY_SHARES, ids=str)
def test_a_total_at_its_limit_passes_and_a_cent_beyond_is_denied(control: Control) -> None:
    share, measured = EQUITY_SHARES[control], look(control).value
    assert isinstance(measured, Decimal)
    room = measured / share
    wide, tight = room + D("0.000001"), room - D("0.000001")
    met = look(control, BUY, replace(BOOK, equity=room))
    if met.limit == measured:  # the division left nothing
        assert met.status is PASSED
    assert look(control, BUY, replace(BOOK, equity=wide)).status is PASSED
    denied = look(control, BUY, replace(BOOK, equity=tight))
    assert denied.status is DENIED
    assert denied.allowed is not None
    assert denied.allowed < 10


def test_leverage_of_the_book_at_its_limit_passes() -> None:
    # 3,408 over 1,136 is three.
    assert look(Control.BOOK_LEVERAGE, BUY, replace(BOOK, equity=D(1_136))).status is PASSED
    assert look(Control.BOOK_LEVERAGE, BUY, replace(BOOK, equity=D(1_135))).status is DENIED


def test_a_unit_that_costs_cents_is_measured_like_any_other() -> None:
    reference = ReferencePrice(price=D("0.5"), observed_at=NOW)
    rules = replace(RULES, tick_size=D("0.01"), multiplier=D(1), notional_min=D(0))
    book = replace(EMPTY, reference=reference, instrument=rules)
    found = look(Control.ORDER_VALUE, replace(BUY, stop_price=D("0.4")), book)
    assert (found.status, found.value, found.allowed) == (PASSED, 5, 1_000_000)


def test_margin_of_an_order_at_its_room_passes_and_above_is_denied() -> None:
    # 20 % of 7,250 less the 450 that is committed is 1,000.
    exact = look(Control.POSITION_MARGIN, BUY, replace(BOOK, equity=D(7_250)))
    assert (exact.status, exact.limit, exact.allowed) == (PASSED, 1_000, 10)
    denied = look(Control.POSITION_MARGIN, BUY, replace(BOOK, equity=D(7_249)))
    assert (denied.status, denied.allowed) == (DENIED, D("9.998"))
    full = look(Control.POSITION_MARGIN, BUY, replace(BOOK, equity=D(1_000)))
    assert (full.limit, full.allowed) == (-250, 0)
    over = look(Control.POSITION_NOTIONAL, BUY, replace(BOOK, equity=D(1_000)))
    assert (over.status, over.limit, over.allowed) == (DENIED, 600, 0)


def test_a_tier_bounds_the_margin_of_the_order_alone() -> None:
    found = look(Control.POSITION_MARGIN, replace(BUY, tier=3), replace(BOOK, equity=D(20_000)))
    assert (found.status, found.limit) == (PASSED, 1_000)
    small = replace(BOOK, equity=D(7_250))
    assert look(Control.POSITION_MARGIN, replace(BUY, tier=1), small).limit == 1_000
    assert look(Control.POSITION_MARGIN, replace(BUY, tier=2), small).limit == 725


def test_a_strategy_has_its_own_stricter_shares() -> None:
    own = StrategyLimits(loss_at_stop_share=D("0.001"), margin_share_position=D("0.005"))
    book = replace(BOOK, strategy_limits=own)
    assert look(Control.LOSS_AT_STOP, BUY, book).limit == 100
    assert look(Control.LOSS_AT_STOP, BUY, book).status is DENIED
    assert look(Control.POSITION_MARGIN, BUY, book).limit == 50


def test_net_exposure_looks_toward_the_side_of_the_order() -> None:
    # Sold: 790 held less 120 that may still be sold leaves 670 long, which 2,000 turns over.
    assert look(Control.NET_EXPOSURE, SELL).value == 1_330
    assert look(Control.GROSS_EXPOSURE, SELL).value == 3_408


def test_a_short_or_a_shared_wallet_loses_more_in_its_worst_hour() -> None:
    def loss(order: OrderRequest, **rules: Any) -> Decimal:
        return judge(order, replace(EMPTY, instrument=replace(RULES, **rules))).gap_loss

    assert loss(BUY) == 2_000 * (D("0.25") + 2 * D("0.0005"))
    assert loss(SELL) == 2_000 * (D("0.25") + D("0.0005") + D("1.25") * D("0.0005"))
    assert loss(BUY, gap_rate=D("0.8")) == 2_000 * (D("0.5") + D("0.001"))
    assert loss(BUY, gap_rate=D("0.8"), is_isolated=False) == 2_000 * (D("0.8") + D("0.001"))


def test_a_verdict_says_what_is_reserved() -> None:
    found = judge(BUY, EMPTY)
    assert (found.accepted, found.reduces, found.codes, found.denials) == (True, False, (), ())
    assert (found.notional, found.margin, found.gap_loss) == (2_000, 1_000, 502)
    assert (found.loss_at_stop, found.quantity_allowed) == (D("102.73"), 10)
    assert (found.limits_version, found.checked_at) == (0, NOW)
    unread = judge(replace(BUY, quantity=D(0)), EMPTY)
    assert (unread.notional, unread.margin, unread.loss_at_stop) == (0, 0, None)
    assert not unread.reduces
    assert (unread.quantity_allowed, [c.control for c in unread.checks]) == (
        0,
        [Control.ORDER_SHAPE],
    )


def test_the_allowed_quantity_is_the_smallest_bound_in_whole_lots() -> None:
    # 10 % of 800 over 50.2 a unit is 1.59; the margin of a position allows 1.6.
    found = judge(BUY, replace(EMPTY, equity=D(800)))
    assert found.quantity_allowed == D("0.7")  # 1 % of 800 over 10.273 a unit: 0.778
    assert not found.accepted
    locked = judge(BUY, replace(EMPTY, equity=D(800), fuse_state=FuseState.TRIPPED))
    assert locked.quantity_allowed == 0


# ---- who asks, and whether anything may be asked now ---------------------------------------------


@pytest.mark.parametrize(
    ("order", "rules", "words"),
    [
        ({"quantity": D("-1")}, {}, "quantity must be positive"),
        ({"quantity": D("Infinity")}, {}, "quantity is not a number"),
        ({"quantity": 10}, {}, "quantity is not a number"),
        ({"leverage": D("0.99")}, {}, "below 1.0x"),
        ({"stop_price": D(0)}, {}, "stop price must be positive"),
        ({"instrument": ETH}, {}, "another instrument"),
        ({"type": OrderType.LIMIT}, {}, "limit order needs a price"),
        ({"type": OrderType.STOP}, {}, "stop order needs a price"),
        ({"price": D(100)}, {}, "market order has no price"),
        ({"tier": 5}, {}, "tier is 1 to 4"),
        ({"tier": 0}, {}, "tier is 1 to 4"),
        ({}, {"tick_size": D(0)}, "tick size must be positive"),
        ({}, {"lot_size": D("NaN")}, "lot size is not a number"),
        ({}, {"multiplier": D(-1)}, "multiplier must be positive"),
    ],
)
def test_an_order_that_cannot_be_read_is_denied_in_words(
    order: dict[str, Any], rules: dict[str, Any], words: str
) -> None:
    book = replace(EMPTY, instrument=replace(RULES, **rules))
    found = judge(replace(BUY, **order), book)
    assert found.codes == ("order_shape",)
    assert words in found.denials[0].words
    assert found.denials[0].value == found.denials[0].words


def test_a_book_that_cannot_be_read_denies_too() -> None:
    for change in (
        {"equity": D(0)},
        {"equity": D("NaN")},
        {"reference": ReferencePrice(price=D(0), observed_at=NOW)},
    ):
        assert judge(BUY, replace(EMPTY, **change)).codes == ("order_shape",)
    assert judge(replace(BUY, leverage=D(1), tier=4), EMPTY).codes == ("position_margin",)
    assert look(Control.ORDER_SHAPE).value is None


@pytest.mark.parametrize(
    ("control", "change", "status"),
    [
        (Control.ALLOWLIST, {}, PASSED),
        (Control.RESTRICTED, {}, PASSED),
        (Control.MODE, {}, PASSED),
        (Control.LIVE_EVIDENCE, {}, EXEMPT),
        (Control.LIVE_APPROVAL, {}, EXEMPT),
        (Control.LIVE_EVIDENCE, {"mode": Mode.LIVE}, DENIED),
        (Control.LIVE_EVIDENCE, {"mode": Mode.LIVE, "is_evidence_override_signed": True}, PASSED),
        (
            Control.LIVE_EVIDENCE,
            {"mode": Mode.LIVE, "evidence_policy": EvidencePolicy.ENFORCED},
            PASSED,
        ),
        (Control.LIVE_APPROVAL, {"mode": Mode.LIVE}, DENIED),
        (Control.LIVE_APPROVAL, {"mode": Mode.LIVE, "live_trades_of_strategy": 9}, DENIED),
        (Control.LIVE_APPROVAL, {"mode": Mode.LIVE, "live_trades_of_strategy": 10}, PASSED),
        (Control.FUSE_STATE, {}, PASSED),
        (Control.FUSE_STATE, {"fuse_state": FuseState.DISARMED}, DENIED),
        (Control.STRATEGY_LOCK, {}, PASSED),
        (Control.STRATEGY_LOCK, {"strategy_locked_until": NOW}, PASSED),
        (Control.STRATEGY_LOCK, {"strategy_locked_until": NOW + timedelta(seconds=1)}, DENIED),
        (Control.ENGINE_STATE, {}, PASSED),
        (Control.ENGINE_STATE, {"engine_state": None}, DENIED),
        (Control.ENGINE_STATE, {"engine_state": EngineState.STOPPED}, DENIED),
        (Control.REPEAT_THROTTLE, {}, NOT_EVALUATED),
        (Control.REPEAT_THROTTLE, {"executions_since_review": 99}, PASSED),
        (Control.REPEAT_THROTTLE, {"executions_since_review": 100}, DENIED),
        (Control.LEVERAGE, {"client_class_leverage_max": D(2)}, PASSED),
        (Control.LEVERAGE, {"client_class_leverage_max": D("1.9")}, DENIED),
        (Control.LEVERAGE, {"instrument": replace(RULES, venue_leverage_max=D("1.9"))}, DENIED),
        (Control.ORDER_QUANTITY, {"instrument": replace(RULES, quantity_max=D(10))}, PASSED),
        (Control.ORDER_QUANTITY, {"instrument": replace(RULES, quantity_max=D("9.9"))}, DENIED),
        (Control.ORDER_QUANTITY, {"instrument": replace(RULES, quantity_max=None)}, NOT_EVALUATED),
        (Control.MINIMUM_NOTIONAL, {"instrument": replace(RULES, notional_min=D(2_000))}, PASSED),
        (Control.MINIMUM_NOTIONAL, {"instrument": replace(RULES, notional_min=D(2_001))}, DENIED),
        (Control.GROUP_MARGIN, {"instrument": replace(RULES, correlation_group="")}, PASSED),
    ],
)
def test_a_control_under_one_change_of_the_book(
    control: Control, change: dict[str, Any], status: CheckStatus
) -> None:
    assert look(control, BUY, replace(BOOK, **change)).status is status


def test_live_without_leverage_needs_no_evidence_and_a_person_stands_for_experience() -> None:
    live = replace(EMPTY, mode=Mode.LIVE)
    plain = replace(BUY, leverage=D(1))
    assert look(Control.LIVE_EVIDENCE, plain, live).status is EXEMPT
    assert look(Control.LIVE_EVIDENCE, replace(BUY, leverage=D("1.1")), live).status is DENIED
    assert look(Control.LIVE_APPROVAL, replace(BUY, approved_by="ann"), live).status is PASSED
    assert look(Control.LIVE_APPROVAL, BUY, replace(live, live_trades_of_strategy=3)).value == 3


def test_without_a_group_an_instrument_is_its_own() -> None:
    alone = replace(BOOK, instrument=replace(RULES, correlation_group=""))
    assert look(Control.GROUP_MARGIN, BUY, alone).value == 1_450
    assert look(Control.GROUP_MARGIN, BUY, BOOK).value == 1_565


# ---- price ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("age_s", "status"), [(0, PASSED), (120, PASSED), (121, DENIED), (-1, PASSED), (-2, DENIED)]
)
def test_a_reference_price_is_at_most_two_minutes_old(age_s: int, status: CheckStatus) -> None:
    reference = ReferencePrice(price=D(100), observed_at=NOW - timedelta(seconds=age_s))
    found = look(Control.STALE_PRICE, BUY, replace(EMPTY, reference=reference))
    assert (found.status, found.value, found.limit) == (status, age_s, 120)


@pytest.mark.parametrize(
    ("order", "price", "status"),
    [
        (BUY, D(102), PASSED),
        (BUY, D("102.5"), DENIED),
        (BUY, D(50), PASSED),
        (SELL, D(98), PASSED),
        (SELL, D("97.5"), DENIED),
        (SELL, D(150), PASSED),
    ],
)
def test_a_limit_price_loses_at_most_two_percent_to_the_reference(
    order: OrderRequest, price: Decimal, status: CheckStatus
) -> None:
    found = look(Control.PRICE_COLLAR, replace(order, type=OrderType.LIMIT, price=price), EMPTY)
    sign = 1 if order.side is Side.BUY else -1
    assert (found.status, found.limit) == (status, D("0.02"))
    assert (found.value, found.allowed) == ((price / 100 - 1) * sign, 100 + 2 * sign)


def test_only_a_limit_price_has_a_collar_and_it_needs_a_reference() -> None:
    assert look(Control.PRICE_COLLAR, BUY, EMPTY).status is EXEMPT
    stop = replace(BUY, type=OrderType.STOP, price=D(150))
    assert look(Control.PRICE_COLLAR, stop, EMPTY).status is EXEMPT
    limit = replace(BUY, type=OrderType.LIMIT, price=D(100))
    blind = replace(EMPTY, reference=None)
    assert look(Control.PRICE_COLLAR, limit, blind).status is DENIED
    assert look(Control.STALE_PRICE, limit, blind).status is DENIED
    # A limit price stands in for the reference in what the order may cost.
    assert look(Control.ORDER_VALUE, limit, blind).value == 2_000


@pytest.mark.parametrize(("before", "status"), [(D(80), DENIED), (D(125), DENIED), (D(96), PASSED)])
def test_a_reference_that_moved_too_far_within_its_window_is_denied(
    before: Decimal, status: CheckStatus
) -> None:
    reference = ReferencePrice(price=D(100), observed_at=NOW, price_before=before)
    found = look(Control.PRICE_DRIFT, BUY, replace(EMPTY, reference=reference))
    assert (found.status, found.value, found.limit) == (status, abs(100 / before - 1), D("0.1"))
    exact = replace(reference, price=D(110), price_before=D(100))
    assert look(Control.PRICE_DRIFT, BUY, replace(EMPTY, reference=exact)).status is PASSED
    unknown = replace(reference, price_before=None)
    found = look(Control.PRICE_DRIFT, BUY, replace(EMPTY, reference=unknown))
    assert found.status is NOT_EVALUATED


def test_prices_are_whole_ticks_and_quantities_whole_lots() -> None:
    assert look(Control.TICK_SIZE).status is PASSED
    off = look(Control.TICK_SIZE, replace(BUY, stop_price=D("95.25")))
    assert (off.status, off.value, off.limit) == (DENIED, D("95.25"), D("0.5"))
    limit = replace(BUY, type=OrderType.LIMIT, price=D("99.75"))
    assert look(Control.TICK_SIZE, limit).value == D("99.75")
    assert look(Control.TICK_SIZE, replace(limit, stop_price=D("95.1"))).value == D("99.75")
    assert look(Control.LOT_SIZE).status is PASSED
    lots = look(Control.LOT_SIZE, replace(BUY, quantity=D("10.05")))
    assert (lots.status, lots.value, lots.limit) == (DENIED, D("10.05"), D("0.1"))


def test_an_order_costs_its_own_price_or_the_reference_whichever_is_dearer() -> None:
    def value(price: int) -> object:
        return look(
            Control.ORDER_VALUE, replace(BUY, type=OrderType.LIMIT, price=D(price)), EMPTY
        ).value

    assert (value(99), value(101)) == (2_000, 2_020)


@pytest.mark.parametrize(
    ("order", "stop", "status"),
    [
        (BUY, D("99.5"), PASSED),
        (BUY, D(100), DENIED),
        (BUY, None, DENIED),
        (SELL, D("100.5"), PASSED),
        (SELL, D(100), DENIED),
        (SELL, D(95), DENIED),
    ],
)
def test_an_entry_has_a_stop_on_its_losing_side(
    order: OrderRequest, stop: Decimal | None, status: CheckStatus
) -> None:
    asked = replace(order, stop_price=stop)
    found = look(Control.PROTECTIVE_STOP, asked, EMPTY)
    assert (found.status, found.value, found.limit) == (status, stop, 100)
    loss = look(Control.LOSS_AT_STOP, asked, EMPTY)
    assert (loss.status is NOT_EVALUATED) == (status is DENIED)
    if stop is not None and status is PASSED:
        assert loss.value == (D("0.5") + D("0.0007") * (100 + stop)) * 20


def test_without_any_price_nothing_is_measured_and_nothing_passes() -> None:
    found = judge(BUY, replace(EMPTY, reference=None))
    assert found.codes == ("stale_price",)
    statuses = {check.control: check.status for check in found.checks}
    for control in (*EQUITY_SHARES, Control.ORDER_VALUE, Control.ORDER_QUANTITY):
        assert statuses[control] is NOT_EVALUATED
    for control in (Control.MINIMUM_NOTIONAL, Control.PROTECTIVE_STOP, Control.BOOK_LEVERAGE):
        assert statuses[control] is NOT_EVALUATED
    assert found.quantity_allowed == 0


# ---- conduct -------------------------------------------------------------------------------------


def sent(age_s: float, **change: Any) -> RecentOrder:
    plain = RecentOrder(
        instrument=BTC, strategy="trend", side=Side.BUY, quantity=D(10), price=None,
        submitted_at=NOW - timedelta(seconds=age_s),
    )  # fmt: skip
    return replace(plain, **change)


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({}, DENIED),
        ({"is_message_only": True}, PASSED),
        ({"reduces": True}, PASSED),
        ({"instrument": ETH}, PASSED),
        ({"strategy": "magnet"}, PASSED),
        ({"side": Side.SELL}, PASSED),
        ({"quantity": D(9)}, PASSED),
        ({"price": D(100)}, PASSED),
        ({"submitted_at": NOW - timedelta(seconds=10)}, PASSED),
        ({"submitted_at": NOW - timedelta(seconds=9.9)}, DENIED),
    ],
)
def test_an_equal_order_within_ten_seconds_is_a_duplicate(
    change: dict[str, Any], status: CheckStatus
) -> None:
    found = look(Control.DUPLICATE, BUY, replace(EMPTY, recent=(sent(2, **change),)))
    assert (found.status, found.value) == (status, int(status is DENIED))


@pytest.mark.parametrize(
    ("control", "inside", "outside", "limit"),
    [
        (Control.MESSAGE_RATE_SECOND, 0.9, 1.0, D("3.75")),
        (Control.MESSAGE_RATE_MINUTE, 59.0, 60.0, D(45)),
    ],
)
def test_messages_are_counted_within_their_window(
    control: Control, inside: float, outside: float, limit: Decimal
) -> None:
    def rate(count: int, age_s: float) -> Check:
        recent = tuple(sent(age_s, quantity=D(k + 1)) for k in range(count))
        return look(control, BUY, replace(EMPTY, recent=recent))

    most = int(limit)
    assert (rate(most - 1, inside).status, rate(most - 1, inside).value) == (PASSED, most)
    assert (rate(most, inside).status, rate(most, inside).limit) == (DENIED, limit)
    assert (rate(most, outside).status, rate(most, outside).value) == (PASSED, 1)


@pytest.mark.parametrize(
    ("order", "price", "status"),
    [
        ({}, D(150), DENIED),
        ({"type": OrderType.LIMIT, "price": D(101)}, D(101), DENIED),
        ({"type": OrderType.LIMIT, "price": D(100)}, D(101), PASSED),
        ({"type": OrderType.STOP, "price": D(150)}, D(101), PASSED),
    ],
)
def test_a_buy_never_meets_our_own_offer(
    order: dict[str, Any], price: Decimal, status: CheckStatus
) -> None:
    offer = resting(BTC, Side.SELL, 1, int(price))
    found = look(Control.SELF_CROSS, replace(BUY, **order), replace(EMPTY, orders=(offer,)))
    assert found.status is status
    assert found.value == (offer.order_id if status is DENIED else None)
    other = replace(offer, order_id="later")
    both = look(Control.SELF_CROSS, replace(BUY, **order), replace(EMPTY, orders=(offer, other)))
    assert both.value == found.value  # the first is named


@pytest.mark.parametrize(("price", "status"), [(D(99), DENIED), (D(100), PASSED)])
def test_a_sell_never_meets_our_own_bid(price: Decimal, status: CheckStatus) -> None:
    bid = resting(BTC, Side.BUY, 1, 99)
    sell = replace(SELL, type=OrderType.LIMIT, price=price)
    assert look(Control.SELF_CROSS, sell, replace(EMPTY, orders=(bid,))).status is status


@pytest.mark.parametrize(
    "change",
    [
        {"instrument": ETH},
        {"side": Side.BUY},
        {"type": OrderType.STOP},
        {"is_protective": True},
    ],
)
def test_what_cannot_be_met_is_not_crossed(change: dict[str, Any]) -> None:
    other = replace(resting(BTC, Side.SELL, 1, 90), **change)
    assert look(Control.SELF_CROSS, BUY, replace(EMPTY, orders=(other,))).status is PASSED


# ---- reducing ------------------------------------------------------------------------------------


def closing(quantity: int, **change: Any) -> OrderRequest:
    return replace(SELL, quantity=D(quantity), stop_price=None, **change)


def test_an_order_reduces_up_to_what_no_other_order_will_close() -> None:
    # 4 are held and 1 of them is for sale already; a resting stop does not count.
    assert judge(closing(3)).reduces
    assert not judge(closing(4)).reduces
    assert not judge(replace(BUY, quantity=D(3))).reduces
    assert judge(closing(4, is_protective=True, type=OrderType.STOP, price=D(96))).reduces
    assert not judge(closing(3, strategy="magnet")).reduces
    assert not judge(closing(1), EMPTY).reduces
    short = replace(EMPTY, positions=(position(BTC, -4, 100, 400, 100),))
    assert judge(replace(BUY, quantity=D(4)), short).reduces
    assert not judge(closing(1), short).reduces


@pytest.mark.parametrize(
    "change", [{"instrument": ETH}, {"strategy": "magnet"}, {"reduces": False}]
)
def test_only_a_closing_order_of_the_same_sleeve_takes_from_what_can_be_closed(
    change: dict[str, Any],
) -> None:
    other = replace(resting(BTC, Side.SELL, 4, 120, reduces=True), **change)
    assert judge(closing(4), replace(BOOK, orders=(other,))).reduces


def test_a_reducing_order_reserves_nothing_and_is_exempt_from_what_bounds_growth() -> None:
    no_bid = replace(BOOK, orders=ORDERS[1:])  # a sale would meet our own bid
    found = judge(closing(3), replace(no_bid, fuse_state=FuseState.TRIPPED))
    assert (found.accepted, found.notional, found.margin) == (True, 0, 0)
    assert (found.gap_loss, found.loss_at_stop, found.quantity_allowed) == (0, None, 3)
    exempt = {check.control for check in found.checks if check.status is EXEMPT}
    kept = {Control.ORDER_SHAPE, Control.MODE, Control.TICK_SIZE, Control.LOT_SIZE}
    kept |= {Control.ORDER_QUANTITY, Control.MESSAGE_RATE_SECOND, Control.MESSAGE_RATE_MINUTE}
    # What is missing of these is exempt because it does not apply: no limit price, no claim.
    assert exempt == set(Control) - kept - {Control.SELF_CROSS}
    assert found.reduces
    recent = tuple(sent(0.5, quantity=D(k + 20)) for k in range(4))
    rate = look(Control.MESSAGE_RATE_SECOND, closing(3), replace(BOOK, recent=recent))
    assert (rate.status, rate.value, rate.limit) == (PASSED, 5, 5)


@pytest.mark.parametrize("held", [D("0.5"), D(1), D("-0.5"), D(-1)])
def test_a_position_of_any_size_is_closed_by_its_other_side(held: Decimal) -> None:
    book = replace(EMPTY, positions=(replace(POSITIONS[0], quantity=held),))
    away, more = (SELL, BUY) if held > 0 else (BUY, SELL)
    assert judge(replace(away, quantity=abs(held)), book).reduces
    assert not judge(replace(more, quantity=abs(held)), book).reduces
    assert not judge(replace(away, quantity=abs(held) + D("0.1")), book).reduces


@pytest.mark.parametrize("claim", [{"must_reduce": True}, {"is_protective": True}])
def test_who_claims_to_reduce_is_held_to_it(claim: dict[str, Any]) -> None:
    honest = look(Control.REDUCES, closing(3, **claim))
    assert (honest.status, honest.value) == (PASSED, 3)
    false = look(Control.REDUCES, closing(5, **claim))
    assert (false.status, false.limit) == (DENIED, 4 if "is_protective" in claim else 3)
    assert look(Control.REDUCES, closing(3)).status is EXEMPT


def test_the_default_rules_and_requests_are_the_documented_ones() -> None:
    bare = InstrumentRules(instrument=BTC, tick_size=D(1), lot_size=D(1))
    assert (bare.multiplier, bare.notional_min, bare.quantity_max) == (1, 0, None)
    assert (bare.fee_rate, bare.slippage_rate, bare.gap_rate) == (
        D("0.0005"),
        D("0.0002"),
        D(".25"),
    )
    assert (bare.is_isolated, bare.is_allowed, bare.is_restricted) == (True, True, False)
    order = OrderRequest(
        instrument=BTC, strategy="s", side=Side.BUY, type=OrderType.MARKET, quantity=D(1)
    )
    assert (order.leverage, order.is_protective, order.must_reduce) == (1, False, False)
    other = resting(BTC, Side.BUY, 1, 1)
    assert (other.margin, other.gap_loss, other.multiplier) == (0, 0, 1)
    assert (other.reduces, other.is_protective) == (False, False)
    assert (position(BTC, 1, 1, 1, 1).multiplier, sent(1).is_message_only) == (1, False)
    assert not EMPTY.is_evidence_override_signed
