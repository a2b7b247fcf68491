"""What an investor is told at each step of his orders: received, dealt, set aside, carried
over, paid.

Each message is written with its event, in the same transaction, once for its key; where the
investor wants mail, a copy is queued with it.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal

from investors.models import DealingDay, DealingOrder, NavStrike, Payment
from investors.models.dealing import MADE
from investors.services.messages import Draft, send_messages
from magnetfund.core.actors import Actor


def say_units(units: Decimal) -> str:
    """A number of units as a message says it: "1 unit", "1,250.5 units"."""
    return f"{units.normalize():,f} unit{'' if units == 1 else 's'}"


def tell_received(order: DealingOrder, *, actor: Actor) -> None:
    """Confirm an order that the investor or his attorney placed; one that staff placed tells him
    anyway."""
    investor, power = order.investor, order.under_power
    if power is None and (actor.user is None or actor.user.pk != investor.user_id):
        return
    day, currency = order.dealing_day, order.share_class.fund.currency
    what = f"{order.get_kind_display()} order {order.reference}"
    size = "everything that you hold"
    if order.amount is not None:
        size = f"{order.amount:,.2f} {currency}"
    elif order.units is not None:
        size = say_units(order.units)
    into = f" into class {order.into_class.code}" if order.into_class else ""
    by = f", placed by {power.acts_as}" if power is not None else ""
    lines = [f"We received your order over {size}, class {order.share_class.code}{into}{by}."]
    if day is not None:
        lines.append(
            f"It is dealt at the NAV of {day.day:%-d %b %Y}; you can take it back until "
            f"{day.cutoff_at:%-d %b %Y, %H:%M} UTC."
        )
        if order.kind == DealingOrder.Kind.SUBSCRIPTION:
            lines.append(
                f"The money must be there by {day.funding_deadline_at:%-d %b %Y, %H:%M} UTC, with "
                f"the reference {order.reference}."
            )
    lines.append(f"If it was not you{' or him' if by else ''}, call us at once.")
    send_messages(
        [
            Draft(
                investor=order.investor_id,
                key=f"received:{order.pk}",
                subject=f"{what} received",
                body=" ".join(lines),
                at=order.received_at,
            )
        ]
    )


def tell_dealt(strike: NavStrike, orders: Iterable[DealingOrder], *, at: datetime) -> None:
    """Tell the holder of each order what a NAV did with it: dealt, in part, or set aside."""
    fund, drafts = strike.fund, []
    for order in orders:
        kind = order.get_kind_display()
        if order.state == DealingOrder.State.SET_ASIDE:
            subject = f"{kind} order {order.reference} was not dealt"
            body = f"It was set aside at the NAV of {_day(strike)}: {order.reason}. Write to us."
        elif order.strike_id == strike.pk and order.dealt_units:
            subject = f"{kind} order {order.reference} dealt"
            body = (
                f"It was dealt at the NAV of {_day(strike)} of {fund.name}, at "
                f"{order.dealt_price:,.6f} {fund.currency} per unit of class "
                f"{order.share_class.code}. The contract note is under Statements."
            )
            if order.state == DealingOrder.State.DEFERRED:
                body += " The redemption gate deferred a part to the next dealing day."
        elif order.state in (DealingOrder.State.PAYABLE, DealingOrder.State.SETTLED):
            subject = f"{kind} order {order.reference} ends with what was dealt"
            body = f"Nothing more of it was dealt at the NAV of {_day(strike)}: {order.reason}."
        else:
            continue
        drafts.append(
            Draft(
                investor=order.investor_id,
                key=f"dealt:{order.pk}:{strike.pk}",
                subject=subject,
                body=body,
                at=at,
            )
        )
    send_messages(drafts)


def tell_passed_over(
    orders: Iterable[DealingOrder], *, after: DealingDay | None, key: str, at: datetime
) -> None:
    """Tell the holder of each order that its dealing day did not deal, and that ``after`` will;
    ``key`` names the lifting of the suspension."""
    back, until = "It is dealt on the first dealing day that the fund announces.", ""
    if after is not None:
        back = f"It is dealt at the NAV of {after.day:%-d %b %Y}."
        until = f" You can take it back until {after.cutoff_at:%-d %b %Y, %H:%M} UTC."
    send_messages(
        Draft(
            investor=order.investor_id,
            key=f"passed:{order.pk}:{key}",
            subject=f"{order.get_kind_display()} order {order.reference} waits",
            body=(
                f"The dealing day {order.dealing_day.day:%-d %b %Y} came while dealing was "
                f"suspended, so your order was not dealt. {back}"
                f"{'' if _is_of_the_house(order) else until}"
            ),
            at=at,
        )
        for order in orders
        if order.dealing_day is not None
    )


def tell_paid(payment: Payment, *, at: datetime) -> None:
    """Tell the investor that the bank confirmed a payment to him."""
    order, payee = payment.order, payment.payee
    if order is not None:
        investor, what = order.investor_id, f"your order {order.reference}"
    elif payee is not None and payee.investor_id is not None:
        investor, what = payee.investor_id, "the rebate of fees that is agreed with you"
        if payment.kind == Payment.Kind.POCKET:
            what = "your part of what came in for a side pocket"
    else:
        return
    send_messages(
        [
            Draft(
                investor=investor,
                key=f"paid:{payment.pk}",
                subject=f"Payment of {payment.amount:,.2f} {payment.currency} sent",
                body=(
                    f"The bank confirmed our payment {payment.reference} of {payment.amount:,.2f} "
                    f"{payment.currency} for {what}, to your account ending "
                    f"in {payment.to_number[-4:]}."
                ),
                at=at,
            )
        ]
    )


def _is_of_the_house(order: DealingOrder) -> bool:
    """Whether the fund made the order, which its holder cannot take back."""
    return order.is_compulsory or order.kind in MADE


def _day(strike: NavStrike) -> str:
    return f"{strike.valuation_at:%-d %b %Y}"
