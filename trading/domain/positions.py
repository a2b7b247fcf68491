"""One position as a fold of its fills: quantity, cost, profit, fees.

Quantities are signed (bought > 0, sold < 0), in units of the instrument; prices and money are in
its quote currency; a fee paid is positive.  All arithmetic is Decimal at 50 digits, average cost.

Invariant, at every mark m: ``realised + unrealised(m) = sum of quantity x (m - price)`` over the
fills.  Fills are folded one by one as they are booked, each of them once by the venue's trade id.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal, localcontext

from magnetfund.kernel.errors import InvalidInput

ZERO = Decimal(0)
_DIGITS = 50
_FEE_PLACES = Decimal("1e-18")


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionFill:
    """One execution."""

    time_ms: int
    quantity: Decimal
    price: Decimal
    fee: Decimal = ZERO

    def __post_init__(self) -> None:
        if not (self.quantity.is_finite() and self.price.is_finite() and self.fee.is_finite()):
            raise InvalidInput("a fill holds a value that is not finite", code="not_finite")
        if self.quantity == 0:
            raise InvalidInput("a fill of nothing is no fill", code="bad_quantity")
        if self.price <= 0:
            raise InvalidInput("a fill's price must be positive", code="bad_price")


@dataclass(frozen=True, slots=True, kw_only=True)
class NetPosition:
    """What is held and what it earned since the fold began.

    ``average_price`` is 0 when flat; ``opened_ms`` is the fill that opened what is held now, None
    when flat.  ``realised`` is before fees.
    """

    quantity: Decimal = ZERO
    average_price: Decimal = ZERO
    realised: Decimal = ZERO
    fees: Decimal = ZERO
    opened_ms: int | None = None

    def unrealised(self, mark: Decimal) -> Decimal:
        """Profit in quote currency if what is held were closed at ``mark`` without cost."""
        with localcontext() as context:
            context.prec = _DIGITS
            return self.quantity * (mark - self.average_price)


@dataclass(frozen=True, slots=True, kw_only=True)
class FillEffect:
    """A position after one fill, and what the fill did.

    ``closed`` and ``opened`` are positive quantities; both are above 0 only when it flipped.
    """

    position: NetPosition
    realised: Decimal
    closed: Decimal
    opened: Decimal

    @property
    def is_flip(self) -> bool:
        return self.closed > 0 and self.opened > 0


def apply_fill(*, position: NetPosition, fill: PositionFill) -> FillEffect:
    """The position after one more fill, at average cost.

    Adding moves the average price, reducing never does; a fill beyond what is held closes all of
    it and opens the rest at the fill's own price.
    """
    held = position.quantity
    with localcontext() as context:
        context.prec = _DIGITS
        size = abs(fill.quantity)
        is_against = held != 0 and (held > 0) != (fill.quantity > 0)
        closed = min(size, abs(held)) if is_against else ZERO
        opened = size - closed
        realised = (fill.price - position.average_price) * closed * (1 if held > 0 else -1)
        quantity = held + fill.quantity
        if quantity == 0:
            average, opened_ms = ZERO, None
        elif held == 0 or closed == abs(held):
            average, opened_ms = fill.price, fill.time_ms
        elif is_against:
            average, opened_ms = position.average_price, position.opened_ms
        else:
            cost = abs(held) * position.average_price + size * fill.price
            average, opened_ms = cost / abs(quantity), position.opened_ms
        after = replace(
            position,
            quantity=quantity,
            average_price=average,
            realised=position.realised + realised,
            fees=position.fees + fill.fee,
            opened_ms=opened_ms,
        )
    return FillEffect(position=after, realised=realised, closed=closed, opened=opened)


def split_fill(*, position: NetPosition, fill: PositionFill) -> tuple[PositionFill, ...]:
    """The fill as parts that each only close or only open: two where it flips, else itself.

    The fee is shared by size; the parts add up to the fill to the last digit.
    """
    effect = apply_fill(position=position, fill=fill)
    if not effect.is_flip:
        return (fill,)
    with localcontext() as context:
        context.prec = _DIGITS
        sign = 1 if fill.quantity > 0 else -1
        fee = (fill.fee * effect.closed / abs(fill.quantity)).quantize(_FEE_PLACES)
        return (
            replace(fill, quantity=sign * effect.closed, fee=fee),
            replace(fill, quantity=sign * effect.opened, fee=fill.fee - fee),
        )


def commit_margin(*, quantity: Decimal, price: Decimal, leverage: Decimal) -> Decimal:
    """Isolated margin of a quantity of either sign, in quote currency.

    Committed at the entry's ``price``: it does not move with the mark.
    """
    return abs(quantity) * price / leverage
