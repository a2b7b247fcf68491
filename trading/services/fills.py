"""Booking what the venue reported: a fill once, its order's progress, its position, its round trip.

Under the position's row lock and in one transaction; a fill that is known already changes nothing.
Only the gateway role may write these rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Protocol, TypeVar
from uuid import UUID

from django.db import connection, transaction

from magnetfund.core.rows import (
    Statement,
    insert_rows,
    row_of,
    select_from,
    send_kept,
    update_of,
    write_rows,
)
from magnetfund.kernel.clock import to_milliseconds
from magnetfund.kernel.identifiers import derived_uuid
from trading.domain.orders import OrderFilled
from trading.domain.positions import (
    FillEffect,
    NetPosition,
    PositionFill,
    apply_fill,
    split_fill,
)
from trading.models import Fill, Order, Position, Trade
from trading.services.orders import advance_order
from trading.venues.execution import VenueFill

ZERO = Decimal(0)
#: Columns of a position that fills move: all but what it is the position of.
MOVED_COLUMNS = tuple(
    field.attname
    for field in Position._meta.concrete_fields
    if field.attname not in ("id", "book", "instrument_id", "strategy")
)
LOCK_POSITION = """
WHERE book = %s AND instrument_id = %s AND strategy = %s FOR UPDATE;
SELECT id FROM trading_fill WHERE venue = %s AND venue_trade_id = %s
"""
FILLS_SINCE = """
WHERE book = %s AND instrument_id = %s AND strategy = %s AND id >= %s ORDER BY id;
SELECT why FROM trading_proposal WHERE id = %s
"""
#: The key of a fill that is written in the same trip.
KEY_OF_FILL = "(SELECT id FROM trading_fill WHERE venue = %s AND venue_trade_id = %s)"


class FillRow(Protocol):
    """What a position is made of: a stored fill, or the columns of one."""

    @property
    def instrument_id(self) -> int: ...
    @property
    def strategy(self) -> str: ...
    @property
    def side(self) -> str: ...
    @property
    def quantity(self) -> Decimal: ...
    @property
    def price(self) -> Decimal: ...
    @property
    def fee(self) -> Decimal: ...
    @property
    def occurred_at(self) -> datetime: ...


AnyFill = TypeVar("AnyFill", bound=FillRow)


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryFacts:
    """What an entry's position remembers of the decision behind it."""

    leverage: float
    tier: int | None
    stop_price: Decimal | None
    target_price: Decimal | None
    liquidation_price: Decimal | None
    target_strength: float | None
    equity: Decimal
    risk_fraction: float | None
    proposal: UUID | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TradeFacts:
    """What a closed round trip keeps beyond its own numbers."""

    account_balance: Decimal
    why_closed: str
    is_ambiguous: bool = False
    trading_mode: str = "paper"


def _lock_position(order: Order, trade_id: str) -> tuple[Position, int | None]:
    """The sleeve's position row, locked and made when it is the first time; the key of the fill of
    ``trade_id``, where that is stored already."""
    with connection.cursor() as cursor:
        cursor.execute(
            select_from(Position) + LOCK_POSITION,
            [order.book, order.instrument_id, order.strategy, order.venue, trade_id],
        )
        held = cursor.fetchone()
        cursor.nextset()
        known = cursor.fetchone()
    if held is not None:
        return row_of(Position, held), known[0] if known else None
    Position.objects.get_or_create(
        book=order.book, instrument=order.instrument, strategy=order.strategy
    )
    return _lock_position(order, trade_id)


