"""An entry on its way to the venue: proposal, pre-trade check, intent; a denial is kept as one."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from django.db import transaction

from magnetfund.core.actors import Actor
from magnetfund.core.rows import send_kept
from magnetfund.kernel.clock import from_milliseconds
from magnetfund.kernel.identifiers import derived_uuid
from magnetfund.kernel.money import decimal_from_float
from risk.domain.limits import Limits
from risk.domain.pretrade import OrderType, Side
from trading.domain.engine.book import OrderIntent
from trading.models import Order
from trading.services.book.words import explain_entry, keep_proposal
from trading.services.book.worth import price_of, quantity_of
from trading.services.orders import commit_checked
from trading.services.sleeves import Sleeve
from trading.services.snapshots import build_snapshot


def commit_entry(
    intent: OrderIntent,
    *,
    book: str,
    sleeve: Sleeve,
    equity: float,
    marks: Mapping[str, Decimal],
    limits: Limits,
    actor: Actor,
    is_history: bool,
    is_bare: bool,
) -> Order:
    """Propose, check and commit an entry in one transaction; DENIED where something said no."""
    send_kept()
    at = from_milliseconds(intent.decided_at)
    price = price_of(sleeve.instrument, intent.decision_ticks)
    stop = price_of(sleeve.instrument, intent.stop_ticks)
    target = price_of(sleeve.instrument, intent.target_ticks) if intent.target_ticks else None
    quantity = quantity_of(sleeve.instrument, intent.lots)
    side = Side.BUY if intent.side > 0 else Side.SELL
    order_id = derived_uuid(
        "order", book, sleeve.strategy, sleeve.instrument.symbol, str(intent.decided_at)
    )
    why = explain_entry(sleeve=sleeve, intent=intent, price=price, stop=stop, target=target)
    with transaction.atomic():
        proposal = keep_proposal(
            code=book,
            sleeve=sleeve,
            intent=intent,
            at=at,
            price=price,
            stop=stop,
            target=target,
            quantity=quantity,
            why=why,
        )
        order = Order(
            id=order_id,
            book=book,
            instrument=sleeve.instrument,
            strategy=sleeve.strategy,
            proposal=proposal,
            purpose="entry",
            side=side.value,
            type=OrderType.MARKET.value,
            quantity=quantity,
            reference_price=price,
            stop_price=stop,
            target_price=target,
            leverage=intent.leverage,
            tier=intent.tier or None,
            reason=why[:300],
        )
        return commit_checked(
            order,
            snapshot=build_snapshot(
                book=book,
                instrument=sleeve.instrument,
                strategy=sleeve.strategy,
                equity=decimal_from_float(equity),
                marks=marks,
                reference=price,
                at=at,
                limits=limits,
                is_history=is_history,
                is_bare=is_bare,
            ),
            limits=limits,
            actor=actor,
            at=at,
            is_history=is_history,
        )
