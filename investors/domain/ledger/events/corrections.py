"""Events that put a wrong net asset value right."""

from __future__ import annotations

from investors.domain.ledger.types import CHOSEN, Event, money, units_in

CORRECTIONS: tuple[Event, ...] = (
    Event(
        name="difference_suspended",
        meaning="A difference to the bank's or venue's balance waits for its explanation",
        rules=(money("amount", CHOSEN, "1900", either_sign=True),),
        choices=("1010", "1020", "1030"),
    ),
    Event(
        name="error_recovered",
        meaning="The responsible manager owes the fund its loss from a wrong NAV",
        rules=(money("amount", "1400", "4070"),),
    ),
    Event(
        name="compensation_owed",
        meaning="A holder is owed for a deal at a wrong price, by the fund or by the manager",
        rules=(money("amount", CHOSEN, "2310"),),
        choices=("1400", "5110"),
    ),
    Event(
        name="compensation_paid",
        meaning="Compensation left the bank",
        rules=(money("amount", "2310", "1010"),),
    ),
    Event(
        name="compensation_units",
        meaning="Compensation was made good in units at the right price",
        rules=(money("amount", "2310", "3010"), money("residue", "2310", "3900"), units_in()),
    ),
)
