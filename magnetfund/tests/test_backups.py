"""Backups: one snapshot, useless without the key, refused when changed, proven by a restore."""

from __future__ import annotations

import io
import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import connections

from magnetfund.core.actors import Actor
from magnetfund.core.services.audit import record_audit
from magnetfund.kernel.clock import utc_now
from magnetfund.kernel.errors import Conflict, FundError, InvalidInput, Unavailable
from magnetfund.operations.backups import make
from magnetfund.operations.backups.container import (
    DamagedBackup,
    Reader,
    Writer,
    make_key,
    read_key,
)
from magnetfund.operations.backups.make import make_backup
from magnetfund.operations.backups.manifest import Manifest, find_differences, read_state
from magnetfund.operations.backups.restore import restore_database, restore_home, unpack
from magnetfund.operations.backups.retention import choose_kept
from magnetfund.operations.backups.runs import (
    find_unproven,
    read_health,
    record_backup,
    record_check,
)
from magnetfund.operations.backups.storage import Folder, remove_expired
from magnetfund.operations.management.commands.run_backups import choose_next, run_due
from magnetfund.operations.models import Backup, BackupCheck
from magnetfund.operations.servers.home import LaunchError

KEY = bytes(range(32))
AT = datetime(2026, 1, 31, 0, 0, tzinfo=UTC)


def sealed(entries: dict[str, bytes], key: bytes = KEY) -> bytes:
    handle = io.BytesIO()
    writer = Writer(handle, key=key)
    for name, data in entries.items():
        writer.add(name, io.BytesIO(data))
    writer.close()
    return handle.getvalue()


def opened(data: bytes, key: bytes = KEY) -> dict[str, bytes]:
    return {n: b"".join(blocks) for n, blocks in Reader(io.BytesIO(data), key=key).entries()}


class TestContainer:
    @pytest.mark.parametrize("size", [0, 1, (1 << 20) - 30, 1 << 20, 3 * (1 << 20) + 7])
    def test_what_goes_in_comes_out(self, size: int) -> None:
        entries = {"manifest.json": b"{}", "files/keys/a": bytes(i % 251 for i in range(size))}
        assert opened(sealed(entries)) == entries

    def test_the_content_is_not_in_the_file(self) -> None:
        assert b"a passport number" not in sealed({"a": b"a passport number" * 50})

    def test_equal_content_gives_other_bytes(self) -> None:
        assert sealed({"a": b"x" * 100}) != sealed({"a": b"x" * 100})

    def test_another_key_is_refused_by_its_name(self) -> None:
        with pytest.raises(DamagedBackup, match="another key"):
            opened(sealed({"a": b"x"}), key=bytes(32))

    def test_every_flipped_byte_is_refused(self) -> None:
        data = sealed({"a": b"some rows" * 40})
        for place in range(len(data)):
            changed = bytearray(data)
            changed[place] ^= 1
            with pytest.raises(DamagedBackup):
                opened(bytes(changed))

    def test_every_cut_is_refused(self) -> None:
        data = sealed({"a": b"some rows" * 40})
        for length in range(len(data)):
            with pytest.raises(DamagedBackup):
                opened(data[:length])

    def test_a_tail_or_a_moved_chunk_is_refused(self) -> None:
        data = sealed({"a": bytes(3 << 20)})
        with pytest.raises(DamagedBackup):
            opened(data + b"x")
        start = data.index(b"}") + 1
        chunk = 4 + (1 << 20) + 16
        first, second = data[start : start + chunk], data[start + chunk : start + 2 * chunk]
        with pytest.raises(DamagedBackup):
            opened(data[:start] + second + first + data[start + 2 * chunk :])

    def test_a_key_is_made_once_and_only_its_owner_reads_it(self, tmp_path: Path) -> None:
        path = tmp_path / "backup.key"
        assert make_key(path)
        kept = read_key(path)
        assert not make_key(path)
        assert read_key(path) == kept
        assert path.stat().st_mode & 0o777 == 0o600

    def test_a_wrong_key_file_is_one_clear_line(self, tmp_path: Path) -> None:
        (tmp_path / "short").write_text("abc")
        for name in ("missing", "short"):
            with pytest.raises(InvalidInput) as found:
                read_key(tmp_path / name)
            assert found.value.code == "backup_key"


