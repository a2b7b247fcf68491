"""What the house may not do with money and NAVs: refused over HTTP by a stable code, nothing moved.

Orders of investors have their own list in ``test_dealing_reach.py``.
"""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from investors.models import (
    DealingOrder,
    Entry,
    NavStrike,
    PayeeAccount,
    Payment,
    StatementFile,
    StatementLine,
)
from investors.services.money_accounts import add_payee, approve_payee
from investors.services.payment_drafts import prepare_proceeds
from investors.tests.fund_support import SmallFund, first_of
from magnetfund.core.models import AuditEvent
from magnetfund.core.roles import Role
from magnetfund.kernel.clock import VirtualClock, use_clock, utc_now
from magnetfund.operations.people import ensure_user
from magnetfund.tests.test_desk_payments import client_of, small
from magnetfund.tests.walls_support import make_user

__all__ = ["small"]
pytestmark = pytest.mark.django_db
HEADS = "reference,booked_at,amount,currency,party,party_account,text"
LINE = "B-1,2025-02-10T08:00:00Z,12.00,USD,Ann,SIM11111,x"


def state() -> tuple[Any, ...]:
    """Everything that moves money or units, and what was written down of it."""
    return (
        list(Payment.objects.order_by("pk").values_list("pk", "state", "approved_by", "file")),
        list(DealingOrder.objects.order_by("pk").values_list("pk", "state", "paid_amount")),
        list(NavStrike.objects.order_by("pk").values_list("pk", "state")),
        list(StatementLine.objects.order_by("pk").values_list("pk", "outcome", "allocated")),
        StatementFile.objects.count(),
        Entry.objects.count(),
        AuditEvent.objects.exclude(action__startswith="account.").count(),
    )


def post(role: Role, path: str, body: dict[str, Any], key: str) -> tuple[int, str]:
    return send(client_of(role), path, body, key)


def two_hats() -> Client:
    """Somebody who may both prepare and approve."""
    client = Client()
    roles = [Role.ACCOUNTANT, Role.CONTROLLER]
    client.force_login(ensure_user(email="both@example.com", name="Both", roles=roles))
    return client


def send(client: Client, path: str, body: dict[str, Any], key: str) -> tuple[int, str]:
    answer = client.post(
        path, json.dumps(body), content_type="application/json", headers={"Idempotency-Key": key}
    )
    return answer.status_code, answer.json().get("error", {}).get("code", "")


def payee_of(small: SmallFund, name: str, number: str, *, is_approved: bool) -> PayeeAccount:
    owner = small.investor(name)
    row = add_payee(
        fund=small.fund, investor=owner, kind="bank", number=number, currency="USD",
        name=owner.legal_name, evidence="call-back", actor=small.maker,
    )  # fmt: skip
    return approve_payee(payee=row, actor=small.checker, at=utc_now()) if is_approved else row


def test_no_payment_leaves_for_whom_it_may_not_or_by_one_person(small: SmallFund):
    assert small.fund.cooling_off_days > 0
    order = DealingOrder.objects.get(kind="redemption")
    good = small.fund.payees.get(investor=small.investor("ann"))
    waits = payee_of(small, "ann", "SIM44444", is_approved=False)
    changed = payee_of(small, "ann", "SIM55555", is_approved=True)
    other = payee_of(small, "bob", "SIM66666", is_approved=True)
    drawn = prepare_proceeds(order=order, payee=good, actor=small.maker)
    steps = f"/api/money/payments/{drawn.pk}/step"
    for role in (Role.ACCOUNTANT, Role.CONTROLLER):
        client_of(role)
    before, wrong = state(), []
    pay, fee = {"kind": "redemption", "order_id": str(order.pk)}, {"kind": "management_fee"}
    maker, checker = Role.ACCOUNTANT, Role.CONTROLLER
    for number, (role, path, body, code) in enumerate(
        (
            (maker, "/api/money/payments", {**pay, "payee_id": str(good.pk)}, "nothing_owed"),
            (maker, "/api/money/payments", {**fee, "payee_id": str(good.pk)}, "third_party"),
            (maker, "/api/money/payments", {**pay, "payee_id": ""}, "invalid_input"),
            (maker, "/api/money/payments", pay, "nothing_chosen"),
            (checker, steps, {"step": "approve", "hash": "0" * 64}, "changed"),
            (maker, steps, {"step": "release", "account": "bank"}, "wrong_state"),
            (maker, steps, {"step": "confirm", "reference": "B"}, "wrong_state"),
            (maker, steps, {"step": "return", "reason": "AC04"}, "wrong_state"),
            (maker, steps, {"step": "cancel", "reason": " "}, "invalid_input"),
        )
    ):
        status, said = post(role, path, body, f"k{number}")
        if said != code or status < 400 or state() != before:
            wrong.append((path, body, code, status, said))
    assert wrong == []
    assert post(maker, steps, {"step": "cancel", "reason": "another account"}, "c")[0] == 200
    before = state()
    for number, (payee, code) in enumerate(
        ((waits, "receiver_not_approved"), (changed, "cooling_off"), (other, "third_party"))
    ):
        body = {**pay, "payee_id": str(payee.pk)}
        assert post(maker, "/api/money/payments", body, f"p{number}")[1] == code
        assert state() == before


