"""Where backups lie: a folder of this machine, and a bucket where one is set.

Both are a :class:`Storage`, so listing, reading, proving and retention are written once.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from magnetfund.kernel.errors import NotFound
from magnetfund.operations.backups.container import BLOCK_BYTES
from magnetfund.operations.backups.make import SUFFIX
from magnetfund.operations.backups.retention import choose_kept

_NAME = re.compile(rf"magnetfund-(\d{{8}}T\d{{6}}Z){re.escape(SUFFIX)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredBackup:
    """One encrypted file; ``made_at`` is in its name, ``size`` in bytes."""

    name: str
    made_at: datetime
    size: int

    @staticmethod
    def of_name(name: str, size: int) -> StoredBackup | None:
        """None for a file of another kind."""
        match = _NAME.fullmatch(name)
        if match is None:
            return None
        made_at = datetime.strptime(match[1], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        return StoredBackup(name=name, made_at=made_at, size=size)


class Storage(Protocol):
    """A place that keeps encrypted files by their names.

    What cannot be reached, written or found is raised as a :class:`FundError` of one clear line.
    """

    @property
    def place(self) -> str:
        """Where it is, for people and for rows; no key is in it."""
        ...

    def list(self) -> list[StoredBackup]:
        """Backups, newest first; other files are not looked at."""
        ...

    def read(self, name: str) -> Iterator[bytes]:
        """The bytes of a file, in blocks."""
        ...

    def put(self, path: Path) -> None:
        """Keep a file under its own name; it appears whole or not at all."""
        ...

    def remove(self, name: str) -> None: ...

    def borrow(self, name: str) -> AbstractContextManager[Path]:
        """A file of this machine with the content, for as long as it is needed."""
        ...


class Folder:
    """A folder of this machine."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def place(self) -> str:
        return str(self._folder)

    def list(self) -> list[StoredBackup]:
        paths = self._folder.glob(f"*{SUFFIX}") if self._folder.is_dir() else ()
        return newest_first(StoredBackup.of_name(path.name, path.stat().st_size) for path in paths)

    def read(self, name: str) -> Iterator[bytes]:
        with self._existing(name).open("rb") as handle:
            while block := handle.read(BLOCK_BYTES):
                yield block

    def put(self, path: Path) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = self._folder / f"{path.name}.partial"
        try:
            shutil.copyfile(path, draft)
            draft.rename(self._folder / path.name)
        finally:
            draft.unlink(missing_ok=True)

    def remove(self, name: str) -> None:
        (self._folder / name).unlink(missing_ok=True)

    def borrow(self, name: str) -> AbstractContextManager[Path]:
        return nullcontext(self._existing(name))

    def _existing(self, name: str) -> Path:
        path = self._folder / name
        if not path.is_file():
            raise NotFound(f"there is no backup {path}", code="no_backup")
        return path


def newest_first(found: Iterator[StoredBackup | None]) -> list[StoredBackup]:
    """Backups among what was found, newest first."""
    backups = [item for item in found if item is not None]
    return sorted(backups, key=lambda item: item.made_at, reverse=True)


def newest_name(storage: Storage) -> str:
    """Name of the newest backup; raises :class:`NotFound` when there is none."""
    found = storage.list()
    if not found:
        raise NotFound(f"there are no backups in {storage.place}", code="no_backup")
    return found[0].name


def read_digest(storage: Storage, name: str) -> str:
    """SHA-256 of a file as the storage gives it back, in hexadecimal."""
    digest = hashlib.sha256()
    for block in storage.read(name):
        digest.update(block)
    return digest.hexdigest()


def remove_expired(storage: Storage, *, only: Collection[str] | None = None) -> list[str]:
    """Delete what retention no longer keeps; the names that went.

    ``only`` names what may go: in a bucket, the files that this platform made.
    """
    backups = storage.list()
    kept = choose_kept(item.made_at for item in backups)
    gone = [
        item.name
        for item in backups
        if item.made_at not in kept and (only is None or item.name in only)
    ]
    for name in gone:
        storage.remove(name)
    return gone
