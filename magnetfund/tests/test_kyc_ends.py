"""A relation ends once nothing is left of it, and a hit holds payments in every state."""

from __future__ import annotations

from typing import Any

import pytest

from investors.domain.onboarding import KycState
from investors.models import Investor, PayeeAccount
from investors.services.kyc import move_case
from investors.services.kyc_work import decide_hit, record_screening
from investors.services.money_accounts import add_payee, approve_payee
from investors.services.payment_drafts import prepare_proceeds
from investors.tests.fund_support import SmallFund, first_of, make_fund
from magnetfund.core.actors import Actor
from magnetfund.core.roles import Role
from magnetfund.kernel.errors import FundError
from magnetfund.tests.walls_support import make_user

pytestmark = pytest.mark.django_db
FEBRUARY, MARCH = first_of(2025, 2), first_of(2025, 3)


@pytest.fixture
def small() -> SmallFund:
    fund = make_fund("main")
    for at in (FEBRUARY, MARCH):
        fund.day(at)
    return fund


@pytest.fixture
def lea() -> Actor:
    return Actor.of(make_user("lea", Role.COMPLIANCE))


def refused(step: Any, **given: Any) -> str:
    with pytest.raises(FundError) as caught:
        step(**given)
    return caught.value.code


def end(small: SmallFund, lea: Actor, *, name: str = "ann", held: bool = False) -> dict[str, Any]:
    """What ends the relation of an investor, who is put on hold first where ``held`` says so."""
    investor = Investor.objects.get(pk=small.investor(name).pk)
    if held:
        move_case(investor=investor, to=KycState.RESTRICTED, actor=lea, reason="a hit")
    return {"investor": investor, "to": KycState.EXITED, "actor": lea, "reason": "moved away"}


@pytest.mark.parametrize("held", [False, True])
def test_nobody_leaves_while_the_fund_has_units_or_money_of_his(
    small: SmallFund, lea: Actor, held: bool
):
    small.subscribe("ann", "1000", before=FEBRUARY)
    small.subscribe("bob", "1000", before=FEBRUARY)
    assert refused(move_case, **end(small, lea)) == "still_holds"
    small.strike(FEBRUARY)
    out = small.redeem("ann", None, before=MARCH)
    given = end(small, lea, held=held)
    assert refused(move_case, **given) == "still_holds"
    small.strike(MARCH)
    out.refresh_from_db()
    assert out.state == "payable"
    assert refused(move_case, **given) == "still_holds"
    nobody = end(small, lea, name="cay", held=held)
    assert move_case(**nobody).kyc_state == "exited"


@pytest.mark.parametrize("state", ["approved", "due_for_refresh", "review"])
def test_a_hit_holds_payments_in_every_state_of_the_file(small: SmallFund, lea: Actor, state: str):
    small.subscribe("ann", "1000", before=FEBRUARY)
    small.subscribe("bob", "1000", before=FEBRUARY)
    small.strike(FEBRUARY)
    order = small.redeem("ann", "5", before=MARCH)
    small.strike(MARCH)
    payee: PayeeAccount = add_payee(
        fund=small.fund, investor=small.investor("ann"), kind="bank", name="Ann",
        number="CH9300762011623852957", currency="USD", evidence="called back",
        actor=small.maker,
    )  # fmt: skip
    payee = approve_payee(payee=payee, actor=small.checker)
    given: dict[str, Any] = {"order": order, "payee": payee, "actor": small.maker}
    ann = small.investor("ann")
    Investor.objects.filter(pk=ann.pk).update(kyc_state=state)
    hit = record_screening(
        investor=ann, party="Ann", kind="sanctions", list_name="OFAC", list_version="1",
        match="Ann", match_id="7", score=1.0, actor=Actor.system("screening"),
    )  # fmt: skip
    assert refused(prepare_proceeds, **given) == "on_hold"
    decide_hit(hit=hit, is_same_person=True, reason="the same", actor=lea)
    assert refused(prepare_proceeds, **given) == "on_hold"
    ann.refresh_from_db()
    if ann.kyc_state == "review":
        other = record_screening(
            investor=ann, party="Ann", kind="sanctions", list_name="OFAC", list_version="2",
            actor=Actor.system("screening"),
        )  # fmt: skip
        assert other.outcome == "clear"
        assert prepare_proceeds(**given).amount == order_amount(order)


def order_amount(order: Any) -> Any:
    order.refresh_from_db()
    return order.dealt_amount
