"""Powers of attorney: proposed with the deed, decided by two people, acting within it, revoked."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from rest_framework_simplejwt.tokens import RefreshToken

from investors.models import DealingOrder, Investor, KycCase, Message, PowerOfAttorney
from investors.services.attorneys import decide_power, find_power, propose_power, revoke_power
from investors.services.dealing import cancel_order, submit_redemption, submit_subscription
from investors.services.papers import describe_note, list_notes
from investors.tests.fund_support import FIRST, SmallFund, make_fund
from magnetfund.core.actors import Actor
from magnetfund.core.models import AuditEvent, User
from magnetfund.core.roles import Role
from magnetfund.kernel.clock import utc_now
from magnetfund.kernel.errors import FundError
from magnetfund.operations.people import ensure_user
from magnetfund.tests.test_portal_own import client_of, staff

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("module_database")]
PDF = b"%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"


def tell() -> SmallFund:
    """Ann holds units; Tom has a file and an account, and no units."""
    fund = make_fund("main")
    fund.day(FIRST)
    fund.subscribe("ann", "10000", before=FIRST)
    fund.strike(FIRST)
    fund.day(utc_now() + timedelta(days=20))
    client_of(fund.investor("ann"))
    client_of(fund.investor("tom"))
    return fund


@pytest.fixture(scope="module")
def story() -> Callable[[], SmallFund]:
    return tell


@pytest.fixture
def small(module_database: Any, told: Any, db: None, settings: Any, tmp_path: Path) -> SmallFund:
    settings.DOCUMENT_KEYS = tmp_path / "keys"
    return deepcopy(told.value)


def person(small: SmallFund, name: str) -> Investor:
    return Investor.objects.select_related("user").get(pk=small.investor(name).pk)


def by(small: SmallFund, name: str) -> Actor:
    user = person(small, name).user
    assert user is not None
    return Actor.of(user)


def officer(name: str, role: Role = Role.COMPLIANCE) -> Actor:
    return Actor.of(ensure_user(email=f"{name}@example.com", name=name.title(), roles=[role]))


def propose(small: SmallFund, **given: Any) -> PowerOfAttorney:
    today = utc_now().date()
    return propose_power(
        **{
            "investor": person(small, "ann"), "attorney": person(small, "tom"),
            "may_subscribe": True, "may_redeem": True, "first_day": today - timedelta(days=1),
            "last_day": today + timedelta(days=90), "deed_name": "deed.pdf", "deed": PDF,
            "actor": officer("lea"), **given,
        }
    )  # fmt: skip


def approve(small: SmallFund, **given: Any) -> PowerOfAttorney:
    return decide_power(proposal=propose(small, **given), is_approved=True, actor=officer("max"))


def code_of(call: Any) -> str:
    with pytest.raises(FundError) as refused:
        call()
    return refused.value.code


def redeem(small: SmallFund, **given: Any) -> DealingOrder:
    return submit_redemption(
        investor=person(small, "ann"), share_class=small.share_class(), units=None,
        actor=by(small, "tom"), **given,
    )  # fmt: skip


def test_compliance_opens_the_file_and_another_person_decides_on_the_page(small: SmallFund):
    lea, ann = staff(Role.COMPLIANCE), person(small, "ann")
    case = f"/desk/investors/{ann.pk}/"
    today = utc_now().date()
    given = {
        "attorney": person(small, "tom").number, "may_redeem": "on",
        "first_day": today.isoformat(), "last_day": (today + timedelta(days=30)).isoformat(),
        "deed": SimpleUploadedFile("deed.pdf", PDF),
    }  # fmt: skip
    page = lea.post(f"{case}powers/propose/", given, follow=True).content.decode()
    assert "another person reads the deed" in page
    row = PowerOfAttorney.objects.get()
    assert PDF not in bytes(row.sealed_content)
    assert "a power of attorney for Ann" in lea.get("/desk/").content.decode()
    decide = f"/desk/investors/powers/{row.pk}/decide/"
    same = lea.post(decide, {"decision": "approve"}, follow=True).content.decode()
    assert "same_person" in same
    other = Client()
    other.force_login(ensure_user(email="max@example.com", name="Max", roles=[Role.COMPLIANCE]))
    deed = other.get(f"/desk/investors/powers/{row.pk}/deed/")
    assert (deed.content, deed["X-Content-Type-Options"]) == (PDF, "nosniff")
    assert staff(Role.OPERATOR).get(f"/desk/investors/powers/{row.pk}/deed/").status_code == 403
    done = other.post(decide, {"decision": "approve"}, follow=True).content.decode()
    assert "he may act from" in done
    told = Message.objects.filter(investor=person(small, "tom"))
    assert told.filter(subject="You may act as an attorney").exists()
    ended = other.post(f"/desk/investors/powers/{row.pk}/revoke/", {"reason": "x"}, follow=True)
    assert "are told" in ended.content.decode()
    assert PowerOfAttorney.objects.get().state == "ended"


def test_an_attorney_acts_in_the_portal_within_his_power(small: SmallFund):
    row = approve(small, may_subscribe=False)
    tom = client_of(person(small, "tom"))
    assert "As attorney: read, redeem and switch" in tom.get("/advised/").content.decode()
    assert tom.post(f"/advised/powers/{row.pk}/").url == "/overview/"
    shown = tom.get("/overview/").content.decode()
    assert "Tom as attorney of Ann." in shown
    assert "Deposit" not in shown
    for path in ("/activity/", "/statements/", "/navs/", "/proof/", "/redeem/"):
        assert "Tom as attorney of Ann." in tom.get(path).content.decode(), path
    for path in ("/messages/", "/settings/", "/advisers/", "/subscribe/"):
        refused = tom.get(path)
        assert (refused.status_code, "not_in_power" in refused.content.decode()) == (403, True)
    given = {
        "share_class": "A", "what": "all", "size": "", "understood": "on", "key": "k1",
    }  # fmt: skip
    placed = tom.post("/redeem/confirm/", given, follow=True).content.decode()
    assert "Your order is received" in placed
    order = DealingOrder.objects.get(kind="redemption")
    assert (order.under_power, order.investor.legal_name) == (row, "Ann")
    assert "Placed by" in placed
    assert "Tom as attorney of Ann" in tom.get(f"/orders/{order.pk}/").content.decode()
    desk = staff(Role.ACCOUNTANT).get(f"/desk/fund/orders/{order.pk}/").content.decode()
    assert "Tom as attorney of Ann" in desk
    line = AuditEvent.objects.get(action="order.redemption")
    assert line.body["attorney"] == "Tom as attorney of Ann"
    told = Message.objects.get(investor=person(small, "ann"), subject__startswith="Redemption")
    assert "placed by Tom as attorney of Ann" in told.body
    assert tom.post("/advised/own/").status_code == 302
    assert "attorney of" not in tom.get("/overview/").content.decode()


def test_a_page_of_one_holder_orders_nothing_for_another(small: SmallFund):
    """Opened for Ann; then another tab of the same session went back to Tom's own portal."""
    row = approve(small)
    tom = client_of(person(small, "tom"))
    tom.post(f"/advised/powers/{row.pk}/")
    pages = {
        "/redeem/confirm/": {"share_class": "A", "what": "units", "size": "5"},
        "/subscribe/confirm/": {"share_class": "A", "amount": "5000"},
        "/switch/confirm/": {"share_class": "A", "into": "B", "what": "units", "size": "5"},
    }
    for path, given in pages.items():
        tom.post(f"/advised/powers/{row.pk}/")
        if "switch" not in path:
            shown = tom.get(path, given).content.decode()
            assert f'name="holder" value="{person(small, "ann").number}"' in shown
        tom.post("/advised/own/")
        sent = {
            **given, "holder": person(small, "ann").number, "understood": "on", "key": path,
        }  # fmt: skip
        answer = tom.post(path, sent, follow=True).content.decode()
        assert "other_holder" in answer, path
    assert not DealingOrder.objects.filter(investor=person(small, "tom"), state="accepted").exists()
    tom.post(f"/advised/powers/{row.pk}/")
    given = {**pages["/redeem/confirm/"], "holder": person(small, "ann").number}
    done = tom.post("/redeem/confirm/", {**given, "understood": "on", "key": "k"}, follow=True)
    assert "Your order is received" in done.content.decode()


