"""List the backups of this platform, newest first, with when each was proven by a restore."""

from __future__ import annotations

from typing import Any

from magnetfund.core.commands import FundCommand
from magnetfund.kernel.clock import isoformat_z
from magnetfund.operations.backups.runs import backup_folder
from magnetfund.operations.backups.storage import list_backups
from magnetfund.operations.models import Backup, BackupCheck


class Command(FundCommand):
    help = __doc__

    def work(self, **options: Any) -> dict[str, Any]:
        known = {row.name: row for row in Backup.objects.filter(is_complete=True)}
        proven: dict[str, BackupCheck] = {}
        for done in BackupCheck.objects.order_by("checked_at"):
            proven[done.name] = done
        rows = []
        for item in list_backups(backup_folder()):
            check = proven.get(item.path.name)
            state = "not verified" if check is None else "clean" if check.is_clean else "NOT CLEAN"
            row = known.get(item.path.name)
            rows.append(
                {
                    "name": item.path.name,
                    "made_at": isoformat_z(item.made_at),
                    "size": item.size,
                    "reason": row.reason if row else "unknown",
                    "state": state,
                    "checked_at": isoformat_z(check.checked_at) if check else None,
                }
            )
            self.say(f"{item.path.name}  {item.size:>14,} bytes  {state}")
        if not rows:
            self.say(f"No backups in {backup_folder()} yet. Make one with manage.py backup.")
        return {"folder": str(backup_folder()), "backups": rows}
