"""What an order was dealt at is what its NAV dealt: nobody writes it before, after or beside it."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from copy import deepcopy
from decimal import Decimal
from typing import Any

import pytest
from django.db import DatabaseError

from investors.models import DealingOrder
from investors.services import nav_orders
from investors.services.distributions import decide_distribution
from investors.services.nav import approve_strike
from investors.tests.fund_support import SmallFund, first_of, make_fund
from magnetfund.core.bulk import update_rows
from magnetfund.core.services.signing import DISTRIBUTION, NAV
from magnetfund.tests.test_decision_walls import checker_of, distribution
from magnetfund.tests.test_money_walls import ROLES, attack
from magnetfund.tests.walls_support import say_kind, write_signature

FIRST, SECOND = first_of(2025, 2), first_of(2026, 1)
Step = tuple[str, tuple[Any, ...]]


def tell() -> SmallFund:
    """Ann holds 10 units, asks for 4 back; Bob holds 30; a production."""
    fund = make_fund("main")
    for at in (FIRST, SECOND):
        fund.day(at)
    fund.subscribe("ann", "1000", before=FIRST)
    fund.subscribe("bob", "3000", before=FIRST)
    fund.strike(FIRST)
    fund.redeem("ann", "4", before=SECOND)
    return fund


@pytest.fixture(scope="module")
def story() -> Callable[[], SmallFund]:
    return tell


@pytest.fixture
def small(fresh_database: Any, told: Any) -> SmallFund:
    say_kind(fresh_database, "production")
    return deepcopy(told.value)


def put(order: uuid.UUID, **figures: str) -> Step:
    changes = ", ".join(f"{name} = %s" for name in figures)
    return f"UPDATE investors_dealingorder SET {changes} WHERE id = %s", (*figures.values(), order)


def begun(holder: uuid.UUID, **given: Any) -> Step:
    """An order like the first one, of another holder and with other figures."""
    columns = [field.column for field in DealingOrder._meta.concrete_fields]
    empty = {"strike_id": None, "dealing_day_id": None, "dealt_units": None, "dealt_price": None}
    values = {"id": uuid.uuid4(), "investor_id": holder, **empty, **given}
    marks = ", ".join("%s" if column in values else f"o.{column}" for column in columns)
    return (
        f"INSERT INTO investors_dealingorder ({', '.join(columns)}) SELECT {marks} "
        "FROM investors_dealingorder o WHERE o.kind = 'redemption' LIMIT 1",
        tuple(values[column] for column in columns if column in values),
    )


@pytest.mark.parametrize("role", ROLES)
def test_no_role_writes_what_an_order_was_dealt_at(
    small: SmallFund, fresh_database: Any, role: str
):
    order = DealingOrder.objects.get(kind="redemption")
    ann = small.investor("ann").pk
    early = put(order.pk, dealt_amount="1000000", state="payable")
    born = begun(ann, dealt_amount="1000000", state="submitted")
    for step in (early, born):
        assert attack(fresh_database, role, step) != ""
    if role != "fa_app":
        return
    assert "dealt at is fixed" in attack(fresh_database, role, early)
    assert "begins without what it is dealt at" in attack(fresh_database, role, born)
    strike = small.prepare(SECOND)
    write_signature(fresh_database, NAV, strike.pk, checker_of(small))
    approve_strike(strike=strike, seen_hash=strike.result_hash, actor=small.checker)
    order.refresh_from_db()
    assert (order.state, order.dealt_units) == ("payable", Decimal(4))
    for figures in (
        {"dealt_amount": "1000000"}, {"dealt_units": "40"}, {"dealt_price": "1"},
        {"fee_amount": "-5"}, {"into_units": "40"}, {"strike_id": None},
    ):  # fmt: skip
        said = attack(fresh_database, role, put(order.pk, **figures))
        assert "dealt at is fixed" in said, (figures, said)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("dealt_amount", Decimal(1_000_000)),
        ("dealt_amount", Decimal(1)),
        ("dealt_units", Decimal(3)),
        ("dealt_price", Decimal(1)),
        ("fee_amount", Decimal(300)),
        ("into_units", Decimal(5)),
        ("strike_id", None),
    ],
)
def test_nothing_else_is_dealt_than_what_moved(
    small: SmallFund, fresh_database: Any, monkeypatch: pytest.MonkeyPatch, column: str, value: Any
):
    """The thief changes one figure of ann's order in the transaction of the signed NAV."""
    strike = small.prepare(SECOND)
    write_signature(fresh_database, NAV, strike.pk, checker_of(small))
    order = DealingOrder.objects.get(kind="redemption")

    def tamper(model: Any, columns: tuple[str, ...], rows: list[tuple[Any, ...]]) -> None:
        changed = [
            (pk, *(value if (pk, name) == (order.pk, column) else given
                   for name, given in zip(columns, figures, strict=True)))
            for pk, *figures in rows
        ]  # fmt: skip
        update_rows(model, columns, changed)

    monkeypatch.setattr(nav_orders, "update_rows", tamper)
    with pytest.raises(DatabaseError, match=r"not dealt as its units moved|another NAV|_into"):
        approve_strike(strike=strike, seen_hash=strike.result_hash, actor=small.checker)
    monkeypatch.undo()
    approve_strike(strike=strike, seen_hash=strike.result_hash, actor=small.checker)
    order.refresh_from_db()
    assert (order.dealt_amount, order.strike_id) == (Decimal(400), strike.pk)


def test_no_other_order_takes_money_while_a_nav_is_dealt(
    small: SmallFund, fresh_database: Any, monkeypatch: pytest.MonkeyPatch
):
    """Bob's order of the NAV before, beside ann's of this one."""
    strike = small.prepare(SECOND)
    write_signature(fresh_database, NAV, strike.pk, checker_of(small))
    settled = DealingOrder.objects.get(kind="subscription", investor=small.investor("bob"))

    def add(model: Any, columns: Any, rows: Any) -> None:
        update_rows(model, columns, rows)
        DealingOrder.objects.filter(pk=settled.pk).update(dealt_amount=1_000_000, state="payable")

    monkeypatch.setattr(nav_orders, "update_rows", add)
    with pytest.raises(DatabaseError, match="another NAV"):
        approve_strike(strike=strike, seen_hash=strike.result_hash, actor=small.checker)


def test_a_distribution_is_owed_as_it_was_decided(small: SmallFund, fresh_database: Any):
    say_kind(fresh_database, "test")
    small.strike(SECOND)
    say_kind(fresh_database, "production")
    row, bob = distribution(small), small.investor("bob").pk
    write_signature(fresh_database, DISTRIBUTION, row.pk, checker_of(small))
    decided: Step = (
        "UPDATE investors_distribution SET decided_by_id = %s, decided_at = now(), "
        "is_approved = true, total = 90, lowers_marks_by = 2.5 WHERE id = %s",
        (checker_of(small).pk, row.pk),
    )
    more = begun(
        bob, kind="distribution", state="payable", distribution_id=row.pk, units=None,
        is_all=False, amount=Decimal(75), dealt_amount=Decimal(75_000),
    )  # fmt: skip
    said = attack(fresh_database, "fa_app", decided, more)
    assert "begins without what it is dealt at" in said
    decide_distribution(distribution=row, is_approved=True, actor=small.checker)
    order = DealingOrder.objects.get(distribution=row, investor=bob)
    assert order.dealt_amount == Decimal(75)
    said = attack(fresh_database, "fa_app", put(order.pk, dealt_amount="75000"))
    assert "dealt at is fixed" in said
