"""Lines of a statement that tell of payments: a debit confirms one, a return brings one back.

What names no payment of ours, or another amount, is a break.
"""

from __future__ import annotations

from datetime import datetime

from investors.domain.payments import PaymentState
from investors.models import Payment, StatementLine
from investors.services.breaks import find_line_break
from investors.services.payments import confirm_payment, return_payment
from magnetfund.core.actors import Actor


def settle_line(line: StatementLine, *, actor: Actor, at: datetime) -> bool:
    """Confirm or return the payment that a final line names; whether there was one."""
    is_return = line.amount > 0
    states = (
        (PaymentState.RELEASED, PaymentState.CONFIRMED) if is_return else (PaymentState.RELEASED,)
    )
    found = Payment.objects.filter(
        fund=line.fund_id, currency=line.currency, amount=abs(line.amount), state__in=states
    )
    named = [row for row in found if row.reference == line.end_to_end]
    if is_return and len(named) != 1:
        return False
    line.outcome = StatementLine.Outcome.RETURNED if is_return else StatementLine.Outcome.PAYMENT
    line.final_at = at if len(named) == 1 else None
    line.save(update_fields=["outcome", "final_at"])
    if len(named) != 1:
        find_line_break(line, actor=actor, at=at)
        return False
    if is_return:
        return_payment(
            payment=named[0], reason=f"returned by the bank, {line.return_code}", actor=actor, at=at
        )
    else:
        confirm_payment(payment=named[0], bank_reference=line.reference, actor=actor, at=at)
    return True
