"""Controls on the book with the order in it: gap loss, leverage, margin, gross and net exposure.

Money is quote currency and bounds are shares of equity; what is open counts as filled.
"""

from __future__ import annotations

from decimal import Decimal

from risk.domain.limits import stricter
from risk.domain.pretrade.answers import answer_bound, answer_if
from risk.domain.pretrade.facts import OrderFacts
from risk.domain.pretrade.types import Check, Control, Side

ZERO = Decimal(0)


def check_gap_position(facts: OrderFacts) -> Check:
    return answer_bound(
        Control.GAP_LOSS_POSITION,
        facts,
        total=facts.gap_loss + facts.gap_loss_of_instrument,
        limit=facts.limits.gap_share_position * facts.equity,
        a_unit=facts.gap_loss / facts.order.quantity,
        of="worst-hour loss, position",
    )


def check_gap_book(facts: OrderFacts) -> Check:
    return answer_bound(
        Control.GAP_LOSS_BOOK,
        facts,
        total=facts.gap_loss + facts.gap_loss_of_book,
        limit=facts.limits.gap_share_book * facts.equity,
        a_unit=facts.gap_loss / facts.order.quantity,
        of="worst-hour loss, book",
    )


def check_leverage(facts: OrderFacts) -> Check:
    caps = [facts.limits.leverage_max]
    for cap in (facts.book.instrument.venue_leverage_max, facts.book.client_class_leverage_max):
        if cap is not None:
            caps.append(cap)
    return answer_if(
        Control.LEVERAGE,
        facts.order.leverage <= min(caps),
        value=facts.order.leverage,
        limit=min(caps),
        words="leverage of the order",
    )


def check_book_leverage(facts: OrderFacts) -> Check:
    leverage = (facts.gross + facts.notional) / facts.equity
    limit = facts.limits.leverage_max
    return answer_if(
        Control.BOOK_LEVERAGE,
        leverage <= limit,
        value=leverage,
        limit=limit,
        words=f"fund leverage {leverage:.2f}x, limit {limit}x",
    )


def check_position_notional(facts: OrderFacts) -> Check:
    return answer_bound(
        Control.POSITION_NOTIONAL,
        facts,
        total=facts.notional_of_instrument + facts.notional,
        limit=facts.limits.position_notional_share_max * facts.equity,
        a_unit=facts.unit_value,
        of="exposure to the instrument",
    )


def check_position_margin(facts: OrderFacts) -> Check:
    """The instrument's margin with this order, and the tier's margin for this order alone."""
    own = facts.book.strategy_limits.margin_share_position
    share = stricter(facts.limits.margin_share_position, own)
    room = share * facts.equity - facts.margin_of_instrument
    if facts.order.tier is not None:
        room = min(room, facts.limits.margin_share_of_tier(facts.order.tier) * facts.equity)
    return answer_if(
        Control.POSITION_MARGIN,
        facts.margin <= room,
        value=facts.margin,
        limit=room,
        allowed=max(ZERO, room / facts.unit_margin),
        words=f"order margin {facts.margin:,.2f}, headroom {max(room, ZERO):,.2f}",
    )


def check_group_margin(facts: OrderFacts) -> Check:
    return answer_bound(
        Control.GROUP_MARGIN,
        facts,
        total=facts.margin_of_group + facts.margin,
        limit=facts.limits.margin_share_group * facts.equity,
        a_unit=facts.unit_margin,
        of="margin in correlated instruments",
    )


def check_total_margin(facts: OrderFacts) -> Check:
    return answer_bound(
        Control.TOTAL_MARGIN,
        facts,
        total=facts.margin_of_book + facts.margin,
        limit=facts.limits.margin_share_total * facts.equity,
        a_unit=facts.unit_margin,
        of="margin of all positions",
    )


def check_gross(facts: OrderFacts) -> Check:
    return answer_bound(
        Control.GROSS_EXPOSURE,
        facts,
        total=facts.gross + facts.notional,
        limit=facts.limits.gross_notional_share_max * facts.equity,
        a_unit=facts.unit_value,
        of="gross exposure",
    )


def check_net(facts: OrderFacts) -> Check:
    side = facts.net_if_bought if facts.order.side is Side.BUY else -facts.net_if_sold
    return answer_bound(
        Control.NET_EXPOSURE,
        facts,
        total=side + facts.notional,
        limit=facts.limits.net_notional_share_max * facts.equity,
        a_unit=facts.unit_value,
        of="net exposure in the order's direction",
    )
