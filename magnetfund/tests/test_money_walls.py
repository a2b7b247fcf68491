"""What a thief of a run-time role cannot do to units, orders, files of investors and roles.

Each attack is the SQL that a stolen web, worker or trader could send; the honest way through the
services is taken beside it, on the same rows.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from copy import deepcopy
from datetime import timedelta
from decimal import Decimal
from importlib import import_module
from typing import Any

import psycopg
import pytest
from django.db import connection

from investors.models import DealingOrder, NavStrike, UnitEntry, UnitLot
from investors.services.dealing_proposals import decide_dealing, propose_dealing
from investors.services.nav import approve_strike
from investors.tests.fund_support import SmallFund, first_of, make_fund
from magnetfund.core.actors import Actor
from magnetfund.core.models import RoleGrant, RoleProposal
from magnetfund.core.roles import Role
from magnetfund.core.services.signing import DEALING, KYC, NAV, ROLE, SignatureMissing
from magnetfund.operations.role_changes import decide_role, propose_role
from magnetfund.tests.walls_support import make_user, say_kind, write_signature

FEBRUARY = first_of(2025, 2)
MARCH = first_of(2025, 3)
ROLES = ("fa_app", "fa_worker", "fa_gateway")
NO_WORKER = "worker: no background job writes"
MILLION = Decimal(1_000_000)


def tell() -> SmallFund:
    """Ann holds 10 units; bob's order is paid for, cyd's is not; March waits for its approval."""
    fund = make_fund("small")
    for at in (FEBRUARY, MARCH):
        fund.day(at)
    fund.subscribe("ann", "1000", before=FEBRUARY)
    fund.strike(FEBRUARY)
    fund.subscribe("bob", "500", before=MARCH)
    fund.subscribe("cyd", "700", before=MARCH, paid=False)
    fund.prepare(MARCH)
    return fund


@pytest.fixture(scope="module")
def story() -> Callable[[], SmallFund]:
    return tell


@pytest.fixture
def small(fresh_database: Any, told: Any) -> SmallFund:
    say_kind(fresh_database, "production")
    return deepcopy(told.value)


@pytest.fixture
def march(small: SmallFund) -> NavStrike:
    return NavStrike.objects.get(state="prepared")


def attack(cluster: Any, role: str, *steps: tuple[str, tuple[Any, ...]]) -> str:
    """What one transaction of a role was refused for; empty where it committed."""
    with psycopg.connect(cluster.dsn(role, "fresh")) as session:
        try:
            for text, values in steps:
                session.execute(text.encode(), values)
            session.commit()
        except psycopg.Error as error:
            return str(error).splitlines()[0]
    return ""


def approval(strike: NavStrike, checker: Actor) -> tuple[str, tuple[Any, ...]]:
    assert checker.user is not None
    return (
        "UPDATE investors_navstrike SET state = 'approved', approved_by_id = %s, "
        "approved_at = now(), approved_hash = result_hash WHERE id = %s",
        (checker.user.pk, strike.pk),
    )


def dealt(strike: NavStrike) -> tuple[str, tuple[Any, ...]]:
    return "UPDATE investors_navstrike SET state = 'dealt' WHERE id = %s", (strike.pk,)


def minting(
    strike: NavStrike, units: Decimal, *, order: DealingOrder | None, price: str = "100"
) -> tuple[str, tuple[Any, ...]]:
    """A million units into ann's lot."""
    lot = UnitLot.objects.first()
    assert lot is not None
    return (
        "INSERT INTO investors_unitentry (lot_id, kind, units, price, high_water_mark, "
        "hurdle_start, strike_id, order_id, effective_at, recorded_at) "
        "VALUES (%s, 'issue', %s, %s, %s, %s, %s, %s, %s, now())",
        (lot.pk, units, price, price, lot.hurdle_start, strike.pk,
         order.pk if order else None, strike.valuation_at),
    )  # fmt: skip


