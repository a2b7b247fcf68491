"""Declared grant class of the tables of platform upkeep."""

from __future__ import annotations

from magnetfund.core.walls import append_only, append_only_triggers

APPEND_ONLY_TABLES = ("operations_backup", "operations_backupcheck")

GRANTS = [*append_only(*APPEND_ONLY_TABLES)]

TRIGGERS = [*append_only_triggers(APPEND_ONLY_TABLES)]
