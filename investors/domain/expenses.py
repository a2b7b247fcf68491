"""Running costs of a fund, spread over the days that they cover.

An expense is a sum for a period, or a sum a year until it ends.  Each NAV takes what its days cost,
as the change of the rounded total since the first day, so that rounding cannot drift and days that
were learnt late are made up by the next one.  When the invoice is there, its sum takes the place of
the estimate, and the difference is booked apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from investors.domain.exact import exactly
from investors.domain.ledger.chart import EXPENSES
from magnetfund.kernel.errors import InvalidInput
from magnetfund.kernel.money import quantize

ZERO = Decimal(0)
#: A sum a year accrues by the day, Act/365 fixed, as the management fee does.
DAYS_A_YEAR = 365


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpenseTerms:
    """What one expense comes to: ``amount`` from ``first_day`` to ``last_day``, both inclusive.

    ``is_yearly`` makes ``amount`` a sum a year; then the last day may be open.  ``invoiced`` is the
    sum of the final invoice for the whole period.
    """

    account: str
    amount: Decimal
    first_day: date
    last_day: date | None = None
    is_yearly: bool = False
    invoiced: Decimal | None = None

    def __post_init__(self) -> None:
        if self.account not in EXPENSES:
            raise InvalidInput(f"{self.account} is no account of expenses", code="wrong_account")
        if self.amount <= 0:
            raise InvalidInput("the amount must be above zero", code="not_positive")
        if self.invoiced is not None and self.invoiced < 0:
            raise InvalidInput("an invoice is not below zero", code="not_positive")
        if self.last_day is None and not self.is_yearly:
            raise InvalidInput("a sum for a period needs its last day", code="no_last_day")
        if self.last_day is None and self.invoiced is not None:
            raise InvalidInput("end a yearly expense before its final invoice", code="no_last_day")
        if self.last_day is not None and self.last_day < self.first_day:
            raise InvalidInput("the last day is before the first", code="wrong_period")


@dataclass(frozen=True, slots=True, kw_only=True)
class Accrued:
    """What an expense cost up to a day: by its estimate, and what the invoice adds (or takes)."""

    estimated: Decimal
    difference: Decimal

    @property
    def total(self) -> Decimal:
        return self.estimated + self.difference


@exactly
def accrue_expense(terms: ExpenseTerms, *, until: date, quantum: Decimal) -> Accrued:
    """The cost of the days up to ``until``, inclusive, each part rounded half even to ``quantum``.

    A sum for a period is spread evenly over its days; a sum a year is ``amount * days / 365``.
    """
    last = until if terms.last_day is None else min(until, terms.last_day)
    days = max(0, (last - terms.first_day).days + 1)
    whole = (terms.last_day - terms.first_day).days + 1 if terms.last_day is not None else 0
    if terms.is_yearly:
        planned = terms.amount * whole / DAYS_A_YEAR
        cost = terms.amount * days / DAYS_A_YEAR
    else:
        planned = terms.amount
        cost = terms.amount * days / whole
    difference = ZERO
    if terms.invoiced is not None:
        difference = (terms.invoiced - quantize(planned, quantum)) * days / whole
    return Accrued(estimated=quantize(cost, quantum), difference=quantize(difference, quantum))
