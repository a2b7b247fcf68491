"""A stranger applies, resumes, is accepted; what is sealed stays sealed; nobody else sees it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from django.core import mail
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client

from investors.models import (
    Application,
    Document,
    Investor,
    KycMove,
    Screening,
    ScreeningList,
    Signature,
)
from investors.services.applications import list_parties, read_answers, start_application
from investors.services.documents import erase_application, replay_erasures
from investors.services.founding import register_investor
from investors.services.rescreening import screen_everybody
from investors.services.sealing import make_key, seal, unseal
from investors.tests.fund_support import make_fund
from investors.tests.test_screening import OFAC
from investors.tests.test_uploads import CATALOG, jpeg, pdf, png
from magnetfund.core.actors import Actor
from magnetfund.core.models import AuditEvent, OutgoingMail
from magnetfund.core.roles import Role
from magnetfund.core.services.mail import send_waiting
from magnetfund.kernel.errors import FundError, InvariantBroken
from magnetfund.operations.people import ensure_user

pytestmark = pytest.mark.django_db
ABOUT = {
    "name": "Tomasz Wieczorek", "born": "1990-04-12", "birth_place": "Gdansk",
    "nationality": "PL", "address": "ul. Dluga 4", "city": "80-831 Gdansk", "country": "PL",
    "occupation": "Engineer",
}  # fmt: skip
TAX = {"country": "PL", "number": "90041212345", "is_us_person": "no"}
EXPERIENCE = {
    "client_class": "retail", "years": "4+", "share_of_wealth": "5", "can_lose_all": "yes",
    "holds_office": "no",
}  # fmt: skip
SOURCE = {
    "source": "salary", "story": "Saved from my salary since 2015", "bank": "mBank",
    "bank_country": "PL",
}  # fmt: skip
COMPANY = {
    "name": "Hollis and Reed Ltd", "form": "Ltd", "number": "611204", "address": "Quay 1, Cork",
    "country": "IE", "activity": "Consulting", "contact": "Aoife Hollis, director",
}  # fmt: skip
OWNERS = {"people": "Aoife Hollis, 1979-02-14, IE, 60\nConor Reed, 1979-05-01, IE, 40"}
TRUST = {
    "name": "Marlow Family Trust", "dated": "2011-03-04", "law": "JE", "country": "JE",
    "purpose": "Education", "contact": "Ines Marlow, trustee",
}  # fmt: skip
PARTIES = {"people": "Ines Marlow, settlor\nKarl Marlow, trustee\nTheir children, beneficiary"}
STEPS: dict[str, list[tuple[str, dict[str, str]]]] = {
    "person": [("about", ABOUT)],
    "joint": [("about", ABOUT), ("second", {**ABOUT, "name": "Maria Wieczorek"})],
    "company": [("company", COMPANY), ("owners", OWNERS)],
    "trust": [("trust", TRUST), ("parties", PARTIES)],
}
NAMES = {
    "person": "Tomasz Wieczorek",
    "joint": "Tomasz Wieczorek and Maria Wieczorek",
    "company": "Hollis and Reed Ltd",
    "trust": "Marlow Family Trust",
}
ITEMS = {
    "person": ("identity", "address", "source_of_funds"),
    "joint": ("identity", "address", "source_of_funds"),
    "company": ("existence", "owners", "identity", "source_of_funds"),
    "trust": ("trust_deed", "trust_parties", "identity", "source_of_funds"),
}


@pytest.fixture(autouse=True)
def _home(settings: Any, tmp_path: Path) -> None:
    from django.core.cache import cache

    settings.DOCUMENT_KEYS = tmp_path / "keys"
    settings.AGREEMENTS = tmp_path / "agreements"
    cache.clear()


@pytest.fixture
def _fund() -> None:
    make_fund("main")


def mailed_link() -> str:
    send_waiting()
    found = re.search(r"http://localhost:8000(/\S+)", mail.outbox[-1].body)
    assert found is not None
    return found[1]


def begin(kind: str = "person", email: str = "tomasz@example.com") -> Client:
    client = Client()
    answer = client.post("/apply/", {"kind": kind, "email": email})
    assert "Check your mail" in answer.content.decode()
    assert client.get(mailed_link()).status_code == 302
    return client


def fill(client: Client, kind: str = "person") -> None:
    for step, given in [
        *STEPS[kind], ("tax", TAX), ("experience", EXPERIENCE), ("source", SOURCE)
    ]:  # fmt: skip
        answer = client.post(f"/apply/{step}/", given)
        assert answer.status_code == 302, answer.content.decode()
    for n, item in enumerate(ITEMS[kind]):
        content = (pdf(CATALOG), png(), jpeg())[n % 3]
        file = SimpleUploadedFile(f"{item}.pdf", content)
        assert client.post("/apply/papers/", {"item": item, "file": file}).status_code == 302
    assert client.post("/apply/papers/").url == "/apply/sign/"


def sign(client: Client, **changes: str) -> Any:
    page = client.get("/apply/sign/").content.decode()
    seen = dict(re.findall(r'name="(seen_\w+)"\s+value="([0-9a-f]{64})"', page))
    given = {
        "share_class": "A", "amount": "10,000.00", "understood": "on",
        "signature": "Tomasz Wieczorek", **seen, **changes,
    }  # fmt: skip
    return client.post("/apply/sign/", given)


@pytest.mark.usefixtures("_fund")
@pytest.mark.parametrize("kind", list(STEPS))
def test_a_stranger_applies_and_the_file_is_with_compliance(kind: str):
    client = begin(kind)
    fill(client, kind)
    answer = sign(client)
    assert answer.status_code == 302, re.findall(r"role=.alert.*?</", answer.content.decode(), re.S)
    assert answer.url == "/apply/status/"
    assert "Your application is with us" in client.get(answer.url).content.decode()
    row = Application.objects.select_related("investor").get()
    assert row.investor is not None
    assert (row.state, row.investor.kyc_state) == ("submitted", "screening")
    assert (row.investor.legal_name, row.investor.kind) == (NAMES[kind], kind)
    assert row.amount == 10_000
    assert Signature.objects.filter(application=row).count() == 3
    assert [move.to_state for move in KycMove.objects.all()] == [
        "collecting", "submitted", "screening"
    ]  # fmt: skip
    lea = Client()
    lea.force_login(ensure_user(email="l@example.com", name="Lea", roles=[Role.COMPLIANCE]))
    page = lea.get(f"/desk/investors/{row.investor.pk}/").content.decode()
    assert "10,000.00" in page
    assert page.count("Received") >= len(ITEMS[kind]) + 3
    assert ("Owners and signatories" in page) == (kind == "company")
    assert client.get("/apply/about/").status_code in (302, 404)
    assert client.post("/apply/tax/", TAX).status_code == 302
    assert read_answers(row)["tax"]["number"] == TAX["number"]


@pytest.mark.usefixtures("_fund")
def test_answers_survive_leaving_and_a_newer_link_ends_the_older():
    first = begin()
    old = re.search(r"(/apply/open/\S+)", mail.outbox[-1].body)
    assert old is not None
    first.post("/apply/about/", ABOUT)
    assert first.get("/apply/tax/").status_code == 200
    begun = Client().post("/apply/", {"kind": "person", "email": "tomasz@example.com"})
    assert "Check your mail" in begun.content.decode()
    assert first.get("/apply/tax/").status_code == 200, "anybody could have asked for that mail"
    again = begin()
    page = again.get("/apply/about/").content.decode()
    assert 'value="ul. Dluga 4"' in page
    assert again.get("/apply/tax/").status_code == 200
    assert first.get("/apply/tax/").status_code == 404
    ended = Client().get(old[1])
    assert ended.status_code == 404
    assert "This link is no longer valid" in ended.content.decode()
    assert Application.objects.count() == 1


@pytest.mark.usefixtures("_fund")
@pytest.mark.parametrize(
    ("step", "given", "said"),
    [
        ("about", {**ABOUT, "born": "2015-01-01"}, "at least 18"),
        ("about", {**ABOUT, "country": "ZZ"}, "Select a valid choice"),
        ("about", {}, "This field is required"),
        ("tax", {**TAX, "is_us_person": "yes"}, "us_person"),
        ("tax", {**TAX, "number": "1"}, "at least four signs"),
        ("tax", {**TAX, "second_country": "DE"}, "go together"),
        ("experience", {**EXPERIENCE, "can_lose_all": "no"}, "does not suit you"),
        ("experience", {**EXPERIENCE, "holds_office": "yes"}, "Name the office"),
        ("source", {**SOURCE, "story": "money"}, "A sentence at least"),
    ],
)
def test_a_wrong_answer_is_said_and_nothing_is_kept(step: str, given: dict[str, str], said: str):
    client = begin()
    answer = client.post(f"/apply/{step}/", given)
    assert answer.status_code == 422
    assert said in answer.content.decode()
    assert read_answers(Application.objects.get()) == {}


@pytest.mark.usefixtures("_fund")
@pytest.mark.parametrize(
    ("people", "said"),
    [
        ("Aoife Hollis, 1979-02-14, IE, 60", "40 % have no owner yet"),
        ("Aoife Hollis, 1979-02-14, IE, 60\nConor Reed, 1979-05-01, IE, 50", "add to 110 %"),
        ("Aoife Hollis", "Line 1"),
        ("Aoife Hollis, 1979-02-14, IE, 60\nConor Reed, once, IE, 40", "Line 2"),
        ("Aoife Hollis, 2020-02-14, IE, 100", "Line 1"),
    ],
)
def test_owners_add_up(people: str, said: str):
    answer = begin("company").post("/apply/owners/", {"people": people})
    assert answer.status_code == 422
    assert said in answer.content.decode()


@pytest.mark.usefixtures("_fund")
@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"amount": "1"}, "below_minimum"),
        ({"amount": "5000.001"}, "bad_amount"),
        ({"share_class": "Z"}, "Select a valid choice"),
        ({"understood": ""}, "Tick the box"),
        ({"seen_risks": "0" * 64}, "changed"),
    ],
)
def test_a_wrong_signature_sends_nothing(changes: dict[str, str], said: str):
    from investors.models import ShareClass

    ShareClass.objects.update(minimum_subscription=5_000)
    client = begin()
    fill(client)
    answer = sign(client, **changes)
    assert answer.status_code == 422
    assert said in answer.content.decode()
    assert not Investor.objects.exists()
    assert not Signature.objects.exists()


@pytest.mark.usefixtures("_fund")
def test_nothing_is_sent_while_a_step_or_a_document_is_missing():
    client = begin()
    client.post("/apply/about/", ABOUT)
    assert "steps_open" in sign(client).content.decode()
    assert "upload_missing" in client.post("/apply/papers/").content.decode()


@pytest.mark.usefixtures("_fund")
def test_a_hostile_upload_is_refused_over_http_and_nothing_is_stored():
    client = begin()
    for content, code in ((b"MZ\x90\x00", "upload_type"), (pdf(b"<< /JS (x) >>"), "upload_active")):
        file = SimpleUploadedFile("passport.pdf", content, content_type="application/pdf")
        answer = client.post("/apply/papers/", {"item": "identity", "file": file})
        assert (answer.status_code, code in answer.content.decode()) == (422, True)
    file = SimpleUploadedFile("p.pdf", pdf(CATALOG))
    assert "bad_item" in client.post("/apply/papers/", {"item": "x", "file": file}).content.decode()
    large = SimpleUploadedFile("p.pdf", b"%PDF-1.7" + b"\x00" * 10_200_000)
    assert client.post("/apply/papers/", {"item": "identity", "file": large}).status_code == 400
    assert not Document.objects.exists()


@pytest.mark.usefixtures("_fund")
def test_documents_are_sealed_opened_by_few_and_never_active():
    client = begin()
    fill(client)
    sign(client)
    row = Document.objects.get(item="identity")
    content = pdf(CATALOG)
    with connection.cursor() as cursor:
        cursor.execute("SELECT sealed_content, sealed_answers FROM investors_document d "
                       "JOIN investors_application a ON a.id = d.application_id")  # fmt: skip
        stored = cursor.fetchall()
    for sealed, answers in stored:
        assert b"%PDF" not in bytes(sealed)
        assert b"Gdansk" not in bytes(answers)
    investor = Investor.objects.get()
    address = f"/desk/investors/{investor.pk}/documents/{row.pk}/"
    assert client.get(address).status_code == 302
    for role in Role:
        other = Client()
        user = ensure_user(email=f"{role.value}@example.com", name="x", roles=[role])
        other.force_login(user)
        answer = other.get(address)
        may = role in (Role.COMPLIANCE, Role.DIRECTOR, Role.AUDITOR)
        assert (answer.status_code == 200) == may
        if may:
            assert answer.content == content
            assert answer.headers["Content-Type"] == "application/octet-stream"
            assert answer.headers["Content-Disposition"].startswith("attachment")
            assert "sandbox" in answer.headers["Content-Security-Policy"]
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            line = AuditEvent.objects.filter(action="document.opened").order_by("-seq")[0]
            assert (line.actor, line.subject_id) == (user, str(row.pk))


@pytest.mark.usefixtures("_fund")
def test_erasing_destroys_the_key_so_that_no_copy_can_be_read():
    client = begin()
    fill(client)
    row = Application.objects.get()
    copy = bytes(Document.objects.get(item="identity").sealed_content)
    place = f"document:{Document.objects.get(item='identity').pk}"
    assert unseal(row.pk, copy, place=place) == pdf(CATALOG)
    lea = Actor.of(ensure_user(email="l@example.com", name="Lea", roles=[Role.COMPLIANCE]))
    with pytest.raises(FundError) as refused:
        erase_application(application=row, reason=" ", actor=lea)
    assert refused.value.code == "no_reason"
    erase_application(application=row, reason="asked for by the applicant", actor=lea)
    from investors.services import documents

    documents.replay_erasures()
    row.refresh_from_db()
    assert row.email.endswith("@example.invalid")
    for again in (lambda: unseal(row.pk, copy, place=place), lambda: make_key(row.pk)):
        with pytest.raises(FundError) as refused:
            again()
        assert refused.value.code == "erased"
    assert client.get("/apply/about/").status_code == 404
    assert replay_erasures() == 0


@pytest.mark.usefixtures("_fund")
def test_a_file_that_the_law_keeps_is_not_erased():
    client = begin()
    fill(client)
    sign(client)
    lea = Actor.of(ensure_user(email="l@example.com", name="Lea", roles=[Role.COMPLIANCE]))
    with pytest.raises(FundError) as refused:
        erase_application(application=Application.objects.get(), reason="asked", actor=lea)
    assert refused.value.code == "retention"


def test_sealed_content_cannot_be_moved_or_changed():
    row = start_application(kind="person", email="a@example.com")
    assert row is not None
    sealed = seal(row.pk, b"secret", place="answers")
    assert unseal(row.pk, sealed, place="answers") == b"secret"
    changed = sealed[:-1] + bytes([sealed[-1] ^ 1])
    for content, place in ((sealed, "document:1"), (changed, "answers")):
        with pytest.raises(InvariantBroken):
            unseal(row.pk, content, place=place)


@pytest.mark.usefixtures("_fund")
def test_names_are_screened_at_application_and_again_by_a_new_list(tmp_path: Path):
    path = tmp_path / "sdn.xml"
    path.write_bytes(OFAC)
    call_command("import_list", str(path), "--format", "ofac", "--json")
    with pytest.raises(CommandError, match="list_known"):
        call_command("import_list", str(path), "--format", "ofac")
    client = begin("company")
    fill(client, "company")
    sign(client)
    row = Application.objects.get()
    assert list_parties(row) == ("Hollis and Reed Ltd", "Aoife Hollis", "Conor Reed")
    hits = Screening.objects.filter(outcome="possible")
    assert [(hit.party, hit.match_id, hit.list_name) for hit in hits] == [
        ("Conor Reed", "ofac:7", "OFAC SDN")
    ]
    assert hits[0].score is not None
    assert hits[0].score > 0.86
    assert hits[0].list_version.startswith("11/19/2026")
    investor = Investor.objects.get()
    assert investor.kyc_state == "review"
    assert "match" not in client.get("/apply/status/").content.decode().lower()
    assert screen_everybody() == (1, 0)
    Investor.objects.filter(pk=investor.pk).update(kyc_state="approved")
    path.write_bytes(OFAC.replace(b"11/19", b"11/20").replace(b"BLACK SEA", b"HOLLIS AND REED"))
    call_command("import_list", str(path), "--format", "ofac")
    investor.refresh_from_db()
    assert investor.kyc_state == "restricted"
    assert ScreeningList.objects.count() == 2


@pytest.mark.usefixtures("_fund")
def test_compliance_asks_for_more_and_the_applicant_sends_it_in_again():
    client = begin()
    fill(client)
    sign(client)
    investor = Investor.objects.get()
    lea = Client()
    lea.force_login(ensure_user(email="l@example.com", name="Lea", roles=[Role.COMPLIANCE]))
    step = f"/desk/investors/{investor.pk}/move/"
    lea.post(step, {"to": "review"})
    lea.post(step, {"to": "more_info", "reason": "suspect", "message": "The bill is too old."})
    link = mailed_link()
    assert "The bill is too old." in mail.outbox[-1].body
    assert "suspect" not in mail.outbox[-1].body
    other = Client()
    assert other.get(link).url == "/apply/sign/"
    assert "We need something more" in other.get("/apply/status/").content.decode()
    file = SimpleUploadedFile("bill.png", png(3, 3))
    other.post("/apply/papers/", {"item": "address", "file": file})
    assert sign(other).status_code == 302
    investor.refresh_from_db()
    assert investor.kyc_state == "screening"


def test_an_address_with_an_account_is_told_by_mail_alone():
    ensure_user(email="known@example.com", name="K", roles=[Role.INVESTOR])
    page = Client().post("/apply/", {"kind": "person", "email": "Known@example.com"})
    other = Client().post("/apply/", {"kind": "person", "email": "new@example.com"})
    assert page.content.replace(b"known@", b"") == other.content.replace(b"new@", b"")
    assert set(OutgoingMail.objects.values_list("kind", flat=True)) == {
        "application_known", "application_link"
    }  # fmt: skip
    assert Application.objects.get().email == "new@example.com"


def test_one_address_is_not_flooded_with_mail():
    for _ in range(6):
        Client().post("/apply/", {"kind": "person", "email": "a@example.com"})
    assert OutgoingMail.objects.count() == 3
    for n in range(6):
        last = Client().post("/apply/", {"kind": "person", "email": f"b{n}@example.com"})
    assert last.status_code == 429


@pytest.mark.usefixtures("_fund")
def test_a_first_investor_of_the_founding_is_invited_to_apply():
    accountant = ensure_user(email="d@example.com", name="D", roles=[Role.ACCOUNTANT])
    investor = register_investor(
        name="T. Wieczorek", email="tomasz@example.com", kind="person", country="PL",
        actor=Actor.of(accountant),
    )  # fmt: skip
    lea = Client()
    lea.force_login(ensure_user(email="l@example.com", name="Lea", roles=[Role.COMPLIANCE]))
    lea.post(f"/desk/investors/{investor.pk}/invite/")
    client = Client()
    assert client.get(mailed_link()).status_code == 302
    fill(client)
    assert sign(client).status_code == 302
    investor.refresh_from_db()
    assert (investor.legal_name, investor.kyc_state) == ("Tomasz Wieczorek", "screening")


def test_without_a_link_there_is_nothing_to_see():
    for path in ("/apply/about/", "/apply/papers/", "/apply/sign/", "/apply/status/"):
        assert Client().get(path).status_code == 404
    assert Client().get("/apply/open/forged/").status_code == 404
    assert Client().post("/apply/", {"kind": "robot", "email": "x"}).status_code == 422


def test_a_draft_is_withdrawn():
    client = begin()
    client.post("/apply/withdraw/")
    assert "is withdrawn" in client.get("/apply/status/").content.decode()
    assert client.get("/apply/about/").status_code == 302
