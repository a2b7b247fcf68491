"""Exact amounts: typed Decimal values, rounding at named boundaries.

Invariants: a value is finite, never built from a binary float, and holds at most 38 digits with
18 after the point, which is what the ledger's ``NUMERIC(38,18)`` stores.  Amounts of different
currencies never meet in one operation.  Signs are the caller's: a positive ``Money`` is money that
the named party has.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import (
    ROUND_CEILING,
    ROUND_DOWN,
    ROUND_FLOOR,
    ROUND_HALF_EVEN,
    ROUND_HALF_UP,
    ROUND_UP,
    Context,
    Decimal,
    InvalidOperation,
    localcontext,
)
from enum import StrEnum
from typing import Self

from magnetfund.kernel.errors import InvalidInput

#: Working precision of every Decimal computation: 38 stored digits and room for products.
PRECISION = 60
CONTEXT = Context(prec=PRECISION, rounding=ROUND_HALF_EVEN)
#: Digits after the point that the ledger stores.
LEDGER_QUANTUM = Decimal("1e-18")
_LIMIT = Decimal("1e20")

PRICE_QUANTUM = Decimal("0.000001")
UNITS_QUANTUM = Decimal("0.000001")
CURRENCY_QUANTUM: Mapping[str, Decimal] = {
    "USD": Decimal("0.01"),
    "EUR": Decimal("0.01"),
    "CHF": Decimal("0.01"),
    "GBP": Decimal("0.01"),
    "USDT": Decimal("0.01"),
    "USDC": Decimal("0.01"),
    "JPY": Decimal("1"),
    "BTC": Decimal("0.00000001"),
    "ETH": Decimal("0.00000001"),
}


class Rounding(StrEnum):
    """Rounding modes by the names that policies store."""

    HALF_EVEN = ROUND_HALF_EVEN
    HALF_UP = ROUND_HALF_UP
    DOWN = ROUND_DOWN
    UP = ROUND_UP
    FLOOR = ROUND_FLOOR
    CEILING = ROUND_CEILING


def decimal_of(value: Decimal | int | str) -> Decimal:
    """Parse an exact number.

    Binary floats and booleans raise ``TypeError`` (a defect of the caller); text that is no finite
    number, or one beyond the ledger's range, raises :class:`InvalidInput`.
    """
    if isinstance(value, (float, bool)):
        raise TypeError(f"use an exact decimal, not {type(value).__name__}")
    try:
        number = value if isinstance(value, Decimal) else Decimal(value)
    except (InvalidOperation, ValueError, TypeError):
        raise InvalidInput("not a number", code="not_a_number") from None
    if not number.is_finite():
        raise InvalidInput("the number is not finite", code="not_finite")
    if abs(number) >= _LIMIT:
        raise InvalidInput("the number is out of range", code="out_of_range")
    return number


def decimal_from_float(value: float) -> Decimal:
    """Cross from float64 (signals, venues) to Decimal by the shortest text that names the float."""
    number = Decimal(repr(float(value)))
    if not number.is_finite():
        raise InvalidInput("the number is not finite", code="not_finite")
    return number


def quantize(value: Decimal, quantum: Decimal, rounding: Rounding = Rounding.HALF_EVEN) -> Decimal:
    """Round ``value`` to the scale of ``quantum`` (a power of ten) by a named mode."""
    with localcontext(CONTEXT):
        return value.quantize(quantum, rounding=rounding.value)


def round_to_step(value: Decimal, step: Decimal, rounding: Rounding = Rounding.DOWN) -> Decimal:
    """Round to a multiple of ``step`` (> 0), which need not be a power of ten."""
    if step <= 0:
        raise InvalidInput("the step must be positive", code="bad_step")
    with localcontext(CONTEXT):
        return (value / step).to_integral_value(rounding=rounding.value) * step


def currency_quantum(currency: str) -> Decimal:
    """The smallest payable amount of a currency; unknown currencies raise ``InvalidInput``."""
    try:
        return CURRENCY_QUANTUM[currency]
    except KeyError:
        raise InvalidInput(f"unknown currency {currency!r}", code="unknown_currency") from None


@dataclass(frozen=True, slots=True, order=True)
class _Scalar:
    """A finite Decimal with a meaning; two meanings never mix."""

    value: Decimal

    def __post_init__(self) -> None:
        object.__setattr__(self, "value", decimal_of(self.value))

    @classmethod
    def of(cls, value: Decimal | int | str) -> Self:
        return cls(decimal_of(value))

    def _same(self, other: Self) -> Decimal:
        if type(other) is not type(self):
            raise TypeError(f"{type(self).__name__} cannot be combined with {type(other).__name__}")
        return other.value

    def __add__(self, other: Self) -> Self:
        with localcontext(CONTEXT):
            return type(self)(self.value + self._same(other))

    def __sub__(self, other: Self) -> Self:
        with localcontext(CONTEXT):
            return type(self)(self.value - self._same(other))

    def __neg__(self) -> Self:
        return type(self)(-self.value)

    def __abs__(self) -> Self:
        return type(self)(abs(self.value))

    def __bool__(self) -> bool:
        return self.value != 0

    def __str__(self) -> str:
        return format(self.value, "f")


class Quantity(_Scalar):
    """A signed amount of an instrument, in its base unit; positive is long."""

    __slots__ = ()


class Units(_Scalar):
    """Units of a share class."""

    __slots__ = ()


class Ratio(_Scalar):
    """A dimensionless number: a rate, a share, a return (0.01 is one percent)."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Price:
    """Quote currency for one unit of the instrument; positive."""

    value: Decimal
    currency: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "value", decimal_of(self.value))
        if self.value <= 0:
            raise InvalidInput("a price must be positive", code="price_not_positive")

    def __str__(self) -> str:
        return f"{self.value:f} {self.currency}"


