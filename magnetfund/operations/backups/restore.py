"""Bringing a backup back: read the whole file first, then fill an empty place, then compare.

A file is decrypted completely before anything of it is used, so a cut or changed file leaves
nothing behind.  The place must be new: a data folder that was never started, or an empty database.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from django.db.migrations.loader import MigrationLoader

from magnetfund.env import PROJECT
from magnetfund.kernel.errors import Conflict, InvalidInput, Unavailable
from magnetfund.operations.backups.container import DamagedBackup, Reader
from magnetfund.operations.backups.make import DUMP, MANIFEST, file_digest, tool, tool_environment
from magnetfund.operations.backups.manifest import (
    Manifest,
    find_differences,
    read_migrations,
    read_state,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class UnpackedBackup:
    """The plain content of a backup, in a private temporary folder."""

    manifest: Manifest
    folder: Path

    @property
    def dump(self) -> Path:
        return self.folder / DUMP


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreResult:
    """What a restore found; ``differences`` is empty when all tables, files and books agree."""

    manifest: Manifest
    seconds: float
    differences: tuple[str, ...] = field(default=())

    @property
    def is_clean(self) -> bool:
        return not self.differences


def unpack(path: Path, *, key: bytes, folder: Path) -> UnpackedBackup:
    """Decrypt a whole backup into ``folder`` (private, empty).

    Raises :class:`DamagedBackup` for a cut, changed or foreign file and for a wrong key, and
    :class:`InvalidInput` for a backup of a newer schema than this program knows.
    """
    manifest: Manifest | None = None
    try:
        handle = path.open("rb")
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}", code="no_backup") from None
    with handle:
        for name, blocks in Reader(handle, key=key).entries():
            target = (folder / name).resolve()
            if not target.is_relative_to(folder.resolve()):
                raise DamagedBackup("the backup holds an unsafe file name", code="backup_damaged")
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with target.open("wb") as out:
                for block in blocks:
                    out.write(block)
            if name == MANIFEST:
                manifest = Manifest.of_bytes(target.read_bytes())
                _require_known_schema(manifest)
    if manifest is None or not (folder / DUMP).exists():
        raise DamagedBackup("the backup is incomplete", code="backup_damaged")
    return UnpackedBackup(manifest=manifest, folder=folder)


def known_migrations() -> set[str]:
    """Each migration of this version, as a manifest names it."""
    loader = MigrationLoader(None, load=False)
    loader.load_disk()
    return {f"{app}.{name}" for app, name in loader.disk_migrations}


def _require_known_schema(manifest: Manifest) -> None:
    ahead = sorted(set(manifest.migrations) - known_migrations())
    if ahead:
        raise InvalidInput(
            f"this backup was made by a newer version ({manifest.version}); it holds {ahead[0]}, "
            "which this version does not know. Install that version first.",
            code="newer_schema",
        )


def restore_database(backup: UnpackedBackup, *, dsn: str) -> list[str]:
    """Fill the empty database behind ``dsn`` (its owner's) and compare it with the manifest.

    Returns the differences.  Raises :class:`Conflict` when the database holds tables already.
    """
    with psycopg.connect(dsn) as connection:
        row = connection.execute(
            "SELECT count(*) FROM pg_class WHERE relkind IN ('r', 'p', 'v') "
            "AND relnamespace = 'public'::regnamespace"
        ).fetchone()
    if row is None or row[0]:
        raise Conflict(
            "the target database is not empty; restore only into a new one", code="live_target"
        )
    result = subprocess.run(
        [tool("pg_restore"), "--exit-on-error", "--single-transaction", "--no-owner",
         "--dbname=", str(backup.dump)],
        env=tool_environment(dsn), check=False, capture_output=True, text=True,
    )  # fmt: skip
    if result.returncode != 0:
        lines = [line for line in result.stderr.strip().splitlines() if "error" in line.lower()]
        raise Unavailable(
            f"pg_restore failed: {(lines or ['no reason given'])[0][:300]}", code="restore_failed"
        )
    with psycopg.connect(dsn) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        return find_differences(backup.manifest, read_state(connection))


def restore_files(backup: UnpackedBackup, *, root: Path) -> list[str]:
    """Copy the backed-up files into a data folder; names files that are not as they were."""
    differences = []
    for name, digest in backup.manifest.files.items():
        source = backup.folder / "files" / name
        if not source.exists() or file_digest(source) != digest:
            differences.append(f"file {name} is missing or not as it was")
            continue
        target = root / name
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        shutil.copyfile(source, target)
        target.chmod(0o600)
    return differences


def check_books(environment: dict[str, str]) -> list[str]:
    """Bring a restored database to this version's schema and run ``verify_books`` against it; the
    differences it names."""
    if _is_behind(environment["DATABASE_OWNER_URL"]):
        migrated = _manage(environment, "migrate", "--database", "owner", "--verbosity", "0")
        if migrated.returncode != 0:
            return [f"migrate failed: {_last_line(migrated)}"]
    result = _manage(environment, "verify_books", "--json")
    if result.returncode == 0:
        return []
    try:
        found = json.loads(result.stdout.strip().splitlines()[-1])["differences"]
    except (ValueError, KeyError, IndexError):
        return [f"verify_books failed: {_last_line(result)}"]
    return [f"{book}: {line}" for book, lines in sorted(found.items()) for line in lines]


def _is_behind(dsn: str) -> bool:
    """Whether a restored database lacks a migration of this version.

    One that lacks none is not migrated: a process that finds nothing to do takes as long as the
    restore itself.
    """
    with psycopg.connect(dsn) as connection:
        return not known_migrations().issubset(read_migrations(connection))


def _manage(environment: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(PROJECT / "manage.py"), *words],
        env=environment, check=False, capture_output=True, text=True,
    )  # fmt: skip


def _last_line(result: subprocess.CompletedProcess[str]) -> str:
    lines = (result.stderr or result.stdout).strip().splitlines()
    return lines[-1][:300] if lines else "no reason given"


def restore_home(*, path: Path, key: bytes, root: Path) -> RestoreResult:
    """Restore a backup into a new data folder with the embedded server, and check the books there.

    The folder is ready for ``make run`` afterwards.  Raises :class:`Conflict` when the folder was
    used before; a failed restore leaves it as new.
    """
    from magnetfund.operations.servers.home import Home
    from magnetfund.operations.servers.postgres import Postgres

    began = time.monotonic()
    if root.exists() and any(root.iterdir()):
        raise Conflict(f"{root} is in use; restore only into a new folder", code="live_target")
    with tempfile.TemporaryDirectory(prefix="magnetfund-restore-") as name:
        backup = unpack(path, key=key, folder=Path(name))
        home = Home(root)
        if (home.cluster / "postgres" / "PG_VERSION").exists():
            raise Conflict(f"{home.cluster} holds a database already", code="live_target")
        lock = home.lock()
        server = Postgres(home)
        try:
            server.start()
            differences = restore_database(backup, dsn=server.dsn("fa_owner"))
            differences += restore_files(backup, root=root)
            differences += check_books(child_environment(server, root, backup.manifest.mode))
        finally:
            server.stop()
            lock.close()
    return RestoreResult(
        manifest=backup.manifest,
        seconds=time.monotonic() - began,
        differences=tuple(differences),
    )


def verify_in_scratch(*, path: Path, key: bytes) -> RestoreResult:
    """Restore a backup into a scratch server, compare every table and check the books there."""
    from magnetfund.operations.servers.home import Home
    from magnetfund.operations.servers.postgres import Postgres

    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="magnetfund-verify-") as name:
        Path(name).chmod(0o755)  # the server's user passes through; what is inside is private
        private, root = Path(name) / "content", Path(name) / "home"
        private.mkdir(mode=0o700)
        backup = unpack(path, key=key, folder=private)
        home = Home(root)
        server = Postgres(home, durable=False)
        try:
            server.start()
            differences = restore_database(backup, dsn=server.dsn("fa_owner"))
            differences += restore_files(backup, root=root)
            differences += check_books(child_environment(server, root, backup.manifest.mode))
        finally:
            server.stop()
            shutil.rmtree(home.sockets, ignore_errors=True)
            if not home.cluster.is_relative_to(root):
                shutil.rmtree(home.cluster, ignore_errors=True)
    return RestoreResult(
        manifest=backup.manifest,
        seconds=time.monotonic() - began,
        differences=tuple(differences),
    )


def child_environment(server: object, root: Path, mode: str) -> dict[str, str]:
    """Environment of a command that works on the restored database alone."""
    import os

    from django.conf import settings

    return {
        **os.environ,
        **server.environment(),  # type: ignore[attr-defined]  # the embedded server
        "DJANGO_SETTINGS_MODULE": "magnetfund.settings",
        "MAGNET_HOME": str(root),
        "MAGNET_ENV": mode if mode in ("demo", "production") else "demo",
        "MAGNET_DB_ROLE": "app",
        "SECRET_KEY": settings.SECRET_KEY,
        "ALLOWED_HOSTS": "localhost",
        "PUBLIC_URL": "http://localhost",
    }
