"""Every kind of dealing has a service, a page, an API path, an admin form and a document; and what
must not be dealt is refused over the API by a stable code that changes nothing."""

from __future__ import annotations

import importlib
import inspect
import re
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.contrib import admin
from django.test import Client
from django.urls import NoReverseMatch, reverse
from rest_framework.test import APIClient

from investors.models import DealingOrder, DealingProposal, Holding, Investor, ShareClass
from investors.services.papers import TEMPLATES
from investors.services.payment_drafts import payable_of
from investors.services.policies import approve_terms, propose_terms
from investors.tests.fund_support import (
    FIRST,
    SmallFund,
    first_of,
    make_fund_of,
    switch_dealing,
)
from magnetfund.core.models import AuditEvent
from magnetfund.core.roles import Role
from magnetfund.kernel.clock import utc_now
from magnetfund.operations.people import ensure_user
from magnetfund.web.administration.money import ACTIONS, FORMS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "accounting" / "dealing.md"
#: Steps on an order that is there, so that the admin needs no form for a new row.
DECIDED_ON_AN_ORDER = ("deferral withdrawn", "what was withheld, released")


def rows_of_the_table() -> list[list[str]]:
    text = PAGE.read_text().split("## Where each kind is reached", 1)[1]
    lines = [line for line in text.splitlines() if line.startswith("|")][2:]
    return [[cell.strip(" `") for cell in line.strip("|").split("|")] for line in lines]


@pytest.mark.parametrize("row", rows_of_the_table(), ids=lambda row: row[0])
def test_no_cell_is_empty_and_each_is_there(row: list[str]):
    kind, service, page, api, table, document = row
    for path in (service, document):
        module, name = path.rsplit(".", 1)
        assert callable(getattr(importlib.import_module(module), name))
    assert path_of(page).startswith("/")
    assert path_of(api).startswith("/api/")
    assert table in ACTIONS
    assert table in FORMS or kind in DECIDED_ON_AN_ORDER
    (registered,) = (row for row in admin.site._registry.values() if row.opts.label_lower == table)
    assert registered.search_fields
    assert registered.list_filter
    # What a document prints is set from a template that is there.
    described = importlib.import_module(document.rsplit(".", 1)[0])
    names = re.findall(r'"(\w+\.typ)"', inspect.getsource(described))
    assert names
    assert all((TEMPLATES / name).is_file() for name in names)


def path_of(name: str) -> str:
    """The address of a view, also of one that is about a row."""
    try:
        return reverse(name)
    except NoReverseMatch:
        return reverse(name, args=[uuid4()])


@pytest.mark.django_db
def test_the_register_is_found_by_holder_and_divided_by_class_in_the_admin(small: SmallFund):
    clerk = Client()
    clerk.force_login(ensure_user(email="acc@example.com", name="x", roles=[Role.ACCOUNTANT]))
    path = "/admin/investors/holding/"
    page = clerk.get(path, {"q": "Ann"}).content.decode()
    assert "main-ann" in page
    assert "main-bob" not in page
    lots = clerk.get("/admin/investors/unitlot/", {"q": "main-bob"})
    assert lots.context["cl"].result_count == 1
    divided = clerk.get(path, {"share_class__id__exact": small.share_class("B").pk})
    assert divided.context["cl"].result_count == 1
    held = [str(row.pk) for row in Holding.objects.all()]
    exported = clerk.post(path, {"action": "export_csv", "_selected_action": held})
    assert len(exported.content.decode().splitlines()) == 1 + len(held)


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
    switch_dealing(small.fund, suspends=True)
    for path, body in ((SUBSCRIBE, {**A, "amount": "100"}), (WITHDRAW, order)):
        assert post(small, path, body, key=path).json()["error"]["code"] == "fund_suspended"
    switch_dealing(small.fund, suspends=False)
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


@pytest.mark.django_db
def test_what_was_withheld_is_released_by_api_and_admin():
    fund, second = make_fund_of("main", {"A": {"holdback_share": "0.05"}}), first_of(2025, 2)
    for at in (FIRST, second):
        fund.day(at)
    for name in ("ann", "bob", "cyd"):
        fund.subscribe(name, "1000", before=FIRST)
    fund.strike(FIRST)
    orders = [fund.redeem(name, None, before=second) for name in ("ann", "bob")]
    fund.strike(second)
    robot, signer = APIClient(), Client()
    assert fund.checker.user is not None
    robot.force_authenticate(fund.checker.user)
    signer.force_login(fund.checker.user)
    path = f"/api/money/orders/{orders[0].pk}/holdback"
    for body, status, code in (
        ({"reason": " "}, 422, "invalid_input"),
        ({"reason": "audit of 2025 signed"}, 200, ""),
        ({"reason": "audit of 2025 signed"}, 409, "nothing_owed"),
    ):
        headers = {"Idempotency-Key": uuid4().hex}
        answer = robot.post(path, body, format="json", headers=headers)
        said = answer.json().get("error", {}).get("code", "")
        assert (answer.status_code, said) == (status, code)
    page = signer.get("/admin/investors/dealingorder/", {"q": "ann"}).content.decode()
    assert "Release what was withheld" in page
    chosen = {"action": "release_what_was_withheld", "_selected_action": [str(orders[1].pk)]}
    signer.post("/admin/investors/dealingorder/", chosen)
    for order in orders:
        order.refresh_from_db()
        assert (order.held_amount, payable_of(order)) == (0, 1000)
    assert AuditEvent.objects.filter(action="order.holdback_released").count() == 2
