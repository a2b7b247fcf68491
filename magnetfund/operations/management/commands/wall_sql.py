"""Print the SQL of a table's walls, to be kept in the migration that makes the table."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from magnetfund.core.walls import append_only_sql, grants_sql
from magnetfund.operations.walls import declared_grants, declared_triggers


class Command(BaseCommand):
    help = "Print the grants and append-only triggers that table_walls.py states for tables"
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("tables", nargs="+", metavar="TABLE")

    def handle(self, *args: Any, **options: Any) -> None:
        stated = {row.table: row for row in declared_grants()}
        kept = {row.table for row in declared_triggers() if row.name == "append_only_row"}
        unknown = [name for name in options["tables"] if name not in stated]
        if unknown:
            raise CommandError(
                f"no table_walls.py states a grant class for {', '.join(unknown)}", returncode=2
            )
        for name in options["tables"]:
            if name in kept:
                self.stdout.write(append_only_sql(name))
        self.stdout.write(grants_sql(stated[name] for name in options["tables"]))