def record_fill(
    order: Order,
    report: VenueFill,
    *,
    reason: str = "",
    entry: EntryFacts | None = None,
    trade: TradeFacts | None = None,
) -> tuple[Fill, Trade | None]:
    """Book one fill of one order; ``reason`` says why it closes.

    ``entry`` is needed by a fill that opens a position, ``trade`` by one that closes it.  Returns
    the fill, whose order is as it stands after it, and the closed round trip, if this fill ended
    one.  A repeated report returns the stored fill and changes nothing.  Of a history's fill, which
    may be kept back, the key is not known.
    """
    # Nobody but its teller moves the orders of a history, and its one writing trip is whole.
    is_alone = order.told is not None and not connection.in_atomic_block
    if not is_alone:
        send_kept()
    with nullcontext() if is_alone else transaction.atomic():
        position, known = _lock_position(order, report.trade_id)
        if known is not None:
            return Fill.objects.select_related("order__instrument").get(pk=known), None
        told = _fill_of(report, order.side)
        held = _read(position)
        fill = Fill(
            order=order,
            venue=order.venue,
            venue_trade_id=report.trade_id,
            book=order.book,
            instrument=order.instrument,
            strategy=order.strategy,
            side=order.side,
            quantity=report.quantity,
            price=report.price,
            fee=report.fee,
            realised=apply_fill(position=held, fill=told).realised,
            slippage=(report.price - _expected_price(order)) * told.quantity,
            liquidity=report.liquidity,
            reason=reason,
            occurred_at=report.occurred_at,
        )
        moved, statements = advance_order(
            order,
            OrderFilled(
                at=report.occurred_at,
                trade_id=report.trade_id,
                quantity=report.quantity,
                price=report.price,
            ),
        )
        closed, opens = None, False
        for part in split_fill(position=held, fill=told):
            opens |= _apply(position, part, fill)
            if entry is not None and position.quantity != 0:
                _remember_entry(position, entry, report)
            if position.quantity == 0:
                closed = _close_round_trip(position, report, trade, fill, abs(part.quantity))
        position.updated_at = report.occurred_at
        insert = write_rows if is_alone else insert_rows
        insert(
            fill, *([] if closed is None else [closed]),
            then=[*statements, *_position_statements(position, fill, opens=opens)],
        )  # fmt: skip
        fill.order = moved
    return fill, closed


def _position_statements(position: Position, fill: Fill, *, opens: bool) -> list[Statement]:
    """What writes the position; of a fill that ``opens`` it the key is known there alone."""
    written = [update_of(position, MOVED_COLUMNS)]
    if opens:
        written.append(
            (
                f"UPDATE trading_position SET entry_fill = {KEY_OF_FILL} WHERE id = %s",  # noqa: S608
                [fill.venue, fill.venue_trade_id, position.pk],
            )
        )
    return written


def fold_fills(fills: Iterable[AnyFill]) -> Iterator[tuple[AnyFill, FillEffect]]:
    """Each stored fill, in the order given, and what it did to its sleeve's position."""
    held: dict[tuple[int, str], NetPosition] = {}
    for row in fills:
        key = (row.instrument_id, row.strategy)
        effect = apply_fill(position=held.get(key, NetPosition()), fill=_fill_of(row, row.side))
        held[key] = effect.position
        yield row, effect


def rebuild_positions(fills: Iterable[FillRow]) -> dict[tuple[int, str], NetPosition]:
    """Each sleeve's position by instrument key and strategy, from its fills in their order."""
    return {(row.instrument_id, row.strategy): effect.position for row, effect in fold_fills(fills)}


def _fill_of(told: FillRow | VenueFill, side: str) -> PositionFill:
    return PositionFill(
        time_ms=to_milliseconds(told.occurred_at),
        quantity=told.quantity if side == "buy" else -told.quantity,
        price=told.price,
        fee=told.fee,
    )


def _read(position: Position) -> NetPosition:
    return NetPosition(
        quantity=position.quantity,
        average_price=position.average_price if position.quantity else ZERO,
        realised=position.realised,
        fees=position.fees,
    )


def _apply(position: Position, part: PositionFill, fill: Fill) -> bool:
    """Fold a fill, or the part of it that only closes or only opens, into the locked row; whether
    it is the one that opens what is held."""
    effect = apply_fill(position=_read(position), fill=part)
    after = effect.position
    opens = bool(effect.opened) and position.quantity == 0
    if effect.opened:
        if opens:
            position.opened_at = fill.occurred_at
        position.entry_quantity = max(position.entry_quantity, abs(after.quantity))
        position.entry_notional += effect.opened * part.price
    if after.quantity:
        # A flat row keeps its last average until the round trip is written from it.
        position.average_price = after.average_price
    position.quantity, position.realised, position.fees = (
        after.quantity,
        after.realised,
        after.fees,
    )
    return opens


