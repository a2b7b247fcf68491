"""What the apps declare of their tables against what PostgreSQL has in force."""

from __future__ import annotations

from django.db import connection, connections

from investors import table_walls as investors_walls
from magnetfund.core import table_walls as core_walls
from magnetfund.core.walls import GrantClass, TableGrant, TableTrigger
from magnetfund.operations import table_walls as operations_walls
from risk import table_walls as risk_walls
from trading import table_walls as trading_walls

#: The roles that a grant class is about, with the backups' for what that alone writes.
_ASKED = ("fa_app", "fa_gateway")
_APPS = (core_walls, risk_walls, trading_walls, investors_walls, operations_walls)


def declared_grants() -> list[TableGrant]:
    return [row for app in _APPS for row in app.GRANTS]


def declared_append_only() -> list[str]:
    """Tables that no statement may update or empty, whoever runs it."""
    return [table for app in _APPS for table in app.APPEND_ONLY_TABLES]


def declared_triggers() -> list[TableTrigger]:
    return [row for app in _APPS for row in app.TRIGGERS]


def state_purpose(kind: str, live_book: str) -> None:
    """Say once, as the owner, what this database is for; what was said stays."""
    with connections["owner"].cursor() as cursor:
        cursor.execute(
            "INSERT INTO risk_wallinstance (id, kind, live_book, recorded_at) "
            "VALUES (1, %s, %s, clock_timestamp()) ON CONFLICT DO NOTHING",
            [kind, live_book],
        )


def missing_triggers() -> list[str]:
    """Declared triggers that are absent or not ENABLE ALWAYS, as ``table.trigger``."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.relname, t.tgname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid "
            "WHERE NOT t.tgisinternal AND t.tgenabled = 'A'"
        )
        found = set(cursor.fetchall())
    return sorted(
        f"{row.table}.{row.name}"
        for row in declared_triggers()
        if (row.table, row.name) not in found
    )


def privilege_differences() -> list[str]:
    """Tables whose privileges for the run-time roles are not those of their grant class."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.relname, r.rolname, has_table_privilege(r.rolname, c.oid, 'INSERT'), "
            "has_any_column_privilege(r.rolname, c.oid, 'UPDATE'), "
            "has_table_privilege(r.rolname, c.oid, 'DELETE'), "
            "has_table_privilege(r.rolname, c.oid, 'TRUNCATE') "
            "FROM pg_class c CROSS JOIN pg_roles r WHERE c.relkind = 'r' "
            "AND c.relnamespace = 'public'::regnamespace AND r.rolname = ANY (%s)",
            [[*_ASKED, "fa_backup"]],
        )
        found = {(table, role): rights for table, role, *rights in cursor.fetchall()}
    differences = []
    for row in declared_grants():
        is_of_backups = row.grant_class is GrantClass.BACKUP_APPEND
        for role in (*_ASKED, "fa_backup") if is_of_backups else _ASKED:
            wanted = _wanted(row, role)
            if found.get((row.table, role)) != wanted:
                differences.append(f"{row.table} for {role}")
    return differences + _column_differences()


def _column_differences() -> list[str]:
    """Columns that a run-time role may update beside its table's grant class, or may not."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.relname, r.rolname, a.attname, "
            "has_column_privilege(r.rolname, c.oid, a.attnum, 'UPDATE') "
            "FROM pg_class c CROSS JOIN pg_roles r JOIN pg_attribute a ON a.attrelid = c.oid "
            "AND a.attnum > 0 AND NOT a.attisdropped WHERE c.relkind = 'r' "
            "AND c.relnamespace = 'public'::regnamespace AND r.rolname = ANY (%s)",
            [[*_ASKED, "fa_worker"]],
        )
        held = cursor.fetchall()
    declared = {row.table: row for row in declared_grants()}
    return sorted(
        f"{table}.{column} for {role}"
        for table, role, column, may in held
        if table in declared and may != _may_update(declared[table], role, column)
    )


def _may_update(row: TableGrant, role: str, column: str) -> bool:
    is_named = not row.columns or column in row.columns
    match row.grant_class:
        case GrantClass.MUTABLE | GrantClass.FRAMEWORK:
            return is_named or (role != "fa_app" and column in row.reported)
        case GrantClass.GATEWAY:
            return is_named and role == "fa_gateway"
    return False


def _wanted(row: TableGrant, role: str) -> list[bool]:
    is_gateway = role == "fa_gateway"
    match row.grant_class:
        case GrantClass.APPEND_ONLY:
            return [True, False, row.deletes, False]
        case GrantClass.MUTABLE | GrantClass.FRAMEWORK:
            return [True, True, row.deletes, False]
        case GrantClass.GATEWAY:
            return [is_gateway or row.app_inserts, is_gateway, row.deletes and is_gateway, False]
        case GrantClass.GATEWAY_APPEND:
            return [is_gateway, False, row.deletes, False]
        case GrantClass.BACKUP_APPEND:
            return [role == "fa_backup", False, False, False]
        case GrantClass.READ_ONLY | GrantClass.OWNER_ONLY:
            return [False, False, False, False]
