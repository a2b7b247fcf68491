"""Another account for a holder: asked by him, called back, signed by another, cooled off."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.core.cache import caches
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from investors.models import AccountChange, Investor, Message, PayeeAccount
from investors.services.account_changes import (
    OPEN_MAX,
    ask_change,
    record_call_back,
    refuse_change,
    withdraw_change,
)
from investors.services.attorneys import decide_power, revoke_power
from investors.services.estates import report_death
from investors.services.money_accounts import approve_payee, close_payee
from investors.services.verification.others import find_change_differences
from investors.tests.fund_support import SmallFund
from investors.tests.test_payments import IBAN, payee_of
from magnetfund.core.actors import Actor
from magnetfund.core.models import AuditEvent, OutgoingMail, RoleGrant, User
from magnetfund.core.roles import Role
from magnetfund.kernel.clock import utc_now
from magnetfund.operations.people import ensure_user
from magnetfund.tests.test_advisers import adviser_of, invite
from magnetfund.tests.test_attorneys import (
    PDF,
    api,
    approve,
    by,
    code_of,
    officer,
    person,
    propose,
    small,
    story,
)
from magnetfund.tests.test_portal_own import client_of, staff

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("module_database")]
__all__ = ["small", "story"]
NEW = "DE89370400440532013000"
GIVEN = {"kind": "bank", "name": "Ann", "number": NEW, "bank": "COBADEFF", "currency": "USD"}


@pytest.fixture(autouse=True)
def cooled(small: SmallFund) -> None:
    """Ann has an account, so that another one replaces it."""
    payee_of(small)


def ask(small: SmallFund, *, actor: Actor | None = None, **given: Any) -> AccountChange:
    return ask_change(
        fund=small.fund, investor=person(small, "ann"), actor=actor or by(small, "ann"),
        **{**GIVEN, **given},
    )  # fmt: skip


def call(small: SmallFund, row: AccountChange, **given: Any) -> AccountChange:
    return record_call_back(
        **{
            "change": row, "called_at": utc_now(), "called_number": "+41 44 000 00 00",
            "known_since": utc_now().date() - timedelta(days=400), "spoken_with": "Ann",
            "actor": small.maker, **given,
        }
    )  # fmt: skip


def state_of(row: AccountChange) -> str:
    return AccountChange.objects.select_related("payee").get(pk=row.pk).state


def test_a_holder_asks_is_called_back_and_waits_out_the_cooling_off_on_pages(small: SmallFund):
    ann, maker = client_of(person(small, "ann")), staff(Role.ACCOUNTANT)
    page = ann.post("/accounts/", GIVEN, follow=True).content.decode()
    assert "asked; we call back" in page
    assert NEW not in page.split("Ask for another account")[0]
    row = AccountChange.objects.get()
    today = maker.get("/desk/").content.decode()
    assert "Call Ann back about another account" in today
    desk = maker.get("/desk/fund/accounts/").content.decode()
    assert NEW in desk
    assert "Record the call-back" in desk
    path = f"/desk/fund/accounts/asked/{row.pk}/"
    now = utc_now()
    spoke = {
        "called_at": (now + timedelta(minutes=1)).strftime("%Y-%m-%dT%H:%M"), "called_number":
        "+41 44 000 00 00", "known_since": "2025-01-01", "spoken_with": "Ann",
    }  # fmt: skip
    early = maker.post(f"{path}call/", spoke, follow=True).content.decode()
    assert "bad_call" in early
    call(small, row)
    assert "Call Ann back" not in maker.get("/desk/").content.decode()
    assert "Approve or close the account of Ann" in maker.get("/desk/").content.decode()
    payee = PayeeAccount.objects.get(number=NEW)
    for part in ("asked in the portal", "+41 44 000 00 00", "spoke with Ann"):
        assert part in payee.evidence
    assert "called back; waits for a second signature" in ann.get("/accounts/").content.decode()
    RoleGrant.objects.create(user=small.maker.user, role=Role.CONTROLLER)
    both = Actor.of(User.objects.get(pk=small.maker.user.pk))
    assert code_of(lambda: approve_payee(payee=payee, actor=both)) == "same_person"
    done = approve_payee(payee=payee, actor=small.checker)
    assert done.usable_from is not None
    assert done.usable_from - utc_now() > timedelta(days=small.fund.cooling_off_days - 1)
    shown = ann.get("/accounts/").content.decode()
    assert "in cooling-off" in shown
    assert f"{done.usable_from:%-d %b}" in shown
    assert find_change_differences(small.fund) == []
    keys = Message.objects.filter(investor=person(small, "ann")).values_list("key", flat=True)
    steps = {key.split(":")[0] for key in keys}
    assert {"account-asked", "account-called", "payee"} <= steps


def test_an_account_in_use_is_not_withdrawn(small: SmallFund):
    row = call(small, ask(small))
    assert row.payee is not None
    approve_payee(payee=row.payee, actor=small.checker, at=utc_now() - timedelta(days=90))
    assert state_of(row) == "usable"
    assert code_of(lambda: withdraw_change(change=row, actor=by(small, "ann"))) == "change_closed"
    assert (
        code_of(lambda: refuse_change(change=row, reason="too late", actor=small.checker))
        == "change_closed"
    )
    close_payee(payee=row.payee, reason="moved away", actor=small.checker)
    assert state_of(row) == "closed"


def test_each_step_is_mailed_even_to_whoever_wants_no_mail(small: SmallFund):
    User.objects.filter(pk=person(small, "ann").user_id).update(wants_mail=False)
    row = call(small, ask(small))
    assert row.payee is not None
    approve_payee(payee=row.payee, actor=small.checker)
    mails = OutgoingMail.objects.filter(recipient=person(small, "ann").user.email)
    told = Message.objects.filter(investor=person(small, "ann"), sent_at__gte=row.asked_at)
    assert told.count() == 3
    assert {f"portal_message:{one.pk}" for one in told} <= set(mails.values_list("key", flat=True))
    assert not any(NEW in one.body for one in told)


def test_a_request_is_withdrawn_until_it_is_paid_and_closes_its_account(small: SmallFund):
    ann = client_of(person(small, "ann"))
    first = ask(small)
    ann.post(f"/accounts/{first.pk}/withdraw/")
    assert state_of(first) == "withdrawn"
    assert code_of(lambda: call(small, first)) == "change_closed"
    second = call(small, ask(small))
    assert second.payee is not None
    approve_payee(payee=second.payee, actor=small.checker)
    assert (
        "Nothing is paid to that account"
        in ann.post(f"/accounts/{second.pk}/withdraw/", follow=True).content.decode()
    )
    second.payee.refresh_from_db()
    assert second.payee.closed_at is not None
    assert code_of(lambda: approve_payee(payee=second.payee, actor=small.checker)) == "not_waiting"
    bob = client_of(small.investor("bob"))
    third = ask(small)
    assert bob.post(f"/accounts/{third.pk}/withdraw/").status_code == 404
    assert find_change_differences(small.fund) == []


def test_either_of_the_two_refuses_with_a_reason_that_the_holder_reads(small: SmallFund):
    ann = client_of(person(small, "ann"))
    row = ask(small)
    assert code_of(lambda: refuse_change(change=row, reason=" ", actor=small.maker)) == (
        "reason_missing"
    )
    refuse_change(change=row, reason="We could not reach you.", actor=small.maker)
    assert "We could not reach you." in ann.get("/accounts/").content.decode()
    again = call(small, ask(small))
    assert again.payee is not None
    close_payee(payee=again.payee, reason="You knew of no change.", actor=small.checker)
    assert state_of(again) == "refused"
    assert "You knew of no change." in ann.get("/accounts/").content.decode()
    told = Message.objects.filter(subject="Your new account was refused")
    assert told.count() == 2
    stranger = officer("rita", Role.RISK_OFFICER)
    third = ask(small)
    with pytest.raises(Exception, match=r"accounts\.approve"):
        refuse_change(change=third, reason="no", actor=stranger)


def test_what_is_asked_wrongly_is_refused_in_words(small: SmallFund):
    assert code_of(lambda: ask(small, name="Bob")) == "third_party"
    assert code_of(lambda: ask(small, number="DE89370400440532013001")) == "bad_account"
    assert code_of(lambda: ask(small, currency="XXX?")) == "unknown_currency"
    assert code_of(lambda: ask(small, number=IBAN)) == "account_exists"
    ask(small, number=f"{NEW[:4]} {NEW[4:]}")
    assert code_of(lambda: ask(small)) == "change_waiting"
    for number in range(OPEN_MAX - 1):
        ask(small, number=f"100000{number}")
    assert code_of(lambda: ask(small, number="2000000")) == "too_many_changes"
    assert code_of(lambda: ask(small, actor=small.maker)) == "not_own"
    assert code_of(lambda: ask(small, actor=by(small, "tom"))) == "not_own"
    row = AccountChange.objects.filter(number=NEW).get()
    wrong: tuple[dict[str, Any], ...] = (
        {"known_since": utc_now().date()}, {"called_at": row.asked_at - timedelta(hours=1)},
        {"called_number": "1"}, {"spoken_with": ""},
    )  # fmt: skip
    for given in wrong:
        assert code_of(lambda given=given: call(small, row, **given)) == "bad_call"
    assert state_of(row) == "asked"


@pytest.mark.parametrize(
    ("state", "code"),
    [("restricted", "on_hold"), ("exited", "relationship_ended"), ("review", "kyc_open")],
)
def test_a_held_or_closed_holder_changes_no_account_at_any_step(
    small: SmallFund, state: str, code: str
):
    waiting, called = ask(small), call(small, ask(small, number="1000001"))
    Investor.objects.filter(pk=small.investor("ann").pk).update(kyc_state=state)
    assert code_of(lambda: ask(small, number="1000002")) == code
    assert code_of(lambda: call(small, waiting)) == code
    assert called.payee is not None
    assert code_of(lambda: approve_payee(payee=called.payee, actor=small.checker)) == code
    assert state_of(called) == "called_back"


def test_after_a_death_no_account_changes(small: SmallFund):
    row = ask(small)
    report_death(
        investor=person(small, "ann"), deceased="Ann", died_on=utc_now().date(),
        paper_name="p.pdf", paper=PDF, actor=officer("lea"),
    )  # fmt: skip
    assert code_of(lambda: call(small, row)) == "death_reported"


def test_an_attorney_asks_where_his_deed_says_so_and_nobody_else(small: SmallFund):
    plain = approve(small)
    tom = client_of(person(small, "tom"))
    tom.post(f"/advised/powers/{plain.pk}/")
    assert tom.get("/accounts/").status_code == 403
    assert code_of(lambda: ask(small, actor=by(small, "tom"))) == "not_in_power"
    revoke_power(power=plain, actor=by(small, "ann"), reason="")
    wide = propose(small, may_change_account=True)
    decide_power(proposal=wide, is_approved=True, actor=officer("max"))
    assert "ask for other bank details" in wide.scope
    tom.post(f"/advised/powers/{wide.pk}/")
    given = {**GIVEN, "holder": person(small, "ann").number}
    page = tom.post("/accounts/", given, follow=True).content.decode()
    assert "by Tom" in page
    row = AccountChange.objects.get()
    assert row.under_power == wide
    told = Message.objects.get(key__startswith="account-asked")
    assert told.investor == person(small, "ann")
    assert "Tom as attorney of Ann" in told.body
    line = AuditEvent.objects.get(action="account_change.asked")
    assert line.body["attorney"] == person(small, "tom").number
    assert NEW not in str(line.body)


def test_an_adviser_asks_for_nothing(small: SmallFund):
    row = invite(person(small, "ann"), email="adele@example.com")
    adviser_of(row)
    row.refresh_from_db()
    user = row.user
    assert user is not None
    client = Client()
    client.force_login(user)
    assert client.get("/accounts/").status_code == 403
    assert client.post("/accounts/", GIVEN).status_code == 403
    assert code_of(lambda: ask(small, actor=Actor.of(user))) == "not_own"
    assert not AccountChange.objects.exists()


@pytest.mark.usefixtures("token_keys")
def test_the_api_asks_once_a_key_and_shows_the_state(small: SmallFund):
    caches["default"].clear()
    client, ann = Client(), api(person(small, "ann").user)
    path = "/api/investor/account-changes"
    first, again = (
        client.post(path, {**GIVEN, "idempotency_key": "k"}, content_type="application/json",
                    headers=ann)
        for _ in range(2)
    )  # fmt: skip
    assert (first.status_code, first.json()["state"]) == (201, "asked"), first.content
    assert again["Idempotent-Replayed"] == "true"
    assert NEW not in first.content.decode()
    row = AccountChange.objects.get()
    maker = api(ensure_user(email="acc@example.com", name="Acc", roles=[Role.ACCOUNTANT]))
    spoke = {
        "called_at": utc_now().isoformat(), "called_number": "+41 44 000 00 00",
        "known_since": "2025-01-01", "spoken_with": "Ann", "idempotency_key": "c",
    }  # fmt: skip
    desk = "/api/money/account-changes"
    assert client.get(desk, headers=maker).json()["changes"][0]["full_number"] == NEW
    called = client.post(
        f"{desk}/{row.pk}/call-back", spoke, content_type="application/json", headers=maker
    )
    assert called.json()["state"] == "called_back", called.content
    assert called.json()["payee_id"]
    risk = api(ensure_user(email="rita@example.com", name="Rita", roles=[Role.RISK_OFFICER]))
    assert client.get(desk, headers=risk).status_code == 403
    gone = client.post(
        f"{path}/{row.pk}/withdraw", {"idempotency_key": "w"}, content_type="application/json",
        headers=ann,
    )  # fmt: skip
    assert gone.json()["state"] == "withdrawn"
    assert client.get(path, headers=ann).json()["changes"][0]["state"] == "withdrawn"


def test_the_deed_form_names_the_change_of_accounts(small: SmallFund):
    today = utc_now().date()
    given = {
        "attorney": person(small, "tom").number, "may_change_account": "on",
        "first_day": today.isoformat(), "last_day": (today + timedelta(days=30)).isoformat(),
        "deed": SimpleUploadedFile("deed.pdf", PDF),
    }  # fmt: skip
    page = staff(Role.COMPLIANCE).post(
        f"/desk/investors/{person(small, 'ann').pk}/powers/propose/", given, follow=True
    )
    assert "ask for other bank details" in page.content.decode()
