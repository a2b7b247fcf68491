"""Books and audit trail on the desk: who may look, what stands there, and the files to check by."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from magnetfund.core.actors import Actor
from magnetfund.core.models import AuditEvent, JobRun
from magnetfund.core.roles import Role
from magnetfund.core.services.audit import record_audit
from magnetfund.kernel.clock import utc_now
from magnetfund.operations.books.root import make_root, make_root_keys
from magnetfund.operations.people import ensure_user
from magnetfund.operations.watch import verify_all

pytestmark = pytest.mark.django_db
PATHS = ("/desk/books/", "/desk/books/books.jsonl.gz", "/desk/books/check_books.py")
MAY = {
    Role.RISK_OFFICER, Role.ACCOUNTANT, Role.CONTROLLER, Role.COMPLIANCE, Role.DIRECTOR,
    Role.AUDITOR, Role.ADMINISTRATOR,
}  # fmt: skip


@pytest.fixture(autouse=True)
def _home(settings: Any, tmp_path: Path) -> None:
    settings.MAGNET_HOME = tmp_path
    make_root_keys(tmp_path / "keys")


def client_of(role: Role) -> Client:
    client = Client()
    user = ensure_user(email=f"{role.value}@example.com", name=role.value, roles=[role])
    client.force_login(user)
    return client


@pytest.mark.parametrize("path", PATHS)
def test_who_may_look_at_the_books(path: str):
    assert Client().get(path).url.startswith("/account/login/")
    for role in Role:
        answer = client_of(role).get(path)
        assert answer.status_code == (200 if role in MAY else 403), role


def test_an_empty_home_says_that_nothing_was_verified_yet():
    page = client_of(Role.AUDITOR).get("/desk/books/").content.decode()
    assert "Not verified yet" in page
    assert "No root has left yet" in page


def test_the_auditor_reads_every_line_with_its_body_and_the_root():
    record_audit(
        actor=Actor.system("test"), action="nav.approved", subject=("nav_strike", "7"),
        body={"nav": "439976.15", "words": "<b>über</b>"},
    )  # fmt: skip
    root = make_root()
    JobRun.objects.create(
        job="daily_verification", scheduled_for=utc_now(), finished_at=utc_now(),
        state="done", detail="clean; root 1 to 1 auditors",
    )  # fmt: skip
    client = client_of(Role.AUDITOR)
    page = client.get("/desk/books/?action=nav.approved").content.decode()
    assert "439976.15" in page
    assert "&lt;b&gt;über&lt;/b&gt;" in page
    assert "account.created" not in page.partition('id="audit-lines"')[2].partition("<tbody>")[2]
    assert root.digest in page
    assert "Clean" in page
    file = json.loads(b"".join(client.get("/desk/books/root-1.json").streaming_content))
    assert file["document"] == root.document
    assert client.get("/desk/books/root-2.json").status_code == 404


def test_the_file_of_the_books_holds_every_audit_line():
    client = client_of(Role.AUDITOR)
    data = b"".join(client.get("/desk/books/books.jsonl.gz").streaming_content)
    rows = [json.loads(line) for line in gzip.decompress(data).splitlines()]
    assert len(rows) == AuditEvent.objects.count()
    assert {row["chain"] for row in rows} == {"audit:main"}


def test_clean_books_give_a_root_by_mail_and_wrong_ones_none(
    django_capture_on_commit_callbacks: Any,
):
    from django.db import connection

    from magnetfund.core.models import OutgoingMail
    from magnetfund.core.services.mail import write_mail
    from magnetfund.operations.books.root import read_roots

    client_of(Role.AUDITOR)
    assert verify_all() == "clean; root 1 to 1 auditors"
    mail = OutgoingMail.objects.get(recipient="auditor@example.com")
    subject, body = write_mail(mail)
    assert subject == "Root 1 of the books"
    start = body.index("{")
    sent = json.loads(body[start : body.rindex("}") + 1])
    assert sent["document"] == read_roots()[0].document
    with connection.cursor() as cursor:
        # A grant that nobody decided on: its audit line is missing.
        cursor.execute(
            "INSERT INTO core_rolegrant (user_id, role, granted_at) SELECT id, 'controller', now() "
            "FROM core_user WHERE email = 'auditor@example.com'"
        )
    assert verify_all().startswith("1 differences: role controller of auditor")
    assert len(read_roots()) == 1
    subject, body = write_mail(OutgoingMail.objects.get(kind="books_differ"))
    assert subject == "The books did not verify"
    assert "no audit line tells of its grant" in body
