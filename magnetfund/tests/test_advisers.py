"""Advisers of a holder: invited, signed, accepted once, read-only everywhere, ended at once."""

from __future__ import annotations

import re
from collections.abc import Callable
from copy import deepcopy
from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.test import Client
from rest_framework_simplejwt.tokens import RefreshToken

from investors.models import AdviserAccess, Investor, Message, Paper
from investors.services import advisers
from investors.services.advisers import (
    accept_access,
    accesses_of,
    end_access,
    grant_access,
    invite_adviser,
    sign_adviser_link,
)
from investors.services.investor_statements import make_statements
from investors.services.vault import TAKEN, downloads_of
from investors.tests.fund_support import FIRST, SmallFund, make_fund
from magnetfund.core.actors import Actor
from magnetfund.core.models import AuditEvent, User
from magnetfund.core.roles import Role
from magnetfund.core.services.mail import send_waiting
from magnetfund.kernel.clock import utc_now
from magnetfund.kernel.errors import FundError
from magnetfund.operations.people import ensure_user
from magnetfund.tests.test_access_matrix import PATHS
from magnetfund.tests.test_portal_own import client_of, staff

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("module_database")]
PASSWORD = "correct horse battery 7"
HOLDINGS = ("/overview/", "/activity/", "/navs/", "/trades/", "/my-risk/", "/proof/")
OWN = ("/messages/", "/settings/", "/advisers/", "/redeem/", "/switch/", "/subscribe/")


def tell() -> SmallFund:
    fund = make_fund("main")
    fund.day(FIRST)
    fund.subscribe("ann", "10000", before=FIRST)
    fund.strike(FIRST)
    return fund


@pytest.fixture(scope="module")
def story() -> Callable[[], SmallFund]:
    return tell


@pytest.fixture
def small(module_database: Any, told: Any, db: None) -> SmallFund:
    return deepcopy(told.value)


def holder(small: SmallFund, name: str = "ann") -> Investor:
    client_of(small.investor(name))
    return Investor.objects.get(pk=small.investor(name).pk)


def by(investor: Investor) -> Actor:
    assert investor.user is not None
    return Actor.of(investor.user)


def invite(investor: Investor, **given: Any) -> AdviserAccess:
    asked = {
        "name": "Tom Tax", "email": "tom@example.com", "sees_holdings": True,
        "sees_papers": True, "until": utc_now().date() + timedelta(days=30), **given,
    }  # fmt: skip
    row = invite_adviser(investor=investor, actor=by(investor), **asked)
    return grant_access(access=row, actor=by(investor))


def adviser_of(row: AdviserAccess) -> Client:
    """A browser in which the link was opened and a password set."""
    client = Client()
    path = f"/advise/{sign_adviser_link(row)}/"
    assert client.get(path).status_code == 200
    done = client.post(path, {"password": PASSWORD, "again": PASSWORD})
    assert done.status_code == 302, done.content.decode()
    return client


def code_of(call: Any) -> str:
    with pytest.raises(FundError) as refused:
        call()
    return refused.value.code


def test_an_adviser_is_invited_by_the_page_and_reads_what_was_granted(small: SmallFund):
    ann = client_of(small.investor("ann"))
    given = {
        "name": "Tom Tax", "email": "Tom@example.com", "sees_holdings": "on",
        "until": (utc_now().date() + timedelta(days=30)).isoformat(),
    }  # fmt: skip
    done = ann.post("/advisers/", given, follow=True)
    assert "Tom Tax was mailed a link" in done.content.decode()
    send_waiting()
    [sent] = [letter for letter in mail.outbox if letter.to == ["tom@example.com"]]
    found = re.search(r"/advise/\S+/", sent.body)
    assert found is not None
    tom = Client()
    wanted = tom.post(found[0], {"password": PASSWORD, "again": PASSWORD}, follow=True)
    text = wanted.content.decode()
    assert wanted.redirect_chain == [("/overview/", 302)]
    assert "Ann, read-only." in text
    assert "Deposit" not in text
    assert Client().get(found[0]).status_code == 404
    for path in HOLDINGS:
        page = tom.get(path)
        assert page.status_code == 200, path
        assert "Ann, read-only." in page.content.decode(), path
        assert 'method="post"' not in page.content.decode(), path
    row = AdviserAccess.objects.get()
    assert row.seen_at is not None
    listed = ann.get("/advisers/").content.decode()
    assert "Tom Tax" in listed
    assert "never" not in listed
    said = AuditEvent.objects.filter(action__startswith="adviser.").order_by("seq")
    assert [line.action.split(".")[1] for line in said] == ["invited", "granted", "accepted"]
    assert Message.objects.filter(subject__contains="adviser can read").exists()


