"""Restore a backup into a scratch server, compare every table and check the books there."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from magnetfund.core.commands import FundCommand
from magnetfund.operations.backups.runs import newest_file, record_check


class Command(FundCommand):
    help = __doc__

    def add_own_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", nargs="?", help="backup to verify (default: the newest)")

    def work(self, **options: Any) -> dict[str, Any]:
        path = Path(options["file"]) if options["file"] else newest_file()
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
