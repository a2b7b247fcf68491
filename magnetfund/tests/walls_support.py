"""Rows that the tests of the database's walls need, written as the run-time roles would."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import psycopg
from django.db import connection

from magnetfund.core.actors import Actor
from magnetfund.core.models import RoleGrant, User
from magnetfund.core.roles import Role
from magnetfund.kernel.clock import utc_now
from risk.domain.limits import Limits, figures_of
from risk.domain.pretrade import Side
from risk.models import FuseEvent, FuseReset, PreTradeCheck
from risk.services.limits import approve_limits, propose_limits
from trading.domain.orders import OrderAcknowledged, OrderClaimed
from trading.models import EngineTransition, Instrument, Order, Reconciliation
from trading.services.fills import record_fill
from trading.services.orders import record_events
from trading.venues.execution import VenueFill

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def make_user(name: str, *roles: Role, **extra: Any) -> User:
    user = User.objects.create_user(f"{name}@example.com", name=name.title(), **extra)
    for role in roles:
        RoleGrant.objects.create(user=user, role=role)
    return user


def make_instrument(
    symbol: str = "BTC/USDT:USDT", venue: str = "sim", *, settle: str = "USDT"
) -> Instrument:
    return Instrument.objects.create(
        venue=venue,
        symbol=symbol,
        kind="linear_perpetual",
        base="BTC",
        quote=settle,
        settle=settle,
        tick=Decimal("0.1"),
        lot=Decimal("0.001"),
        minimum_notional=Decimal(5),
        taker_fee=Decimal("0.0005"),
        maintenance_tiers=[["inf", "0.004"]],
        gap_floor=Decimal("0.25"),
        metadata_source="test",
        metadata_at=NOON,
    )


def say_kind(cluster: Any, kind: str, database: str = "fresh") -> None:
    """What ``prepare`` says of a database, once; the suite's own says that it is the suite's."""
    with psycopg.connect(cluster.dsn("postgres", database), autocommit=True) as session:
        session.execute("TRUNCATE risk_wallinstance")
        session.execute("INSERT INTO risk_wallinstance VALUES (1, %s, 'main', now())", [kind])


def wait_for_waiter(cluster: Any, database: str = "fresh") -> None:
    """Return once a session of ``database`` waits for a lock, within half a minute."""
    deadline = time.monotonic() + 30
    with psycopg.connect(cluster.dsn("postgres", database), autocommit=True) as session:
        while not session.execute(
            "SELECT 1 FROM pg_stat_activity "
            "WHERE datname = current_database() AND wait_event_type = 'Lock'"
        ).fetchone():
            assert time.monotonic() < deadline, "no session waits for a lock"
            time.sleep(0.02)


def trader_alias() -> str:
    """The connection that is signed in as the trader's role."""
    user = connection.settings_dict["USER"]
    return "default" if user == "fa_gateway" else "gateway"


def reconcile_books(
    book: str = "main", *, is_clean: bool = True, at: datetime | None = None
) -> Reconciliation:
    """A comparison of books and venue, as the trader keeps it."""
    return Reconciliation.objects.using(trader_alias()).create(
        book=book, is_clean=is_clean, occurred_at=at or utc_now()
    )


def make_engine_ready(book: str = "main") -> EngineTransition:
    run = reconcile_books(book)
    return EngineTransition.objects.using(trader_alias()).create(
        book=book, state="READY", reconciliation=run, actor_label="test"
    )


def arm_fuse(
    proposer: User,
    approver: User,
    book: str = "main",
    at: datetime = NOON,
    *,
    director: User | None = None,
    reconciliation: str | None = None,
    trigger: str = "",
    sign: Callable[[FuseReset], None] | None = None,
) -> None:
    """Arm the fund as two risk officers do it, on a clean reconciliation of that moment.

    The suite's database takes invented signatures; ``sign`` makes those that another one asks for.
    """
    if reconciliation is None:
        reconciliation = str(reconcile_books(book, at=at).pk)
    reset = FuseReset.objects.create(
        book=book,
        reason="start of trading",
        reconciliation=reconciliation,
        proposed_by=proposer,
        trigger=trigger,
    )
    if sign is not None:
        sign(reset)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT risk_arm_fund(%s, %s, %s, 'test', %s)",
            [reset.pk, approver.pk, director and director.pk, at],
        )


