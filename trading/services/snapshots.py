"""The book as the pre-trade check sees it, read in the caller's transaction."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from magnetfund.core.rows import read_rows
from magnetfund.kernel.money import decimal_from_float
from risk.domain.fuse import Condition, FuseState
from risk.domain.leverage import class_leverage_max
from risk.domain.limits import Limits
from risk.domain.pretrade import (
    BookOrder,
    BookPosition,
    BookSnapshot,
    EngineState,
    InstrumentRules,
    Mode,
    OrderType,
    RecentOrder,
    ReferencePrice,
    Side,
)
from risk.models import FUND_SCOPE
from risk.services.fuse import STATE_OF
from trading.domain.positions import commit_margin
from trading.models import Instrument
from trading.services.correlations import find_correlation_groups
from trading.services.engine import NEWEST_STATE, state_told
from trading.services.leverage_caps import evidence_policy, find_venue_cap

# Read for each entry, while it waits, in one round trip: each by itself they took longer.
LOCKED_UNTIL = """
SELECT max(until) FROM risk_strategylock WHERE book = %s AND strategy = %s AND until > %s"""
TRADED_SYMBOLS = "SELECT symbol FROM trading_instrument WHERE is_active ORDER BY symbol"
POSITIONS = """
SELECT i.symbol, i.gap_floor, p.strategy, p.quantity, p.average_price, p.leverage
FROM trading_position p JOIN trading_instrument i ON i.id = p.instrument_id
WHERE p.book = %s AND p.quantity <> 0"""
OPEN_ORDERS = """
SELECT i.symbol, i.gap_floor, o.id, o.strategy, o.side, o.type, o.purpose, o.reduces, o.quantity,
       o.filled_quantity, o.reference_price, o.limit_price, o.trigger_price, o.leverage,
       o.occurred_at
FROM trading_order o JOIN trading_instrument i ON i.id = o.instrument_id
WHERE o.book = %s AND o.closed_at IS NULL"""
RECENT_ORDERS = """
SELECT i.symbol, o.strategy, o.side, o.quantity, o.limit_price, o.occurred_at, o.reduces
FROM trading_order o JOIN trading_instrument i ON i.id = o.instrument_id
WHERE o.book = %s AND o.occurred_at > %s AND o.occurred_at <= %s AND o.state <> 'DENIED'"""


_Rows = list[tuple[Any, ...]]


class _OpenOrder(NamedTuple):
    """An order that waits, as :data:`OPEN_ORDERS` reads it."""

    id: UUID
    strategy: str
    side: str
    type: str
    purpose: str
    reduces: bool
    quantity: Decimal
    filled: Decimal
    reference_price: Decimal
    limit_price: Decimal | None
    trigger_price: Decimal | None
    leverage: float
    occurred_at: datetime


def build_snapshot(
    *,
    book: str,
    instrument: Instrument,
    strategy: str,
    equity: Decimal,
    marks: Mapping[str, Decimal],
    reference: Decimal,
    at: datetime,
    limits: Limits,
    mode: Mode = Mode.PAPER,
    observed_at: datetime | None = None,
    entry_block: Condition | None = None,
    is_history: bool = False,
    is_bare: bool = False,
    is_before_sending: bool = False,
) -> BookSnapshot:
    """Everything that :func:`risk.domain.pretrade.check_order` wants to know of the book.

    ``entry_block`` is the market trigger that holds against an entry now, where one does.  A
    history (``is_history``) may trade an instrument that the live books do not; under bare rules
    (``is_bare``) none of its limits acts.  Of an order that is to be sent (``is_before_sending``)
    those that wait with it, and itself, are no part of the book.
    """
    waiting = " AND o.state <> 'INTENT'" if is_before_sending else ""
    traded, ((fund,),), ((local,),), ((lock,),), engine, held, orders, recent = read_rows(
        (TRADED_SYMBOLS, []),
        (STATE_OF, [book, FUND_SCOPE]),
        (STATE_OF, [book, instrument.symbol]),
        (LOCKED_UNTIL, [book, strategy, at]),
        (NEWEST_STATE, [book]),
        (POSITIONS, [book]),
        (OPEN_ORDERS + waiting, [book]),
        (RECENT_ORDERS, [book, at - timedelta(minutes=1), at]),
    )
    groups = _groups(book, [symbol for (symbol,) in traded], limits, at)
    met = fund if fund != "ARMED" else local
    return BookSnapshot(
        equity=equity,
        mode=mode,
        fuse_state=FuseState(met),
        engine_state=EngineState(state_told(engine)),
        instrument=_rules(instrument, groups, is_allowed=is_history or instrument.is_active),
        reference=ReferencePrice(price=reference, observed_at=observed_at or at),
        positions=_positions(held, marks, groups),
        orders=_orders(orders, groups),
        recent=_recent(recent),
        strategy_locked_until=lock,
        entry_block=entry_block,
        client_class_leverage_max=_exact(class_leverage_max(instrument.kind)),
        evidence_policy=evidence_policy(limits),
        is_bare=is_bare,
    )


def _exact(cap: float | None) -> Decimal | None:
    return None if cap is None else decimal_from_float(cap)


def _groups(book: str, symbols: list[str], limits: Limits, at: datetime) -> dict[str, str]:
    """The name of each instrument's correlation group, that of its first member."""
    numbers = find_correlation_groups(book=book, symbols=symbols, limits=limits, at=at)
    first = {number: symbol for symbol, number in reversed(numbers.items())}
    return {symbol: first[number] for symbol, number in numbers.items()}


