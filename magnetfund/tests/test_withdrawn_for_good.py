"""What two people signed and then withdrew is not put in force by whoever holds the web's role."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from investors.services.policies import propose_terms, withdraw_terms
from investors.tests.fund_support import SmallFund
from magnetfund.core.actors import Actor
from magnetfund.core.models import User
from magnetfund.core.services.signing import ARM, LIMITS, TERMS
from magnetfund.kernel.clock import utc_now
from magnetfund.tests.test_decision_walls import SECOND, checker_of
from magnetfund.tests.test_money_walls import attack
from magnetfund.tests.test_signed_decisions import small, story
from magnetfund.tests.test_signer import ask_to_arm, officers
from magnetfund.tests.walls_support import write_signature
from risk.domain.limits import Limits, figures_of
from risk.models import LimitSet
from risk.services.fuse import state_of
from risk.services.fuse_reset import approve_reset, propose_reset, withdraw_reset
from risk.services.limits import propose_limits, withdraw_limits

__all__ = ["officers", "small", "story"]

REVIVE = "UPDATE {table} SET withdrawn_at = NULL WHERE id = %s"


def revive(cluster: Any, table: str, row: Any) -> str:
    return attack(cluster, "fa_app", (REVIVE.format(table=table), (row.pk,)))


def test_limits_that_were_withdrawn_stay_so(officers: tuple[User, User], fresh_database: Any):
    ann, ben = officers
    proposal = propose_limits(
        book="main", figures=figures_of(limits=Limits()), reason="launch",
        effective_from=ann.date_joined, actor=Actor.of(ann),
    )  # fmt: skip
    for user in officers:
        write_signature(fresh_database, LIMITS, proposal.pk, user)
    withdraw_limits(proposal=proposal, reason="a figure is wrong", actor=Actor.of(ben))
    assert "stays so" in revive(fresh_database, "risk_limitproposal", proposal)
    put = ("SELECT risk_set_limits(%s, %s)", (proposal.pk, ben.pk))
    assert "closed" in attack(fresh_database, "fa_app", put)
    assert not LimitSet.objects.exists()


def test_a_request_to_arm_that_was_withdrawn_stays_so(
    officers: tuple[User, User], fresh_database: Any
):
    ann, ben = officers
    reset = ask_to_arm(ann)
    for user in officers:
        write_signature(fresh_database, ARM, reset.pk, user)
    withdraw_reset(reset=reset, actor=Actor.of(ann))
    assert "stays so" in revive(fresh_database, "risk_fusereset", reset)
    arm = ("SELECT risk_arm_fund(%s, %s, NULL, 'x', now())", (reset.pk, ben.pk))
    assert "closed" in attack(fresh_database, "fa_app", arm)
    assert state_of("main") == "TRIPPED"
    again = propose_reset(
        book="main", reason="it answers", reconciliation=reset.reconciliation,
        actor=Actor.of(ann),
    )  # fmt: skip
    for user in officers:
        write_signature(fresh_database, ARM, again.pk, user)
    approve_reset(reset=again, actor=Actor.of(ben))
    late = ("UPDATE risk_fusereset SET withdrawn_at = now() WHERE id = %s", (again.pk,))
    assert "stays so" in attack(fresh_database, "fa_app", late), "the fund was armed by it"


def test_terms_that_were_withdrawn_stay_so(small: SmallFund, fresh_database: Any):
    checker = checker_of(small)
    proposal = propose_terms(
        share_class=small.share_class(), terms={"performance_rate": "0.25"}, reason="as agreed",
        effective_from=SECOND + timedelta(days=400), actor=small.maker,
    )  # fmt: skip
    write_signature(fresh_database, TERMS, proposal.pk, checker)
    withdraw_terms(proposal=proposal, reason="not agreed after all", actor=small.maker)
    assert "stays so" in revive(fresh_database, "investors_termsproposal", proposal)
    put = (
        "INSERT INTO investors_classpolicyversion (share_class_id, version, terms, content_hash, "
        "effective_from, proposed_by_id, approved_by_id, recorded_at) SELECT share_class_id, 2, "
        "terms, 'x', effective_from, proposed_by_id, %s, %s FROM investors_termsproposal",
        (checker.pk, utc_now()),
    )
    assert "proposed first" in attack(fresh_database, "fa_app", put)
