"""What a book is worth at its newest marks, in money and for a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from magnetfund.kernel.money import decimal_from_float, quantize
from trading.domain.engine.book import Book
from trading.domain.engine.rules import EngineRules
from trading.models import Instrument
from trading.services.book.fuse_rows import strategy_code
from trading.services.sleeves import Sleeve
from trading.services.valuation import BookValue


def value_book(
    book: Book,
    *,
    rules: EngineRules,
    sleeves: Sequence[Sleeve],
    shares: float,
    idle_unit: float,
    at: datetime,
) -> BookValue:
    """Equity, exposure and open positions; ``shares`` is what one unit's value is measured by.

    Without capital there are no shares, and a unit is worth ``idle_unit``.
    """
    detail: list[dict[str, Any]] = []
    unrealised = gross = net = margin = 0.0
    for slot, position in enumerate(book.positions):
        if position is None:
            continue
        instrument = rules.instruments[rules.slots[slot].instrument]
        mark = book.marks[rules.slots[slot].instrument]
        notional = mark * position.lots * instrument.tick_value
        profit = (mark - position.entry_ticks) * position.lots * instrument.tick_value
        unrealised += profit * position.side
        gross += notional
        net += notional * position.side
        margin += position.margin
        detail.append(
            {
                "instrument": instrument.symbol,
                "strategy": sleeves[slot].strategy,
                "side": "long" if position.side > 0 else "short",
                "mark": round(mark * instrument.tick_size, 10),
                "notional": round(notional, 2),
                "unrealised": round(profit * position.side, 2),
            }
        )
    return BookValue(
        at=at,
        equity=_money(book.equity),
        cash=_money(book.cash),
        unrealised=_money(unrealised),
        gross_exposure=_money(gross),
        net_exposure=_money(net),
        margin_used=_money(margin),
        unit_value=_unit(book.equity / shares if shares else idle_unit),
        peak_unit_value=_unit(book.fuse.peak_equity / shares if shares else idle_unit),
        day_start_unit_value=_unit(book.fuse.day_start_equity / shares if shares else idle_unit),
        open_positions=len(detail),
        detail=detail,
    )


def marks_of(book: Book, instruments: Sequence[Instrument]) -> dict[str, Decimal]:
    """Last price of each instrument that has one."""
    return {
        instrument.symbol: price_of(instrument, ticks)
        for instrument, ticks in zip(instruments, book.marks, strict=True)
        if ticks > 0
    }


def count_marks(book: Book, *, before: Sequence[Instrument], after: Sequence[Instrument]) -> Book:
    """Last prices in the ticks that ``after`` states, instrument by instrument of ``before``."""
    ticks = {item.pk: item.tick for item in after}
    marks = zip(book.marks, before, strict=True)
    return replace(
        book,
        marks=tuple(int(mark * item.tick / ticks.get(item.pk, item.tick)) for mark, item in marks),
    )


def price_of(instrument: Instrument, ticks: int) -> Decimal:
    """The exact price of whole ticks."""
    return Decimal(ticks * instrument.tick)


def quantity_of(instrument: Instrument, lots: int) -> Decimal:
    """The exact quantity of whole lots."""
    return Decimal(lots * instrument.lot)


def _money(value: float) -> Decimal:
    return quantize(decimal_from_float(value), Decimal("0.01"))


def _unit(value: float) -> Decimal:
    return quantize(decimal_from_float(value), Decimal("1e-8"))


def streaks_of(
    book: Book, *, rules: EngineRules, sleeves: Sequence[Sleeve]
) -> list[dict[str, Any]]:
    """Each strategy's losses in a row, and until when it is locked (0: it is not)."""
    return [
        {
            "strategy": strategy_code(rules, sleeves, index),
            "losses": book.fuse.losses_in_a_row[index],
            "locked_until_ms": book.fuse.lock_until[index],
        }
        for index in range(rules.strategy_count)
    ]
