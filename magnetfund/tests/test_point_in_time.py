"""A restore to a minute: a copy of the cluster and its log, and whatever is wrong with either."""

from __future__ import annotations

import os
import re
import shutil
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.conf import settings as live_settings
from django.core.management import CommandError, call_command

from magnetfund.env import parse_bucket_url
from magnetfund.kernel.clock import utc_now
from magnetfund.kernel.errors import FundError, InvalidInput
from magnetfund.operations.backups import log_runs, point_in_time
from magnetfund.operations.backups.bucket import PART_BYTES, Bucket
from magnetfund.operations.backups.copies import read_log_copy_health, record_log_copy
from magnetfund.operations.backups.log import (
    BASE,
    LOG,
    list_bases,
    log_folder,
    make_base,
    next_segment,
    remove_old,
    seal_files,
    seal_waiting,
)
from magnetfund.operations.backups.log_bucket import BASES, FOLDER, SEGMENTS, LogSender
from magnetfund.operations.backups.log_runs import prove_if_due, read_log_health
from magnetfund.operations.backups.point_in_time import choose_instant, find_log, restore_to
from magnetfund.operations.backups.runs import read_health
from magnetfund.operations.checkup import check_copies
from magnetfund.operations.management.commands.restore import read_instant
from magnetfund.operations.servers.home import Home
from magnetfund.operations.servers.postgres import DATABASE, Postgres
from magnetfund.tests.s3_server import KEY_ID, REGION, SECRET, S3Server, running_s3
from magnetfund.web.desk.open_work.upkeep import SOURCES

