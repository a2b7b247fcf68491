"""A new data folder as it was at an instant: a copy of the cluster, then its log up to there."""

from __future__ import annotations

import json
import re
import shutil
import tarfile
import tempfile
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from magnetfund.kernel.clock import isoformat_z
from magnetfund.kernel.errors import Conflict, InvalidInput, NotFound
from magnetfund.operations.backups.container import DamagedBackup, Reader
from magnetfund.operations.backups.log import (
    CLUSTER,
    LOG,
    META,
    SEGMENT,
    StoredBase,
    list_bases,
    list_files,
    next_segment,
    segments_from,
)
from magnetfund.operations.backups.restore import check_books, child_environment
from magnetfund.operations.servers.home import Home, LaunchError
from magnetfund.operations.servers.postgres import Postgres, Recovery

if TYPE_CHECKING:
    from typing import IO

_START = re.compile(r"START WAL LOCATION: \S+ \(file ([0-9A-F]{24})\)")


@dataclass(frozen=True, slots=True, kw_only=True)
class PointRestore:
    """What was restored: the copy that it began with, how much log, and what differs."""

    base: StoredBase
    segments: int
    seconds: float
    differences: tuple[str, ...]


def restore_to(
    *, folder: Path, key: bytes, root: Path, target: datetime, durable: bool = True
) -> PointRestore:
    """Restore the cluster whose log lies in ``folder`` into the new data folder ``root``.

    Everything that was committed up to ``target`` is there, and nothing after it.  Raises
    :class:`Conflict` (``live_target``, ``missing_segment``, ``log_ends``), :class:`NotFound`
    (``no_base``) and :class:`DamagedBackup` for a changed file or another key.
    """
    began = time.monotonic()
    if root.exists() and any(root.iterdir()):
        raise Conflict(f"{root} is in use; restore only into a new folder", code="live_target")
    base = _choose_base(folder, target)
    home = Home(root)
    server = Postgres(home, durable=durable)
    if server.data.exists() and any(server.data.iterdir()):
        raise Conflict(f"{home.cluster} holds a database already", code="live_target")
    lock = home.lock()
    log = home.cluster / "restored-log"
    try:
        with tempfile.TemporaryDirectory(prefix="magnetfund-restore-") as name:
            segments = _unpack(base, folder, key, target, server, log, Path(name))
            _copy_files(Path(name) / "files", root)
        mode = (root / "mode").read_text().strip() if (root / "mode").exists() else "demo"
        try:
            server.recover(Recovery(log=log, target=target))
        except LaunchError as error:
            raise Conflict(
                f"the log does not reach {isoformat_z(target)}; ask for an earlier instant "
                f"({str(error).splitlines()[-1][:200]})",
                code="log_ends",
            ) from None
        differences = check_books(child_environment(server, root, mode))
    except BaseException:
        server.stop()
        shutil.rmtree(server.data, ignore_errors=True)
        raise
    finally:
        server.stop()
        shutil.rmtree(log, ignore_errors=True)
        lock.close()
    return PointRestore(
        base=base, segments=segments, seconds=time.monotonic() - began,
        differences=tuple(differences),
    )  # fmt: skip


def prove_in_scratch(*, folder: Path, key: bytes, target: datetime) -> PointRestore:
    """Restore to an instant into a scratch server, check the books there and remove it all.

    Raises what :func:`restore_to` raises.
    """
    with tempfile.TemporaryDirectory(prefix="magnetfund-verify-") as name:
        Path(name).chmod(0o755)  # the server's user passes through; what is inside is private
        root = Path(name) / "home"
        try:
            return restore_to(folder=folder, key=key, root=root, target=target, durable=False)
        finally:
            home = Home(root)
            shutil.rmtree(home.sockets, ignore_errors=True)
            if not home.cluster.is_relative_to(home.root):
                shutil.rmtree(home.cluster, ignore_errors=True)


def choose_instant(folder: Path) -> datetime | None:
    """The newest instant that the sealed log surely goes beyond; None while it is too short.

    Two later segments were sealed after it, so that a commit later than it is in the log, and the
    newest copy of the cluster ended before it.
    """
    times = sorted(path.stat().st_mtime for path in folder.glob(f"*{LOG}"))
    bases = list_bases(folder)
    if len(times) < 3 or not bases:
        return None
    found = datetime.fromtimestamp(times[-3], UTC).replace(microsecond=0)
    return found if bases[0].ended_at <= found else None


def find_log(folder: Path, target: datetime) -> Path:
    """The log under a folder of backups that has the newest copy before ``target``."""
    candidates = [folder, *(folder / "log").glob("*")]
    found = [
        (base.ended_at, path)
        for path in candidates
        for base in list_bases(path)
        if base.ended_at <= target
    ]
    if not found:
        raise NotFound(
            f"{folder} has no copy of a cluster from before {isoformat_z(target)}", code="no_base"
        )
    return max(found)[1]


