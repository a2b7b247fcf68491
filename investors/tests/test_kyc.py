"""KYC files: from the first paper to an account, by two people; what stands against each step."""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.core import mail

from investors.domain.onboarding import FACTORS, KycState, rate
from investors.models import Investor, KycCase, KycMove, Screening
from investors.services.accounts import open_account, read_invitation, sign_invitation
from investors.services.dealing_rules import require_subscribable
from investors.services.founding import register_investor
from investors.services.kyc import hold_case, mark_due, move_case, sign_review
from investors.services.kyc_file import read_screenings, say_screening, show_file
from investors.services.kyc_work import decide_hit, note_check, rate_case, record_screening
from investors.tests.fund_support import make_fund
from magnetfund.core.actors import Actor
from magnetfund.core.models import AuditEvent, OutgoingMail
from magnetfund.core.roles import Role
from magnetfund.core.services.mail import queue_mail, send_waiting
from magnetfund.kernel.clock import utc_now
from magnetfund.kernel.errors import FundError, InvalidInput
from magnetfund.operations.people import ensure_user

pytestmark = pytest.mark.django_db
POINTS = {"customer": 1, "country": 1, "product": 3, "channel": 2, "money": 1}


def person(name: str, role: Role) -> Actor:
    return Actor.of(ensure_user(email=f"{name}@example.com", name=name.title(), roles=[role]))


@pytest.fixture
def lea() -> Actor:
    return person("lea", Role.COMPLIANCE)


@pytest.fixture
def karim() -> Actor:
    return person("karim", Role.COMPLIANCE)


@pytest.fixture
def miriam() -> Actor:
    return person("miriam", Role.DIRECTOR)


@pytest.fixture
def investor() -> Investor:
    return register_investor(
        name="Tomasz Wieczorek", email="tomasz@example.com", kind="person", country="PL",
        actor=person("dmitri", Role.ACCOUNTANT),
    )  # fmt: skip


def code_of(step: Any, **given: Any) -> str:
    with pytest.raises(FundError) as refused:
        step(**given)
    return refused.value.code


def go(investor: Investor, actor: Actor, *states: str, **more: Any) -> Investor:
    for state in states:
        investor = move_case(investor=investor, to=KycState(state), actor=actor, **more)
    return investor


def seen(investor: Investor, actor: Actor) -> str:
    investor.refresh_from_db()
    return show_file(investor, actor=actor).content_hash


def bring_to_review(investor: Investor, lea: Actor, **points: int) -> None:
    go(investor, lea, "collecting")
    for line in show_file(investor, actor=lea).checklist:
        note_check(investor=investor, item=line.item, outcome="checked", evidence="seen", actor=lea)
    go(investor, lea, "submitted", "screening")
    record_screening(
        investor=investor, party=investor.legal_name, kind="sanctions", list_name="OFAC SDN",
        list_version="2026-11-19", actor=lea,
    )  # fmt: skip
    go(investor, lea, "review")
    rate_case(
        investor=investor, points={**POINTS, **points}, is_politically_exposed=False,
        reason="salary, known bank", actor=lea,
    )  # fmt: skip


def approve(investor: Investor, lea: Actor, karim: Actor) -> Investor:
    bring_to_review(investor, lea)
    sign_review(investor=investor, seen_hash=seen(investor, lea), actor=lea)
    return move_case(
        investor=investor, to=KycState.APPROVED, actor=karim, seen_hash=seen(investor, karim)
    )


def test_two_people_approve_and_the_investor_is_mailed_a_link(investor, lea, karim):
    bring_to_review(investor, lea)
    move = {"investor": investor, "to": KycState.APPROVED}
    assert code_of(move_case, **move, actor=karim) == "review_not_signed"
    sign_review(investor=investor, seen_hash=seen(investor, lea), actor=lea)
    assert code_of(move_case, **move, actor=lea, seen_hash=seen(investor, lea)) == "same_person"
    assert code_of(move_case, **move, actor=karim, seen_hash="another") == "changed"
    row = move_case(**move, actor=karim, seen_hash=seen(investor, karim))
    case = KycCase.objects.get(investor=row)
    assert (row.kyc_state, case.risk) == ("approved", "medium")
    assert row.kyc_approved_at is not None
    assert case.review_due.year == row.kyc_approved_at.year + 2
    assert row.user is not None
    assert row.user.roles == {Role.INVESTOR}
    assert not row.user.has_usable_password()
    assert send_waiting() == 2  # the link, and the copy of the portal's first message
    assert send_waiting() == 0
    assert {tuple(sent.to) for sent in mail.outbox} == {("tomasz@example.com",)}
    (word,) = filter(None, (re.search(r"/join/([^/\s]+)/", sent.body) for sent in mail.outbox))
    assert word is not None
    assert read_invitation(word[1]) == row.user
    open_account(user=row.user, password="three unrelated words")
    assert code_of(read_invitation, word=word[1]) == "link_over"
    assert code_of(read_invitation, word=sign_invitation(row.user) + "x") == "link_over"


