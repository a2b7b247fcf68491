"""The write-ahead log of the embedded server, kept for a restore to a minute.

PostgreSQL hands each finished segment over as a file (``archive_command``), at least every 60
seconds while anything is written.  :func:`seal_waiting` encrypts what waits into the folder of the
backups and removes it; :func:`make_base` adds a copy of the whole cluster, from which a restore
begins; :func:`remove_old` keeps a week.  Files that the data folder holds beside the database are
sealed as they change.

A folder's name is the cluster's own identifier, so clusters that share a disk never mix their logs.
"""

from __future__ import annotations

import json
import os
import re
import struct
import subprocess
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg

from magnetfund.kernel.clock import isoformat_z
from magnetfund.kernel.errors import Unavailable
from magnetfund.operations.backups.container import BLOCK_BYTES, Writer
from magnetfund.operations.backups.make import find_files, tool, tool_environment

KEPT_FOR = timedelta(days=7)
LOG, BASE, FILES = ".mflog", ".mfbase", ".mffiles"
SEGMENT, CLUSTER, META = "segment.z", "base.tar.gz", "meta.json"
#: Segments of 16 MB, PostgreSQL's default: the last part of a name counts to this.
SEGMENTS_PER_FILE = 256
_STAMP = "%Y%m%dT%H%M%SZ"
_SEGMENT_NAME = re.compile(r"[0-9A-F]{24}")
#: How the name of a copy of the cluster begins; no other backup's does.
BASE_BEGINS = "base-"
_BASE_NAME = re.compile(rf"base-(\d{{8}}T\d{{6}}Z)-([0-9A-F]{{24}}){re.escape(BASE)}")
_FILES_NAME = re.compile(rf"files-(\d{{8}}T\d{{6}}Z){re.escape(FILES)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredBase:
    """A copy of the cluster: a restore to any instant from ``ended_at`` on can begin here.

    ``segment`` is the first of the log that it needs.
    """

    path: Path
    ended_at: datetime
    segment: str


def cluster_id(data: Path) -> str:
    """The identifier that PostgreSQL gave a cluster when it was made, from its control file."""
    with (data / "global" / "pg_control").open("rb") as handle:
        (number,) = struct.unpack("=Q", handle.read(8))
    return str(number)


def log_folder(folder: Path, data: Path) -> Path:
    """Where the log of the cluster in ``data`` lies, under the folder of the backups."""
    return folder / "log" / cluster_id(data)


def next_segment(name: str) -> str:
    """The segment that follows on the same timeline."""
    number = int(name[8:16], 16) * SEGMENTS_PER_FILE + int(name[16:], 16) + 1
    return f"{name[:8]}{number // SEGMENTS_PER_FILE:08X}{number % SEGMENTS_PER_FILE:08X}"


def list_bases(folder: Path) -> list[StoredBase]:
    """Copies in the folder of one cluster's log, newest first."""
    found = []
    for path in folder.glob(f"base-*{BASE}") if folder.is_dir() else ():
        base = read_base_name(path.name)
        if base:
            found.append(StoredBase(path=path, ended_at=base[0], segment=base[1]))
    return sorted(found, key=lambda item: item.ended_at, reverse=True)


def read_base_name(name: str) -> tuple[datetime, str] | None:
    """When a copy of the cluster ended, and the first segment that it needs; None for others."""
    match = _BASE_NAME.fullmatch(name)
    return (datetime.strptime(match[1], _STAMP).replace(tzinfo=UTC), match[2]) if match else None


def read_files_name(name: str) -> datetime | None:
    """When a sealed change of files was made; None for another file."""
    match = _FILES_NAME.fullmatch(name)
    return datetime.strptime(match[1], _STAMP).replace(tzinfo=UTC) if match else None


def list_files(folder: Path) -> list[tuple[datetime, Path]]:
    """Sealed changes of files, oldest first, each with when it was made."""
    found = []
    for path in folder.glob(f"files-*{FILES}"):
        at = read_files_name(path.name)
        if at:
            found.append((at, path))
    return sorted(found)


def seal_waiting(*, handed_over: Path, folder: Path, key: bytes) -> int:
    """Encrypt every segment that waits into ``folder``, then remove it; how many there were.

    Repeated after a crash it writes the same segment again.  Raises :class:`Unavailable` when the
    folder cannot be written; what waits goes on waiting.
    """
    names = sorted(path.name for path in handed_over.iterdir() if not path.name.endswith(".part"))
    for name in names:
        path = handed_over / name
        finished_at = datetime.fromtimestamp(path.stat().st_mtime, UTC)
        packed = zlib.compress(path.read_bytes(), level=1)
        meta = json.dumps({"name": name, "finished_at": isoformat_z(finished_at)}).encode()
        with sealed_file(folder / f"{name}{LOG}", key=key) as writer:
            for entry, data in ((META, meta), (SEGMENT, packed)):
                writer.begin(entry)
                for start in range(0, len(data), BLOCK_BYTES):
                    writer.write(data[start : start + BLOCK_BYTES])
                writer.end()
        path.unlink()
    return len(names)


def seal_files(*, root: Path, folder: Path, key: bytes, known: dict[str, int], at: datetime) -> int:
    """Seal the files of the data folder that changed since ``known`` (name to mtime), which is
    brought up to date; how many there were."""
    seen = {name: (path, path.stat().st_mtime_ns) for name, path in find_files(root)}
    changed = {name: found for name, found in seen.items() if known.get(name) != found[1]}
    if changed:
        with sealed_file(folder / f"files-{at:{_STAMP}}{FILES}", key=key) as writer:
            for name, (path, _) in sorted(changed.items()):
                with path.open("rb") as source:
                    writer.add(f"files/{name}", source)
        known.update({name: mtime for name, (_, mtime) in changed.items()})
    return len(changed)


def make_base(*, dsn: str, root: Path, folder: Path, key: bytes) -> StoredBase:
    """Copy the whole cluster with ``pg_basebackup`` into an encrypted file of ``folder``.

    ``dsn`` is of a role that may replicate.  Raises :class:`Unavailable` when it fails; nothing is
    left behind then.
    """
    with psycopg.connect(dsn) as connection:
        row = connection.execute("SELECT pg_walfile_name(pg_current_wal_lsn())").fetchone()
    assert row is not None
    draft = folder / "base.unfinished"
    with sealed_file(draft, key=key) as writer:
        _copy_cluster(writer, dsn=dsn)
        for name, path in find_files(root):
            with path.open("rb") as source:
                writer.add(f"files/{name}", source)
    # Consistent from its end on, so it is named by its end, rounded up.
    ended_at = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=1)
    path = folder / f"base-{ended_at:{_STAMP}}-{row[0]}{BASE}"
    draft.rename(path)
    return StoredBase(path=path, ended_at=ended_at, segment=row[0])


