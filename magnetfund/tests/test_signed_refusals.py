"""A refusal takes the signature that an approval takes, and what is owed or kept stays so.

Each attack is the SQL that a stolen web could send; the honest way is taken beside it.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from investors.models import (
    Application,
    DealingOrder,
    Document,
    RateProposal,
    Rebate,
    Restatement,
    SidePocket,
)
from investors.services.coin_rates import decide_rates, propose_rates
from investors.services.dealing_proposals import decide_dealing, propose_dealing
from investors.services.distributions import decide_distribution
from investors.services.expenses import decide_expense, propose_end
from investors.services.nav import approve_strike
from investors.services.pockets import decide_pocket, propose_pocket
from investors.services.rebates import decide_rebate, propose_rebate
from investors.services.restatements import decline_restatement
from investors.services.suspension import decide_suspension
from investors.tests.fund_support import FIRST, SmallFund, first_of
from magnetfund.core.actors import Actor
from magnetfund.core.models import RoleProposal
from magnetfund.core.roles import Role
from magnetfund.core.services.signing import DEALING, NAV, SignatureMissing
from magnetfund.operations.people import ensure_user
from magnetfund.operations.role_changes import decide_role, propose_role
from magnetfund.tests.test_dealing_proposals import BETWEEN, propose
from magnetfund.tests.test_decision_walls import checker_of, distribution, words
from magnetfund.tests.test_money_walls import NO_WORKER, ROLES, attack
from magnetfund.tests.test_signed_decisions import cost, dora, small, story, suspension
from magnetfund.tests.walls_support import make_user, say_kind, write_signature

__all__ = ["small", "story"]
Decide = Callable[[Any, Actor], Any]


def transfer(fund: SmallFund) -> Any:
    fund.investor("bob")
    return propose_dealing(
        kind="transfer", investor=fund.investor("ann"), share_class=fund.share_class(),
        units=Decimal(4), receiver=fund.investor("bob"), instruction="letter of today",
        called_back="Ann, on her number", reason="asked for", actor=fund.maker,
    )  # fmt: skip


def restatement(fund: SmallFund) -> Restatement:
    assert fund.maker.user is not None
    return Restatement.objects.create(
        fund=fund.fund, first=date(2025, 1, 1), amount=-400, material_from="0.01",
        cause="an invoice", evidence="invoice 77", content_hash="x",
        prepared_by=fund.maker.user,
        content={"holders": [], "owed": "0", "fund_loss": "0", "claims": "0"},
    )  # fmt: skip


def role(fund: SmallFund) -> RoleProposal:
    ada = ensure_user(email="ada@example.com", name="Ada", roles=[Role.ADMINISTRATOR])
    return propose_role(
        email="new@example.com", name="New Person", role="risk_officer", reason="joins",
        actor=Actor.of(ada),
    )  # fmt: skip


def rebate(fund: SmallFund) -> Rebate:
    return propose_rebate(
        investor=fund.investor("ann"), share_class=fund.share_class(),
        management_share=Decimal("0.5"), performance_share=Decimal("0.125"),
        first_day=date(2030, 1, 1), reference="letter 7", actor=fund.maker,
    )  # fmt: skip


def rate(fund: SmallFund) -> RateProposal:
    return propose_rates(
        fund=fund.fund, coin="USDC", source="a page", lines=[(FIRST, Decimal("0.88"))],
        actor=fund.maker,
    )  # fmt: skip


def pocket(fund: SmallFund) -> SidePocket:
    return propose_pocket(
        fund=fund.fund, asset="a claim", account="1030", value=Decimal(10), cause="it is frozen",
        notice="It is frozen.", actor=fund.maker,
    )  # fmt: skip


def ended(fund: SmallFund) -> Any:
    return propose_end(expense=cost(fund), last_day=date(2025, 6, 30), actor=fund.maker)


DECIDED = "decided_by_id = %s, decided_at = now(), is_approved = false"
DECLINED = "declined_by_id = %s, declined_at = now(), declined_reason = 'x'"
#: What is declined: its maker, its table, who declines, and the service.
REFUSALS: dict[str, tuple[Callable[[SmallFund], Any], str, bool, Decide]] = {
    "suspension": (
        suspension, "investors_suspensionproposal", True,
        lambda row, actor: decide_suspension(proposal=row, is_approved=False, actor=actor),
    ),
    "distribution": (
        distribution, "investors_distribution", False,
        lambda row, actor: decide_distribution(distribution=row, is_approved=False, actor=actor),
    ),
    "expense": (
        cost, "investors_expense", False,
        lambda row, actor: decide_expense(
            proposal=row, is_approved=False, reason="no", actor=actor
        ),
    ),
    "rebate": (
        rebate, "investors_rebate", False,
        lambda row, actor: decide_rebate(proposal=row, is_approved=False, reason="no", actor=actor),
    ),
    "rate": (
        rate, "investors_rateproposal", False,
        lambda row, actor: decide_rates(proposal=row, is_approved=False, reason="no", actor=actor),
    ),
    "pocket": (
        pocket, "investors_sidepocket", True,
        lambda row, actor: decide_pocket(
            proposal=row, is_approved=False, reason="no", actor=actor
        ),
    ),
    "dealing": (
        transfer, "investors_dealingproposal", False,
        lambda row, actor: decide_dealing(proposal=row, is_approved=False, actor=actor),
    ),
    "restatement": (
        restatement, "investors_restatement", True,
        lambda row, actor: decline_restatement(restatement=row, reason="no", actor=actor),
    ),
    "role": (
        role, "core_roleproposal", True,
        lambda row, actor: decide_role(proposal=row, is_approved=False, actor=actor),
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSALS)
def test_nobody_declines_in_anothers_name(small: SmallFund, fresh_database: Any, kind: str):
    make, table, by_director, decide = REFUSALS[kind]
    say_kind(fresh_database, "test")
    row = make(small)
    say_kind(fresh_database, "production")
    user = dora() if by_director else checker_of(small)
    columns = DECLINED if kind == "restatement" else DECIDED
    forged = (f"UPDATE {table} SET {columns} WHERE id = %s", (user.pk, row.pk))
    assert "has not signed this" in attack(fresh_database, "fa_app", forged)
    with pytest.raises(SignatureMissing) as missing:
        decide(row, Actor.of(user))
    action = f"{kind}.decline"
    assert missing.value.details["action"] == action
    assert words(action, row.pk).startswith("DECLINE what was proposed: ")
    write_signature(fresh_database, action, row.pk, user)
    decide(row, Actor.of(user))
    row.refresh_from_db()
    assert (row.declined_by if kind == "restatement" else row.decided_by) == user
    changed = forged[0].replace("false", "true"), forged[1]
    assert "fixed" in attack(fresh_database, "fa_app", changed)


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("kind", ["subscription", "redemption", "compulsory"])
def test_nobody_deals_for_a_holder_in_anothers_name(
    small: SmallFund, fresh_database: Any, kind: str, role: str
):
    """A thief of the web would redeem a holder, by two names that never said so."""
    small.day(first_of(2025, 2))
    row = propose(small, kind)
    user = dora() if kind == "compulsory" else checker_of(small)
    for forged in (DECIDED, DECIDED.replace("false", "true")):
        step = (f"UPDATE investors_dealingproposal SET {forged} WHERE id = %s", (user.pk, row.pk))
        said = attack(fresh_database, role, step)
        assert "has not signed this" in said or said.startswith(NO_WORKER), said
    with pytest.raises(SignatureMissing) as missing:
        decide_dealing(proposal=row, is_approved=True, actor=Actor.of(user), at=BETWEEN)
    assert missing.value.details["action"] == DEALING
    assert "holder main-ann of the fund main" in words(DEALING, row.pk)
    assert not DealingOrder.objects.filter(kind="redemption").exists()
    write_signature(fresh_database, DEALING, row.pk, user)
    assert decide_dealing(
        proposal=row, is_approved=True, actor=Actor.of(user), at=BETWEEN
    ).order is not None  # fmt: skip
    parted = ("UPDATE investors_dealingproposal SET order_id = NULL", ())
    assert "fixed" in attack(fresh_database, "fa_app", parted)


def test_a_compulsory_redemption_takes_a_controller_and_a_director(
    small: SmallFund, fresh_database: Any
):
    say_kind(fresh_database, "test")
    row, other = propose(small, "compulsory"), make_user("eve", Role.CONTROLLER)
    say_kind(fresh_database, "production")
    write_signature(fresh_database, DEALING, row.pk, other)
    forged = DECIDED.replace("false", "true")
    step = (f"UPDATE investors_dealingproposal SET {forged} WHERE id = %s", (other.pk, row.pk))
    assert "decide together" in attack(fresh_database, "fa_app", step)


def test_the_signature_of_a_refusal_approves_nothing(small: SmallFund, fresh_database: Any):
    row = suspension(small)
    write_signature(fresh_database, "suspension.decline", row.pk, dora())
    with pytest.raises(SignatureMissing):
        decide_suspension(proposal=row, is_approved=True, actor=Actor.of(dora()))


def test_the_end_of_a_cost_is_declined_with_a_signature_too(small: SmallFund, fresh_database: Any):
    say_kind(fresh_database, "test")
    first = cost(small)
    decide_expense(proposal=first, is_approved=True, actor=small.checker)
    row = propose_end(expense=first, last_day=date(2025, 6, 30), actor=small.maker)
    say_kind(fresh_database, "production")
    with pytest.raises(SignatureMissing) as missing:
        decide_expense(proposal=row, is_approved=False, reason="no", actor=small.checker)
    assert missing.value.details["action"] == "expense_change.decline"
    write_signature(fresh_database, "expense_change.decline", row.pk, checker_of(small))
    decide_expense(proposal=row, is_approved=False, reason="no", actor=small.checker)


def test_the_page_leads_to_the_signer_and_keeps_the_reason(small: SmallFund, fresh_database: Any):
    row, user = cost(small), checker_of(small)
    client = Client()
    client.force_login(user)
    path, given = reverse("desk_expense_decide", args=[row.pk]), {"decision": "decline"}
    asked = client.post(path, {**given, "reason": "a duplicate"})
    assert "/sign/" in asked.headers["Location"]
    assert 'value="a duplicate"' in client.get(reverse("desk_expenses")).content.decode()
    write_signature(fresh_database, "expense.decline", row.pk, user)
    client.post(path, {**given, "reason": "a duplicate"})
    row.refresh_from_db()
    assert (row.is_approved, row.reason) == (False, "a duplicate")


def test_what_is_owed_stays_owed_until_confirmed_payments_paid_it(
    small: SmallFund, fresh_database: Any
):
    at = first_of(2025, 3)
    small.day(at)
    say_kind(fresh_database, "test")
    small.redeem("ann", "4", before=at)
    say_kind(fresh_database, "production")
    strike = small.prepare(at)
    write_signature(fresh_database, NAV, strike.pk, checker_of(small))
    approve_strike(strike=strike, seen_hash=strike.result_hash, actor=small.checker)
    order = DealingOrder.objects.get(kind="redemption")
    assert order.state == "payable"

    def put(changes: str) -> str:
        step = (f"UPDATE investors_dealingorder SET {changes} WHERE id = %s", (order.pk,))
        return attack(fresh_database, "fa_app", step)

    for state in ("settled", "cancelled", "accepted"):
        assert "stays owed until it is paid" in put(f"state = '{state}'")
    assert "confirmed payments" in put("paid_amount = dealt_amount, state = 'settled'")
    assert "confirmed payments" in put("paid_amount = 1")


def test_a_document_is_never_another_one(small: SmallFund, fresh_database: Any):
    application = Application.objects.create(kind="person", email="ann@example.com")
    row = Document.objects.create(
        application=application, item="passport", name="pass.pdf", media_type="application/pdf",
        size=1, digest="x", sealed_content=b"sealed",
    )  # fmt: skip

    def put(changes: str) -> str:
        step = (f"UPDATE investors_document SET {changes} WHERE id = %s", (row.pk,))
        return attack(fresh_database, "fa_app", step)

    for changes in ("sealed_content = 'other'", "name = 'other.pdf'"):
        assert "never another one" in put(changes)
    assert put("sealed_content = '', name = '', removed_at = now()") == ""
    for changes in ("sealed_content = 'other'", "removed_at = NULL"):
        assert "never another one" in put(changes)


def test_the_web_says_neither_what_a_book_is_worth_nor_that_its_trader_lives(
    small: SmallFund, fresh_database: Any
):
    beat = (
        "INSERT INTO core_heartbeat (part, instance, build_id, seen_at, detail) "
        "VALUES (%s, 'main', '', now(), '{}')"
    )
    assert "by the trader alone" in attack(fresh_database, "fa_app", (beat, ("trader",)))
    assert attack(fresh_database, "fa_gateway", (beat, ("trader",))) == ""
    assert attack(fresh_database, "fa_app", (beat, ("web",))) == ""
    silent = ("UPDATE core_heartbeat SET seen_at = now() WHERE part = %s", ("trader",))
    assert "by the trader alone" in attack(fresh_database, "fa_app", silent)


def test_what_is_withdrawn_in_nobodys_name_is_a_delay_and_no_more(
    small: SmallFund, fresh_database: Any
):
    """Harmless: the row names nobody, nothing signed is undone, and it is prepared again."""
    at = first_of(2025, 3)
    small.day(at)
    first = small.prepare(at)
    write_signature(fresh_database, NAV, first.pk, checker_of(small))
    back = ("UPDATE investors_navstrike SET state = 'rejected', rejected_reason = 'x'", ())
    sent_back = (f"{back[0]} WHERE state = 'prepared'", ())
    assert attack(fresh_database, "fa_app", sent_back) == ""
    again = small.prepare(at)
    with pytest.raises(SignatureMissing):
        approve_strike(strike=again, seen_hash=again.result_hash, actor=small.checker)
    write_signature(fresh_database, NAV, again.pk, checker_of(small))
    approve_strike(strike=again, seen_hash=again.result_hash, actor=small.checker)
    # What is dealt stays so, and what was sent back never comes again.
    assert attack(fresh_database, "fa_app", back) != ""
    risen = ("UPDATE investors_navstrike SET state = 'prepared' WHERE id = %s", (first.pk,))
    assert attack(fresh_database, "fa_app", risen) != ""
