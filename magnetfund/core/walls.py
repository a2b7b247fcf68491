"""The walls of the database, as migration operations and as a list that can be checked.

Each table has one grant class, stated in its app's ``walls.py``; :func:`grant` turns it into SQL.
Triggers are created ``ENABLE ALWAYS``, so no session setting switches them off.  The claims hold
for the application and gateway roles, not for the owner of the tables.

Roles: ``fa_owner`` (migrations), ``fa_app`` (web, API, workers), ``fa_gateway`` (the trader; it
inherits what the application may and alone moves orders and positions), ``fa_auditor`` (reads).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from django.db.migrations.operations import RunSQL


class GrantClass(StrEnum):
    """What the run-time roles may do with a table."""

    APPEND_ONLY = "append-only"
    MUTABLE = "mutable"
    GATEWAY = "gateway"
    GATEWAY_APPEND = "gateway append-only"
    READ_ONLY = "read-only"
    FRAMEWORK = "framework"


@dataclass(frozen=True, slots=True, kw_only=True)
class TableGrant:
    """Grant class of one table.

    ``columns``: for MUTABLE the columns that ``fa_app`` may update, for GATEWAY those that
    ``fa_gateway`` may update; an empty tuple means every column.  GATEWAY tables take inserts
    from the application only where ``app_inserts`` says so.  ``deletes`` allows row deletion.
    """

    table: str
    grant_class: GrantClass
    columns: tuple[str, ...] = ()
    app_inserts: bool = False
    deletes: bool = False


def append_only(*tables: str) -> list[TableGrant]:
    return [TableGrant(table=t, grant_class=GrantClass.APPEND_ONLY) for t in tables]


def mutable(table: str, *columns: str, deletes: bool = False) -> TableGrant:
    return TableGrant(table=table, grant_class=GrantClass.MUTABLE, columns=columns, deletes=deletes)


def gateway(table: str, *columns: str, app_inserts: bool = False) -> TableGrant:
    return TableGrant(
        table=table, grant_class=GrantClass.GATEWAY, columns=columns, app_inserts=app_inserts
    )


def gateway_append(*tables: str) -> list[TableGrant]:
    return [TableGrant(table=t, grant_class=GrantClass.GATEWAY_APPEND) for t in tables]


def read_only(*tables: str) -> list[TableGrant]:
    return [TableGrant(table=t, grant_class=GrantClass.READ_ONLY) for t in tables]


def framework(*tables: str) -> list[TableGrant]:
    return [TableGrant(table=t, grant_class=GrantClass.FRAMEWORK, deletes=True) for t in tables]


def grant_sql(row: TableGrant) -> str:
    """SQL that brings the privileges of one table to exactly its grant class."""
    t = f'"{row.table}"'
    lines = [
        f"REVOKE ALL ON {t} FROM PUBLIC, fa_app, fa_gateway, fa_auditor;",
        f"GRANT SELECT ON {t} TO fa_app, fa_gateway, fa_auditor;",
    ]
    names = ", ".join(f'"{column}"' for column in row.columns)
    columns = f" ({names})" if names else ""
    match row.grant_class:
        case GrantClass.APPEND_ONLY:
            lines.append(f"GRANT INSERT ON {t} TO fa_app, fa_gateway;")
        case GrantClass.MUTABLE | GrantClass.FRAMEWORK:
            lines.append(f"GRANT INSERT ON {t} TO fa_app, fa_gateway;")
            lines.append(f"GRANT UPDATE{columns} ON {t} TO fa_app, fa_gateway;")
        case GrantClass.GATEWAY:
            who = "fa_app, fa_gateway" if row.app_inserts else "fa_gateway"
            lines.append(f"GRANT INSERT ON {t} TO {who};")
            lines.append(f"GRANT UPDATE{columns} ON {t} TO fa_gateway;")
        case GrantClass.GATEWAY_APPEND:
            lines.append(f"GRANT INSERT ON {t} TO fa_gateway;")
        case GrantClass.READ_ONLY:
            pass
    if row.deletes:
        lines.append(f"GRANT DELETE ON {t} TO fa_app, fa_gateway;")
    return "\n".join(lines)


def grants_operation(rows: Iterable[TableGrant]) -> RunSQL:
    """Migration operation that grants the given rows."""
    sql = "\n".join(grant_sql(row) for row in rows)
    sql += "\nGRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO fa_app, fa_gateway;"
    return RunSQL(sql, RunSQL.noop)


def refuse_changes(tables: Sequence[str]) -> RunSQL:
    """Triggers that refuse UPDATE, DELETE and TRUNCATE on append-only tables, for every role."""
    parts = []
    for table in tables:
        parts.append(
            f"""
CREATE TRIGGER append_only_row BEFORE UPDATE OR DELETE ON "{table}"
  FOR EACH ROW EXECUTE FUNCTION wall_append_only();
CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON "{table}"
  FOR EACH STATEMENT EXECUTE FUNCTION wall_append_only();
ALTER TABLE "{table}" ENABLE ALWAYS TRIGGER append_only_row;
ALTER TABLE "{table}" ENABLE ALWAYS TRIGGER append_only_truncate;"""
        )
    reverse = "\n".join(
        f'DROP TRIGGER append_only_row ON "{t}"; DROP TRIGGER append_only_truncate ON "{t}";'
        for t in tables
    )
    return RunSQL("\n".join(parts), reverse)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trigger:
    """A trigger that must be present and ENABLE ALWAYS; ``doctor`` and a test compare."""

    table: str
    name: str


def append_only_triggers(tables: Sequence[str]) -> list[Trigger]:
    return [
        Trigger(table=table, name=name)
        for table in tables
        for name in ("append_only_row", "append_only_truncate")
    ]
