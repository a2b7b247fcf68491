"""What a thief of a run-time role cannot decide: accounts, distributions and terms of a fund.

Each attack is the SQL that a stolen web, worker or trader could send; the honest way through the
services and the desk's pages is taken beside it, on the same rows.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable
from copy import deepcopy
from datetime import timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from django.conf import settings
from django.db import IntegrityError, connection
from django.test import Client
from django.urls import reverse
from rest_framework.test import APIClient

from investors.domain.ledger import Tags, build_entry
from investors.models import (
    ClassPolicyVersion,
    DealingOrder,
    Distribution,
    FundAccount,
    PayeeAccount,
    Restatement,
    StatementLine,
    TermsProposal,
    UnitLot,
)
from investors.services.distributions import decide_distribution, propose_distribution
from investors.services.ledger import NewEntry, post_entries
from investors.services.money_accounts import (
    add_payee,
    approve_account,
    approve_payee,
    open_account,
)
from investors.services.nav import approve_strike
from investors.services.policies import approve_terms, propose_terms
from investors.services.receipts import match_receipt
from investors.services.statements import confirm_statement, record_receipt, upload_statement
from investors.tests.fund_support import SmallFund, first_of, make_fund
from magnetfund.core.actors import Actor
from magnetfund.core.models import RoleGrant, User
from magnetfund.core.roles import CAPABILITIES, Capability, Role
from magnetfund.core.services.signing import (
    ACCOUNT,
    ADVISER,
    ARM,
    ATTORNEY,
    DEALING,
    DISTRIBUTION,
    ESTATE,
    EXPENSE,
    EXPENSE_CHANGE,
    KYC,
    LIMITS,
    NAV,
    PAR,
    PAYEE,
    PAYMENT,
    POCKET,
    POCKET_CHANGE,
    RATE,
    REBATE,
    RESTATEMENT,
    ROLE,
    ROLE_TAKEN,
    SLEEVE,
    SUSPENSION,
    TERMS,
    SignatureMissing,
)
from magnetfund.kernel.clock import utc_now
from magnetfund.operations.checkup import check_signatures
from magnetfund.operations.role_changes import decide_role, propose_role
from magnetfund.tests.test_money_walls import ROLES, attack
from magnetfund.tests.test_signer import SIGNER
from magnetfund.tests.walls_support import make_user, say_kind, write_signature
from magnetfund.web.api.signing import ConflictAnswer

FIRST, SECOND = first_of(2025, 2), first_of(2026, 1)
IBAN, OTHER = "CH9300762011623852957", "DE89370400440532013000"


def tell() -> SmallFund:
    """Ann holds 10 units, Bob 30 and Cay none; an account of Ann's is in use."""
    fund = make_fund("main")
    for at in (FIRST, SECOND):
        fund.day(at)
    fund.subscribe("ann", "1000", before=FIRST)
    fund.subscribe("bob", "3000", before=FIRST)
    fund.strike(FIRST)
    fund.strike(SECOND)
    fund.investor("cay")
    approve_payee(payee=payee(fund, IBAN), actor=fund.checker)
    return fund


@pytest.fixture(scope="module")
def story() -> Callable[[], SmallFund]:
    return tell


@pytest.fixture
def small(fresh_database: Any, told: Any) -> SmallFund:
    say_kind(fresh_database, "production")
    return deepcopy(told.value)


def payee(small: SmallFund, number: str) -> PayeeAccount:
    return add_payee(
        fund=small.fund, investor=small.investor("ann"), kind="bank", name="Ann", number=number,
        currency="USD", evidence="called back", actor=small.maker,
    )  # fmt: skip


def account(small: SmallFund) -> FundAccount:
    return open_account(
        fund=small.fund, code="bank", kind="bank", bank="Bank", number=OTHER, currency="USD",
        actor=small.maker,
    )  # fmt: skip


def distribution(small: SmallFund) -> Distribution:
    return propose_distribution(
        share_class=small.share_class(), per_unit=Decimal("2.5"), reason="income",
        actor=small.maker,
    )  # fmt: skip


def checker_of(small: SmallFund) -> User:
    assert small.checker.user is not None
    return small.checker.user


