"""Every kind of dealing has a service, a page, an API path, an admin form and a document; and what
must not be dealt is refused over the API by a stable code that changes nothing."""

from __future__ import annotations

import importlib
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib import admin
from django.urls import reverse
from rest_framework.test import APIClient

from investors.models import DealingOrder, DealingProposal, Fund, Holding, Investor, ShareClass
from investors.services.policies import approve_terms, propose_terms
from investors.tests.fund_support import FIRST, SmallFund, make_fund_of
from magnetfund.core.models import AuditEvent
from magnetfund.core.roles import Role
from magnetfund.kernel.clock import utc_now
from magnetfund.operations.people import ensure_user
from magnetfund.web.administration.money import ACTIONS, FORMS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "accounting" / "dealing.md"


def rows_of_the_table() -> list[list[str]]:
    text = PAGE.read_text().split("## Where each kind is reached", 1)[1]
    lines = [line for line in text.splitlines() if line.startswith("|")][2:]
    return [[cell.strip(" `") for cell in line.strip("|").split("|")] for line in lines]


@pytest.mark.parametrize("row", rows_of_the_table(), ids=lambda row: row[0])
def test_no_cell_is_empty_and_each_is_there(row: list[str]):
    _, service, page, api, table, document = row
    for path in (service, document):
        module, name = path.rsplit(".", 1)
        assert callable(getattr(importlib.import_module(module), name))
    assert reverse(page).startswith("/")
    assert reverse(api).startswith("/api/")
    assert table in FORMS
    assert table in ACTIONS
    assert any(model._meta.label_lower == table for model in admin.site._registry)


def test_the_table_names_every_kind_of_order_and_proposal():
    named = " ".join(row[0] for row in rows_of_the_table())
    kinds = {*DealingOrder.Kind.values, *DealingProposal.Kind.values}
    assert {kind for kind in kinds if kind not in named} == set()


@pytest.fixture
def small(db: Any) -> SmallFund:
    """Ann holds 100 units of A, 40 of B in lock-up; A has minimums."""
    fund = make_fund_of(
        "main",
        {
            "A": {"minimum_redemption": "200", "minimum_holding": "1000"},
            "B": {"lock_up": "hard", "lock_up_days": 36500},
        },
    )
    fund.day(FIRST)
    fund.subscribe("ann", "10000", before=FIRST)
    fund.subscribe("ann", "4000", before=FIRST, code="B")
    fund.subscribe("bob", "10000", before=FIRST)
    ann = fund.investor("ann")
    ann.user = ensure_user(email=ann.email, name="Ann", roles=[Role.INVESTOR])
    ann.save(update_fields=["user"])
    fund.strike(FIRST)
    fund.day((utc_now() + timedelta(days=30)).replace(microsecond=0))
    ShareClass.objects.filter(code="B").update(minimum_subscription=5000)
    return fund


SUBSCRIBE, WITHDRAW, SWITCH = (
    f"/api/investor/{name}" for name in ("subscribe", "withdraw", "switch")
)
A, B = {"share_class": "A"}, {"share_class": "B"}
INTO_B = {**A, "into_class": "B"}
REFUSED: list[tuple[str, dict[str, Any], str]] = [
    (SUBSCRIBE, {**A, "amount": "0"}, "not_positive"),
    (SUBSCRIBE, {**A, "amount": "-1"}, "not_positive"),
    (SUBSCRIBE, {**A, "amount": "1.001"}, "too_fine"),
    (SUBSCRIBE, {**A, "amount": "NaN"}, "invalid_input"),
    (SUBSCRIBE, {**A, "amount": "Infinity"}, "invalid_input"),
    (SUBSCRIBE, {"share_class": "Z", "amount": "100"}, "no_class"),
    (WITHDRAW, {**A, "units": "0"}, "not_positive"),
    (WITHDRAW, {**A, "units": "-1"}, "not_positive"),
    (WITHDRAW, {**A, "units": "0.0000001"}, "too_fine"),
    (WITHDRAW, {**A, "units": "sNaN"}, "invalid_input"),
    (WITHDRAW, {**A, "units": "100.000001"}, "not_enough_units"),
    (WITHDRAW, {**A, "units": "1"}, "below_minimum"),
    (WITHDRAW, {**A, "units": "95"}, "leaves_below_minimum"),
    (WITHDRAW, {**B, "units": "1"}, "locked_up"),
    (WITHDRAW, {**B, "is_all": True}, "locked_up"),
    (WITHDRAW, {**A, "units": "1", "is_all": True}, "invalid_input"),
    (SWITCH, {**INTO_B, "units": "0"}, "not_positive"),
    (SWITCH, {**INTO_B, "units": "100.000001"}, "not_enough_units"),
    (SWITCH, {**INTO_B, "units": "95"}, "leaves_below_minimum"),
    (SWITCH, {**B, "into_class": "A", "units": "1"}, "locked_up"),
    (SWITCH, {**A, "into_class": "A", "units": "1"}, "same_class"),
    (SWITCH, {**A, "into_class": "Z", "units": "1"}, "no_class"),
]


