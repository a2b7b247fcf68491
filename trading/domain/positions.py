"""One position as a fold of what the venue reported: quantity, cost, profit, fees, funding.

Quantities are signed (bought > 0, sold < 0), in units of the instrument; prices and money are in
its quote currency; a fee paid is positive and lowers the net, funding received is positive.  All
arithmetic is Decimal at 50 digits, average cost.

Invariant, at every mark m: ``realised + unrealised(m) = sum of quantity x (m - price)`` over the
fills.  A fill id counts once, and the fold sorts by time and the venue's sequence, so neither the
order of arrival nor a repeated report changes a position.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from decimal import Decimal, localcontext
from typing import TypeVar

from magnetfund.kernel.errors import InvalidInput

ZERO = Decimal(0)
_DIGITS = 50
_FEE_PLACES = Decimal("1e-18")


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionFill:
    """One execution.  ``sequence`` orders those of one millisecond as the venue numbered them."""

    id: str
    time_ms: int
    quantity: Decimal
    price: Decimal
    fee: Decimal = ZERO
    sequence: int = 0

    def __post_init__(self) -> None:
        if not (self.quantity.is_finite() and self.price.is_finite() and self.fee.is_finite()):
            raise InvalidInput("a fill holds a value that is not finite", code="not_finite")
        if self.quantity == 0:
            raise InvalidInput("a fill of nothing is no fill", code="bad_quantity")
        if self.price <= 0:
            raise InvalidInput("a fill's price must be positive", code="bad_price")


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionFunding:
    """Funding received (positive) or paid (negative) at one stamp."""

    id: str
    time_ms: int
    cash: Decimal

    def __post_init__(self) -> None:
        if not self.cash.is_finite():
            raise InvalidInput("a funding payment is not finite", code="not_finite")


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """What is held and what it earned since the fold began.

    ``average_price`` is 0 when flat; ``opened_ms`` is the fill that opened what is held now, None
    when flat.  ``realised`` is before fees and funding.
    """

    quantity: Decimal = ZERO
    average_price: Decimal = ZERO
    realised: Decimal = ZERO
    fees: Decimal = ZERO
    funding: Decimal = ZERO
    opened_ms: int | None = None

    @property
    def net(self) -> Decimal:
        """Realised profit after fees and funding."""
        return self.realised - self.fees + self.funding

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

    position: Position
    realised: Decimal
    closed: Decimal
    opened: Decimal

    @property
    def is_flip(self) -> bool:
        return self.closed > 0 and self.opened > 0


def apply_fill(*, position: Position, fill: PositionFill) -> FillEffect:
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


def split_fill(*, position: Position, fill: PositionFill) -> tuple[PositionFill, ...]:
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


def fold_position(
    *,
    fills: Iterable[PositionFill],
    funding: Iterable[PositionFunding] = (),
    start: Position | None = None,
) -> Position:
    """The position that these facts make, in whatever order and how often they were reported.

    Raises :class:`InvalidInput` (``conflicting_fact``) when one id comes with two contents: that is
    a venue correcting itself, which a person must look at.
    """
    position = start or Position()
    for fill in sorted(_once(fills), key=lambda f: (f.time_ms, f.sequence, f.id)):
        position = apply_fill(position=position, fill=fill).position
    with localcontext() as context:
        context.prec = _DIGITS
        paid = sum((payment.cash for payment in _once(funding)), ZERO)
        return replace(position, funding=position.funding + paid)


Fact = TypeVar("Fact", PositionFill, PositionFunding)


def _once(facts: Iterable[Fact]) -> list[Fact]:
    known: dict[str, Fact] = {}
    for fact in facts:
        if known.setdefault(fact.id, fact) != fact:
            raise InvalidInput(
                "one id was reported with two contents",
                code="conflicting_fact",
                details={"id": fact.id},
            )
    return list(known.values())
