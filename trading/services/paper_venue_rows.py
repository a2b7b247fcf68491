"""The paper venue's rows as the values of its port, and what an execution does to its cash."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from magnetfund.kernel.clock import to_milliseconds
from magnetfund.kernel.money import decimal_from_float, quantize
from risk.domain.pretrade import Side
from trading.domain.engine.rules import TradedInstrument
from trading.domain.orders import VenueReported, VenueStatus
from trading.domain.paper_venue import Charge, Execution, Happening, Kind, VenueAccount
from trading.domain.positions import commit_margin
from trading.models import PaperEvent, PaperOrder
from trading.services.sleeves import Sleeve
from trading.venues.execution import FundingCharge, VenueEvent, VenueFill

CENT8, CENT18 = Decimal("1e-8"), Decimal("1e-18")


def event_row(
    item: Happening,
    *,
    sleeve: Sleeve,
    terms: TradedInstrument,
    at: datetime,
    book: str,
    number: int,
) -> PaperEvent:
    """What happened, exact: whole ticks times the tick, whole lots times the lot."""
    instrument = sleeve.instrument
    quantity, price = item.lots * instrument.lot, item.price_ticks * instrument.tick
    row = PaperEvent(
        book=book,
        number=number,
        instrument=instrument,
        account=sleeve.strategy,
        side=(Side.BUY if item.side > 0 else Side.SELL).value,
        quantity=quantity,
        price=price,
        occurred_at=at,
    )
    if isinstance(item, Charge):
        notional = item.price_ticks * item.lots * terms.tick_value
        row.kind, row.rate = Kind.FUNDING.value, item.rate
        row.amount = quantize(decimal_from_float(-item.side * notional * item.rate), CENT8)
    else:
        row.kind, row.client_order_id = item.kind.value, item.order_id
        row.is_gapped = item.gapped
        row.amount = quantize(price * quantity * instrument.taker_fee, CENT18)
    return row


def event_of(row: PaperEvent) -> VenueEvent:
    """The stored event as the port tells it."""
    if row.kind == Kind.FUNDING.value:
        return FundingCharge(
            number=row.number,
            account=row.account,
            symbol=row.instrument.symbol,
            side=Side(row.side),
            quantity=row.quantity,
            price=row.price,
            rate=float(row.rate or 0.0),
            amount=row.amount,
            occurred_at=row.occurred_at,
        )
    return VenueFill(
        number=row.number,
        trade_id=f"{row.book}-{to_milliseconds(row.occurred_at)}-{row.number}",
        client_order_id=row.client_order_id,
        account=row.account,
        symbol=row.instrument.symbol,
        side=Side(row.side),
        quantity=row.quantity,
        price=row.price,
        fee=row.amount,
        occurred_at=row.occurred_at,
        is_gapped=row.is_gapped,
    )


def cash_of(item: Happening, held: VenueAccount, row: PaperEvent) -> Decimal:
    """What an event does to cash, given the account before it.

    A liquidation costs at most the margin.
    """
    if isinstance(item, Charge):
        return Decimal(row.amount)
    if not held.side:
        return Decimal(-row.amount)
    entry = held.entry_ticks * row.instrument.tick
    gain = (row.price - entry) * row.quantity * held.side
    if item.kind is Kind.LIQUIDATION:
        margin = commit_margin(
            quantity=held.lots * row.instrument.lot,
            price=entry,
            leverage=decimal_from_float(held.leverage),
        )
        gain = max(gain, -margin)
    return Decimal(gain - row.amount)


def account_after(held: VenueAccount, item: Execution) -> VenueAccount:
    """The account after one execution, as far as cash needs it."""
    if not held.side:
        return VenueAccount(side=item.side, lots=item.lots, entry_ticks=item.price_ticks)
    left = held.lots - item.lots
    return replace(held, lots=left) if left else VenueAccount()


def account_key(sleeve: Sleeve) -> str:
    """The name of a sleeve's account in the venue's memory."""
    return f"{sleeve.strategy}|{sleeve.instrument.pk}"


def report_of(row: PaperOrder, at: datetime) -> VenueReported:
    """What the venue says of an order."""
    return VenueReported(
        at=at,
        status=VenueStatus(row.status),
        filled_quantity=row.filled_quantity,
        venue_order_id=f"p-{row.client_order_id}",
        reason=row.reason,
    )