def words(action: str, subject: uuid.UUID) -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT authority_content(%s, %s)", [action, subject])
        return str(cursor.fetchone()[0])


def approval(table: str, row: uuid.UUID, user: User, **more: str) -> tuple[str, tuple[Any, ...]]:
    changes = "".join(f", {name} = {value}" for name, value in more.items())
    return (
        f"UPDATE investors_{table} SET approved_by_id = %s, approved_at = now(){changes} "
        "WHERE id = %s",
        (user.pk, row),
    )


@pytest.mark.parametrize("role", ROLES)
def test_an_account_of_the_fund_takes_the_approvers_signature(
    small: SmallFund, fresh_database: Any, role: str
):
    row, checker = account(small), checker_of(small)
    born = (
        "INSERT INTO investors_fundaccount (id, fund_id, code, kind, bank, number, currency, "
        "confirmations, opened_by_id, opened_at, approved_by_id, approved_at) VALUES "
        "(gen_random_uuid(), %s, 'x', 'bank', 'x', 'XX00THIEF', 'USD', 0, %s, now(), %s, now())",
        (small.fund.pk, small.maker.user and small.maker.user.pk, checker.pk),
    )
    signed = approval("fundaccount", row.pk, checker)
    for steps in ((born,), (signed,)):
        assert attack(fresh_database, role, *steps) != ""
    if role != "fa_app":
        return
    assert "proposed first" in attack(fresh_database, role, born)
    assert "has not signed this" in attack(fresh_database, role, signed)
    with pytest.raises(SignatureMissing):
        approve_account(account=row, actor=small.checker)
    assert OTHER in words(ACCOUNT, row.pk)
    write_signature(fresh_database, ACCOUNT, row.pk, checker)
    number = ("UPDATE investors_fundaccount SET number = 'XX00THIEF'", ())
    assert "permission denied" in attack(fresh_database, role, number)
    approve_account(account=row, actor=small.checker)
    again = ("UPDATE investors_fundaccount SET approved_at = now() WHERE id = %s", (row.pk,))
    assert "approval is fixed" in attack(fresh_database, role, again)
    closed = ("UPDATE investors_fundaccount SET closed_at = now() WHERE id = %s", (row.pk,))
    opened = ("UPDATE investors_fundaccount SET closed_at = NULL WHERE id = %s", (row.pk,))
    assert attack(fresh_database, role, closed) == ""
    assert "stays closed" in attack(fresh_database, role, opened)


@pytest.mark.parametrize("role", ROLES)
def test_changed_bank_details_take_a_signature_and_wait(
    small: SmallFund, fresh_database: Any, role: str
):
    row, checker = payee(small, OTHER), checker_of(small)
    at_once = approval("payeeaccount", row.pk, checker, usable_from="now()")
    assert attack(fresh_database, role, at_once) != ""
    if role != "fa_app":
        return
    assert "has not signed this" in attack(fresh_database, role, at_once)
    with pytest.raises(SignatureMissing):
        approve_payee(payee=row, actor=small.checker)
    assert f"Paid until now on: {IBAN}" in words(PAYEE, row.pk)
    write_signature(fresh_database, PAYEE, row.pk, checker)
    assert "used after 3 days" in attack(fresh_database, role, at_once)
    never = approval("payeeaccount", row.pk, checker, usable_from="NULL")
    assert "used after 3 days" in attack(fresh_database, role, never)
    done = approve_payee(payee=row, actor=small.checker)
    assert done.usable_from is not None
    assert done.usable_from > utc_now() + timedelta(days=2, hours=23)
    sooner = ("UPDATE investors_payeeaccount SET usable_from = now() WHERE id = %s", (row.pk,))
    assert "approval is fixed" in attack(fresh_database, role, sooner)


def test_a_signature_of_somebody_without_the_role_approves_nothing(
    small: SmallFund, fresh_database: Any
):
    say_kind(fresh_database, "test")
    clerk = make_user("otto", Role.OPERATOR)
    say_kind(fresh_database, "production")
    row = account(small)
    write_signature(fresh_database, ACCOUNT, row.pk, clerk)
    said = attack(fresh_database, "fa_app", approval("fundaccount", row.pk, clerk))
    assert "holds no role that signs this" in said
    assert small.maker.user is not None
    own = approval("fundaccount", row.pk, small.maker.user)
    assert "approved by another person" in attack(fresh_database, "fa_app", own)


