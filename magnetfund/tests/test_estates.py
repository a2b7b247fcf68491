"""Deaths and estates: the account held at once, and what two people decide of it."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from investors.models import (
    AdviserAccess,
    DealingOrder,
    DealingProposal,
    DeathReport,
    EstateStep,
    Holding,
    Investor,
    Paper,
    PayeeAccount,
    Payment,
    PowerOfAttorney,
    StatementLine,
    UnitLot,
)
from investors.services.advisers import invite_adviser
from investors.services.attorneys import decide_power, propose_power
from investors.services.dealing import submit_redemption, submit_subscription
from investors.services.dealing_proposals import decide_dealing, propose_dealing
from investors.services.estate_rules import say_holder
from investors.services.estates import decide_step, propose_step, report_death
from investors.services.kyc_file import is_held
from investors.services.money_accounts import add_payee, approve_payee
from investors.services.payment_drafts import prepare_proceeds
from investors.services.payments import approve_payment, confirm_payment, release_payments
from investors.services.register import read_register
from investors.services.verification import verify_fund
from investors.tests.fund_support import FIRST, SmallFund, first_of, make_fund
from investors.tests.test_payments import IBAN, bank_of
from magnetfund.core.actors import Actor
from magnetfund.core.models import AuditEvent
from magnetfund.core.roles import Role
from magnetfund.kernel.clock import utc_now
from magnetfund.kernel.errors import FundError
from magnetfund.operations.people import ensure_user
from magnetfund.tests.test_attorneys import PDF, api, by, officer, person
from magnetfund.tests.test_portal_own import client_of, staff

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("module_database")]
MARCH = first_of(2025, 3)


def tell() -> SmallFund:
    """Ann holds units and has an account, as Tom has; Bob is an approved file."""
    fund = make_fund("main")
    fund.day(FIRST)
    fund.subscribe("ann", "10000", before=FIRST)
    fund.strike(FIRST)
    fund.day(utc_now() + timedelta(days=20))
    for name in ("ann", "tom"):
        client_of(fund.investor(name))
    fund.investor("bob")
    return fund


@pytest.fixture(scope="module")
def story() -> Callable[[], SmallFund]:
    return tell


@pytest.fixture
def small(module_database: Any, told: Any, db: None, settings: Any, tmp_path: Path) -> SmallFund:
    settings.DOCUMENT_KEYS = tmp_path / "keys"
    return deepcopy(told.value)


def report(small: SmallFund, **given: Any) -> DeathReport:
    return report_death(
        **{
            "investor": person(small, "ann"), "deceased": "Ann", "paper_name": "paper.pdf",
            "died_on": utc_now().date() - timedelta(days=2), "paper": PDF,
            "actor": officer("lea"), **given,
        }
    )  # fmt: skip


def propose(row: DeathReport, kind: str, **given: Any) -> EstateStep:
    return propose_step(
        **{
            "report": row, "kind": kind, "ground": "letter of the court", "paper": PDF,
            "paper_name": "grant.pdf", "actor": officer("lea"), **given,
        }
    )  # fmt: skip


def approve(row: DeathReport, kind: str, **given: Any) -> EstateStep:
    return decide_step(proposal=propose(row, kind, **given), is_approved=True, actor=officer("max"))


def code_of(call: Any) -> str:
    with pytest.raises(FundError) as refused:
        call()
    return refused.value.code


def order(small: SmallFund, name: str = "ann") -> DealingOrder:
    return submit_redemption(
        investor=person(small, "ann"), share_class=small.share_class(), units=Decimal(10),
        actor=by(small, name),
    )  # fmt: skip


def move(small: SmallFund, receiver: str) -> DealingProposal:
    proposal = propose_dealing(
        kind="transfer", investor=person(small, "ann"), share_class=small.share_class(),
        receiver=person(small, receiver), is_all=True, reason="probate", actor=small.maker,
    )  # fmt: skip
    return decide_dealing(
        proposal=proposal, is_approved=True, actor=small.checker, at=FIRST + timedelta(days=1)
    )


def test_a_report_holds_the_account_at_once(small: SmallFund):
    ann, today = client_of(person(small, "ann")), utc_now().date()
    redeemed = order(small)
    bought = submit_subscription(
        investor=person(small, "ann"), share_class=small.share_class(), amount=Decimal(5000),
        actor=by(small, "ann"),
    )  # fmt: skip
    invite_adviser(
        investor=person(small, "ann"), name="Tom Tax", email="x@example.com", until=today,
        sees_holdings=True, sees_papers=True, actor=by(small, "ann"),
    )  # fmt: skip
    power = propose_power(
        investor=person(small, "ann"), attorney=person(small, "tom"), may_subscribe=True,
        may_redeem=True, first_day=today, last_day=today, deed_name="d.pdf", deed=PDF,
        actor=officer("lea"),
    )  # fmt: skip
    decide_power(proposal=power, is_approved=True, actor=officer("max"))
    row = report(small)
    assert PDF not in bytes(row.sealed_content)
    redeemed.refresh_from_db()
    bought.refresh_from_db()
    assert (redeemed.state, redeemed.reason) == ("set_aside", "a death was reported")
    assert bought.state == "cancelled"
    assert Holding.objects.get(investor=small.investor("ann")).reserved_units == 0
    assert ann.get("/overview/").status_code == 302
    assert AdviserAccess.objects.get().state == "ended"
    assert PowerOfAttorney.objects.get().state == "ended"
    assert is_held(person(small, "ann"))
    assert code_of(lambda: order(small)) == "death_reported"
    assert code_of(lambda: order(small, "tom")) == "not_allowed"
    instructed = {
        "investor": person(small, "ann"), "share_class": small.share_class(), "is_all": True,
        "reason": "x", "instruction": "x", "called_back": "x", "actor": small.maker,
    }  # fmt: skip
    assert code_of(lambda: propose_dealing(kind="redemption", **instructed)) == "death_reported"
    assert code_of(lambda: move(small, "bob")) == "no_probate"
    assert code_of(lambda: report(small)) == "death_known"


def test_money_that_came_for_an_order_goes_back_to_its_sender(small: SmallFund):
    bought = small.subscribe("ann", "5000", before=utc_now() + timedelta(days=20))
    bought.refresh_from_db()
    assert bought.funded_amount == 5000
    report(small)
    bought.refresh_from_db()
    assert (bought.state, bought.funded_amount) == ("cancelled", 0)
    line = StatementLine.objects.get(reference=f"REF-{bought.pk}")
    assert line.open_amount == 5000


def test_the_estate_has_its_valuation_and_papers_say_the_death(small: SmallFund):
    paper = report(small).valuation
    assert paper is not None
    assert (paper.kind, bytes(paper.content)[:4]) == (Paper.Kind.ESTATE, b"%PDF")
    said = dict(paper.data["parts"][0]["rows"])
    assert said["Value after accrued fees"] == "10,000.00 USD"
    assert say_holder(person(small, "ann")).startswith("Ann (death of Ann on ")
    clerk = Actor.of(ensure_user(email="a@example.com", name="Al", roles=[Role.ACCOUNTANT]))
    [line] = read_register(small.fund, at=utc_now(), actor=clerk).holders
    assert line.name == say_holder(person(small, "ann"))
    assert report(small, investor=person(small, "bob"), deceased="Bob").valuation is None


def test_no_nav_before_the_death_gives_no_valuation(small: SmallFund):
    assert report(small, died_on=date(2020, 1, 1)).valuation is None


def test_a_wrong_report_is_lifted_by_two_people(small: SmallFund):
    row = report(small)
    step = propose(row, "lift", ground="another Ann")
    assert code_of(lambda: propose(row, "lift")) == "step_waits"
    no = {"proposal": step, "is_approved": True}
    assert code_of(lambda: decide_step(**no, actor=officer("lea"))) == "same_person"
    assert code_of(lambda: decide_step(**no, actor=officer("otto", Role.OPERATOR))) == "not_allowed"
    decide_step(**no, actor=officer("max"))
    row.refresh_from_db()
    assert (row.outcome, row.closed_at is not None) == ("lifted", True)
    assert client_of(person(small, "ann")).get("/overview/").status_code == 200
    assert order(small).state == "accepted"
    assert not is_held(person(small, "ann"))
    assert code_of(lambda: propose(row, "lift")) == "report_closed"


def test_the_survivor_of_joint_holders_stays_the_holder(small: SmallFund):
    other = report(small, investor=person(small, "tom"), deceased="Tom")
    assert code_of(lambda: propose(other, "survivor", survivor="X")) == "not_joint"
    assert code_of(lambda: propose(other, "survivor", survivor="\u674e")) == "missing_glyph"
    assert code_of(lambda: propose(other, "survivor", survivor="E\u200bve")) == "bad_name"
    joint = Investor.objects.create(
        number="main-joint", kind="joint", legal_name="Eve and Al", email="eve@example.com",
        kyc_state="approved",
    )  # fmt: skip

    def buy() -> DealingOrder:
        return submit_subscription(
            investor=joint, share_class=small.share_class(), amount=Decimal(5000),
            actor=small.maker,
        )  # fmt: skip

    bought = buy()
    row = report(small, investor=joint, deceased="Al")
    bought.refresh_from_db()
    assert bought.state == "cancelled"
    assert code_of(buy) == "death_reported"
    assert code_of(lambda: propose(row, "survivor")) == "bad_name"
    approve(row, "survivor", survivor="Eve")
    joint.refresh_from_db()
    assert (joint.legal_name, say_holder(joint)) == ("Eve", "Eve")
    assert buy().state == "accepted"


def test_after_probate_the_lots_pass_to_the_estate_as_they_are(small: SmallFund):
    row = report(small)
    for executor in (None, person(small, "ann")):
        assert code_of(lambda who=executor: propose(row, "probate", executor=who)) == "bad_executor"
    waits = propose(row, "probate", executor=person(small, "bob"))
    assert code_of(lambda: move(small, "bob")) == "no_probate"
    decide_step(proposal=waits, is_approved=True, actor=officer("max"))
    [before] = UnitLot.objects.filter(holding__investor=small.investor("ann"), units__gt=0)
    move(small, "bob")
    [after] = UnitLot.objects.filter(holding__investor=small.investor("bob"), units__gt=0)
    for name in ("units", "entry_price", "high_water_mark", "lockup_until", "dealing_day"):
        assert getattr(after, name) == getattr(before, name), name
    assert is_held(person(small, "ann"))
    assert code_of(lambda: order(small)) == "death_reported"
    paid = submit_redemption(
        investor=person(small, "bob"), share_class=small.share_class(), units=None,
        actor=small.maker,
    )  # fmt: skip
    assert paid.state == "accepted"


def test_what_the_dead_holder_is_owed_is_paid_to_the_executor_alone(small: SmallFund):
    """Ann redeemed 4 of her units; she died before she was paid.  Neither her old account nor the
    executor's before probate is paid, and afterwards the executor's alone."""
    small.day(MARCH)
    redeemed = small.redeem("ann", "4", before=MARCH)
    small.strike(MARCH)
    redeemed.refresh_from_db()
    bank = bank_of(small)

    def prepare(payee: PayeeAccount) -> Payment:
        return prepare_proceeds(order=redeemed, payee=payee, actor=small.maker)

    def enter(name: str, number: str = "NL91ABNA0417164300") -> PayeeAccount:
        return add_payee(
            fund=small.fund, investor=person(small, "ann"), kind="bank", number=number,
            currency="USD", name=name, evidence="letter of the court", actor=small.maker,
        )  # fmt: skip

    old = enter("Ann", IBAN)
    row = report(small)
    assert code_of(lambda: prepare(old)) == "on_hold"
    assert code_of(lambda: enter("Bob")) == "third_party"
    approve(row, "probate", executor=person(small, "bob"))
    assert code_of(lambda: prepare(old)) == "on_hold"
    assert code_of(lambda: enter("Ann")) == "third_party"
    estate = approve_payee(payee=enter("Bob"), actor=small.checker)
    payment = prepare(estate)
    now = {"at": utc_now(), "actor": small.maker}
    report(small, investor=person(small, "bob"), deceased="Bob")
    seen: dict[str, Any] = {"payment": payment, "seen_hash": payment.content_hash}
    assert code_of(lambda: approve_payment(**seen, actor=small.checker, at=now["at"])) == "on_hold"
    approve(DeathReport.objects.get(investor=small.investor("bob")), "lift")
    approve_payment(**seen, actor=small.checker, at=now["at"])
    release_payments(payments=[payment], account=bank, **now)
    payment = confirm_payment(payment=payment, bank_reference="B", **now)
    redeemed.refresh_from_db()
    assert (redeemed.state, redeemed.paid_amount) == ("settled", 400)
    assert (payment.to_name, payment.to_number) == ("Bob", "NL91ABNA0417164300")
    assert verify_fund(small.fund) == []


def test_compliance_works_it_on_the_case(small: SmallFund):
    lea, ann = staff(Role.COMPLIANCE), person(small, "ann")
    case = f"/desk/investors/{ann.pk}/"
    given = {
        "deceased": "Ann", "died_on": utc_now().date().isoformat(),
        "paper": SimpleUploadedFile("paper.pdf", PDF),
    }  # fmt: skip
    assert staff(Role.OPERATOR).post(f"{case}death/report/", given).status_code == 403
    given["paper"] = SimpleUploadedFile("paper.pdf", PDF)
    page = lea.post(f"{case}death/report/", given, follow=True).content.decode()
    assert "the account is held from now on" in page
    row = DeathReport.objects.get()
    assert lea.get(f"/desk/investors/estates/death/{row.pk}/paper/").content == PDF
    asked = {
        "kind": "probate", "executor": person(small, "bob").number, "ground": "court",
        "survivor": "", "paper": SimpleUploadedFile("grant.pdf", PDF),
    }  # fmt: skip
    path = f"/desk/investors/deaths/{row.pk}/propose/"
    assert "another person" in lea.post(path, asked, follow=True).content.decode()
    step = EstateStep.objects.get()
    assert "Decide on the estate of Ann" in lea.get("/desk/").content.decode()
    other = Client()
    other.force_login(ensure_user(email="max@example.com", name="Max", roles=[Role.COMPLIANCE]))
    decide = f"/desk/investors/estates/{step.pk}/decide/"
    shown = other.post(decide, {"decision": "approve"}, follow=True).content.decode()
    assert "Approved; take the executor" in shown
    assert other.get(f"/desk/investors/estates/estate/{step.pk}/paper/").content == PDF
    lines = AuditEvent.objects.filter(action__in=("death.reported", "estate.approved"))
    assert lines.count() == 2


@pytest.mark.usefixtures("token_keys")
def test_the_api_reports_proposes_and_decides(small: SmallFund):
    client, lea, other = Client(), api(officer("lea").user), api(officer("max").user)

    def send(paper: bytes) -> Any:
        asked = {
            "investor": person(small, "ann").number, "deceased": "Ann", "idempotency_key": "d1",
            "died_on": utc_now().date().isoformat(), "paper": SimpleUploadedFile("p.pdf", paper),
        }  # fmt: skip
        return client.post("/api/deaths", asked, headers=lea)

    made = send(PDF)
    assert (made.status_code, made.json()["outcome"]) == (201, ""), made.content
    assert send(PDF + b" ").status_code == 422, "another paper under the same key"
    pk = made.json()["id"]
    asked = {
        "kind": "lift", "ground": "wrong", "paper": SimpleUploadedFile("p.pdf", PDF),
        "idempotency_key": "d2",
    }  # fmt: skip
    step = client.post(f"/api/deaths/{pk}/steps", asked, headers=lea)
    done = client.post(
        f"/api/estates/{step.json()['id']}/decision",
        {"is_approved": True, "idempotency_key": "d3"},
        content_type="application/json", headers=other,
    )  # fmt: skip
    assert done.json()["is_approved"] is True
    [listed] = client.get("/api/deaths", headers=lea).json()["deaths"]
    assert (listed["outcome"], listed["steps"][0]["kind"]) == ("lifted", "lift")


def test_the_admin_lists_and_decides(small: SmallFund):
    step = propose(report(small), "lift")
    client = Client()
    user = officer("max").user
    assert user is not None
    client.force_login(user)
    assert client.get("/admin/investors/deathreport/").status_code == 200
    path = "/admin/investors/estatestep/"
    client.post(path, {"action": "approve", "_selected_action": [str(step.pk)]})
    step.refresh_from_db()
    assert step.is_approved


def test_what_is_reported_wrongly_is_refused(small: SmallFund):
    ahead = utc_now().date() + timedelta(days=1)
    for code, given in {
        "bad_name": {"deceased": " "},
        "bad_date": {"died_on": ahead},
        "upload_type": {"paper": b"MZ"},
        "not_allowed": {"actor": officer("otto", Role.OPERATOR)},
    }.items():
        assert code_of(lambda given=given: report(small, **given)) == code
    assert DeathReport.objects.count() == 0
