"""A wrong NAV put right: the package, its signatures, what is booked, owed, told and paid."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import DatabaseError, transaction
from django.test import Client
from rest_framework.test import APIClient

from investors.models import DealingOrder, Entry, Message, NavStrike, Restatement
from investors.services.compensation_note import describe_compensation
from investors.services.ledger import read_balances
from investors.services.money_accounts import (
    add_payee,
    approve_account,
    approve_payee,
    open_account,
)
from investors.services.nav_as_known import nav_as_known
from investors.services.order_figures import account_for
from investors.services.papers import contract_note, list_notes
from investors.services.payment_drafts import prepare_proceeds
from investors.services.payments import approve_payment, confirm_payment, release_payments
from investors.services.restatements import (
    decline_restatement,
    describe_package,
    measure,
    prepare_restatement,
    sign_restatement,
)
from investors.services.verification import verify_fund
from investors.tests.fund_support import FIRST, SmallFund, first_of, make_fund
from magnetfund.core.actors import Actor
from magnetfund.core.roles import Role
from magnetfund.kernel.clock import utc_now
from magnetfund.kernel.errors import Conflict, FundError, InvalidInput, NotAllowed
from magnetfund.kernel.identifiers import content_hash
from magnetfund.operations.people import ensure_user

pytestmark = pytest.mark.django_db
D = Decimal
FEBRUARY, MARCH = first_of(2025, 2), first_of(2025, 3)
PAGE, API, ADMIN = (
    "/desk/fund/restatements/",
    "/api/restatements",
    "/admin/investors/restatement/",
)


def tell() -> SmallFund:
    """40 units at 100; 400 earned, so that 110 is dealt at in February; nothing after."""
    fund = make_fund("main", performance_rate="0", management_rate="0")
    for at in (FIRST, FEBRUARY, MARCH):
        fund.day(at)
    fund.subscribe("ann", "1000", before=FIRST)
    fund.subscribe("bob", "3000", before=FIRST)
    fund.strike(FIRST)
    fund.earn("400", at=FIRST + timedelta(days=9))
    fund.subscribe("cat", "1100", before=FEBRUARY)
    fund.redeem("ann", "4", before=FEBRUARY)
    fund.strike(FEBRUARY)
    fund.strike(MARCH)
    return fund


@pytest.fixture(scope="module")
def story() -> Callable[[], SmallFund]:
    return tell


@pytest.fixture
def small(module_database: Any, told: Any, db: None) -> SmallFund:
    return deepcopy(told.value)


def person(role: Role) -> Any:
    return ensure_user(email=f"{role.value}@example.com", name=role.value.title(), roles=[role])


def client_of(role: Role) -> Client:
    client = Client()
    client.force_login(person(role))
    return client


def prepare(small: SmallFund, **changes: Any) -> Restatement:
    """400 that January never earned: Cat paid 100 too much, Ann took 40 too much."""
    given: dict[str, Any] = {
        "fund": small.fund, "first": FEBRUARY.date(), "amount": D(-400),
        "cause": "An invoice of January was missed.", "evidence": "invoice 77 of 30 January 2025",
        "actor": small.maker, **changes,
    }  # fmt: skip
    return prepare_restatement(**given)


def director() -> Actor:
    return Actor.of(person(Role.DIRECTOR))


def sign(row: Restatement, actor: Actor) -> Restatement:
    return sign_restatement(restatement=row, seen_hash=row.content_hash, actor=actor)


def test_two_signatures_book_what_everybody_is_owed_and_no_published_nav_changes(
    small: SmallFund,
) -> None:
    struck = utc_now()
    published = list(NavStrike.objects.order_by("valuation_at").values())
    known = nav_as_known(fund=small.fund, valuation_at=MARCH, known_at=struck).content()
    row = prepare(small)
    assert [item["right"] for item in row.content["prices"]] == ["100", "101.304348"]
    assert (row.content["owed"], row.content["fund_loss"]) == ("100", "40")
    sign(row, small.checker)
    assert not Entry.objects.filter(kind="compensation_owed").exists()
    done = sign(row, director())
    assert done.booked_at is not None
    balances = read_balances(small.fund)
    assert (balances["2310", "USD"], balances["5110", "USD"]) == (-100, 100)
    # The manager's 40 come on top of the 400 by which the fixture lets the fund earn.
    assert (balances["1400", "USD"], balances["4070", "USD"]) == (440, -440)
    order = DealingOrder.objects.get(restatement=row)
    assert (order.investor, order.dealt_amount) == (small.investor("cat"), 100)
    figures = account_for(order)
    assert figures is not None
    assert (figures.lines[0].amount, figures.lines[-1].amount) == (100, 100)
    (before,) = list_notes(order)
    deals = describe_compensation(order, before, "CN")["parts"][1]["rows"]
    assert (deals[0][1], deals[-1]) == ("100.00 USD", ["Owed in cash", "100.00 USD"])
    assert contract_note(order=order).content[:4] == b"%PDF"
    told = Message.objects.get(subject="Compensation of 100.00 USD")
    assert told.investor == small.investor("cat")
    assert "An invoice of January was missed." in told.body
    assert list(NavStrike.objects.order_by("valuation_at").values()) == published
    again = nav_as_known(fund=small.fund, valuation_at=MARCH, known_at=struck)
    assert again.content() == known
    assert verify_fund(small.fund) == []


def test_what_is_owed_is_paid_as_any_payment_and_the_next_nav_ties(small: SmallFund) -> None:
    row = prepare(small)
    sign(row, small.checker)
    sign(row, director())
    order = DealingOrder.objects.get(restatement=row)
    payee = add_payee(
        fund=small.fund, investor=small.investor("cat"), kind="bank", name="Cat",
        number="CH9300762011623852957", currency="USD", evidence="called back", actor=small.maker,
    )  # fmt: skip
    payee = approve_payee(payee=payee, actor=small.checker)
    account = open_account(
        fund=small.fund, code="bank", kind="bank", bank="Bank", number="DE89370400440532013000",
        currency="USD", actor=small.maker,
    )  # fmt: skip
    account = approve_account(account=account, actor=small.checker)
    # What the bank must hold for it came back from the venue when it was booked.
    assert read_balances(small.fund)["1010", "USD"] >= 100
    payment = prepare_proceeds(order=order, payee=payee, actor=small.maker)
    assert (payment.kind, payment.amount) == ("compensation", 100)
    approve_payment(payment=payment, seen_hash=payment.content_hash, actor=small.checker)
    release_payments(payments=[payment], account=account, actor=small.maker)
    confirm_payment(payment=payment, bank_reference="B-1", actor=small.maker)
    order.refresh_from_db()
    assert (order.state, order.paid_amount) == ("settled", 100)
    assert read_balances(small.fund)["2310", "USD"] == 0
    assert verify_fund(small.fund) == []


def test_the_manager_bears_it_where_the_package_says_so(small: SmallFund) -> None:
    row = prepare(small, is_borne_by_manager=True)
    sign(row, director())
    sign(row, small.checker)
    balances = read_balances(small.fund)
    assert balances["1400", "USD"] == 540
    assert ("5110", "USD") not in balances


def test_the_same_books_give_the_same_package(small: SmallFund) -> None:
    row = prepare(small)
    assert content_hash(describe_package(row, measure(row))) == row.content_hash
    row.refresh_from_db()
    assert content_hash(row.content) == row.content_hash


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"amount": D(-4)}, "not_material"),
        ({"cause": " "}, "reason_missing"),
        ({"evidence": ""}, "reason_missing"),
        ({"first": FEBRUARY.date() + timedelta(days=1)}, "no_such_nav"),
    ],
)
def test_what_is_no_package_is_refused(
    small: SmallFund, changes: dict[str, Any], code: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        prepare(small, **changes)
    assert (refused.value.code, Restatement.objects.count()) == (code, 0)


def test_three_people_and_the_roles_of_two_of_them(small: SmallFund) -> None:
    row = prepare(small)
    with pytest.raises(Conflict, match="another restatement waits"):
        prepare(small)
    both = Actor.of(
        ensure_user(email="b@example.com", name="Both", roles=[Role.CONTROLLER, Role.DIRECTOR])
    )
    for actor, expected in (
        (small.maker, NotAllowed),
        (Actor.of(person(Role.OPERATOR)), NotAllowed),
        (Actor.system("worker"), NotAllowed),
    ):
        with pytest.raises(expected):
            sign(row, actor)
    with pytest.raises(Conflict) as refused:
        sign_restatement(restatement=row, seen_hash="0" * 64, actor=small.checker)
    assert refused.value.code == "changed"
    sign(row, both)
    for actor in (both, small.checker):
        with pytest.raises(NotAllowed):
            sign(row, actor)
    assert sign(row, director()).booked_at is not None
    with pytest.raises(Conflict, match="has been decided"):
        decline_restatement(restatement=row, reason="too late", actor=small.checker)


def test_a_package_that_the_books_outran_is_declined_and_prepared_again(small: SmallFund) -> None:
    row = prepare(small)
    april = first_of(2025, 4)
    small.day(april)
    small.strike(april)
    with pytest.raises(Conflict) as refused:
        sign(row, small.checker)
    assert refused.value.code == "stale"
    with pytest.raises(FundError):
        decline_restatement(restatement=row, reason="", actor=small.maker)
    decline_restatement(restatement=row, reason="a NAV was dealt", actor=small.maker)
    assert len(prepare(small).content["prices"]) == 3


def test_nobody_is_owed_more_than_the_package_says(small: SmallFund) -> None:
    row = prepare(small)
    cat = small.investor("cat")
    order = {
        "kind": "compensation", "state": "payable", "investor": cat,
        "share_class": small.share_class(), "restatement": row,
    }  # fmt: skip
    with pytest.raises(DatabaseError, match="more than the restatement"), transaction.atomic():
        DealingOrder.objects.create(**order, amount=D(100), dealt_amount=D(100))  # not booked yet
    sign(row, small.checker)
    with pytest.raises(DatabaseError, match="a decision is fixed"), transaction.atomic():
        Restatement.objects.filter(pk=row.pk).update(approved_by=person(Role.DIRECTOR))
    with pytest.raises(DatabaseError), transaction.atomic():
        Restatement.objects.filter(pk=row.pk).update(booked_at=utc_now())
    sign(row, director())
    for name, amount in (("cat", "101"), ("cat", "100"), ("bob", "1")):
        given = {**order, "investor": small.investor(name)}
        with pytest.raises(DatabaseError), transaction.atomic():
            DealingOrder.objects.create(**given, amount=D(amount), dealt_amount=D(amount))


def form(**given: Any) -> dict[str, Any]:
    return {
        "first": "2025-02-01", "amount": "-400", "material": "1", "cause": "An invoice was missed.",
        "evidence": "invoice 77", "key": "r1", **given,
    }  # fmt: skip


def test_the_page_prepares_once_and_two_people_sign(small: SmallFund) -> None:
    clerk = client_of(Role.ACCOUNTANT)
    wrong = clerk.post(PAGE, form(amount="-4", key="r0"))
    assert (wrong.status_code, "nobody is compensated" in wrong.content.decode()) == (422, True)
    for _ in range(2):
        assert clerk.post(PAGE, form()).status_code == 303
    row = Restatement.objects.get()
    assert client_of(Role.OPERATOR).post(PAGE, form()).status_code == 403
    signing = {"decision": "sign", "hash": row.content_hash}
    for role in (Role.ACCOUNTANT, Role.CONTROLLER):
        client_of(role).post(f"{PAGE}{row.pk}/", signing)
    row.refresh_from_db()
    assert row.approved_by == person(Role.CONTROLLER)
    chief = client_of(Role.DIRECTOR)
    assert "Sign or decline a restatement" in chief.get("/desk/").content.decode()
    assert "main-cat" in chief.get(PAGE).content.decode()
    chief.post(f"{PAGE}{row.pk}/", signing)
    row.refresh_from_db()
    assert row.booked_at is not None
    order = DealingOrder.objects.get(restatement=row)
    assert "compensation of a wrong NAV of class A" in clerk.get("/desk/").content.decode()
    assert order.reference in clerk.get("/desk/fund/payments/").content.decode()
    assert "owed to holders" in clerk.get(PAGE).content.decode()


def test_the_api_prepares_once_for_its_key_and_two_people_sign(small: SmallFund) -> None:
    clients = {}
    for role in (Role.ACCOUNTANT, Role.CONTROLLER, Role.DIRECTOR):
        clients[role] = APIClient()
        clients[role].force_authenticate(person(role))
    clerk = clients[Role.ACCOUNTANT]
    body = {name: value for name, value in form().items() if name not in ("material", "key")}
    key = {"Idempotency-Key": "a1"}
    first = clerk.post(API, body, format="json", headers=key)
    assert (first.status_code, first.json()["owed"]) == (201, "100")
    assert clerk.post(API, body, format="json", headers=key).content == first.content
    path = f"{API}/{first.json()['id']}/decision"
    yes = {"is_approved": True, "content_hash": first.json()["content_hash"]}
    assert clerk.post(path, {**yes, "idempotency_key": "a2"}, format="json").status_code == 403
    for role in (Role.CONTROLLER, Role.DIRECTOR):
        done = clients[role].post(path, {**yes, "idempotency_key": f"a-{role}"}, format="json")
    assert done.json()["holders"] == [{"number": "main-cat", "share_class": "A", "amount": "100"}]
    assert clerk.get(API).json()["restatements"][0]["booked_at"] is not None


def test_the_admin_prepares_and_its_action_signs(small: SmallFund) -> None:
    given = {name: value for name, value in form().items() if name != "key"}
    assert client_of(Role.ACCOUNTANT).post(f"{ADMIN}add/", given).status_code == 302
    row = Restatement.objects.get()
    chosen = {"action": "sign", "_selected_action": [str(row.pk)]}
    for role in (Role.ACCOUNTANT, Role.CONTROLLER):
        client_of(role).post(ADMIN, chosen)
    row.refresh_from_db()
    assert (row.approved_by, row.booked_at) == (person(Role.CONTROLLER), None)
    sign(row, director())
    assert DealingOrder.objects.filter(restatement=row).count() == 1