@pytest.mark.parametrize("role", ROLES)
def test_nobody_mints_a_million_units(
    small: SmallFund, march: NavStrike, fresh_database: Any, role: str
):
    bob = DealingOrder.objects.get(investor__number="small-bob")
    february = NavStrike.objects.get(state="dealt")
    for strike in (march, february):
        said = attack(fresh_database, role, minting(strike, MILLION, order=bob))
        assert said.startswith(("units: issue without a NAV", NO_WORKER)), said
    said = attack(fresh_database, role, approval(march, small.checker), dealt(march))
    assert "has not signed this" in said or said.startswith(NO_WORKER), said
    assert UnitEntry.objects.count() == 1


def test_a_signed_nav_mints_no_more_than_its_words_say(
    small: SmallFund, march: NavStrike, fresh_database: Any
):
    """The thief waits for the controller's true signature and sends SQL of his own with it."""
    checker = small.checker
    assert checker.user is not None
    write_signature(fresh_database, NAV, march.pk, checker.user)
    bob = DealingOrder.objects.get(investor__number="small-bob")
    cyd = DealingOrder.objects.get(investor__number="small-cyd")
    unpaid = (
        "UPDATE investors_dealingorder SET funded_amount = amount, funded_at = now(), "
        "state = 'funded' WHERE id = %s",
        (cyd.pk,),
    )
    another = (
        "INSERT INTO investors_shareclass (fund_id, code, name, tier, launch_price, "
        "minimum_subscription) SELECT fund_id, 'B', 'B', '', 1, 0 FROM investors_shareclass",
        (),
    )
    result = (
        "INSERT INTO investors_classnav (strike_id, share_class_id, units, gav, nav, "
        "management_fee, performance_fee_accrued, expenses, detail) "
        "SELECT %s, id, 1, 1, 1, 0, 0, 0, '{}' FROM investors_shareclass WHERE code = 'B'",
        (march.pk,),
    )
    start = approval(march, checker)
    for steps, words in (
        ((start, minting(march, MILLION, order=None)), "without an order of this holder"),
        ((start, minting(march, MILLION, order=bob)), "without an order of this holder"),
        ((start, minting(march, MILLION, order=bob, price="0.0005")), "at this price"),
        ((start, unpaid, minting(march, Decimal(7), order=cyd)), "being dealt is fixed"),
        ((start, another, result), "comes before the approval"),
        ((start,), "deals in its own transaction"),
    ):
        said = attack(fresh_database, "fa_app", *steps)
        assert words in said, (said, words)
    assert UnitEntry.objects.count() == 1
    approve_strike(
        strike=march, seen_hash=march.result_hash, actor=checker,
        at=MARCH + timedelta(microseconds=3),
    )  # fmt: skip
    assert UnitEntry.objects.get(order=bob).units == 5


def test_what_is_signed_names_the_orders_and_changes_with_them(
    small: SmallFund, march: NavStrike, fresh_database: Any
):
    def words() -> str:
        with connection.cursor() as cursor:
            cursor.execute("SELECT authority_content(%s, %s)", [NAV, march.pk])
            return str(cursor.fetchone()[0])

    before = words()
    assert "Orders to deal: 1 with money, 500 in all; 0 of units" in before
    assert "Units for 500 of class A to holder small-bob" in before
    assert "Class A: 10 units at 100" in before
    assert small.checker.user is not None
    write_signature(fresh_database, NAV, march.pk, small.checker.user)
    small.redeem("ann", "2", before=MARCH)
    assert "1 of units" in words()
    with pytest.raises(SignatureMissing):
        approve_strike(strike=march, seen_hash=march.result_hash, actor=small.checker)


