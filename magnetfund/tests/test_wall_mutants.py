"""Each wall is what holds: without it, the attack that it refuses succeeds."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from django.db import connection, transaction

from investors.models import Account, Entry, Fund, Posting
from magnetfund.core.actors import Actor
from magnetfund.core.models import AuditEvent
from magnetfund.core.roles import Role
from magnetfund.core.services.audit import record_audit
from magnetfund.tests.walls_support import (
    NOON,
    arm_fuse,
    make_engine_ready,
    make_instrument,
    make_user,
    order_values,
    trip_fuse,
)
from trading.models import Order, Valuation

pytestmark = pytest.mark.usefixtures("as_gateway")


def order_after_a_trip() -> None:
    instrument = make_instrument()
    arm_fuse(make_user("ann", Role.RISK_OFFICER), make_user("ben", Role.RISK_OFFICER))
    make_engine_ready()
    values = order_values(instrument)
    trip_fuse()
    Order.objects.create(**values)


def unbalanced_entry() -> None:
    fund = Fund.objects.create(code="MF", name="Fund", inception=NOON)
    account = Account.objects.create(code="1010", name="Bank", kind="asset")
    with transaction.atomic():
        entry = Entry.objects.create(
            fund=fund, kind="test", source_ref=str(uuid.uuid4()), effective_at=NOON,
            content_hash="x", created_by_label="test",
        )  # fmt: skip
        Posting.objects.create(entry=entry, account=account, currency="USD", amount=Decimal(1))


def rewritten_valuation() -> None:
    Valuation.objects.create(
        book="main", at=NOON, equity=1, cash=1, unit_value=1, peak_unit_value=1,
        day_start_unit_value=1,
    )  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute("UPDATE trading_valuation SET equity = 2")


def erased_audit_line() -> None:
    record_audit(actor=Actor.system("test"), action="test", subject=("test", "1"))
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM core_auditevent")
    assert AuditEvent.objects.count() == 0


MUTANTS: list[tuple[str, list[str], Callable[[], None]]] = [
    ("order gate", ["DROP TRIGGER fuse_gate ON trading_order"], order_after_a_trip),
    (
        "ledger balance",
        ["DROP TRIGGER ledger_balanced ON investors_entrybalance"],
        unbalanced_entry,
    ),
    (
        "append-only",
        [
            "DROP TRIGGER append_only_row ON trading_valuation",
            "GRANT UPDATE ON trading_valuation TO fa_gateway",
        ],
        rewritten_valuation,
    ),
    (
        "audit",
        [
            "DROP TRIGGER append_only_row ON core_auditevent",
            "GRANT DELETE ON core_auditevent TO fa_gateway",
        ],
        erased_audit_line,
    ),
]


@pytest.mark.parametrize(("name", "statements", "attack"), MUTANTS, ids=[m[0] for m in MUTANTS])
def test_the_attack_fails_with_the_wall_and_succeeds_without_it(
    fresh_database: Any, name: str, statements: list[str], attack: Callable[[], None]
):
    from django.db import DatabaseError

    def attack_at_once() -> None:
        attack()
        with connection.cursor() as cursor:  # deferred walls speak now
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")

    with pytest.raises(DatabaseError), transaction.atomic():
        attack_at_once()
    with psycopg.connect(fresh_database.dsn("postgres", "fresh"), autocommit=True) as superuser:
        for statement in statements:
            superuser.execute(statement)
    attack()
