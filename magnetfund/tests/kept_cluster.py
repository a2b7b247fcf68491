"""A migrated PostgreSQL cluster, kept between runs of the suite and copied for each worker.

Making a cluster and migrating it takes seconds, copying it a moment.  The copy is named by a
digest of everything that decides its content, lies in the user's cache folder, and belongs to that
user alone.  Where it cannot be kept or does not start, a cluster is made from nothing.

A database that takes long to fill is kept beside it as a dump: the first worker that needs it fills
it, and every other, of this run and of later ones with the same sources, restores it.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from magnetfund.kernel.clock import utc_now
from magnetfund.operations.backups.make import tool, tool_environment
from magnetfund.operations.servers.home import Home, LaunchError
from magnetfund.operations.servers.postgres import Postgres

PROJECT = Path(__file__).resolve().parents[2]
#: What decides the content of a migrated cluster.
SOURCES = (
    "*/migrations/*.py",
    "*/models.py",
    "*/models/*.py",
    "*/table_walls.py",
    "*/apps.py",
    "magnetfund/*/migrations/*.py",
    "magnetfund/*/models.py",
    "magnetfund/core/*.py",
    "magnetfund/core/management/commands/migrate.py",
    "magnetfund/operations/servers/*.py",
    "magnetfund/operations/roles.py",
    "magnetfund/settings*.py",
    "magnetfund/tests/kept_cluster.py",
    "conftest.py",
    "requirements-dev.txt",
)
#: What decides, besides, what the platform writes into a database.
PRODUCT_SOURCES = (
    "magnetfund/**/*.py", "risk/**/*.py", "trading/**/*.py", "investors/**/*.py",
)  # fmt: skip
#: The tests that fill a kept database; what other tests say decides nothing of it.
FILLING = ("flow_support.py",)
#: Several branches of one machine use the cache side by side.
KEPT_MAX = 6
UNUSED_SECONDS = 3600.0


def cache_folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "magnetfund"


def cluster_key() -> str:
    """Digest of the sources that decide what a migrated cluster holds."""
    return _digest_of(path for pattern in SOURCES for path in sorted(PROJECT.glob(pattern)))


def content_key() -> str:
    """Digest of what decides what the platform writes: its sources, and the day it reads."""
    found = [path for pattern in PRODUCT_SOURCES for path in sorted(PROJECT.glob(pattern))]
    decisive = [path for path in found if path.parent.name != "tests" or path.name in FILLING]
    return _digest_of(decisive, f"{cluster_key()} {utc_now():%Y-%m-%d}")


def _digest_of(paths: Iterable[Path], more: str = "") -> str:
    digest = hashlib.sha256((sys.version + more).encode())
    for path in paths:
        digest.update(str(path.relative_to(PROJECT)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:24]


def fill_once(server: Postgres, name: str, *, fill: Callable[[], None]) -> None:
    """Let ``server`` hold database ``name``, which ``fill`` makes where nobody has kept it yet."""
    folder, key = cache_folder() / "test-databases", f"{name}-{content_key()}"
    try:
        with locked(folder, key):
            if (kept := folder / key).exists():
                os.utime(kept)
                server.make_database(name)
                _run_tool(server, name, "pg_restore", "--exit-on-error", "-d", name, str(kept))
                return
            fill()
            part = folder / f"{key}.part"
            _run_tool(server, name, "pg_dump", "--format=custom", "--compress=0", "-f", str(part))
            part.rename(kept)
            remove_unused(kept)
    except (OSError, subprocess.CalledProcessError) as error:
        warnings.warn(f"the database {name} is filled anew: {error}", stacklevel=1)
        fill()


def _run_tool(server: Postgres, database: str, name: str, *arguments: str) -> None:
    environment = tool_environment(server.dsn("postgres", database))
    subprocess.run([tool(name), *arguments], env=environment, check=True)


def start_cluster(home: Home, *, migrate: Callable[[Postgres], None]) -> Postgres:
    """Start a cluster under ``home`` that ``migrate`` has prepared, now or in an earlier run."""
    try:
        folder, key = cache_folder() / "test-clusters", cluster_key()
        with locked(folder, key):
            kept = folder / key
            if kept.exists():
                server = _start_copy(home, kept)
                if server is not None:
                    return server
                shutil.rmtree(kept)
            server = _start_new(home, migrate)
            server.stop()
            _keep(home, server, kept)
    except OSError as error:
        warnings.warn(f"no cluster is kept for the next run: {error}", stacklevel=1)
        return _start_new(home, migrate)
    server.start()
    return server


def _start_new(home: Home, migrate: Callable[[Postgres], None]) -> Postgres:
    server = Postgres(home, durable=False)
    server.start()
    migrate(server)
    return server


@contextmanager
def locked(folder: Path, key: str) -> Iterator[None]:
    """What is kept under one key, by one process at a time; other branches do not wait for it."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    with (folder / f"{key}.lock").open("a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _copy(source: Path, target: Path) -> None:
    """Copy a folder with its owners and modes."""
    result = subprocess.run(
        ["cp", "-a", str(source), str(target)], check=False, capture_output=True, text=True
    )
    if result.returncode != 0:
        raise OSError(result.stderr.strip() or "cp failed")


def _start_copy(home: Home, kept: Path) -> Postgres | None:
    """A server on a copy of the kept cluster; None where the copy does not start."""
    os.utime(kept)
    shutil.copy2(kept / "secrets.json", home.root / "secrets.json")
    server = Postgres(home, durable=False)
    shutil.rmtree(server.data, ignore_errors=True)
    _copy(kept / "postgres", server.data)
    try:
        server.start()
    except LaunchError as error:
        warnings.warn(f"the kept cluster does not start and is made anew: {error}", stacklevel=1)
        server.stop()
        shutil.rmtree(server.data, ignore_errors=True)
        return None
    return server


def _keep(home: Home, server: Postgres, kept: Path) -> None:
    part = kept.with_name(f"{kept.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(mode=0o700)
    shutil.copy2(home.root / "secrets.json", part / "secrets.json")
    _copy(server.data, part / "postgres")
    part.rename(kept)
    remove_unused(kept)


def remove_unused(kept: Path) -> None:
    """Remove what lies beside ``kept`` and was not used for long, but for the newest."""
    others = sorted(
        (path for path in kept.parent.iterdir() if path.suffix != ".lock"),
        key=lambda path: path.stat().st_mtime,
        reverse=True,
    )
    for path in others[KEPT_MAX:]:
        if time.time() - path.stat().st_mtime > UNUSED_SECONDS:  # nobody copies it now
            shutil.rmtree(path) if path.is_dir() else path.unlink()
            path.with_name(f"{path.name}.lock").unlink(missing_ok=True)
