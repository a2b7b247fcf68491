"""How a control answers: a stored value with its limit, and what would have been allowed.

Every control of the pre-trade check ends in one of these.  ``allowed`` is a quantity for the
controls that bound the size of an order and a price for the collar.
"""

from __future__ import annotations

from decimal import Decimal

from risk.domain.pretrade.facts import OrderFacts
from risk.domain.pretrade.types import Check, CheckStatus, Control

ZERO = Decimal(0)


def answer(
    control: Control,
    status: CheckStatus,
    *,
    value: Decimal | str | None = None,
    limit: Decimal | str | None = None,
    allowed: Decimal | None = None,
    words: str,
) -> Check:
    """A control's stored answer with the given status."""
    return Check(
        control=control, status=status, value=value, limit=limit, allowed=allowed, words=words
    )


def answer_if(
    control: Control,
    passes: bool,
    *,
    value: Decimal | str | None = None,
    limit: Decimal | str | None = None,
    allowed: Decimal | None = None,
    words: str,
) -> Check:
    """Passed or denied."""
    status = CheckStatus.PASSED if passes else CheckStatus.DENIED
    return answer(control, status, value=value, limit=limit, allowed=allowed, words=words)


def answer_bound(
    control: Control, facts: OrderFacts, *, total: Decimal, limit: Decimal, a_unit: Decimal, of: str
) -> Check:
    """A size control: ``total`` with this order against ``limit``; ``a_unit`` is what one unit of
    quantity adds to it."""
    before = total - a_unit * facts.order.quantity
    allowed = max(ZERO, (limit - before) / a_unit) if a_unit > 0 else facts.order.quantity
    return answer_if(
        control,
        total <= limit,
        value=total,
        limit=limit,
        allowed=allowed,
        words=f"{of} {total:,.2f}, limit {limit:,.2f}",
    )