@pytest.mark.usefixtures("token_keys")
def test_a_key_used_for_one_holder_answers_for_no_other(small: SmallFund):
    approve(small)
    tom = api(person(small, "tom").user)
    body = {"share_class": "A", "amount": "5000", "idempotency_key": "same"}
    ann = f"/api/investor/subscribe?holder={person(small, 'ann').number}"
    first, own = (
        Client().post(path, body, content_type="application/json", headers=tom)
        for path in (ann, "/api/investor/subscribe")
    )
    assert first.status_code < 300, first.content
    assert (own.status_code, own.json()["error"]["code"]) == (422, "key_reused"), own.content
    again = Client().post(ann, body, content_type="application/json", headers=tom)
    assert again["Idempotent-Replayed"] == "true"


def test_the_contract_note_names_the_attorney(small: SmallFund):
    following = FIRST + timedelta(days=31)
    small.day(following)
    approve(small, first_day=FIRST.date())
    order = redeem(small, at=FIRST + timedelta(days=2))
    small.strike(following)
    order.refresh_from_db()
    [strike] = list_notes(order)
    rows = describe_note(order, strike, "N-1")["parts"][0]["rows"]
    assert ["Placed by", "Tom as attorney of Ann"] in rows


def test_the_holder_revokes_alone_and_what_was_placed_stays(small: SmallFund):
    row = approve(small)
    tom = client_of(person(small, "tom"))
    tom.post(f"/advised/powers/{row.pk}/")
    order = redeem(small)
    ann = client_of(person(small, "ann"))
    assert "Who may act for you" in ann.get("/advisers/").content.decode()
    done = ann.post(f"/advisers/powers/{row.pk}/revoke/", follow=True).content.decode()
    assert "Orders that were placed before stay" in done
    order.refresh_from_db()
    assert order.state == DealingOrder.State.ACCEPTED
    gone = tom.get("/overview/")
    assert (gone.status_code, "no_power" in gone.content.decode()) == (403, True)
    assert tom.post("/redeem/confirm/", {}).status_code == 403
    assert code_of(lambda: cancel_order(order=order, actor=by(small, "tom"))) == "not_allowed"
    assert code_of(lambda: redeem(small)) == "not_allowed"
    again = lambda: revoke_power(power=row, actor=by(small, "ann"), reason="")  # noqa: E731
    assert code_of(again) == "power_closed"