def _remember_entry(position: Position, entry: EntryFacts, report: VenueFill) -> None:
    position.leverage = entry.leverage
    position.tier = entry.tier
    position.stop_price = entry.stop_price
    position.target_price = entry.target_price
    position.liquidation_price = entry.liquidation_price
    position.target_strength = entry.target_strength
    position.equity_at_entry = entry.equity
    position.risk_fraction = entry.risk_fraction
    position.entry_proposal = entry.proposal
    position.opened_at = report.occurred_at


def _close_round_trip(
    position: Position, report: VenueFill, facts: TradeFacts | None, last: Fill, closed: Decimal
) -> Trade:
    """The trade row of a position that just became flat, and the clean slate after it.

    ``closed`` is the quantity of the last fill that belongs to this round trip; what is beyond
    opens the next.
    """
    order = last.order
    direction = "long" if order.side == "sell" else "short"
    opened = position.opened_at or report.occurred_at
    fills, why = _fills_of_trip(position, last, closed)
    out = [(f, part) for f, part in fills if f.side == order.side]
    leaving = sum((part for _, part in out), ZERO)
    exit_price = sum((part * f.price for f, part in out), ZERO) / leaving
    net = position.realised - position.fees + position.funding
    trade = Trade(
        id=derived_uuid("trade", order.book, order.instrument.symbol, report.trade_id),
        book=order.book,
        instrument=order.instrument,
        strategy=order.strategy,
        trading_mode=facts.trading_mode if facts else order.mode,
        direction=direction,
        quantity=position.entry_quantity,
        entry_price=position.average_price,
        exit_price=exit_price,
        stop_price=position.stop_price,
        target_price=position.target_price,
        gross_pnl=position.realised,
        commission=position.fees,
        funding=position.funding,
        slippage=sum((_slippage_of(f, part) for f, part in fills), ZERO),
        net_pnl=net,
        account_balance=facts.account_balance if facts else ZERO,
        risk_percent=(position.risk_fraction or 0.0) * 100.0,
        leverage=position.leverage,
        tier=position.tier,
        closure_reason=last.reason or "manual",
        why_opened=why if facts else "",
        why_closed=facts.why_closed if facts else "",
        is_ambiguous=facts.is_ambiguous if facts else False,
        opened_at=opened,
        closed_at=report.occurred_at,
    )
    for name in ("average_price", "realised", "fees", "funding"):
        setattr(position, name, ZERO)
    position.entry_quantity = position.entry_notional = ZERO
    for name in ("stop_price", "target_price", "liquidation_price", "equity_at_entry"):
        setattr(position, name, None)
    position.tier = position.target_strength = position.risk_fraction = None
    position.entry_proposal = position.entry_fill = position.opened_at = None
    position.leverage = 1.0
    return trade


def _expected_price(order: Order) -> Decimal:
    """What a fill is measured against: the trigger of a stop or target, which may wait for days,
    the limit of a limit order, else the last price when the intent was made."""
    return order.trigger_price or order.limit_price or order.reference_price


def _slippage_of(fill: Fill, part: Decimal) -> Decimal:
    return fill.slippage if part == fill.quantity else fill.slippage * part / fill.quantity


def _fills_of_trip(
    position: Position, last: Fill, closed: Decimal
) -> tuple[list[tuple[Fill, Decimal]], str]:
    """The fills of a round trip that ``last`` ends, with the quantity of each that belongs to it,
    and why it was opened.

    Both ends may be flips, of which only a part does; what went in is what came out.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            select_from(Fill) + FILLS_SINCE,
            [
                last.book, last.instrument_id, last.strategy, position.entry_fill or 0,
                position.entry_proposal,
            ],
        )  # fmt: skip
        rows = [row_of(Fill, values) for values in cursor.fetchall()]
        cursor.nextset()
        found = cursor.fetchone()
    parts = [(row, row.quantity) for row in rows]
    leaving = sum((part for row, part in parts if row.side == last.side), closed)
    entering = [index for index, (row, _) in enumerate(parts) if row.side != last.side]
    if entering and position.entry_fill is not None:
        first = entering[0]
        rest = sum((parts[index][1] for index in entering[1:]), ZERO)
        parts[first] = (parts[first][0], leaving - rest)
    return [*parts, (last, closed)], found[0] if found else ""
