"""An empty production home founded by the API alone, up to the first NAV that is struck.

Accounts are opened at their own doors (the printed link, the mailed links, the authenticator app);
what is signed is signed at the signer, with a passkey.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from allauth.mfa.totp.internal.auth import TOTP
from django.core import mail
from django.core.cache import caches
from django.test import Client
from rest_framework_simplejwt.tokens import RefreshToken

from investors.models import Fund, Holding
from investors.services.verification import verify_fund
from magnetfund.core.actors import Actor
from magnetfund.core.models import User
from magnetfund.core.roles import Capability, Role, roles_with
from magnetfund.core.services.mail import send_waiting
from magnetfund.core.services.signing import ask_to_sign
from magnetfund.kernel.clock import SystemClock, VirtualClock, use_clock
from magnetfund.operations.first_account import print_link
from magnetfund.operations.people import ensure_user
from magnetfund.tests.soft_passkey import SoftPasskey
from magnetfund.tests.test_doors import PASSWORD, code_now, keep_doors
from magnetfund.tests.test_signer import enrol, path_of, sign
from magnetfund.tests.walls_support import say_kind

BEGIN = datetime(2025, 3, 3, 9, tzinfo=UTC)
FIRST = datetime(2025, 4, 1, tzinfo=UTC)
STAFF = (
    ("dmitri", "Dmitri Volkov", "accountant"),
    ("mira", "Mira Sandoval", "controller"),
    ("mira", "Mira Sandoval", "risk_officer"),
    ("nadia", "Nadia Brandt", "risk_officer"),
    ("nadia", "Nadia Brandt", "compliance"),
    ("lea", "Lea Fontaine", "compliance"),
    ("mia", "Mia Stahl", "director"),
)
POINTS = dict.fromkeys(("customer", "country", "product", "channel", "money"), 1)
STEPS = {
    "fund": {Role.ACCOUNTANT}, "class": {Role.ACCOUNTANT}, "terms": {Role.ACCOUNTANT},
    "holiday": {Role.ACCOUNTANT}, "calendar": {Role.ACCOUNTANT}, "limits": {Role.RISK_OFFICER},
    "investor": {Role.ACCOUNTANT},
}  # fmt: skip


class Seat:
    """A person with a token whose second factor is fresh, and with a passkey at the signer."""

    def __init__(self, name: str) -> None:
        self.name, self._keys = name, 0
        self.passkey: SoftPasskey | None = None
        given = {"email": f"{name}@example.com", "password": PASSWORD, "code": code_now()}
        told = Client().post("/api/auth/token", given, content_type="application/json").json()
        self.headers = {"Authorization": f"Bearer {told['token']}"}

    def get(self, path: str) -> Any:
        answer = Client().get(f"/api/{path}", headers=self.headers)
        assert answer.status_code == 200, answer.content
        return answer.json()

    def send(self, path: str, body: dict[str, Any], *, key: str = "") -> Any:
        self._keys += 1
        headers = {**self.headers, "Idempotency-Key": key or f"k{self._keys}"}
        return Client().post(f"/api/{path}", body, content_type="application/json", headers=headers)

    def post(self, path: str, /, **body: Any) -> Any:
        answer = self.send(path, body)
        assert answer.status_code in (200, 201), answer.content
        return answer.json()

    def code(self, path: str, /, **body: Any) -> str:
        return str(self.send(path, body).json().get("error", {}).get("code", ""))

    def sign_at(self, refused: Any) -> None:
        """Follow a refusal for want of a signature to the signer, and sign there."""
        error = refused.json()["error"]
        assert (refused.status_code, error["code"]) == (409, "signature_missing"), error
        assert self.passkey is not None
        assert re.fullmatch("[0-9a-f]{64}", error["details"]["content_hash"])
        assert b"on record" in sign(path_of(error["details"]["sign_url"]), self.passkey).content

    def post_signed(self, path: str, /, **body: Any) -> Any:
        """Post, sign what the refusal leads to, and post the same again with its key."""
        key = f"signed-{path}"
        with use_clock(SystemClock()):  # a wish to sign holds for minutes of the server
            self.sign_at(self.send(path, body, key=key))
        answer = self.send(path, body, key=key)
        assert answer.status_code in (200, 201), answer.content
        return answer.json()


@pytest.fixture
def first(fresh_database: Any, settings: Any, tmp_path: Path, token_keys: Path) -> Seat:
    """Ada, by the printed link, in a production home that holds nothing else."""
    keep_doors(settings, tmp_path / "home", token_keys)
    settings.DOCUMENT_KEYS = tmp_path / "documents"
    say_kind(fresh_database, "production")
    link = print_link()
    assert link is not None
    given = {"name": "Ada Lund", "email": "ada@example.com", "password": PASSWORD,
             "again": PASSWORD, "way": "password"}  # fmt: skip
    assert Client().post(re.sub(r"^https?://[^/]+", "", link), given).status_code == 302
    return take_seat("ada")


def take_seat(name: str) -> Seat:
    """The authenticator app is set up and the first token fetched."""
    TOTP.activate(User.objects.get(email=f"{name}@example.com"), "JBSWY3DPEHPK3PXP")
    caches["default"].clear()  # twenty sign-ins a minute from one address are what is let in
    return Seat(name)


def join(name: str) -> Seat:
    """By the mailed link, with a password of one's own."""
    send_waiting()
    (found,) = (
        re.search(r"(/join/\S+)", item.body) for item in mail.outbox if f"{name}@" in item.to[0]
    )
    assert found is not None
    assert Client().post(found[1], {"password": PASSWORD, "again": PASSWORD}).status_code == 302
    return take_seat(name)


