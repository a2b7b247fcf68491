"""The log of the embedded server in the bucket: sent as it is sealed, fetched for a restore.

What lies in the folder of the log is encrypted already and never changes, so the bucket holds the
same files under ``log/<cluster>``.  A file counts once the bucket gave back its bytes.  What cannot
be sent waits on disk, for as long as that keeps it, and goes in order once the bucket answers.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from magnetfund.kernel.clock import isoformat_z, utc_now
from magnetfund.kernel.errors import FundError, NotFound, Unavailable
from magnetfund.operations.backups.bucket import Bucket
from magnetfund.operations.backups.container import Reader
from magnetfund.operations.backups.log import (
    BASE,
    FILES,
    LOG,
    META,
    choose_old,
    next_segment,
    read_base_name,
    read_files_name,
)
from magnetfund.operations.backups.make import file_digest
from magnetfund.operations.backups.storage import read_digest

_log = logging.getLogger("magnetfund.backups")
#: The place under the bucket's prefix that holds one folder for each cluster.
FOLDER = "log"
LOOK_SECONDS, PAUSE_MAX_SECONDS = 2.0, 120.0
CLEAN_SECONDS = 3600.0
#: What goes in the order of its names; copies of the cluster go beside it, for they take long.
SEGMENTS, BASES = (LOG, FILES), (BASE,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """The newest file that the bucket gave back, and when it was sealed."""

    name: str
    sha256: str
    size: int
    sealed_at: datetime


class LogSender(threading.Thread):
    """Sends sealed files of some kinds as they appear; asks no database.

    ``error`` says why the last round failed, in one line; ``waits_since`` is when the oldest file
    was sealed that the bucket lacks.  Both are empty while it keeps up.
    """

    def __init__(
        self,
        folder: Path,
        *,
        kinds: tuple[str, ...],
        open_place: Callable[[], Bucket],
        stop: threading.Event,
    ) -> None:
        super().__init__(name=f"log sender {kinds[0]}", daemon=True)
        self._folder, self._kinds, self._open_place, self._stop_asked = (
            folder, kinds, open_place, stop,
        )  # fmt: skip
        self._place: Bucket | None = None
        self._there: dict[str, int] = {}
        self._cleaned_at = time.monotonic()
        self.error = ""
        self.waits_since: datetime | None = None
        self.sent: Sent | None = None

    def run(self) -> None:
        pause = LOOK_SECONDS
        while not self._stop_asked.wait(pause):
            if self.look():
                pause = LOOK_SECONDS
            else:
                pause = min(2 * pause, PAUSE_MAX_SECONDS)

    def look(self) -> bool:
        """Send what the bucket lacks, the oldest first; False on failure, which is kept."""
        try:
            if self._place is None:
                place = self._open_place()
                self._there, self._place = place.sizes(), place
            self._send_missing(self._place)
            self._remove_old(self._place)
        except (FundError, OSError) as error:
            words = error.message if isinstance(error, FundError) else str(error)
            if words != self.error:
                _log.error("the log does not reach the bucket: %s", words)
            self.error, self._place = words, None
            self.waits_since = self.waits_since or utc_now()
            return False
        if self.error:
            _log.info("the log reaches the bucket again")
        self.error = ""
        return True

    def _missing(self) -> list[Path]:
        """Files here of which the bucket has none, or one of another size."""
        found = [path for path in self._folder.glob("*") if path.name.endswith(self._kinds)]
        return sorted(
            (path for path in found if self._there.get(path.name) != path.stat().st_size),
            key=lambda path: (path.stat().st_mtime, path.name),
        )

    def _send_missing(self, place: Bucket) -> None:
        missing = self._missing()
        for path in missing:
            info = path.stat()
            sealed_at = datetime.fromtimestamp(info.st_mtime, UTC)
            self.waits_since = sealed_at
            digest = file_digest(path)
            place.put(path)
            if read_digest(place, path.name) != digest:
                raise Unavailable(
                    f"{place.place} gave back other bytes of {path.name} than were sent",
                    code="backup_copy_failed",
                )
            self._there[path.name] = info.st_size
            self.sent = Sent(name=path.name, sha256=digest, size=info.st_size, sealed_at=sealed_at)
            if self._stop_asked.is_set():
                return
        self.waits_since = None

    def _remove_old(self, place: Bucket) -> None:
        """By the rule of the disk; the copies' sender does it for all, once an hour."""
        if self._kinds != BASES or time.monotonic() - self._cleaned_at < CLEAN_SECONDS:
            return
        self._cleaned_at = time.monotonic()
        for name in choose_old(place.sizes(), now=utc_now()):
            if (self._folder / name).exists():
                continue  # it would be sent again
            place.remove(name)
            self._there.pop(name, None)


def fetch_log(bucket: Bucket, *, target: datetime, key: bytes, into: Path) -> Path:
    """Fetch what a restore to ``target`` needs into ``into``: the newest copy of a cluster from
    before it, whichever cluster's, then its log and changes of files.

    Which segments those are the log itself says.  A segment that is missing is left to the restore,
    which names it.  Raises :class:`NotFound` (``no_base``).
    """
    logs = bucket.within(FOLDER)
    found = []
    for cluster in logs.folders():
        place = logs.within(cluster)
        names = place.sizes()
        for name in names:
            read = read_base_name(name)
            if read and read[0] <= target:
                found.append((*read, name, place, names))
    if not found:
        raise NotFound(
            f"{logs.place} has no copy of a cluster from before {isoformat_z(target)}",
            code="no_base",
        )
    ended_at, wanted, base, place, names = max(found, key=lambda item: item[0])
    for name in (base, *_changes(names, ended_at, target)):
        place.fetch(name, into)
    while f"{wanted}{LOG}" in names:
        if _finished_at(place.fetch(f"{wanted}{LOG}", into), key) >= target:
            return into
        wanted = next_segment(wanted)
    later = [name for name in names if name.endswith(LOG) and wanted < name[:24]]
    for name in sorted(name for name in later if name[:8] == wanted[:8])[:1]:
        place.fetch(name, into)
    return into


def _changes(names: dict[str, int], ended_at: datetime, target: datetime) -> list[str]:
    """Changes of files around the span, one round more than needed at either end."""
    rounds = sorted((at, name) for name in names if (at := read_files_name(name)))
    before = [name for at, name in rounds if at < ended_at][-1:]
    inside = [name for at, name in rounds if ended_at <= at <= target]
    return before + inside + [name for at, name in rounds if at > target][:1]


def _finished_at(path: Path, key: bytes) -> datetime:
    """When PostgreSQL finished a segment, from its sealed file."""
    with path.open("rb") as handle:
        for entry, blocks in Reader(handle, key=key).entries():
            data = b"".join(blocks)
            if entry == META:
                return datetime.fromisoformat(json.loads(data)["finished_at"])
    raise NotFound(f"{path.name} does not say when it was finished", code="backup_damaged")
