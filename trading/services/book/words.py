"""Proposals of the paper book and the sentences that explain a trade to a person."""

from __future__ import annotations

import math
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from magnetfund.core.rows import insert_rows, send_kept
from magnetfund.kernel.identifiers import derived_uuid
from risk.domain.sizing import SizeCap
from trading.domain.engine.book import CloseReason, Denial, OrderIntent, Refusal
from trading.models import Proposal
from trading.services.sleeves import Sleeve

WHY_CLOSED = {
    CloseReason.TARGET: "The target was reached.",
    CloseReason.STOP: "The protective stop was reached.",
    CloseReason.SIGNAL: "The strategy's signal ended.",
    CloseReason.TIME: "The maximum holding time was reached.",
    CloseReason.FUSE: "The survival fuse closed every position.",
    CloseReason.FUSE_CUT: "The survival fuse closed the position in full.",
    CloseReason.LIQUIDATION: "The venue liquidated the position.",
    CloseReason.MANUAL: "Closed manually by a user.",
}


def finite_or_none(value: float) -> float | None:
    """Return None for values that are not finite, because JSON has no NaN."""
    return value if math.isfinite(value) else None


def keep_proposal(
    *,
    code: str,
    sleeve: Sleeve,
    intent: OrderIntent,
    at: datetime,
    price: Decimal,
    stop: Decimal,
    target: Decimal | None,
    quantity: Decimal,
    why: str,
) -> Proposal:
    """Store the trade that a sleeve wants, with the inputs of its size."""
    row = Proposal(
        id=proposal_id(code, sleeve, intent.decided_at),
        book=code,
        strategy=sleeve.strategy,
        instrument=sleeve.instrument,
        decided_at=at,
        direction="long" if intent.side > 0 else "short",
        is_trade=True,
        entry_price=price,
        stop_price=stop,
        target_price=target,
        quantity=quantity,
        leverage=intent.leverage,
        tier=intent.tier or None,
        sizing_decision={
            "binding": SizeCap(intent.binding).code,
            "equity": intent.equity,
            "risk_fraction": sleeve.risk_fraction,
        },
        why=why,
    )
    insert_rows(row)
    return row


def keep_refusal(
    *, code: str, sleeve: Sleeve, refusal: Refusal, decided_ms: int, at: datetime
) -> None:
    """Store why a signal led to no trade."""
    send_kept()
    Proposal.objects.get_or_create(
        book=code,
        strategy=sleeve.strategy,
        instrument=sleeve.instrument,
        decided_at=at,
        defaults={
            "id": proposal_id(code, sleeve, decided_ms),
            "direction": "long" if refusal.direction > 0 else "short",
            "is_trade": False,
            "reason": Denial(refusal.denial).code,
            "why": "" if refusal.condition is None else f"{refusal.condition.words}.",
        },
    )


def proposal_id(code: str, sleeve: Sleeve, decided_ms: int) -> UUID:
    """Deterministic id: the same decision always has the same id."""
    return derived_uuid(
        "proposal", code, sleeve.strategy, sleeve.instrument.symbol, str(decided_ms)
    )


def explain_entry(
    *,
    sleeve: Sleeve,
    intent: OrderIntent,
    price: Decimal,
    stop: Decimal,
    target: Decimal | None,
) -> str:
    """Why a trade was opened, in one sentence with its numbers."""
    direction = "Long" if intent.side > 0 else "Short"
    law = SizeCap(intent.binding).code.replace("_", " ")
    aim = f", target {target:,f}" if target is not None else ""
    zone = ""
    if finite_or_none(intent.zone_strength):
        zone = f" toward a zone of strength {intent.zone_strength:.0f}"
    return (
        f"{direction} {sleeve.instrument.base}{zone} ({sleeve.strategy} sleeve) at "
        f"{price:,f}, stop {stop:,f}{aim}; {intent.leverage:.2f}x, size limited by {law}."
    )
