"""What ``manage.py doctor`` looks at: one line a part, with what to do where something is wrong."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import redis
from django.conf import settings
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor

from investors.models import Fund
from investors.services.verification import find_broken_chain, find_unbalanced
from magnetfund.core.live import live_client
from magnetfund.core.models import Heartbeat, JobRun
from magnetfund.core.services.audit_check import find_audit_breaks
from magnetfund.kernel.clock import utc_now
from magnetfund.operations.backups.copies import read_copy_health, read_log_copy_health
from magnetfund.operations.backups.log_runs import handed_over, read_log_health
from magnetfund.operations.backups.runs import PROVEN_WITHIN, read_health
from magnetfund.operations.backups.server_log import read_archive_health
from magnetfund.operations.role_changes import has_director
from magnetfund.operations.roles import ROLE_NAMES, RUN_TIME_ROLES
from magnetfund.operations.signature_check import find_bad_signatures
from magnetfund.operations.walls import missing_triggers, privilege_differences
from magnetfund.operations.watch import LINE_DUE_AFTER
from risk.services.stop_audit import stops_without_line
from trading.services.candle_archive import find_missing_files
from trading.services.settlement import describe_unsettled, find_unsettled

DISK_FREE_MIN = 1_000_000_000
CLOCK_SKEW_MAX = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """``state`` is ok, warn or fail; a failure makes the command exit with 1."""

    part: str
    state: str
    words: str


def examine() -> list[Finding]:
    """Every finding; once the database is unreachable nothing that needs it is asked."""
    first = check_database()
    findings = [first]
    if first.state == "ok":
        findings += [check() for check in DATABASE_CHECKS]
    return [*findings, *(check() for check in OTHER_CHECKS)]


def check_database() -> Finding:
    began = time.perf_counter()
    try:
        with connection.cursor() as cursor:
            cursor.execute("SHOW server_version")
            version = cursor.fetchone()[0]
    except DatabaseError as error:
        return Finding(
            part="database", state="fail", words=f"not reachable: {str(error).splitlines()[0]}"
        )
    took = (time.perf_counter() - began) * 1000
    major = int(version.split(".")[0])
    if major < 15:
        return Finding(
            part="database", state="fail", words=f"PostgreSQL {version}; 15 or newer is required"
        )
    return Finding(part="database", state="ok", words=f"PostgreSQL {version}, {took:.1f} ms")


def check_roles() -> Finding:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT rolname, rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = ANY(%s)",
            [list(ROLE_NAMES)],
        )
        found = dict(cursor.fetchall())
        cursor.execute(
            "SELECT count(*) FROM pg_tables WHERE schemaname = 'public' AND tableowner = ANY(%s)",
            [list(RUN_TIME_ROLES)],
        )
        (owned,) = cursor.fetchone()
    missing = [role for role in ROLE_NAMES if role not in found]
    strong = [role for role, is_strong in found.items() if is_strong]
    if missing or strong or owned:
        words = "; ".join(
            part
            for part in (
                f"missing {', '.join(missing)}" if missing else "",
                f"too many privileges: {', '.join(strong)}" if strong else "",
                f"{owned} tables are owned by run-time roles" if owned else "",
            )
            if part
        )
        return Finding(part="roles", state="fail", words=words)
    return Finding(part="roles", state="ok", words=f"{len(ROLE_NAMES)} login roles are separate")


def check_walls() -> Finding:
    triggers, grants = missing_triggers(), privilege_differences()
    if triggers or grants:
        return Finding(
            part="walls",
            state="fail",
            words=f"{len(triggers)} triggers and {len(grants)} grants differ: "
            f"{', '.join([*triggers, *grants][:3])}; run migrate as the owner",
        )
    return Finding(part="walls", state="ok", words="every trigger and grant is in force")


def check_migrations() -> Finding:
    executor = MigrationExecutor(connection)
    waiting = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if waiting:
        return Finding(
            part="migrations",
            state="fail",
            words=f"{len(waiting)} migrations not applied; run migrate",
        )
    return Finding(part="migrations", state="ok", words="current")


def check_ledger() -> Finding:
    problems: list[str] = []
    funds = list(Fund.objects.all())
    for fund in funds:
        problems += find_unbalanced(fund) + find_broken_chain(fund)
    if problems:
        return Finding(part="ledger", state="fail", words=problems[0])
    return Finding(
        part="ledger", state="ok", words=f"{len(funds)} funds: entries balance, hash chains intact"
    )


def check_stops() -> Finding:
    """Every stop of the fund has its audit line a minute after it."""
    untold = stops_without_line(before=utc_now() - LINE_DUE_AFTER)
    if untold:
        return Finding(
            part="stops",
            state="fail",
            words=f"{len(untold)} stops of the fund have no audit line; is the worker running?",
        )
    return Finding(part="stops", state="ok", words="every stop has its audit line")


def check_audit() -> Finding:
    breaks = find_audit_breaks(limit=1)
    if breaks:
        return Finding(part="audit", state="fail", words=breaks[0])
    return Finding(part="audit", state="ok", words="hash chain intact")


def check_signatures() -> Finding:
    problems = find_bad_signatures()
    if problems:
        return Finding(part="signatures", state="fail", words=problems[0])
    if settings.IS_PRODUCTION and not has_director():
        words = "no director: an administrator alone gives and takes roles, and no one signs for it"
        return Finding(part="signatures", state="warn", words=words)
    return Finding(part="signatures", state="ok", words="every passkey's proof holds")


def _part_alive(part: str, limit: timedelta) -> Finding:
    beat = Heartbeat.objects.filter(part=part).order_by("-seen_at").first()
    if beat is None:
        return Finding(part=part, state="warn", words="no heartbeat received yet")
    age = utc_now() - beat.seen_at
    if age > limit:
        return Finding(
            part=part,
            state="warn",
            words=f"last heartbeat {int(age.total_seconds())} s ago; check that the process "
            f"is running",
        )
    return Finding(part=part, state="ok", words=f"heartbeat {int(age.total_seconds())} s ago")


def check_worker() -> Finding:
    return _part_alive("worker", timedelta(minutes=3))


def check_trader() -> Finding:
    return _part_alive("trader", timedelta(seconds=15))


def check_orders() -> Finding:
    """Orders whose outcome nobody saw, in every book."""
    found = list(find_unsettled()[:2])
    if not found:
        return Finding(part="orders", state="ok", words="no order in doubt")
    more = " (and more)" if len(found) > 1 else ""
    return Finding(part="orders", state="fail", words=f"{describe_unsettled(found[0])}{more}")


def check_watchdog() -> Finding:
    return _part_alive("watchdog", timedelta(seconds=15))


def check_beat() -> Finding:
    newest = JobRun.objects.order_by("-scheduled_for").first()
    if newest is None:
        return Finding(part="beat", state="warn", words="no scheduled job has run yet")
    age = int((utc_now() - newest.scheduled_for).total_seconds())
    return Finding(
        part="beat", state="ok" if age < 120 else "warn", words=f"last scheduled run {age} s ago"
    )


def check_broker() -> Finding:
    try:
        live_client().ping()
    except redis.RedisError as error:
        return Finding(part="broker", state="warn", words=f"not reachable: {type(error).__name__}")
    return Finding(part="broker", state="ok", words="reachable")


def check_backups() -> Finding:
    health = read_health(at=utc_now())
    running = Heartbeat.objects.filter(part="backups").exists()
    state = "ok" if not health.is_alarm else "fail" if running and health.newest else "warn"
    return Finding(part="backups", state=state, words=health.words)


def check_copies() -> Finding:
    """Whether the bucket, where one is set, gave back a backup of the last 26 hours."""
    health = read_copy_health(at=utc_now())
    if health is None:
        words = "no bucket is set: backups lie on this machine alone (BACKUP_S3_URL)"
        return Finding(part="copies", state="ok", words=words)
    running = health.newest is not None
    state = "ok" if not health.is_alarm else "fail" if running else "warn"
    log = read_log_copy_health(at=utc_now())
    if log is None:
        return Finding(part="copies", state=state, words=health.words)
    words = f"{health.words} {log.words}"
    return Finding(part="copies", state="fail" if log.is_alarm else state, words=words)


def check_log() -> Finding:
    """How far back and how near to now a restore to a minute reaches."""
    waiting = handed_over()
    if waiting is None:
        archive = read_archive_health()
        state = "fail" if archive.is_late else "ok" if archive.is_on else "warn"
        return Finding(part="log", state=state, words=archive.words)
    health = read_log_health(waiting, at=utc_now())
    if health.base is None or health.newest is None:
        words = "no copy of the cluster yet; a restore to a minute is not possible"
        return Finding(part="log", state="warn", words=words)
    words = f"restores to any minute from {health.base.ended_at:%d %b %Y, %H:%M} on"
    if health.proof is None:
        return Finding(part="log", state="fail" if health.is_late else "ok", words=words)
    is_proven = health.proof.is_clean and health.proof.checked_at > utc_now() - PROVEN_WITHIN
    said = "clean" if health.proof.is_clean else "NOT clean"
    return Finding(
        part="log",
        state="ok" if is_proven and not health.is_late else "fail",
        words=f"{words}; restored {health.proof.checked_at:%d %b, %H:%M}: {said}",
    )


def check_candles() -> Finding:
    problems = find_missing_files()
    if problems:
        words = f"{problems[0]}; bring it back from a backup, or its minutes cannot be read"
        return Finding(part="candles", state="fail", words=words)
    return Finding(part="candles", state="ok", words="every file of old minutes is there")


def check_disk() -> Finding:
    free = shutil.disk_usage(settings.MAGNET_HOME if settings.MAGNET_HOME.exists() else "/").free
    words = f"{free / 1e9:.1f} GB free"
    return Finding(part="disk", state="ok" if free > DISK_FREE_MIN else "fail", words=words)


def check_clock() -> Finding:
    with connection.cursor() as cursor:
        cursor.execute("SELECT extract(epoch FROM clock_timestamp())")
        skew = abs(float(cursor.fetchone()[0]) - time.time())
    state = "ok" if skew < CLOCK_SKEW_MAX else "fail"
    return Finding(
        part="clock", state=state, words=f"{skew * 1000:.0f} ms offset from the database clock"
    )


DATABASE_CHECKS: tuple[Callable[[], Finding], ...] = (
    check_migrations,
    check_roles,
    check_walls,
    check_ledger,
    check_audit,
    check_stops,
    check_signatures,
    check_trader,
    check_orders,
    check_watchdog,
    check_worker,
    check_beat,
    check_backups,
    check_copies,
    check_log,
    check_candles,
    check_clock,
)
OTHER_CHECKS: tuple[Callable[[], Finding], ...] = (check_broker, check_disk)