def test_a_power_ends_with_its_last_day_and_rests_on_a_hit(small: SmallFund):
    today = utc_now().date()
    row = approve(small, first_day=today, last_day=today)
    user = by(small, "tom").user
    assert user is not None
    assert find_power(person(small, "ann"), user) == row
    Investor.objects.filter(pk=person(small, "tom").pk).update(kyc_state="restricted")
    assert find_power(person(small, "ann"), user) is None
    assert PowerOfAttorney.objects.get().state == "resting"
    Investor.objects.filter(pk=person(small, "tom").pk).update(kyc_state="approved")
    assert find_power(person(small, "ann"), user) == row
    late = approve(
        small, investor=person(small, "tom"), attorney=person(small, "ann"),
        first_day=today + timedelta(days=2), last_day=today + timedelta(days=3),
    )  # fmt: skip
    ann = by(small, "ann").user
    assert ann is not None
    assert late.state == "ahead"
    assert find_power(person(small, "tom"), ann) is None


def test_an_order_beyond_the_power_is_refused(small: SmallFund):
    approve(small, may_redeem=False)
    assert code_of(lambda: redeem(small)) == "not_in_power"
    order = submit_subscription(
        investor=person(small, "ann"), share_class=small.share_class(), amount=5000,
        actor=by(small, "tom"),
    )  # fmt: skip
    assert order.under_power is not None
    cancel_order(order=order, actor=by(small, "tom"))


def test_what_is_proposed_wrongly_is_refused(small: SmallFund):
    today = utc_now().date()
    ann, tom = person(small, "ann"), person(small, "tom")
    for code, given in {
        "bad_attorney": {"attorney": ann},
        "bad_days": {"last_day": today - timedelta(days=1), "first_day": today - timedelta(days=2)},
        "upload_type": {"deed": b"MZ..."},
        "not_allowed": {"actor": officer("otto", Role.OPERATOR)},
    }.items():
        assert code_of(lambda given=given: propose(small, **given)) == code
    Investor.objects.filter(pk=tom.pk).update(kyc_state="review")
    assert code_of(lambda: propose(small)) == "bad_attorney"
    Investor.objects.filter(pk=tom.pk).update(kyc_state="approved")
    row = propose(small)
    assert code_of(lambda: propose(small)) == "power_known"
    no = {"proposal": row, "is_approved": True}
    assert code_of(lambda: decide_power(**no, actor=officer("lea"))) == "same_person"
    assert (
        code_of(lambda: decide_power(**no, actor=officer("otto", Role.OPERATOR))) == "not_allowed"
    )
    KycCase.objects.update_or_create(investor=tom, defaults={"risk": "high"})
    grave = decide_power
    assert code_of(lambda: grave(**no, actor=officer("max"))) == "senior_manager_needed"
    declined = decide_power(
        proposal=row, is_approved=False, actor=officer("max"), reason="the deed is a copy"
    )
    assert declined.state == "declined"
    assert code_of(lambda: revoke_power(power=row, actor=officer("max"), reason="x")) == (
        "power_closed"
    )