@pytest.mark.parametrize("role", ROLES)
def test_no_order_is_funded_without_a_posted_receipt(
    small: SmallFund, fresh_database: Any, role: str
):
    cyd = DealingOrder.objects.get(investor__number="small-cyd")
    line = uuid.uuid4()
    funded = (
        "UPDATE investors_dealingorder SET funded_amount = amount, funded_at = now(), "
        "state = 'funded' WHERE id = %s",
        (cyd.pk,),
    )
    word = ("UPDATE investors_dealingorder SET state = 'funded' WHERE id = %s", (cyd.pk,))
    receipt = (
        "INSERT INTO investors_statementline (id, fund_id, reference, identity, amount, currency, "
        "party, party_account, text, end_to_end, return_code, booked_at, final_at, outcome, "
        "allocated, recorded_at) VALUES (%s, %s, 'forged', 'x', 700, 'USD', '', '', '', '', '', "
        "now(), NULL, 'exact', 0, now())",
        (line, small.fund.pk),
    )
    final = (
        "UPDATE investors_statementline SET final_at = now(), allocated = 700 WHERE id = %s",
        (line,),
    )
    used = (
        "INSERT INTO investors_lineallocation (line_id, use, amount, order_id, investor_id, "
        "reason, made_by_label, made_at) VALUES (%s, 'order', 700, %s, %s, '', 'x', now())",
        (line, cyd.pk, cyd.investor_id),
    )
    for steps, words in (
        ((funded,), "that of its receipts"),
        ((word,), "funded without its money"),
        ((receipt, final, used, funded), "not posted"),
    ):
        said = attack(fresh_database, role, *steps)
        assert words in said or (role == "fa_worker" and said), said
    cyd.refresh_from_db()
    assert (cyd.state, cyd.funded_amount) == ("accepted", 0)


@pytest.mark.parametrize("role", ROLES)
def test_no_investor_is_accepted_without_the_deciders_signature(
    small: SmallFund, fresh_database: Any, role: str
):
    say_kind(fresh_database, "test")
    reviewer, decider = make_user("rae", Role.COMPLIANCE), make_user("dee", Role.COMPLIANCE)
    operator = make_user("op", Role.OPERATOR)
    say_kind(fresh_database, "production")
    dan = uuid.uuid4()
    born = (
        "INSERT INTO investors_investor (id, number, kind, legal_name, email, country, kyc_state, "
        "is_fictitious, joined_at) VALUES (%s, 'dan', 'person', 'Dan', 'dan@example.com', 'CH', "
        "%s, false, now())"
    )
    case = (
        "INSERT INTO investors_kyccase (investor_id, points, risk, is_politically_exposed, "
        "rating_reason, reviewed_by_id, reviewed_at, reviewed_hash, approved_by_id, approved_at, "
        "waiting_since) VALUES (%s, '{}', %s, false, '', %s, now(), 'x', %s, now(), now())"
    )
    accept = ("UPDATE investors_investor SET kyc_state = 'approved' WHERE id = %s", (dan,))
    both = (reviewer.pk, decider.pk)
    first = attack(fresh_database, role, (born, (dan, "approved")))
    assert ("a job holds a file" if role == "fa_worker" else "takes a review") in first
    assert attack(fresh_database, "fa_app", (born, (dan, "review"))) == ""
    for steps, words in (
        ((accept,), "takes a review"),
        (((case, (dan, "low", *both)), accept), "has not signed this"),
        (((case, (dan, "high", *both)), accept), "not the role for this file"),
        (((case, (dan, "low", reviewer.pk, operator.pk)), accept),
         "not the role for this file"),
    ):  # fmt: skip
        said = attack(fresh_database, role, *steps)
        assert (words if role != "fa_worker" else "worker: ") in said, said
    if role == "fa_app":
        # The honest way: the file as it was reviewed, signed by whoever decides.
        with psycopg.connect(fresh_database.dsn("fa_app", "fresh")) as session:
            session.execute(
                case.replace(", approved_by_id, approved_at", "")
                .replace(", %s, now(), now())", ", now())")
                .encode(),
                (dan, "low", reviewer.pk),
            )
        write_signature(fresh_database, KYC, dan, decider)
        decided = (
            "UPDATE investors_kyccase SET approved_by_id = %s, approved_at = now() "
            "WHERE investor_id = %s",
            (decider.pk, dan),
        )
        assert attack(fresh_database, role, decided, accept) == ""