def test_what_is_not_shown_answers_403_with_its_code(small: SmallFund):
    row = invite(holder(small), sees_papers=False)
    tom = adviser_of(row)
    refused = tom.get("/statements/")
    assert (refused.status_code, "not_shown" in refused.content.decode()) == (403, True)
    for path in OWN:
        answer = tom.get(path)
        assert (answer.status_code, "(read_only)" in answer.content.decode()) == (403, True), path


def test_an_adviser_writes_nothing_on_any_path(small: SmallFund):
    tom = adviser_of(invite(holder(small)))
    own = ("/account/", "/advise/", "/advised/", "/api/auth/")
    for path in PATHS:
        if path.startswith(own):
            continue
        answer = tom.post(path)
        assert answer.status_code == 403, path
        assert "read_only" in answer.content.decode(), path
    assert AuditEvent.objects.filter(actor__email="tom@example.com").exclude(
        action__in=("account.created", "adviser.accepted")
    ).count() == 0  # fmt: skip


def test_papers_that_an_adviser_opens_name_him(small: SmallFund):
    investor = holder(small)
    following = FIRST + timedelta(days=31)
    small.day(following)
    small.strike(following)
    make_statements(fund=small.fund, period=f"{FIRST:%Y-%m}", actor=small.maker)
    tom = adviser_of(invite(investor, sees_holdings=False))
    assert tom.get("/overview/").status_code == 403
    page = tom.get("/statements/").content.decode()
    assert "Ann, read-only." in page
    for pattern in (
        r"/orders/\S+?/notes/\S+?\.pdf",
        r"/papers/\S+?\.pdf",
        r"/statements/[0-9a-f-]+/",
    ):
        found = re.search(pattern, page)
        assert found is not None, pattern
        assert tom.get(found[0]).status_code == 200
    lines = AuditEvent.objects.filter(action__in=TAKEN).order_by("seq")
    assert [line.action for line in lines] == ["paper.downloaded", "paper.downloaded", "paper.read"]
    assert all(line.actor_label.startswith("Tom Tax") for line in lines)
    [paper] = Paper.objects.filter(kind=Paper.Kind.STATEMENT)
    assert len(downloads_of([paper.pk])[paper.pk]) == 2


def test_the_holder_ends_it_at_once_with_the_sessions(small: SmallFund):
    investor = holder(small)
    ann = client_of(investor)
    row = invite(investor)
    tom = adviser_of(row)
    assert tom.get("/overview/").status_code == 200
    done = ann.post(f"/advisers/{row.pk}/end/", follow=True)
    assert "can no longer read" in done.content.decode()
    assert tom.get("/overview/").status_code == 302
    user = User.objects.get(email="tom@example.com")
    assert Role.ADVISER not in User.objects.get(pk=user.pk).roles
    tom.force_login(user)
    assert tom.get("/overview/").status_code == 404
    assert code_of(lambda: end_access(access=row, actor=by(investor))) == "access_closed"
    again = invite(investor)
    accept_access(access=again, actor=Actor.of(User.objects.get(pk=user.pk)))
    tom.force_login(user)
    assert tom.get("/overview/").status_code == 200


def test_access_is_over_after_its_last_day_and_with_the_holders_account(
    small: SmallFund, monkeypatch: pytest.MonkeyPatch
):
    investor = holder(small)
    row = invite(investor)
    tom = adviser_of(row)
    for days, status in ((30, 200), (31, 403)):
        later = utc_now() + timedelta(days=days)
        monkeypatch.setattr(advisers, "utc_now", lambda later=later: later)
        answer = tom.get("/overview/")
        assert answer.status_code == status
    assert "no_access" in answer.content.decode()
    monkeypatch.undo()
    assert tom.get("/overview/").status_code == 200
    assert investor.user is not None
    investor.user.role_grants.update(revoked_at=utc_now())
    assert tom.get("/overview/").status_code == 403


