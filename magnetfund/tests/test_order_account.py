"""What an order came to, net of every fee: one account on page, note and API, and the ledger's."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db.models import Sum
from django.test import Client
from rest_framework_simplejwt.tokens import RefreshToken

from investors.domain.ledger.chart import (
    DEALING_FEES,
    HOLDBACK,
    PERFORMANCE_PAYABLE,
    REDEMPTIONS_PAYABLE,
    UNIT_CAPITAL,
)
from investors.models import DealingOrder, Posting, UnitEntry
from investors.services.ledger import read_balances
from investors.services.order_figures import account_for
from investors.services.papers import describe_note, list_notes
from investors.services.verification import verify_fund
from investors.tests.fund_support import FIRST, SmallFund, first_of, make_fund
from magnetfund.core.models import User
from magnetfund.tests.test_portal_own import client_of

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("token_keys")]
FEBRUARY, MARCH = first_of(2025, 2), first_of(2025, 3)
CENT = Decimal("0.01")


@pytest.fixture
def small() -> SmallFund:
    """Ann and Bob buy, the fund gains a tenth, and Ann leaves: every fee is due."""
    fund = make_fund(
        "main", entry_fee_rate="0.01", exit_fee_rate="0.02", performance_rate="0.2",
        holdback_share="0.05",
    )  # fmt: skip
    for at in (FIRST, FEBRUARY, MARCH):
        fund.day(at)
    fund.subscribe("ann", "10000", before=FIRST)
    fund.subscribe("bob", "10000", before=FIRST)
    fund.strike(FIRST)
    fund.earn("2000", at=FEBRUARY - timedelta(days=3))
    fund.redeem("ann", None, before=FEBRUARY)
    fund.strike(FEBRUARY)
    return fund


def orders(small: SmallFund) -> dict[str, DealingOrder]:
    rows = DealingOrder.objects.filter(investor=small.investor("ann"))
    return {row.kind: row for row in rows.select_related("share_class__fund", "strike")}


def posted(order: DealingOrder, account: str) -> Decimal:
    """What the ledger says on an account of an order's own lots at its NAV; credit is positive."""
    assert order.strike is not None
    rows = Posting.objects.filter(
        entry__effective_at=order.strike.valuation_at,
        lot__in=UnitEntry.objects.filter(order=order).values("lot"),
        account=account,
    )
    return -(rows.aggregate(total=Sum("amount"))["total"] or Decimal(0))


def amounts(order: DealingOrder) -> dict[str, Decimal]:
    found = account_for(order)
    assert found is not None
    return {line.label: line.amount for line in found.lines}


def ask(small: SmallFund, order: DealingOrder, name: str = "ann") -> Any:
    user = User.objects.get(investor=small.investor(name))
    headers = {"Authorization": f"Bearer {RefreshToken.for_user(user).access_token}"}
    return Client().get(f"/api/investor/orders/{order.pk}", headers=headers)


def test_the_account_of_a_subscription_is_the_ledgers(small: SmallFund):
    order = orders(small)["subscription"]
    said = amounts(order)
    assert said["Amount received"] == 10_000
    assert -said["Subscription fee"] == posted(order, DEALING_FEES) > 0
    assert said["Invested in units"] == posted(order, UNIT_CAPITAL)
    assert said["Amount received"] + said["Subscription fee"] == said["Invested in units"]


def test_the_account_of_a_redemption_is_the_ledgers(small: SmallFund):
    order = orders(small)["redemption"]
    said = amounts(order)
    assert -said["Performance fee of the lots"] == posted(order, PERFORMANCE_PAYABLE) > 0
    assert -said["Exit and early redemption fee"] == posted(order, DEALING_FEES) > 0
    assert said["Proceeds"] == order.dealt_amount
    balances = read_balances(small.fund)
    held, owed = (-balances[code, "USD"] for code in (HOLDBACK, REDEMPTIONS_PAYABLE))
    assert -said["Withheld until the audit"] == order.held_amount == held > 0
    assert said["Still to be paid"] == owed
    gross = said["Units of A at the dealing price"]
    fees = said["Performance fee of the lots"] + said["Exit and early redemption fee"]
    assert gross + fees == said["Proceeds"]
    assert verify_fund(small.fund) == []


@pytest.mark.parametrize("kind", ["subscription", "redemption"])
def test_page_note_and_api_say_the_same_lines(small: SmallFund, kind: str):
    ann = client_of(small.investor("ann"))
    order = orders(small)[kind]
    found = account_for(order)
    assert found is not None
    [strike] = list_notes(order)
    deal = {
        name: text
        for part in describe_note(order, strike, "N-1")["parts"]
        if part["name"] == "Deal"
        for name, text in part["rows"]
    }
    answer = ask(small, order).json()
    page = " ".join(ann.get(f"/orders/{order.pk}/").content.decode().split())
    said = [(line["words"], Decimal(line["amount"])) for line in answer["account"]]
    assert said == [(line.label, line.amount) for line in found.lines]
    assert sum(Decimal(lot["units"]) for lot in answer["lots"]) == order.dealt_units
    for line in found.dealt:
        shown = f"{line.amount:,.2f}"
        assert deal[line.label] == (f"{shown} USD" if line.amount else line.note), line.label
        assert line.label in page
        if line.amount:
            assert f"{abs(line.amount):,.2f}" in page, line.label
    assert answer["currency"] == "USD"


def test_an_order_is_its_holders_alone_and_empty_before_it_is_dealt(small: SmallFund):
    for name in ("ann", "bob"):
        client_of(small.investor(name))
    order = orders(small)["redemption"]
    assert ask(small, order, "bob").status_code == 404
    waiting = small.redeem("bob", "1", before=MARCH)
    answer = ask(small, waiting, "bob").json()
    assert (answer["account"], answer["lots"]) == ([], [])
