"""Write the books, and the program that checks them offline, into a folder."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from magnetfund.core.commands import FundCommand
from magnetfund.kernel.errors import InvalidInput
from magnetfund.operations.books import check_books
from magnetfund.operations.books.export import export_books
from magnetfund.operations.books.root import read_roots


class Command(FundCommand):
    help = __doc__

    def add_own_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("folder", help="an empty or new folder")

    def work(self, **options: Any) -> dict[str, Any]:
        folder = Path(options["folder"])
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise InvalidInput(f"{folder} is not empty", code="not_empty")
        with (folder / "books.jsonl.gz").open("wb") as handle:
            rows = export_books(handle)
        shutil.copy(check_books.__file__, folder / "check_books.py")
        roots = read_roots()
        if roots:
            shutil.copy(roots[-1].path, folder / "root.json")
        self.say(f"{rows} rows; check them with python3 check_books.py books.jsonl.gz root.json")
        return {"rows": rows, "folder": str(folder)}
