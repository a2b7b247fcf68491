"""The roles are made and completed by a role that is no superuser, as often as one likes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import psycopg
import pytest

from magnetfund.operations.roles import ROLE_NAMES, ROLES, prepare_roles
from magnetfund.operations.servers.home import Home


def test_the_limits_leave_every_role_its_slots():
    from magnetfund.operations.roles import CONNECTIONS

    assert sum(role.connections for role in ROLES) < CONNECTIONS - 3


@pytest.fixture
def admin(cluster: Any) -> Any:
    """A role with CREATEROLE to which the roles of this cluster were granted, no superuser."""
    with psycopg.connect(cluster.dsn("postgres", "postgres"), autocommit=True) as superuser:
        superuser.execute("CREATE ROLE preparer LOGIN CREATEROLE PASSWORD 'preparer'")
        for name in ROLE_NAMES:
            superuser.execute(f"GRANT {name} TO preparer WITH ADMIN OPTION".encode())
        dsn = cluster.dsn("postgres", "postgres").split("?")[1]
        yield f"postgresql://preparer:preparer@/postgres?{dsn}"
        for name in ("fa_app", "fa_gateway"):  # as the suite's cluster was
            superuser.execute(f"ALTER ROLE {name} CONNECTION LIMIT -1".encode())
        superuser.execute("DROP OWNED BY preparer CASCADE")
        superuser.execute("DROP ROLE preparer")


def test_a_home_of_an_earlier_version_is_completed_without_a_superuser(cluster: Any, admin: str):
    with psycopg.connect(cluster.dsn("postgres", "postgres"), autocommit=True) as superuser:
        superuser.execute("ALTER ROLE fa_app CONNECTION LIMIT -1")
        superuser.execute("ALTER ROLE fa_app RESET ALL")
        superuser.execute("ALTER ROLE fa_app SET lock_timeout = 0")
    with psycopg.connect(admin, autocommit=True) as connection:
        for _ in range(2):
            assert prepare_roles(connection, cluster.secrets) == []
        row = connection.execute(
            "SELECT r.rolconnlimit, s.setconfig FROM pg_roles r "
            "JOIN pg_db_role_setting s ON s.setrole = r.oid WHERE r.rolname = 'fa_app'"
        ).fetchone()
        assert connection.execute("SELECT pg_has_role('fa_worker', 'fa_app', 'USAGE')").fetchone()
    assert row is not None
    assert row[0] == 52
    assert "lock_timeout=5s" in row[1]


def test_an_old_folder_of_passwords_gets_what_it_lacks_and_keeps_the_rest(tmp_path: Path):
    home = Home(tmp_path / "home")
    old = {"postgres": "a", "fa_owner": "b", "fa_app": "c", "fa_gateway": "d", "secret_key": "e"}
    (home.root / "secrets.json").write_text(json.dumps(old))
    new = home.secrets()
    assert {name: new[name] for name in old} == old
    assert len(new["fa_stop"]) > 40
    assert home.secrets() == new
    assert (home.root / "secrets.json").stat().st_mode & 0o077 == 0
