"""The book as the pre-trade check sees it, read in the caller's transaction."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal

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
from risk.models import FUND_SCOPE, StrategyLock
from risk.services.fuse import state_of
from trading.domain.positions import commit_margin
from trading.models import Instrument, Order, Position
from trading.services.correlations import find_correlation_groups
from trading.services.engine import engine_state_of
from trading.services.leverage_caps import evidence_policy, find_venue_cap


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
) -> BookSnapshot:
    """Everything that :func:`risk.domain.pretrade.check_order` wants to know of the book.

    ``entry_block`` is the market trigger that holds against an entry now, where one does.  A
    history (``is_history``) may trade an instrument that the live books do not; under bare rules
    (``is_bare``) none of its limits acts.
    """
    groups = _groups(book, limits, at)
    fund = state_of(book, FUND_SCOPE)
    local = state_of(book, instrument.symbol)
    met = fund if fund != "ARMED" else local
    lock = (
        StrategyLock.objects.filter(book=book, strategy=strategy, until__gt=at)
        .order_by("-until")
        .values_list("until", flat=True)
        .first()
    )
    return BookSnapshot(
        equity=equity,
        mode=mode,
        fuse_state=FuseState(met),
        engine_state=EngineState(engine_state_of(book)),
        instrument=_rules(instrument, groups, is_allowed=is_history or instrument.is_active),
        reference=ReferencePrice(price=reference, observed_at=observed_at or at),
        positions=_positions(book, marks, groups),
        orders=_orders(book, groups),
        recent=_recent(book, at),
        strategy_locked_until=lock,
        entry_block=entry_block,
        client_class_leverage_max=_exact(class_leverage_max(instrument.kind)),
        evidence_policy=evidence_policy(limits),
        is_bare=is_bare,
    )


def _exact(cap: float | None) -> Decimal | None:
    return None if cap is None else decimal_from_float(cap)


def _groups(book: str, limits: Limits, at: datetime) -> dict[str, str]:
    """The name of each instrument's correlation group, that of its first member."""
    symbols = list(
        Instrument.objects.filter(is_active=True)
        .order_by("symbol")
        .values_list("symbol", flat=True)
    )
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
    book: str, marks: Mapping[str, Decimal], groups: Mapping[str, str]
) -> tuple[BookPosition, ...]:
    rows = Position.objects.filter(book=book).exclude(quantity=0).select_related("instrument")
    found = []
    for row in rows:
        mark = marks.get(row.instrument.symbol, row.average_price)
        notional = abs(row.quantity) * mark
        leverage = decimal_from_float(row.leverage)
        found.append(
            BookPosition(
                instrument=row.instrument.symbol,
                strategy=row.strategy,
                quantity=row.quantity,
                mark=mark,
                margin=commit_margin(
                    quantity=row.quantity, price=row.average_price, leverage=leverage
                ),
                gap_loss=notional * min(1 / leverage, row.instrument.gap_floor),
                correlation_group=groups.get(row.instrument.symbol, row.instrument.symbol),
            )
        )
    return tuple(found)


def _orders(book: str, groups: Mapping[str, str]) -> tuple[BookOrder, ...]:
    rows = Order.objects.filter(book=book, closed_at=None).select_related("instrument")
    found = []
    for row in rows:
        left = row.quantity - row.filled_quantity
        notional = left * row.reference_price
        margin = Decimal(0) if row.reduces else commit_margin(
            quantity=left, price=row.reference_price, leverage=decimal_from_float(row.leverage)
        )  # fmt: skip
        found.append(
            BookOrder(
                order_id=str(row.id),
                instrument=row.instrument.symbol,
                strategy=row.strategy,
                side=Side(row.side),
                type=OrderType(row.type),
                quantity_open=left,
                price=row.limit_price or row.trigger_price or row.reference_price,
                submitted_at=row.occurred_at,
                margin=margin,
                gap_loss=min(margin, notional * row.instrument.gap_floor),
                reduces=row.reduces,
                is_protective=row.purpose in ("stop", "target"),
                correlation_group=groups.get(row.instrument.symbol, row.instrument.symbol),
            )
        )
    return tuple(found)


def _recent(book: str, at: datetime) -> tuple[RecentOrder, ...]:
    rows = Order.objects.filter(
        book=book, occurred_at__gt=at - timedelta(minutes=1), occurred_at__lte=at
    ).exclude(state="DENIED")
    return tuple(
        RecentOrder(
            instrument=row.instrument.symbol,
            strategy=row.strategy,
            side=Side(row.side),
            quantity=row.quantity,
            price=row.limit_price,
            submitted_at=row.occurred_at,
            reduces=row.reduces,
        )
        for row in rows.select_related("instrument")
    )
