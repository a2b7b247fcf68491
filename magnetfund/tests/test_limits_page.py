"""The page Limits: a draft is compared, a proposal signed by another person, or closed."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from django.conf import settings
from django.test import Client

from magnetfund.core.models import AuditEvent
from magnetfund.core.roles import Role
from magnetfund.kernel.clock import utc_midnight, utc_now
from magnetfund.operations.people import ensure_user
from magnetfund.web.desk.limits import measure_positions
from risk.domain.limits import Limits
from risk.models import LimitProposal, LimitSet
from risk.services.limits import limits_in_force

pytestmark = pytest.mark.django_db
PAGE = "/desk/risk/limits/"
PROPOSE = PAGE + "propose/"


def signed_in(name: str, role: Role = Role.RISK_OFFICER) -> Client:
    client = Client()
    client.force_login(ensure_user(email=f"{name}@example.com", name=name.title(), roles=[role]))
    return client


def text_of(answer: Any) -> str:
    return " ".join(answer.content.decode().split())


def test_a_draft_is_compared_in_the_page_and_stored_nowhere():
    client = signed_in("sofia")
    answer = client.post(
        PROPOSE, {"daily_loss_share": "0.02", "step": "compare"},
        headers={"HX-Request": "true", "HX-Target": "comparison"},
    )  # fmt: skip
    assert answer.status_code == 200
    assert "Loss per UTC day" in text_of(answer)
    assert "tighter" in text_of(answer)
    assert "<html" not in text_of(answer)
    assert not LimitProposal.objects.exists()


def test_two_risk_officers_put_a_version_in_force_with_the_next_day():
    sofia, jonas = signed_in("sofia"), signed_in("jonas")
    given = {"daily_loss_share": "0.02", "reason": "redemptions are coming", "step": "propose"}
    assert sofia.post(PROPOSE, given).status_code == 302
    row = LimitProposal.objects.get()
    assert row.effective_from == utc_midnight(utc_now()) + timedelta(days=1)
    assert "Sign limits" not in text_of(sofia.get(PAGE))
    shown = text_of(jonas.get(PAGE))
    assert "Sign limits" in shown
    assert "redemptions are coming" in shown
    signed = {"hash": row.content_hash, "from": "limits"}
    assert sofia.post(f"/desk/founding/limits/{row.pk}/", signed).status_code == 302
    assert not LimitSet.objects.exists(), "the proposer signed her own limits"
    assert jonas.post(f"/desk/founding/limits/{row.pk}/", signed).url == PAGE
    book = settings.MAGNET_BOOK
    assert limits_in_force(book).version == 0, "not before its day"
    tomorrow = limits_in_force(book, at=row.effective_from)
    assert (tomorrow.version, str(tomorrow.daily_loss_share)) == (1, "0.02")
    assert "redemptions are coming" in text_of(jonas.get(PAGE))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"leverage_max": "3.5"}, "hard ceiling is at most 3.0"),
        ({"daily_loss_share": "abc"}, "is not an exact number"),
        ({"cut_share_min": "0.9"}, "the smallest cut exceeds the largest"),
        ({"orders_per_minute_count_max": "1.5"}, "is not whole"),
        ({"daily_loss_share": "0.02", "reason": "  "}, "a reason is needed"),
    ],
)
def test_what_the_code_refuses_comes_back_into_the_form(given: dict[str, str], words: str):
    answer = signed_in("sofia").post(PROPOSE, {"reason": "x", **given, "step": "propose"})
    assert answer.status_code == 422
    assert words in text_of(answer).lower()
    for name, text in given.items():
        if name != "reason":
            assert f'value="{text}"' in answer.content.decode()
    assert not LimitProposal.objects.exists()


def test_a_proposal_is_taken_back_with_a_reason_and_a_line():
    sofia = signed_in("sofia")
    sofia.post(PROPOSE, {"drawdown_share": "0.04", "reason": "x", "step": "propose"})
    row = LimitProposal.objects.get()
    sofia.post(f"{PAGE}{row.pk}/withdraw/", {"reason": " "})
    row.refresh_from_db()
    assert row.withdrawn_at is None
    sofia.post(f"{PAGE}{row.pk}/withdraw/", {"reason": "entered the wrong figure"})
    row.refresh_from_db()
    assert row.withdrawn_at is not None
    line = AuditEvent.objects.get(action="limits.withdrawn")
    assert line.body["reason"] == "entered the wrong figure"
    signed_in("jonas").post(
        f"/desk/founding/limits/{row.pk}/", {"hash": row.content_hash, "from": "limits"}
    )
    assert not LimitSet.objects.exists()


def test_others_read_the_page_and_cannot_propose():
    operator = signed_in("tom", Role.OPERATOR)
    assert "Propose limits" not in text_of(operator.get(PAGE))
    assert operator.post(PROPOSE, {"step": "propose", "reason": "x"}).status_code == 403
    assert Client().get(PAGE).status_code == 302


def test_the_margin_of_an_open_position_stands_at_its_entry():
    row = SimpleNamespace(quantity=Decimal(-2), average_price=Decimal(100), leverage=2.0, tier=2)
    shown: Any = SimpleNamespace(row=row, notional=Decimal(400), at_stop=Decimal(-10))
    (found,) = measure_positions([shown], Limits(), Decimal(10_000))
    assert (found.margin, found.margin_max) == (100, 1000)