def test_a_note_after_the_signature_makes_it_void(investor, lea, karim):
    bring_to_review(investor, lea)
    sign_review(investor=investor, seen_hash=seen(investor, lea), actor=lea)
    note_check(
        investor=investor, item="address", outcome="refused", evidence="too old", actor=karim
    )
    assert KycCase.objects.get(investor=investor).reviewed_by is None
    move = {"investor": investor, "to": KycState.APPROVED, "actor": karim}
    assert code_of(move_case, **move, seen_hash=seen(investor, karim)) == "documents_missing"
    given = {"investor": investor, "actor": lea}
    assert code_of(sign_review, **given, seen_hash=seen(investor, lea)) == "documents_missing"


def test_high_risk_takes_two_of_compliance_and_a_director(investor, lea, karim, miriam):
    bring_to_review(investor, lea, customer=4, country=4)
    assert KycCase.objects.get(investor=investor).risk == "high"
    sign_review(investor=investor, seen_hash=seen(investor, lea), actor=lea)
    move = {"investor": investor, "to": KycState.APPROVED}
    assert (
        code_of(move_case, **move, actor=karim, seen_hash=seen(investor, karim))
        == "senior_manager_needed"
    )
    go(investor, karim, "enhanced_review", reason="high by country")
    second = {"investor": investor, "to": KycState.SENIOR_APPROVAL}
    assert code_of(move_case, **second, actor=lea, seen_hash=seen(investor, lea)) == "same_person"
    move_case(**second, actor=karim, seen_hash=seen(investor, karim))
    assert code_of(move_case, **move, actor=karim, seen_hash=seen(investor, karim)) == "wrong_role"
    row = move_case(**move, actor=miriam, seen_hash=seen(investor, miriam))
    case = KycCase.objects.get(investor=row)
    assert row.kyc_state == "approved"
    signers = (case.reviewed_by, case.seconded_by, case.approved_by)
    assert signers == (lea.user, karim.user, miriam.user)
    assert case.review_due.year == utc_now().year + 1


def test_one_human_with_two_accounts_is_one_signer(investor, lea, karim):
    bring_to_review(investor, lea)
    sign_review(investor=investor, seen_hash=seen(investor, lea), actor=lea)
    assert lea.user is not None
    assert karim.user is not None
    karim.user.person = lea.user.person
    move = {"investor": investor, "to": KycState.APPROVED, "actor": karim}
    assert code_of(move_case, **move, seen_hash=seen(investor, karim)) == "same_person"


def test_a_hit_holds_an_approved_investor_until_two_people_lift_it(investor, lea, karim):
    row = approve(investor, lea, karim)
    hit = record_screening(
        investor=row, party=row.legal_name, kind="sanctions", list_name="OFAC SDN",
        list_version="2026-11-20", match="WIECZOREK, Tomas", match_id="sdn:7", score=0.86,
        actor=Actor.system("screening"),
    )  # fmt: skip
    row.refresh_from_db()
    assert row.kyc_state == "restricted"
    assert KycMove.objects.order_by("-id")[0].actor_label == "screening"
    assert not AuditEvent.objects.filter(body__icontains="WIECZOREK").exists()
    signing = {"investor": row, "actor": lea}
    assert code_of(sign_review, **signing, seen_hash=seen(row, lea)) == "screening_not_clear"
    decide_hit(hit=hit, is_same_person=False, reason="born 1961, ours 1990", actor=lea)
    move = {"investor": row, "to": KycState.APPROVED, "actor": karim}
    assert code_of(move_case, **move, seen_hash=seen(row, karim)) == "review_not_signed"
    sign_review(**signing, seen_hash=seen(row, lea))
    move_case(**move, seen_hash=seen(row, karim))
    again = record_screening(
        investor=row, party=row.legal_name, kind="sanctions", list_name="OFAC SDN",
        list_version="2026-11-21", match="WIECZOREK, Tomas", match_id="sdn:7", score=0.86,
        actor=Actor.system("screening"),
    )  # fmt: skip
    row.refresh_from_db()
    assert (again.outcome, row.kyc_state) == ("possible", "approved")
    assert show_file(row, actor=lea).file.is_screening_clear


def test_one_vendor_answers_for_sanctions_and_for_offices(investor, lea):
    common = {
        "investor": investor, "party": investor.legal_name, "list_name": "Vendor",
        "list_version": "7", "match": "", "actor": lea,
    }  # fmt: skip
    assert say_screening(read_screenings(investor)) == (
        "nobody is screened against a sanctions list yet"
    )
    record_screening(**common, kind="sanctions")
    record_screening(**common, kind="office")
    assert [line.row.kind for line in read_screenings(investor)] == ["sanctions", "office"]
    assert say_screening(read_screenings(investor)) == ""
    record_screening(**{**common, "match": "T. W."}, kind="sanctions")
    assert say_screening(read_screenings(investor)) == "a hit of the screening is not decided"