def test_one_adviser_reads_two_holders_and_picks_one(small: SmallFund):
    small.subscribe("bob", "5000", before=FIRST, paid=False)
    tom = adviser_of(invite(holder(small)))
    second = invite(holder(small, "bob"), sees_papers=False)
    link = f"/advise/{sign_adviser_link(second)}/"
    assert "Sign in" in Client().get(link).content.decode()
    assert Client().post(link).url.startswith("/account/login/")
    assert tom.post(link).url == "/overview/"
    assert "Bob, read-only." in tom.get("/overview/").content.decode()
    first = AdviserAccess.objects.get(investor=small.investor("ann"))
    assert "Ann" in tom.get("/advised/").content.decode()
    assert tom.post(f"/advised/{first.pk}/").url == "/overview/"
    assert "Ann, read-only." in tom.get("/overview/").content.decode()
    assert tom.get("/home/", follow=True).redirect_chain[-1][0] == "/advised/"


def test_an_investor_who_advises_another_keeps_his_own_portal(small: SmallFund):
    small.subscribe("bob", "5000", before=FIRST, paid=False)
    bob = client_of(small.investor("bob"))
    row = invite(holder(small), email=small.investor("bob").email, name="Bob")
    assert bob.post(f"/advise/{sign_adviser_link(row)}/").status_code == 302
    assert "Ann, read-only." in bob.get("/overview/").content.decode()
    assert bob.post("/settings/", {"time_zone": "UTC", "theme": "dark"}).status_code == 403
    assert bob.get("/messages/").status_code == 403
    assert bob.post("/advised/own/").status_code == 302
    assert "read-only" not in bob.get("/overview/").content.decode()
    assert bob.get("/messages/").status_code == 200


def test_what_is_asked_wrongly_is_refused(small: SmallFund):
    investor = holder(small)
    today = utc_now().date()
    for code, given in {
        "bad_name": {"name": "T"},
        "bad_address": {"email": "tom"},
        "own_address": {"email": investor.email},
        "bad_date": {"until": today + timedelta(days=366)},
        "nothing_shown": {"sees_holdings": False, "sees_papers": False},
    }.items():
        assert code_of(lambda given=given: invite(investor, **given)) == code
    row = invite(investor)
    assert code_of(lambda: invite(investor)) == "adviser_known"
    assert code_of(lambda: grant_access(access=row, actor=by(investor))) == "access_closed"
    stranger = Actor.of(ensure_user(email="x@example.com", name="X", roles=[Role.INVESTOR]))
    asked = {"name": "A B", "email": "a@example.com", "until": today}
    assert code_of(
        lambda: invite_adviser(
            investor=investor, actor=stranger, sees_holdings=True, sees_papers=False, **asked
        )
    ) == "not_own"  # fmt: skip
    assert code_of(lambda: end_access(access=row, actor=stranger)) == "not_allowed"
    house = ensure_user(email="tom@example.com", name="Tom Tax", roles=[Role.OPERATOR])
    assert code_of(lambda: accept_access(access=row, actor=Actor.of(house))) == "of_the_house"
    assert code_of(lambda: accept_access(access=row, actor=stranger)) == "other_account"
    assert not accesses_of(house).exists()


def test_compliance_calls_back_confirms_and_ends(small: SmallFund):
    investor = holder(small)
    row = invite_adviser(
        investor=investor, name="Tom Tax", email="tom@example.com", sees_holdings=True,
        sees_papers=False, until=utc_now().date(), actor=by(investor),
    )  # fmt: skip
    lea = staff(Role.COMPLIANCE)
    assert "Call Ann back about an adviser" in lea.get("/desk/").content.decode()
    case = f"/desk/investors/{investor.pk}/"
    assert "waits for a signature" in lea.get(case).content.decode()
    confirm = f"/desk/investors/advisers/{row.pk}/confirm/"
    assert staff(Role.OPERATOR).post(confirm).status_code == 403
    assert "call_back_missing" in lea.post(confirm, follow=True).content.decode()
    done = lea.post(confirm, {"confirmed_how": "called +41 44 000 00 00"}, follow=True)
    assert "the holder is told" in done.content.decode()
    assert "confirmed: called" in lea.get(case).content.decode()
    done = lea.post(f"/desk/investors/advisers/{row.pk}/end/", follow=True)
    assert "has ended" in done.content.decode()
    told = Message.objects.filter(investor=investor).values_list("subject", flat=True)
    assert {"Your adviser's access was confirmed", "Your adviser's access has ended"} <= set(told)


