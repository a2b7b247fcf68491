"""Replays of a production installation run apart: invented people and funds never enter it."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import connections
from psycopg import sql

from investors.models import Fund
from magnetfund.core.actors import Actor
from magnetfund.core.models import User
from magnetfund.core.roles import Role
from magnetfund.env import parse_database_url
from magnetfund.operations.scratch import URL
from magnetfund.operations.servers.postgres import DATABASE
from magnetfund.operations.servers.scratch import COPY, ScratchServer
from magnetfund.tests.walls_support import make_instrument, make_user, sign_limits
from risk.domain.limits import Limits
from trading.models import Fill, ReplayRun
from trading.services.blackouts import enter_blackout

LATER_SPAN = ["--from", "2026-06-02", "--to", "2026-06-05"]
REPLAY = ["--instrument", "BTC/USDT:USDT", "--from", "2026-01-02", "--to", "2026-01-05"]


@pytest.mark.django_db
def test_the_funds_own_database_is_no_scratch_database(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://fa_app@db.example.com/fund")
    monkeypatch.setenv(URL, "postgresql://fa_app@db.example.com/fund")
    settings.IS_PRODUCTION = True
    make_instrument()
    with pytest.raises(CommandError, match="scratch_is_fund"):
        call_command("replay", *REPLAY)


@pytest.fixture
def server(cluster: Any, django_db_setup: None, django_db_blocker: Any) -> ScratchServer:
    """Scratch databases on the suite's cluster; their template is migrated from nothing."""

    def migrate(url: str) -> None:
        owner = connections["owner"]
        before = dict(owner.settings_dict)
        with django_db_blocker.unblock():
            owner.close()
            owner.settings_dict.update(parse_database_url("test", url))
            try:
                call_command("migrate", database="owner", verbosity=0)
            finally:
                owner.close()
                owner.settings_dict.update(before)

    return ScratchServer(cluster, migrate=migrate)


@pytest.fixture
def copying_server(cluster: Any, django_db_setup: None) -> ScratchServer:
    """The same, its template a copy of what the suite migrated already."""

    def migrate(url: str) -> None:
        name = sql.Identifier(urlsplit(url).path.lstrip("/"))
        with psycopg.connect(cluster.dsn("postgres", "postgres"), autocommit=True) as superuser:
            superuser.execute(sql.SQL("DROP DATABASE {}").format(name))
            superuser.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE migrated OWNER fa_owner").format(name)
            )
        MIGRATED.append(url)

    return ScratchServer(cluster, migrate=migrate)


MIGRATED: list[str] = []


def copies(cluster: Any) -> set[str]:
    with psycopg.connect(cluster.dsn("postgres", "postgres")) as administrator:
        rows = administrator.execute(
            "SELECT datname FROM pg_database WHERE starts_with(datname, %s)", [COPY]
        )
        return {name for (name,) in rows}


def test_a_scratch_database_has_the_schema_and_no_way_to_the_funds(
    cluster: Any, copying_server: ScratchServer
) -> None:
    server = copying_server
    MIGRATED.clear()
    with server.database() as url, psycopg.connect(url, autocommit=True) as scratch:
        assert scratch.execute("SELECT count(*) FROM investors_fund").fetchone() == (0,)
        row = scratch.execute(
            "SELECT rolsuper, rolcreatedb, rolbypassrls, rolcreaterole FROM pg_roles "
            "WHERE rolname = current_user"
        ).fetchone()
        assert row == (False, True, False, False)
        with pytest.raises(psycopg.OperationalError, match="permission denied"):
            psycopg.connect(server.dsn(DATABASE))
        used = scratch.info.dbname
        another = psycopg.connect(cluster.dsn("postgres", used))
        abandoned = f"{COPY}abandoned"
        scratch.execute(f"CREATE DATABASE {abandoned}")
        with server.database():  # the template is kept; what is in use stays
            assert len(MIGRATED) <= 1
            assert used in copies(cluster)
            assert abandoned not in copies(cluster)
    assert copies(cluster) == set(), "gone, with a session in it that is not scratch's own"
    another.close()


@pytest.mark.drill
def test_a_production_replay_brings_back_one_result_and_nobody(
    as_gateway: None,
    server: ScratchServer,
    tmp_path: Path,
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
    django_db_blocker: Any,
) -> None:
    settings.IS_PRODUCTION = True
    start = datetime(2025, 1, 1, tzinfo=UTC)
    lines = ["date,open,high,low,close,volume"]
    price = 60_000.0
    for hour in range(24 * 64):
        before, price = price, 60_000.0 + 3_000.0 * math.sin(hour / 15.0) + 7.0 * (hour % 11)
        low, high = min(before, price) - 40.0, max(before, price) + 40.0
        at = (start + timedelta(hours=hour)).isoformat()
        lines.append(f"{at},{before:.1f},{high:.1f},{low:.1f},{price:.1f},{50 + hour % 7}")
    file = tmp_path / "btc.csv"
    file.write_text("\n".join(lines) + "\n")
    with django_db_blocker.unblock(), server.database() as url:
        call_command("import_candles", str(file), "--instrument", "BTC/USDT:USDT")
        enter_blackout(
            book=settings.MAGNET_BOOK, title="Rate decision", before_minutes=0, after_minutes=600,
            event_at=datetime(2025, 3, 3, tzinfo=UTC), symbol=None,
            actor=Actor.of(make_user("olga", Role.OPERATOR)),
        )  # fmt: skip
        monkeypatch.setenv(URL, url)
        limits = Limits(leverage_max=Decimal(2), margin_share_position=Decimal("0.1"))
        sign_limits(limits, at=datetime(2025, 3, 1, tzinfo=UTC))
        span = ["--from", "2025-03-02", "--to", "2025-03-05"]
        call_command("replay", "--instrument", "BTC/USDT:USDT", *span, "--book", "past")
        with psycopg.connect(url) as scratch:
            assert scratch.execute("SELECT count(*) FROM investors_fund").fetchone() == (1,)
        run = ReplayRun.objects.get()
        assert run.book == "past"
        assert run.result["bars"] > 0
        assert run.result["ledger"] == "clean"
        assert not Fund.objects.exists()
        assert User.objects.count() == 3
        assert run.parameters["limits"]["version"] == 1
        with pytest.raises(CommandError, match=r"^there are no stored candles .* \(no_candles\)$"):
            call_command("replay", "--instrument", "BTC/USDT:USDT", *LATER_SPAN, "--book", "later")
        assert run.result["dated_events"] == 1
        assert not Fill.objects.exists()
        settings.IS_PRODUCTION = False
        call_command("replay", "--instrument", "BTC/USDT:USDT", *span, "--book", "here")
        here = ReplayRun.objects.get(book="here")
        assert here.result["orders"] > 0
        assert here.result["dated_events"] == 1
        assert here.result["state_hash"] == run.result["state_hash"]
        assert here.parameters == run.parameters
