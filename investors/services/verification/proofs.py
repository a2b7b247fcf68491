"""Since when a suspension or a running cost must have its signature among those that are kept."""

from __future__ import annotations

from datetime import datetime

from django.db import connection
from django.db.migrations.recorder import MigrationRecorder

from investors.models import Fund
from risk.services.scenario_clock import signed_since

#: Before it, PostgreSQL took these decisions on the two names alone.
ASKED_BY = "0032_signed_costs_and_suspensions"


def proved_since(fund: Fund) -> datetime | None:
    """The database's time after which each decision is signed; ``None`` where none need be."""
    people = signed_since(fund.book)
    rows = MigrationRecorder(connection).migration_qs.filter(app="investors", name=ASKED_BY)
    asked = rows.values_list("applied", flat=True).first()
    return None if people is None or asked is None else max(people, asked)
