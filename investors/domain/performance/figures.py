"""What a return is: a number with its method, its period, and the reason when there is none.

Returns are dimensionless (0.05 is five percent).  Flows are positive **into** the investment;
``compute_xirr`` alone takes the investor's sign, where money paid in is negative.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from investors.domain.exact import Number, When, day_number
from magnetfund.kernel.errors import InvalidInput
from magnetfund.kernel.money import decimal_of

DAYS_PER_YEAR = 365


class Method(StrEnum):
    """How a return was computed; printed beside it."""

    TWR = "time-weighted"
    MODIFIED_DIETZ = "modified Dietz"
    MWR = "money-weighted"


class Undefined(StrEnum):
    """Why a return is not defined."""

    NONE = ""
    STARTS_AT_OR_BELOW_ZERO = "subperiod_starts_at_or_below_zero"
    VALUE_BELOW_ZERO = "value_below_zero"
    DENOMINATOR_NOT_POSITIVE = "denominator_not_positive"
    FEWER_THAN_TWO_DATES = "fewer_than_two_dates"
    NO_SIGN_CHANGE = "no_sign_change"
    SEVERAL_ROOTS = "several_roots"
    NO_ROOT = "no_root"
    OUT_OF_RANGE = "out_of_range"
    TOTAL_LOSS = "total_loss"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReturnFigure:
    """One return.  ``value`` is ``None`` exactly when ``reason`` says why it is not defined.

    ``days`` is the length of the period; ``roots`` names every candidate rate when a
    money-weighted return has several; ``ended_on`` is the day number of a total loss.
    """

    value: Decimal | None
    method: Method
    days: int | None = None
    is_annualised: bool = False
    is_net: bool = True
    reason: Undefined = Undefined.NONE
    roots: tuple[Decimal, ...] = ()
    ended_on: int | None = None

    @property
    def is_defined(self) -> bool:
        return self.value is not None

    def require(self) -> Decimal:
        """The value; raises ``InvalidInput`` with the reason as its code when there is none."""
        if self.value is None:
            raise InvalidInput(
                f"the {self.method.value} return is not defined", code=self.reason.value
            )
        return self.value

    def label(self) -> str:
        """The words that stand beside the figure: net or gross, method, period, annualised."""
        basis = "net" if self.is_net else "gross"
        period = "" if self.days is None else f", {self.days} days"
        yearly = "a year" if self.is_annualised else "not annualised"
        state = "" if self.is_defined else f", not defined ({self.reason.value})"
        return f"{basis}, {self.method.value}{period}, {yearly}{state}"


@dataclass(frozen=True, slots=True)
class Flow:
    """Money that crosses the edge of the investment at the end of a day."""

    day: int
    amount: Decimal


@dataclass(frozen=True, slots=True)
class ValuedFlow:
    """A flow and the value that stood just before it."""

    day: int
    value_before: Decimal
    amount: Decimal


def flows_of(flows: Iterable[tuple[When, Number] | Flow]) -> tuple[Flow, ...]:
    """Parse, merge by day and sort ``(when, amount)`` pairs."""
    merged: dict[int, Decimal] = {}
    for flow in flows:
        day, amount = (
            (flow.day, flow.amount)
            if isinstance(flow, Flow)
            else (day_number(flow[0]), decimal_of(flow[1]))
        )
        merged[day] = merged.get(day, Decimal(0)) + amount
    return tuple(Flow(day, merged[day]) for day in sorted(merged))


def valued_flows_of(
    flows: Iterable[tuple[When, Number, Number] | ValuedFlow],
) -> tuple[ValuedFlow, ...]:
    """Parse and sort ``(when, value_before, amount)`` triples; flows of one day are merged.

    Two flows of a day must name the same value before them, or ``InvalidInput``
    (``two_values_one_day``): a day has one valuation.
    """
    merged: dict[int, ValuedFlow] = {}
    for flow in flows:
        item = (
            flow
            if isinstance(flow, ValuedFlow)
            else ValuedFlow(day_number(flow[0]), decimal_of(flow[1]), decimal_of(flow[2]))
        )
        known = merged.get(item.day)
        if known is not None and known.value_before != item.value_before:
            raise InvalidInput("one day has two values", code="two_values_one_day")
        total = item.amount if known is None else known.amount + item.amount
        merged[item.day] = ValuedFlow(item.day, item.value_before, total)
    return tuple(merged[day] for day in sorted(merged))
