"""Many rows in one statement: inserted by COPY, updated from arrays.

For a strike of a hundred thousand lots.  Triggers, checks and rights are those of any INSERT or
UPDATE; a statement's triggers see all its rows at once.  Model defaults and signals play no part:
every column that the database does not set is named.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any

from django.db import connection
from django.db.models import Field, Model
from psycopg import sql

from magnetfund.core.fields import ExactField


def copy_rows(model: type[Model], names: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Insert rows with the named fields (a foreign key by its ``_id``), in their order."""
    fields = _fields(model, names)
    exact = _exact_places(fields)
    command = sql.SQL("COPY {table} ({columns}) FROM STDIN").format(
        table=sql.Identifier(model._meta.db_table), columns=_columns(fields)
    )
    coming = iter(rows)
    first = next(coming, None)
    if first is None:
        return  # triggers of a statement are for statements that write
    # What COPY is refused at its end is told as any statement's refusal.
    errors = connection.wrap_database_errors
    with connection.cursor() as cursor, errors, cursor.copy(command) as copy:
        for row in chain([first], coming):
            _require_exact(row, exact)
            copy.write_row(row)


def update_rows(model: type[Model], names: Sequence[str], rows: Iterable[Sequence[Any]]) -> int:
    """Set the named fields of rows, each given as its key and then its values; how many were."""
    key = model._meta.pk
    assert key is not None
    fields = [key, *_fields(model, names)]
    exact = _exact_places(fields)
    found = list(rows)
    if not found:
        return 0
    for row in found:
        _require_exact(row, exact)
    command = sql.SQL(
        "UPDATE {table} t SET {changes} FROM unnest({arrays}) AS v({columns}) "
        "WHERE t.{key} = v.{key}"
    ).format(
        table=sql.Identifier(model._meta.db_table),
        changes=sql.SQL(", ").join(
            [sql.SQL("{0} = v.{0}").format(_name(field)) for field in fields[1:]]
        ),
        arrays=sql.SQL(", ").join(
            sql.SQL("%s::{}[]").format(sql.SQL(field.db_type(connection) or "")) for field in fields
        ),
        columns=_columns(fields),
        key=_name(key),
    )
    with connection.cursor() as cursor:
        # As text: what wraps a statement of Django reads one.
        text = command.as_string(cursor.connection)
        cursor.execute(text, [list(column) for column in zip(*found, strict=True)])
        return int(cursor.rowcount)


def refresh_statistics(*models: type[Model]) -> None:
    """Let the planner count the rows of tables that have grown by thousands within a minute."""
    names = [connection.ops.quote_name(model._meta.db_table) for model in models]
    with connection.cursor() as cursor:
        cursor.execute("SELECT core_refresh_statistics(%s::regclass[])", [names])


def is_doubled(times: int) -> bool:
    """Whether what was written ``times`` times is twice what it was when this was last so."""
    return times > 0 and times & (times - 1) == 0


def _columns(fields: Sequence[Field[Any, Any]]) -> sql.Composable:
    return sql.SQL(", ").join([_name(field) for field in fields])


def _name(field: Field[Any, Any]) -> sql.Identifier:
    return sql.Identifier(str(field.column))


def _fields(model: type[Model], names: Sequence[str]) -> list[Field[Any, Any]]:
    by_name = {field.attname: field for field in model._meta.concrete_fields}
    return [by_name[name] for name in names]


def _exact_places(fields: Sequence[Field[Any, Any]]) -> list[int]:
    return [place for place, field in enumerate(fields) if isinstance(field, ExactField)]


def _require_exact(row: Sequence[Any], places: Sequence[int]) -> None:
    for place in places:
        if isinstance(row[place], (float, bool)):
            raise TypeError("use an exact decimal, not a float")
