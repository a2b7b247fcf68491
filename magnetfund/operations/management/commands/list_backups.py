"""List the backups on disk and in the bucket, newest first, with when each was proven."""

from __future__ import annotations

import sys
from typing import Any

from django.conf import settings

from magnetfund.core.commands import FundCommand
from magnetfund.kernel.clock import isoformat_z
from magnetfund.kernel.errors import FundError
from magnetfund.operations.backups.copies import PLACES, open_storage
from magnetfund.operations.backups.runs import backup_folder
from magnetfund.operations.backups.storage import StoredBackup
from magnetfund.operations.models import Backup, BackupCheck, BackupCopy


class Command(FundCommand):
    help = __doc__

    def work(self, **options: Any) -> dict[str, Any]:
        found, problem = _list_everywhere()
        reasons = dict(Backup.objects.filter(is_complete=True).values_list("name", "reason"))
        checks = {check.name: check for check in BackupCheck.objects.order_by("checked_at")}
        copies = {
            copy.name: copy
            for copy in BackupCopy.objects.filter(is_verified=True).order_by("tried_at")
        }
        rows = []
        for name in sorted(found, reverse=True):
            places = found[name]
            item = next(iter(places.values()))
            check, copy = checks.get(name), copies.get(name)
            state = "not verified" if check is None else "clean" if check.is_clean else "NOT CLEAN"
            rows.append(
                {
                    "name": name,
                    "made_at": isoformat_z(item.made_at),
                    "size": item.size,
                    "places": list(places),
                    "reason": reasons.get(name, "unknown"),
                    "state": state,
                    "checked_at": isoformat_z(check.checked_at) if check else None,
                    "copy_verified_at": isoformat_z(copy.tried_at) if copy else None,
                }
            )
            self.say(f"{name}  {item.size:>14,} bytes  {' + '.join(places):<13}  {state}")
        if not rows:
            self.say(f"No backups in {backup_folder()} yet. Make one with manage.py backup.")
        answer = {"folder": str(backup_folder()), "backups": rows, "bucket_error": problem}
        if problem:
            self.say(f"FAIL {problem}")
            if self.wants_json:
                self.print_json(answer)
            sys.exit(1)
        return answer


def _list_everywhere() -> tuple[dict[str, dict[str, StoredBackup]], str]:
    """Each backup by its name and the places that hold it, and why the bucket was not read."""
    found: dict[str, dict[str, StoredBackup]] = {}
    for place in PLACES if settings.BACKUP_BUCKET else PLACES[:1]:
        try:
            for item in open_storage(place).list():
                found.setdefault(item.name, {})[place] = item
        except FundError as error:
            return found, error.message
    return found, ""
