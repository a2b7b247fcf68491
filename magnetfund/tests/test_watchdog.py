"""The watchdog: every silence found within 15 s, by its own clock, whatever others say or hold."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from magnetfund.core.models import AuditEvent, Heartbeat
from magnetfund.core.roles import Role
from magnetfund.core.services.jobs import beat_heart
from magnetfund.kernel.clock import utc_now
from magnetfund.operations.watchdog import Look, Orders, Watchdog, WatchMemory, judge
from magnetfund.tests.walls_support import (
    arm_fuse,
    hold_position,
    make_engine_ready,
    make_instrument,
    make_user,
)
from risk.services.fuse import state_of
from trading.models import EngineTransition
from trading.services.engine import (
    chain_watchdog_stops,
    engine_state_of,
    waits_for_comparison,
)

STEP = 0.5
BARE = ("BTC/USDT:USDT trend",)


def sight(second: float, **changes: Any) -> Look:
    """A look at a trader that beats once a second."""
    beat = str(int(second))
    return Look(
        **{
            "beat_at": beat, "price_at": beat, "equity": "430000.00", "engine": "READY",
            "fuse": "ARMED", "open_positions": 1, **changes,
        }
    )  # fmt: skip


def run(seconds: float, *looks: Any) -> tuple[Orders, float]:
    """Look twice a second from 0; the first orders that do something, and when they came."""
    memory, now = WatchMemory.start(0.0), 0.0
    while now < seconds:
        memory, orders = judge(memory, looks[0](now), now)
        if orders.stop_engine or orders.trip:
            return orders, now
        now += STEP
    return Orders(), now


class TestJudgement:
    def test_a_trader_that_beats_is_left_alone(self):
        assert run(600, sight) == (Orders(), 600)

    def test_a_silent_trader_is_found_within_fifteen_seconds(self):
        orders, at = run(100, lambda now: sight(min(now, 20)))
        assert "no heartbeat" in orders.stop_engine
        assert 20 < at < 35

    @pytest.mark.parametrize("step", [3600.0, -3600.0, 6.0, -6.0])
    def test_a_beat_of_another_time_is_silence(self, step: float):
        orders, at = run(100, lambda now: sight(now, ahead_s=step if now > 20 else 0.0))
        assert "no heartbeat" in orders.stop_engine
        assert 20 < at < 35

    def test_one_beat_from_the_future_does_not_hide_the_silence_after_it(self):
        orders, at = run(
            9000, lambda now: sight(min(now, 20), ahead_s=3600.0 - now if now > 20 else 0.0)
        )
        assert "no heartbeat" in orders.stop_engine
        assert at < 35

    def test_prices_that_stand_still_are_found(self):
        orders, at = run(100, lambda now: sight(now, price_at=str(int(min(now, 20)))))
        assert "prices are" in orders.stop_engine
        assert at < 35

    @pytest.mark.parametrize("value", [None, "", "NaN", "Infinity", "lost"])
    def test_equity_that_is_missing_trips_while_a_position_is_open(self, value: Any):
        orders, at = run(100, lambda now: sight(now, equity=value if now > 20 else "1"))
        assert orders.trip == "stale_equity"
        assert at < 35

    def test_a_trader_that_starts_late_trips_nothing(self):
        """A slow machine, an armed fund that holds something: its first beats know no equity."""

        def starting(now: float) -> Look:
            if now < 20:
                return sight(0, engine="STOPPED")
            if now < 35:
                return sight(now, engine="RECONCILING", equity=None, price_at="0")
            return sight(now)

        assert run(100, starting) == (Orders(), 100)

    def test_equity_is_due_once_the_trader_is_ready(self):
        orders, at = run(
            100,
            lambda now: sight(now, equity=None, engine="READY" if now > 20 else "RECONCILING"),
        )
        assert orders.trip == "stale_equity"
        assert 32 < at < 35

    @pytest.mark.parametrize("other", ["RECONCILING", "STOPPED"])
    def test_a_state_that_is_written_hides_no_missing_equity(self, other: str):
        """Whoever writes that the engine reconciles, again and again, gains a minute and a half."""
        orders, at = run(
            300, lambda now: sight(now, equity=None, engine="RECONCILING" if now % 7 < 5 else other)
        )
        assert orders.trip == "stale_equity"
        assert 90 < at < 105

    def test_a_start_that_failed_is_not_held_against_the_next(self):
        def failing(now: float) -> Look:
            if now < 30 or now >= 630:
                return sight(now, engine="RECONCILING", equity=None if now < 640 else "430000.00")
            return sight(29, engine="STOPPED", equity=None)

        assert run(700, failing) == (Orders(), 700)

    def test_a_position_without_a_stop_trips(self):
        orders, at = run(100, lambda now: sight(now, bare=BARE if now > 20 else ()))
        assert (orders.trip, orders.trip_reason) == (
            "unprotected",
            "No resting stop: BTC/USDT:USDT trend.",
        )
        assert at < 35

    def test_a_stop_that_is_replaced_does_not_trip(self):
        assert run(600, lambda now: sight(now, bare=BARE if now % 10 < 2 else ()))[0] == Orders()

    def test_a_database_that_does_not_answer_is_silence_too(self):
        orders, at = run(100, lambda now: sight(now) if now < 20 else None)
        assert "no heartbeat" in orders.stop_engine
        assert at < 35

    def test_a_stopped_engine_is_not_stopped_again(self):
        assert run(100, lambda now: sight(0, engine="STOPPED"))[0] == Orders()

    def test_jobs_are_late_after_four_periods(self):
        ages = {"housekeeping": 4.1 * 86400, "stop_audit": 39.0, "unknown": 1e9}
        _, orders = judge(WatchMemory.start(0.0), sight(0, job_ages=ages), 1.0)
        assert orders.late == ("housekeeping",)


@pytest.fixture
def dog(fresh_database: Any) -> Any:
    watchdog = Watchdog(dsn=fresh_database.dsn("fa_watchdog", "fresh"), book="main", build="test")
    yield watchdog
    watchdog.close()


@pytest.fixture
def armed(as_gateway: None) -> None:
    arm_fuse(make_user("ann", Role.RISK_OFFICER), make_user("ben", Role.RISK_OFFICER))
    make_engine_ready()


def age(dog: Watchdog, seconds: float) -> None:
    """Let so many seconds have passed since everything was well."""
    past = time.monotonic() - seconds
    dog.memory = WatchMemory(
        beat_at=dog.memory.beat_at, price_at=dog.memory.price_at,
        beat_changed=past, price_changed=past, equity_good=past,
        bare_since=dict.fromkeys(dog.memory.bare_since, past),
    )  # fmt: skip


def test_a_silent_trader_stops_the_engine_and_the_line_follows(armed: None, dog: Watchdog):
    beat_heart(part="trader", instance="main", price_at="1", equity="1")
    dog.turn()
    assert engine_state_of("main") == "READY"
    age(dog, 13)
    dog.turn()
    assert engine_state_of("main") == "STOPPED"
    assert waits_for_comparison("main")
    assert (chain_watchdog_stops(), chain_watchdog_stops()) == (1, 0)
    line = AuditEvent.objects.get(action="engine.stopped")
    assert (line.actor_label, line.body["book"]) == ("watchdog", "main")
    beat = Heartbeat.objects.get(part="watchdog")
    assert (beat.instance, beat.build_id) == ("main", "test")


@pytest.mark.parametrize("hours", [1, -1])
def test_a_stepped_clock_of_the_trader_stops_the_engine(armed: None, dog: Watchdog, hours: int):
    beat_heart(part="trader", instance="main", price_at="1", equity="1")
    dog.turn()
    age(dog, 13)
    Heartbeat.objects.filter(part="trader").update(seen_at=utc_now() + timedelta(hours=hours))
    dog.turn()
    assert engine_state_of("main") == "STOPPED"


def test_a_bare_position_trips_the_fuse(armed: None, dog: Watchdog):
    beat_heart(part="trader", instance="main", price_at="1", equity="1")
    hold_position(make_instrument())
    dog.turn()
    assert state_of("main") == "ARMED"
    age(dog, 9)
    beat_heart(part="trader", instance="main", price_at="2", equity="1")
    dog.turn()
    assert state_of("main") == "TRIPPED"


@pytest.mark.parametrize(
    "hold",
    [
        "LOCK TABLE core_heartbeat IN ACCESS EXCLUSIVE MODE",
        "LOCK TABLE core_jobrun IN ACCESS EXCLUSIVE MODE",
        "SELECT pg_advisory_xact_lock(7005, hashtext('main'))",
    ],
)
def test_who_blinds_the_watchdog_stops_the_engine(
    armed: None, dog: Watchdog, fresh_database: Any, hold: str
):
    dog.turn()
    with psycopg.connect(fresh_database.dsn("fa_app", "fresh")) as holder:
        holder.execute(hold.encode())
        age(dog, 13)
        began = time.monotonic()
        dog.turn()
        assert time.monotonic() - began < 10.0
    assert engine_state_of("main") == "STOPPED"


def test_sessions_in_the_way_of_a_stop_are_ended(armed: None, dog: Watchdog, fresh_database: Any):
    holder = psycopg.connect(fresh_database.dsn("fa_app", "fresh"))
    holder.execute("LOCK TABLE django_session IN ACCESS EXCLUSIVE MODE")
    was_read = threading.Event()

    def read() -> None:
        with psycopg.connect(fresh_database.dsn("fa_stop", "fresh")) as stop:
            stop.execute("SET lock_timeout = 0; SELECT count(*) FROM django_session")
            was_read.set()

    reader = threading.Thread(target=read)
    reader.start()
    deadline = time.monotonic() + 30
    while not was_read.wait(0.5):
        assert time.monotonic() < deadline, "the holder keeps its lock for ever"
        dog.turn()
    reader.join()
    with pytest.raises(psycopg.OperationalError):
        holder.execute("SELECT 1")


def test_the_watchdogs_role_can_do_what_it_must_and_nothing_else(armed: None, fresh_database: Any):
    with psycopg.connect(fresh_database.dsn("fa_watchdog", "fresh")) as session:
        for statement in (
            "SELECT 1 FROM core_heartbeat",
            "SELECT 1 FROM core_user",
            "INSERT INTO risk_fusetransition (book, scope, state, occurred_at, recorded_at) "
            "VALUES ('main', 'fund', 'ARMED', now(), now())",
            "INSERT INTO trading_enginetransition (book, state, reason, actor_label, occurred_at, "
            "recorded_at) VALUES ('main', 'READY', '', 'x', now(), now())",
            "DELETE FROM risk_fuseevent",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege), session.transaction():
                session.execute(statement.encode())
    for role in ("fa_app", "fa_gateway", "fa_stop", "fa_auditor"):
        with (
            psycopg.connect(fresh_database.dsn(role, "fresh")) as session,
            pytest.raises(psycopg.errors.InsufficientPrivilege),
        ):
            session.execute("SELECT watchdog_unblock('main')")
    assert EngineTransition.objects.count() == 1


def test_it_runs_without_django_or_redis():
    code = (
        "import sys, json; import magnetfund.operations.watchdog; "
        "print(json.dumps([m for m in ('django', 'redis', 'celery') if m in sys.modules]))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(said.stdout) == []
