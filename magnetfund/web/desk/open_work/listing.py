"""The one list: states first, then the rows of every source, read by one statement."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any

from django.db import connection
from django.db.models import (
    TextField,
    Value,
)
from django.db.models.functions import Cast

from magnetfund.core.roles import Role
from magnetfund.kernel.clock import utc_now
from magnetfund.web.desk.open_work import fund, money, others, rates, trading, upkeep
from magnetfund.web.desk.open_work.states import find_states
from magnetfund.web.desk.open_work.tasks import INVESTOR, Facts, OpenWork, Source

#: Tasks of one source in the list; the oldest come first.
TASKS_SHOWN = 20
#: Stand for the book and the moment in the compiled statement.
ANY_BOOK = "any book"
ANY_MOMENT = datetime(1900, 1, 1, tzinfo=UTC)
SOURCES: dict[str, Source] = {
    **trading.SOURCES,
    **fund.SOURCES,
    **money.SOURCES,
    **others.SOURCES,
    **rates.SOURCES,
    **upkeep.SOURCES,
}


def list_open_work(book: str, facts: Facts, *, names_holders: bool = True) -> list[OpenWork]:
    """States first, for they stop the fund; then rows, oldest first.  Without ``names_holders`` as
    somebody sees it who may not read who holds and is paid."""
    return [*find_states(book, facts), *find_rows(book, names_holders=names_holders)]


def find_rows(book: str, *, names_holders: bool = True) -> list[OpenWork]:
    """Tasks of every row source, oldest first, at most :data:`TASKS_SHOWN` of each."""
    statement, parameters = _compile()
    now = utc_now()
    with connection.cursor() as cursor:
        cursor.execute(statement, [_fill(value, book, now) for value in parameters])
        names = [column.name for column in cursor.description or ()]
        rows = cursor.fetchall()
    found = [dict(zip(names, row, strict=True)) for row in rows]
    return [
        _task(row) for row in found if names_holders or not SOURCES[row["source"]].names_holders
    ]


@cache
def _compile() -> tuple[str, tuple[Any, ...]]:
    """The statement over all sources, and its parameters for any book at any moment.

    Every page of the desk asks it, and to compile it takes several times as long as to run it.
    """
    selected = [
        source.select(ANY_BOOK, ANY_MOMENT)
        .annotate(source=Cast(Value(name), TextField()))
        .order_by("since")[:TASKS_SHOWN]
        for name, source in SOURCES.items()
    ]
    rows = selected[0].union(*selected[1:], all=True).order_by("since")
    statement, parameters = rows.query.sql_with_params()
    return statement, tuple(parameters)


def _fill(parameter: Any, book: str, now: datetime) -> Any:
    """A parameter for this book, and as far from now as it was from :data:`ANY_MOMENT`."""
    if isinstance(parameter, datetime):
        return now + (parameter - ANY_MOMENT)
    return book if parameter == ANY_BOOK else parameter


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
