"""Powers of attorney tried from beside, as a stolen web or worker would send its SQL."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from investors.models import Investor, PowerOfAttorney
from investors.services.attorneys import decide_power, propose_power, revoke_power
from investors.tests.fund_support import SmallFund, make_fund
from magnetfund.core.actors import Actor
from magnetfund.core.models import User
from magnetfund.core.roles import Role
from magnetfund.core.services.signing import ATTORNEY, SignatureMissing
from magnetfund.kernel.clock import utc_now
from magnetfund.tests.test_attorneys import PDF
from magnetfund.tests.test_decision_walls import words
from magnetfund.tests.test_money_walls import attack
from magnetfund.tests.walls_support import make_user, say_kind, write_signature


def tell() -> SmallFund:
    """Ann and Tom have accounts; Lea and Max are of compliance."""
    fund = make_fund("main")
    for name in ("ann", "tom"):
        user = make_user(name, Role.INVESTOR)
        Investor.objects.filter(pk=fund.investor(name).pk).update(user=user)
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


def propose(small: SmallFund, *, begun: int = 0) -> PowerOfAttorney:
    found = {name: Investor.objects.get(pk=small.investor(name).pk) for name in ("ann", "tom")}
    today = utc_now().date()
    return propose_power(
        investor=found["ann"], attorney=found["tom"], may_subscribe=False, may_redeem=True,
        first_day=today - timedelta(days=begun), last_day=today + timedelta(days=9),
        deed_name="deed.pdf", deed=PDF, actor=Actor.of(account("lea")),
    )  # fmt: skip


def approval(row: PowerOfAttorney, name: str) -> tuple[str, tuple[Any, ...]]:
    return (
        "UPDATE investors_powerofattorney SET decided_by_id = %s, decided_at = now(), "
        "is_approved = true WHERE id = %s",
        (account(name).pk, row.pk),
    )


def order(row: PowerOfAttorney, small: SmallFund, **given: Any) -> tuple[str, tuple[Any, ...]]:
    """An order of the attorney, written by hand."""
    said = {"kind": "redemption", "name": "tom", "holder": row.investor_id, "day": "now()", **given}
    return (
        "INSERT INTO investors_dealingorder (id, kind, investor_id, share_class_id, units, is_all, "
        "amount, funded_amount, is_part_taken, is_compulsory, rolls, state, fee_amount, "
        "into_units, into_fee, paid_amount, held_amount, reason, submitted_by_id, "
        "under_power_id, received_at, "
        "updated_at, recorded_at) VALUES (gen_random_uuid(), %s, %s, %s, NULL, true, NULL, 0, "
        "false, false, 0, 'accepted', 0, 0, 0, 0, 0, '', %s, %s, "
        f"{said['day']}, now(), now())",
        (said["kind"], said["holder"], small.share_class().pk, account(said["name"]).pk, row.pk),
    )


def test_a_power_of_attorney_takes_two_people_and_a_signature(
    small: SmallFund, fresh_database: Any
):
    row, web = propose(small), "fa_app"
    assert "has not signed this" in attack(fresh_database, web, approval(row, "max"))
    assert "another person" in attack(fresh_database, web, approval(row, "lea"))
    assert attack(fresh_database, "fa_worker", approval(row, "max")) != ""
    assert "beyond the power" in attack(fresh_database, web, order(row, small))
    with pytest.raises(SignatureMissing):
        decide_power(proposal=row, is_approved=True, actor=Actor.of(account("max")))
    said = words(ATTORNEY, row.pk)
    for part in ("Let Tom (main-tom) act as attorney of Ann (holder main-ann)",
                 "May: read, redeem and switch\n", f"until {row.last_day}",
                 f"SHA-256 {row.deed_digest}"):  # fmt: skip
        assert part in said
    write_signature(fresh_database, ATTORNEY, row.pk, account("max"))
    decide_power(proposal=row, is_approved=True, actor=Actor.of(account("max")))
    for column in ("may_subscribe = true", "last_day = '2099-01-01'", "attorney_id = investor_id",
                   "sealed_content = 'x'"):  # fmt: skip
        text = f"UPDATE investors_powerofattorney SET {column}"
        assert "permission denied" in attack(fresh_database, web, (text, ()))
    undone = ("UPDATE investors_powerofattorney SET is_approved = NULL, decided_by_id = NULL", ())
    assert "a decision is fixed" in attack(fresh_database, web, undone)
    for wrong in (
        {"name": "ann"},
        {"holder": small.investor("tom").pk},
    ):
        assert "beyond the power" in attack(fresh_database, web, order(row, small, **wrong))
    assert "beyond the power" not in attack(fresh_database, web, order(row, small))
    revoke_power(power=row, actor=Actor.of(account("ann")), reason="")
    again = ("UPDATE investors_powerofattorney SET ended_at = NULL, ended_by_id = NULL", ())
    assert "stays ended" in attack(fresh_database, web, again)
    assert "beyond the power" in attack(fresh_database, web, order(row, small))


def test_an_order_under_a_power_is_of_now(small: SmallFund, fresh_database: Any):
    """Dated back, it would be of a day before its cut-off, or before the power ended."""
    row, web = propose(small, begun=5), "fa_app"
    write_signature(fresh_database, ATTORNEY, row.pk, account("max"))
    decide_power(proposal=row, is_approved=True, actor=Actor.of(account("max")))
    for wrong in ("now() - interval '3 days'", "now() - interval '1 hour'",
                  "now() + interval '1 hour'"):  # fmt: skip
        assert "is of now" in attack(fresh_database, web, order(row, small, day=wrong))
    assert "is of now" not in attack(fresh_database, web, order(row, small))
