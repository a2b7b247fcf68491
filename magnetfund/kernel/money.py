"""Exact amounts: finite Decimals, rounding at named boundaries.

Invariants: a value is finite, never built from a binary float, and holds at most 38 digits with
18 after the point, which is what the ledger's ``NUMERIC(38,18)`` stores.  The currency of an amount
stands beside it in its row or leg, and an entry balances in each currency alone (ADR 0018).
"""

from __future__ import annotations

from collections.abc import Mapping
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

#: Currencies of funds and of what they trade: dollars, and coins that are valued by a rate in them.
CARRIED = ("USD", "USDT", "USDC")


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
    if type(value) is Decimal and value.is_finite() and -_LIMIT < value < _LIMIT:
        return value
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
    return value.quantize(quantum, rounding, CONTEXT)


def round_to_step(value: Decimal, step: Decimal, rounding: Rounding = Rounding.DOWN) -> Decimal:
    """Round to a multiple of ``step`` (> 0), which need not be a power of ten."""
    if step <= 0:
        raise InvalidInput("the step must be positive", code="bad_step")
    with localcontext(CONTEXT):
        return (value / step).to_integral_value(rounding=rounding.value) * step


def require_carried(currency: str, *, what: str) -> None:
    """Raise :class:`InvalidInput` (``currency_not_carried``) unless it is one of ``CARRIED``.

    ``what`` is named in the refusal: whose currency it is.
    """
    if currency not in CARRIED:
        raise InvalidInput(
            f"{what} is in {currency}; a fund and what it trades are in {', '.join(CARRIED)}, and "
            "the books read no rate of another currency",
            code="currency_not_carried",
        )


def currency_quantum(currency: str) -> Decimal:
    """The smallest payable amount of a currency; unknown currencies raise ``InvalidInput``."""
    try:
        return CURRENCY_QUANTUM[currency]
    except KeyError:
        raise InvalidInput(f"unknown currency {currency!r}", code="unknown_currency") from None