def test_a_role_is_given_on_the_directors_signature(small: SmallFund, fresh_database: Any):
    say_kind(fresh_database, "test")
    ada = make_user("ada", Role.ADMINISTRATOR)
    dora = make_user("dora", Role.DIRECTOR)
    row = propose_role(
        email="new@example.com", name="New Person", role="controller", reason="joins",
        actor=Actor.of(ada),
    )  # fmt: skip
    say_kind(fresh_database, "production")
    decided = (
        "UPDATE core_roleproposal SET decided_by_id = %s, decided_at = now(), is_approved = true",
        (dora.pk,),
    )
    born = (
        "INSERT INTO core_roleproposal (id, email, name, role, is_grant, reason, proposed_by_id, "
        "proposed_at, decided_by_id, decided_at, is_approved) VALUES (gen_random_uuid(), "
        "'x@example.com', 'X', 'director', true, 'x', %s, now(), %s, now(), true)",
        (ada.pk, dora.pk),
    )
    assert "has not signed this" in attack(fresh_database, "fa_app", decided)
    assert "proposed first" in attack(fresh_database, "fa_app", born)
    assert attack(fresh_database, "fa_worker", decided) != ""
    with pytest.raises(SignatureMissing):
        decide_role(proposal=row, is_approved=True, actor=Actor.of(dora))
    write_signature(fresh_database, ROLE, row.pk, dora)
    decide_role(proposal=row, is_approved=True, actor=Actor.of(dora))
    assert RoleGrant.objects.get(user__email="new@example.com").role == "controller"
    assert RoleProposal.objects.get().is_approved


def test_units_move_to_another_holder_on_the_deciders_signature(
    small: SmallFund, fresh_database: Any
):
    at = FEBRUARY + timedelta(days=5)
    small.investor("bob")
    march = NavStrike.objects.get(state="prepared")
    lot = UnitLot.objects.get()
    forged = (
        "INSERT INTO investors_unitentry (lot_id, kind, units, price, high_water_mark, "
        "hurdle_start, effective_at, recorded_at) "
        "VALUES (%s, 'transfer_out', -4, 100, 100, %s, now(), now())",
        (lot.pk, lot.hurdle_start),
    )
    assert "without an approved proposal" in attack(fresh_database, "fa_app", forged)
    NavStrike.objects.filter(pk=march.pk).update(state="rejected")
    row = propose_dealing(
        kind="transfer", investor=small.investor("ann"), share_class=small.share_class(),
        units=Decimal(4), receiver=small.investor("bob"), instruction="letter of today",
        called_back="Ann, on her number", reason="asked for", actor=small.maker,
    )  # fmt: skip
    checker = small.checker
    assert checker.user is not None
    decided = (
        "UPDATE investors_dealingproposal SET decided_by_id = %s, decided_at = now(), "
        "is_approved = true WHERE id = %s",
        (checker.user.pk, row.pk),
    )
    assert "has not signed this" in attack(fresh_database, "fa_app", decided)
    with pytest.raises(SignatureMissing):
        decide_dealing(proposal=row, is_approved=True, actor=checker, at=at)
    write_signature(fresh_database, DEALING, row.pk, checker.user)
    decide_dealing(proposal=row, is_approved=True, actor=checker, at=at)
    assert UnitLot.objects.get(holding__investor__number="small-bob").units == 4


def test_the_migration_of_reversed_receipts_can_be_taken_back(fresh_database: Any):
    module = import_module("investors.migrations.0064_reversed_receipts")
    with psycopg.connect(fresh_database.dsn("postgres", "fresh")) as session:

        def said(name: str) -> str:
            row = session.execute("SELECT pg_get_functiondef(%s::regprocedure)", [name]).fetchone()
            assert row is not None
            return str(row[0])

        stood = {name: said(name) for name, _, _ in module.LINES}
        for name, before, after in reversed(module.LINES):
            session.execute(module._put(name, after, before))
            assert said(name) == stood[name].replace(after, before) != stood[name]
        session.execute(module.UNWALLS)
        session.execute(module.WALLS)
        for name, before, after in module.LINES:
            session.execute(module._put(name, before, after))
        assert {name: said(name) for name in stood} == stood
        session.rollback()
