"""Migrations hold what they need themselves, so that the code around them may change."""

from __future__ import annotations

import ast
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import ProgrammingError, connections

PROJECT = Path(__file__).resolve().parents[2]
MIGRATIONS = sorted(
    path
    for app in ("magnetfund/core", "magnetfund/operations", "risk", "trading", "investors")
    for path in (PROJECT / app / "migrations").glob("0*.py")
)
#: Names that Django itself writes into a migration: a column type (pinned below), a default
#: that no SQL holds, and the manager of the users' table.
MAY_BE_NAMED = {
    "magnetfund.core.fields.ExactField",
    "magnetfund.kernel.clock.utc_now",
    "magnetfund.core.models.UserManager",
}
OURS = ("magnetfund", "risk", "trading", "investors")


def project_names(path: Path) -> set[str]:
    """Names of the project's own code that a file imports or reaches by their dotted path."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            names |= {f"{module}.{item.name}" for item in node.names}
        elif isinstance(node, ast.Attribute):
            dotted = ast.unparse(node)
            names |= {dotted} if dotted.count(".") >= 3 else set()
    return {name for name in names if name.split(".")[0] in (*OURS, "")}


@pytest.mark.parametrize("path", MIGRATIONS, ids=lambda path: f"{path.parts[-3]}/{path.stem}")
def test_a_migration_imports_nothing_of_the_project_that_can_change(path: Path) -> None:
    assert project_names(path) <= MAY_BE_NAMED


def test_the_check_on_imports_sees_every_way_to_write_one(tmp_path: Path) -> None:
    path = tmp_path / "0001_x.py"
    path.write_text(
        "import magnetfund.core.models\n"
        "from investors.table_walls import GRANTS\n"
        "from ..walls import rows\n"
        "magnetfund.core.models.User()\n"
    )
    assert project_names(path) == {
        "investors.table_walls.GRANTS",
        "..walls.rows",
        "magnetfund.core.models.User",
    }


def test_the_exact_column_type_stays_what_the_migrations_made_it() -> None:
    from django.db import connection

    from magnetfund.core.fields import ExactField

    assert ExactField().db_type(connection) == "numeric(38, 18)"


def test_the_command_prints_the_walls_that_a_table_states() -> None:
    out = StringIO()
    call_command("wall_sql", "investors_entry", stdout=out)
    assert 'CREATE TRIGGER append_only_row BEFORE UPDATE OR DELETE ON "investors_entry"' in (
        out.getvalue()
    )
    assert 'GRANT INSERT ON "investors_entry" TO fa_app, fa_gateway;' in out.getvalue()
    with pytest.raises(CommandError, match="investors_none"):
        call_command("wall_sql", "investors_none")


@pytest.mark.usefixtures("traded_month")
def test_books_of_an_earlier_version_are_chained_anew_and_broken_ones_refused(
    fresh_database: Any,
) -> None:
    import psycopg

    from investors.models import Fund
    from investors.services.verification import verify_fund

    connections["default"].close()
    call_command("migrate", "investors", "0019", database="owner", verbosity=0)
    with psycopg.connect(fresh_database.dsn("postgres", "fresh")) as session:
        words = session.execute(
            "SELECT authority_content('nav.approve', id) FROM investors_navstrike LIMIT 1"
        ).fetchone()
    assert words is not None
    assert words[0].startswith("Approve this NAV")
    call_command("migrate", "investors", "0008", database="owner", verbosity=0)
    connections.close_all()
    with psycopg.connect(fresh_database.dsn("postgres", "postgres"), autocommit=True) as session:
        session.execute("DROP DATABASE IF EXISTS broken")
        session.execute("CREATE DATABASE broken TEMPLATE fresh OWNER fa_owner")
    call_command("migrate", "investors", database="owner", verbosity=0)
    assert verify_fund(Fund.objects.get()) == []

    with psycopg.connect(fresh_database.dsn("postgres", "broken"), autocommit=True) as attacker:
        attacker.execute("ALTER TABLE investors_entry DISABLE TRIGGER USER")
        attacker.execute("UPDATE investors_entry SET text = 'other' WHERE seq = 3")
    connections["owner"].close()
    connections["owner"].settings_dict["NAME"] = "broken"
    with pytest.raises(ProgrammingError, match="broken at entry 3: this home is not upgraded"):
        call_command("migrate", "investors", database="owner", verbosity=0)
