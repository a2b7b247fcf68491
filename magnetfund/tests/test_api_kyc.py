"""KYC by the API alone and by the admin alone: the same services, the same refusals."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from rest_framework_simplejwt.tokens import RefreshToken

from investors.models import Application, Investor, KycMove
from investors.services.founding import register_investor
from investors.services.kyc_file import show_file
from magnetfund.core.actors import Actor
from magnetfund.core.roles import Role
from magnetfund.operations.people import ensure_user

pytestmark = pytest.mark.django_db
POINTS = {"customer": 1, "country": 1, "product": 3, "channel": 2, "money": 1}
SEES = {Role.COMPLIANCE, Role.DIRECTOR, Role.AUDITOR}


@pytest.fixture(autouse=True)
def _keys(settings: Any, tmp_path: Path, token_keys: Path) -> None:
    settings.DOCUMENT_KEYS = tmp_path / "documents"


@pytest.fixture
def investor() -> Investor:
    accountant = ensure_user(email="d@example.com", name="Dmitri", roles=[Role.ACCOUNTANT])
    return register_investor(
        name="Ann Beck", email="ann@example.com", kind="person", country="CH",
        actor=Actor.of(accountant),
    )  # fmt: skip


def person(name: str, role: Role) -> Any:
    return ensure_user(email=f"{name}@example.com", name=name.title(), roles=[role])


class Caller:
    def __init__(self, name: str, role: Role) -> None:
        token = RefreshToken.for_user(person(name, role)).access_token
        self.headers = {"Authorization": f"Bearer {token}"}

    def get(self, path: str) -> Any:
        return Client().get(path, headers=self.headers)

    def post(self, path: str, **body: Any) -> Any:
        return Client().post(
            path, data=json.dumps(body), content_type="application/json", headers=self.headers
        )


def test_a_file_goes_to_approval_by_the_api_alone(investor: Investor):
    lea, karim = Caller("lea", Role.COMPLIANCE), Caller("karim", Role.COMPLIANCE)
    base = f"/api/kyc/cases/{investor.pk}"
    assert lea.get("/api/kyc/cases?state=not_started").json()["cases"][0]["number"] == "I-001"
    assert lea.get("/api/kyc/cases?state=approved").json() == {"cases": [], "next": None}
    assert lea.post(f"{base}/moves", to="collecting").status_code == 201
    for line in lea.get(base).json()["checklist"]:
        answer = lea.post(f"{base}/checks", item=line["item"], outcome="checked", evidence="seen")
        assert answer.status_code == 201
    lea.post(f"{base}/moves", to="submitted")
    lea.post(f"{base}/moves", to="screening")
    hit = lea.post(
        f"{base}/screenings", party="Ann Beck", kind="sanctions", list_name="EU",
        list_version="1", match="BECK, Anne", score=0.91,
    ).json()["screenings"][0]  # fmt: skip
    lea.post(f"{base}/moves", to="review")
    decided = lea.post(
        f"{base}/decisions", hit=hit["id"], is_same_person=False, reason="born 1950, ours 1990"
    )
    assert decided.json()["screenings"][0]["outcome"] == "other_person"
    rated = lea.post(
        f"{base}/rating", points=POINTS, is_politically_exposed=False, reason="salary"
    ).json()
    assert (rated["risk"], rated["needs"]) == ("medium", ["the review is not signed"])
    assert lea.post(f"{base}/review", content_hash="0" * 64).json()["error"]["code"] == "changed"
    assert lea.post(f"{base}/review", content_hash=rated["content_hash"]).status_code == 201
    own = lea.post(f"{base}/moves", to="approved", content_hash=rated["content_hash"])
    assert (own.status_code, own.json()["error"]["code"]) == (403, "same_person")
    seen = karim.get(base).json()
    assert "approved" in seen["possible"]
    done = karim.post(f"{base}/moves", to="approved", content_hash=seen["content_hash"])
    assert (done.status_code, done.json()["state"]) == (201, "approved")
    assert done.json()["review_due"] is not None
    other = "/api/kyc/cases/00000000-0000-0000-0000-000000000000"
    assert lea.get(other).status_code == 404
    assert lea.post(f"{base}/decisions", hit=99, is_same_person=True, reason="x").status_code == 404
    assert lea.post(f"{base}/moves", to="nowhere").status_code == 422


@pytest.mark.parametrize("role", list(Role))
def test_the_api_opens_files_to_few_and_work_to_compliance(investor: Investor, role: Role):
    caller = Caller("somebody", role)
    expected = 200 if role in SEES else 403
    assert caller.get("/api/kyc/cases").status_code == expected
    assert caller.get(f"/api/kyc/cases/{investor.pk}").status_code == expected
    moved = caller.post(f"/api/kyc/cases/{investor.pk}/moves", to="collecting")
    assert moved.status_code == (201 if role is Role.COMPLIANCE else 403)


def test_an_application_begins_by_the_api_and_names_nobody():
    answer = Client().post(
        "/api/investor/register", data=json.dumps({"email": "new@example.com"}),
        content_type="application/json",
    )  # fmt: skip
    assert (answer.status_code, answer.json()["status"]) == (202, "pending_verification")
    assert Application.objects.get().email == "new@example.com"
    bad = Client().post(
        "/api/investor/register", data=json.dumps({"email": "x", "kind": "robot"}),
        content_type="application/json",
    )  # fmt: skip
    assert bad.status_code == 422


def in_admin(client: Client, table: str, **given: Any) -> list[str]:
    answer = client.post(f"/admin/investors/{table}/add/", given)
    if answer.status_code == 302:
        return []
    errors = answer.context["adminform"].form.errors
    return [text for texts in errors.values() for text in texts]


def test_a_file_goes_to_approval_by_the_admin_alone(investor: Investor):
    lea, karim = Client(), Client()
    lea.force_login(person("lea", Role.COMPLIANCE))
    karim.force_login(person("karim", Role.COMPLIANCE))
    pk = str(investor.pk)

    def move(client: Client, to: str, **more: str) -> list[str]:
        return in_admin(client, "kycmove", investor=pk, to=to, **more)

    assert move(lea, "collecting") == []
    assert move(lea, "approved") == ["A signature names the hash of the file that was read."]
    for item in (
        "identity", "address", "tax_residence", "source_of_funds", "suitability", "agreements"
    ):  # fmt: skip
        given = {"investor": pk, "item": item, "outcome": "checked", "evidence": "seen"}
        assert in_admin(lea, "kyccheck", **given) == []
    assert move(lea, "submitted") == []
    assert move(lea, "screening") == []
    screening = {
        "investor": pk, "party": "Ann Beck", "kind": "sanctions", "list_name": "EU",
        "list_version": "1",
    }  # fmt: skip
    assert in_admin(lea, "screening", **screening) == []
    assert move(lea, "review") == []
    points = {name: str(n) for name, n in POINTS.items()}
    assert in_admin(lea, "kyccase", investor=pk, reason="salary", **points) == []
    signed = show_file(investor, actor=Actor.of(person("lea", Role.COMPLIANCE))).content_hash
    assert move(lea, "sign_review", content_hash="00000000") == [
        "the file changed since you opened this page; reload and review it again"
    ]
    assert move(lea, "sign_review", content_hash=signed[:8]) == []
    assert move(lea, "approved", content_hash=signed[:8]) == [
        "this needs another person than those who signed before"
    ]
    assert move(karim, "approved", content_hash=signed[:8]) == []
    investor.refresh_from_db()
    assert investor.kyc_state == "approved"
    assert KycMove.objects.filter(to_state="approved").get().actor == person(
        "karim", Role.COMPLIANCE
    )
    export = {"action": "export_csv", "_selected_action": [KycMove.objects.all()[0].pk]}
    assert "from_state" in lea.post("/admin/investors/kycmove/", export).content.decode()


@pytest.mark.parametrize("role", [Role.ACCOUNTANT, Role.CONTROLLER, Role.ADMINISTRATOR])
def test_the_admin_hides_files_from_the_rest_of_the_house(role: Role):
    client = Client()
    client.force_login(person("x", role))
    # Administrators of the platform need no holder's name.
    named = 403 if role is Role.ADMINISTRATOR else 200
    assert client.get("/admin/investors/investor/").status_code == named
    for table in ("kyccase", "kycmove", "kyccheck", "screening", "application", "document"):
        assert client.get(f"/admin/investors/{table}/").status_code == 403