class TestRetention:
    def test_thirty_days_twelve_weeks_twelve_months(self) -> None:
        days = [AT - timedelta(days=n) for n in range(800)]
        kept = choose_kept(days)
        assert {AT - timedelta(days=n) for n in range(30)} <= kept
        months = {(at.year, at.month) for at in kept}
        assert months == {(2025, m) for m in range(2, 13)} | {(2026, 1)}
        assert len({at.isocalendar()[:2] for at in kept}) >= 12
        assert len(kept) < 30 + 12 + 12

    def test_the_newest_of_a_day_is_kept_and_gaps_use_up_no_place(self) -> None:
        morning, evening = AT.replace(hour=6), AT.replace(hour=18)
        assert choose_kept([morning, evening]) == {evening}
        yearly = [AT - timedelta(days=365 * n) for n in range(20)]
        assert len(choose_kept(yearly)) == 20

    def test_files_of_others_are_left_alone(self, tmp_path: Path) -> None:
        for n in range(40):
            (tmp_path / f"magnetfund-{AT - timedelta(hours=n):%Y%m%dT%H%M%SZ}.mfbackup").touch()
        (tmp_path / "notes.txt").touch()
        gone = remove_expired(Folder(tmp_path))
        assert len(gone) == 37
        assert len(Folder(tmp_path).list()) == 3
        assert (tmp_path / "notes.txt").exists()


def test_a_missed_midnight_is_caught_up_soon_after_the_start() -> None:
    noon = AT.replace(hour=12)
    assert choose_next(now=noon, started_at=noon, last=None) == noon + timedelta(minutes=10)
    stale = AT - timedelta(hours=1)
    assert choose_next(now=noon, started_at=noon, last=stale) == noon + timedelta(minutes=10)
    fresh = AT + timedelta(seconds=5)
    assert choose_next(now=noon, started_at=noon, last=fresh) == AT + timedelta(days=1)


@pytest.fixture
def place(as_backups: None, tmp_path: Path, settings: object) -> Path:
    settings.MAGNET_HOME = tmp_path / "home"  # type: ignore[attr-defined]
    settings.BACKUP_FOLDER = tmp_path / "backups"  # type: ignore[attr-defined]
    settings.BACKUP_KEY_FILE = tmp_path / "backup.key"  # type: ignore[attr-defined]
    (tmp_path / "home" / "keys").mkdir(parents=True)
    (tmp_path / "home" / "keys" / "jwt-public.pem").write_text("a public key")
    (tmp_path / "home" / "secrets.json").write_text("never in a backup")
    make_key(tmp_path / "backup.key")
    for number in range(5):
        record_audit(actor=Actor.system("test"), action=f"test.{number}", body={"n": "ü\n\t\\"})
    return tmp_path


