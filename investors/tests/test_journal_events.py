"""The pure journal: every event balances, and known histories give known books."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal as D
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from investors.domain.ledger import (
    ACCOUNTS,
    CHART,
    EVENTS,
    JournalEntry,
    Leg,
    Measure,
    Tags,
    build_entry,
    build_trial_balance,
    reverse_entry,
    sum_legs,
    value_net_assets,
)
from investors.domain.ledger.chart import POOLED
from investors.domain.ledger.types import CHOSEN
from magnetfund.kernel.errors import InvalidInput, InvariantBroken

NOW = datetime(2026, 1, 31, 16, tzinfo=UTC)
ONE, TWO = UUID(int=1), UUID(int=2)
A, B = Tags(share_class="A", lot=ONE), Tags(share_class="B", lot=TWO)
cents = st.decimals(min_value="0.01", max_value="1000000000", places=2)


def entry(event: str, number: int = 1, account: str = "", **amounts: str | D) -> JournalEntry:
    return build_entry(
        event=event,
        source_ref=f"{event}:{number}",
        effective_at=NOW,
        amounts=amounts,
        fund="MAGNET",
        tags=A,
        other=B if event == "switch_dealt" else Tags(share_class="A", lot=TWO),
        other_currency="BTC",
        account=account,
    )


def test_every_event_names_accounts_of_the_chart_and_every_account_is_used() -> None:
    used = {"3100"}
    for event in EVENTS.values():
        for rule in event.rules:
            for code in (rule.debit, rule.credit):
                assert code in ACCOUNTS or (code == CHOSEN and event.choices)
                used.add(code)
        assert set(event.choices) <= set(ACCOUNTS)
        used |= set(event.choices)
    assert used - {CHOSEN} == {account.code for account in CHART}


@given(event=st.sampled_from(sorted(EVENTS)), data=st.data())
def test_every_entry_balances_in_each_currency_and_its_reversal_undoes_it(
    event: str, data: st.DataObject
) -> None:
    rules = EVENTS[event]
    amounts = {}
    for rule in rules.rules:
        sign = data.draw(st.sampled_from([1, -1])) if rule.either_sign else 1
        amounts[rule.part] = data.draw(cents) * sign
    account = data.draw(st.sampled_from(rules.choices)) if rules.choices else ""
    made = entry(event, account=account, **amounts)
    assert not any(sum_legs(made.legs).values())
    # Each lot's units stand on their own; the contra is one a class, and none where it is level.
    units = [rule for rule in rules.rules if rule.measure is Measure.UNITS]
    assert sum(leg.account == "8010" for leg in made.legs) == len(units)
    contra = [leg.share_class for leg in made.legs if leg.account == "8020"]
    assert len(contra) == len(set(contra)), "a switch has one in each of its classes"
    assert not any(leg.lot for leg in made.legs if leg.account in POOLED)
    undone = reverse_entry(made, source_ref="undo", effective_at=NOW, text="wrong order")
    assert undone.reverses == made.source_ref
    rows = build_trial_balance([*made.legs, *undone.legs])
    assert all(row.balance == 0 and row.debit > 0 for row in rows)


def a_year() -> list[JournalEntry]:
    return [
        entry("subscription_received", amount="1000"),
        entry("entry_fee", to_fund="10"),
        entry("units_issued", consideration="989.99", residue="0.01", units="9.8999"),
        entry("collection_swept", amount="1000"),
        entry("venue_funded", amount="1000"),
        entry("trade_fill", realised="100", fee="2"),
        entry("mark_to_market", account="1120", change="-8"),
        entry("management_fee", amount="15"),
        entry("performance_fee_accrual", amount="5"),
    ]


def balances_of(legs: list[Leg]) -> dict[tuple[str, str], D]:
    return {(row.account, row.currency): row.balance for row in build_trial_balance(legs)}


def units_of_one(legs: list[Leg]) -> D:
    return sum((leg.amount for leg in legs if (leg.account, leg.lot) == ("8010", ONE)), D(0))


def test_net_assets_are_the_equity_and_the_result() -> None:
    legs = [leg for made in a_year() for leg in made.legs]
    assert value_net_assets(balances_of(legs), currency="USD") == D("1070")
    assert value_net_assets(balances_of(legs), currency="USD", with_accrual=False) == D("1075")
    assert units_of_one(legs) == D("9.8999")
    assert not any(sum_legs(legs).values())


def test_an_unmatched_receipt_is_owed_and_a_difference_stands_in_suspense() -> None:
    """A stranger's 70 USD are owed to the stranger; a difference to the bank is nobody's yet."""
    legs = list(entry("unknown_receipt", amount="70").legs)
    assert ("1900", "USD") not in balances_of(legs)
    legs += entry("receipt_identified", amount="70").legs
    legs += entry("difference_suspended", amount="-70", account="1010").legs
    assert balances_of(legs)["1900", "USD"] == 70
    legs += entry("difference_suspended", amount="70", account="1010").legs
    assert balances_of(legs)["1900", "USD"] == 0


def test_crystallising_leaves_net_assets_with_accrual_and_the_lot_unchanged_but_for_dust() -> None:
    legs = [leg for made in a_year() for leg in made.legs]
    made = entry(
        "performance_fee_crystallised", payable="4.99", dust="0.01", reclass="4.9", units="0.0462"
    )
    after = [*legs, *made.legs]
    assert value_net_assets(balances_of(after), currency="USD") == D("1070.01")
    assert units_of_one(after) == D("9.8537")


def test_a_currency_bought_balances_in_both_currencies() -> None:
    made = entry("currency_converted", bought="0.5", sold="25000", fee="10")
    assert sum_legs(made.legs) == {"BTC": 0, "USD": 0}


@pytest.mark.parametrize(
    ("event", "account", "amounts", "code"),
    [
        ("no_such_event", "", {"amount": "1"}, "unknown_event"),
        ("management_fee", "", {"amout": "1"}, "unknown_part"),
        ("redemption_paid", "", {"amount": "-1"}, "negative"),
        ("expense_accrued", "1010", {"amount": "1"}, "account_not_allowed"),
        ("expense_accrued", "", {"amount": "1"}, "account_not_allowed"),
        ("redemption_paid", "1010", {"amount": "1"}, "account_not_allowed"),
        ("redemption_paid", "", {"amount": "0"}, "empty_entry"),
    ],
)
def test_bad_events_are_refused(
    event: str, account: str, amounts: dict[str, str], code: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        entry(event, account=account, **amounts)
    assert refused.value.code == code


def test_units_without_a_lot_are_refused() -> None:
    with pytest.raises(InvalidInput, match="fund, class and lot"):
        build_entry(event="units_issued", source_ref="x", effective_at=NOW, amounts={"units": "1"})


def test_an_entry_that_does_not_balance_cannot_be_made() -> None:
    legs = (Leg(account="1010", amount=D(1)), Leg(account="2010", amount=D(-2)))
    with pytest.raises(InvariantBroken):
        JournalEntry(kind="x", source_ref="x", effective_at=NOW, legs=legs)
