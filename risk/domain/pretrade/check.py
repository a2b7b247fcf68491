"""The pre-trade check (PRE-1): every control of one order, in order, as stored values.

:func:`check_order` never raises for what a caller or the market sent: what cannot be read is
denied.  Reducing is computed from the position and the open closing orders, never believed; an
order that only reduces is exempt from every control that would keep a risk on the book.

Conservative counting: open orders that add exposure count at their full open quantity, on top of
the positions; net exposure is taken at the worse end of what may still fill.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from decimal import ROUND_DOWN, Decimal

from risk.domain.fuse.types import FuseState
from risk.domain.limits import LimitSet, stricter
from risk.domain.pretrade.facts import OrderFacts, read_facts
from risk.domain.pretrade.types import (
    BookSnapshot,
    Check,
    CheckStatus,
    Control,
    EngineState,
    Mode,
    OrderRequest,
    OrderType,
    PreTradeVerdict,
    Side,
)

ZERO = Decimal(0)
Judge = Callable[[OrderFacts], Check]

#: Controls that a reducing order need not pass: they only bound what adds exposure.
GROWTH_ONLY = frozenset(
    {
        Control.ALLOWLIST,
        Control.RESTRICTED,
        Control.LIVE_EVIDENCE,
        Control.LIVE_APPROVAL,
        Control.FUSE_STATE,
        Control.STRATEGY_LOCK,
        Control.ENGINE_STATE,
        Control.STALE_PRICE,
        Control.PRICE_DRIFT,
        Control.MINIMUM_NOTIONAL,
        Control.ORDER_VALUE,
        Control.PROTECTIVE_STOP,
        Control.LOSS_AT_STOP,
        Control.GAP_LOSS_POSITION,
        Control.GAP_LOSS_BOOK,
        Control.LEVERAGE,
        Control.BOOK_LEVERAGE,
        Control.POSITION_NOTIONAL,
        Control.POSITION_MARGIN,
        Control.GROUP_MARGIN,
        Control.TOTAL_MARGIN,
        Control.GROSS_EXPOSURE,
        Control.NET_EXPOSURE,
        Control.REPEAT_THROTTLE,
        Control.DUPLICATE,
    }
)
#: Controls whose ``allowed`` is a quantity, so that they bound ``quantity_allowed``.
SIZE_CONTROLS = frozenset(
    {
        Control.ORDER_VALUE,
        Control.ORDER_QUANTITY,
        Control.LOSS_AT_STOP,
        Control.GAP_LOSS_POSITION,
        Control.GAP_LOSS_BOOK,
        Control.POSITION_NOTIONAL,
        Control.POSITION_MARGIN,
        Control.GROUP_MARGIN,
        Control.TOTAL_MARGIN,
        Control.GROSS_EXPOSURE,
        Control.NET_EXPOSURE,
    }
)

#: Controls that measure money, which takes a price; without one STALE_PRICE denies.
PRICED = SIZE_CONTROLS | {
    Control.MINIMUM_NOTIONAL,
    Control.PROTECTIVE_STOP,
    Control.BOOK_LEVERAGE,
}


def check_order(
    *, order: OrderRequest, book: BookSnapshot, limits: LimitSet, now: datetime
) -> PreTradeVerdict:
    """Judge one order against the book, the limits and the clock (aware, UTC).

    Returns every control with its value, limit and what it would allow; accepted only when none
    denied.  Never raises for bad content: numbers that make no sense are an ``order_shape`` denial.
    """
    facts = read_facts(order=order, book=book, limits=limits, now=now)
    shape = _check_shape(facts)
    if shape.status is CheckStatus.DENIED:
        return _verdict(facts, (shape,))
    checks = [shape]
    for control, judge in _JUDGES:
        if facts.reduces and control in GROWTH_ONLY:
            checks.append(_say(control, CheckStatus.EXEMPT, words="the order only reduces"))
        elif facts.price <= 0 and control in PRICED:
            checks.append(_say(control, CheckStatus.NOT_EVALUATED, words="no price to measure by"))
        else:
            checks.append(judge(facts))
    return _verdict(facts, tuple(checks))


def _verdict(facts: OrderFacts, checks: tuple[Check, ...]) -> PreTradeVerdict:
    denials = tuple(check for check in checks if check.status is CheckStatus.DENIED)
    blocked = any(check.control not in SIZE_CONTROLS for check in denials)
    bounds = [c.allowed for c in checks if c.control in SIZE_CONTROLS and c.allowed is not None]
    allowed = ZERO if blocked or not facts.is_sound else min([facts.order.quantity, *bounds])
    grows = not facts.reduces and facts.is_sound
    return PreTradeVerdict(
        accepted=not denials,
        reduces=facts.reduces,
        checks=checks,
        denials=denials,
        codes=tuple(check.control.value for check in denials),
        quantity_allowed=_whole_lots(max(allowed, ZERO), facts),
        notional=facts.notional if grows else ZERO,
        margin=facts.margin if grows else ZERO,
        gap_loss=facts.gap_loss if grows else ZERO,
        loss_at_stop=facts.loss_at_stop if grows else None,
        limits_version=facts.limits.version,
        checked_at=facts.now,
    )


def _whole_lots(quantity: Decimal, facts: OrderFacts) -> Decimal:
    lot = facts.book.instrument.lot_size
    if not facts.is_sound or lot <= 0:
        return ZERO
    return (quantity / lot).to_integral_value(ROUND_DOWN) * lot


def _say(
    control: Control,
    status: CheckStatus,
    *,
    value: Decimal | str | None = None,
    limit: Decimal | str | None = None,
    allowed: Decimal | None = None,
    words: str,
) -> Check:
    return Check(
        control=control, status=status, value=value, limit=limit, allowed=allowed, words=words
    )


def _test(
    control: Control,
    passes: bool,
    *,
    value: Decimal | str | None = None,
    limit: Decimal | str | None = None,
    allowed: Decimal | None = None,
    words: str,
) -> Check:
    status = CheckStatus.PASSED if passes else CheckStatus.DENIED
    return _say(control, status, value=value, limit=limit, allowed=allowed, words=words)


def _bound(
    control: Control, facts: OrderFacts, *, total: Decimal, limit: Decimal, a_unit: Decimal, of: str
) -> Check:
    """A size control: ``total`` with this order against ``limit``; ``a_unit`` is what one unit of
    quantity adds to it."""
    before = total - a_unit * facts.order.quantity
    allowed = max(ZERO, (limit - before) / a_unit) if a_unit > 0 else facts.order.quantity
    return _test(
        control,
        total <= limit,
        value=total,
        limit=limit,
        allowed=allowed,
        words=f"{of} {total:,.2f} of {limit:,.2f}",
    )


# ---- what is asked, who asks, and whether anything may be asked now ------------------------------


def _check_shape(facts: OrderFacts) -> Check:
    problem = facts.problem
    return _test(
        Control.ORDER_SHAPE, problem is None, value=problem, words=problem or "the order is whole"
    )


def _check_allowlist(facts: OrderFacts) -> Check:
    return _test(
        Control.ALLOWLIST,
        facts.book.instrument.is_allowed,
        value=facts.order.instrument,
        words="the instrument is on the list of those traded",
    )


def _check_restricted(facts: OrderFacts) -> Check:
    return _test(
        Control.RESTRICTED,
        not facts.book.instrument.is_restricted,
        value=facts.order.instrument,
        words="the instrument is not on the restricted list",
    )


def _check_mode(facts: OrderFacts) -> Check:
    return _test(
        Control.MODE, facts.book.mode in Mode, value=facts.book.mode.value, words="trading mode"
    )


def _check_live_evidence(facts: OrderFacts) -> Check:
    book = facts.book
    if book.mode is not Mode.LIVE or facts.order.leverage <= 1:
        return _say(Control.LIVE_EVIDENCE, CheckStatus.EXEMPT, words="not live above 1.0x")
    passes = book.evidence_policy.value == "enforced" or book.is_evidence_override_signed
    return _test(
        Control.LIVE_EVIDENCE,
        passes,
        value=book.evidence_policy.value,
        limit="enforced",
        words="live leverage above 1.0x needs enforced evidence or a signed override",
    )


def _check_live_approval(facts: OrderFacts) -> Check:
    book, needed = facts.book, facts.limits.live_approved_trades_count
    if book.mode is not Mode.LIVE:
        return _say(Control.LIVE_APPROVAL, CheckStatus.EXEMPT, words="not live")
    done = book.live_trades_of_strategy
    passes = facts.order.approved_by is not None or (done is not None and done >= needed)
    return _test(
        Control.LIVE_APPROVAL,
        passes,
        value=None if done is None else Decimal(done),
        limit=needed,
        words="the first live trades of a strategy need a person each",
    )


def _check_fuse(facts: OrderFacts) -> Check:
    state = facts.book.fuse_state
    return _test(
        Control.FUSE_STATE,
        state is FuseState.ARMED,
        value=state.value if state is not None else "missing",
        limit=FuseState.ARMED.value,
        words="the survival fuse lets exposure grow only while it is armed",
    )


def _check_lock(facts: OrderFacts) -> Check:
    until = facts.book.strategy_locked_until
    return _test(
        Control.STRATEGY_LOCK,
        until is None or until <= facts.now,
        value=None if until is None else until.isoformat(),
        words="the strategy is not locked",
    )


def _check_engine(facts: OrderFacts) -> Check:
    state = facts.book.engine_state
    return _test(
        Control.ENGINE_STATE,
        state is EngineState.READY,
        value=state.value if state is not None else "missing",
        limit=EngineState.READY.value,
        words="the engine has reconciled and is ready",
    )


# ---- price ---------------------------------------------------------------------------------------


def _check_staleness(facts: OrderFacts) -> Check:
    reference = facts.book.reference
    if reference is None:
        return _test(Control.STALE_PRICE, False, value="missing", words="no independent price")
    age = Decimal(str((facts.now - reference.observed_at).total_seconds()))
    limit = facts.limits.price_age_max_s
    return _test(
        Control.STALE_PRICE,
        -1 <= age <= limit,
        value=age,
        limit=limit,
        words=f"the reference price is {age:.0f} s old, at most {limit} s",
    )


def _check_collar(facts: OrderFacts) -> Check:
    order, reference = facts.order, facts.book.reference
    if order.type is not OrderType.LIMIT or order.price is None:
        return _say(Control.PRICE_COLLAR, CheckStatus.EXEMPT, words="no limit price")
    if reference is None:
        return _test(Control.PRICE_COLLAR, False, value="missing", words="no independent price")
    # Only the losing side matters: paying more than the reference, or selling below it.
    away = (order.price / reference.price - 1) * order.side.sign
    limit = facts.limits.price_collar_share
    return _test(
        Control.PRICE_COLLAR,
        away <= limit,
        value=away,
        limit=limit,
        allowed=reference.price * (1 + limit * order.side.sign),
        words=f"the price lies {away:.2%} beyond the reference, at most {limit:.2%}",
    )


def _check_drift(facts: OrderFacts) -> Check:
    reference, limit = facts.book.reference, facts.limits.price_drift_share
    if reference is None or reference.price_before is None:
        return _say(Control.PRICE_DRIFT, CheckStatus.NOT_EVALUATED, words="no window of prices")
    drift = abs(reference.price / reference.price_before - 1)
    return _test(
        Control.PRICE_DRIFT,
        drift <= limit,
        value=drift,
        limit=limit,
        words=f"the reference moved {drift:.2%} within its window, at most {limit:.2%}",
    )


def _check_tick(facts: OrderFacts) -> Check:
    tick = facts.book.instrument.tick_size
    prices = [p for p in (facts.order.price, facts.order.stop_price) if p is not None]
    off = [p for p in prices if p % tick != 0]
    return _test(
        Control.TICK_SIZE, not off, value=off[0] if off else None, limit=tick, words="whole ticks"
    )


# ---- size ----------------------------------------------------------------------------------------


def _check_lot(facts: OrderFacts) -> Check:
    lot, quantity = facts.book.instrument.lot_size, facts.order.quantity
    return _test(
        Control.LOT_SIZE, quantity % lot == 0, value=quantity, limit=lot, words="whole lots"
    )


def _check_minimum(facts: OrderFacts) -> Check:
    limit = facts.book.instrument.notional_min
    return _test(
        Control.MINIMUM_NOTIONAL,
        facts.notional >= limit,
        value=facts.notional,
        limit=limit,
        words="the venue's smallest order",
    )


def _check_value(facts: OrderFacts) -> Check:
    return _bound(
        Control.ORDER_VALUE,
        facts,
        total=facts.notional,
        limit=facts.limits.order_value_max,
        a_unit=facts.unit_value,
        of="value of the order",
    )


def _check_quantity(facts: OrderFacts) -> Check:
    limit = facts.book.instrument.quantity_max
    if limit is None:
        return _say(Control.ORDER_QUANTITY, CheckStatus.NOT_EVALUATED, words="no venue maximum")
    return _test(
        Control.ORDER_QUANTITY,
        facts.order.quantity <= limit,
        value=facts.order.quantity,
        limit=limit,
        allowed=limit,
        words="the venue's largest order",
    )


def _check_stop(facts: OrderFacts) -> Check:
    stop, price = facts.order.stop_price, facts.price
    passes = stop is not None and (price - stop) * facts.order.side.sign > 0
    return _test(
        Control.PROTECTIVE_STOP,
        passes,
        value=stop,
        limit=price,
        words="an entry needs a stop on its losing side",
    )


def _check_loss(facts: OrderFacts) -> Check:
    loss = facts.loss_at_stop
    if loss is None:
        return _say(Control.LOSS_AT_STOP, CheckStatus.NOT_EVALUATED, words="no stop to measure")
    own = facts.book.strategy_limits.loss_at_stop_share
    share = stricter(facts.limits.loss_at_stop_share, own)
    return _bound(
        Control.LOSS_AT_STOP,
        facts,
        total=loss,
        limit=share * facts.equity,
        a_unit=loss / facts.order.quantity,
        of="loss at the stop",
    )


def _check_gap_position(facts: OrderFacts) -> Check:
    return _bound(
        Control.GAP_LOSS_POSITION,
        facts,
        total=facts.gap_loss + facts.gap_loss_of_instrument,
        limit=facts.limits.gap_share_position * facts.equity,
        a_unit=facts.gap_loss / facts.order.quantity,
        of="loss of the position in its worst hour",
    )


def _check_gap_book(facts: OrderFacts) -> Check:
    return _bound(
        Control.GAP_LOSS_BOOK,
        facts,
        total=facts.gap_loss + facts.gap_loss_of_book,
        limit=facts.limits.gap_share_book * facts.equity,
        a_unit=facts.gap_loss / facts.order.quantity,
        of="loss of the book in its worst hour",
    )


def _check_leverage(facts: OrderFacts) -> Check:
    caps = [facts.limits.leverage_max]
    for cap in (facts.book.instrument.venue_leverage_max, facts.book.client_class_leverage_max):
        if cap is not None:
            caps.append(cap)
    return _test(
        Control.LEVERAGE,
        facts.order.leverage <= min(caps),
        value=facts.order.leverage,
        limit=min(caps),
        words="leverage of the order",
    )


def _check_book_leverage(facts: OrderFacts) -> Check:
    leverage = (facts.gross + facts.notional) / facts.equity
    limit = facts.limits.leverage_max
    return _test(
        Control.BOOK_LEVERAGE,
        leverage <= limit,
        value=leverage,
        limit=limit,
        words=f"leverage of the book {leverage:.2f}x, at most {limit}x",
    )


def _check_position_notional(facts: OrderFacts) -> Check:
    return _bound(
        Control.POSITION_NOTIONAL,
        facts,
        total=facts.notional_of_instrument + facts.notional,
        limit=facts.limits.position_notional_share_max * facts.equity,
        a_unit=facts.unit_value,
        of="notional of the instrument",
    )


def _check_position_margin(facts: OrderFacts) -> Check:
    """The instrument's margin with this order, and the tier's margin for this order alone."""
    own = facts.book.strategy_limits.margin_share_position
    share = stricter(facts.limits.margin_share_position, own)
    room = share * facts.equity - facts.margin_of_instrument
    if facts.order.tier is not None:
        room = min(room, facts.limits.margin_share_of_tier(facts.order.tier) * facts.equity)
    return _test(
        Control.POSITION_MARGIN,
        facts.margin <= room,
        value=facts.margin,
        limit=room,
        allowed=max(ZERO, room / facts.unit_margin),
        words=f"margin of the order {facts.margin:,.2f} of {max(room, ZERO):,.2f} left",
    )


def _check_group_margin(facts: OrderFacts) -> Check:
    return _bound(
        Control.GROUP_MARGIN,
        facts,
        total=facts.margin_of_group + facts.margin,
        limit=facts.limits.margin_share_group * facts.equity,
        a_unit=facts.unit_margin,
        of="margin of what moves together",
    )


def _check_total_margin(facts: OrderFacts) -> Check:
    return _bound(
        Control.TOTAL_MARGIN,
        facts,
        total=facts.margin_of_book + facts.margin,
        limit=facts.limits.margin_share_total * facts.equity,
        a_unit=facts.unit_margin,
        of="margin of all positions",
    )


def _check_gross(facts: OrderFacts) -> Check:
    return _bound(
        Control.GROSS_EXPOSURE,
        facts,
        total=facts.gross + facts.notional,
        limit=facts.limits.gross_notional_share_max * facts.equity,
        a_unit=facts.unit_value,
        of="gross exposure",
    )


def _check_net(facts: OrderFacts) -> Check:
    side = facts.net_if_bought if facts.order.side is Side.BUY else -facts.net_if_sold
    return _bound(
        Control.NET_EXPOSURE,
        facts,
        total=side + facts.notional,
        limit=facts.limits.net_notional_share_max * facts.equity,
        a_unit=facts.unit_value,
        of="net exposure toward the order's side",
    )


# ---- behaviour -----------------------------------------------------------------------------------


def _rate(facts: OrderFacts, control: Control, window: timedelta, limit: Decimal, of: str) -> Check:
    """Messages within a window; a share of the rate is kept for orders that reduce."""
    since = facts.now - window
    sent = Decimal(sum(1 for item in facts.book.recent if item.submitted_at > since))
    usable = limit if facts.reduces else limit * (1 - facts.limits.closing_reserve_share)
    return _test(
        control,
        sent + 1 <= usable,
        value=sent + 1,
        limit=usable,
        words=f"{sent + 1} orders in {of}, at most {usable:.0f}",
    )


def _check_rate_second(facts: OrderFacts) -> Check:
    limit = facts.limits.orders_per_second_count_max
    return _rate(facts, Control.MESSAGE_RATE_SECOND, timedelta(seconds=1), limit, "a second")


def _check_rate_minute(facts: OrderFacts) -> Check:
    limit = facts.limits.orders_per_minute_count_max
    return _rate(facts, Control.MESSAGE_RATE_MINUTE, timedelta(minutes=1), limit, "a minute")


def _check_repeat(facts: OrderFacts) -> Check:
    done, limit = facts.book.executions_since_review, facts.limits.unreviewed_executions_count_max
    if done is None:
        return _say(Control.REPEAT_THROTTLE, CheckStatus.NOT_EVALUATED, words="counted live only")
    return _test(
        Control.REPEAT_THROTTLE,
        done < limit,
        value=Decimal(done),
        limit=limit,
        words="executions of the strategy since a person looked",
    )


def _check_duplicate(facts: OrderFacts) -> Check:
    order = facts.order
    since = facts.now - timedelta(seconds=float(facts.limits.duplicate_window_s))
    same = [
        item
        for item in facts.book.recent
        if not item.is_message_only
        and item.submitted_at > since
        and (item.instrument, item.strategy, item.side, item.quantity, item.price)
        == (order.instrument, order.strategy, order.side, order.quantity, order.price)
    ]
    return _test(
        Control.DUPLICATE,
        not same,
        value=Decimal(len(same)),
        limit=f"{facts.limits.duplicate_window_s} s",
        words="no equal order within the window",
    )


def _check_self_cross(facts: OrderFacts) -> Check:
    order = facts.order
    against = [
        other
        for other in facts.book.orders
        if other.instrument == order.instrument
        and other.side is not order.side
        and other.type is OrderType.LIMIT
        and not other.is_protective
    ]
    meets = [other for other in against if _would_meet(order, other.price)]
    return _test(
        Control.SELF_CROSS,
        not meets,
        value=meets[0].order_id if meets else None,
        words="the order does not meet a resting order of our own",
    )


def _would_meet(order: OrderRequest, resting: Decimal) -> bool:
    if order.type is OrderType.MARKET or order.price is None:
        return True
    if order.type is not OrderType.LIMIT:
        return False
    return order.price >= resting if order.side is Side.BUY else order.price <= resting


def _check_reduces(facts: OrderFacts) -> Check:
    if not (facts.order.must_reduce or facts.order.is_protective):
        return _say(Control.REDUCES, CheckStatus.EXEMPT, words="not claimed")
    return _test(
        Control.REDUCES,
        facts.reduces,
        value=facts.order.quantity,
        limit=facts.closable,
        allowed=facts.closable,
        words="an order that claims to reduce must reduce",
    )


_JUDGES: Iterable[tuple[Control, Judge]] = (
    (Control.ALLOWLIST, _check_allowlist),
    (Control.RESTRICTED, _check_restricted),
    (Control.MODE, _check_mode),
    (Control.LIVE_EVIDENCE, _check_live_evidence),
    (Control.LIVE_APPROVAL, _check_live_approval),
    (Control.FUSE_STATE, _check_fuse),
    (Control.STRATEGY_LOCK, _check_lock),
    (Control.ENGINE_STATE, _check_engine),
    (Control.STALE_PRICE, _check_staleness),
    (Control.PRICE_COLLAR, _check_collar),
    (Control.PRICE_DRIFT, _check_drift),
    (Control.TICK_SIZE, _check_tick),
    (Control.LOT_SIZE, _check_lot),
    (Control.MINIMUM_NOTIONAL, _check_minimum),
    (Control.ORDER_VALUE, _check_value),
    (Control.ORDER_QUANTITY, _check_quantity),
    (Control.PROTECTIVE_STOP, _check_stop),
    (Control.LOSS_AT_STOP, _check_loss),
    (Control.GAP_LOSS_POSITION, _check_gap_position),
    (Control.GAP_LOSS_BOOK, _check_gap_book),
    (Control.LEVERAGE, _check_leverage),
    (Control.BOOK_LEVERAGE, _check_book_leverage),
    (Control.POSITION_NOTIONAL, _check_position_notional),
    (Control.POSITION_MARGIN, _check_position_margin),
    (Control.GROUP_MARGIN, _check_group_margin),
    (Control.TOTAL_MARGIN, _check_total_margin),
    (Control.GROSS_EXPOSURE, _check_gross),
    (Control.NET_EXPOSURE, _check_net),
    (Control.MESSAGE_RATE_SECOND, _check_rate_second),
    (Control.MESSAGE_RATE_MINUTE, _check_rate_minute),
    (Control.REPEAT_THROTTLE, _check_repeat),
    (Control.DUPLICATE, _check_duplicate),
    (Control.SELF_CROSS, _check_self_cross),
    (Control.REDUCES, _check_reduces),
)
