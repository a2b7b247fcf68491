"""A venue's event as rows: fill, position, round trip and order, or a funding payment."""

from __future__ import annotations

import math
from decimal import Decimal

from magnetfund.kernel.clock import to_milliseconds
from magnetfund.kernel.money import decimal_from_float, quantize
from risk.domain.pretrade import Side
from trading.domain.engine.book import CloseReason, Funding, OrderIntent, SlotPosition
from trading.domain.paper_venue import Charge, Execution, Kind
from trading.models import Instrument, Order
from trading.services.book.words import WHY_CLOSED, finite_or_none
from trading.services.book.worth import price_of
from trading.services.fills import EntryFacts, TradeFacts, record_fill
from trading.services.funding_payments import FundingPaid
from trading.services.sleeves import Sleeve
from trading.venues.execution import FundingCharge, VenueFill

CENT, CENT8 = Decimal("0.01"), Decimal("1e-8")


def charge_in_lots(event: FundingCharge, slot: int, instrument: Instrument) -> Charge:
    """A funding charge as the engine books it."""
    return Charge(
        account=slot,
        side=1 if event.side is Side.BUY else -1,
        lots=int(event.quantity / instrument.lot),
        price_ticks=int(event.price / instrument.tick),
        rate=event.rate,
    )


def fill_in_lots(
    event: VenueFill, slot: int, instrument: Instrument, order: Order | None
) -> Execution:
    """A fill as the engine books it; one without an order is a liquidation."""
    return Execution(
        account=slot,
        order_id=event.client_order_id,
        kind=Kind.LIQUIDATION if order is None else Kind(order.type),
        side=1 if event.side is Side.BUY else -1,
        lots=int(event.quantity / instrument.lot),
        price_ticks=int(event.price / instrument.tick),
        gapped=event.is_gapped,
    )


def intent_of(order: Order, *, equity: float, lots: int | None = None) -> OrderIntent:
    """The decision behind a stored order, where the book does not carry it."""
    instrument = order.instrument
    return OrderIntent(
        slot=0,
        decided_at=to_milliseconds(order.occurred_at),
        side=1 if order.side == "buy" else -1,
        lots=int(order.quantity / instrument.lot) if lots is None else lots,
        reduces=order.purpose != "entry",
        close_reason=0,
        stop_ticks=int(order.stop_price / instrument.tick) if order.stop_price else 0,
        target_ticks=int(order.target_price / instrument.tick) if order.target_price else 0,
        decision_ticks=int(order.reference_price / instrument.tick),
        leverage=order.leverage,
        tier=order.tier or 0,
        zone_price=math.nan,
        zone_strength=math.nan,
        equity=equity,
        binding=0,
    )


def book_entry(
    order: Order,
    event: VenueFill,
    *,
    intent: OrderIntent,
    held: SlotPosition,
    sleeve: Sleeve,
) -> Order:
    """Book the fill that opened ``held``, with the decision behind it; returns its order after."""
    liquidation = held.liquidation_ticks
    fill, _ = record_fill(
        order,
        event,
        entry=EntryFacts(
            leverage=intent.leverage,
            tier=intent.tier or None,
            stop_price=order.stop_price,
            target_price=order.target_price,
            liquidation_price=price_of(sleeve.instrument, liquidation) if liquidation else None,
            target_strength=finite_or_none(intent.zone_strength),
            equity=quantize(decimal_from_float(intent.equity), CENT),
            risk_fraction=sleeve.risk_fraction,
            proposal=order.proposal_id,
        ),
    )
    return fill.order


def book_exit(
    order: Order,
    event: VenueFill,
    *,
    reason: CloseReason,
    equity: float,
) -> Order:
    """Book a fill that closes; returns its order after it."""
    fill, _ = record_fill(
        order,
        event,
        reason=reason.code,
        trade=TradeFacts(
            account_balance=quantize(decimal_from_float(equity), CENT),
            why_closed=WHY_CLOSED[reason],
        ),
    )
    return fill.order


def funding_of(event: FundingCharge, funding: Funding, *, sleeve: Sleeve) -> FundingPaid:
    """A funding payment as it is booked."""
    return FundingPaid(
        instrument=sleeve.instrument,
        strategy=sleeve.strategy,
        stamp=event.occurred_at,
        rate=event.rate,
        notional=quantize(decimal_from_float(funding.notional), CENT8),
        amount=event.amount,
    )