def test_a_true_sanctions_match_is_never_approved_and_an_office_needs_a_director(
    investor, lea, karim
):
    bring_to_review(investor, lea)
    common = {"investor": investor, "party": investor.legal_name, "list_version": "1"}
    office = record_screening(
        **common, kind="office", list_name="Offices", match="Tomasz W.", actor=lea
    )
    decide_hit(hit=office, is_same_person=True, reason="mayor until 2025", actor=lea)
    case = KycCase.objects.get(investor=investor)
    assert (case.is_politically_exposed, case.risk) == (True, "high")
    assert show_file(investor, actor=lea).file.is_screening_clear
    true = record_screening(**common, kind="sanctions", list_name="EU", match="T. W.", actor=lea)
    decide_hit(hit=true, is_same_person=True, reason="same passport", actor=karim)
    signing = {"investor": investor, "actor": lea}
    assert code_of(sign_review, **signing, seen_hash=seen(investor, lea)) == "screening_not_clear"
    assert code_of(decide_hit, hit=true, is_same_person=False, reason="", actor=lea) == "no_reason"
    decision = Screening.objects.get(decides=true)
    assert (
        code_of(decide_hit, hit=decision, is_same_person=False, reason="x", actor=lea) == "no_hit"
    )


def test_a_hold_stops_subscriptions_and_says_nothing_of_why(investor, lea, karim):
    row = approve(investor, lea, karim)
    assert code_of(hold_case, investor=row, reason=" ", actor=lea) == "no_reason"
    hold_case(investor=row, reason="report 12 filed", actor=lea)
    row.refresh_from_db()
    share_class = make_fund("main").share_class()
    with pytest.raises(FundError) as refused:
        require_subscribable(
            investor=row, share_class=share_class, amount=Decimal(10_000), at=utc_now()
        )
    assert refused.value.code == "kyc_open"
    assert "report" not in refused.value.message
    assert not AuditEvent.objects.filter(body__icontains="report").exists()


def test_the_periodic_review_comes_due_once(investor, lea, karim):
    row = approve(investor, lea, karim)
    case = KycCase.objects.get(investor=row)
    assert mark_due() == 0
    later = utc_now() + timedelta(days=366 * 2)
    assert mark_due(at=later) == 1
    assert mark_due(at=later) == 0
    row.refresh_from_db()
    assert row.kyc_state == "due_for_refresh"
    assert case.review_due <= later.date()
    go(row, lea, "review")
    case.refresh_from_db()
    assert case.reviewed_by is None


@pytest.mark.parametrize("role", [r for r in Role if r is not Role.COMPLIANCE])
def test_nobody_else_works_on_a_file(investor, role):
    actor = person("other", role)
    step = {"investor": investor, "item": "identity", "outcome": "checked", "evidence": "x"}
    assert code_of(note_check, **step, actor=actor) == "not_allowed"
    with pytest.raises(FundError) as refused:
        go(investor, actor, "collecting")
    assert refused.value.code == "wrong_role"


def test_nobody_decides_about_himself(investor, lea):
    assert lea.user is not None
    own = ensure_user(email="lea.private@example.com", name="Lea", roles=[Role.INVESTOR])
    own.person = lea.user.person
    own.save(update_fields=["name"])
    Investor.objects.filter(pk=investor.pk).update(user=own)
    investor.refresh_from_db()
    investor.user = own
    assert not show_file(investor, actor=lea).possible


def test_what_is_noted_must_make_sense(investor, lea):
    note = {"investor": investor, "actor": lea, "evidence": "x", "outcome": "checked"}
    assert code_of(note_check, **note, item="owners") == "bad_item"
    assert code_of(note_check, **{**note, "outcome": "fine"}, item="address") == "bad_outcome"
    assert code_of(note_check, **{**note, "evidence": " "}, item="address") == "evidence_missing"
    rating = {"investor": investor, "actor": lea, "is_politically_exposed": False}
    assert code_of(rate_case, **rating, points=POINTS, reason="") == "no_reason"
    assert code_of(rate_case, **rating, points={"customer": 1}, reason="x") == "bad_rating"
    assert code_of(rate_case, **rating, points={**POINTS, "money": 5}, reason="x") == "bad_rating"


def test_points_make_a_rating_and_an_office_is_high():
    low = dict.fromkeys(FACTORS, 1)
    assert rate(low, is_politically_exposed=False).risk.value == "low"
    assert rate({**low, "money": 3}, is_politically_exposed=False).risk.value == "medium"
    assert rate({**low, "money": 4, "country": 4, "product": 3}, is_politically_exposed=False)
    assert rate(low, is_politically_exposed=True).risk.value == "high"
    with pytest.raises(InvalidInput):
        rate({**low, "money": True}, is_politically_exposed=False)


def test_a_mail_that_is_refused_is_tried_again_and_a_claimed_one_never(settings, investor):
    queue_mail(key="k", kind="invitation", recipient="a@example.com", params={"user": "no uuid"})
    assert send_waiting() == 0
    row = OutgoingMail.objects.get()
    assert (row.tries, row.sent_at, row.claimed_at) == (1, None, None)
    assert row.next_try_at > utc_now()
    assert row.problem
    OutgoingMail.objects.update(next_try_at=utc_now(), claimed_at=utc_now())
    assert send_waiting() == 0
    assert queue_mail(key="k", kind="x", recipient="b@example.com", params={}).pk == row.pk