def api(user: User | None) -> dict[str, str]:
    assert user is not None
    return {"Authorization": f"Bearer {RefreshToken.for_user(user).access_token}"}


@pytest.mark.usefixtures("token_keys")
def test_the_api_proposes_decides_acts_and_revokes(small: SmallFund):
    client, ann = Client(), person(small, "ann")
    lea, otto = api(officer("lea").user), api(officer("max").user)
    today = utc_now().date()
    asked = {
        "investor": ann.number, "attorney": person(small, "tom").number, "may_redeem": "true",
        "first_day": today.isoformat(), "last_day": today.isoformat(),
        "deed": SimpleUploadedFile("deed.pdf", PDF), "idempotency_key": "p1",
    }  # fmt: skip
    made = client.post("/api/powers", asked, headers=lea)
    assert (made.status_code, made.json()["state"]) == (201, "proposed"), made.content
    pk = made.json()["id"]

    def send(path: str, headers: dict[str, str], **body: Any) -> Any:
        return client.post(path, body, content_type="application/json", headers=headers)

    done = send(f"/api/powers/{pk}/decision", otto, is_approved=True, idempotency_key="p2")
    assert done.json()["state"] == "active"
    tom = api(person(small, "tom").user)
    [acts] = client.get("/api/investor/holders", headers=tom).json()["acts_for"]
    assert (acts["investor"], acts["may_subscribe"]) == (ann.number, False)
    held = client.get(f"/api/investor/dashboard?holder={ann.number}", headers=tom).json()
    assert held["investor_id"] == str(ann.pk)
    order = send(f"/api/investor/withdraw?holder={ann.number}", tom, is_all=True,
                 idempotency_key="p3")  # fmt: skip
    assert order.status_code in (200, 201, 202), order.content
    [line] = [
        item
        for item in client.get(f"/api/investor/orders?holder={ann.number}", headers=tom).json()[
            "orders"
        ]
        if item["type"] == "redemption"
    ]
    assert line["placed_by"] == "Tom as attorney of Ann"
    for path in ("/api/investor/subscribe", "/api/investor/advisers"):
        refused = send(f"{path}?holder={ann.number}", tom, share_class="A", amount="5000",
                       name="x y", email="x@example.com", until=today.isoformat(),
                       sees_holdings=True, sees_papers=True, idempotency_key="p4")  # fmt: skip
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "not_in_power"), path
    own = api(ann.user)
    assert client.get("/api/investor/powers", headers=own).json()["powers"][0]["state"] == "active"
    ended = send(f"/api/investor/powers/{pk}/revoke", own, idempotency_key="p5")
    assert ended.json()["state"] == "ended"
    gone = send(f"/api/investor/withdraw?holder={ann.number}", tom, is_all=True,
                idempotency_key="p6")  # fmt: skip
    assert (gone.status_code, gone.json()["error"]["code"]) == (403, "read_only")
    listed = client.get("/api/powers", headers=lea).json()["powers"]
    assert [item["state"] for item in listed] == ["ended"]


def test_the_admin_lists_and_decides(small: SmallFund):
    row = propose(small)
    client = Client()
    user = officer("max").user
    assert user is not None
    client.force_login(user)
    path = "/admin/investors/powerofattorney/"
    assert client.get(path).status_code == 200
    client.post(path, {"action": "approve", "_selected_action": [str(row.pk)]})
    row.refresh_from_db()
    assert row.state == "active"
    client.post(path, {"action": "revoke", "_selected_action": [str(row.pk)]})
    row.refresh_from_db()
    assert row.state == "ended"