def give_seats(first: Seat, capsys: Any) -> dict[str, Seat]:
    """Six people; once a director sits, a further role takes the director's signature."""
    for name, full, role in STAFF:
        given = {"email": f"{name}@example.com", "name": full, "role": role, "reason": "founding"}
        assert first.post("people", **given)["is_approved"] is True
    seats = {name: join(name) for name in dict.fromkeys(name for name, _, _ in STAFF)}
    for name in ("mira", "nadia", "mia"):
        seats[name].passkey = enrol(User.objects.get(email=f"{name}@example.com"), capsys)
    given = {"email": "olga@example.com", "name": "Olga Reyes", "role": "operator", "reason": "x"}
    row = first.post("people", **given)
    assert row["is_approved"] is None
    assert first.code(f"people/{row['id']}/decision", is_approved=True) == "not_allowed"
    decided = seats["mia"].post_signed(f"people/{row['id']}/decision", is_approved=True)
    assert decided["is_approved"] is True
    assert first.code("people", **given) == "role_held"
    return seats


def set_up(seats: dict[str, Seat]) -> None:
    """Fund, class, terms, calendar, limits and the bank account."""
    dmitri, mira, nadia = seats["dmitri"], seats["mira"], seats["nadia"]
    fund = {"code": "KESTREL", "name": "Kestrel Point", "first_day": "2025-04-01"}
    assert dmitri.post("founding/fund", **fund)["name"] == "Kestrel Point"
    assert dmitri.code("founding/fund", **fund) == "fund_exists"
    assert mira.code("founding/fund", **fund) == "not_allowed"
    dmitri.post("founding/class", fund="KESTREL", code="A", name="Class A")
    terms = {"share_class": "A", "reason": "launch", "effective_from": "2025-03-01",
             "management_rate": "0.015"}  # fmt: skip
    made = dmitri.post("founding/terms", **terms)
    assert dmitri.code("founding/terms", **terms) == "proposal_open"
    (waiting,) = mira.get("founding")["terms"]
    assert (waiting["id"], waiting["content_hash"]) == (made["id"], made["content_hash"])
    assert waiting["terms"]["management_rate"] == "0.015"
    decision = f"founding/terms/{made['id']}/decision"
    yes = {"is_approved": True, "content_hash": waiting["content_hash"]}
    assert dmitri.code(decision, **yes) == "not_allowed"
    assert mira.code(decision, **{**yes, "content_hash": "0" * 64}) == "changed"
    assert mira.post_signed(decision, **yes)["version"] == 1
    days = {"fund": "KESTREL", "first": "2025-04-01", "months": 3}
    tried = dmitri.post("founding/calendar", **days, is_dry_run=True)
    assert (tried["id"], tried["days"][0]["valuation_at"]) == (None, "2025-04-01T00:00:00Z")
    assert [step["is_done"] for step in dmitri.get("founding")["steps"]][3] is False
    dmitri.post("founding/calendar", **days)
    assert dmitri.code("founding/calendar", **days) == "no_new_day"
    agree_on_limits(nadia, mira)
    account = dmitri.post(
        "money/accounts", code="MAIN", kind="bank", bank="Example Bank", currency="USD",
        number="CH9300762011623852957",
    )  # fmt: skip
    assert dmitri.code(f"money/accounts/{account['id']}/approve") == "not_allowed"
    assert mira.post_signed(f"money/accounts/{account['id']}/approve")["is_approved"] is True


