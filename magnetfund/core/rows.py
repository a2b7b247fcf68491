"""Single rows written and read by statements that are built once.

Django builds the SQL of each call anew, which takes longer than the server needs to run it.  Where
rows are written one by one by the thousand, the statement is kept.  Values go through the model's
fields, so defaults, types and refusals are those of ``save``; signals play no part.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, TypeVar

from django.db import connection, models

Row = TypeVar("Row", bound=models.Model)


def insert_rows(*rows: models.Model, then: str = "", values: Sequence[Any] = ()) -> None:
    """Insert new rows in their order in one round trip: all or none, in a transaction or not.

    ``then`` is what follows them in that trip, with its ``values``.
    """
    given: list[Any] = []
    for row in rows:
        for field in _written(type(row)):
            given.append(field.get_db_prep_save(field.pre_save(row, add=True), connection))
    statements = [_insert_into(type(row)) for row in rows] + ([then] if then else [])
    with connection.cursor() as cursor:
        cursor.execute("; ".join(statements), [*given, *values])
        for row in rows:
            (row.pk,) = cursor.fetchone()
            row._state.adding, row._state.db = False, connection.alias
            cursor.nextset()


def update_row(row: models.Model, names: tuple[str, ...]) -> None:
    """Write the named columns (a foreign key by its ``_id``) of a stored row."""
    fields = {field.attname: field for field in type(row)._meta.concrete_fields}
    values = [fields[name].get_db_prep_save(getattr(row, name), connection) for name in names]
    with connection.cursor() as cursor:
        cursor.execute(_update(type(row), names), [*values, row.pk])


@cache
def select_from(model: type[models.Model]) -> str:
    """``SELECT`` of every column of a model, for :func:`row_of`."""
    return f"SELECT {_columns(_fields(model))} FROM {_quote(model._meta.db_table)}"  # noqa: S608 - names


def row_of(model: type[Row], values: Sequence[Any]) -> Row:
    """The stored row of what :func:`select_from` found."""
    return model.from_db(connection.alias, [field.attname for field in _fields(model)], values)


@cache
def _fields(model: type[models.Model]) -> tuple[models.Field[Any, Any], ...]:
    fields = tuple(model._meta.concrete_fields)
    if any(hasattr(field, "get_placeholder") for field in fields):
        raise TypeError(f"{model.__name__} has a column that only its queries can write")
    return fields


@cache
def _written(model: type[models.Model]) -> tuple[models.Field[Any, Any], ...]:
    return tuple(item for item in _fields(model) if not isinstance(item, models.AutoField))


@cache
def _insert_into(model: type[models.Model]) -> str:
    fields = _written(model)
    places = ", ".join(["%s"] * len(fields))
    table = f"{_quote(model._meta.db_table)} ({_columns(fields)})"
    return f"INSERT INTO {table} VALUES ({places}) RETURNING {_key(model)}"  # noqa: S608 - names


@cache
def _update(model: type[models.Model], names: tuple[str, ...]) -> str:
    columns = {field.attname: _quote(field.column) for field in _fields(model)}
    changes = ", ".join(f"{columns[name]} = %s" for name in names)
    table = _quote(model._meta.db_table)
    return f"UPDATE {table} SET {changes} WHERE {_key(model)} = %s"  # noqa: S608 - names


def _key(model: type[models.Model]) -> str:
    assert model._meta.pk is not None
    return _quote(model._meta.pk.column)


def _columns(fields: Sequence[models.Field[Any, Any]]) -> str:
    return ", ".join(_quote(field.column) for field in fields)


def _quote(name: str | None) -> str:
    assert name is not None  # a concrete field has a column
    return connection.ops.quote_name(name)
