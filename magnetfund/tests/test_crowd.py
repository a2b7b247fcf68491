"""A crowd takes no session from those who keep the fund safe, and Redis is missed by nobody."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from django.conf import settings
from django.core.cache import cache, caches
from django.db import connection, connections
from django.test import Client

from magnetfund.core import stop_line
from magnetfund.core.models import CachedCounter
from magnetfund.core.roles import Role
from magnetfund.tests.walls_support import arm_fuse, make_engine_ready, make_user
from risk.services.fuse import state_of

pytestmark = pytest.mark.usefixtures("fresh_database", "token_keys")
PASSWORD = "a long enough password"
POOL = 3


@pytest.fixture(autouse=True)
def _empty_cache() -> None:
    cache.clear()


def superuser(cluster: Any) -> psycopg.Connection[Any]:
    return psycopg.connect(cluster.dsn("postgres", "postgres"), autocommit=True)


@pytest.fixture
def pooled(fresh_database: Any) -> Iterator[None]:
    """The ordinary connection as the web has it: a small pool, given back after each request."""
    values = connections.settings["default"]
    before = {name: values.get(name) for name in ("OPTIONS", "CONN_MAX_AGE")}
    connection.close()
    values["CONN_MAX_AGE"] = 0
    values["OPTIONS"] = {
        **values["OPTIONS"],
        "pool": {"min_size": 1, "max_size": POOL, "timeout": 0.5, "max_waiting": 4},
    }
    yield
    connection.close()
    connection.close_pool()
    values.update(before)


def test_forty_clients_share_three_sessions_and_the_rest_come_back_later(
    fresh_database: Any, pooled: None
):
    most = 0
    done = threading.Event()

    def count() -> None:
        nonlocal most
        with superuser(fresh_database) as session:
            while not done.is_set():
                row = session.execute(
                    "SELECT count(*) FROM pg_stat_activity WHERE usename = 'fa_app'"
                ).fetchone()
                assert row is not None
                most = max(most, row[0])
                time.sleep(0.005)

    def visit(number: int) -> tuple[int, str]:
        try:
            client = Client(raise_request_exception=False)
            answer = client.get("/" if number % 2 else "/api/fuse/status")
            return answer.status_code, answer.headers.get("Retry-After", "")
        finally:
            connection.close()

    watcher = threading.Thread(target=count)
    watcher.start()
    with ThreadPoolExecutor(40) as crowd:
        answers = list(crowd.map(visit, range(160)))
    done.set()
    watcher.join()
    codes = {code for code, _ in answers}
    assert codes <= {200, 401, 503}
    assert 200 in codes
    assert all(retry == "2" for code, retry in answers if code == 503)
    assert most <= POOL


def test_health_is_read_once_for_everybody(
    settings: Any, django_assert_max_num_queries: Any, monkeypatch: pytest.MonkeyPatch
):
    settings.PUBLIC_CACHE_SECONDS = 60.0
    Client().get("/health")
    Client().get("/")
    with django_assert_max_num_queries(0):
        for _ in range(20):
            assert Client().get("/health").status_code == 200
            assert Client().get("/?odd=1").status_code == 200


@pytest.fixture(params=["stopped", "frozen"])
def no_redis(request: pytest.FixtureRequest, settings: Any) -> Iterator[None]:
    """Redis that refuses, or that takes the connection and never says a word."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        if request.param == "frozen":
            server.listen(64)
        port = server.getsockname()[1]
        settings.CACHES = {
            **settings.CACHES,
            "default": {
                "BACKEND": "magnetfund.core.counters.CounterCache",
                "LOCATION": f"redis://127.0.0.1:{port}/0",
            },
        }
        yield
    caches["default"].clear()


def test_counters_count_in_postgresql(no_redis: None):
    assert cache.add("a", 1, 60) is True
    assert cache.add("a", 1, 60) is False
    assert cache.incr("a") == 2
    cache.set("b", [1.5], 60)
    assert cache.get("b") == [1.5]
    assert CachedCounter.objects.count() == 2
    began = time.monotonic()
    for _ in range(50):
        cache.get("b")
    assert time.monotonic() - began < 10.0


def test_signing_in_reading_tokens_and_stopping_need_no_redis(no_redis: None):
    ann = make_user("ann", Role.RISK_OFFICER, Role.OPERATOR, password=PASSWORD)
    arm_fuse(ann, make_user("ben", Role.RISK_OFFICER))
    make_engine_ready()
    client = Client()
    assert client.get("/").status_code == 200
    assert client.get("/account/login/").status_code == 200
    answer = client.post("/account/login/", {"login": ann.email, "password": PASSWORD})
    assert answer.status_code == 302
    token = Client().post(
        "/api/auth/token", {"email": ann.email, "password": PASSWORD}, "application/json"
    )
    assert token.status_code == 200
    head = {"Authorization": f"Bearer {token.json()['token']}"}
    assert Client().get("/api/fuse/status", headers=head).json()["state"] == "ARMED"
    stopped = Client().post(
        "/api/system/emergency-stop", {"reason": "a drill"}, "application/json", headers=head
    )
    assert stopped.json()["stopped"] is True
    assert state_of("main") == "TRIPPED"


@pytest.fixture
def lane(fresh_database: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(settings, "DATABASE_STOP_URL", fresh_database.dsn("fa_stop", "fresh"))
    stop_line.hold_open()
    yield
    stop_line.let_go()
    with superuser(fresh_database) as session:
        session.execute("ALTER ROLE fa_app CONNECTION LIMIT -1")
        session.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'fa_stop'"
        )


@pytest.mark.parametrize("road", ["page", "api"])
def test_a_stop_by_a_person_needs_no_session_of_the_application(
    fresh_database: Any, lane: None, road: str
):
    ann = make_user("ann", Role.RISK_OFFICER, password=PASSWORD)
    arm_fuse(ann, make_user("ben", Role.RISK_OFFICER))
    client = Client(raise_request_exception=False)
    client.force_login(ann)
    token = Client().post(
        "/api/auth/token", {"email": ann.email, "password": PASSWORD}, "application/json"
    )
    head = {"Authorization": f"Bearer {token.json()['token']}"}
    connection.close()
    with superuser(fresh_database) as session:
        session.execute("ALTER ROLE fa_app CONNECTION LIMIT 0")
    began = time.perf_counter()
    if road == "page":
        form = {"reason": "a drill", "understood": "on"}
        assert client.post("/desk/risk/stop/", form).status_code == 302
    else:
        answer = client.post(
            "/api/system/emergency-stop", {"reason": "a drill"}, "application/json", headers=head
        )
        assert answer.json()["stopped"] is True
    assert time.perf_counter() - began < 10.0
    assert client.get("/desk/risk/").status_code == 503
    with superuser(fresh_database) as session:
        session.execute("ALTER ROLE fa_app CONNECTION LIMIT -1")
    assert state_of("main") == "TRIPPED"


def test_the_lane_admits_nobody_who_may_not_stop(lane: None):
    client = Client()
    assert client.post("/desk/risk/stop/", {"understood": "on"}).status_code == 302
    client.force_login(make_user("ines", Role.INVESTOR))
    assert client.post("/desk/risk/stop/", {"understood": "on"}).status_code == 403
    assert client.post("/api/system/emergency-stop", {}, "application/json").status_code == 403