def _copy_cluster(writer: Writer, *, dsn: str) -> None:
    command = [
        tool("pg_basebackup"), "--pgdata=-", "--format=tar", "--wal-method=none", "--gzip",
        "--checkpoint=fast", "--no-password",
    ]  # fmt: skip
    with tempfile.TemporaryFile() as complaints:
        process = subprocess.Popen(
            command, env=tool_environment(dsn), stdout=subprocess.PIPE, stderr=complaints
        )
        assert process.stdout is not None
        try:
            writer.add(CLUSTER, process.stdout)
        finally:
            process.stdout.close()
            code = process.wait()
        if code != 0:
            complaints.seek(0)
            said = complaints.read().decode(errors="replace").strip().splitlines() or ["?"]
            raise Unavailable(f"pg_basebackup failed: {said[-1][:300]}", code="backup_failed")


def choose_old(names: Iterable[str], *, now: datetime) -> list[str]:
    """Of the files of one log, here or in a bucket, those that no restore to an instant of the last
    week needs."""
    names = list(names)
    bases = sorted(filter(None, map(read_base_name, names)), reverse=True)
    kept = [base for base in bases if base[0] > now - KEPT_FOR]
    kept += bases[len(kept) : len(kept) + 1]  # the one that the week begins with
    if not kept:
        return []
    ended_at, segment = kept[-1]
    return sorted(
        name
        for name in names
        if ((base := read_base_name(name)) and base not in kept)
        or (name.endswith(LOG) and _SEGMENT_NAME.match(name) and name[8:24] < segment[8:])
        or ((at := read_files_name(name)) and at < ended_at - timedelta(days=1))
    )


def remove_old(folder: Path, *, now: datetime) -> list[str]:
    """Delete what :func:`choose_old` names; the names that went."""
    gone = choose_old((path.name for path in folder.glob("*")), now=now)
    for name in gone:
        (folder / name).unlink()
    return gone


class sealed_file:  # noqa: N801 - used as a context manager, like open
    """A container that appears under its name only when it is complete and on disk."""

    def __init__(self, path: Path, *, key: bytes) -> None:
        self._path, self._key = path, key

    def __enter__(self) -> Writer:
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor, draft = tempfile.mkstemp(dir=self._path.parent, suffix=".partial")
        except OSError as error:
            raise self._say(error) from None
        self._draft = Path(draft)
        self._handle = os.fdopen(descriptor, "wb")
        self._writer = Writer(self._handle, key=self._key)
        return self._writer

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: object) -> None:
        try:
            if kind is None:
                self._writer.close()
                self._handle.flush()
                os.fsync(self._handle.fileno())
                self._draft.rename(self._path)
        except OSError as failed:
            raise self._say(failed) from None
        finally:
            self._handle.close()
            self._draft.unlink(missing_ok=True)

    def _say(self, error: OSError) -> Unavailable:
        return Unavailable(
            f"{self._path.parent} cannot be written: {error.strerror}", code="backup_failed"
        )


def find_newest(folder: Path) -> datetime | None:
    """When the newest sealed segment came; None where there is none."""
    times = [path.stat().st_mtime for path in folder.glob(f"*{LOG}")] if folder.is_dir() else []
    return datetime.fromtimestamp(max(times), UTC) if times else None


def segments_from(folder: Path, first: str) -> Iterator[Path]:
    """Sealed segments from ``first`` on, without a gap, in order."""
    while (path := folder / f"{first}{LOG}").exists():
        yield path
        first = next_segment(first)
