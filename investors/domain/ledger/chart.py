"""The fund's chart of accounts.  Debits are positive, credits negative, in every account.

Codes by first digit: 1 assets, 2 liabilities, 3 equity, 4 income, 5 expense, 8 units (counted, not
money), 9 currency trading (a bridge between two currencies, open until revalued).
"""

from __future__ import annotations

from dataclasses import dataclass

from magnetfund.kernel.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class LedgerAccount:
    """One account; ``kind`` is asset, liability, equity, income, expense, units or clearing."""

    code: str
    name: str
    kind: str


CHART: tuple[LedgerAccount, ...] = (
    LedgerAccount("1010", "Bank, operating", "asset"),
    LedgerAccount("1020", "Bank, collection (client money)", "asset"),
    LedgerAccount("1030", "Venue cash and margin", "asset"),
    LedgerAccount("1040", "Stablecoins, difference to par", "asset"),
    LedgerAccount("1100", "Positions at cost", "asset"),
    LedgerAccount("1110", "Unrealised P&L on positions", "asset"),
    LedgerAccount("1120", "Derivatives at market value", "asset"),
    LedgerAccount("1200", "Receivables: trades, interest, cash in transit", "asset"),
    LedgerAccount("1230", "Funding receivable", "asset"),
    LedgerAccount("1300", "Prepayments", "asset"),
    LedgerAccount("1400", "Due from investment manager", "asset"),
    LedgerAccount("1500", "Side-pocket assets", "asset"),
    LedgerAccount("1900", "Suspense (zero at approval)", "asset"),
    LedgerAccount("2010", "Subscriptions received in advance", "liability"),
    LedgerAccount("2015", "Unmatched receipts, due to their senders", "liability"),
    LedgerAccount("2020", "Redemptions payable", "liability"),
    LedgerAccount("2030", "Redemption holdback payable", "liability"),
    LedgerAccount("2040", "Side-pocket proceeds payable", "liability"),
    LedgerAccount("2100", "Management fee payable", "liability"),
    LedgerAccount("2110", "Accrued performance fee (not crystallised)", "liability"),
    LedgerAccount("2120", "Performance fee payable (crystallised)", "liability"),
    LedgerAccount("2130", "Expense accruals", "liability"),
    LedgerAccount("2140", "Trades payable", "liability"),
    LedgerAccount("2150", "Entry and exit fees payable to third parties", "liability"),
    LedgerAccount("2160", "Fee rebates payable to investors", "liability"),
    LedgerAccount("2200", "Borrowings, with negative venue balances", "liability"),
    LedgerAccount("2210", "Interest payable", "liability"),
    LedgerAccount("2220", "Short positions at market value", "liability"),
    LedgerAccount("2230", "Funding payable", "liability"),
    LedgerAccount("2300", "Tax payable and withheld", "liability"),
    LedgerAccount("2310", "NAV-error compensation payable", "liability"),
    LedgerAccount("2320", "Depreciation deposits", "liability"),
    LedgerAccount("2340", "Unallocated money of a fund without units", "liability"),
    LedgerAccount("3010", "Unit capital", "equity"),
    LedgerAccount("3020", "Unit capital, side pocket", "equity"),
    LedgerAccount("3030", "Equalisation credits", "equity"),
    LedgerAccount("3100", "Accumulated result, allocated to lots", "equity"),
    LedgerAccount("3900", "Rounding difference", "equity"),
    LedgerAccount("4010", "Realised gains and losses", "income"),
    LedgerAccount("4020", "Change in unrealised gains and losses", "income"),
    LedgerAccount("4030", "Funding income", "income"),
    LedgerAccount("4040", "Interest and staking income", "income"),
    LedgerAccount("4050", "Foreign-exchange gains and losses", "income"),
    LedgerAccount("4055", "Currency result of stablecoins", "income"),
    LedgerAccount("4060", "Entry and exit fees retained by the fund", "income"),
    LedgerAccount("4070", "NAV-error recovery", "income"),
    LedgerAccount("5010", "Management fee", "expense"),
    LedgerAccount("5020", "Performance fee", "expense"),
    LedgerAccount("5030", "Administration", "expense"),
    LedgerAccount("5040", "Audit", "expense"),
    LedgerAccount("5050", "Custody", "expense"),
    LedgerAccount("5060", "Legal", "expense"),
    LedgerAccount("5070", "Bank charges", "expense"),
    LedgerAccount("5080", "Tax expense", "expense"),
    LedgerAccount("5090", "Trading fees", "expense"),
    LedgerAccount("5100", "Funding and borrow cost", "expense"),
    LedgerAccount("5110", "NAV-error loss", "expense"),
    LedgerAccount("8010", "Units held, by lot", "units"),
    LedgerAccount("8020", "Units in issue (contra)", "units"),
    LedgerAccount("9010", "Currency trading", "clearing"),
)
ACCOUNTS: dict[str, LedgerAccount] = {account.code: account for account in CHART}

#: Accounts that a service reads or settles against by what they are.
BANK, VENUE_CASH = "1010", "1030"
DERIVATIVES, SUSPENSE = "1120", "1900"
COIN_DIFFERENCE, COIN_RESULT = "1040", "4055"
CLIENT_MONEY, DEALING_FEES = "2010", "4060"
UNMATCHED, REDEMPTIONS_PAYABLE, HOLDBACK = "2015", "2020", "2030"
MANAGEMENT_PAYABLE, PERFORMANCE_ACCRUAL = "2100", "2110"
PERFORMANCE_PAYABLE, EXPENSES_PAYABLE, REBATES_PAYABLE = "2120", "2130", "2160"
COMPENSATION_PAYABLE = "2310"
POCKET_ASSETS, POCKET_CAPITAL, POCKET_PAYABLE = "1500", "3020", "2040"
UNALLOCATED, UNIT_CAPITAL, UNITS_HELD = "2340", "3010", "8010"
#: What the bank must hold after a dealing day until people pay it.
OWED_FROM_BANK = (
    REDEMPTIONS_PAYABLE, HOLDBACK, MANAGEMENT_PAYABLE, PERFORMANCE_PAYABLE, REBATES_PAYABLE,
    COMPENSATION_PAYABLE, POCKET_PAYABLE,
)  # fmt: skip
#: Accounts that no lot has a part of: the accrual and the contra of units are the class's, what
#: rounding leaves is the fund's.
POOLED = frozenset((PERFORMANCE_ACCRUAL, "3900", "8020"))
#: Where the carrying value of a claim stands before it is set apart in a side pocket.
POCKET_SOURCES = ("1030", "1200")
#: Accounts that an administrator's choice of expense may name.
EXPENSES = ("5030", "5040", "5050", "5060", "5070", "5080")


def find_account(code: str) -> LedgerAccount:
    """The account of a code; raises ``InvalidInput`` (``unknown_account``)."""
    try:
        return ACCOUNTS[code]
    except KeyError:
        raise InvalidInput(f"no account {code!r}", code="unknown_account") from None