def decided(row: Distribution, user: User, total: str, each: str) -> tuple[str, tuple[Any, ...]]:
    return (
        "UPDATE investors_distribution SET decided_by_id = %s, decided_at = now(), "
        "is_approved = true, total = %s, lowers_marks_by = %s WHERE id = %s",
        (user.pk, total, each, row.pk),
    )


def owed(row: Distribution, holder: uuid.UUID, amount: str) -> tuple[str, tuple[Any, ...]]:
    columns = [field.column for field in DealingOrder._meta.concrete_fields]
    given = {
        "id": "gen_random_uuid()", "kind": "'distribution'", "state": "'payable'",
        "investor_id": "%s", "distribution_id": "%s", "amount": "%s", "dealt_amount": "%s",
        "units": "NULL", "is_all": "false", "funded_amount": "0", "funded_at": "NULL",
        "into_class_id": "NULL", "strike_id": "NULL", "dealing_day_id": "NULL",
    }  # fmt: skip
    values = ", ".join(given.get(column, f"o.{column}") for column in columns)
    return (
        f"INSERT INTO investors_dealingorder ({', '.join(columns)}) SELECT {values} "
        "FROM investors_dealingorder o LIMIT 1",
        tuple(
            {"investor_id": holder, "distribution_id": row.pk}.get(column, amount)
            for column in columns
            if given.get(column) == "%s"
        ),
    )


def follow_to_the_signer(row: Distribution, checker: User) -> None:
    """Over the API the refusal says where to sign, and the page there shows the same hash."""
    client = APIClient()
    client.force_authenticate(checker)
    answer = client.post(
        f"/api/dealing/distributions/{row.pk}/decision",
        {"is_approved": True, "idempotency_key": "k"},
        format="json",
    )
    assert answer.status_code == 409
    error = answer.json()["error"]
    form = ConflictAnswer(data=answer.json())
    assert form.is_valid(), form.errors
    signed = hashlib.sha256(words(DISTRIBUTION, row.pk).encode()).hexdigest()
    assert error["code"] == "signature_missing"
    given = {**error["details"]}
    url = given.pop("sign_url")
    assert given == {
        "account": str(checker.pk), "action": DISTRIBUTION, "subject": str(row.pk),
        "content_hash": signed,
    }  # fmt: skip
    with SIGNER:
        page = Client().get(url.removeprefix(settings.SIGN_URL)).content.decode()
    assert signed in page
    assert 'href="' in page
    assert "/desk/fund/distributions/" in page


@pytest.mark.parametrize("role", ROLES)
def test_a_distribution_takes_a_signature_and_pays_by_units(
    small: SmallFund, fresh_database: Any, role: str
):
    row, checker = distribution(small), checker_of(small)
    assert attack(fresh_database, role, decided(row, checker, "100", "2.5")) != ""
    if role != "fa_app":
        return
    honest = decided(row, checker, "100", "2.5")
    assert "has not signed this" in attack(fresh_database, role, honest)
    with pytest.raises(SignatureMissing):
        decide_distribution(distribution=row, is_approved=True, actor=small.checker)
    assert "40 units, by 2 holders" in words(DISTRIBUTION, row.pk)
    follow_to_the_signer(row, checker)
    write_signature(fresh_database, DISTRIBUTION, row.pk, checker)
    ann, bob = small.investor("ann").pk, small.investor("bob").pk
    cay = small.investor("cay").pk
    for steps, expected in (
        ((decided(row, checker, "101", "2.5"),), "more than was signed"),
        ((decided(row, checker, "100", "3"),), "more than was signed"),
        ((honest, owed(row, ann, "100")), "more than the units of the holder"),
        ((honest, owed(row, cay, "0.01")), "more than the units of the holder"),
        ((honest, owed(row, ann, "25"), owed(row, ann, "25")), "more than the units"),
    ):
        said = attack(fresh_database, role, *steps)
        assert expected in said, (said, expected)
    decide_distribution(distribution=row, is_approved=True, actor=small.checker)
    orders = DealingOrder.objects.filter(distribution=row)
    assert dict(orders.values_list("investor", "amount")) == {ann: 25, bob: 75}
    again = ("UPDATE investors_distribution SET is_approved = NULL WHERE id = %s", (row.pk,))
    assert "decision is fixed" in attack(fresh_database, role, again)


