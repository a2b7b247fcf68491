"""Restore a backup into a scratch server, compare every table and check the books there."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from magnetfund.core.commands import FundCommand
from magnetfund.operations.backups.copies import PLACES, open_storage
from magnetfund.operations.backups.runs import record_check
from magnetfund.operations.backups.storage import newest_name


class Command(FundCommand):
    help = __doc__

    def add_own_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "file",
            nargs="?",
            help="backup to verify, a path or the name of one in the bucket (default: the newest)",
        )
        parser.add_argument(
            "--from",
            dest="place",
            choices=PLACES,
            default="disk",
            help="where to take it from: disk (the default) or bucket",
        )

    def work(self, **options: Any) -> dict[str, Any]:
        if options["file"] and options["place"] == "disk":
            return self._verify(Path(options["file"]))
        storage = open_storage(options["place"])
        with storage.borrow(options["file"] or newest_name(storage)) as path:
            return self._verify(path)

    def _verify(self, path: Path) -> dict[str, Any]:
        row, result = record_check(path=path)
        for line in result.differences:
            self.say(f"FAIL {line}")
        if row.is_clean:
            self.say(
                f"{path.name}: restored in {row.seconds:.1f} s; {row.table_count} tables, "
                f"{row.row_count:,} rows and all books are as they were."
            )
        answer = {
            "name": path.name, "clean": row.is_clean, "seconds": round(row.seconds, 3),
            "differences": list(result.differences),
        }  # fmt: skip
        if not row.is_clean:
            if self.wants_json:
                self.print_json(answer)
            sys.exit(1)
        return answer
