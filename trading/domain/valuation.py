"""What a book of positions is worth at given marks: equity, profit, exposure, margin.

Money is in the book's currency, Decimal.  Equity = cash + unrealised profit, where cash is the
wallet: money paid in, plus realised profit and funding, less fees.  Margin is part of equity, not
taken from it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext

from magnetfund.kernel.errors import InvalidInput
from trading.domain.positions import Position

ZERO = Decimal(0)
_DIGITS = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """One sleeve's position in one instrument, with the margin committed to it."""

    instrument: str
    position: Position
    margin: Decimal = ZERO


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldingValue:
    """A holding at its mark: ``notional`` is signed (short < 0)."""

    instrument: str
    mark: Decimal
    notional: Decimal
    unrealised: Decimal
    margin: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class BookWorth:
    """A book at its marks.  ``free`` is equity less margin and may be negative."""

    cash: Decimal
    equity: Decimal
    unrealised: Decimal
    gross_exposure: Decimal
    net_exposure: Decimal
    margin_used: Decimal
    holdings: tuple[HoldingValue, ...]

    @property
    def free(self) -> Decimal:
        return self.equity - self.margin_used

    @property
    def leverage(self) -> Decimal | None:
        """Gross exposure over equity; None when equity is gone."""
        return self.gross_exposure / self.equity if self.equity > 0 else None


def compute_cash(*, deposits: Decimal, positions: Sequence[Position]) -> Decimal:
    """The wallet: ``deposits`` (net of withdrawals) and what the positions realised, net."""
    with localcontext() as context:
        context.prec = _DIGITS
        return sum((position.net for position in positions), deposits)


def value_book(
    *, cash: Decimal, holdings: Sequence[Holding], marks: Mapping[str, Decimal]
) -> BookWorth:
    """Value a book; flat holdings are left out.

    ``marks`` holds the price of each instrument that is held.  Raises :class:`InvalidInput`:
    ``no_mark`` for a missing one (a held position is never valued at cost), ``bad_price`` for one
    that is not a positive number, ``bad_margin`` for a negative margin.
    """
    if not cash.is_finite():
        raise InvalidInput("cash is not finite", code="not_finite")
    with localcontext() as context:
        context.prec = _DIGITS
        values = tuple(_value(holding, marks) for holding in holdings if holding.position.quantity)
        unrealised = sum((value.unrealised for value in values), ZERO)
        return BookWorth(
            cash=cash,
            equity=cash + unrealised,
            unrealised=unrealised,
            gross_exposure=sum((abs(value.notional) for value in values), ZERO),
            net_exposure=sum((value.notional for value in values), ZERO),
            margin_used=sum((value.margin for value in values), ZERO),
            holdings=values,
        )


def _value(holding: Holding, marks: Mapping[str, Decimal]) -> HoldingValue:
    mark = marks.get(holding.instrument)
    if mark is None:
        raise InvalidInput(f"{holding.instrument} is held and has no mark", code="no_mark")
    if not (mark.is_finite() and mark > 0):
        raise InvalidInput("a mark must be a positive number", code="bad_price")
    if not (holding.margin.is_finite() and holding.margin >= 0):
        raise InvalidInput("a margin is never negative", code="bad_margin")
    return HoldingValue(
        instrument=holding.instrument,
        mark=mark,
        notional=holding.position.quantity * mark,
        unrealised=holding.position.unrealised(mark),
        margin=holding.margin,
    )