def compensated(row: Restatement, holder: uuid.UUID, amount: str) -> tuple[str, tuple[Any, ...]]:
    columns = [field.column for field in DealingOrder._meta.concrete_fields]
    given = {
        "id": "gen_random_uuid()", "kind": "'compensation'", "state": "'payable'",
        "investor_id": "%s", "restatement_id": "%s", "amount": "%s", "dealt_amount": "%s",
        "units": "NULL", "is_all": "false", "funded_amount": "0", "funded_at": "NULL",
        "into_class_id": "NULL", "strike_id": "NULL", "dealing_day_id": "NULL",
        "dealt_units": "NULL", "dealt_price": "NULL", "paid_amount": "0",
    }  # fmt: skip
    values = ", ".join(given.get(column, f"o.{column}") for column in columns)
    return (
        f"INSERT INTO investors_dealingorder ({', '.join(columns)}) SELECT {values} "
        "FROM investors_dealingorder o LIMIT 1",
        tuple(
            {"investor_id": holder, "restatement_id": row.pk}.get(column, amount)
            for column in columns
            if given.get(column) == "%s"
        ),
    )


@pytest.mark.parametrize("role", ROLES)
def test_a_restatement_takes_two_signatures_and_owes_what_they_name(
    small: SmallFund, fresh_database: Any, role: str
):
    say_kind(fresh_database, "test")
    dora = make_user("dora", Role.DIRECTOR)
    say_kind(fresh_database, "production")
    checker, ann, bob = checker_of(small), small.investor("ann"), small.investor("bob")
    assert small.maker.user is not None
    holder = {
        "investor": str(ann.pk), "number": ann.number, "class": small.share_class().pk,
        "share_class": "A", "amount": "50",
    }  # fmt: skip
    row = Restatement.objects.create(
        fund=small.fund, first=FIRST.date(), amount=-400, material_from="0.01", cause="an invoice",
        evidence="invoice 77", content_hash="x", prepared_by=small.maker.user,
        content={"holders": [holder], "owed": "50", "fund_loss": "0", "claims": "0"},
    )  # fmt: skip

    def signed(**who: uuid.UUID | str) -> tuple[str, tuple[Any, ...]]:
        changes = ", ".join(f"{name} = %s" for name in who)
        return (
            f"UPDATE investors_restatement SET {changes} WHERE id = %s", (*who.values(), row.pk),
        )  # fmt: skip

    now = utc_now().isoformat()
    whole = signed(approved_by_id=checker.pk, directed_by_id=dora.pk, booked_at=now)
    assert attack(fresh_database, role, whole) != ""
    if role != "fa_app":
        return
    assert "has not signed this" in attack(fresh_database, role, whole)
    assert f"Owe holder {ann.number}, class A: 50" in words(RESTATEMENT, row.pk)
    for user in (checker, dora):
        write_signature(fresh_database, RESTATEMENT, row.pk, user)
    for steps, expected in (
        ((signed(approved_by_id=checker.pk, booked_at=now),), "two signatures"),
        ((signed(approved_by_id=dora.pk, directed_by_id=checker.pk),), "is no controller"),
        ((compensated(row, ann.pk, "50"),), "more than the restatement"),
        ((whole, compensated(row, ann.pk, "51")), "more than the restatement"),
        ((whole, compensated(row, bob.pk, "50")), "more than the restatement"),
        ((whole, compensated(row, ann.pk, "50"), compensated(row, ann.pk, "50")), "once"),
    ):
        said = attack(fresh_database, role, *steps)
        assert expected in said, (said, expected)
    assert attack(fresh_database, role, whole, compensated(row, ann.pk, "50")) == ""


