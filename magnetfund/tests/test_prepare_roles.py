"""The roles are made and completed by a role that is no superuser, as often as one likes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.core.management import call_command
from django.db import connections

from investors import table_walls
from magnetfund.core.walls import append_only_sql, grants_sql, mutable
from magnetfund.env import parse_database_url
from magnetfund.operations.roles import ROLE_NAMES, ROLES, prepare_roles
from magnetfund.operations.servers.home import Home
from magnetfund.operations.servers.postgres import Postgres
from magnetfund.operations.walls import missing_triggers, privilege_differences


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


FIRST_ROLES = ("fa_app", "fa_gateway", "fa_auditor")
FIRST_SCHEMA = (
    ("core", "0003_framework_grants"),
    ("risk", "0002_walls"),
    ("trading", "0002_walls"),
    ("investors", "0002_walls"),
)


GROWN = '''
from django.db import migrations, models

class Migration(migrations.Migration):
    dependencies = [("investors", "{leaf}")]
    operations = [
        migrations.CreateModel(
            name="Grown", fields=[("id", models.BigAutoField(primary_key=True, serialize=False))]
        ),
        migrations.RunSQL("""{sql}""", migrations.RunSQL.noop),
    ]
'''


@pytest.fixture
def grown_table(tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    """A table that a version to come adds as CONTRIBUTING says, stated before any migration."""
    row = mutable("investors_grown", "id")
    monkeypatch.setattr(table_walls, "GRANTS", [*table_walls.GRANTS, row])
    monkeypatch.setattr(
        table_walls, "APPEND_ONLY_TABLES", (*table_walls.APPEND_ONLY_TABLES, row.table)
    )
    copy = tmp_path / "grown_investors_migrations"
    shutil.copytree(Path(table_walls.__file__).parent / "migrations", copy)
    leaf = max(path.stem for path in copy.glob("0*.py"))
    sql = append_only_sql(row.table) + "\n" + grants_sql([row])
    (copy / "9000_grown.py").write_text(GROWN.format(leaf=leaf, sql=sql))
    monkeypatch.syspath_prepend(str(tmp_path))
    settings.MIGRATION_MODULES = {"investors": copy.name}
    return row.table


class BareCluster(Postgres):
    """A cluster in which nobody has prepared anything."""

    def _make_roles(self) -> None:
        return


@pytest.fixture
def first_version(tmp_path: Path, django_db_blocker: Any) -> Iterator[BareCluster]:
    """A server of one's own, with roles, schema and a row as the first version left them."""
    tmp_path.chmod(0o755)
    server = BareCluster(Home(tmp_path / "old"), durable=False)
    server.start()
    server.secrets = {**server.secrets, "fa_admin": "preparer"}
    with psycopg.connect(server.dsn("postgres", "postgres"), autocommit=True) as superuser:
        superuser.execute("CREATE ROLE fa_admin LOGIN CREATEROLE PASSWORD 'preparer'")
        superuser.execute("SET ROLE fa_admin")
        for name in ("fa_owner", *FIRST_ROLES):
            word = server.secrets[name]
            superuser.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{word}'".encode())
        superuser.execute("RESET ROLE")
        superuser.execute("CREATE DATABASE magnetfund OWNER fa_owner")
    with psycopg.connect(server.dsn("postgres"), autocommit=True) as superuser:
        superuser.execute("ALTER SCHEMA public OWNER TO fa_owner")
    before = {name: dict(connections[name].settings_dict) for name in ("default", "owner")}
    with django_db_blocker.unblock():
        for name, role in (("default", "fa_app"), ("owner", "fa_owner")):
            connections[name].close()
            connections[name].settings_dict.update(parse_database_url("x", server.dsn(role)))
        try:
            for app, migration in FIRST_SCHEMA:
                call_command("migrate", app, migration, database="owner", verbosity=0)
            yield server
        finally:
            for name, values in before.items():
                connections[name].close()
                connections[name].settings_dict.update(values)
            server.stop()
            shutil.rmtree(server.home.sockets, ignore_errors=True)
            if not server.home.cluster.is_relative_to(tmp_path):
                shutil.rmtree(server.home.cluster, ignore_errors=True)


AUDIT_LINE = (
    "INSERT INTO core_auditevent (chain, occurred_at, actor_label, action, subject_type, "
    "subject_id, body, trace_id) VALUES ('main', now(), 'x', 'first', '', '', '{}', '')"
)


def test_the_first_versions_database_gets_every_table_and_role_without_a_superuser(
    grown_table: str, first_version: BareCluster, monkeypatch: pytest.MonkeyPatch
):
    """From nothing to the newest table: no earlier migration knows of a later one's."""
    server = first_version
    with psycopg.connect(server.dsn("fa_app")) as session:
        session.execute(AUDIT_LINE)
    monkeypatch.setenv("DATABASE_ADMIN_URL", server.dsn("fa_admin"))
    for name in ROLE_NAMES:
        word = name.removeprefix("fa_").upper()
        monkeypatch.setenv(f"DATABASE_{word}_URL", server.dsn(name))
    told = []
    for _ in range(2):
        out = StringIO()
        call_command("prepare_roles", json=True, stdout=out)
        told.append(json.loads(out.getvalue().strip().splitlines()[-1])["made"])
    assert set(told[0]) == set(ROLE_NAMES) - {"fa_owner", *FIRST_ROLES}
    assert told[1] == []
    call_command("migrate", database="owner", verbosity=0)
    assert missing_triggers() == []
    assert privilege_differences() == []
    with psycopg.connect(server.dsn("fa_app")) as session:
        rights = session.execute(
            "SELECT has_table_privilege('fa_app', %(table)s, 'INSERT'), "
            "has_table_privilege('fa_app', %(table)s, 'DELETE')",
            {"table": grown_table},
        ).fetchone()
    assert rights == (True, False)
    for name in ROLE_NAMES:
        with psycopg.connect(server.dsn(name)) as session:
            row = session.execute(
                "SELECT rolsuper, rolconnlimit FROM pg_roles WHERE rolname = current_user"
            ).fetchone()
        assert row == (False, next(r.connections for r in ROLES if r.name == name))
    with psycopg.connect(server.dsn("fa_backup")) as session:
        kept = session.execute("SELECT action FROM core_auditevent").fetchall()
        unread = session.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace "
            "AND relkind IN ('r', 'S') AND NOT has_table_privilege(oid, 'SELECT')"
        ).fetchall()
    assert kept == [("first",)], "what was there is there"
    assert unread == []