def test_the_admin_lists_and_ends(small: SmallFund):
    row = invite(holder(small))
    lea = staff(Role.COMPLIANCE)
    assert "Tom Tax" in lea.get("/admin/investors/adviseraccess/").content.decode()
    lea.post(
        "/admin/investors/adviseraccess/",
        {"action": "end_access", "_selected_action": [str(row.pk)]},
    )
    row.refresh_from_db()
    assert row.state == "ended"


def test_an_access_that_is_over_opens_no_other_holders_portal(
    small: SmallFund, monkeypatch: pytest.MonkeyPatch
):
    """What the adviser chose ran out; his next page is not silently another holder's."""
    today = utc_now()
    rows = [
        invite(holder(small, name), until=today.date() + timedelta(days=days))
        for name, days in (("ann", 1), ("bob", 9))
    ]
    tom = adviser_of(rows[0])
    accept_access(access=rows[1], actor=Actor.of(User.objects.get(email="tom@example.com")))
    tom.post(f"/advised/{rows[0].pk}/")
    assert tom.get("/overview/").status_code == 200
    monkeypatch.setattr(advisers, "utc_now", lambda: today + timedelta(days=2))
    gone = tom.get("/overview/")
    assert (gone.status_code, "no_access" in gone.content.decode()) == (403, True)
    tom.post(f"/advised/{rows[1].pk}/")
    assert tom.get("/overview/").status_code == 200


def api(user: User) -> dict[str, str]:
    return {"Authorization": f"Bearer {RefreshToken.for_user(user).access_token}"}


@pytest.mark.usefixtures("token_keys")
def test_the_api_invites_reads_and_ends(small: SmallFund):
    investor = holder(small)
    assert investor.user is not None
    ann, client = api(investor.user), Client()
    asked = {
        "name": "Tom Tax", "email": "tom@example.com", "sees_holdings": True, "sees_papers": False,
        "until": (utc_now().date() + timedelta(days=9)).isoformat(), "idempotency_key": "a1",
    }  # fmt: skip
    path = "/api/investor/advisers"
    made = client.post(path, asked, content_type="application/json", headers=ann)
    assert (made.status_code, made.json()["state"]) == (201, "unsigned")
    row = AdviserAccess.objects.get()
    step = {"idempotency_key": "a2"}
    granted = client.post(
        f"{path}/{row.pk}/grant", step, content_type="application/json", headers=ann
    )
    assert granted.json()["state"] == "invited"
    adviser_of(AdviserAccess.objects.get())
    tom = api(User.objects.get(email="tom@example.com"))
    holders = client.get("/api/investor/holders", headers=tom).json()["holders"]
    assert [item["investor"] for item in holders] == [investor.number]
    read = client.get("/api/investor/dashboard", {"holder": investor.number}, headers=tom)
    assert read.json()["investor_id"] == str(investor.pk)
    assert client.get("/api/investor/proof", headers=tom).status_code in (200, 404)
    for address, code in {
        "/api/investor/statements": "not_shown",
        "/api/investor/orders": "not_shown",
        path: "not_shown",
        "/api/investor/dashboard?holder=other": "no_access",
    }.items():
        refused = client.get(address, headers=tom)
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, code), address
    for address in ("/api/investor/withdraw", "/api/investor/subscribe", path, "/api/backtests",
                    "/api/system/emergency-stop", f"{path}/{row.pk}/end"):  # fmt: skip
        refused = client.post(address, {}, content_type="application/json", headers=tom)
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "read_only"), address
    lea = api(ensure_user(email="lea@example.com", name="Lea", roles=[Role.COMPLIANCE]))
    assert client.get("/api/advisers", headers=lea).json()["advisers"][0]["state"] == "active"
    ended = client.post(
        f"/api/advisers/{row.pk}/end", {"idempotency_key": "a3"},
        content_type="application/json", headers=lea,
    )  # fmt: skip
    assert ended.json()["state"] == "ended"
    gone = client.get("/api/investor/dashboard", headers=tom)
    assert (gone.status_code, gone.json()["error"]["code"]) == (403, "not_allowed")