def test_a_mark_falls_with_a_declared_distribution_alone(small: SmallFund, fresh_database: Any):
    """A thief would lower marks by a proposal that nobody decides, and take more of the gains."""
    row = distribution(small)
    lot = UnitLot.objects.order_by("number")[0]
    entry = build_entry(
        event="distribution_declared", source_ref=f"distribution_declared:{row.pk}",
        effective_at=utc_now(), amounts={"amount": "100"}, currency="USD",
        tags=Tags(share_class="A"),
    )  # fmt: skip
    with pytest.raises(IntegrityError, match="without the source"):
        post_entries(small.fund, [NewEntry.of(entry)], actor=small.maker)
    say_kind(fresh_database, "test")
    (posted,) = post_entries(small.fund, [NewEntry.of(entry)], actor=small.maker)
    say_kind(fresh_database, "production")
    fallen = (
        "INSERT INTO investors_unitentry (lot_id, kind, units, price, high_water_mark, "
        "hurdle_start, entry_id, effective_at, recorded_at) "
        "VALUES (%s, 'distribution', 0, 100, 1, %s, %s, now(), now())",
        (lot.pk, lot.hurdle_start, posted.pk),
    )
    said = attack(fresh_database, "fa_app", fallen)
    assert "a mark falls by a decided distribution" in said, said
    lot.refresh_from_db()
    assert lot.high_water_mark > 1


@pytest.mark.parametrize("role", ROLES)
def test_terms_in_force_take_the_approvers_signature(
    small: SmallFund, fresh_database: Any, role: str
):
    checker = checker_of(small)
    row = propose_terms(
        share_class=small.share_class(), terms={"performance_rate": "0.25"}, reason="as agreed",
        effective_from=SECOND + timedelta(days=400), actor=small.maker,
    )  # fmt: skip
    put = (
        "INSERT INTO investors_classpolicyversion (share_class_id, version, terms, content_hash, "
        "effective_from, proposed_by_id, approved_by_id, recorded_at) SELECT share_class_id, %s, "
        "{terms}, 'x', {since}, proposed_by_id, %s, now() FROM investors_termsproposal"
    )
    as_proposed = (put.format(terms="terms", since="effective_from"), (2, checker.pk))
    higher = (
        put.format(terms='terms || \'{"performance_rate": "0.9"}\'', since="effective_from"),
        (2, checker.pk),
    )
    sooner = (put.format(terms="terms", since="now() - interval '9 years'"), (2, checker.pk))
    for step in (as_proposed, higher, sooner):
        assert attack(fresh_database, role, step) != ""
    if role != "fa_app":
        return
    assert "has not signed this" in attack(fresh_database, role, as_proposed)
    for step in (higher, sooner):
        assert "proposed first" in attack(fresh_database, role, step)
    with pytest.raises(SignatureMissing):
        approve_terms(proposal=row, seen_hash=row.content_hash, actor=small.checker)
    assert "performance_rate: 0.25" in words(TERMS, row.pk)
    write_signature(fresh_database, TERMS, row.pk, checker)
    skipped = (put.format(terms="terms", since="effective_from"), (7, checker.pk))
    assert "follow one another" in attack(fresh_database, role, skipped)
    approve_terms(proposal=row, seen_hash=row.content_hash, actor=small.checker)
    assert ClassPolicyVersion.objects.latest("version").approved_by == checker
    assert TermsProposal.objects.get().policy_id is not None
    assert "proposed first" in attack(fresh_database, role, (as_proposed[0], (3, checker.pk)))


def test_the_desk_leads_to_the_signer_and_back(small: SmallFund, fresh_database: Any):
    terms = propose_terms(
        share_class=small.share_class(), terms={}, reason="as agreed",
        effective_from=SECOND + timedelta(days=400), actor=small.maker,
    )  # fmt: skip
    rows: list[tuple[str, Any, str, dict[str, str]]] = [
        (ACCOUNT, account(small), "desk_account_sign", {}),
        (PAYEE, payee(small, OTHER), "desk_payee_decide", {"decision": "approve"}),
        (DISTRIBUTION, distribution(small), "desk_distribution_decide", {"decision": "approve"}),
        (TERMS, terms, "desk_founding_terms",
         {"decision": "approve", "hash": terms.content_hash}),
    ]  # fmt: skip
    client = Client()
    client.force_login(checker_of(small))
    for action, row, page, given in rows:
        path = reverse(page, args=[row.pk])
        asked = client.post(path, given)
        assert asked.headers["Location"].startswith(f"{settings.SIGN_URL}/sign/"), action
        write_signature(fresh_database, action, row.pk, checker_of(small))
        done = client.post(path, given)
        assert done.headers["Location"].startswith("/desk/"), action
    assert FundAccount.objects.get().approved_at is not None
    assert PayeeAccount.objects.filter(approved_at=None).count() == 0
    assert Distribution.objects.get().is_approved
    assert ClassPolicyVersion.objects.latest("version").version == 2