KEY = bytes(range(32))


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A folder of backups, and the instants between what was written."""

    folder: Path
    log: Path
    after_first: datetime
    after_second: datetime
    document: bytes


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    """Rows before the copy, after it, and later; the home they were in is destroyed."""
    base = tmp_path_factory.mktemp("kept")
    root, folder = base / "home", base / "backups"
    home = Home(root)
    server = Postgres(home)
    (root / "documents").mkdir()
    (root / "documents" / "a").write_bytes(b"before the copy")
    known: dict[str, int] = {}
    try:
        server.start()
        log = log_folder(folder, server.data)
        with psycopg.connect(server.dsn("fa_owner"), autocommit=True) as owner:
            owner.execute("CREATE TABLE entry (word text)")
            owner.execute("INSERT INTO entry VALUES ('before the copy')")
            log.mkdir(parents=True)
            make_base(dsn=server.dsn("fa_backup"), root=root, folder=log, key=KEY)
            time.sleep(1.1)
            owner.execute("INSERT INTO entry VALUES ('first')")
            (root / "documents" / "b").write_bytes(b"after the copy")
            seal_files(root=root, folder=log, key=KEY, known=known, at=datetime.now(UTC))
            time.sleep(1.1)
            first = datetime.now(UTC)
            time.sleep(0.2)
            owner.execute("INSERT INTO entry VALUES ('second')")
            time.sleep(0.2)
            second = datetime.now(UTC)
            owner.execute("INSERT INTO entry VALUES ('third')")
        with psycopg.connect(server.dsn("postgres"), autocommit=True) as superuser:
            row = superuser.execute("SELECT pg_walfile_name(pg_current_wal_lsn())").fetchone()
            superuser.execute("SELECT pg_switch_wal()")
        last = log / f"{row[0]}{LOG}"
        deadline = time.monotonic() + 60
        while not last.exists() and time.monotonic() < deadline:
            seal_waiting(handed_over=server.handed_over, folder=log, key=KEY)
            time.sleep(0.1)
        assert last.exists()
    finally:
        server.stop()
    shutil.rmtree(root)
    shutil.rmtree(home.cluster, ignore_errors=True)
    return Kept(
        folder=folder, log=log, after_first=first, after_second=second, document=b"after the copy"
    )


@pytest.fixture(autouse=True)
def _without_books(monkeypatch: pytest.MonkeyPatch) -> None:
    """The little table has no books; what checks them is tested with the nightly backup."""
    monkeypatch.setattr(point_in_time, "check_books", lambda environment: [])


def restored_words(root: Path, kept: Kept, target: datetime) -> list[str]:
    restore_to(folder=find_log(kept.folder, target), key=KEY, root=root, target=target)
    server = Postgres(Home(root))
    try:
        server.start()
        with psycopg.connect(server.dsn("fa_owner", DATABASE)) as owner:
            return [row[0] for row in owner.execute("SELECT word FROM entry ORDER BY 1")]
    finally:
        server.stop()
        shutil.rmtree(server.home.sockets, ignore_errors=True)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "new"


def test_a_home_comes_back_as_it_was_between_two_rows(kept: Kept, place: Path):
    began = time.monotonic()
    assert restored_words(place, kept, kept.after_first) == ["before the copy", "first"]
    assert (place / "documents" / "b").read_bytes() == kept.document
    assert time.monotonic() - began < 120
    with pytest.raises(FundError) as found:
        restore_to(folder=kept.log, key=KEY, root=place, target=kept.after_first)
    assert found.value.code == "live_target"


def test_another_instant_of_the_same_log_holds_one_row_more(kept: Kept, place: Path):
    words = restored_words(place, kept, kept.after_second)
    assert words == ["before the copy", "first", "second"]


def refused(kept: Kept, place: Path, *, key: bytes = KEY, target: datetime | None = None) -> str:
    with pytest.raises(FundError) as found:
        restore_to(folder=kept.log, key=key, root=place, target=target or kept.after_first)
    return found.value.code


def test_the_wrong_key_a_missing_segment_and_a_changed_byte_restore_nothing(
    kept: Kept, place: Path
):
    assert refused(kept, place / "a", key=bytes(32)) == "backup_key"
    assert refused(kept, place / "b", target=datetime.now(UTC) + timedelta(days=1)) == "log_ends"
    early = list_bases(kept.log)[0].ended_at - timedelta(hours=1)
    assert refused(kept, place / "c", target=early) == "no_base"
    segments = sorted(kept.log.glob(f"0*{LOG}"))
    needed = next(
        path for path in segments if path.name.startswith(list_bases(kept.log)[0].segment)
    )
    data = needed.read_bytes()
    try:
        needed.write_bytes(data[:-20] + bytes([data[-20] ^ 1]) + data[-19:])
        assert refused(kept, place / "d") == "backup_damaged"
        needed.unlink()
        assert refused(kept, place / "e") == "missing_segment"
    finally:
        needed.write_bytes(data)
        needed.chmod(0o600)
    for name in "abcde":
        found = place / name / "servers" / "postgres"
        assert not found.exists()


@pytest.mark.usefixtures("as_backups")
def test_the_copy_and_its_log_are_restored_once_a_day_and_the_row_says_so(
    kept: Kept, place: Path, monkeypatch: pytest.MonkeyPatch
):
    place.mkdir()
    monkeypatch.setattr(log_runs, "own_log", lambda waiting: kept.log)
    monkeypatch.setattr(log_runs, "read_key", lambda path: KEY)
    monkeypatch.setattr(log_runs, "choose_instant", lambda folder: None)
    assert prove_if_due(place, now=utc_now()) is None, "the log is too short to say how far it goes"
    monkeypatch.setattr(log_runs, "choose_instant", lambda folder: kept.after_first)
    base = list_bases(kept.log)[0]
    row = prove_if_due(place, now=utc_now())
    assert row is not None
    assert (row.is_clean, row.differences) == (True, [])
    assert row.name == f"{base.path.name} to {kept.after_first:%H:%M:%S}"
    assert prove_if_due(place, now=utc_now()) is None, "once a day"
    assert read_log_health(place, at=utc_now()).proof == row
    assert not read_health(at=utc_now()).words.startswith("The last restore test")

    needed = kept.log / f"{base.segment}{LOG}"
    needed.rename(place / "away")
    try:
        tomorrow = prove_if_due(place, now=utc_now() + timedelta(days=1))
    finally:
        (place / "away").rename(needed)
    assert tomorrow is not None
    assert not tomorrow.is_clean
    assert base.segment in tomorrow.differences[0]


def test_the_instant_lies_before_what_was_sealed_last(tmp_path: Path):
    began = datetime(2026, 3, 20, 12, tzinfo=UTC)
    (tmp_path / f"base-{began:%Y%m%dT%H%M%SZ}-{1:024X}{BASE}").touch()
    for minute in range(1, 4):
        assert choose_instant(tmp_path) is None
        path = tmp_path / f"{minute:024X}{LOG}"
        path.touch()
        at = (began + timedelta(minutes=minute)).timestamp()
        os.utime(path, (at, at))
    assert choose_instant(tmp_path) == began + timedelta(minutes=1)
    late = began + timedelta(minutes=2)
    (tmp_path / f"base-{late:%Y%m%dT%H%M%SZ}-{2:024X}{BASE}").touch()
    assert choose_instant(tmp_path) is None, "the newest copy is younger"


def test_sealed_segments_tell_nothing_and_leave_the_place_where_they_waited(kept: Kept):
    assert all(b"before the copy" not in path.read_bytes() for path in kept.log.iterdir())
    assert all(path.stat().st_mode & 0o077 == 0 for path in kept.log.iterdir())


def test_segments_are_counted_on_as_postgresql_names_them():
    assert next_segment("000000010000000000000003") == "000000010000000000000004"
    assert next_segment("0000000100000000000000FF") == "000000010000000100000000"


def test_a_week_is_kept_with_the_copy_that_it_begins_with(tmp_path: Path):
    now = datetime(2026, 3, 20, 12, tzinfo=UTC)
    names = {}
    for day, segment in ((1, 1), (12, 5), (15, 9), (20, 12)):
        at = datetime(2026, 3, day, tzinfo=UTC)
        path = tmp_path / f"base-{at:%Y%m%dT%H%M%SZ}-{segment:024X}{BASE}"
        path.touch()
        names[day] = path.name
    for segment in range(1, 14):
        (tmp_path / f"{segment:024X}{LOG}").touch()
    gone = remove_old(tmp_path, now=now)
    assert names[1] in gone
    assert names[12] not in gone
    left = sorted(path.name for path in tmp_path.glob(f"0*{LOG}"))
    assert left[0] == f"{5:024X}{LOG}"
    assert len(left) == 9


def test_a_time_without_a_zone_is_utc_and_nonsense_is_named():
    assert read_instant("2026-11-22 01:02:00") == datetime(2026, 11, 22, 1, 2, tzinfo=UTC)
    assert read_instant("2026-11-22T01:02:00+02:00").hour == 23
    with pytest.raises(InvalidInput):
        read_instant("yesterday")


@pytest.fixture(scope="module")
def running() -> Iterator[S3Server]:
    with running_s3() as server:
        yield server


# ---- the same log in a bucket, fetched by a machine that has nothing else ------------------------


@pytest.fixture
def s3(running: S3Server, settings: Any, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    running.__dict__.update({**S3Server().__dict__, "port": running.port})
    monkeypatch.setenv("BACKUP_S3_KEY_ID", KEY_ID)
    monkeypatch.setenv("BACKUP_S3_SECRET", SECRET)
    settings.BACKUP_BUCKET = parse_bucket_url("X", f"{running.url}/fund", region=REGION)
    return running


def sender_of(folder: Path, kinds: tuple[str, ...] = SEGMENTS) -> LogSender:
    def open_place() -> Bucket:
        pair = {"key_id": KEY_ID, "secret": SECRET, "retry_for": timedelta(seconds=1)}
        found = Bucket(live_settings.BACKUP_BUCKET, **pair)
        return found.within(f"{FOLDER}/{folder.name}")

    return LogSender(folder, kinds=kinds, open_place=open_place, stop=threading.Event())


def send_all(kept: Kept) -> list[LogSender]:
    senders = [sender_of(kept.log, kinds) for kinds in (SEGMENTS, BASES)]
    assert all(sender.look() for sender in senders)
    return senders


def restore_from_bucket(
    place: Path, settings: Any, target: datetime, key: bytes = KEY, *more: str
) -> None:
    settings.MAGNET_HOME = place
    path = place.parent / "backup.key"
    path.write_text(key.hex())
    words = ["--from", "bucket", "--to", target.isoformat(), "--key-file", str(path)]
    call_command("restore", *more, *words)


def test_a_lost_machine_comes_back_to_the_minute(
    kept: Kept, place: Path, s3: S3Server, settings: Any, capsys: Any
):
    send_all(kept)
    # A log of another cluster beside it, and a backup, are left alone.
    s3.objects["fund/log/7/base-20200101T000000Z-" + "0" * 24 + BASE] = b"another"
    s3.objects["fund/magnetfund-20260101T000000Z.mfbackup"] = b"a backup"
    restore_from_bucket(place, settings, kept.after_first)
    said = capsys.readouterr().out
    assert re.search(
        r"Fetched \d+ files, [\d,]+ bytes, from 127\.0\.0\.1:\d+/backups/fund in", said
    )
    assert "The books are clean." in said
    server = Postgres(Home(place))
    try:
        server.start()
        with psycopg.connect(server.dsn("fa_owner", DATABASE)) as owner:
            rows = owner.execute("SELECT word FROM entry ORDER BY 1").fetchall()
    finally:
        server.stop()
        shutil.rmtree(server.home.sockets, ignore_errors=True)
    assert rows == [("before the copy",), ("first",)]
    assert (place / "documents" / "b").read_bytes() == kept.document


@pytest.mark.parametrize("spoilt", ["gap", "byte", "key", "early", "file"])
def test_what_is_wrong_there_restores_nothing(
    kept: Kept, place: Path, s3: S3Server, settings: Any, spoilt: str
):
    send_all(kept)
    prefix = f"fund/log/{kept.log.name}/"
    base = list_bases(kept.log)[0]
    if spoilt == "gap":
        later = next_segment(next_segment(base.segment))
        first = s3.objects.pop(f"{prefix}{base.segment}{LOG}")
        s3.objects[f"{prefix}{later}{LOG}"] = first
    if spoilt == "byte":
        s3.change = lambda data: data[:-1] + bytes([data[-1] ^ 1])
    target = base.ended_at - timedelta(days=1) if spoilt == "early" else kept.after_first
    words = {"gap": base.segment, "byte": "damaged|changed", "key": "key", "early": "no_base"}
    key = bytes(32) if spoilt == "key" else KEY
    more = ["newest"] if spoilt == "file" else []
    with pytest.raises(CommandError, match=words.get(spoilt, "takes no file")):
        restore_from_bucket(place, settings, target, key, *more)
    assert not (place / "servers" / "postgres").exists()


def test_an_outage_is_caught_up_in_order_and_half_a_file_is_none(tmp_path: Path, s3: S3Server):
    data = os.urandom(2 * PART_BYTES + 9)
    for number, size in ((1, 9), (2, len(data)), (3, 9)):
        path = tmp_path / f"{number:024X}{LOG}"
        path.write_bytes(data[:size])
        os.utime(path, (number, number))
    sender = sender_of(tmp_path)
    s3.fails_after = 6  # in the middle of the second file's parts
    assert not sender.look()
    assert s3.uploads, "parts are there"
    assert [name.rpartition("/")[2] for name in s3.objects] == [f"{1:024X}{LOG}"]
    assert sender.waits_since == datetime.fromtimestamp(2, UTC)
    assert "127.0.0.1" in sender.error
    s3.fails_after = None
    assert sender.look()
    assert (sender.error, sender.waits_since) == ("", None)
    assert list(s3.objects.values()) == [data[:9], data, data[:9]]
    before = len(s3.requests)
    assert sender_of(tmp_path).look()
    assert len(s3.requests) - before == 1, "a new process sends nothing again"


def test_other_bytes_than_were_sent_do_not_count(tmp_path: Path, s3: S3Server):
    path = tmp_path / f"{1:024X}{LOG}"
    path.write_bytes(b"sealed")
    s3.change = lambda data: data[:-1] + b"?"
    sender = sender_of(tmp_path)
    assert not sender.look()
    assert (sender.sent, "gave back other bytes" in sender.error) == (None, True)


def test_the_bucket_keeps_as_long_as_the_disk(tmp_path: Path, s3: S3Server):
    now = utc_now()
    place = f"fund/log/{tmp_path.name}/"
    for days, segment in ((30, 1), (10, 4), (1, 6)):
        at = now - timedelta(days=days)
        s3.objects[f"{place}base-{at:%Y%m%dT%H%M%SZ}-{segment:024X}{BASE}"] = b""
    for segment in range(1, 8):
        s3.objects[f"{place}{segment:024X}{LOG}"] = b""
    sender = sender_of(tmp_path, BASES)
    sender._cleaned_at -= 3600
    assert sender.look()
    left = sorted(name.removeprefix(place) for name in s3.objects)
    assert left[:4] == [f"{segment:024X}{LOG}" for segment in range(4, 8)]
    assert len(left) == 6


@pytest.mark.usefixtures("as_backups")
def test_what_waits_too_long_is_a_task_and_fails_the_doctor(
    kept: Kept, s3: S3Server, monkeypatch: pytest.MonkeyPatch
):
    now = utc_now()
    assert record_log_copy([], now=now) is None
    s3.fails_after = 0
    late = sender_of(kept.log)
    assert not late.look()
    row = record_log_copy([late], now=late.waits_since + timedelta(minutes=6))  # type: ignore[operator]
    assert row is not None
    assert not row.is_verified
    (task,) = SOURCES["log_unsent"].select("main", now)
    assert "127.0.0.1" in task["words"]
    assert check_copies().state == "fail"
    s3.fails_after = None
    senders = send_all(kept)
    again = record_log_copy(senders, now=now)
    assert again is not None
    assert again.is_verified
    assert check_copies().state == "warn", "no backup is there yet"
    assert record_log_copy(senders, now=now) is None, "nothing new to say"
    assert not SOURCES["log_unsent"].select("main", now)
    health = read_log_copy_health(at=now + timedelta(hours=27))
    assert health is not None
    assert health.is_alarm, "no row of today means that nobody sends"