def post(small: SmallFund, path: str, body: dict[str, Any], key: str = "k") -> Any:
    client = APIClient()
    client.force_authenticate(small.investor("ann").user)
    return client.post(path, body, format="json", headers={"Idempotency-Key": key})


def state() -> tuple[Any, ...]:
    return (
        list(DealingOrder.objects.order_by("pk").values_list("pk", "state", "updated_at")),
        list(Holding.objects.order_by("pk").values_list("units", "reserved_units")),
        AuditEvent.objects.filter(action__startswith="order.").count(),
    )


def test_what_may_not_be_dealt_is_refused_by_its_code_and_changes_nothing(small: SmallFund):
    before, wrong = state(), []
    for number, (path, body, code) in enumerate(REFUSED):
        answer = post(small, path, body, key=f"k{number}")
        said = answer.json().get("error", {}).get("code")
        if answer.status_code not in (403, 409, 422) or said != code or state() != before:
            wrong.append((path, body, code, answer.status_code, said))
    assert wrong == []


def test_closed_suspended_held_and_unapproved_are_refused_and_a_key_is_one_body(
    small: SmallFund,
):
    order = {**A, "units": "10"}
    assert post(small, WITHDRAW, order, key="one").status_code == 202
    before = state()
    assert post(small, WITHDRAW, {**A, "units": "11"}, key="one").json()["error"]["code"] == (
        "key_reused"
    )
    assert post(small, WITHDRAW, order, key="one").status_code == 202
    ann = Investor.objects.filter(pk=small.investor("ann").pk)
    for kyc, path, code in (
        ("restricted", WITHDRAW, "on_hold"),
        ("review", SUBSCRIBE, "kyc_open"),
    ):
        ann.update(kyc_state=kyc)
        body = {**A, "amount": "100"} if path == SUBSCRIBE else order
        assert post(small, path, body, key=kyc).json()["error"]["code"] == code
    ann.update(kyc_state="approved")
    Fund.objects.update(is_suspended=True)
    for path, body in ((SUBSCRIBE, {**A, "amount": "100"}), (WITHDRAW, order)):
        assert post(small, path, body, key=path).json()["error"]["code"] == "fund_suspended"
    Fund.objects.update(is_suspended=False)
    assert state() == before
    everything = post(small, WITHDRAW, {**A, "is_all": True}, key="all")
    assert (everything.status_code, everything.json()["units"]) == (202, None)


def test_into_a_closed_class_nobody_buys_or_switches_while_its_holders_may_leave(
    small: SmallFund,
):
    terms = dict(small.share_class("B").policies.get().terms)
    proposal = propose_terms(
        share_class=small.share_class("B"), terms={**terms, "is_open": False, "lock_up": "none"},
        reason="full", effective_from=utc_now() - timedelta(seconds=1), actor=small.maker,
    )  # fmt: skip
    approve_terms(proposal=proposal, seen_hash=proposal.content_hash, actor=small.checker)
    before = state()
    for path, body in ((SUBSCRIBE, {**B, "amount": "6000"}), (SWITCH, {**INTO_B, "units": "60"})):
        answer = post(small, path, body, key=path)
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "class_closed")
        assert state() == before
    assert post(small, WITHDRAW, {**B, "units": "1"}, key="out").status_code == 202
    assert post(small, SUBSCRIBE, {**A, "amount": "6000"}, key="in").status_code == 202