@dataclass(frozen=True, slots=True)
class Money:
    """An amount of one currency.  Adding another currency raises ``TypeError``."""

    amount: Decimal
    currency: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "amount", decimal_of(self.amount))
        if not self.currency.isalnum() or not self.currency.isupper():
            raise InvalidInput(f"bad currency code {self.currency!r}", code="unknown_currency")

    @classmethod
    def of(cls, amount: Decimal | int | str, currency: str) -> Self:
        return cls(decimal_of(amount), currency)

    @classmethod
    def zero(cls, currency: str) -> Self:
        return cls(Decimal(0), currency)

    def _same(self, other: Money) -> Decimal:
        if not isinstance(other, Money) or other.currency != self.currency:
            raise TypeError("amounts in different currencies cannot be combined")
        return other.amount

    def __add__(self, other: Money) -> Money:
        with localcontext(CONTEXT):
            return Money(self.amount + self._same(other), self.currency)

    def __sub__(self, other: Money) -> Money:
        with localcontext(CONTEXT):
            return Money(self.amount - self._same(other), self.currency)

    def __neg__(self) -> Money:
        return Money(-self.amount, self.currency)

    def __lt__(self, other: Money) -> bool:
        return self.amount < self._same(other)

    def __le__(self, other: Money) -> bool:
        return self.amount <= self._same(other)

    def __gt__(self, other: Money) -> bool:
        return self.amount > self._same(other)

    def __ge__(self, other: Money) -> bool:
        return self.amount >= self._same(other)

    def __bool__(self) -> bool:
        return self.amount != 0

    def times(self, factor: Decimal | Ratio | Quantity | Units) -> Money:
        """Multiply by a dimensionless or counted number, unrounded."""
        number = factor if isinstance(factor, Decimal) else factor.value
        with localcontext(CONTEXT):
            return Money(self.amount * decimal_of(number), self.currency)

    def rounded(self, rounding: Rounding = Rounding.HALF_EVEN) -> Money:
        """Round to the currency's payable scale."""
        return Money(
            quantize(self.amount, currency_quantum(self.currency), rounding), self.currency
        )

    def __str__(self) -> str:
        return f"{self.amount:f} {self.currency}"
