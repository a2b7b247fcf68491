"""Deaths and estates tried from beside, as a stolen web or worker would send its SQL."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from investors.models import DeathReport, EstateStep, Investor
from investors.services.estates import decide_step, propose_step, report_death
from investors.tests.fund_support import SmallFund, make_fund
from magnetfund.core.actors import Actor
from magnetfund.core.models import User
from magnetfund.core.roles import Role
from magnetfund.core.services.signing import ESTATE, SignatureMissing
from magnetfund.kernel.clock import utc_now
from magnetfund.tests.test_attorneys import PDF
from magnetfund.tests.test_decision_walls import words
from magnetfund.tests.test_money_walls import attack
from magnetfund.tests.walls_support import make_user, say_kind, write_signature


def tell() -> SmallFund:
    """Ann has a file; Lea and Max are of compliance."""
    fund = make_fund("main")
    fund.investor("ann")
    for name in ("lea", "max"):
        make_user(name, Role.COMPLIANCE)
    return fund


@pytest.fixture(scope="module")
def story() -> Callable[[], SmallFund]:
    return tell


@pytest.fixture
def small(fresh_database: Any, told: Any, settings: Any, tmp_path: Path) -> SmallFund:
    settings.DOCUMENT_KEYS = tmp_path / "keys"
    say_kind(fresh_database, "production")
    return deepcopy(told.value)


def account(name: str) -> User:
    return User.objects.get(email=f"{name}@example.com")


def approval(row: EstateStep, name: str) -> tuple[str, tuple[Any, ...]]:
    return (
        "UPDATE investors_estatestep SET decided_by_id = %s, decided_at = now(), "
        "is_approved = true WHERE id = %s",
        (account(name).pk, row.pk),
    )


def test_a_report_is_closed_by_two_people_and_no_order_passes_it(
    small: SmallFund, fresh_database: Any
):
    web = "fa_app"
    ann = Investor.objects.get(pk=small.investor("ann").pk)
    row = report_death(
        investor=ann, deceased="Ann", died_on=utc_now().date(), paper_name="p.pdf", paper=PDF,
        actor=Actor.of(account("lea")),
    )  # fmt: skip
    close = ("UPDATE investors_deathreport SET closed_at = now(), outcome = 'lifted'", ())
    assert "by a decision of two people" in attack(fresh_database, web, close)
    order = (
        "INSERT INTO investors_dealingorder (id, kind, investor_id, share_class_id, units, is_all, "
        "funded_amount, is_part_taken, is_compulsory, rolls, state, fee_amount, into_units, "
        "into_fee, paid_amount, held_amount, reason, received_at, updated_at, recorded_at) VALUES "
        "(gen_random_uuid(), 'redemption', %s, %s, NULL, true, 0, false, false, 0, 'accepted', 0, "
        "0, 0, 0, 0, '', now(), now(), now())",
        (ann.pk, small.share_class().pk),
    )
    assert "a death was reported" in attack(fresh_database, web, order)
    step = propose_step(
        report=row, kind="lift", ground="another Ann", paper_name="p.pdf", paper=PDF,
        actor=Actor.of(account("lea")),
    )  # fmt: skip
    assert "another person" in attack(fresh_database, web, approval(step, "lea"))
    assert "has not signed this" in attack(fresh_database, web, approval(step, "max"))
    assert attack(fresh_database, "fa_worker", approval(step, "max")) != ""
    with pytest.raises(SignatureMissing):
        decide_step(proposal=step, is_approved=True, actor=Actor.of(account("max")))
    said = words(ESTATE, step.pk)
    for part in ("Lift the report of a death", "Holder: Ann (main-ann)", "Rests on: another Ann",
                 step.paper_digest):  # fmt: skip
        assert part in said
    for text in (
        "UPDATE investors_deathreport SET died_on = now()",
        "UPDATE investors_estatestep SET kind = 'probate'",
        "DELETE FROM investors_deathreport",
    ):
        assert "permission denied" in attack(fresh_database, web, (text, ()))
    write_signature(fresh_database, ESTATE, step.pk, account("max"))
    decide_step(proposal=step, is_approved=True, actor=Actor.of(account("max")))
    assert DeathReport.objects.get().outcome == "lifted"
    again = ("UPDATE investors_deathreport SET closed_at = NULL, outcome = ''", ())
    assert "stays closed" in attack(fresh_database, web, again)
    undone = ("UPDATE investors_estatestep SET is_approved = false", ())
    assert "a decision is fixed" in attack(fresh_database, web, undone)
    assert "a death was reported" not in attack(fresh_database, web, order)