#: What lets a person take the step that each signature is for.
NEEDED = {
    ARM: {Capability.FUSE_RESET, Capability.DRAWDOWN_SECOND_RESET},
    LIMITS: {Capability.LIMITS_APPROVE},
    NAV: {Capability.NAV_APPROVE},
    PAYMENT: {Capability.PAYMENTS_APPROVE, Capability.PAYMENTS_DIRECT},
    KYC: {Capability.KYC_APPROVE, Capability.KYC_SENIOR},
    ROLE: {Capability.ROLES_APPROVE},
    ROLE_TAKEN: {Capability.ROLES_APPROVE},
    DEALING: {Capability.DEALING_APPROVE},
    ACCOUNT: {Capability.ACCOUNTS_APPROVE},
    PAYEE: {Capability.ACCOUNTS_APPROVE},
    DISTRIBUTION: {Capability.DEALING_APPROVE},
    TERMS: {Capability.TERMS_APPROVE},
    RESTATEMENT: {Capability.RESTATE_APPROVE, Capability.OVERRIDE_SIGN},
    SUSPENSION: {Capability.DEALING_SUSPEND},
    EXPENSE: {Capability.NAV_APPROVE},
    EXPENSE_CHANGE: {Capability.NAV_APPROVE},
    REBATE: {Capability.TERMS_APPROVE},
    RATE: {Capability.NAV_APPROVE},
    PAR: {Capability.TERMS_APPROVE},
    "par.decline": {Capability.TERMS_APPROVE},
    "rate.decline": {Capability.NAV_APPROVE},
    ATTORNEY: {Capability.KYC_APPROVE, Capability.KYC_SENIOR},
    "attorney.decline": {Capability.KYC_APPROVE, Capability.KYC_SENIOR},
    ESTATE: {Capability.KYC_APPROVE, Capability.KYC_SENIOR},
    "estate.decline": {Capability.KYC_APPROVE, Capability.KYC_SENIOR},
    ADVISER: {Capability.PORTAL_VIEW, Capability.KYC_APPROVE},
    "rebate.decline": {Capability.TERMS_APPROVE},
    POCKET: {Capability.POCKETS_APPROVE},
    "pocket.decline": {Capability.POCKETS_APPROVE},
    POCKET_CHANGE: {Capability.POCKETS_APPROVE},
    "pocket_change.decline": {Capability.POCKETS_APPROVE},
    SLEEVE: {Capability.LIMITS_APPROVE},
    "sleeve.decline": {Capability.LIMITS_PROPOSE},
    "role.decline": {Capability.ROLES_APPROVE},
    "dealing.decline": {Capability.DEALING_APPROVE},
    "distribution.decline": {Capability.DEALING_APPROVE},
    "suspension.decline": {Capability.DEALING_SUSPEND},
    "expense.decline": {Capability.NAV_APPROVE},
    "expense_change.decline": {Capability.NAV_APPROVE},
    "restatement.decline": {
        Capability.RESTATE_APPROVE,
        Capability.OVERRIDE_SIGN,
        Capability.NAV_PREPARE,
    },
}


@pytest.mark.parametrize("action", NEEDED)
def test_the_database_lets_the_same_roles_sign(cluster: Any, action: str):
    with psycopg.connect(cluster.dsn("postgres", "suite")) as session:
        found = session.execute("SELECT authority_roles(%s)", (action,)).fetchone()
    assert found is not None
    assert set(found[0]) == {
        role.value for role, held in CAPABILITIES.items() if NEEDED[action] & held
    }