def agree_on_limits(nadia: Seat, mira: Seat) -> None:
    """Both risk officers sign; what is not named stays as it is in force."""
    made = nadia.post("founding/limits", reason="founding", leverage_max="2")
    (waiting,) = mira.get("founding")["limits"]
    assert (waiting["figures"]["leverage_max"], waiting["is_signed_by_proposer"]) == ("2", False)
    decision = f"founding/limits/{made['id']}/decision"
    yes = {"is_approved": True, "content_hash": made["content_hash"]}
    with use_clock(SystemClock()):
        nadia.sign_at(nadia.send(decision, yes))
    assert nadia.code(decision, **yes) == "same_person"
    assert mira.post_signed(decision, **yes)["version"] == 1


def approve_holder(seats: dict[str, Seat]) -> str:
    """A first investor, whose file two of compliance approve; gives the number."""
    given = {"name": "Ines Marlow", "email": "ines@example.com", "kind": "person", "country": "CH"}
    made = seats["dmitri"].post("founding/investor", **given)
    lea, nadia, case = seats["lea"], seats["nadia"], f"kyc/cases/{made['id']}"
    lea.post(f"{case}/moves", to="collecting")
    for line in lea.get(case)["checklist"]:
        lea.post(f"{case}/checks", item=line["item"], outcome="checked", evidence="seen")
    for state in ("submitted", "screening"):
        lea.post(f"{case}/moves", to=state)
    for kind in ("sanctions", "office"):
        given = {"party": "Ines Marlow", "kind": kind, "list_name": "EU", "list_version": "1"}
        lea.post(f"{case}/screenings", **given)
    lea.post(f"{case}/moves", to="review")
    rated = lea.post(f"{case}/rating", points=POINTS, is_politically_exposed=False, reason="salary")
    lea.post(f"{case}/review", content_hash=rated["content_hash"])
    seen = nadia.get(case)
    done = nadia.post_signed(f"{case}/moves", to="approved", content_hash=seen["content_hash"])
    assert done["state"] == "approved"
    return str(done["number"])


def buy(seats: dict[str, Seat], number: str) -> None:
    """An order on instruction, and its money by a statement of the bank."""
    dmitri, mira = seats["dmitri"], seats["mira"]
    row = dmitri.post(
        "dealing/proposals", type="subscription", investor=number, share_class="A", amount="10000",
        instruction="letter of 3 March", reason="first money",
    )  # fmt: skip
    decision = f"dealing/proposals/{row['id']}/decision"
    details = mira.send(decision, {"is_approved": True}).json()["error"]["details"]
    with use_clock(SystemClock()):  # in whose year no day of the fund deals yet
        user = User.objects.get(email="mira@example.com")
        wish = {"action": details["action"], "subject": UUID(details["subject"])}
        page = path_of(ask_to_sign(**wish, back="/", actor=Actor.of(user)))
        assert mira.passkey is not None
        assert b"on record" in sign(page, mira.passkey).content
    done = mira.post(decision, is_approved=True)
    line = f"B1,2025-03-03T08:00:00Z,10000.00,USD,Ines Marlow,{done['order_reference']}"
    dmitri.post(
        "money/statements", account="MAIN", name="march.csv",
        content=f"reference,booked_at,amount,currency,party,text\n{line}\n",
    )  # fmt: skip
    for item in dmitri.get("money/receipts")["receipts"]:
        dmitri.post(
            f"money/receipts/{item['id']}/match", order_id=item["order_id"], reason="the name"
        )


def test_an_empty_home_is_founded_and_deals_its_first_nav_by_the_api_alone(
    first: Seat, capsys: Any
):
    assert first.get("founding")["fund"] is None
    seats = give_seats(first, capsys)  # a decided role is given by the server's own clock
    with use_clock(VirtualClock(BEGIN)) as clock:
        assert isinstance(clock, VirtualClock)
        set_up(seats)
        buy(seats, approve_holder(seats))
        clock.move_to(FIRST + timedelta(hours=8))
        strike = seats["dmitri"].post("navs")
        yes = {"is_approved": True, "content_hash": strike["content_hash"]}
        dealt = seats["mira"].post_signed(f"navs/{strike['id']}/decision", **yes)
        assert dealt["state"] == "dealt"
        held = Holding.objects.get()
        assert (held.investor.legal_name, held.units) == ("Ines Marlow", 100)
        assert verify_fund(Fund.objects.get()) == []
        founding = seats["mia"].get("founding")
    left = {step["name"] for step in founding["steps"] if not step["is_done"]}
    # The book has no venue yet: it follows an exchange once an operator adds an instrument.
    assert left == {"Instruments", "Sleeves and risk shares", "Reconciliation", "Arm the fuse"}
    assert (founding["terms"], founding["limits"]) == ([], [])


