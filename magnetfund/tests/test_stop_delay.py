"""Nobody delays a stop: whatever another session holds, it is in force at once and stays so."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from io import StringIO
from typing import Any

import psycopg
import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction

from magnetfund.core import stop_line
from magnetfund.core.actors import Actor
from magnetfund.core.models import AuditEvent, User
from magnetfund.core.roles import Role
from magnetfund.tests.walls_support import (
    arm_fuse,
    hold_position,
    insert_order,
    make_engine_ready,
    make_instrument,
    make_order,
    make_user,
    order_values,
)
from risk.models import FuseBarrier, FuseReset, FuseStopReset
from risk.services.fuse import disarm_fuse, state_of
from risk.services.fuse_reset import propose_reset
from risk.services.stop import stop_trading
from risk.services.stop_audit import chain_stops, stops_without_line
from trading.models import Order, Reconciliation

pytestmark = pytest.mark.usefixtures("as_gateway")
#: Seconds. The holds below never end by themselves, so a stop that waits for one meets no bound;
#: how long a free one takes (some milliseconds) is the matter of the drill and of the benches.
VISIBLE = 3.0
#: The barrier's own bound, with the sessions that it ends.
RETURNED = 8.0

KEYS = ("7001, hashtext('main')", "7002, hashtext('audit:main')", "7004, hashtext('main/fund')")
ADVISORY = [
    f"SELECT {form}({keys})"
    for form in ("pg_advisory_lock", "pg_advisory_xact_lock", "pg_advisory_xact_lock_shared")
    for keys in KEYS
]
HOLDS: dict[str, tuple[str, list[str]]] = {
    "audit line": (
        "fa_app",
        [
            "INSERT INTO core_auditevent (chain, occurred_at, actor_label, action, subject_type, "
            "subject_id, body, trace_id) VALUES ('main', now(), 'x', 'x', '', '', '{}', '')"
        ],
    ),
    "advisory locks of the application": ("fa_app", ADVISORY),
    "advisory locks of the gateway": ("fa_gateway", ADVISORY),
    "every account": ("fa_app", ["SELECT 1 FROM core_user FOR UPDATE"]),
    "another stop left open": (
        "fa_app",
        [
            "SELECT risk_stop_fund('other', 'tripped', 'x', '', NULL, 'x', NULL, NULL, NULL, "
            "NULL, '', NULL, NULL)"
        ],
    ),
    "the barrier left open": ("fa_gateway", ["SELECT risk_fuse_barrier('main')"]),
    "events locked as far as allowed": (
        "fa_app",
        ["LOCK TABLE risk_fuseevent IN ROW EXCLUSIVE MODE"],
    ),
}


@pytest.fixture
def ann() -> User:
    ann, ben = make_user("ann", Role.RISK_OFFICER), make_user("ben", Role.RISK_OFFICER)
    arm_fuse(ann, ben)
    make_engine_ready()
    return ann


@pytest.fixture
def held_line(fresh_database: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(settings, "DATABASE_STOP_URL", fresh_database.dsn("fa_stop", "fresh"))
    stop_line.hold_open()
    yield
    stop_line.let_go()


def session(cluster: Any, role: str) -> psycopg.Connection[Any]:
    return psycopg.connect(cluster.dsn(role, "fresh"))


def stop_and_time(actor: Actor) -> tuple[float, float]:
    """Seconds until the stop is visible to others, and until the call returned."""
    seen: list[float] = []
    began = time.perf_counter()

    def look() -> None:
        try:
            while not seen:
                if state_of("main") == "TRIPPED":
                    seen.append(time.perf_counter() - began)
                time.sleep(0.002)
        finally:
            connection.close()

    watcher = threading.Thread(target=look)
    watcher.start()
    event = stop_trading(book="main", reason="a drill", actor=actor)
    took = time.perf_counter() - began
    watcher.join(5)
    assert event.measured["barrier_passed"]
    return seen[0], took


@pytest.mark.parametrize("hold", HOLDS)
def test_a_stop_waits_for_no_lock_that_others_hold(
    fresh_database: Any, ann: User, held_line: None, hold: str
):
    role, statements = HOLDS[hold]
    holder = session(fresh_database, role)
    for statement in statements:
        holder.execute(statement.encode())
    visible, returned = stop_and_time(Actor.of(ann))
    holder.close()
    assert visible < VISIBLE
    assert returned < RETURNED


@pytest.mark.parametrize("role", ["fa_app", "fa_gateway"])
def test_an_order_that_never_commits_is_ended_with_its_session(
    fresh_database: Any, ann: User, held_line: None, role: str
):
    holder = session(fresh_database, role)
    insert_order(holder, make_instrument())
    holder.execute("SET statement_timeout = 0")
    holder.execute("SET idle_in_transaction_session_timeout = 0")
    visible, returned = stop_and_time(Actor.of(ann))
    assert visible < VISIBLE
    assert returned < RETURNED
    with pytest.raises(psycopg.OperationalError):
        holder.commit()
    assert Order.objects.count() == 0
    barrier = FuseBarrier.objects.get()
    assert [(one["role"], one["ended"]) for one in barrier.ended] == [(role, True)]


def test_closing_goes_on_while_locks_are_held(fresh_database: Any, ann: User, held_line: None):
    instrument = make_instrument()
    hold_position(instrument)
    with session(fresh_database, "fa_app") as holder:
        for statement in [*ADVISORY, "SELECT 1 FROM core_user FOR UPDATE"]:
            holder.execute(statement)
        stop_and_time(Actor.of(ann))
        began = time.perf_counter()
        make_order(instrument, side="sell", purpose="fuse")
        assert time.perf_counter() - began < VISIBLE


def test_a_stop_goes_on_without_the_held_session(fresh_database: Any, ann: User, held_line: None):
    with psycopg.connect(fresh_database.dsn("postgres", "fresh"), autocommit=True) as superuser:
        superuser.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'fa_stop'"
        )
    visible, _ = stop_and_time(Actor.of(ann))
    assert visible < VISIBLE


def test_no_later_row_hides_a_stop(ann: User):
    """A stop that commits while two people arm stays in force, also one that began earlier."""
    ben = User.objects.get(email="ben@example.com")
    stop_trading(book="main", reason="first", actor=Actor.of(ann))
    run = Reconciliation.objects.create(is_clean=True)
    reset = propose_reset(
        book="main", reason="over", reconciliation=str(run.pk), actor=Actor.of(ann)
    )
    stop_trading(book="main", reason="second", actor=Actor.system("test"))
    from risk.services.fuse_reset import approve_reset

    with pytest.raises(Exception, match="stopped again since this request"):
        approve_reset(reset=reset, actor=Actor.of(ben))
    assert state_of("main") == "TRIPPED"
    assert FuseReset.objects.get(pk=reset.pk).approved_at is None


def test_a_stop_that_commits_during_the_arming_stays(fresh_database: Any, ann: User):
    ben = User.objects.get(email="ben@example.com")
    stop_trading(book="main", reason="first", actor=Actor.of(ann))
    with session(fresh_database, "fa_stop") as stop:
        stop.execute(
            "SELECT risk_stop_fund('main', 'tripped', 'late', '', NULL, 'x', NULL, NULL, NULL, "
            "NULL, '', NULL, NULL)"
        )
        from magnetfund.kernel.clock import utc_now

        arm_fuse(ann, ben, at=utc_now())
        assert state_of("main") == "ARMED"
        stop.commit()
    assert state_of("main") == "TRIPPED"


def test_disarming_is_a_stop_and_needs_two_people_to_end(ann: User):
    disarm_fuse(book="main", reason="a pause", actor=Actor.of(ann))
    assert state_of("main") == "DISARMED"
    assert FuseStopReset.objects.count() == 0
    from magnetfund.kernel.clock import utc_now

    arm_fuse(ann, User.objects.get(email="ben@example.com"), at=utc_now())
    assert state_of("main") == "ARMED"
    assert FuseStopReset.objects.count() == 1


def test_the_audit_line_follows_once_and_its_absence_is_seen(ann: User):
    from datetime import timedelta

    from magnetfund.kernel.clock import utc_now

    stop_trading(book="main", reason="a drill", actor=Actor.of(ann))
    assert len(stops_without_line(before=utc_now() + timedelta(seconds=1))) == 1
    assert chain_stops() == 1
    assert chain_stops() == 0
    line = AuditEvent.objects.get(action="fuse.tripped")
    assert (line.actor, line.body["reason"]) == (ann, "a drill")


REFUSED: dict[str, str] = {
    "lock the latch": "SELECT 1 FROM risk_fuselatch FOR UPDATE",
    "read the latch": "SELECT 1 FROM risk_fuselatch",
    "lock the latch's table": "LOCK TABLE risk_fuselatch IN ACCESS SHARE MODE",
    "lock the events": "LOCK TABLE risk_fuseevent IN SHARE MODE",
    "end a stop": "INSERT INTO risk_fusestopreset SELECT gen_random_uuid(), now(), "
    "gen_random_uuid()",
    "forget a stop": "DELETE FROM risk_fuseevent",
    "name stops that nobody saw": "UPDATE risk_fusereset SET stops = '{}'",
    "forge a barrier": "INSERT INTO risk_fusebarrier (book, has_passed, waited_ms, ended, "
    "recorded_at) VALUES ('main', true, 0, '[]', now())",
    "replace the state": "CREATE OR REPLACE FUNCTION public.risk_fuse_state(p_book text, "
    "p_scope text) RETURNS text LANGUAGE sql AS $$ SELECT 'ARMED' $$",
    "lift a connection limit": "ALTER ROLE CURRENT_USER CONNECTION LIMIT -1",
}


@pytest.mark.parametrize("role", ["fa_app", "fa_gateway", "fa_stop", "fa_watchdog", "fa_auditor"])
@pytest.mark.parametrize("attack", REFUSED)
def test_no_role_reaches_what_a_stop_rests_on(fresh_database: Any, role: str, attack: str):
    with session(fresh_database, role) as attacker, pytest.raises(psycopg.Error) as refused:
        attacker.execute(REFUSED[attack].encode())
    assert refused.value.sqlstate == "42501"


def test_the_stop_role_can_stop_and_nothing_else(fresh_database: Any, ann: User):
    with session(fresh_database, "fa_stop") as stop:
        for table in ("core_auditevent", "trading_order", "risk_fusetransition", "investors_entry"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege), stop.transaction():
                stop.execute(f"SELECT 1 FROM {table}".encode())
        row = stop.execute("SELECT risk_fuse_state('main', 'fund')").fetchone()
        assert row == ("ARMED",)


def test_the_mutant_that_reads_the_newest_row_would_lose_a_stop(fresh_database: Any, ann: User):
    """Without the naming of stops, an arming that committed later would hide an earlier one."""
    ben = User.objects.get(email="ben@example.com")
    with psycopg.connect(fresh_database.dsn("postgres", "fresh"), autocommit=True) as superuser:
        body = superuser.execute("SELECT pg_get_functiondef('risk_open_stops'::regproc)").fetchone()
        assert body is not None
        weak = body[0].replace(
            "WHERE r.event_id = e.id)",
            "WHERE r.recorded_at > e.recorded_at)",
        )
        assert weak != body[0]
        superuser.execute(weak)
    stop_trading(book="main", reason="first", actor=Actor.of(ann))
    with session(fresh_database, "fa_stop") as stop:
        stop.execute(
            "SELECT risk_stop_fund('main', 'tripped', 'late', '', NULL, 'x', NULL, NULL, NULL, "
            "NULL, '', NULL, NULL)"
        )
        from magnetfund.kernel.clock import utc_now

        arm_fuse(ann, ben, at=utc_now())
        stop.commit()
    assert state_of("main") == "ARMED"  # the weakened state lost it


def test_an_order_that_waits_for_the_latch_sees_the_stop(fresh_database: Any, ann: User):
    """The gate reads the fuse again once it has the latch."""
    values = order_values(make_instrument())
    refused: list[str] = []
    with session(fresh_database, "fa_owner") as owner:
        owner.execute("SELECT 1 FROM risk_fuselatch FOR UPDATE")

        def order() -> None:
            try:
                with transaction.atomic():
                    Order.objects.create(**values)
            except DatabaseError as error:
                refused.append(str(error))
            finally:
                connection.close()

        writer = threading.Thread(target=order)
        writer.start()
        time.sleep(0.3)
        with session(fresh_database, "fa_stop") as stop:
            stop.execute(
                "SELECT risk_stop_fund('main', 'tripped', 'x', '', NULL, 'x', NULL, NULL, NULL, "
                "NULL, '', NULL, NULL)"
            )
        owner.rollback()
        writer.join(5)
    assert "the fuse is TRIPPED" in refused[0]


def stop_by_command(**options: Any) -> dict[str, Any]:
    out = StringIO()
    call_command("stop", reason="from a shell", json=True, stdout=out, **options)
    return dict(json.loads(out.getvalue().strip().splitlines()[-1]))


def test_the_command_stops_over_the_stops_own_role_alone(
    fresh_database: Any, ann: User, held_line: None
):
    make_user("sam", Role.RISK_OFFICER, is_staff=True)
    plain = dict(connection.settings_dict)
    connection.close()
    # Whatever it asked over the ordinary connection, this role would be refused.
    connection.settings_dict.update(USER="fa_signer", PASSWORD=fresh_database.secrets["fa_signer"])
    try:
        said = stop_by_command(by="sam@example.com")
    finally:
        connection.close()
        connection.settings_dict.update(plain)
    assert (said["positions_closed"], said["positions_left"]) == (0, 0)
    assert said["barrier"]["barrier_passed"]
    assert state_of("main") == "TRIPPED"


@pytest.mark.parametrize("by", ["nobody@example.com", "ivy@example.com"])
def test_the_command_asks_who_stops(ann: User, by: str):
    make_user("ivy", Role.AUDITOR, is_staff=True)
    with pytest.raises(CommandError):
        stop_by_command(by=by)
    assert state_of("main") == "ARMED"