def _choose_base(folder: Path, target: datetime) -> StoredBase:
    for base in list_bases(folder):
        if base.ended_at <= target:
            return base
    raise NotFound(
        f"{folder} has no copy of the cluster from before {isoformat_z(target)}", code="no_base"
    )


def _unpack(
    base: StoredBase,
    folder: Path,
    key: bytes,
    target: datetime,
    server: Postgres,
    log: Path,
    scratch: Path,
) -> int:
    """Decrypt everything first; only whole and authentic files reach the new cluster."""
    archive = scratch / CLUSTER
    for name, blocks in _entries(base.path, key):
        _write(archive if name == CLUSTER else _inside(scratch, name), blocks)
    for path in _changes_of_files(base, folder, target):
        for name, blocks in _entries(path, key):
            _write(_inside(scratch, name), blocks)
    segments = _unpack_log(base, folder, key, target, scratch / "log")
    draft = server.data.with_name(f"{server.data.name}.unfinished")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(mode=0o700, parents=True)
    with tarfile.open(archive) as tar:
        # Python before 3.11.4 has no filters; the archive is our own and was authenticated above.
        tar.extraction_filter = getattr(tarfile, "data_filter", lambda member, path: member)
        tar.extractall(draft)  # noqa: S202 -- authenticated, see above
    match = _START.search((draft / "backup_label").read_text())
    if match is None or not (scratch / "log" / match[1]).exists():
        shutil.rmtree(draft, ignore_errors=True)
        raise Conflict(
            f"the log lacks segment {match[1] if match else '?'}, with which {base.path.name} "
            "begins",
            code="missing_segment",
        )
    (draft / "pg_wal" / "archive_status").mkdir(parents=True, exist_ok=True)
    shutil.rmtree(log, ignore_errors=True)
    shutil.copytree(scratch / "log", log)
    for top in (draft, log):
        for path in (top, *top.rglob("*")):
            server.home.give(path)
            path.chmod(0o700 if path.is_dir() else 0o600)
    if server.data.exists():
        server.data.rmdir()
    draft.rename(server.data)
    return segments


def _changes_of_files(base: StoredBase, folder: Path, target: datetime) -> Iterator[Path]:
    """Files are never rewritten, so one round too many at either end does no harm; without the
    first after the target a file that came just before it would be missing."""
    for at, path in list_files(folder):
        if at >= base.ended_at - timedelta(seconds=2):
            yield path
            if at > target:
                return


def _unpack_log(base: StoredBase, folder: Path, key: bytes, target: datetime, into: Path) -> int:
    """Segments from the copy's first to the one that ends after ``target``; how many."""
    into.mkdir()
    count, wanted = 0, base.segment
    for path in segments_from(folder, base.segment):
        name, finished_at = path.name.removesuffix(LOG), None
        for entry, blocks in _entries(path, key):
            data = b"".join(blocks)
            if entry == META:
                meta = json.loads(data)
                finished_at = datetime.fromisoformat(meta["finished_at"])
                if meta["name"] != name:
                    raise DamagedBackup(f"{path.name} holds another segment", code="backup_damaged")
            elif entry == SEGMENT:
                (into / name).write_bytes(zlib.decompress(data))
        count, wanted = count + 1, next_segment(name)
        if finished_at is not None and finished_at >= target:
            return count
    if any(path.name[:24] > wanted for path in folder.glob(f"{wanted[:8]}*{LOG}")):
        raise Conflict(
            f"the log lacks segment {wanted}; the newest instant before it is the furthest that "
            "can be reached",
            code="missing_segment",
        )
    raise Conflict(
        f"the log ends before {isoformat_z(target)}, with segment {wanted} still to come",
        code="log_ends",
    )


def _entries(path: Path, key: bytes) -> Iterator[tuple[str, Iterator[bytes]]]:
    try:
        handle: IO[bytes] = path.open("rb")
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}", code="no_backup") from None
    with handle:
        yield from Reader(handle, key=key).entries()


def _inside(folder: Path, name: str) -> Path:
    target = (folder / name).resolve()
    if not target.is_relative_to((folder / "files").resolve()):
        raise DamagedBackup("the backup holds an unsafe file name", code="backup_damaged")
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return target


def _write(target: Path, blocks: Iterator[bytes]) -> None:
    with target.open("wb") as out:
        for block in blocks:
            out.write(block)


def _copy_files(source: Path, root: Path) -> None:
    for path in sorted(source.rglob("*")) if source.is_dir() else ():
        if path.is_file():
            target = root / path.relative_to(source)
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            shutil.copyfile(path, target)
            target.chmod(0o600)