def test_nobody_signs_what_he_prepared_and_a_key_is_one_body(small: SmallFund):
    order = DealingOrder.objects.get(kind="redemption")
    good = small.fund.payees.get(investor=small.investor("ann"))
    maker, given = two_hats(), {"kind": "redemption", "payee_id": str(good.pk)}
    body = {**given, "order_id": str(order.pk)}
    assert send(maker, "/api/money/payments", body, "one")[0] == 201
    row, before = Payment.objects.get(), state()
    assert send(maker, "/api/money/payments", {**body, "text": "x"}, "one")[1] == "key_reused"
    step = {"step": "approve", "hash": row.content_hash}
    assert send(maker, f"/api/money/payments/{row.pk}/step", step, "two") == (403, "same_person")
    assert state() == before


def test_a_statement_that_cannot_be_right_is_refused_whole(small: SmallFund):
    client_of(Role.ACCOUNTANT)  # the account is there before anything is counted
    before, wrong = state(), []
    base = {"account": "bank", "name": "s.csv"}
    for number, (content, code) in enumerate(
        (
            ("", "invalid_input"),
            ("x", "missing_columns"),
            (f"{HEADS},{HEADS}\n", "doubled_columns"),
            (f"{HEADS},surprise\n", "unknown_columns"),
            (f"{HEADS}\n", "empty_file"),
            (f"{HEADS}\n{LINE}\n{LINE}\n", "doubled_reference"),
            (f"{HEADS}\n{LINE.replace('12.00', '0')}\n", "zero_amount"),
            (f"{HEADS}\n{LINE.replace('12.00', '0.001')}\n", "too_fine"),
            (f"{HEADS}\n{LINE.replace('2025-02-10T08:00:00Z', 'yesterday')}\n", "bad_time"),
            (f"{HEADS}\n{LINE},one,too,many\n", "bad_line"),
            ("<?xml version='1.0'?><Document/>", "not_camt053"),
        )
    ):
        status, said = post(
            Role.ACCOUNTANT, "/api/money/statements", {**base, "content": content}, f"s{number}"
        )
        if said != code or status < 400 or state() != before:
            wrong.append((content[:60], code, status, said))
    assert wrong == []
    status, said = post(
        Role.ACCOUNTANT, "/api/money/statements",
        {"account": "none", "name": "s.csv", "content": f"{HEADS}\n{LINE}\n"}, "s99",
    )  # fmt: skip
    assert said == "unknown_account"
    assert state() == before


