"""Tasks of compliance about those who read or act for a holder."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db.models import QuerySet

from investors.models import AdviserAccess, EstateStep, PowerOfAttorney
from magnetfund.core.roles import Role
from magnetfund.web.desk.open_work.tasks import Source, columns_of, name_of


def _select_advisers(book: str, now: datetime) -> QuerySet[Any, dict[str, Any]]:
    rows = AdviserAccess.objects.filter(granted_at=None, ended_at=None, until__gte=now.date())
    return columns_of(rows, since="invited_at", who="name", words="investor__legal_name")


def _select_powers(book: str, now: datetime) -> QuerySet[Any, dict[str, Any]]:
    rows = PowerOfAttorney.objects.filter(is_approved=None)
    return columns_of(
        rows, since="proposed_at", who=name_of("proposed_by"), words="investor__legal_name"
    )


def _select_estates(book: str, now: datetime) -> QuerySet[Any, dict[str, Any]]:
    rows = EstateStep.objects.filter(is_approved=None)
    return columns_of(
        rows, since="proposed_at", who=name_of("proposed_by"), words="report__deceased"
    )


SOURCES = {
    "adviser_unsigned": Source(
        kind="KYC",
        role=Role.COMPLIANCE,
        url_name="desk_cases",
        names_holders=True,
        select=_select_advisers,
        describe=lambda row: (
            f"Call {row['words']} back about an adviser",
            f"{row['who']}; done too once the holder signs",
        ),
    ),
    "estate_proposed": Source(
        kind="KYC",
        role=Role.COMPLIANCE,
        url_name="desk_cases",
        names_holders=True,
        select=_select_estates,
        describe=lambda row: (
            f"Decide on the estate of {row['words']}",
            f"proposed by {row['who']}; another person decides",
        ),
    ),
    "power_proposed": Source(
        kind="KYC",
        role=Role.COMPLIANCE,
        url_name="desk_cases",
        names_holders=True,
        select=_select_powers,
        describe=lambda row: (
            f"Approve or decline a power of attorney for {row['words']}",
            f"proposed by {row['who']}; another person decides",
        ),
    ),
}