RECEIPT = (
    "INSERT INTO investors_statementline (id, fund_id, account_id, file_id, reference, identity, "
    "amount, currency, party, party_account, text, end_to_end, return_code, booked_at, final_at, "
    "outcome, allocated, recorded_at) VALUES (%s, %s, %s, %s, %s, 'x', 700, 'USD', 'Dan', '', '', "
    "'', '', now(), {final}, 'exact', 0, now())"
)


def test_a_receipt_that_no_bank_sent_stands_in_the_words_of_the_nav(
    small: SmallFund, fresh_database: Any
):
    """The thief records money by hand, in the name of the services; who signs the NAV reads it."""
    at = first_of(2026, 2)
    small.day(at)
    paid = small.subscribe("ann", "500", before=at)
    forged = small.subscribe("bob", "700", before=at, paid=False)
    strike = small.prepare(at)
    write_signature(fresh_database, NAV, strike.pk, checker_of(small))
    before = words(NAV, strike.pk)
    assert "Receipts behind them: 1, 500 used; by hand: 1, 500" in before
    assert f"Received 500 USD of Ann, reference REF-{paid.pk}" in before
    record_receipt(
        order=forged, amount=Decimal(700), party="Bob", reference="forged", actor=small.maker
    )
    after = words(NAV, strike.pk)
    assert "by hand: 2, 1200" in after
    assert "Received 700 USD of Bob, reference forged" in after
    assert after.count("RECORDED BY HAND") == 2
    with pytest.raises(SignatureMissing):
        approve_strike(strike=strike, seen_hash=strike.result_hash, actor=small.checker)


def test_a_forged_file_of_the_bank_stands_in_the_words_of_the_nav(
    small: SmallFund, fresh_database: Any
):
    """Nobody signs an import: the thief's file and each line of it that buys units are in what the
    approver of the NAV signs, and a signature from before it is void."""
    at, row = first_of(2026, 2), account(small)
    write_signature(fresh_database, ACCOUNT, row.pk, checker_of(small))
    approve_account(account=row, actor=small.checker)
    row.refresh_from_db()
    small.day(at)
    forged = small.subscribe("bob", "700", before=at, paid=False)
    strike = small.prepare(at)
    write_signature(fresh_database, NAV, strike.pk, checker_of(small))
    party = forged.investor.legal_name
    content = (
        "reference,booked_at,amount,currency,party\n"
        f"F1,2026-01-28,700.00,USD,{party}\nF2,2026-01-28,5.00,USD,Nobody\n"
    )
    file, _ = upload_statement(
        account=row, name="january.csv", content=content.encode(), actor=small.maker
    )
    confirm_statement(file=file, actor=small.maker)
    line = StatementLine.objects.get(file=file, reference="F1")
    match_receipt(line=line, order=forged, actor=small.maker)
    said = words(NAV, strike.pk)
    source = f"on account bank by the file january.csv {file.sha256[:16]}"
    assert f"Received 700 USD of {party}, reference F1" in said
    assert source in said
    assert "F2" not in said, "it buys nothing"
    with pytest.raises(SignatureMissing):
        approve_strike(strike=strike, seen_hash=strike.result_hash, actor=small.checker)


@pytest.mark.parametrize("role", ROLES)
def test_no_line_pretends_to_be_the_banks(small: SmallFund, fresh_database: Any, role: str):
    row = account(small)
    fund, file = small.fund.pk, uuid.uuid4()
    assert small.maker.user is not None
    read = (
        "INSERT INTO investors_statementfile (id, account_id, format, name, content, sha256, "
        "uploaded_by_id, uploaded_at, confirmed_at, counts) VALUES (%s, %s, 'csv', 'x', 'x', "
        "{hash}, %s, now(), {at}, '{{}}')"
    )
    who = (file, row.pk, small.maker.user.pk)
    true_hash = "encode(sha256('x'), 'hex')"
    own = read.format(hash=true_hash, at="NULL")

    def line(final: str, *of: Any) -> tuple[str, tuple[Any, ...]]:
        return RECEIPT.format(final=final), (uuid.uuid4(), fund, *of, "r")

    entry = build_entry(
        event="unknown_receipt", source_ref=f"receipt:{small.fund.code}:hand:none",
        effective_at=utc_now(), amounts={"amount": "700"}, currency="USD",
    )  # fmt: skip
    for steps, expected in (
        ((line("now()", None, None),), "before it is final"),
        ((line("NULL", row.pk, None),), "comes of a file"),
        (((read.format(hash="'y'", at="NULL"), who),), "not the hash"),
        (((read.format(hash=true_hash, at="now()"), who),), "imported once"),
        (((own, who), line("NULL", row.pk, file)), "comes of a file"),
    ):
        said = attack(fresh_database, role, *steps)
        assert said != ""
        assert role != "fa_app" or expected in said, (said, expected)
    if role == "fa_app":
        with pytest.raises(IntegrityError, match="unknown_receipt is without the source"):
            post_entries(small.fund, [NewEntry.of(entry)], actor=small.maker)