def test_the_commands_back_up_and_restore_to_the_same_rows_and_the_row_says_so(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call_command("backup")
    call_command("verify_backup")
    call_command("list_backups")
    said = capsys.readouterr().out
    assert "Backup made" in said
    assert "all books are as they were" in said
    assert "clean" in said
    row, check = Backup.objects.get(), BackupCheck.objects.get()
    assert check.differences == []
    assert check.is_clean
    assert check.row_count == row.row_count > 5
    health = read_health(at=row.made_at + timedelta(hours=25))
    assert not health.is_alarm
    assert health.proven_at == row.made_at
    assert read_health(at=row.made_at + timedelta(hours=27)).is_alarm
    with pytest.raises(CommandError, match="no backup"):
        call_command("verify_backup", str(place / "none.mfbackup"))


@pytest.mark.drill
def test_every_backup_is_restored_whoever_made_it(place: Path) -> None:
    now = utc_now()
    row = record_backup(reason="migration", actor=Actor.system("test"))
    assert find_unproven() == place / "backups" / row.name
    before = os.umask(0o077)  # as every process of the supervisor has
    try:
        assert run_due(now=now, started_at=now), "no new one is due; the one before a migration is"
    finally:
        os.umask(before)
    assert BackupCheck.objects.get().sha256 == row.sha256
    assert BackupCheck.objects.get().is_clean
    assert find_unproven() is None
    assert run_due(now=now, started_at=now)
    assert (Backup.objects.count(), BackupCheck.objects.count()) == (1, 1)


@pytest.mark.drill
@pytest.mark.usefixtures("traded_month")
def test_a_backup_from_before_a_migration_is_proven_by_the_version_after_it(place: Path) -> None:
    connections["default"].close()
    call_command("migrate", "investors", "0016", database="owner", verbosity=0)
    row = record_backup(reason="migration", actor=Actor.system("test"))
    check, result = record_check(path=place / "backups" / row.name)
    assert not any(name.startswith("investors.0017") for name in result.manifest.migrations)
    assert check.is_clean, check.differences


@pytest.mark.drill
def test_numbers_taken_while_the_dump_runs_do_not_spoil_its_proof(
    place: Path, fresh_database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    superuser = fresh_database.dsn("postgres", "fresh")

    def dump_late(*given: Any, **named: Any) -> None:
        with psycopg.connect(superuser) as connection:
            connection.execute("SELECT nextval('core_heartbeat_id_seq')")
        dump(*given, **named)

    dump = make._dump
    monkeypatch.setattr(make, "_dump", dump_late)
    row = record_backup(reason="command", actor=Actor.system("test"))
    check, result = record_check(path=place / "backups" / row.name)
    assert check.is_clean, check.differences
    ahead = {**result.manifest.sequences, "core_heartbeat_id_seq": 10**6}
    with psycopg.connect(superuser) as connection:
        found = read_state(connection)
    lines = find_differences(replace(result.manifest, sequences=ahead), found)
    assert "sequence core_heartbeat_id_seq is behind" in lines


def test_a_scratch_server_that_does_not_start_is_on_record(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: object) -> None:
        raise LaunchError("initdb failed: no room")

    monkeypatch.setattr("magnetfund.operations.servers.postgres.Postgres.start", refuse)
    record_backup(reason="command", actor=Actor.system("test"))
    assert not run_due(now=utc_now(), started_at=utc_now())
    check = BackupCheck.objects.get()
    assert (check.is_clean, check.differences) == (False, ["initdb failed: no room"])


def test_a_backup_whose_file_is_gone_is_not_tried(place: Path) -> None:
    row = record_backup(reason="command", actor=Actor.system("test"))
    (place / "backups" / row.name).unlink()
    assert find_unproven() is None


@pytest.mark.drill
def test_a_restored_home_starts_with_the_same_books_and_files(place: Path) -> None:
    row = record_backup(reason="command", actor=Actor.system("test"))
    path, key = place / "backups" / row.name, read_key(place / "backup.key")
    root = place / "restored"
    result = restore_home(path=path, key=key, root=root)
    assert result.is_clean, result.differences
    assert (root / "keys" / "jwt-public.pem").read_text() == "a public key"
    assert "never in a backup" not in (root / "secrets.json").read_text()
    with pytest.raises(Conflict) as found:
        restore_home(path=path, key=key, root=root)
    assert found.value.code == "live_target"


def test_a_live_database_is_never_filled(place: Path, fresh_database: object) -> None:
    row = record_backup(reason="command", actor=Actor.system("test"))
    content = place / "content"
    content.mkdir()
    backup = unpack(
        place / "backups" / row.name, key=read_key(place / "backup.key"), folder=content
    )
    with pytest.raises(Conflict) as found:
        restore_database(backup, dsn=fresh_database.dsn("fa_owner", "fresh"))  # type: ignore[attr-defined]
    assert found.value.code == "live_target"


def test_a_row_changed_after_the_restore_is_named(place: Path, fresh_database: object) -> None:
    row = record_backup(reason="command", actor=Actor.system("test"))
    fresh_database.make_database("other")  # type: ignore[attr-defined]
    content = place / "content"
    content.mkdir()
    backup = unpack(
        place / "backups" / row.name, key=read_key(place / "backup.key"), folder=content
    )
    dsn = fresh_database.dsn("fa_owner", "other")  # type: ignore[attr-defined]
    assert restore_database(backup, dsn=dsn) == []
    superuser = fresh_database.dsn("postgres", "other")  # type: ignore[attr-defined]
    with psycopg.connect(superuser) as connection:
        connection.execute("ALTER TABLE core_auditevent DISABLE TRIGGER USER")
        connection.execute("UPDATE core_auditevent SET action = 'test.x' WHERE seq = 2")
    with psycopg.connect(dsn) as connection:
        lines = find_differences(backup.manifest, read_state(connection))
    assert [line for line in lines if "core_auditevent" in line]
    with psycopg.connect(superuser.replace("/other", "/postgres"), autocommit=True) as connection:
        connection.execute("DROP DATABASE other WITH (FORCE)")


def test_a_damaged_backup_is_refused_recorded_and_leaves_nothing(place: Path) -> None:
    row = record_backup(reason="command", actor=Actor.system("test"))
    path = place / "backups" / row.name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(DamagedBackup):
        record_check(path=path)
    assert not BackupCheck.objects.get().is_clean
    assert read_health(at=row.made_at).is_alarm
    with pytest.raises(DamagedBackup):
        restore_home(path=path, key=read_key(place / "backup.key"), root=place / "new")
    assert not (place / "new").exists()


def test_a_newer_schema_is_refused_by_its_name(place: Path) -> None:
    made = record_backup(reason="command", actor=Actor.system("test"))
    content = opened(
        (place / "backups" / made.name).read_bytes(), key=read_key(place / "backup.key")
    )
    manifest = Manifest.of_bytes(content["manifest.json"])
    object.__setattr__(manifest, "migrations", (*manifest.migrations, "risk.9999_future"))
    content["manifest.json"] = manifest.to_bytes()
    (place / "newer.mfbackup").write_bytes(sealed(content, key=read_key(place / "backup.key")))
    with pytest.raises(InvalidInput, match="newer version") as found:
        record_check(path=place / "newer.mfbackup")
    assert found.value.code == "newer_schema"


def test_without_room_for_the_file_the_attempt_is_recorded_and_nothing_stays(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_args: object, **_named: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("magnetfund.operations.backups.make.Writer.close", full)
    with pytest.raises(Unavailable, match="No space left"):
        record_backup(reason="schedule", actor=Actor.system("test"))
    assert not Backup.objects.get().is_complete
    assert list((place / "backups").iterdir()) == []


def test_a_table_that_the_role_may_not_read_fails_the_attempt_by_name(
    place: Path, fresh_database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "magnetfund.operations.backups.runs.dump_dsn",
        lambda: fresh_database.dsn("fa_app", "fresh"),
    )
    with pytest.raises(Unavailable, match="permission denied for table") as found:
        record_backup(reason="schedule", actor=Actor.system("test"))
    assert found.value.code == "backup_failed"
    row = Backup.objects.get()
    assert (row.is_complete, row.detail) == (False, found.value.message)
    assert list((place / "backups").iterdir()) == []
    assert read_health(at=row.made_at).words.startswith("The last backup failed: permission")


def test_a_failing_dump_says_its_reason_without_the_password(place: Path) -> None:
    dsn = "host=127.0.0.1 port=1 dbname=none user=fa_owner password=secretword"
    with pytest.raises((FundError, psycopg.OperationalError)) as found:
        make_backup(
            dsn=dsn, root=place / "home", folder=place / "backups", key=KEY, at=AT,
            version="1", mode="test",
        )  # fmt: skip
    assert "secretword" not in str(found.value)
    assert list((place / "backups").iterdir()) == []
