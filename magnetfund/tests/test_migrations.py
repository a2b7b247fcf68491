"""Migrations hold what they need themselves, so that the code around them may change."""

from __future__ import annotations

import ast
import subprocess
from io import StringIO
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import ProgrammingError, connections, migrations, models, transaction
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState

from magnetfund.core.migration_walk import NarrowExecutor, NarrowState

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


def key(**options: Any) -> models.Field[Any, Any]:
    return models.BigAutoField(primary_key=True, **options)


def link(to: str, **options: Any) -> models.ForeignKey[Any, Any]:
    return models.ForeignKey(to, models.PROTECT, **options)


def _count_branches(apps: Any, schema_editor: Any) -> None:
    """Code that looks from a model at what points to it."""
    alias = schema_editor.connection.alias
    tree = apps.get_model("walk", "Tree").objects.using(alias).create(code="a")
    apps.get_model("walk", "Branch").objects.using(alias).create(tree=tree, length=1)
    assert tree.branch_set.count() == 1
    assert not apps.get_model("walk", "Leaf").objects.using(alias).filter(branch__tree=tree)


#: Steps of a made-up app, each a migration: every kind of link, and each kind of operation.
STEPS: tuple[tuple[Operation, ...], ...] = (
    (
        migrations.CreateModel("Tree", [("id", key()), ("code", models.CharField(max_length=9))]),
        migrations.CreateModel(
            "Branch",
            [("id", key()), ("tree", link("walk.Tree")), ("length", models.IntegerField())],
            {"db_table": "walk_bough"},
        ),
        migrations.CreateModel(
            "Leaf",
            [
                (
                    "branch",
                    models.OneToOneField("walk.Branch", models.CASCADE, primary_key=True),
                ),
                ("near", link("self", null=True)),
                ("trees", models.ManyToManyField("walk.Tree")),
            ],
        ),
    ),
    (
        migrations.AddField("Tree", "first", link("walk.Leaf", null=True)),
        migrations.AlterField("Branch", "length", models.BigIntegerField()),
        migrations.AlterField("Branch", "tree", link("walk.Tree", null=True, db_index=False)),
        migrations.AddIndex("Branch", models.Index("tree", "length", name="walk_by_length")),
        migrations.AddConstraint(
            "Branch",
            models.CheckConstraint(condition=models.Q(length__gt=0, tree__gt=0), name="walk_long"),
        ),
        migrations.AddConstraint(
            "Leaf", models.UniqueConstraint("near", "branch", name="walk_one_near")
        ),
    ),
    (migrations.AlterField("Tree", "code", models.CharField(max_length=9, unique=True)),),
    (migrations.AddField("Leaf", "tree", link("walk.Tree", to_field="code", null=True)),),
    (migrations.AlterField("Tree", "code", models.CharField(max_length=19, unique=True)),),
    (migrations.RunPython(_count_branches, migrations.RunPython.noop),),
    (
        migrations.RunSQL(
            "ALTER TABLE walk_leaf ADD by_hand text", "ALTER TABLE walk_leaf DROP by_hand"
        ),
        migrations.RemoveConstraint("Branch", "walk_long"),
        migrations.AlterModelOptions("Branch", {"verbose_name": "bough"}),
    ),
    (migrations.RenameModel("Branch", "Bough"), migrations.RenameField("Leaf", "near", "next")),
    (migrations.CreateModel("Bird", [("id", key()), ("home", link("walk.Bough"))]),),
)  # fmt: skip


def _describe(cursor: Any) -> list[Any]:
    """Columns, rules and indexes of the made-up app; what waits for a commit is checked first."""
    found = []
    for statement in (
        "SELECT table_name, column_name, data_type, character_maximum_length, is_nullable "
        "FROM information_schema.columns WHERE table_name LIKE 'walk_%' ORDER BY 1, 2",
        "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint "
        "WHERE conrelid::regclass::text LIKE 'walk_%' ORDER BY 1",
        "SELECT indexdef FROM pg_indexes WHERE tablename LIKE 'walk_%' ORDER BY 1",
    ):
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED")
        cursor.execute(statement)
        found.append(cursor.fetchall())
    return found


def _walk(executor_class: type[MigrationExecutor]) -> tuple[list[Any], list[bool]]:
    """What stands after each step forwards and back again; which steps forwards were narrow."""
    made, narrow, done = [], [], []
    with transaction.atomic("owner"), connections["owner"].cursor() as cursor:
        executor, state = executor_class(connections["owner"]), ProjectState()
        for number, operations in enumerate(STEPS):
            kind = type("Step", (migrations.Migration,), {"operations": list(operations)})
            done.append((state.clone(), kind(f"{number:04}_step", "walk")))
            state = executor.apply_migration(state, done[-1][1])
            narrow.append(isinstance(state, NarrowState))
            made.append(_describe(cursor))
        for before, step in reversed(done):
            executor.unapply_migration(before, step)
            made.append(_describe(cursor))
        transaction.set_rollback(True, "owner")
    return made, narrow


@pytest.mark.django_db(databases=["owner"])
def test_a_narrow_walk_makes_what_djangos_walk_makes() -> None:
    made, narrow = _walk(NarrowExecutor)
    as_django, _ = _walk(MigrationExecutor)
    assert made == as_django
    length = {row[:2]: row[3] for row in made[len(STEPS) - 1][0]}
    assert length["walk_leaf", "tree_id"] == length["walk_tree", "code"] == 19
    assert made[-1] == [[], [], []]
    assert narrow == [True, True, False, True, False, False, True, False, True]


@pytest.mark.drill
@pytest.mark.usefixtures("django_db_setup")
def test_an_empty_database_gets_the_tables_that_djangos_walk_makes(
    cluster: Any, monkeypatch: pytest.MonkeyPatch, django_db_blocker: Any
) -> None:
    """The template of the suite's databases was made from nothing by the command of the house."""
    from django.core.management.commands import migrate

    from magnetfund.operations.backups.make import tool, tool_environment

    def tables_of(name: str) -> str:
        return subprocess.run(
            [tool("pg_dump"), "--schema-only", "--restrict-key=x", f"--dbname={name}"],
            env=tool_environment(cluster.dsn("postgres", name)),
            check=True, capture_output=True, text=True,
        ).stdout  # fmt: skip

    with django_db_blocker.unblock():
        owner = connections["owner"]
        monkeypatch.setitem(owner.settings_dict, "NAME", "walked")
        monkeypatch.setattr(migrate, "MigrationExecutor", MigrationExecutor)
        owner.close()
        cluster.make_database("walked")
        call_command(migrate.Command(), database="owner", verbosity=0)
        owner.close()
        made = [tables_of("walked"), tables_of("migrated")]
        with psycopg.connect(cluster.dsn("postgres", "postgres"), autocommit=True) as session:
            session.execute("DROP DATABASE walked")
    assert made[0].splitlines() == made[1].splitlines()
    assert len(made[0]) > 500_000
