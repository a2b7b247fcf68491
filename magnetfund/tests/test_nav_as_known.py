"""NAV(V, K): the same two instants give the same bytes, whatever was booked since."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client
from rest_framework.test import APIClient

from investors.domain.ledger import build_entry
from investors.models import ClassPolicyVersion
from investors.services.ledger import NewEntry, open_since, post_entry
from investors.services.nav_as_known import nav_as_known
from investors.services.policies import set_terms
from investors.tests.fund_support import FIRST, SmallFund, first_of, make_fund
from magnetfund.core.roles import Role
from magnetfund.kernel.clock import isoformat_z, utc_now
from magnetfund.kernel.errors import InvalidInput
from magnetfund.operations.people import ensure_user

pytestmark = pytest.mark.django_db
FEBRUARY, MARCH = first_of(2025, 2), first_of(2025, 3)


@pytest.fixture
def small() -> SmallFund:
    fund = make_fund("main", performance_rate="0.2", management_rate="0.02")
    for at in (FIRST, FEBRUARY, MARCH):
        fund.day(at)
    fund.subscribe("ann", "1000", before=FIRST)
    fund.subscribe("bob", "3000", before=FIRST)
    fund.strike(FIRST)
    fund.earn("400", at=FIRST + timedelta(days=9))
    return fund


def known(small: SmallFund, at: datetime, by: datetime | None = None) -> Any:
    return nav_as_known(fund=small.fund, valuation_at=at, known_at=by or utc_now())


def invoice(small: SmallFund, effective_at: datetime) -> None:
    entry = build_entry(
        event="expense_accrued", source_ref="late", effective_at=effective_at,
        amounts={"amount": 100}, currency="USD", account="5040",
    )  # fmt: skip
    post_entry(small.fund, NewEntry.of(entry), actor=small.maker)


def test_it_is_the_nav_that_was_struck_and_replays_to_equal_bytes(small: SmallFund):
    small.redeem("ann", "4", before=FEBRUARY)
    strike = small.prepare(FEBRUARY)
    by = strike.known_at
    first = known(small, FEBRUARY, by).content()
    assert json.loads(first)["result_hash"] == strike.result_hash
    small.approve(strike)
    small.earn("-200", at=FEBRUARY + timedelta(days=3))
    small.subscribe("bob", "500", before=MARCH)
    small.strike(MARCH)
    assert known(small, FEBRUARY, by).content() == first
    again = known(small, FEBRUARY)
    assert (again.strike.nav, again.is_struck) == (strike.nav, True)


def test_a_late_invoice_counts_in_the_next_open_period(small: SmallFund):
    strike = small.strike(FEBRUARY)
    before = utc_now()
    invoice(small, max(FIRST + timedelta(days=2), open_since(small.fund)))
    assert known(small, FEBRUARY).strike.nav == strike.nav
    without, after = known(small, MARCH, before).strike, known(small, MARCH).strike
    assert without.net_assets - after.net_assets == Decimal(100)
    assert small.strike(MARCH).nav == after.nav
    assert known(small, MARCH, before).strike.nav == without.nav


def test_terms_and_dealing_count_from_when_they_were_recorded(small: SmallFund):
    small.redeem("ann", "4", before=FEBRUARY)
    strike = small.prepare(FEBRUARY)
    undealt = utc_now()
    then = known(small, MARCH, undealt).content()
    small.approve(strike)
    before = utc_now()
    row = set_terms(
        share_class=small.share_class(), terms={}, proposer=small.maker, approver=small.checker,
        effective_from=FEBRUARY + timedelta(days=1),
    )  # fmt: skip
    row.pk, row.version, row.recorded_at = None, row.version + 1, FEBRUARY
    row.save(force_insert=True)  # whatever the caller says, the database says when
    recorded = set(
        ClassPolicyVersion.objects.order_by("-pk").values_list("recorded_at", flat=True)[:2]
    )
    assert all(before < at < utc_now() for at in recorded)
    assert known(small, MARCH, undealt).content() == then
    assert known(small, MARCH).strike.classes[0].units == 36


def test_what_cannot_be_known_is_refused(small: SmallFund):
    for by, code in ((FIRST, "known_before"), (utc_now() + timedelta(days=1), "in_future")):
        with pytest.raises(InvalidInput) as error:
            known(small, FEBRUARY, by)
        assert error.value.code == code


def test_command_and_api_say_the_same(small: SmallFund):
    strike = small.strike(FEBRUARY)
    by, out = isoformat_z(utc_now()), StringIO()
    call_command("nav", at=isoformat_z(FEBRUARY), known=by, json=True, stdout=out)
    client = APIClient()
    client.force_authenticate(ensure_user(email="o@example.com", name="O", roles=[Role.OPERATOR]))
    answer = client.get("/api/nav", {"at": isoformat_z(FEBRUARY), "known": by})
    assert json.loads(out.getvalue()) == answer.json()
    assert Decimal(answer.json()["nav"]) == strike.nav
    assert client.get("/api/nav", {"at": "x"}).status_code == 422
    client.force_authenticate(ensure_user(email="i@example.com", name="I", roles=[Role.INVESTOR]))
    assert client.get("/api/nav", {"at": by}).status_code == 403


def test_the_page_shows_it_or_says_why_not(small: SmallFund):
    strike = small.strike(FEBRUARY)
    client = Client()
    client.force_login(ensure_user(email="o@example.com", name="O", roles=[Role.OPERATOR]))
    path = "/desk/fund/nav/known/"
    shown = client.get(path, {"at": "2025-02-01T00:00"}).content.decode()
    assert f"NAV {strike.nav:,.2f}" in shown
    assert strike.result_hash in shown
    early = client.get(path, {"at": "2025-02-01T00:00", "known": "2025-01-01T00:00"})
    assert (early.status_code, "must not lie before" in early.content.decode()) == (422, True)
    assert client.get(path, {"at": "x"}).status_code == 422
