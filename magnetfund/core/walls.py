"""The walls of the database: what each table allows, as SQL and as a list that can be checked.

Each table has one grant class, stated in its app's ``table_walls.py``.  ``manage.py wall_sql``
prints the SQL of a table; its migration keeps that text, so no later change here rewrites history.
Triggers are created ``ENABLE ALWAYS``, so no session setting switches them off.  The claims hold
for the application and gateway roles, not for the owner of the tables.

Roles: ``fa_owner`` (migrations), ``fa_app`` (web, API; ``fa_worker`` has its grants),
``fa_gateway`` (the trader; it inherits what the application may and alone moves orders and
positions), ``fa_backup`` (reads, and alone says what became of a backup), ``fa_auditor`` (reads).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum


class GrantClass(StrEnum):
    """What the run-time roles may do with a table."""

    APPEND_ONLY = "append-only"
    MUTABLE = "mutable"
    GATEWAY = "gateway"
    GATEWAY_APPEND = "gateway append-only"
    BACKUP_APPEND = "backup append-only"
    READ_ONLY = "read-only"
    OWNER_ONLY = "owner only"
    FRAMEWORK = "framework"


@dataclass(frozen=True, slots=True, kw_only=True)
class TableGrant:
    """Grant class of one table.

    ``columns``: for MUTABLE the columns that ``fa_app`` may update, for GATEWAY those that
    ``fa_gateway`` may update; an empty tuple means every column.  GATEWAY tables take inserts
    from the application only where ``app_inserts`` says so.  ``deletes`` allows row deletion to
    those who may write.  ``reported`` are columns that jobs and the trader alone may update.
    """

    table: str
    grant_class: GrantClass
    columns: tuple[str, ...] = ()
    app_inserts: bool = False
    deletes: bool = False
    reported: tuple[str, ...] = ()


def append_only(*tables: str) -> list[TableGrant]:
    return [TableGrant(table=t, grant_class=GrantClass.APPEND_ONLY) for t in tables]


def mutable(
    table: str, *columns: str, deletes: bool = False, reported: tuple[str, ...] = ()
) -> TableGrant:
    return TableGrant(
        table=table, grant_class=GrantClass.MUTABLE, columns=columns, deletes=deletes,
        reported=reported,
    )  # fmt: skip


def gateway(table: str, *columns: str, app_inserts: bool = False) -> TableGrant:
    return TableGrant(
        table=table, grant_class=GrantClass.GATEWAY, columns=columns, app_inserts=app_inserts
    )


def gateway_append(*tables: str) -> list[TableGrant]:
    return [TableGrant(table=t, grant_class=GrantClass.GATEWAY_APPEND) for t in tables]


def backup_append(*tables: str) -> list[TableGrant]:
    return [TableGrant(table=t, grant_class=GrantClass.BACKUP_APPEND) for t in tables]


def read_only(*tables: str) -> list[TableGrant]:
    return [TableGrant(table=t, grant_class=GrantClass.READ_ONLY) for t in tables]


def owner_only(*tables: str) -> list[TableGrant]:
    return [TableGrant(table=t, grant_class=GrantClass.OWNER_ONLY) for t in tables]


def framework(*tables: str) -> list[TableGrant]:
    return [TableGrant(table=t, grant_class=GrantClass.FRAMEWORK, deletes=True) for t in tables]


def grant_sql(row: TableGrant) -> str:
    """SQL that brings the privileges of one table to exactly its grant class."""
    t = f'"{row.table}"'
    lines = [f"REVOKE ALL ON {t} FROM PUBLIC, fa_app, fa_gateway, fa_auditor;"]
    if row.grant_class is not GrantClass.OWNER_ONLY:
        lines.append(f"GRANT SELECT ON {t} TO fa_app, fa_gateway, fa_auditor;")
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
        case GrantClass.BACKUP_APPEND:
            lines.append(f"GRANT INSERT ON {t} TO fa_backup;")
            lines.append(f"GRANT USAGE, SELECT ON SEQUENCE {row.table}_id_seq TO fa_backup;")
        case GrantClass.READ_ONLY | GrantClass.OWNER_ONLY:
            pass
    if row.reported:
        names = ", ".join(f'"{column}"' for column in row.reported)
        lines.append(f"GRANT UPDATE ({names}) ON {t} TO fa_worker, fa_gateway;")
    if row.deletes:
        is_of_gateway = row.grant_class is GrantClass.GATEWAY
        who = "fa_gateway" if is_of_gateway else "fa_app, fa_gateway"
        lines.append(f"GRANT DELETE ON {t} TO {who};")
    return "\n".join(lines)


def grants_sql(rows: Iterable[TableGrant]) -> str:
    """SQL that grants the given rows, and the use of their sequences."""
    lines = [grant_sql(row) for row in rows]
    lines.append("GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO fa_app, fa_gateway;")
    return "\n".join(lines)


def append_only_sql(table: str) -> str:
    """SQL of the triggers that refuse UPDATE, DELETE and TRUNCATE on a table, for every role."""
    return f"""\
CREATE TRIGGER append_only_row BEFORE UPDATE OR DELETE ON "{table}"
  FOR EACH ROW EXECUTE FUNCTION wall_append_only();
CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON "{table}"
  FOR EACH STATEMENT EXECUTE FUNCTION wall_append_only();
ALTER TABLE "{table}" ENABLE ALWAYS TRIGGER append_only_row;
ALTER TABLE "{table}" ENABLE ALWAYS TRIGGER append_only_truncate;"""


@dataclass(frozen=True, slots=True, kw_only=True)
class TableTrigger:
    """A trigger that must be present and ENABLE ALWAYS; ``doctor`` and a test compare."""

    table: str
    name: str


def append_only_triggers(tables: Sequence[str]) -> list[TableTrigger]:
    return [
        TableTrigger(table=table, name=name)
        for table in tables
        for name in ("append_only_row", "append_only_truncate")
    ]
