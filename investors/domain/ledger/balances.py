"""Reading a journal: trial balance, net assets, units by lot, and the checks before approval."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from investors.domain.exact import ZERO, exactly
from investors.domain.ledger.chart import ACCOUNTS, find_account
from investors.domain.ledger.types import Leg, sum_legs


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialRow:
    """One account in one currency: turnovers (both positive) and balance (debit positive)."""

    account: str
    name: str
    kind: str
    currency: str
    debit: Decimal
    credit: Decimal

    @property
    def balance(self) -> Decimal:
        return self.debit - self.credit


@exactly
def build_trial_balance(legs: Iterable[Leg]) -> tuple[TrialRow, ...]:
    """Turnovers of each (account, currency), in their order.  Reversals count like all others."""
    turnover: dict[tuple[str, str], tuple[Decimal, Decimal]] = {}
    for leg in legs:
        debit, credit = turnover.get((leg.account, leg.currency), (ZERO, ZERO))
        if leg.amount > 0:
            debit += leg.amount
        else:
            credit -= leg.amount
        turnover[leg.account, leg.currency] = (debit, credit)
    return tuple(
        TrialRow(
            account=code,
            name=ACCOUNTS[code].name,
            kind=ACCOUNTS[code].kind,
            currency=currency,
            debit=debit,
            credit=credit,
        )
        for (code, currency), (debit, credit) in sorted(turnover.items())
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class BalanceFault:
    """Why the books may not be approved: a stable code and what is off, in ``currency``."""

    code: str
    currency: str
    amount: Decimal


def check_books(legs: Iterable[Leg]) -> tuple[BalanceFault, ...]:
    """Faults that block an approval: debits unlike credits, or suspense that is open."""
    known = tuple(legs)
    faults = [
        BalanceFault(code="unbalanced", currency=currency, amount=total)
        for currency, total in sorted(sum_legs(known).items())
        if total
    ]
    faults += [
        BalanceFault(code="suspense_open", currency=row.currency, amount=row.balance)
        for row in build_trial_balance(leg for leg in known if leg.account == "1900")
        if row.balance
    ]
    return tuple(faults)


@exactly
def value_net_assets(legs: Iterable[Leg], *, currency: str, with_accrual: bool = True) -> Decimal:
    """Assets less liabilities in one currency.

    Without the accrual it leaves out 2110, the uncrystallised performance fee, which every strike
    computes anew.
    """
    return sum(
        (
            leg.amount
            for leg in legs
            if leg.currency == currency
            and find_account(leg.account).kind in ("asset", "liability")
            and (with_accrual or leg.account != "2110")
        ),
        ZERO,
    )


@exactly
def find_units(legs: Iterable[Leg]) -> dict[UUID, Decimal]:
    """Units of each lot by the ledger (8010); lots that are empty are left out."""
    found: dict[UUID, Decimal] = {}
    for leg in legs:
        if leg.account == "8010" and leg.lot is not None:
            found[leg.lot] = found.get(leg.lot, ZERO) + leg.amount
    return {lot: units for lot, units in found.items() if units}
