"""Make an encrypted backup of the database and the data folder."""

from __future__ import annotations

from typing import Any

from magnetfund.core.actors import Actor
from magnetfund.core.commands import FundCommand
from magnetfund.operations.backups.runs import backup_folder, record_backup


class Command(FundCommand):
    help = __doc__

    def work(self, **options: Any) -> dict[str, Any]:
        row = record_backup(reason="command", actor=Actor.system("backup"))
        path = backup_folder() / row.name
        self.say(
            f"Backup made: {path} ({row.size:,} bytes, {row.row_count:,} rows, "
            f"{row.seconds:.1f} s)."
        )
        self.say("It is proven once restored: manage.py verify_backup")
        return {"path": str(path), "sha256": row.sha256, "size": row.size, "rows": row.row_count}
