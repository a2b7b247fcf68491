"""Django's ``migrate``, by an executor that renders of each step what the step reads."""

from __future__ import annotations

from typing import Any

from django.core.management.commands import migrate

from magnetfund.core.migration_walk import NarrowExecutor


class Command(migrate.Command):
    def handle(self, *arguments: Any, **options: Any) -> str | None:
        # Django's command names its executor itself and offers no other way to choose one.
        migrate.MigrationExecutor = NarrowExecutor  # type: ignore[attr-defined]
        return super().handle(*arguments, **options)
