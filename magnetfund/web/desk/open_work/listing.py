"""The one list: states first, then the rows of every source, read by one statement."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db.models import (
    TextField,
    Value,
)
from django.db.models.functions import Cast

from magnetfund.core.roles import Role
from magnetfund.web.desk.open_work import fund, trading, upkeep
from magnetfund.web.desk.open_work.states import find_states
from magnetfund.web.desk.open_work.tasks import INVESTOR, Facts, OpenWork, Source

#: Tasks of one source in the list; the oldest come first.
TASKS_SHOWN = 20
SOURCES: dict[str, Source] = {
    **trading.SOURCES,
    **fund.SOURCES,
    **upkeep.SOURCES,
}


def list_open_work(book: str, facts: Facts) -> list[OpenWork]:
    """States first, for they stop the fund; then rows, oldest first."""
    return [*find_states(book, facts), *find_rows(book)]


def find_rows(book: str) -> list[OpenWork]:
    """Tasks of every row source, oldest first, at most :data:`TASKS_SHOWN` of each."""
    selected = [
        source.select(book)
        .annotate(source=Cast(Value(name), TextField()))
        .order_by("since")[:TASKS_SHOWN]
        for name, source in SOURCES.items()
    ]
    rows = selected[0].union(*selected[1:], all=True).order_by("since")
    return [_task(row) for row in rows]


def _task(row: Mapping[str, Any]) -> OpenWork:
    source = SOURCES[row["source"]]
    what, note = source.describe(row)
    return OpenWork(
        kind=source.kind,
        what=what,
        note=note,
        role=source.role,
        since=row["since"],
        url_name=source.url_name,
        anchor=source.anchor,
    )


def keep_role(work: list[OpenWork], asked: str) -> list[OpenWork]:
    """The tasks of one role; an empty or unknown word keeps all."""
    roles = {item.value for item in Role} | {INVESTOR.lower()}
    if asked not in roles:
        return work
    return [item for item in work if _role_word(item) == asked]


def roles_of(work: list[OpenWork]) -> list[tuple[str, str]]:
    """Roles that have a task, as word of an address and as label."""
    return sorted({(_role_word(item), item.waits_on) for item in work})


def _role_word(item: OpenWork) -> str:
    return INVESTOR.lower() if item.role is None else item.role.value