def test_without_a_director_one_administrator_staffs_the_house_and_doctor_says_so(
    fresh_database: Any, settings: Any
):
    """Nobody is there who could sign; the first director ends it."""
    settings.IS_PRODUCTION = True
    ada = make_user("ada", Role.ADMINISTRATOR)
    said = check_signatures()
    assert (said.state, "no director" in said.words) == ("warn", True)
    given = {"name": "Dora Director", "reason": "founds", "actor": Actor.of(ada)}
    propose_role(email="dora@example.com", role="director", **given)
    assert RoleGrant.objects.filter(user__email="dora@example.com").exists()
    assert check_signatures().state == "ok"
    propose_role(email="rita@example.com", role="risk_officer", **given)
    assert not RoleGrant.objects.filter(user__email="rita@example.com").exists()


def test_a_role_is_taken_on_the_directors_signature(fresh_database: Any):
    ada = make_user("ada", Role.ADMINISTRATOR)
    dora, ben = make_user("dora", Role.DIRECTOR), make_user("ben", Role.RISK_OFFICER)
    otto = make_user("otto", Role.OPERATOR)
    row = propose_role(
        email=ben.email, name="", role="risk_officer", reason="leaves", is_grant=False,
        actor=Actor.of(ada),
    )  # fmt: skip
    new = propose_role(
        email="new@example.com", name="New Person", role="controller", reason="joins",
        actor=Actor.of(ada),
    )  # fmt: skip
    say_kind(fresh_database, "production")
    ended = ("UPDATE core_rolegrant SET revoked_at = now() WHERE user_id = %s", (ben.pk,))
    decided = (
        "UPDATE core_roleproposal SET decided_by_id = {}, decided_at = now(), is_approved = true "
        "WHERE id = %s",
        (row.pk,),
    )
    alone = (decided[0].format("NULL"), decided[1])
    by_dora = (decided[0].format("%s"), (dora.pk, row.pk))
    for role in ROLES:
        for steps in ((ended,), (alone, ended), (by_dora, ended)):
            assert attack(fresh_database, role, *steps) != ""
    assert "proposal that was decided" in attack(fresh_database, "fa_app", ended)
    assert "proposal that was decided" in attack(fresh_database, "fa_app", alone, ended)
    assert "has not signed this" in attack(fresh_database, "fa_app", by_dora, ended)
    # Another account takes the address that a proposal names, and would take its role.
    taken = ("UPDATE core_user SET email = %s WHERE id = %s", (new.email, otto.pk))
    assert "names this address" in attack(fresh_database, "fa_app", taken)
    with pytest.raises(SignatureMissing):
        decide_role(proposal=row, is_approved=True, actor=Actor.of(dora))
    client = Client()
    client.force_login(dora)
    path = reverse("desk_people_decide", args=[row.pk])
    asked = client.post(path, {"decision": "approve"})
    assert asked.headers["Location"].startswith(f"{settings.SIGN_URL}/sign/")
    assert "Take the role risk_officer from Ben" in words(ROLE_TAKEN, row.pk)
    write_signature(fresh_database, ROLE_TAKEN, row.pk, dora)
    client.post(path, {"decision": "approve"})
    assert not RoleGrant.objects.filter(user=ben, revoked_at=None).exists()
    assert RoleGrant.objects.filter(user=otto, revoked_at=None).exists()