def test_a_statement_with_a_line_of_the_future_is_not_imported(small: SmallFund):
    client_of(Role.ACCOUNTANT)
    ahead = f"{utc_now() + timedelta(days=2):%Y-%m-%dT%H:%M:%SZ}"
    future = LINE.replace("B-1", "B-2").replace("2025-02-10T08:00:00Z", ahead)
    body = {"account": "bank", "name": "s.csv", "content": f"{HEADS}\n{LINE}\n{future}\n"}
    before = state()
    for number, dry_run in enumerate((True, False)):
        answer = client_of(Role.ACCOUNTANT).post(
            "/api/money/statements", json.dumps({**body, "is_dry_run": dry_run}),
            content_type="application/json", headers={"Idempotency-Key": f"f{number}"},
        )  # fmt: skip
        told = answer.json() if dry_run else answer.json()["error"]
        refused = (told if dry_run else told["details"])["refused"]
        assert [(row["reference"], row["code"]) for row in refused] == [("B-2", "in_future")]
        assert dry_run or (answer.status_code, told["code"]) == (409, "refused_lines")
        assert not StatementLine.objects.filter(reference__in=("B-1", "B-2")).exists()
        assert state()[3:] == (before[3], *state()[4:])


def test_the_second_account_of_the_maker_signs_nothing(small: SmallFund):
    maker = ensure_user(email="maker@example.com", name="Maya", roles=[Role.ACCOUNTANT])
    other = make_user("maya.second", Role.CONTROLLER, person=maker.person)
    first, second = Client(), Client()
    first.force_login(maker)
    second.force_login(other)
    good = small.fund.payees.get(investor=small.investor("ann"))
    order = DealingOrder.objects.get(kind="redemption")
    pay = {"kind": "redemption", "order_id": str(order.pk), "payee_id": str(good.pk)}
    assert send(first, "/api/money/payments", pay, "p")[0] == 201
    small.day(first_of(2025, 3))
    assert send(first, "/api/navs", {}, "n")[0] == 201
    row, strike = Payment.objects.get(), NavStrike.objects.get(state="prepared")
    before = state()
    for path, body in (
        (f"/api/money/payments/{row.pk}/step", {"step": "approve", "hash": row.content_hash}),
        (
            f"/api/navs/{strike.pk}/decision",
            {"is_approved": True, "content_hash": strike.result_hash},
        ),
    ):
        assert send(second, path, body, path) == (403, "same_person")
        assert state() == before


def test_an_hour_past_the_cut_off_an_order_takes_the_next_day_and_is_not_cancelled(
    small: SmallFund,
):
    ann = small.investor("ann")
    ann.user = ensure_user(email=ann.email, name="Ann", roles=[Role.INVESTOR])
    ann.save(update_fields=["user"])
    client, now = Client(), utc_now()
    client.force_login(ann.user)
    day = small.day(now + timedelta(days=40), cutoff_at=now + timedelta(hours=1))
    body = {"share_class": "A", "units": "1"}
    with use_clock(VirtualClock(now)):
        assert send(client, "/api/investor/withdraw", body, "in time")[0] == 202
    order = DealingOrder.objects.get(dealing_day=day)
    before = state()
    with use_clock(VirtualClock(day.cutoff_at + timedelta(hours=1))):
        late = send(client, "/api/investor/withdraw", body, "late")
        assert late == (422, "no_dealing_day")
        cancel = f"/api/investor/orders/{order.pk}/cancel"
        assert send(client, cancel, {}, "cancel") == (409, "cutoff_passed")
        assert state() == before
        later = small.day(now + timedelta(days=70))
        assert send(client, "/api/investor/withdraw", body, "late")[0] == 202
    assert DealingOrder.objects.filter(dealing_day=later).count() == 1


def test_no_nav_passes_over_a_day_with_orders_and_its_maker_does_not_sign(small: SmallFund):
    march, april = first_of(2025, 3), first_of(2025, 4)
    small.day(march)
    passed = small.day(april)
    small.redeem("bob", "1", before=march)
    before = NavStrike.objects.count()
    answer = client_of(Role.ACCOUNTANT).post(
        "/admin/investors/navstrike/add/", {"dealing_day": str(passed.pk)}
    )
    assert answer.status_code == 200
    assert "strike its NAV first" in answer.content.decode()
    assert NavStrike.objects.count() == before
    maker = two_hats()
    maker.post("/desk/fund/prepare/")
    row = NavStrike.objects.get(state="prepared")
    assert row.valuation_at == march
    own = {"decision": "approve", "hash": row.result_hash}
    answer = maker.post(f"/desk/fund/{row.pk}/", own, follow=True)
    assert "(same_person)" in answer.content.decode()
    row.refresh_from_db()
    assert (row.state, row.approved_by) == ("prepared", None)