def trip_fuse(book: str = "main", trigger: str = "manual", at: datetime = NOON) -> FuseEvent:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT event_id FROM risk_stop_fund(%s, 'tripped', %s, '', NULL, 'test', %s, NULL, "
            "NULL, NULL, '', NULL, NULL)",
            [book, trigger, at],
        )
        (event_id,) = cursor.fetchone()
    return FuseEvent.objects.get(pk=event_id)


def hold_position(instrument: Instrument, quantity: Decimal = Decimal(1)) -> None:
    """A position of the sleeve "trend" with the entry and the fill that made it, at 100."""
    order = make_order(instrument, quantity=quantity)
    claimed = record_events(order, OrderClaimed(at=utc_now()))
    record_events(claimed, OrderAcknowledged(at=utc_now(), venue_order_id=f"v{order.pk}"))
    report = VenueFill(
        number=1,
        trade_id=f"t{order.pk}",
        client_order_id=order.client_order_id,
        account=order.strategy,
        symbol=instrument.symbol,
        side=Side(order.side),
        quantity=quantity,
        price=Decimal(100),
        fee=Decimal(0),
        occurred_at=utc_now(),
    )
    record_fill(Order.objects.get(pk=order.pk), report)


def order_values(instrument: Instrument, **changes: Any) -> dict[str, Any]:
    """Column values of an entry with an accepted pre-trade check behind it."""
    order_id = changes.pop("id", uuid.uuid4())
    quantity = changes.pop("quantity", Decimal(1))
    check = PreTradeCheck.objects.create(
        order_id=order_id,
        instrument=instrument.symbol,
        side=changes.get("side", "buy"),
        quantity=quantity,
        notional=Decimal(100),
        accepted=True,
        limits_version=1,
    )
    return {
        "id": order_id,
        "client_order_id": uuid.uuid4().hex,
        "instrument": instrument,
        "strategy": "trend",
        "purpose": "entry",
        "side": "buy",
        "type": "market",
        "quantity": quantity,
        "reference_price": Decimal(100),
        "pretrade_check": check.id,
        "actor_label": "test",
        **changes,
    }


def insert_order(session: psycopg.Connection[Any], instrument: Instrument) -> None:
    """An entry, inserted by a session that has yet to commit."""
    order = Order(**order_values(instrument))
    fields = Order._meta.concrete_fields
    columns = ", ".join(field.column for field in fields)
    row = [field.get_db_prep_save(field.pre_save(order, add=True), connection) for field in fields]
    marks = ", ".join(["%s"] * len(row))
    session.execute(f"INSERT INTO trading_order ({columns}) VALUES ({marks})".encode(), row)


def make_order(instrument: Instrument, **changes: Any) -> Order:
    return Order.objects.create(**order_values(instrument, **changes))


def sign_limits(limits: Limits, *, at: datetime, book: str = "main") -> None:
    """Two officers put a set in force for a book from an instant on."""
    ann, ben = (
        User.objects.filter(email=f"{name}@example.com").first()
        or make_user(name, Role.RISK_OFFICER)
        for name in ("ann", "ben")
    )
    proposal = propose_limits(
        book=book, figures=figures_of(limits=limits), reason="calmer", effective_from=at,
        actor=Actor.of(ann),
    )  # fmt: skip
    approve_limits(proposal=proposal, seen_hash=proposal.content_hash, actor=Actor.of(ben))


def write_signature(cluster: Any, action: str, subject: uuid.UUID, user: User) -> None:
    """A true signature over the words as they are, as the signer's process would have left it."""
    with psycopg.connect(cluster.dsn("postgres", "fresh"), autocommit=True) as session:
        session.execute(
            "INSERT INTO core_signature (id, action, subject, account, person, method, content, "
            "nonce, public_key, client_data, authenticator_data, signature, origin, signed_at) "
            "VALUES (gen_random_uuid(), %s, %s, %s, %s, 'code', authority_content(%s, %s), "
            "decode(md5(random()::text), 'hex'), '', '', '', '', '', now())",
            (action, subject, user.pk, user.person, action, subject),
        )
