"""What a controller sees of a prepared NAV before signing it."""

from __future__ import annotations

import pytest
from django.test import Client

from investors.tests.fund_support import FIRST, first_of, make_fund
from magnetfund.core.roles import Role
from magnetfund.operations.people import ensure_user

pytestmark = pytest.mark.django_db


def test_the_approver_sees_prices_totals_and_what_approval_deals():
    small = make_fund("main", performance_rate="0.2")
    second = first_of(2025, 2)
    for at in (FIRST, second):
        small.day(at)
    small.subscribe("ann", "10000", before=FIRST)
    small.strike(FIRST)
    small.redeem("ann", "25", before=second)
    small.subscribe("bob", "4000", before=second)
    small.prepare(second)
    client = Client()
    controller = ensure_user(email="con@example.com", name="Con", roles=[Role.CONTROLLER])
    client.force_login(controller)
    page = " ".join(client.get("/desk/fund/").content.decode().split())
    assert "Dealing price per unit<small>before performance fee</small>" in page
    for total in ("Assets", "Liabilities", "Net assets before fees"):
        assert f"<dt>{total}</dt>" in page
    dealt = page[page.index("Dealt on approval") :]
    assert "4,000.00 in, −2,500.00 out" in dealt
    assert "Redemption, class A<small >Ann" in dealt
    assert "Subscription, class A<small >Bob" in dealt
