"""Background jobs and backups run whole as roles of their own, which may do little else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.conf import settings as live_settings
from django.db import connection

from magnetfund.core.actors import Actor
from magnetfund.core.models import AuditEvent, JobRun
from magnetfund.core.roles import Role
from magnetfund.core.services.jobs import beat_heart
from magnetfund.env import parse_database_url
from magnetfund.operations import tasks
from magnetfund.operations.backups.container import make_key
from magnetfund.operations.backups.runs import backup_folder, record_backup, record_check
from magnetfund.operations.schedule import PERIODS
from magnetfund.operations.table_walls import NOT_BY_WORKER
from magnetfund.tests.walls_support import (
    arm_fuse,
    make_engine_ready,
    make_instrument,
    make_user,
    trip_fuse,
)


@contextmanager
def signed_in_as(cluster: Any, role: str) -> Iterator[dict[str, Any]]:
    """The default connection as another role; yields its settings."""
    before = dict(connection.settings_dict)
    connection.close()
    connection.settings_dict.update(parse_database_url("test", cluster.dsn(role, "fresh")))
    try:
        yield connection.settings_dict
    finally:
        connection.close()
        connection.settings_dict.update(before)


def test_every_job_ends_well_as_the_worker(as_gateway: None, fresh_database: Any):
    make_instrument()
    arm_fuse(make_user("ann", Role.RISK_OFFICER), make_user("ben", Role.RISK_OFFICER))
    make_engine_ready()
    trip_fuse()
    with signed_in_as(fresh_database, "fa_worker"):
        for name in PERIODS:
            getattr(tasks, name)()
        tasks.research_queue()
        states = dict(JobRun.objects.values_list("job", "state"))
    assert states == dict.fromkeys(PERIODS, JobRun.State.DONE)
    assert AuditEvent.objects.filter(action__startswith="fuse.").exists(), "the stop has its line"


@pytest.mark.parametrize("table", NOT_BY_WORKER)
def test_the_worker_writes_no_row_of_people_approvals_money_and_orders(
    module_database: Any, table: str
):
    dsn = module_database.dsn("fa_worker", "module")
    with psycopg.connect(dsn) as session:
        (name,) = session.execute(
            "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 "
            "AND NOT attisdropped ORDER BY attnum LIMIT 1",
            [table],
        ).fetchone() or ("",)
        session.commit()
        # The web's grants, taken up by SET ROLE, change nothing: who signed in is what counts.
        for role in ("fa_worker", "fa_app"):
            for statement in (
                f"INSERT INTO {table} SELECT * FROM {table}",
                f'UPDATE {table} SET "{name}" = "{name}"',
                f"DELETE FROM {table}",
            ):
                session.execute(f"SET ROLE {role}".encode())
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    session.execute(statement.encode())
                session.rollback()


def test_a_backup_is_made_and_proven_by_its_own_role(
    fresh_database: Any, tmp_path: Path, settings: Any
):
    settings.MAGNET_HOME = tmp_path / "home"
    settings.BACKUP_FOLDER = tmp_path / "backups"
    settings.BACKUP_KEY_FILE = tmp_path / "backup.key"
    make_key(tmp_path / "backup.key")
    with signed_in_as(fresh_database, "fa_backup") as values:
        settings.DUMP_DATABASE = values
        assert live_settings.DUMP_DATABASE["USER"] == "fa_backup"
        row = record_backup(reason="schedule", actor=Actor.system("backup"))
        check, _ = record_check(path=backup_folder() / row.name)
        beat_heart(part="backups", instance="main")
        beat_heart(part="backups", instance="main")
    assert check.is_clean
    assert check.row_count == row.row_count > 0


def test_the_backups_role_writes_what_a_backup_records_and_nothing_else(module_database: Any):
    with psycopg.connect(module_database.dsn("fa_backup", "module")) as session:
        rows = session.execute(
            "SELECT c.relname FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace "
            "AND c.relkind = 'r' AND (has_table_privilege(c.oid, 'INSERT') "
            "OR has_any_column_privilege(c.oid, 'UPDATE') OR has_table_privilege(c.oid, 'DELETE') "
            "OR has_table_privilege(c.oid, 'TRUNCATE'))"
        ).fetchall()
        unread = session.execute(
            "SELECT c.relname FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace "
            "AND c.relkind IN ('r', 'S') AND NOT has_table_privilege(c.oid, 'SELECT')"
        ).fetchall()
    assert {name for (name,) in rows} == {
        "core_auditevent", "core_heartbeat", "operations_backup", "operations_backupcheck",
        "operations_backupcopy",
    }  # fmt: skip
    assert unread == []
