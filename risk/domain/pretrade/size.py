"""Controls on the order by itself: lots, the venue's bounds, its value, and its stop's loss."""

from __future__ import annotations

from risk.domain.limits import stricter
from risk.domain.pretrade.answers import answer, answer_bound, answer_if
from risk.domain.pretrade.facts import OrderFacts
from risk.domain.pretrade.types import Check, CheckStatus, Control


def check_lot(facts: OrderFacts) -> Check:
    lot, quantity = facts.book.instrument.lot_size, facts.order.quantity
    return answer_if(
        Control.LOT_SIZE,
        quantity % lot == 0,
        value=quantity,
        limit=lot,
        words="quantity must be a multiple of the lot size",
    )


def check_minimum(facts: OrderFacts) -> Check:
    limit = facts.book.instrument.notional_min
    return answer_if(
        Control.MINIMUM_NOTIONAL,
        facts.notional >= limit,
        value=facts.notional,
        limit=limit,
        words="venue minimum order size",
    )


def check_value(facts: OrderFacts) -> Check:
    return answer_bound(
        Control.ORDER_VALUE,
        facts,
        total=facts.notional,
        limit=facts.limits.order_value_max,
        a_unit=facts.unit_value,
        of="value of the order",
    )


def check_quantity(facts: OrderFacts) -> Check:
    limit = facts.book.instrument.quantity_max
    if limit is None:
        return answer(Control.ORDER_QUANTITY, CheckStatus.NOT_EVALUATED, words="no venue maximum")
    return answer_if(
        Control.ORDER_QUANTITY,
        facts.order.quantity <= limit,
        value=facts.order.quantity,
        limit=limit,
        allowed=limit,
        words="venue maximum order size",
    )


def check_stop(facts: OrderFacts) -> Check:
    stop, price = facts.order.stop_price, facts.price
    passes = stop is not None and (price - stop) * facts.order.side.sign > 0
    return answer_if(
        Control.PROTECTIVE_STOP,
        passes,
        value=stop,
        limit=price,
        words="an entry needs a stop on its losing side",
    )


def check_loss(facts: OrderFacts) -> Check:
    loss = facts.loss_at_stop
    if loss is None:
        return answer(
            Control.LOSS_AT_STOP, CheckStatus.NOT_EVALUATED, words="no stop price to measure from"
        )
    own = facts.book.strategy_limits.loss_at_stop_share
    share = stricter(facts.limits.loss_at_stop_share, own)
    return answer_bound(
        Control.LOSS_AT_STOP,
        facts,
        total=loss,
        limit=share * facts.equity,
        a_unit=loss / facts.order.quantity,
        of="loss at stop",
    )
