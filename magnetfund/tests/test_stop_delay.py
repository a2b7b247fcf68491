"""Nobody delays a stop: whatever another session holds, it is in force at once and stays so."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from io import StringIO
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import DatabaseError, connection, transaction

from magnetfund.core import stop_line
from magnetfund.core.actors import Actor
from magnetfund.core.models import AuditEvent, User
from magnetfund.core.roles import Role
from magnetfund.operations import stop_by_command
from magnetfund.operations.roles import prepare_roles
from magnetfund.operations.servers.home import Home
from magnetfund.tests.walls_support import (
    arm_fuse,
    hold_position,
    insert_order,
    make_engine_ready,
    make_instrument,
    make_order,
    make_user,
    order_values,
    wait_for_waiter,
)
from risk.models import FuseBarrier, FuseEvent, FuseReset, FuseStopReset
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
    watcher.join(30)
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
        wait_for_waiter(fresh_database)
        with session(fresh_database, "fa_stop") as stop:
            stop.execute(
                "SELECT risk_stop_fund('main', 'tripped', 'x', '', NULL, 'x', NULL, NULL, NULL, "
                "NULL, '', NULL, NULL)"
            )
        owner.rollback()
        writer.join(30)
    assert "the fuse is TRIPPED" in refused[0]


SAM = ["--reason", "from a shell", "--by", "sam@example.com"]


@pytest.fixture
def roads(fresh_database: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a command finds in its environment: the stop's own role, then the trader's."""
    monkeypatch.setenv("DATABASE_STOP_URL", fresh_database.dsn("fa_stop", "fresh"))
    monkeypatch.setenv("DATABASE_URL", fresh_database.dsn("fa_gateway", "fresh"))


def test_the_command_stops_and_says_what_closed(ann: User, roads: None, capsys: Any):
    sam = make_user("sam", Role.RISK_OFFICER, is_staff=True)
    assert stop_by_command.main([*SAM, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["positions_closed"], said["positions_left"]) == (0, 0)
    assert said["barrier"]["barrier_passed"]
    assert state_of("main") == "TRIPPED"
    assert chain_stops() == 1
    line = AuditEvent.objects.get(action="fuse.tripped")
    assert (line.actor, line.actor_label, line.body["reason"]) == (
        sam, Actor.of(sam).label, "from a shell",
    )  # fmt: skip


def test_the_command_needs_the_stops_role_alone(
    ann: User, roads: None, monkeypatch: pytest.MonkeyPatch, capsys: Any
):
    make_user("sam", Role.RISK_OFFICER, is_staff=True)
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    assert stop_by_command.main(SAM) == 0
    assert "Book main is stopped. Positions closed: 0, still open: 0." in capsys.readouterr().out


def test_whoever_holds_every_session_of_the_stops_role_delays_no_command(
    fresh_database: Any, ann: User, roads: None
):
    make_user("sam", Role.RISK_OFFICER, is_staff=True)
    taken: list[psycopg.Connection[Any]] = []
    try:
        with suppress(psycopg.OperationalError):
            taken.extend(iter(lambda: session(fresh_database, "fa_stop"), None))
        assert 1 <= len(taken) <= 12
        began = time.perf_counter()
        assert stop_by_command.main(SAM) == 0
        assert time.perf_counter() - began < VISIBLE
    finally:
        for one in taken:
            one.close()
    assert state_of("main") == "TRIPPED"


SPOILT = {
    "read only": "SET default_transaction_read_only = on",
    "a path that finds nothing": "SET search_path = pg_temp",
    "a library that is not there": "SET local_preload_libraries = 'nothing'",
    "no time": "SET statement_timeout = '1ms'",
    "another password": "PASSWORD 'another'",
}


@pytest.fixture
def whole_role(fresh_database: Any) -> Iterator[None]:
    yield
    with psycopg.connect(fresh_database.dsn("postgres", "fresh"), autocommit=True) as superuser:
        prepare_roles(superuser, fresh_database.secrets)


@pytest.mark.parametrize("spoilt", SPOILT)
def test_whoever_holds_the_stops_role_spoils_no_later_session_of_it(
    fresh_database: Any, ann: User, roads: None, held_line: None, whole_role: None, spoilt: str
):
    make_user("sam", Role.RISK_OFFICER, is_staff=True)
    with session(fresh_database, "fa_stop") as thief:
        thief.execute(f"ALTER ROLE CURRENT_USER {SPOILT[spoilt]}".encode())
    stop_line.let_go()
    stop_line.hold_open()
    began = time.perf_counter()
    stop_trading(book="main", reason="by the trader", actor=Actor.system("test"))
    assert stop_by_command.main(SAM) == 0
    assert time.perf_counter() - began < RETURNED
    reasons = set(FuseEvent.objects.filter(kind="tripped").values_list("reason", flat=True))
    assert {"by the trader", "from a shell"} <= reasons


@pytest.mark.parametrize(
    ("by", "code"),
    [("nobody@example.com", "unknown_person"), ("ivy@example.com", "not_allowed")],
)
def test_the_command_asks_who_stops(ann: User, roads: None, capsys: Any, by: str, code: str):
    make_user("ivy", Role.AUDITOR, is_staff=True)
    assert stop_by_command.main(["--reason", "x", "--by", by]) == 1
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert f"({code})" in said.err
    assert state_of("main") == "ARMED"


def test_a_command_without_a_reason_stops_nothing(ann: User, roads: None, capsys: Any):
    assert stop_by_command.main(["--reason", " ", "--by", "ann@example.com"]) == 1
    assert "(reason_missing)" in capsys.readouterr().err
    assert state_of("main") == "ARMED"


def test_djangos_own_door_is_the_same_command(ann: User, roads: None):
    make_user("sam", Role.RISK_OFFICER, is_staff=True)
    out = StringIO()
    call_command("stop", reason="from a shell", by="sam@example.com", stdout=out)
    assert out.getvalue().startswith("Book main is stopped.")
    with pytest.raises(SystemExit):
        call_command("stop", reason="", by="sam@example.com", stderr=StringIO())


# ---- the command where no server answers ---------------------------------------------------------


def test_the_command_loads_no_django():
    code = (
        "import sys, magnetfund.operations.stop_by_command; "
        "print({m.split('.')[0] for m in sys.modules} & {'django', 'celery', 'numpy'})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


@pytest.fixture
def no_url(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DATABASE_URL", "DATABASE_STOP_URL"):
        monkeypatch.delenv(name, raising=False)


def test_a_folder_that_is_no_installation_is_named_and_stays_unmade(
    no_url: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
):
    monkeypatch.setenv("MAGNET_HOME", str(tmp_path / "typo"))
    assert stop_by_command.main(SAM) == 1
    assert f"there is no installation in {tmp_path / 'typo'}" in capsys.readouterr().err
    assert not (tmp_path / "typo").exists()


def test_a_home_at_rest_is_started_first_and_one_that_runs_is_waited_for(
    no_url: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
):
    home = Home(tmp_path / "home")
    home.secrets()
    monkeypatch.setenv("MAGNET_HOME", str(home.root))
    monkeypatch.setattr(stop_by_command, "REACH_SECONDS", 0.3)
    try:
        assert stop_by_command.main(SAM) is None
        with home.lock():
            assert stop_by_command.main(SAM) == 1
        assert "the database is not reachable" in capsys.readouterr().err
        assert stop_by_command.main(SAM) is None
    finally:
        home.sockets.rmdir()
