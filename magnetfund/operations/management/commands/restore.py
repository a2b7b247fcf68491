"""Restore a backup into a new data folder (MAGNET_HOME) or into an empty database."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser

from magnetfund.core.commands import FundCommand
from magnetfund.kernel.errors import InvalidInput
from magnetfund.operations.backups.container import read_key
from magnetfund.operations.backups.restore import restore_database, restore_home, unpack


class Command(FundCommand):
    help = __doc__

    def add_own_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", help="backup file")
        parser.add_argument("--key-file", help="backup key (default: BACKUP_KEY_FILE)")
        parser.add_argument(
            "--into",
            metavar="VARIABLE",
            help="name of an environment variable with the owner's URL of an empty database; "
            "without it the embedded server of a new MAGNET_HOME is filled",
        )

    def work(self, **options: Any) -> dict[str, Any]:
        path = Path(options["file"])
        key = read_key(Path(options["key_file"] or settings.BACKUP_KEY_FILE))
        if options["into"]:
            differences = self._fill(path, key, options["into"])
            seconds = None
        else:
            result = restore_home(path=path, key=key, root=Path(settings.MAGNET_HOME))
            differences, seconds = list(result.differences), round(result.seconds, 3)
        for line in differences:
            self.say(f"FAIL {line}")
        if not differences:
            self.say("Restored. Every table and every book is as it was.")
        answer = {"clean": not differences, "differences": differences, "seconds": seconds}
        if differences:
            if self.wants_json:
                self.print_json(answer)
            sys.exit(1)
        return answer

    def _fill(self, path: Path, key: bytes, variable: str) -> list[str]:
        dsn = os.environ.get(variable, "")
        if not dsn:
            raise InvalidInput(f"{variable} is not set", code="bad_setting")
        with tempfile.TemporaryDirectory(prefix="magnetfund-restore-") as name:
            return restore_database(unpack(path, key=key, folder=Path(name)), dsn=dsn)
