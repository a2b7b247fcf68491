"""Where backups lie: a folder of this machine, and an S3-compatible bucket where one is set."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from magnetfund.operations.backups.make import SUFFIX
from magnetfund.operations.backups.retention import choose_kept

_NAME = re.compile(rf"magnetfund-(\d{{8}}T\d{{6}}Z){re.escape(SUFFIX)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredBackup:
    """One file of the folder."""

    path: Path
    made_at: datetime
    size: int


def list_backups(folder: Path) -> list[StoredBackup]:
    """Backups of a folder, newest first; other files are not looked at."""
    found = []
    for path in folder.glob(f"*{SUFFIX}") if folder.is_dir() else ():
        match = _NAME.fullmatch(path.name)
        if match:
            made_at = datetime.strptime(match[1], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
            found.append(StoredBackup(path=path, made_at=made_at, size=path.stat().st_size))
    return sorted(found, key=lambda item: item.made_at, reverse=True)


def remove_expired(folder: Path) -> list[str]:
    """Delete what retention no longer keeps; the names that went."""
    backups = list_backups(folder)
    kept = choose_kept(item.made_at for item in backups)
    gone = [item for item in backups if item.made_at not in kept]
    for item in gone:
        item.path.unlink()
    return [item.path.name for item in gone]
