"""Apply migrations, collect static files, make the keys of API tokens and repeat erasures. Run as
the owner role before each start."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.db import connections
from django.db.migrations.executor import MigrationExecutor

from investors.services.documents import replay_erasures
from magnetfund.core.actors import Actor
from magnetfund.core.commands import FundCommand
from magnetfund.core.secret_text import encrypt_stored_seeds, make_seed_key
from magnetfund.operations.backups.container import make_key
from magnetfund.operations.backups.runs import record_backup
from magnetfund.operations.books.root import make_root_keys
from magnetfund.operations.first_account import print_link
from magnetfund.operations.minute_archive import archive_today
from magnetfund.operations.static_files import collect_static_files
from magnetfund.operations.supervisor import make_token_keys
from magnetfund.operations.walls import state_purpose

#: Months of minutes that a start moves into files; the rest waits for the next day, or the command.
MONTHS_A_START = 24


class Command(FundCommand):
    help = __doc__

    def work(self, **options: Any) -> dict[str, Any]:
        if make_key(settings.BACKUP_KEY_FILE):
            self.say(
                f"Backup key made: {settings.BACKUP_KEY_FILE}. Keep a copy on another machine; "
                "without it no backup can be restored."
            )
        if _is_behind():
            # What a migration may lose can then be brought back.
            row = record_backup(reason="migration", actor=Actor.system("prepare"))
            self.say(f"Backup before migrating: {row.name}")
        call_command("migrate", database="owner", verbosity=0)
        state_purpose(settings.MAGNET_ENV, settings.MAGNET_BOOK)
        make_token_keys(settings.MAGNET_HOME / "keys")
        make_seed_key(settings.MAGNET_HOME / "keys")
        encrypt_stored_seeds()
        make_root_keys(settings.MAGNET_HOME / "keys")
        # A restored database or store of keys may hold what was erased since.
        replay_erasures(using="owner")
        if settings.IS_PRODUCTION:
            # Elsewhere the files are found where they are; here they are served by their hashes.
            collect_static_files()
        archive_today(
            actor=Actor.system("prepare"),
            months_max=MONTHS_A_START,
            on_month=lambda month: self.say(
                f"Minutes of {month.starts_at:%B %Y} moved into {month.path}"
            ),
        )
        link = print_link() if settings.IS_PRODUCTION else None
        if link is not None:
            self.say(f"Nobody can set up this home yet. Within 2 days, once, open:\n{link}")
        return {"prepared": True, "first_administrator": link}


def _is_behind() -> bool:
    """Whether a database that is in use has migrations to come.

    An empty one has nothing to lose; one from before backups has no table for their records.
    """
    connection = connections["owner"]
    executor = MigrationExecutor(connection)
    applied = executor.loader.applied_migrations
    targets = executor.loader.graph.leaf_nodes()
    return ("operations", "0001_backups") in applied and bool(executor.migration_plan(targets))
