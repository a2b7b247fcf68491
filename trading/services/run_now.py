"""Run now: the newest decision of a sleeve as an order that a person may send by the ticket.

Nothing is decided anew and nothing is written here.  The ticket previews the order with every check
and a person confirms it; it becomes a trade of that person (``manual``), with stop and target at
the venue, because the sleeve itself decides at its own bars alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from magnetfund.kernel.money import decimal_from_float, round_to_step
from trading.selectors.strategies import SleeveDecision

#: What a trade costs beyond the way to its stop: two fees and two slippages, as in backtests.
COST_SHARE = Decimal("0.0014")
LEVERAGE = "1.0"
TIER = "3"


def build_ticket(
    decision: SleeveDecision,
    *,
    strategy: str,
    risk_fraction: Decimal,
    equity: Decimal,
    mark: Decimal | None,
) -> Mapping[str, str] | str:
    """The ticket's fields for a decision, or why there is nothing to send.

    Size: ``risk_fraction`` of equity is what the trade loses at its stop, costs counted, in whole
    lots, at 1.0x.  The ticket's own checks may allow less.
    """
    if decision.direction == 0 or decision.stop is None:
        return "the sleeve opens no position"
    if mark is None:
        return "no live price"
    stop = decimal_from_float(decision.stop)
    if (stop < mark) != (decision.direction > 0):
        return "the price is beyond its stop already"
    target = decimal_from_float(decision.target) if decision.target is not None else None
    if target is not None and (target > mark) != (decision.direction > 0):
        return "the price is beyond its target already"
    lot = decision.instrument.lot
    quantity = round_to_step(
        risk_fraction * equity / (abs(mark - stop) + mark * COST_SHARE),
        lot,
    )
    if quantity <= 0:
        return f"the size would be below one lot of {lot.normalize():f}"
    tick = decision.instrument.tick
    fields = {
        "instrument": decision.instrument.symbol,
        "side": "long" if decision.direction > 0 else "short",
        "amount": f"{quantity.normalize():f}",
        "unit": "units",
        "leverage": LEVERAGE,
        "stop": f"{round_to_step(stop, tick).normalize():f}",
        "tier": TIER,
        "why": f"{strategy}, run now: its decision of {decision.decided_at:%d %b %Y, %H:%M} UTC",
    }
    if target is not None:
        fields["target"] = f"{round_to_step(target, tick).normalize():f}"
    return fields