def _rules(
    instrument: Instrument, groups: Mapping[str, str], *, is_allowed: bool
) -> InstrumentRules:
    return InstrumentRules(
        instrument=instrument.symbol,
        tick_size=instrument.tick,
        lot_size=instrument.lot,
        notional_min=instrument.minimum_notional,
        fee_rate=instrument.taker_fee,
        gap_rate=instrument.gap_floor,
        correlation_group=groups.get(instrument.symbol, instrument.symbol),
        is_allowed=is_allowed,
        is_restricted=instrument.is_restricted,
        venue_leverage_max=_exact(find_venue_cap(instrument)),
    )


def _positions(
    rows: _Rows, marks: Mapping[str, Decimal], groups: Mapping[str, str]
) -> tuple[BookPosition, ...]:
    found = []
    for symbol, gap_floor, strategy, quantity, average_price, leverage in rows:
        mark = marks.get(symbol, average_price)
        exact = decimal_from_float(leverage)
        found.append(
            BookPosition(
                instrument=symbol,
                strategy=strategy,
                quantity=quantity,
                mark=mark,
                margin=commit_margin(quantity=quantity, price=average_price, leverage=exact),
                gap_loss=abs(quantity) * mark * min(1 / exact, gap_floor),
                correlation_group=groups.get(symbol, symbol),
            )
        )
    return tuple(found)


def _orders(rows: _Rows, groups: Mapping[str, str]) -> tuple[BookOrder, ...]:
    found = []
    for symbol, gap_floor, *columns in rows:
        row = _OpenOrder(*columns)
        left = row.quantity - row.filled
        notional = left * row.reference_price
        margin = Decimal(0) if row.reduces else commit_margin(
            quantity=left, price=row.reference_price, leverage=decimal_from_float(row.leverage)
        )  # fmt: skip
        found.append(
            BookOrder(
                order_id=str(row.id),
                instrument=symbol,
                strategy=row.strategy,
                side=Side(row.side),
                type=OrderType(row.type),
                quantity_open=left,
                price=row.limit_price or row.trigger_price or row.reference_price,
                submitted_at=row.occurred_at,
                margin=margin,
                gap_loss=min(margin, notional * gap_floor),
                reduces=row.reduces,
                is_protective=row.purpose in ("stop", "target"),
                correlation_group=groups.get(symbol, symbol),
            )
        )
    return tuple(found)


def _recent(rows: _Rows) -> tuple[RecentOrder, ...]:
    return tuple(
        RecentOrder(
            instrument=symbol,
            strategy=strategy,
            side=Side(side),
            quantity=quantity,
            price=limit_price,
            submitted_at=occurred_at,
            reduces=reduces,
        )
        for symbol, strategy, side, quantity, limit_price, occurred_at, reduces in rows
    )
