"""Files of holders, their accounts and what a hold keeps back, tried from beside as a stolen web or
worker would send its SQL."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import psycopg
import pytest

from investors.domain.payments import PaymentKind
from investors.models import FundAccount, Investor, KycCase, PayeeAccount, Payment, Screening
from investors.services.kyc import hold_case, mark_due
from investors.services.money_accounts import add_payee, approve_payee
from investors.services.payment_drafts import prepare_fee
from investors.services.rescreening import screen_everybody
from investors.tests.fund_support import FIRST, SmallFund, first_of, make_fund
from investors.tests.test_camt_entries import camt
from investors.tests.test_receipts import account_of, bring
from investors.tests.test_reversed_receipts import credit, debit, line_of
from magnetfund.core.actors import Actor
from magnetfund.core.models import User
from magnetfund.core.roles import Role
from magnetfund.core.services.signing import ATTORNEY, KYC, PAYEE, PAYMENT
from magnetfund.tests.test_attorney_walls import approval, propose
from magnetfund.tests.test_decision_walls import checker_of, words
from magnetfund.tests.test_money_walls import NO_WORKER, attack
from magnetfund.tests.test_own_roles import signed_in_as
from magnetfund.tests.walls_support import make_user, say_kind, write_signature

Step = tuple[str, tuple[Any, ...]]
FEBRUARY, MARCH = first_of(2025, 2), first_of(2025, 3)


def tell() -> SmallFund:
    """Ann holds 1,000 units that manage at 2 %; Ann and Tom have files and accounts; Lea and Max
    are of compliance, Dora is a director."""
    fund = make_fund("main", management_rate="0.02")
    for at in (FIRST, FEBRUARY, MARCH):
        fund.day(at)
    fund.subscribe("ann", "100000", before=FIRST)
    for at in (FIRST, FEBRUARY):
        fund.strike(at)
    for name in ("ann", "tom"):
        investor = fund.investor(name)
        Investor.objects.filter(pk=investor.pk).update(user=make_user(name, Role.INVESTOR))
        KycCase.objects.create(investor=investor, risk="low", points={"x": 1})
    for name in ("lea", "max"):
        make_user(name, Role.COMPLIANCE)
    make_user("dora", Role.DIRECTOR)
    return fund


@pytest.fixture(scope="module")
def story() -> Callable[[], SmallFund]:
    return tell


@pytest.fixture
def small(fresh_database: Any, told: Any, settings: Any, tmp_path: Any) -> SmallFund:
    settings.DOCUMENT_KEYS = tmp_path / "keys"
    say_kind(fresh_database, "production")
    return deepcopy(told.value)


def account(name: str) -> User:
    return User.objects.get(email=f"{name}@example.com")


def move(investor: Investor, state: str) -> Step:
    return ("UPDATE investors_investor SET kyc_state = %s WHERE id = %s", (state, investor.pk))


class TestFiles:
    def test_a_job_rates_signs_and_decides_nothing(self, small: SmallFund, fresh_database: Any):
        ann, lea = small.investor("ann"), account("lea").pk
        hit = Screening.objects.create(
            investor=ann, party="Ann", kind="sanctions", list_name="L", list_version="1",
            match="Ann", outcome="possible",
        )  # fmt: skip
        decided = (
            "INSERT INTO investors_screening (investor_id, party, kind, list_name, list_version, "
            "match, match_id, outcome, reason, decides_id, screened_by_id, screened_at) "
            "VALUES (%s, 'Ann', 'sanctions', 'L', '1', 'Ann', '', 'other_person', 'x', %s, %s, "
            "now())",
            (ann.pk, hit.pk, lea),
        )
        checked = (
            "INSERT INTO investors_kyccheck (investor_id, item, outcome, evidence, noted_by_id, "
            "noted_at) VALUES (%s, 'passport', 'checked', 'x', %s, now())",
            (ann.pk, lea),
        )
        moved = (
            "INSERT INTO investors_kycmove (investor_id, from_state, to_state, role, actor_id, "
            "actor_label, reason, content_hash, moved_at) VALUES (%s, 'review', 'approved', "
            "'compliance', %s, 'x', '', '', now())",
            (ann.pk, lea),
        )
        for step, said in (
            (("UPDATE investors_kyccase SET risk = 'low', points = '{}'", ()), "no job rates"),
            (("UPDATE investors_kyccase SET is_politically_exposed = true", ()), "no job rates"),
            (("UPDATE investors_kyccase SET review_due = '2099-01-01'", ()), "no job rates"),
            (
                ("UPDATE investors_kyccase SET reviewed_by_id = %s, reviewed_at = now()", (lea,)),
                "no job rates",
            ),
            (decided, "decided by people"),
            (checked, NO_WORKER),
            (moved, "a job holds a file"),
            (move(ann, "exited"), "a job holds a file"),
            (("UPDATE investors_investor SET email = 'x@example.com'", ()), "a job holds a file"),
            (("UPDATE investors_investor SET legal_name = 'X'", ()), "a job holds a file"),
            (
                (
                    "INSERT INTO investors_investor (id, number, kind, legal_name, email, country, "
                    "kyc_state, is_fictitious, joined_at) VALUES (gen_random_uuid(), 'x', "
                    "'person', 'X', 'x@example.com', 'CH', 'review', false, now())", (),
                ),
                "a job holds a file",
            ),
            (("UPDATE investors_bookbreak SET closed_at = now()", ()), NO_WORKER),
            (("UPDATE investors_shareclass SET name = 'x'", ()), NO_WORKER),
        ):  # fmt: skip
            found = attack(fresh_database, "fa_worker", step)
            assert said in found, (step, found)

    def test_jobs_still_hold_and_review_files(self, small: SmallFund, fresh_database: Any):
        KycCase.objects.update(review_due=FIRST.date())
        ann = small.investor("ann")
        with signed_in_as(fresh_database, "fa_worker"):
            assert screen_everybody()[0] == 2
            assert mark_due() == 2
            ann = hold_case(investor=ann, reason="a hit", actor=Actor.system("screening"))
        assert ann.kyc_state == "restricted"

    def test_a_hold_ends_by_a_signed_acceptance(self, small: SmallFund, fresh_database: Any):
        ann = small.investor("ann")
        assert attack(fresh_database, "fa_app", move(ann, "restricted")) == ""
        for state in ("review", "due_for_refresh", "declined", "not_started"):
            said = attack(fresh_database, "fa_app", move(ann, state))
            assert "ends by a signed acceptance" in said
        assert "has units" in attack(fresh_database, "fa_app", move(ann, "exited"))
        assert "takes a review" in attack(fresh_database, "fa_app", move(ann, "approved"))


class TestAccounts:
    def test_a_holder_is_given_the_account_of_the_address_that_was_signed(
        self, small: SmallFund, fresh_database: Any
    ):
        thief, dan = uuid.uuid4(), uuid.uuid4()
        born = (
            "INSERT INTO investors_investor (id, number, kind, legal_name, email, country, "
            "kyc_state, is_fictitious, joined_at) VALUES (%s, 'dan', 'person', 'Dan', "
            "'dan@example.com', 'CH', 'review', false, now())", (dan,),
        )  # fmt: skip
        person = (
            "INSERT INTO core_user (password, is_superuser, id, email, name, person, is_active, "
            "is_staff, is_simulated, time_zone, theme, wants_mail, date_joined) "
            "VALUES ('!', false, "
            "%s, %s, %s, gen_random_uuid(), true, false, false, 'UTC', 'auto', true, now())"
        )
        case = (
            "INSERT INTO investors_kyccase (investor_id, points, risk, is_politically_exposed, "
            "rating_reason, reviewed_by_id, reviewed_at, reviewed_hash, waiting_since) "
            "VALUES (%s, '{}', 'low', false, '', %s, now(), 'x', now())",
            (dan, account("lea").pk),
        )
        web = "fa_app"
        assert (
            attack(fresh_database, web, born, case, (person, (thief, "t@example.com", "T"))) == ""
        )
        bind = ("UPDATE investors_investor SET user_id = %s WHERE id = %s", (thief, dan))
        renamed = (
            "UPDATE investors_investor SET user_id = %s, email = 't@example.com' WHERE id = %s",
            (thief, dan),
        )
        for step in (bind, renamed):
            assert "address that was signed" in attack(fresh_database, web, step)
        assert "\nAddress: dan@example.com\n" in words(KYC, dan)
        write_signature(fresh_database, KYC, dan, account("max"))
        for step in (bind, renamed):
            assert "address that was signed" in attack(fresh_database, web, step)
        own = uuid.uuid4()
        bind = ("UPDATE investors_investor SET user_id = %s WHERE id = %s", (own, dan))
        assert attack(fresh_database, web, (person, (own, "dan@example.com", "Dan")), bind) == ""
        assert Investor.objects.get(pk=dan).user_id == own


class TestAttorneys:
    def test_a_director_decides_on_an_attorney_of_high_risk(
        self, small: SmallFund, fresh_database: Any
    ):
        row = propose(small)
        KycCase.objects.filter(investor=small.investor("tom")).update(risk="high")
        for name in ("max", "dora"):
            write_signature(fresh_database, ATTORNEY, row.pk, account(name))
        assert "a director approves" in attack(fresh_database, "fa_app", approval(row, "max"))
        assert attack(fresh_database, "fa_app", approval(row, "dora")) == ""


class TestMoney:
    def test_nothing_is_signed_or_sent_to_a_holder_on_hold(
        self, small: SmallFund, fresh_database: Any
    ):
        payee: PayeeAccount = add_payee(
            fund=small.fund, kind="bank", name="Manager", number="MANAGERS0001", currency="USD",
            evidence="call-back", actor=small.maker,
        )  # fmt: skip
        write_signature(fresh_database, PAYEE, payee.pk, checker_of(small))
        row: Payment = prepare_fee(
            fund=small.fund, kind=PaymentKind.MANAGEMENT_FEE, text="fee", actor=small.maker,
            payee=approve_payee(payee=payee, actor=small.checker),
        )  # fmt: skip
        ann = small.investor("ann")
        write_signature(fresh_database, PAYMENT, row.pk, checker_of(small))
        with psycopg.connect(fresh_database.dsn("postgres", "fresh"), autocommit=True) as owner:
            owner.execute("ALTER TABLE investors_payeeaccount DISABLE TRIGGER USER")
            owner.execute("UPDATE investors_payeeaccount SET investor_id = %s", (ann.pk,))
        signed = (
            "UPDATE investors_payment SET state = 'approved', approved_by_id = %s, "
            "approved_at = now() WHERE id = %s",
            (checker_of(small).pk, row.pk),
        )
        assert attack(fresh_database, "fa_app", move(ann, "restricted")) == ""
        assert "are on hold" in attack(fresh_database, "fa_app", signed)
        with psycopg.connect(fresh_database.dsn("postgres", "fresh"), autocommit=True) as owner:
            owner.execute("ALTER TABLE investors_investor DISABLE TRIGGER USER")
            owner.execute("UPDATE investors_investor SET kyc_state = 'approved'")
        assert attack(fresh_database, "fa_app", signed) == ""

    def test_a_receipt_that_the_bank_took_back_is_not_used(
        self, small: SmallFund, fresh_database: Any
    ):
        say_kind(fresh_database, "test")
        bank: FundAccount = account_of(small)
        order = small.subscribe("tom", "1000", before=MARCH, paid=False)
        bring(small, camt(credit()), bank)
        say_kind(fresh_database, "production")
        line = line_of("C1")
        used = (
            "INSERT INTO investors_lineallocation (line_id, use, amount, order_id, reason, "
            "made_by_label, made_at) VALUES (%s, 'order', 5, %s, '', 'x', "
            "now())",
            (line.pk, order.pk),
        )
        assert "took this money back" not in attack(fresh_database, "fa_app", used)
        say_kind(fresh_database, "test")
        bring(small, camt(debit()), bank)
        say_kind(fresh_database, "production")
        assert "took this money back" in attack(fresh_database, "fa_app", used)
