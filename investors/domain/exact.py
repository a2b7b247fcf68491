"""Exact arithmetic shared by fund accounting: one number type at the door, one precision inside.

Public functions of ``investors.domain`` take a :data:`Number` (``Decimal``, ``int`` or text; a
binary float raises ``TypeError``), compute at :data:`magnetfund.kernel.money.PRECISION` digits and
round only where a policy names the boundary.  Nothing here reads a clock or a database.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date, datetime
from decimal import (
    Context,
    Decimal,
    DivisionByZero,
    Inexact,
    InvalidOperation,
    getcontext,
    localcontext,
    setcontext,
)
from fractions import Fraction
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from magnetfund.kernel.clock import require_utc
from magnetfund.kernel.errors import InvalidInput
from magnetfund.kernel.money import CONTEXT, decimal_of

#: What an outside caller may write for an amount, a price, a rate or a number of units.
Number = Decimal | int | str
#: What an outside caller may write for a day: a date, an aware instant, ISO text, or a day count.
When = date | datetime | str | int

_P = ParamSpec("_P")
_R = TypeVar("_R")

ZERO = Decimal(0)
ONE = Decimal(1)
#: Where nothing may be rounded: an operation that would have to raises.
_UNROUNDED = Context(prec=1000, traps=[Inexact, InvalidOperation, DivisionByZero])


def exactly(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Run ``function`` at the platform's working precision, whatever the caller's context is."""

    @wraps(function)
    def at_full_precision(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        outer = getcontext()
        if outer is CONTEXT:
            return function(*args, **kwargs)
        # The context itself and no copy of it: nothing changes it, and a copy costs more than
        # the arithmetic of a lot.
        setcontext(CONTEXT)
        try:
            return function(*args, **kwargs)
        finally:
            setcontext(outer)

    return at_full_precision


def coerce_decimals(instance: object, *names: str) -> None:
    """Turn the named fields of a frozen dataclass into ``Decimal`` (for ``__post_init__``)."""
    for name in names:
        value = getattr(instance, name)
        if value is not None and type(value) is not Decimal:
            object.__setattr__(instance, name, decimal_of(value))
        elif value is not None:
            decimal_of(value)


def not_negative(value: Number, *, name: str) -> Decimal:
    """Parse a number that may not be below zero; raises ``InvalidInput`` (``negative``)."""
    number = decimal_of(value)
    if number < 0:
        raise InvalidInput(f"{name} must not be negative", code="negative")
    return number


def positive(value: Number, *, name: str) -> Decimal:
    """Parse a number that must be above zero; raises ``InvalidInput`` (``not_positive``)."""
    number = decimal_of(value)
    if number <= 0:
        raise InvalidInput(f"{name} must be positive", code="not_positive")
    return number


def fraction_below_one(value: Number, *, name: str) -> Decimal:
    """Parse a rate in [0, 1); raises ``InvalidInput`` (``rate_out_of_range``)."""
    number = decimal_of(value)
    if not 0 <= number < 1:
        raise InvalidInput(f"{name} must lie in [0, 1)", code="rate_out_of_range")
    return number


def share_of_one(value: Number, *, name: str) -> Decimal:
    """Parse a share in [0, 1]; raises ``InvalidInput`` (``rate_out_of_range``)."""
    number = decimal_of(value)
    if not 0 <= number <= 1:
        raise InvalidInput(f"{name} must lie in [0, 1]", code="rate_out_of_range")
    return number


def day_number(when: When) -> int:
    """The whole day of ``when`` as an integer; differences of two are calendar days.

    An aware instant counts on its UTC day; ISO text is parsed; an ``int`` is taken as a day count
    as it stands (so a textbook's "day 0, day 90" needs no invented calendar).
    """
    if isinstance(when, bool):
        raise TypeError("a day is needed, not a boolean")
    if isinstance(when, int):
        return when
    if isinstance(when, str):
        try:
            when = datetime.fromisoformat(when) if len(when) > 10 else date.fromisoformat(when)
        except ValueError:
            raise InvalidInput(f"not a date: {when!r}", code="not_a_date") from None
    if isinstance(when, datetime):
        return require_utc(when).date().toordinal()
    if isinstance(when, date):
        return when.toordinal()
    raise TypeError(f"a day is needed, not {type(when).__name__}")


def date_of(when: When) -> date:
    """The calendar date of ``when``; a bare day count has none and raises ``InvalidInput``."""
    if isinstance(when, int):
        raise InvalidInput("a calendar date is needed, not a day count", code="not_a_date")
    return date.fromordinal(day_number(when))


def decimal_of_fraction(value: Fraction) -> Decimal:
    """A rational number as a Decimal at full working precision."""
    with localcontext(CONTEXT):
        return Decimal(value.numerator) / Decimal(value.denominator)


def round_to_total(
    parts: Iterable[Fraction | Decimal], *, quantum: Decimal, total: Decimal | None = None
) -> tuple[Decimal, ...]:
    """Round signed ``parts`` to ``quantum`` so that they add to ``total`` exactly.

    Each part is floored, then the missing quanta go to the largest remainders, ties to the lowest
    index (method of largest remainder, for signed parts).  ``total`` is by default the exact sum
    rounded half even; it must be a multiple of ``quantum`` and lie within one quantum a part of
    the exact sum, otherwise ``InvalidInput`` (``total_out_of_reach``).
    """
    given = list(parts)
    divide: Callable[[Any, Any], tuple[Any, Any]] = _divide
    if any(isinstance(part, Fraction) for part in given):
        given, divide = [Fraction(part) for part in given], divmod
        step: Fraction | Decimal = Fraction(quantum)
    else:
        step = quantum
    with localcontext(_UNROUNDED):
        split = [divide(part, step) for part in given]
        floors = [int(floor) for floor, _ in split]
        if total is None:
            more, rest = divide(sum((rest for _, rest in split), type(step)(0)), step)
            missing = int(more)
            if 2 * rest > step or (2 * rest == step and (sum(floors) + missing) % 2):
                missing += 1
        else:
            goal, finer = divide(type(step)(total), step)
            if finer:
                raise InvalidInput("the total is finer than the quantum", code="too_fine")
            missing = int(goal) - sum(floors)
    if not 0 <= missing <= len(floors):
        raise InvalidInput("the parts do not add to the total", code="total_out_of_reach")
    if missing:
        rests = [-rest for _, rest in split]
        for index in sorted(range(len(rests)), key=rests.__getitem__)[:missing]:
            floors[index] += 1
    with localcontext(CONTEXT):
        return tuple(Decimal(count) * quantum for count in floors)


def _divide(part: Decimal, step: Decimal) -> tuple[Decimal, Decimal]:
    """The whole steps of a signed part, rounded down, and what is left of it; both exact."""
    whole, rest = divmod(part, step)
    return (whole - 1, rest + step) if rest < 0 else (whole, rest)


def total_of(values: Iterable[Decimal]) -> Decimal:
    """Exact sum at full working precision."""
    with localcontext(CONTEXT):
        return sum(values, ZERO)
