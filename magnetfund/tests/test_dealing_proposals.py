"""Dealings for holders: two people, the ground written down, the holder told; lots keep theirs."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable
from copy import deepcopy
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.db import IntegrityError, transaction
from django.test import Client
from rest_framework.test import APIClient

from investors.models import (
    DealingOrder,
    DealingProposal,
    Entry,
    Holding,
    Investor,
    Message,
    Paper,
    ShareClass,
    UnitEntry,
    UnitLot,
)
from investors.services.dealing import cancel_order, submit_redemption
from investors.services.dealing_proposals import decide_dealing, propose_dealing
from investors.services.holder_values import net_invested
from investors.services.investor_search import search_investors
from investors.services.policies import set_terms
from investors.services.verification import verify_fund
from investors.tests.fund_support import FIRST, SmallFund, first_of, make_fund_of
from magnetfund.core.actors import Actor
from magnetfund.core.models import AuditEvent, User
from magnetfund.core.roles import Role
from magnetfund.core.spreadsheets import write_workbook
from magnetfund.kernel.errors import FundError
from magnetfund.operations.people import ensure_user
from magnetfund.web.dealing_forms import DealingProposalForm
from magnetfund.web.portal.selectors import find_lots

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("module_database")]
D = Decimal
FEBRUARY, MARCH = first_of(2025, 2), first_of(2025, 3)
BETWEEN = FIRST + timedelta(days=3)
#: What each kind needs beside holder, class and size.
GROUND: dict[str, dict[str, Any]] = {
    "subscription": {"instruction": "letter of 2 Jan"},
    "redemption": {"instruction": "letter of 2 Jan", "called_back": "Ann, +41 44, 2 Jan 10:05"},
    "switch": {"instruction": "letter of 2 Jan"},
    "transfer": {},
    "compulsory": {"notice": "Your units are redeemed under section 9."},
}


def tell() -> SmallFund:
    """Ann holds two lots with marks of their own, Bob one; the class takes 20 % of gains."""
    terms = {"performance_rate": "0.2", "lock_up": "hard", "lock_up_days": 400}
    fund = make_fund_of("main", {"A": terms, "B": {}})
    for at in (FIRST, FEBRUARY, MARCH):
        fund.day(at)
    fund.subscribe("ann", "1000", before=FIRST)
    fund.subscribe("bob", "3000", before=FIRST)
    fund.strike(FIRST)
    return fund


@pytest.fixture(scope="module")
def story() -> Callable[[], SmallFund]:
    return tell


@pytest.fixture
def small(module_database: Any, told: Any, db: None) -> SmallFund:
    return deepcopy(told.value)


def director() -> Actor:
    return Actor.of(ensure_user(email="dir@example.com", name="Dir", roles=[Role.DIRECTOR]))


def propose(
    small: SmallFund, kind: str, *, maker: Actor | None = None, **given: Any
) -> DealingProposal:
    if kind == "subscription":
        size: dict[str, Any] = {"amount": D(500)}
    else:
        size = {"units": D(4)}
    if {"units", "amount", "is_all"} & set(given):
        size = {}
    return propose_dealing(
        **{
            "kind": kind,
            "investor": small.investor("ann"),
            "share_class": small.share_class(),
            "reason": "asked for",
            "receiver": small.investor("cyd") if kind == "transfer" else None,
            "actor": maker or (small.checker if kind == "compulsory" else small.maker),
            **GROUND[kind],
            **size,
            **given,
        }
    )


def approve(
    small: SmallFund, row: DealingProposal, *, by: Actor | None = None, at: datetime = BETWEEN
) -> DealingProposal:
    checker = director() if row.kind == "compulsory" else small.checker
    return decide_dealing(proposal=row, is_approved=True, actor=by or checker, at=at)


def refused(call: Any) -> str:
    with pytest.raises(FundError) as error:
        call()
    return error.value.code


def test_a_transfer_moves_lots_with_marks_dates_and_cost(small: SmallFund):
    small.earn("400", at=FIRST + timedelta(days=9))
    small.subscribe("ann", "1100", before=FEBRUARY)
    small.strike(FEBRUARY)
    before = {
        lot.number: lot for lot in UnitLot.objects.filter(holding__investor__number="main-ann")
    }
    held = Holding.objects.get(investor__number="main-ann").units
    moved = propose(small, "transfer", units=D(12))
    row = approve(small, moved, at=FEBRUARY + timedelta(days=2))
    new = list(UnitLot.objects.filter(holding__investor=small.investor("cyd")).order_by("number"))
    assert [lot.units for lot in new] == [10, 2]
    for lot, parent in zip(new, before.values(), strict=True):
        assert (lot.parent_id, lot.dealing_day, lot.high_water_mark, lot.hurdle_start) == (
            parent.pk, parent.dealing_day, parent.high_water_mark, parent.hurdle_start,
        )  # fmt: skip
        assert (lot.entry_price, lot.lockup_until) == (parent.entry_price, parent.lockup_until)
    assert Holding.objects.get(investor__number="main-ann").units == held - 12
    assert row.value is not None
    assert D("1250") < row.value < D("1350")
    invested = net_invested(small.fund)
    assert invested[small.investor("ann").pk] == 2100 - row.value
    assert invested[small.investor("cyd").pk] == row.value
    assert verify_fund(small.fund) == []
    small.earn("90", at=FEBRUARY + timedelta(days=9))
    small.strike(MARCH)
    assert verify_fund(small.fund) == []
    shown = small.investor("cyd").snapshots.get(day=MARCH.date())
    assert (shown.units, shown.net_invested) == (12, row.value)


def test_after_a_year_end_units_are_worth_the_price_for_their_fee_was_paid(small: SmallFund):
    """The fee left as units at the NAV; lots that moved twice keep what their origin was worth."""
    year_end = first_of(2026, 1)
    small.earn("400", at=FIRST + timedelta(days=9))
    for at in (FEBRUARY, MARCH, year_end):
        strike = small.strike(at)
    price = strike.classes.get(share_class__code="A").issue_price
    cancelled = UnitEntry.objects.filter(kind="fee_cancel")
    assert cancelled.count() == 2
    assert all(lot.net_value_per_unit < price for lot in strike.lots.all())
    moved = year_end + timedelta(days=3)
    row = approve(small, propose(small, "transfer", units=D(2)), at=moved)
    assert row.value == (2 * price).quantize(D("0.01"))
    back = propose(
        small, "transfer", investor=small.investor("cyd"), receiver=small.investor("bob"),
        units=D(1),
    )  # fmt: skip
    again = approve(small, back, at=moved + timedelta(days=1))
    assert again.value == price.quantize(D("0.01"))
    assert verify_fund(small.fund) == []


def test_a_lot_that_moved_stands_at_what_its_origin_is_worth_after_fees(small: SmallFund):
    small.earn("400", at=FIRST + timedelta(days=9))
    strike = small.strike(FEBRUARY)
    (net,) = set(strike.lots.values_list("net_value_per_unit", flat=True))
    assert net < strike.classes.get(share_class__code="A").issue_price
    moved = FEBRUARY + timedelta(days=1)
    approve(small, propose(small, "transfer", units=D(3)), at=moved)
    on = propose(
        small, "transfer", investor=small.investor("cyd"), receiver=small.investor("bob"),
        units=D(2),
    )  # fmt: skip
    row = approve(small, on, at=moved + timedelta(days=1))
    assert row.value == (2 * net).quantize(D("0.01"))
    for name, units in (("ann", 7), ("cyd", 1), ("bob", 2)):
        shown = {lot.units: lot for lot in find_lots(small.investor(name), strike)}
        assert shown[D(units)].net_per_unit == net


def test_a_transfer_changes_no_price_fee_or_value_of_the_class(small: SmallFund):
    entries = Entry.objects.count()
    approve(small, propose(small, "transfer", is_all=True))
    (entry,) = Entry.objects.filter(kind="units_transferred")
    assert Entry.objects.count() == entries + 1
    assert sorted((leg.account_id, leg.amount) for leg in entry.postings.all()) == [
        ("3010", -1000),
        ("3010", 1000),
        ("8010", -10),
        ("8010", 10),
    ]
    told = Message.objects.filter(subject="Units transferred").order_by("investor__number")
    assert [item.investor for item in told] == [small.investor("ann"), small.investor("cyd")]
    assert ": 10 units of class A of main moved from Ann" in told[0].body
    strike = small.strike(FEBRUARY)
    assert strike.nav == 4000


def test_a_transfer_waits_for_a_nav_that_is_due_and_closes_the_instants_before_it(
    small: SmallFund,
):
    row = propose(small, "transfer")
    late = FEBRUARY + timedelta(hours=1)
    assert refused(lambda: approve(small, row, at=late)) == "day_unstruck"
    prepared = small.prepare(FEBRUARY)
    assert refused(lambda: approve(small, row, at=late)) == "day_unstruck"
    small.approve(prepared)
    approve(small, row, at=late + timedelta(days=1))
    assert refused(lambda: small.prepare(late)) == "units_moved"
    assert not Investor.objects.get(pk=row.receiver_id).snapshots.exists()


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"units": D("10.000001")}, "not_enough_units"),
        ({"units": D("0.0000001")}, "too_fine"),
        ({"units": D(0)}, "not_positive"),
        ({"units": D(-1)}, "not_positive"),
        ({"units": D("NaN")}, "not_finite"),
        ({"receiver": None, "units": D(1)}, "receiver_missing"),
        ({"reason": " ", "units": D(1)}, "reason_missing"),
        ({"units": D(1), "amount": D(1)}, "measure"),
    ],
)
def test_a_transfer_that_is_refused_writes_nothing(
    small: SmallFund, change: dict[str, Any], code: str
):
    assert refused(lambda: propose(small, "transfer", **change)) == code
    assert not DealingProposal.objects.exists()


def test_the_receiver_must_be_approved_when_proposed_and_when_decided(small: SmallFund):
    cyd = small.investor("cyd")
    row = propose(small, "transfer")
    Investor.objects.filter(pk=cyd.pk).update(kyc_state="review")
    cyd.refresh_from_db()
    assert refused(lambda: propose(small, "transfer")) == "kyc_open"
    assert refused(lambda: approve(small, row)) == "kyc_open"
    Investor.objects.filter(pk=cyd.pk).update(kyc_state="approved")
    Investor.objects.filter(pk=row.investor_id).update(kyc_state="restricted")
    assert refused(lambda: approve(small, row)) == "on_hold"
    row.refresh_from_db()
    assert row.decided_at is None
    assert not UnitLot.objects.filter(holding__investor=cyd).exists()


def test_reserved_units_do_not_move(small: SmallFund):
    row = propose(small, "transfer", units=D(10))
    free = make_free(small)
    submit_redemption(
        investor=small.investor("ann"), share_class=free, units=D(1), actor=small.maker,
        at=FEBRUARY - timedelta(days=10),
    )  # fmt: skip
    assert refused(lambda: approve(small, row)) == "not_enough_units"
    assert verify_fund(small.fund) == []


def make_free(small: SmallFund) -> ShareClass:
    """The class without its lock-up from the middle of January."""
    row = small.share_class()
    set_terms(
        share_class=row, terms={"performance_rate": "0.2"}, proposer=small.maker,
        approver=small.checker, effective_from=FIRST + timedelta(days=5),
    )  # fmt: skip
    return row


@pytest.mark.parametrize("kind", sorted(set(GROUND) - {"switch"}))
def test_nobody_decides_alone_and_nothing_is_decided_twice(small: SmallFund, kind: str):
    make_free(small)
    row = propose(small, kind)
    twin = ensure_user(email="twin@example.com", name="Twin", roles=[Role.CONTROLLER])
    twin.person = row.proposed_by.person
    assert refused(lambda: approve(small, row, by=Actor.of(twin))) == "same_person"
    clerk = ensure_user(email="clerk@example.com", name="Clerk", roles=[Role.ACCOUNTANT])
    assert refused(lambda: approve(small, row, by=Actor.of(clerk))) == "not_allowed"
    approve(small, row, at=FEBRUARY - timedelta(days=10))
    again = director()
    assert refused(lambda: approve(small, row, by=again)) == "proposal_closed"
    with pytest.raises(IntegrityError), transaction.atomic():
        DealingProposal.objects.filter(pk=row.pk).update(decided_by=row.proposed_by)
    lines = AuditEvent.objects.filter(subject_id=str(row.pk)).order_by("pk")
    assert [line.action for line in lines] == ["dealing.proposed", "dealing.decided"]
    assert verify_fund(small.fund) == []


@pytest.mark.parametrize(
    ("kind", "left_out", "code"),
    [
        ("subscription", "instruction", "instruction_missing"),
        ("redemption", "instruction", "instruction_missing"),
        ("redemption", "called_back", "call_back_missing"),
        ("switch", "instruction", "instruction_missing"),
        ("switch", "", "class_needed"),
        ("compulsory", "notice", "notice_missing"),
    ],
)
def test_the_ground_of_each_kind_is_written_down(
    small: SmallFund, kind: str, left_out: str, code: str
):
    given = {left_out: " "} if left_out else {}
    assert refused(lambda: propose(small, kind, **given)) == code


def test_an_order_on_instruction_is_an_order_and_the_holder_is_told(small: SmallFund):
    make_free(small)
    at = FEBRUARY - timedelta(days=10)
    other = small.share_class("B")
    for kind in ("subscription", "redemption", "switch"):
        more = {"into_class": other, "units": D(2)} if kind == "switch" else {}
        row = approve(small, propose(small, kind, **more), at=at)
        assert row.order is not None
        assert (row.order.kind, row.order.submitted_by) == (kind, small.maker.user)
        told = Message.objects.get(key=f"dealing:{row.pk}:{row.investor_id}")
        assert row.order.reference in told.body
        assert "If you gave none, tell us at once" in told.body
    assert verify_fund(small.fund) == []
    # The one who proposed has lost his right meanwhile: nothing is placed in his name.
    row = propose(small, "redemption", units=D(1))
    assert small.maker.user is not None
    small.maker.user.role_grants.update(revoked_at=at)
    assert refused(lambda: approve(small, row, at=at)) == "not_allowed"


def test_a_declined_proposal_moves_nothing(small: SmallFund):
    row = propose(small, "transfer")
    decide_dealing(proposal=row, is_approved=False, actor=small.checker, at=BETWEEN)
    assert not Entry.objects.filter(kind="units_transferred").exists()
    assert not Message.objects.filter(key__startswith="dealing:").exists()


def test_a_compulsory_redemption_takes_both_roles_and_passes_lock_up_and_hold(small: SmallFund):
    ann = small.investor("ann")
    assert refused(lambda: propose(small, "compulsory", maker=small.maker)) == "not_allowed"
    Investor.objects.filter(pk=ann.pk).update(kyc_state="restricted")
    ann.refresh_from_db()
    row = propose(small, "compulsory", is_all=True)
    other = ensure_user(email="c2@example.com", name="C2", roles=[Role.CONTROLLER])
    assert refused(lambda: approve(small, row, by=Actor.of(other))) == "both_roles_needed"
    row = approve(small, row, at=FEBRUARY - timedelta(days=10))
    order = row.order
    assert order is not None
    assert (order.is_compulsory, order.is_all, order.dealing_day.day) == (
        True, True, FEBRUARY.date(),
    )  # fmt: skip
    told = Message.objects.get(investor=ann, key__startswith="dealing:")
    assert "section 9" in told.body
    user = ensure_user(email="ann@example.com", name="Ann", roles=[Role.INVESTOR])
    Investor.objects.filter(pk=ann.pk).update(user=user)
    mine = lambda: cancel_order(  # noqa: E731 -- called once by the line below
        order=order, actor=Actor.of(user), at=FEBRUARY - timedelta(days=9)
    )
    assert refused(mine) == "not_allowed"
    small.strike(FEBRUARY)
    order.refresh_from_db()
    assert (order.state, order.dealt_units, order.dealt_amount) == ("payable", 10, 1000)
    assert verify_fund(small.fund) == []


FORM = {
    "kind": "transfer", "units": "4", "reason": "a gift to a daughter", "key": "once",
}  # fmt: skip


def client_of(role: Role) -> Client:
    client = Client()
    client.force_login(ensure_user(email=f"{role.value}@example.com", name="x", roles=[role]))
    return client


def test_the_desk_proposes_once_and_another_decides(small: SmallFund):
    given = {
        **FORM, "investor": small.investor("ann").pk, "receiver": small.investor("cyd").pk,
        "share_class": small.share_class().pk,
    }  # fmt: skip
    clerk = client_of(Role.ACCOUNTANT)
    wrong = clerk.post("/desk/fund/proposals/", {**given, "units": "400", "key": "k0"})
    assert wrong.status_code == 422
    assert "only 10 units are available" in wrong.content.decode()
    for _ in range(2):
        assert clerk.post("/desk/fund/proposals/", given).status_code == 303
    row = DealingProposal.objects.get()
    assert clerk.post(f"/desk/fund/proposals/{row.pk}/", {"decision": "approve"}).status_code == 403
    assert client_of(Role.OPERATOR).post("/desk/fund/proposals/", given).status_code == 403
    signer = client_of(Role.CONTROLLER)
    page = signer.get("/desk/fund/proposals/").content.decode()
    assert "a gift to a daughter" in page
    assert row.reference in page
    assert "waits for a second person" in signer.get("/desk/").content.decode()
    # The calendar of this fund lies in the past: its NAVs come first.
    answer = signer.post(f"/desk/fund/proposals/{row.pk}/", {"decision": "approve"}, follow=True)
    assert "(day_unstruck)" in answer.content.decode()
    for at in (FEBRUARY, MARCH):
        small.strike(at)
    small.strike(first_of(2026, 1))
    signer.post(f"/desk/fund/proposals/{row.pk}/", {"decision": "approve"})
    row.refresh_from_db()
    assert row.is_approved
    assert small.investor("cyd").holdings.get().units == 4
    assert "approved by" in signer.get("/desk/fund/proposals/").content.decode()


def test_a_holder_is_typed_by_number_or_name_and_found_while_typing(small: SmallFund):
    for number in range(30):
        small.investor(f"beck-{number:02}")
    cyd = small.investor("cyd")
    clerk, path = client_of(Role.ACCOUNTANT), "/desk/fund/proposals/"
    page = clerk.get(path).content.decode()
    assert page.count('<option value="main-') == 20
    found = clerk.get(
        path, {"receiver": "BECK-2"}, headers={"HX-Request": "true", "HX-Target": "holders"}
    ).content.decode()
    assert found.count("<option") == 10
    assert 'value="main-beck-21"' in found
    accented = small.investor("éva")
    for typed in ("É", "main-É"):
        assert [item.pk for item in search_investors(typed)] == [accented.pk]
    given = {**FORM, "investor": "MAIN-ANN", "receiver": "beck", "share_class": 0}
    refused = clerk.post(path, given).content.decode()
    assert "Give the account number. It may be: main-beck-00 Beck-00;" in refused
    assert "main-beck-05" not in refused.partition("It may be")[2].partition("<datalist")[0]
    nobody = clerk.post(path, {**given, "receiver": "Zoe", "key": "k2"}).content.decode()
    assert "There is no investor of this number or name." in nobody
    assert client_of(Role.OPERATOR).get(path, {"receiver": "beck"}).status_code == 403
    auditor = client_of(Role.AUDITOR).get(path, {"receiver": "beck"}).content.decode()
    assert "main-beck" not in auditor
    given |= {"share_class": small.share_class().pk, "receiver": "cyd", "key": "k3"}
    assert clerk.post(path, given).status_code == 303
    row = DealingProposal.objects.get()
    assert (row.investor.number, row.receiver) == ("main-ann", cyd)


def test_the_form_asks_what_its_kind_needs_and_shows_what_was_refused(small: SmallFund):
    clerk, path = client_of(Role.ACCOUNTANT), "/desk/fund/proposals/"

    def names(answer: Any) -> set[str]:
        return set(re.findall(r'name="(\w+)"', answer.content.decode()))

    always = {"kind", "investor", "share_class", "reason"}
    part = {"HX-Request": "true", "HX-Target": "fields"}
    for kind, asked in DealingProposalForm.ASKED.items():
        # Who may not propose a kind is not offered it.
        person = client_of(Role.CONTROLLER) if kind == "compulsory" else clerk
        shown = person.get(path, {"kind": kind}, headers=part)
        assert names(shown) == always | set(asked)
        assert f'value="{kind}" selected' in shown.content.decode()
        assert ('value="transfer"' in shown.content.decode()) == (person is clerk)
    for kind in ({}, {"kind": "loan"}):
        assert "amount" in names(clerk.get(path, kind, headers=part))
    # What was sent with another kind is refused in sight, not dropped.
    given = {**FORM, "investor": "main-ann", "share_class": small.share_class().pk, "amount": "5"}
    refused = clerk.post(path, {**given, "kind": "subscription", "instruction": "by letter"})
    assert refused.status_code == 422
    assert "give an amount for a subscription" in refused.content.decode()
    assert {"amount", "units", "instruction"} <= names(refused)


def test_the_admin_proposes_and_its_action_decides(small: SmallFund):
    for at in (FEBRUARY, MARCH, first_of(2026, 1)):
        small.strike(at)
    clerk = client_of(Role.ACCOUNTANT)
    path = "/admin/investors/dealingproposal/"
    given = {
        **FORM, "investor": small.investor("ann").pk, "receiver": small.investor("cyd").pk,
        "share_class": small.share_class().pk,
    }  # fmt: skip
    assert clerk.get(f"{path}add/").status_code == 200
    assert clerk.post(f"{path}add/", given).status_code == 302
    row = DealingProposal.objects.get()
    chosen = {"action": "approve_and_carry_out", "_selected_action": [str(row.pk)]}
    clerk.post(path, chosen)
    row.refresh_from_db()
    assert row.decided_at is None
    client_of(Role.CONTROLLER).post(path, chosen)
    row.refresh_from_db()
    assert row.is_approved


def test_the_api_proposes_once_for_its_key_and_another_decides(small: SmallFund):
    for at in (FEBRUARY, MARCH, first_of(2026, 1)):
        small.strike(at)
    clerk, signer = APIClient(), APIClient()
    for client, role in ((clerk, Role.ACCOUNTANT), (signer, Role.CONTROLLER)):
        client.force_authenticate(
            ensure_user(email=f"{role.value}@example.com", name="x", roles=[role])
        )
    body = {
        "type": "transfer", "investor": "main-ann", "receiver": small.investor("cyd").number,
        "share_class": "A", "units": "4", "reason": "a gift",
    }  # fmt: skip
    path, key = "/api/dealing/proposals", {"Idempotency-Key": "t1"}
    first = clerk.post(path, body, format="json", headers=key)
    assert (first.status_code, first.json()["is_approved"]) == (201, None)
    assert clerk.post(path, body, format="json", headers=key).content == first.content
    assert DealingProposal.objects.count() == 1
    decision = f"{path}/{first.json()['id']}/decision"
    yes = {"is_approved": True, "idempotency_key": "d1"}
    assert clerk.post(decision, yes, format="json").status_code == 403
    done = signer.post(decision, yes, format="json").json()
    assert (done["is_approved"], done["value"]) == (True, "400")
    assert signer.get(path).json()["proposals"][0]["reference"] == done["reference"]
    assert DealingOrder.objects.filter(kind="redemption").count() == 0


HEAD = "type,investor,share_class,units,is_all,receiver,instruction,called_back,reason"
LINES = (
    "transfer,main-ann,A,2,,main-cyd,,,a gift",
    'redemption,main-bob,A,,yes,,letter of 2 Jan,"Bob, +41 44",leaves',
    "switch,main-bob,A,4,,,letter,,wants B",
)


def test_a_file_is_tried_and_proposed_whole_or_not_by_page_api_and_command(
    small: SmallFund, tmp_path: Path
):
    small.investor("cyd")
    wrong = "redemption,main-ann,A,400,,,letter,Ann,too many", "x,y,z,,,,,,"
    bad = "\n".join([HEAD, *LINES, *wrong])
    clerk, path = client_of(Role.ACCOUNTANT), "/desk/fund/proposals/import/"
    tried = clerk.post(path, {"content": bad, "step": "propose"})
    page = tried.content.decode()
    assert tried.status_code == 422
    for words in ("Line 4", "class_needed", "Line 5", "not_enough_units", "Line 6", "bad_type"):
        assert words in page
    assert "Propose" not in page.split("What the file would propose")[1].split("</section>")[0]
    good = "\n".join([HEAD, *LINES[:2]])
    file = tmp_path / "orders.csv"
    file.write_text(good + "\n")
    given = {"email": "accountant@example.com"}
    call_command("propose_orders", str(file), dry_run=True, **given)
    assert "Propose 2 orders" in clerk.post(path, {"content": good}).content.decode()
    robot = APIClient()
    robot.force_authenticate(User.objects.get(email="accountant@example.com"))
    body = {"content": good, "is_dry_run": True, "idempotency_key": "try"}
    answer = robot.post("/api/dealing/proposals/import", body, format="json")
    assert (answer.status_code, answer.json()) == (
        200,
        {"lines": 2, "refused": [], "proposals": []},
    )
    assert not DealingProposal.objects.exists()
    with (tmp_path / "crlf.csv").open("wb") as handle:
        handle.write(good.replace("\n", "\r\n").encode("utf-8-sig"))
    with (tmp_path / "crlf.csv").open("rb") as handle:
        assert clerk.post(path, {"file": handle, "step": "propose"}).status_code == 303
    kinds = DealingProposal.objects.order_by("kind").values_list("kind", "decided_at")
    assert list(kinds) == [("redemption", None), ("transfer", None)]
    body = {"content": good, "idempotency_key": "again"}
    known = robot.post("/api/dealing/proposals/import", body, format="json")
    assert (known.status_code, known.json()["error"]["code"]) == (409, "file_known")
    with pytest.raises(CommandError, match="proposed already"):
        call_command("propose_orders", str(file), dry_run=False, **given)
    assert client_of(Role.CONTROLLER).get(path).status_code == 403
    assert clerk.get(path).status_code == 200
    for name, content, code in (
        ("empty", HEAD, "empty_file"),
        ("lacks", "type,investor\n", "missing_columns"),
        ("long", "\n".join([HEAD, *[LINES[0]] * 501]), "too_many_lines"),
        ("nan", f"{HEAD}\n{LINES[0].replace(',2,', ',NaN,')}", "bad_cell"),
    ):
        assert code in clerk.post(path, {"content": content}).content.decode(), name


def test_both_holders_of_a_transfer_have_its_note(small: SmallFund):
    row = approve(small, propose(small, "transfer"))
    notes = []
    for name in ("ann", "cyd", "bob"):
        user = ensure_user(email=f"{name}@example.com", name=name, roles=[Role.INVESTOR])
        Investor.objects.filter(pk=small.investor(name).pk).update(user=user)
        own = Client()
        own.force_login(user)
        answer = own.get(f"/transfers/{row.pk}/note.pdf")
        notes.append(answer.status_code)
        listed = "Transfer notes" in own.get("/statements/").content.decode()
        assert listed == (answer.status_code == 200)
    assert notes == [200, 200, 404]
    assert Paper.objects.filter(number__startswith=f"TN-{row.reference}").count() == 2
    paper = Paper.objects.get(number=f"TN-{row.reference}-main-cyd")
    assert ["Units", "4.000000"] in paper.data["parts"][0]["rows"]
    assert paper.data["lots"][0][2:5] == ["4.000000", "100.000000", "100.000000"]
    path = f"/desk/fund/proposals/{row.pk}/note-main-ann.pdf"
    signer = client_of(Role.CONTROLLER)
    assert path in signer.get("/desk/fund/proposals/").content.decode()
    assert signer.get(path).content == bytes(
        Paper.objects.get(number=f"TN-{row.reference}-main-ann").content
    )
    assert AuditEvent.objects.filter(action="paper.downloaded").count() == 3
    assert client_of(Role.OPERATOR).get(path).status_code == 403


def test_a_workbook_is_tried_and_proposed_by_page_api_and_command(small: SmallFund, tmp_path: Path):
    small.investor("cyd")
    table = [HEAD.split(","), LINES[0].split(",")]
    book = write_workbook({"orders": table})
    clerk, path = client_of(Role.ACCOUNTANT), "/desk/fund/proposals/import/"
    page = clerk.post(path, {"file": SimpleUploadedFile("o.xlsx", book)}).content.decode()
    assert "Propose 1 order" in page
    assert f'name="content" value="{HEAD}' in page, "the page carries the table as text"
    bad = SimpleUploadedFile("o.xlsx", book[:200])
    refused = clerk.post(path, {"file": bad})
    assert (refused.status_code, "bad_workbook" in refused.content.decode()) == (422, True)
    file = tmp_path / "orders.xlsx"
    file.write_bytes(book)
    call_command("propose_orders", str(file), dry_run=True, email="accountant@example.com")
    assert not DealingProposal.objects.exists()
    robot = APIClient()
    robot.force_authenticate(User.objects.get(email="accountant@example.com"))
    api = "/api/dealing/proposals/import"
    body = {"content": b64encode(book).decode(), "is_base64": True, "idempotency_key": "one"}
    made = robot.post(api, body, format="json")
    assert (made.status_code, made.json()["lines"]) == (201, 1)
    assert DealingProposal.objects.get().receiver == small.investor("cyd")
    for content, code in (
        ("%%", "bad_base64"),
        (b64encode(b"PK\x03\x04").decode(), "bad_workbook"),
    ):
        body = {"content": content, "is_base64": True, "idempotency_key": code}
        answer = robot.post(api, body, format="json")
        assert (answer.status_code, answer.json()["error"]["code"]) == (422, code)