def bearer(role: Role) -> dict[str, str]:
    user = ensure_user(email=f"{role.value}@example.com", name=role.value, roles=[role])
    return {"Authorization": f"Bearer {RefreshToken.for_user(user).access_token}"}


@pytest.mark.django_db
@pytest.mark.usefixtures("token_keys")
class TestTheForms:
    def ask(self, role: Role) -> Any:
        return Client().get("/api/founding", headers=bearer(role)).json()

    @pytest.mark.parametrize("role", list(Role))
    def test_people_and_accounts_are_seen_by_the_house_and_proposed_by_their_roles(
        self, role: Role
    ):
        headers = {**bearer(role), "Idempotency-Key": "one"}
        is_house = role in roles_with(Capability.DESK_VIEW)
        for path, proposers in (
            ("/api/people", {Role.ADMINISTRATOR}), ("/api/money/accounts", {Role.ACCOUNTANT}),
        ):  # fmt: skip
            seen = Client().get(path, headers=headers).status_code
            assert seen != 403 if is_house else seen == 403, path
            sent = Client().post(path, {}, content_type="application/json", headers=headers)
            assert sent.status_code == (422 if role in proposers else 403), path
        assert Client().get("/api/people").status_code == 401

    def test_each_step_says_who_takes_it_and_what_it_asks(self):
        forms = {item["name"]: item for item in self.ask(Role.ACCOUNTANT)["forms"]}
        assert {
            name: {Role(role) for role in item["roles"]} for name, item in forms.items()
        } == STEPS
        assert {name for name, item in forms.items() if item["may"]} == {
            name for name, roles in STEPS.items() if Role.ACCOUNTANT in roles
        }
        asked = {field["name"] for field in forms["fund"]["fields_asked"] if field["is_required"]}
        assert asked == {"code", "name", "first_day"}

    def test_every_missing_step_of_an_empty_home_leads_somewhere(self):
        steps = self.ask(Role.AUDITOR)["steps"]
        assert [step["name"] for step in steps if step["is_done"]] == []
        ways = [
            step["endpoint"] or step["page"] or step["command"]
            for step in steps
            if step["name"] not in ("Share classes and terms", "Dealing calendar")
        ]
        assert all(ways), steps

    @pytest.mark.parametrize(
        ("step", "body", "field"),
        [
            ("fund", {"name": "x", "first_day": "tomorrow", "code": "A"}, "first_day"),
            ("class", {"fund": "NONE", "code": "A", "name": "A"}, "fund"),
            ("class", {"fund": "NONE", "code": "A", "name": "A", "launch_price": "NaN"},
             "launch_price"),
            ("terms", {"share_class": "A", "reason": "x"}, "effective_from"),
            ("calendar", {"fund": "A", "first": "2025-04-01", "months": 61}, "months"),
            ("investor", {"name": "x", "email": "x", "kind": "robot", "country": "CH"}, "kind"),
        ],
    )  # fmt: skip
    def test_a_field_that_cannot_be_is_named(self, step: str, body: dict[str, Any], field: str):
        headers = {**bearer(Role.ACCOUNTANT), "Idempotency-Key": "one"}
        answer = Client().post(
            f"/api/founding/{step}", body, content_type="application/json", headers=headers
        )
        error = answer.json()["error"]
        assert (answer.status_code, error["code"]) == (422, "invalid_input")
        assert field in error["details"]
        assert not Fund.objects.exists()

    def test_a_repeated_step_is_taken_once(self):
        headers = {**bearer(Role.ACCOUNTANT), "Idempotency-Key": "one"}

        def send(**body: str) -> Any:
            return Client().post(
                "/api/founding/fund", body, content_type="application/json", headers=headers
            )

        body = {"code": "A", "name": "First", "first_day": "2030-04-01"}
        before, after = send(**body), send(**body)
        assert (before.status_code, after.status_code) == (201, 201)
        assert (before.content, after.headers["Idempotent-Replayed"]) == (after.content, "true")
        assert send(**{**body, "name": "Other"}).json()["error"]["code"] == "key_reused"
        assert Fund.objects.count() == 1
