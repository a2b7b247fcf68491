"""Events of the fund's running income and expenses."""

from __future__ import annotations

from investors.domain.ledger.chart import EXPENSES
from investors.domain.ledger.types import CHOSEN, Event, money

INCOME_EXPENSE: tuple[Event, ...] = (
    Event(
        name="income_received",
        meaning="Staking or interest income in cash, or in coins at fair value",
        rules=(money("cash", "1030", "4040"), money("coins", "1100", "4040")),
    ),
    Event(
        name="airdrop_received",
        meaning="Coins from an airdrop or a fork, at fair value once under control",
        rules=(money("value", "1100", "4040"),),
    ),
    Event(
        name="expense_accrued",
        meaning="Budgeted expense of the period",
        rules=(money("amount", CHOSEN, "2130"),),
        choices=EXPENSES,
    ),
    Event(
        name="invoice_difference",
        meaning="The invoice differs from what was accrued; below it is the mirror",
        rules=(money("difference", CHOSEN, "2130", either_sign=True),),
        choices=EXPENSES,
    ),
    Event(
        name="expense_paid",
        meaning="An invoice left the bank",
        rules=(money("amount", "2130", "1010"),),
    ),
    Event(
        name="expense_cap",
        meaning="Expenses above the cap of the class are due from the manager",
        rules=(money("amount", "1400", CHOSEN),),
        choices=EXPENSES,
    ),
    Event(
        name="manager_paid",
        meaning="The manager paid what was due",
        rules=(money("amount", "1010", "1400"),),
    ),
    Event(
        name="prepaid",
        meaning="An expense of later periods was paid",
        rules=(money("amount", "1300", "1010"),),
    ),
    Event(
        name="prepayment_amortised",
        meaning="This period's part of a prepayment",
        rules=(money("amount", CHOSEN, "1300"),),
        choices=EXPENSES,
    ),
    Event(
        name="tax_paid",
        meaning="Tax withheld went to the authority",
        rules=(money("amount", "2300", "1010"),),
    ),
)
