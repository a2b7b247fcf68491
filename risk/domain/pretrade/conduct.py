"""Controls on how orders are sent: their rate, repeats, duplicates, our own resting orders, and
whether an order that claims to reduce does so."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from risk.domain.pretrade.answers import answer, answer_if
from risk.domain.pretrade.facts import OrderFacts
from risk.domain.pretrade.types import Check, CheckStatus, Control, OrderRequest, OrderType, Side


def _rate(facts: OrderFacts, control: Control, window: timedelta, limit: Decimal, of: str) -> Check:
    """Messages within a window; a share of the rate is kept for orders that reduce."""
    since = facts.now - window
    sent = Decimal(sum(1 for item in facts.book.recent if item.submitted_at > since))
    usable = limit if facts.reduces else limit * (1 - facts.limits.closing_reserve_share)
    return answer_if(
        control,
        sent + 1 <= usable,
        value=sent + 1,
        limit=usable,
        words=f"{sent + 1} orders per {of}, limit {usable:.0f}",
    )


def check_rate_second(facts: OrderFacts) -> Check:
    limit = facts.limits.orders_per_second_count_max
    return _rate(facts, Control.MESSAGE_RATE_SECOND, timedelta(seconds=1), limit, "second")


def check_rate_minute(facts: OrderFacts) -> Check:
    limit = facts.limits.orders_per_minute_count_max
    return _rate(facts, Control.MESSAGE_RATE_MINUTE, timedelta(minutes=1), limit, "minute")


def check_repeat(facts: OrderFacts) -> Check:
    done, limit = facts.book.executions_since_review, facts.limits.unreviewed_executions_count_max
    if done is None:
        return answer(Control.REPEAT_THROTTLE, CheckStatus.NOT_EVALUATED, words="counted live only")
    return answer_if(
        Control.REPEAT_THROTTLE,
        done < limit,
        value=Decimal(done),
        limit=limit,
        words="executions of this strategy since the last review by a person",
    )


def check_duplicate(facts: OrderFacts) -> Check:
    """No equal entry twice; the exit that a reversal sends beside its entry is none."""
    order = facts.order
    since = facts.now - timedelta(seconds=float(facts.limits.duplicate_window_s))
    same = [
        item
        for item in facts.book.recent
        if not (item.is_message_only or item.reduces)
        and item.submitted_at > since
        and (item.instrument, item.strategy, item.side, item.quantity, item.price)
        == (order.instrument, order.strategy, order.side, order.quantity, order.price)
    ]
    return answer_if(
        Control.DUPLICATE,
        not same,
        value=Decimal(len(same)),
        limit=f"{facts.limits.duplicate_window_s} s",
        words="no equal order within the window",
    )


def check_self_cross(facts: OrderFacts) -> Check:
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
    return answer_if(
        Control.SELF_CROSS,
        not meets,
        value=meets[0].order_id if meets else None,
        words="order must not cross another order of the fund (self-trade)",
    )


def _would_meet(order: OrderRequest, resting: Decimal) -> bool:
    if order.type is OrderType.MARKET or order.price is None:
        return True
    if order.type is not OrderType.LIMIT:
        return False
    return order.price >= resting if order.side is Side.BUY else order.price <= resting


def check_reduces(facts: OrderFacts) -> Check:
    if not (facts.order.must_reduce or facts.order.is_protective):
        return answer(Control.REDUCES, CheckStatus.EXEMPT, words="not marked as reducing")
    return answer_if(
        Control.REDUCES,
        facts.reduces,
        value=facts.order.quantity,
        limit=facts.closable,
        allowed=facts.closable,
        words="an order marked as reducing must reduce the position",
    )
