"""Reading a journal: trial balance and net assets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from investors.domain.exact import ZERO, exactly
from investors.domain.ledger.chart import (
    ACCOUNTS,
    PERFORMANCE_ACCRUAL,
    POCKET_ASSETS,
    find_account,
)
from investors.domain.ledger.types import Leg


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


@exactly
def value_net_assets(
    balances: Mapping[tuple[str, str], Decimal], *, currency: str, with_accrual: bool = True
) -> Decimal:
    """Assets less liabilities in one currency, of balances by account and currency.

    What stands in side pockets is no class's.  Without the accrual it leaves out the uncrystallised
    performance fee, which every strike computes anew.
    """
    return sum(
        (
            amount
            for (account, unit), amount in balances.items()
            if unit == currency
            and account != POCKET_ASSETS
            and find_account(account).kind in ("asset", "liability")
            and (with_accrual or account != PERFORMANCE_ACCRUAL)
        ),
        ZERO,
    )
