"""Who is erased is found in no row and no file, but in those that the law asks to keep."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction
from django.test import Client

from investors.domain.onboarding import KycState
from investors.models import Application, Entry, Investor, KycCheck, KycMove, Message, Screening
from investors.services import kyc
from investors.services.account_changes import ask_change, record_call_back
from investors.services.accounts import invite_investor, open_account
from investors.services.dealing import submit_subscription
from investors.services.documents import RETENTION_DAYS, erase_application, replay_erasures
from investors.services.kyc_work import note_check, record_screening
from investors.services.messages import send_message
from investors.services.sealing import destroy_key
from investors.services.statements import record_receipt
from investors.services.verification import verify_fund
from investors.tests.fund_support import FIRST, SmallFund, make_fund
from magnetfund.core.actors import Actor
from magnetfund.core.models import OutgoingMail
from magnetfund.core.roles import Role
from magnetfund.kernel.clock import utc_now
from magnetfund.operations.people import ensure_user
from magnetfund.tests.test_apply import begin, fill, sign

pytestmark = pytest.mark.django_db
ROOT = Path(__file__).resolve().parents[2]
NAME, ADDRESS = "Wieczorek", "tomasz@example.com"
#: What still names a person who was erased; docs/operations.md says why.
KEPT = {
    "core_auditevent", "core_signature", "core_signaturerequest", "investors_payeeaccount",
    "investors_payment", "investors_paymentfile", "investors_statementfile",
    "investors_statementline", "investors_paper",
}  # fmt: skip


def find_tables(*words: str) -> set[str]:
    """Tables of which a row says one of the words in any column, as text or as bytes."""
    found = set()
    with connection.cursor() as cursor:
        # Two small tables of invitations to signing keys are the owner's alone; they hold ids.
        cursor.execute(
            "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') "
            "AND relnamespace = 'public'::regnamespace AND has_table_privilege(oid, 'SELECT')"
        )
        for (table,) in cursor.fetchall():
            for word in words:
                cursor.execute(
                    f'SELECT EXISTS (SELECT 1 FROM "{table}" t WHERE t::text ILIKE %s '
                    "OR t::text ILIKE %s)",
                    [f"%{word}%", f"%{word.encode().hex()}%"],
                )
                if cursor.fetchone()[0]:
                    found.add(table)
    return found


def find_files(folder: Path, *words: str) -> list[Path]:
    return [
        path
        for path in folder.rglob("*")
        if path.is_file() and any(word.encode() in path.read_bytes() for word in words)
    ]


@pytest.fixture(autouse=True)
def home(settings: Any, tmp_path: Path) -> Path:
    from django.core.cache import cache

    settings.DOCUMENT_KEYS = tmp_path / "keys"
    settings.AGREEMENTS = tmp_path / "agreements"
    cache.clear()
    return tmp_path


@pytest.fixture
def small() -> SmallFund:
    return make_fund("main")


@pytest.fixture
def left(small: SmallFund, monkeypatch: pytest.MonkeyPatch) -> Application:
    """Tomasz applied, was checked and screened, got an account, messages and mails, bought units,
    asked for another account, and left five years ago."""
    client = begin()
    fill(client)
    with monkeypatch.context() as past:
        past.setattr(kyc, "utc_now", lambda: utc_now() - timedelta(days=RETENTION_DAYS + 9))
        sign(client)
    row = Application.objects.get()
    investor = row.investor
    assert investor is not None
    lea = Actor.of(ensure_user(email="lea@example.com", name="Lea", roles=[Role.COMPLIANCE]))
    name = investor.legal_name
    note_check(
        investor=investor, item="identity", outcome="checked", actor=lea,
        evidence=f"passport of {name}, born 1984",
    )  # fmt: skip
    record_screening(
        investor=investor, party=name, kind="sanctions", list_name="OFAC", list_version="1",
        names_in_list=9, match=f"{name}, vessel", match_id="7", score=0.9, actor=lea,
    )  # fmt: skip
    user = invite_investor(investor=investor, actor=lea)
    assert user is not None
    open_account(user=user, password="correct horse 7 battery")
    Client().force_login(user)
    small.day(FIRST)
    Investor.objects.filter(pk=investor.pk).update(kyc_state=KycState.APPROVED)
    investor.refresh_from_db()
    order = submit_subscription(
        investor=investor, share_class=small.share_class(), amount=Decimal(10_000),
        actor=small.maker, at=FIRST - timedelta(days=10),
    )  # fmt: skip
    record_receipt(
        order=order, amount=Decimal(10_000), party=name, reference="R-1", actor=small.maker,
        at=FIRST - timedelta(days=3),
    )  # fmt: skip
    small.strike(FIRST)
    send_message(investor=investor, key="told", subject=f"Dear {name}", body=f"To {ADDRESS}.")
    asked = ask_change(
        fund=small.fund, investor=investor, kind="bank", name=name, currency="USD",
        number="DE89370400440532013000", actor=Actor.of(user),
    )  # fmt: skip
    record_call_back(
        change=asked, called_at=utc_now(), called_number="+41 44 000 00 00",
        known_since=utc_now().date() - timedelta(days=9), spoken_with=name, actor=small.maker,
    )  # fmt: skip
    Investor.objects.filter(pk=investor.pk).update(kyc_state=KycState.EXITED)
    return row


def leave(row: Application, *, days: int = RETENTION_DAYS + 1) -> None:
    """The last move of the file was some days ago."""
    KycMove.objects.create(
        investor=row.investor, from_state="approved", to_state="exited", role="compliance",
        actor_label="Lea", reason=f"{NAME} left", content_hash="x",
        moved_at=utc_now() - timedelta(days=days),
    )  # fmt: skip


def erase(row: Application, capture: Any) -> None:
    lea = Actor.of(ensure_user(email="lea@example.com", name="Lea", roles=[Role.COMPLIANCE]))
    with capture(execute=True):
        erase_application(application=row, reason="five years are over", actor=lea)


def test_nothing_names_an_erased_holder_but_what_the_law_keeps(
    small: SmallFund, left: Application, home: Path, django_capture_on_commit_callbacks: Any
):
    leave(left)
    named = find_tables(NAME, ADDRESS)
    assert named >= {
        "investors_investor", "core_user", "investors_kyccheck", "investors_screening",
        "investors_kycmove", "investors_message", "core_outgoingmail", "investors_accountchange",
        "account_emailaddress", "investors_application",
    }  # fmt: skip
    assert not Entry.objects.filter(text__icontains=NAME).exists()
    erase(left, django_capture_on_commit_callbacks)
    still = find_tables(NAME, ADDRESS)
    assert still <= KEPT, still - KEPT
    assert find_files(home, NAME, ADDRESS) == []
    assert KycCheck.objects.filter(evidence="erased").exists()
    assert set(Screening.objects.values_list("party", flat=True)) == {"erased"}
    assert not Message.objects.exclude(subject="erased").exists()
    assert not OutgoingMail.objects.filter(claimed_at=None).exists()
    assert verify_fund(small.fund) == []


def test_the_book_says_what_is_kept_and_why():
    told = (ROOT / "docs" / "operations.md").read_text()
    assert [table for table in sorted(KEPT) if f"`{table}`" not in told] == []


def test_a_restored_database_is_erased_again(left: Application):
    """It is of before the erasure, and the store of keys has the mark of it."""
    leave(left)
    destroy_key(left.pk)
    assert "investors_kyccheck" in find_tables(NAME)
    assert replay_erasures() == 1
    assert find_tables(NAME, ADDRESS) <= KEPT
    assert replay_erasures() == 0


def refused(*statements: tuple[str, list[Any]]) -> str:
    """What the web's role was refused for in one transaction; empty where it was done."""
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            for text, given in statements:
                cursor.execute(text, given)
    except DatabaseError as error:
        return str(error)
    return ""


def test_the_database_keeps_the_file_of_who_left_lately(left: Application):
    """Whoever holds the web's role erases nobody whom the law asks to keep."""
    leave(left, days=RETENTION_DAYS - 9)
    for state in ("exited", "approved"):
        Investor.objects.filter(pk=left.investor_id).update(kyc_state=state)
        asked: tuple[str, list[Any]] = ("SELECT investors_erase_person(%s)", [left.pk])
        assert "kept for five years" in refused(asked)
    for text in (
        "UPDATE investors_kyccheck SET evidence = 'x'",
        "UPDATE investors_message SET body = 'x'",
        "UPDATE core_outgoingmail SET recipient = 'x'",
    ):
        assert "permission denied" in refused(("SET LOCAL magnet.erasing = 'on'", []), (text, []))
