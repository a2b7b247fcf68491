"""Controls on price: how old the reference is, how far from it an order lies, and whole ticks."""

from __future__ import annotations

from decimal import Decimal

from risk.domain.pretrade.answers import answer, answer_if
from risk.domain.pretrade.facts import OrderFacts
from risk.domain.pretrade.types import Check, CheckStatus, Control, OrderType


def check_staleness(facts: OrderFacts) -> Check:
    reference = facts.book.reference
    if reference is None:
        return answer_if(
            Control.STALE_PRICE, False, value="missing", words="no independent reference price"
        )
    age = Decimal(str((facts.now - reference.observed_at).total_seconds()))
    limit = facts.limits.price_age_max_s
    return answer_if(
        Control.STALE_PRICE,
        -1 <= age <= limit,
        value=age,
        limit=limit,
        words=f"the reference price is {age:.0f} s old, at most {limit} s",
    )


def check_collar(facts: OrderFacts) -> Check:
    order, reference = facts.order, facts.book.reference
    if order.type is not OrderType.LIMIT or order.price is None:
        return answer(Control.PRICE_COLLAR, CheckStatus.EXEMPT, words="not a limit order")
    if reference is None:
        return answer_if(
            Control.PRICE_COLLAR, False, value="missing", words="no independent reference price"
        )
    # Only the losing side matters: paying more than the reference, or selling below it.
    away = (order.price / reference.price - 1) * order.side.sign
    limit = facts.limits.price_collar_share
    return answer_if(
        Control.PRICE_COLLAR,
        away <= limit,
        value=away,
        limit=limit,
        allowed=reference.price * (1 + limit * order.side.sign),
        words=f"limit price {away:.2%} through the reference price, limit {limit:.2%}",
    )


def check_drift(facts: OrderFacts) -> Check:
    reference, limit = facts.book.reference, facts.limits.price_drift_share
    if reference is None or reference.price_before is None:
        return answer(
            Control.PRICE_DRIFT, CheckStatus.NOT_EVALUATED, words="no price history for this check"
        )
    drift = abs(reference.price / reference.price_before - 1)
    return answer_if(
        Control.PRICE_DRIFT,
        drift <= limit,
        value=drift,
        limit=limit,
        words=f"the reference moved {drift:.2%} within its window, at most {limit:.2%}",
    )


def check_tick(facts: OrderFacts) -> Check:
    tick = facts.book.instrument.tick_size
    prices = [p for p in (facts.order.price, facts.order.stop_price) if p is not None]
    off = [p for p in prices if p % tick != 0]
    return answer_if(
        Control.TICK_SIZE,
        not off,
        value=off[0] if off else None,
        limit=tick,
        words="prices must be multiples of the tick size",
    )
