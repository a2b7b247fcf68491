"""An application that goes back to its applicant: what he may change, and what that undoes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.core.cache import cache
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from investors.models import Application, Document, Investor, Screening
from investors.services.applications import invite_to_apply
from investors.services.founding import register_investor
from investors.services.kyc_file import read_checklist
from investors.services.kyc_work import note_check
from investors.services.rescreening import screen_everybody
from investors.services.screening import import_list
from investors.tests.fund_support import make_fund
from investors.tests.test_screening import OFAC
from investors.tests.test_uploads import png
from magnetfund.core.actors import Actor
from magnetfund.core.models import AuditEvent, User
from magnetfund.core.roles import Role
from magnetfund.kernel.errors import InvariantBroken
from magnetfund.operations.people import ensure_user
from magnetfund.tests.test_apply import ABOUT, begin, fill, mailed_link, sign

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _home(settings: Any, tmp_path: Path) -> None:
    settings.DOCUMENT_KEYS = tmp_path / "keys"
    settings.AGREEMENTS = tmp_path / "agreements"
    cache.clear()
    make_fund("main")


def asked_for_more() -> tuple[Client, Investor, Client]:
    """An application whose identity is checked and of which more is wanted; its applicant and a
    person of compliance."""
    client = begin()
    fill(client)
    assert sign(client).status_code == 302
    investor = Investor.objects.get()
    lea = Client()
    lea.force_login(ensure_user(email="l@example.com", name="Lea", roles=[Role.COMPLIANCE]))
    page = f"/desk/investors/{investor.pk}"
    lea.post(f"{page}/move/", {"to": "review"})
    for item in ("identity", "address", "source_of_funds"):
        checked = {"item": item, "outcome": "checked", "evidence": "seen"}
        note_check(investor=investor, actor=_person_of(lea), **checked)
    lea.post(f"{page}/move/", {"to": "more_info", "reason": "bill", "message": "A newer bill."})
    investor.refresh_from_db()
    assert investor.kyc_state == "more_info"
    return client, investor, lea


def _person_of(client: Client) -> Actor:
    return Actor.of(User.objects.get(pk=client.session["_auth_user_id"]))


def checked_items(investor: Investor) -> set[str]:
    lines = read_checklist(investor)
    return {x.item for x in lines if x.note is not None and x.note.outcome == "checked"}


def test_what_was_sent_in_cannot_be_taken_out_again():
    client, _, _ = asked_for_more()
    sent = Document.objects.get(item="identity")
    client.post(f"/apply/papers/{sent.pk}/remove/")
    sent.refresh_from_db()
    assert (sent.removed_at, bool(sent.sealed_content), bool(sent.name)) == (None, True, True)
    file = SimpleUploadedFile("bill.png", png(3, 3))
    client.post("/apply/papers/", {"item": "address", "file": file})
    page = client.get("/apply/papers/").content.decode()
    assert (page.count("Remove</button>"), page.count(">Sent in<")) == (1, 3)
    newest = Document.objects.order_by("-uploaded_at")[0]
    client.post(f"/apply/papers/{newest.pk}/remove/")
    newest.refresh_from_db()
    assert newest.removed_at is not None
    assert not newest.sealed_content
    line = AuditEvent.objects.get(action="document.removed")
    assert line.subject_id == str(newest.pk)


def test_a_changed_answer_is_checked_anew_and_the_same_one_is_not():
    client, investor, _ = asked_for_more()
    assert client.post("/apply/about/", ABOUT).status_code == 302
    assert checked_items(investor) == {"identity", "address", "source_of_funds"}
    assert client.post("/apply/about/", {**ABOUT, "name": "Somebody Else"}).status_code == 302
    assert checked_items(investor) == {"source_of_funds"}
    assert sign(client).status_code == 302
    investor.refresh_from_db()
    assert investor.legal_name == "Somebody Else"
    assert checked_items(investor) == {"source_of_funds"}


@pytest.mark.parametrize("again", ["by himself", "by the house"])
def test_an_invited_holder_who_withdrew_can_apply_again(again: str):
    accountant = ensure_user(email="d@example.com", name="D", roles=[Role.ACCOUNTANT])
    investor = register_investor(
        name="T. Wieczorek", email="tomasz@example.com", kind="person", country="PL",
        actor=Actor.of(accountant),
    )  # fmt: skip
    lea = Actor.of(ensure_user(email="l@example.com", name="Lea", roles=[Role.COMPLIANCE]))
    invite_to_apply(investor=investor, actor=lea)
    first = Client()
    first.get(mailed_link())
    first.post("/apply/withdraw/")
    client = Client()
    if again == "by himself":
        client = begin()
    else:
        invite_to_apply(investor=investor, actor=lea)
        assert client.get(mailed_link()).url == "/apply/about/"
    fill(client)
    assert sign(client).status_code == 302
    investor.refresh_from_db()
    assert (investor.application.state, investor.kyc_state) == ("submitted", "screening")


@pytest.mark.parametrize("kind", ["person", "company"])
def test_who_had_begun_before_the_house_invited_him_can_send_it_in(kind: str):
    client = begin()
    fill(client)
    accountant = ensure_user(email="d@example.com", name="D", roles=[Role.ACCOUNTANT])
    investor = register_investor(
        name="T. Wieczorek", email="tomasz@example.com", kind=kind, country="PL",
        actor=Actor.of(accountant),
    )  # fmt: skip
    lea = Actor.of(ensure_user(email="l@example.com", name="Lea", roles=[Role.COMPLIANCE]))
    invite_to_apply(investor=investor, actor=lea)
    states = list(Application.objects.values_list("state", "investor"))
    if kind == "company":
        assert len(states) == 2, "another kind of holder is another application"
        assert "exists already" in sign(client).content.decode()
        return
    assert states == [("draft", investor.pk)], "the one that he began is the one he is invited to"
    assert sign(client).status_code == 302
    investor.refresh_from_db()
    assert (investor.legal_name, investor.kyc_state) == ("Tomasz Wieczorek", "screening")


def test_a_draft_beside_what_is_sent_in_is_taken_back():
    accountant = ensure_user(email="d@example.com", name="D", roles=[Role.ACCOUNTANT])
    investor = register_investor(
        name="T. Wieczorek", email="tomasz@example.com", kind="person", country="PL",
        actor=Actor.of(accountant),
    )  # fmt: skip
    lea = Actor.of(ensure_user(email="l@example.com", name="Lea", roles=[Role.COMPLIANCE]))
    beside = invite_to_apply(investor=investor, actor=lea)
    # Two drafts of one address, as homes have them from before.
    Application.objects.filter(pk=beside.pk).update(email="elsewhere@example.com")
    client = begin()
    fill(client)
    assert sign(client).status_code == 302
    beside.refresh_from_db()
    assert (beside.state, beside.investor) == ("withdrawn", None)
    investor.refresh_from_db()
    assert investor.kyc_state == "screening"


@pytest.mark.parametrize("name", ["\u674e\u5c0f\u9f99", "Kim Jo\u200bng", "A\x0bb c"])
def test_a_name_that_no_paper_can_carry_is_told_where_it_is_written(name: str):
    client = begin()
    answer = client.post("/apply/about/", {**ABOUT, "name": name})
    assert answer.status_code == 422
    assert any(word in answer.content.decode() for word in ("cannot print", "printable"))
    assert Application.objects.get().steps_done == []
    assert client.post("/apply/about/", {**ABOUT, "name": "Li Xiaolong"}).status_code == 302


def test_two_long_names_of_joint_holders_are_told_at_the_second():
    client = begin("joint")
    assert client.post("/apply/about/", {**ABOUT, "name": "A" * 100}).status_code == 302
    assert client.post("/apply/second/", {**ABOUT, "name": "B" * 100}).status_code == 422
    assert client.post("/apply/second/", {**ABOUT, "name": "B" * 95}).status_code == 302


def test_a_share_may_be_written_with_its_sign_and_nothing_else_counts():
    client = begin("company")
    both = "Aoife Hollis, 1979-02-14, IE, 60%\nConor Reed, 1979-05-01, IE, 40 %"
    assert client.post("/apply/owners/", {"people": both}).status_code == 302
    for share in ("nan", "inf", "-1", "101", ""):
        line = f"Aoife Hollis, 1979-02-14, IE, {share}"
        answer = client.post("/apply/owners/", {"people": line, "rest": "on"})
        assert (answer.status_code, "Line 1" in answer.content.decode()) == (422, True)


def test_one_file_that_cannot_be_read_keeps_nobody_from_being_screened(settings: Any):
    for email, name in (("a@example.com", "Aaron First"), ("b@example.com", "Conor Reed")):
        client = begin(email=email)
        fill(client)
        client.post("/apply/about/", {**ABOUT, "name": name})
        assert sign(client).status_code == 302
    for row in Application.objects.filter(email="a@example.com"):
        (Path(settings.DOCUMENT_KEYS) / f"{row.pk}.key").unlink()
    list_of = import_list(content=OFAC, form="ofac", kind="sanctions", actor=Actor.system("lists"))
    with pytest.raises(InvariantBroken) as caught:
        screen_everybody()
    broken, other = (Investor.objects.get(legal_name=n) for n in ("Aaron First", "Conor Reed"))
    assert (caught.value.code, broken.number in caught.value.message) == (
        "answers_unreadable", True
    )  # fmt: skip
    found = Screening.objects.filter(list_name=list_of.name)
    assert found.get(investor=broken).outcome == "clear"
    assert found.get(investor=other).outcome == "possible"
