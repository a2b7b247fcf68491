"""Legs, entries and the rules that make them.  Debits are positive, credits negative.

An entry balances in each currency alone; units of a class are a currency of their own
(``U:<fund>:<class>``), so that the register of units is kept by the same double entry.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from investors.domain.exact import ZERO, exactly
from investors.domain.ledger.chart import find_account
from magnetfund.kernel.clock import require_utc
from magnetfund.kernel.errors import InvalidInput, InvariantBroken
from magnetfund.kernel.money import decimal_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Leg:
    """One posting: debit positive, credit negative, never zero."""

    account: str
    amount: Decimal
    currency: str = "USD"
    share_class: str = ""
    lot: UUID | None = None
    instrument: str = ""
    strategy: str = ""

    def __post_init__(self) -> None:
        find_account(self.account)
        if decimal_of(self.amount) == 0:
            raise InvalidInput("a leg moves something", code="zero_leg")


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalEntry:
    """One event as it will stand in the ledger: at least two legs, balanced per currency.

    Raises :class:`InvariantBroken` when it does not balance: an unbalanced entry is a defect.
    """

    kind: str
    source_ref: str
    effective_at: datetime
    legs: tuple[Leg, ...]
    text: str = ""
    reverses: str = ""

    def __post_init__(self) -> None:
        require_utc(self.effective_at)
        if not self.source_ref:
            raise InvalidInput("an entry names its source", code="no_source")
        if len(self.legs) < 2:
            raise InvalidInput("an entry has at least two legs", code="empty_entry")
        wrong = {currency: total for currency, total in sum_legs(self.legs).items() if total}
        if wrong:
            raise InvariantBroken(f"entry {self.source_ref} does not balance: {wrong}")


@exactly
def sum_legs(legs: Iterable[Leg]) -> dict[str, Decimal]:
    """Debits less credits of each currency; all zero in a balanced set."""
    sums: dict[str, Decimal] = {}
    for leg in legs:
        sums[leg.currency] = sums.get(leg.currency, ZERO) + leg.amount
    return sums


class Measure(StrEnum):
    """What a rule moves: the entry's currency, the second currency, or units of a class."""

    MONEY = "money"
    OTHER_MONEY = "other_money"
    UNITS = "units"


#: Stands for the account that the caller chooses from the event's list.
CHOSEN = "chosen"


@dataclass(frozen=True, slots=True, kw_only=True)
class PostingRule:
    """Move the amount named ``part`` from the credited to the debited account.

    ``debit_to_other`` and ``credit_to_other`` put a side on the second set of tags (the new lot,
    the receiving venue).  A part with ``either_sign`` may be negative, which is its mirror entry;
    any other part may not.
    """

    part: str
    debit: str
    credit: str
    measure: Measure = Measure.MONEY
    either_sign: bool = False
    debit_to_other: bool = False
    credit_to_other: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """An accounting event: its stable name, its meaning in one sentence, and its rules."""

    name: str
    meaning: str
    rules: tuple[PostingRule, ...]
    choices: tuple[str, ...] = ()

    @property
    def parts(self) -> frozenset[str]:
        """Names of the amounts that the event takes."""
        return frozenset(rule.part for rule in self.rules)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tags:
    """Where a side of an entry belongs: class, lot, instrument, strategy.

    Units with a ``pocket`` are those of that side pocket, a currency of their own.
    """

    share_class: str = ""
    lot: UUID | None = None
    instrument: str = ""
    strategy: str = ""
    pocket: str = ""


def money(part: str, debit: str, credit: str, *, either_sign: bool = False) -> PostingRule:
    """A rule that moves the entry's currency."""
    return PostingRule(part=part, debit=debit, credit=credit, either_sign=either_sign)


def units_in(part: str = "units", *, other: bool = False) -> PostingRule:
    """Units into a lot (that of the second tags with ``other``)."""
    return PostingRule(
        part=part,
        debit="8010",
        credit="8020",
        measure=Measure.UNITS,
        debit_to_other=other,
        credit_to_other=other,
    )


def units_out(part: str = "units") -> PostingRule:
    """Units out of the first tags' lot."""
    return PostingRule(part=part, debit="8020", credit="8010", measure=Measure.UNITS)


def between_lots(part: str, account: str, *, either_sign: bool = False) -> PostingRule:
    """Equity out of the first tags' lot into the second tags' lot."""
    return PostingRule(
        part=part, debit=account, credit=account, credit_to_other=True, either_sign=either_sign
    )
