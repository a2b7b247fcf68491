"""Backups in a bucket: signed, read back, kept by the same rules, restored from; faults are one
clear line."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as live_settings
from django.core.management import CommandError, call_command

from magnetfund.core.actors import Actor
from magnetfund.core.models import AuditEvent
from magnetfund.env import BadSetting, parse_bucket_url
from magnetfund.kernel.errors import FundError, NotFound
from magnetfund.operations.backups.bucket import PART_BYTES, Bucket, open_bucket
from magnetfund.operations.backups.container import make_key
from magnetfund.operations.backups.copies import (
    copy_if_due,
    find_uncopied,
    open_storage,
    read_copy_health,
)
from magnetfund.operations.backups.runs import record_backup
from magnetfund.operations.backups.storage import Folder, Storage, read_digest, remove_expired
from magnetfund.operations.management.commands.run_backups import keep_elsewhere
from magnetfund.operations.models import Backup, BackupCopy
from magnetfund.operations.parts import environment_of, platform_parts
from magnetfund.operations.servers.home import Home
from magnetfund.tests.s3_server import KEY_ID, REGION, SECRET, S3Server, running_s3

AT = datetime(2026, 1, 31, tzinfo=UTC)


@pytest.fixture(scope="module")
def running() -> Iterator[S3Server]:
    with running_s3() as server:
        yield server


@pytest.fixture
def s3(running: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    running.__dict__.update({**S3Server().__dict__, "port": running.port})
    monkeypatch.setenv("BACKUP_S3_KEY_ID", KEY_ID)
    monkeypatch.setenv("BACKUP_S3_SECRET", SECRET)
    return running


def bucket(s3: S3Server, url: str = "", **given: Any) -> Bucket:
    address = parse_bucket_url("BACKUP_S3_URL", url or f"{s3.url}/a fund/x", region=REGION)
    assert address is not None
    keys = {"key_id": KEY_ID, "secret": SECRET, "retry_for": timedelta(seconds=3), **given}
    return Bucket(address, **keys)


def file_of(folder: Path, at: datetime, data: bytes = b"sealed") -> Path:
    path = folder / f"magnetfund-{at:%Y%m%dT%H%M%SZ}.mfbackup"
    path.write_bytes(data)
    return path


class TestOneProtocol:
    @pytest.fixture(params=["disk", "bucket"])
    def storage(self, request: Any, tmp_path: Path, s3: S3Server) -> Storage:
        return Folder(tmp_path / "there") if request.param == "disk" else bucket(s3)

    def test_what_is_kept_is_listed_read_borrowed_and_removed(
        self, storage: Storage, tmp_path: Path
    ) -> None:
        names = [file_of(tmp_path, AT - timedelta(hours=n), bytes([n]) * 9) for n in range(5)]
        for path in names:
            storage.put(path)
        assert [item.name for item in storage.list()] == [path.name for path in names]
        assert storage.list()[1].made_at == AT - timedelta(hours=1)
        assert read_digest(storage, names[3].name) == hashlib.sha256(b"\3" * 9).hexdigest()
        with storage.borrow(names[2].name) as path:
            assert path.read_bytes() == b"\2" * 9
        assert len(remove_expired(storage, only=[names[2].name])) == 1
        assert [len(storage.list()), len(remove_expired(storage)), len(storage.list())] == [4, 2, 2]
        with pytest.raises(NotFound) as found:
            read_digest(storage, names[2].name)
        assert found.value.code == "no_backup"


class TestSigned:
    def test_a_large_file_goes_in_parts_and_a_failing_server_is_asked_again(
        self, s3: S3Server, tmp_path: Path
    ) -> None:
        data = os.urandom(2 * PART_BYTES + 99)
        path = file_of(tmp_path, AT, data)
        s3.failures = 2
        bucket(s3).put(path)
        assert s3.objects == {f"a fund/x/{path.name}": data}
        assert sum("partNumber" in line for line in s3.requests) >= 3
        assert s3.uploads == {}

    @pytest.mark.parametrize(
        ("given", "code", "words"),
        [
            ({"secret": "another"}, "bucket_key", "refuses the key of the bucket (SignatureDoes"),
            ({"key_id": "AKOTHER"}, "bucket_key", "refuses the key of the bucket (InvalidAccess"),
            ({"url": "/nobody/x"}, "no_bucket", "there is no bucket nobody at 127.0.0.1"),
            ({"url": "silent"}, "bucket_silent", "does not answer"),
        ],
    )
    def test_a_refusal_is_one_clear_line_without_a_key(
        self, s3: S3Server, tmp_path: Path, given: dict[str, str], code: str, words: str
    ) -> None:
        if given.get("url") == "silent":
            given = {"url": "http://127.0.0.1:1/backups"}
        elif "url" in given:
            given = {"url": f"http://127.0.0.1:{s3.port}{given['url']}"}
        store = bucket(s3, **given)
        for act in (store.list, lambda: store.put(file_of(tmp_path, AT))):
            with pytest.raises(FundError) as found:
                act()
            assert found.value.code == code
            assert words in found.value.message
            assert "\n" not in found.value.message
            assert not {SECRET, KEY_ID} & set(found.value.message.split())

    def test_a_key_without_a_right_is_told_which(self, s3: S3Server, tmp_path: Path) -> None:
        store, path = bucket(s3), file_of(tmp_path, AT)
        store.put(path)
        s3.may_delete = False
        with pytest.raises(FundError, match="the key may not delete in 127"):
            store.remove(path.name)

    def test_variables_of_the_machine_do_not_send_backups_elsewhere(
        self, s3: S3Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name, value in (
            ("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:1"),
            ("AWS_ENDPOINT_URL", "http://127.0.0.1:1"),
            ("AWS_ACCESS_KEY_ID", "AKOTHER"),
            ("AWS_SKIP_SIGNATURE", "true"),
        ):
            monkeypatch.setenv(name, value)
        assert bucket(s3).list() == []


class TestSettings:
    def test_the_address_holds_host_bucket_and_prefix(self) -> None:
        found = parse_bucket_url("X", "https://s3.example.com:9000/b/fund/one/", region="r")
        assert found is not None
        assert (found.endpoint, found.bucket, found.prefix) == (
            "https://s3.example.com:9000", "b", "fund/one",
        )  # fmt: skip
        assert found.place == "s3.example.com:9000/b/fund/one"
        assert parse_bucket_url("X", "", region="r") is None

    @pytest.mark.parametrize(
        "url", ["s3.example.com/b", "https://s3.example.com", "https://id:word@s3.example.com/b"]
    )
    def test_an_odd_address_stops_the_start_and_is_not_repeated(self, url: str) -> None:
        with pytest.raises(BadSetting) as found:
            parse_bucket_url("BACKUP_S3_URL", url, region="r")
        assert "word" not in found.value.message

    def test_without_a_pair_of_keys_the_variables_are_named(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("BACKUP_S3_SECRET", raising=False)
        address = parse_bucket_url("X", "https://s3.example.com/b", region="r")
        with pytest.raises(FundError, match="needs BACKUP_S3_KEY_ID and BACKUP_S3_SECRET"):
            open_bucket(address)

    def test_the_secret_reaches_the_backups_alone(self) -> None:
        everything = {part.url: "postgresql://x" for part in platform_parts(1, 2)}
        everything |= {"DATABASE_STOP_URL": "x", "SIGNER_KEY": "x", "BACKUP_S3_SECRET": SECRET}
        for part in platform_parts(1, 2):
            given = environment_of(part, everything)
            assert (SECRET in given.values()) == (part.name == "backups"), part.name


@pytest.fixture
def place(as_backups: None, tmp_path: Path, settings: Any, s3: S3Server) -> Path:
    settings.MAGNET_HOME = tmp_path / "home"
    settings.BACKUP_FOLDER = tmp_path / "backups"
    settings.BACKUP_KEY_FILE = tmp_path / "backup.key"
    settings.BACKUP_BUCKET = parse_bucket_url("X", f"{s3.url}/fund", region=REGION)
    (tmp_path / "home").mkdir()
    make_key(tmp_path / "backup.key")
    return tmp_path


def test_each_backup_is_copied_read_back_and_told(place: Path, s3: S3Server, capsys: Any) -> None:
    assert read_copy_health(at=AT).is_alarm  # type: ignore[union-attr]
    row = record_backup(reason="schedule", actor=Actor.system("test"))
    old = f"fund/magnetfund-{AT - timedelta(days=400):%Y%m%dT%H%M%SZ}.mfbackup"
    for n in range(60):
        s3.objects[f"fund/magnetfund-{AT - timedelta(days=n):%Y%m%dT%H%M%SZ}.mfbackup"] = b""
    s3.objects[old] = b"of another home"
    assert keep_elsewhere()
    assert hashlib.sha256(s3.objects[f"fund/{row.name}"]).hexdigest() == row.sha256
    assert old in s3.objects, "what this home did not make stays"
    copy = BackupCopy.objects.get()
    assert (copy.is_verified, copy.sha256, copy.made_at) == (True, row.sha256, row.made_at)
    assert AuditEvent.objects.filter(action="backup.copied").count() == 1
    assert copy_if_due() is None, "once"
    health = read_copy_health(at=row.made_at + timedelta(hours=25))
    assert health is not None
    assert not health.is_alarm
    assert "was read back from 127.0.0.1" in health.words
    late = read_copy_health(at=row.made_at + timedelta(hours=27))
    assert late is not None
    assert late.is_alarm
    del s3.objects[f"fund/{row.name}"]
    assert find_uncopied(open_storage("bucket")) == row, "one that went missing is sent again"
    assert keep_elsewhere()
    call_command("list_backups")
    assert "disk + bucket" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda data: data[:-1], "gave back other bytes"),
        (lambda data: bytes([data[0] ^ 1]) + data[1:], "gave back other bytes"),
    ],
)
def test_a_bucket_that_gives_back_other_bytes_is_on_record(
    place: Path, s3: S3Server, spoil: Any, words: str, caplog: Any
) -> None:
    row = record_backup(reason="schedule", actor=Actor.system("test"))
    s3.change = spoil
    assert not keep_elsewhere()
    copy = BackupCopy.objects.get()
    assert (copy.is_verified, words in copy.detail) == (False, True)
    assert read_copy_health(at=row.made_at).is_alarm  # type: ignore[union-attr]
    # Who fetches it is told the same: the file is authenticated chunk by chunk.
    with pytest.raises(CommandError, match=r"damaged|cut off|no backup|not a backup"):
        call_command("verify_backup", "--from", "bucket")
    s3.change = lambda data: data
    assert keep_elsewhere()
    assert not read_copy_health(at=row.made_at).is_alarm  # type: ignore[union-attr]
    assert SECRET not in caplog.text


def test_a_refused_key_is_on_record_and_the_backup_on_disk_goes_on(
    place: Path, s3: S3Server, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    row = record_backup(reason="schedule", actor=Actor.system("test"))
    monkeypatch.setenv("BACKUP_S3_SECRET", "another")
    assert not keep_elsewhere()
    assert Backup.objects.get().is_complete
    with pytest.raises(SystemExit):
        call_command("list_backups", "--json")
    said = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    assert said["backups"][0]["name"] == row.name
    assert "refuses the key" in said["bucket_error"]


@pytest.mark.drill
def test_a_lost_machine_is_restored_from_the_bucket_by_its_key_and_the_keys_of_the_bucket(
    place: Path, s3: S3Server, capsys: Any
) -> None:
    row = record_backup(reason="schedule", actor=Actor.system("test"))
    assert keep_elsewhere()
    call_command("verify_backup", "--from", "bucket")
    assert "all books are as they were" in capsys.readouterr().out
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("DATABASE_", "MAGNET_", "SECRET_KEY", "DJANGO_"))
    }
    environment |= {
        "MAGNET_HOME": str(place / "new" / "home"),
        "BACKUP_S3_URL": f"{s3.url}/fund",
        "BACKUP_S3_REGION": REGION,
    }
    words = ("restore", "newest", "--from", "bucket", "--key-file", str(place / "backup.key"))
    command = [sys.executable, str(live_settings.BASE_DIR / "manage.py"), *words]
    for secret, expected in (("wrong", "refuses the key"), (SECRET, "every book is as it was")):
        done = subprocess.run(
            command, env={**environment, "BACKUP_S3_SECRET": secret}, capture_output=True,
            text=True, check=False,
        )  # fmt: skip
        assert expected in done.stdout + done.stderr
        assert (done.returncode == 0) == (secret == SECRET)
        assert SECRET not in done.stdout + done.stderr
    assert f"Fetched {row.name} from 127.0.0.1" in done.stdout
    home = Home(place / "new" / "home")
    assert (home.cluster / "postgres" / "PG_VERSION").exists()
    again = subprocess.run(
        command, env={**environment, "BACKUP_S3_SECRET": SECRET}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert "is in use" in again.stderr
    shutil.rmtree(home.sockets)
    shutil.rmtree(home.cluster)  # as root it may lie outside the folder of the test
