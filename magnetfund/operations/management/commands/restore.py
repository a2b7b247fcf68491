"""Restore a backup, or an instant, into a new data folder (MAGNET_HOME), or a backup into an empty
database."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser

from magnetfund.core.commands import FundCommand
from magnetfund.kernel.errors import InvalidInput
from magnetfund.operations.backups.bucket import open_bucket
from magnetfund.operations.backups.container import read_key
from magnetfund.operations.backups.copies import PLACES, open_storage
from magnetfund.operations.backups.log_bucket import fetch_log
from magnetfund.operations.backups.point_in_time import find_log, restore_to
from magnetfund.operations.backups.restore import restore_database, restore_home, unpack
from magnetfund.operations.backups.storage import newest_name


def read_instant(word: str) -> datetime:
    """An instant that a person typed; without a zone it is UTC.

    Raises :class:`InvalidInput` (``bad_time``).
    """
    try:
        found = datetime.fromisoformat(word.strip())
    except ValueError:
        raise InvalidInput(
            f'{word} is no time; write it like "2026-11-22 01:02:00"', code="bad_time"
        ) from None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


class Command(FundCommand):
    help = __doc__

    def add_own_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "file",
            nargs="?",
            help="backup file; with --to, the folder of the backups; with --from bucket, the name "
            'of a backup there, or "newest"; none with --from bucket --to',
        )
        parser.add_argument(
            "--from",
            dest="place",
            choices=PLACES,
            default="disk",
            help="where to take it from: disk (the default) or the bucket of BACKUP_S3_URL",
        )
        parser.add_argument(
            "--to",
            metavar="TIME",
            help='restore to an instant, in UTC: --to "2026-11-22 01:02:00"; needs the log that an '
            "embedded server keeps",
        )
        parser.add_argument("--key-file", help="backup key (default: BACKUP_KEY_FILE)")
        parser.add_argument(
            "--into",
            metavar="VARIABLE",
            help="name of an environment variable with the owner's URL of an empty database; "
            "without it the embedded server of a new MAGNET_HOME is filled",
        )

    def work(self, **options: Any) -> dict[str, Any]:
        from_log = bool(options["to"]) and options["place"] == "bucket"
        if from_log is bool(options["file"]):
            words = "takes no file" if from_log else "needs the file to restore"
            raise InvalidInput(f"this {words}; see --help", code="bad_input")
        if options["place"] == "disk":
            return self._restore(Path(options["file"]), options)
        # Before a large file is fetched.
        key = read_key(Path(options["key_file"] or settings.BACKUP_KEY_FILE))
        if from_log:
            return self._fetch_and_restore(key, options)
        storage = open_storage(options["place"])
        name = newest_name(storage) if options["file"] == "newest" else options["file"]
        with storage.borrow(name) as path:
            self.say(f"Fetched {name} from {storage.place}.")
            return self._restore(path, options)

    def _fetch_and_restore(self, key: bytes, options: dict[str, Any]) -> dict[str, Any]:
        """The log of the lost machine's cluster from the bucket, then a restore as from disk."""
        target, began = read_instant(options["to"]), time.monotonic()
        bucket = open_bucket(settings.BACKUP_BUCKET)
        with tempfile.TemporaryDirectory(prefix="magnetfund-bucket-") as name:
            folder = fetch_log(bucket, target=target, key=key, into=Path(name))
            files = list(folder.iterdir())
            self.say(
                f"Fetched {len(files)} files, {sum(path.stat().st_size for path in files):,} "
                f"bytes, from {bucket.place} in {time.monotonic() - began:.1f} s."
            )
            return self._restore(folder, options)

    def _restore(self, path: Path, options: dict[str, Any]) -> dict[str, Any]:
        key = read_key(Path(options["key_file"] or settings.BACKUP_KEY_FILE))
        if options["to"]:
            differences, seconds = self._restore_to(path, key, options["to"])
        elif options["into"]:
            differences = self._fill(path, key, options["into"])
            seconds = None
        else:
            result = restore_home(path=path, key=key, root=Path(settings.MAGNET_HOME))
            differences, seconds = list(result.differences), round(result.seconds, 3)
        for line in differences:
            self.say(f"FAIL {line}")
        if not differences:
            words = (
                f"Restored to {options['to']} UTC. The books are clean."
                if options["to"]
                else "Restored. Every table and every book is as it was."
            )
            self.say(words)
        answer = {"clean": not differences, "differences": differences, "seconds": seconds}
        if differences:
            if self.wants_json:
                self.print_json(answer)
            sys.exit(1)
        return answer

    def _restore_to(self, folder: Path, key: bytes, word: str) -> tuple[list[str], float]:
        target = read_instant(word)
        result = restore_to(
            folder=find_log(folder, target), key=key, root=Path(settings.MAGNET_HOME), target=target
        )
        self.say(
            f"{result.base.path.name} and {result.segments} segments of the log, "
            f"{result.seconds:.1f} s."
        )
        return list(result.differences), round(result.seconds, 3)

    def _fill(self, path: Path, key: bytes, variable: str) -> list[str]:
        dsn = os.environ.get(variable, "")
        if not dsn:
            raise InvalidInput(f"{variable} is not set", code="bad_setting")
        with tempfile.TemporaryDirectory(prefix="magnetfund-restore-") as name:
            return restore_database(unpack(path, key=key, folder=Path(name)), dsn=dsn)
