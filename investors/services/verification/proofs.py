"""Since when PostgreSQL asks for the signature of a decision, or for the source of an entry."""

from __future__ import annotations

from datetime import datetime

from django.db import connection
from django.db.migrations.recorder import MigrationRecorder

from investors.models import Fund
from risk.services.scenario_clock import signed_since

#: Before it, PostgreSQL took these decisions on the two names alone.
ASKED_BY = "0032_signed_costs_and_suspensions"


def proved_since(fund: Fund, *, asked_by: str = ASKED_BY) -> datetime | None:
    """The database's time after which each decision is signed, by the migration that asks for it;
    ``None`` where none need be."""
    people = signed_since(fund.book)
    rows = MigrationRecorder(connection).migration_qs.filter(app="investors", name=asked_by)
    asked = rows.values_list("applied", flat=True).first()
    return None if people is None or asked is None else max(people, asked)
