"""Single rows written and read by statements that are built once.

Django builds the SQL of each call anew, which takes longer than the server needs to run it.  Where
rows are written one by one by the thousand, the statement is kept.  Values go through the model's
fields, so defaults, types and refusals are those of ``save``; signals play no part.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from decimal import Decimal
from functools import cache
from typing import Any, TypeVar
from uuid import UUID

from django.db import connection, models

from magnetfund.core.bulk import copy_rows
from magnetfund.core.fields import ExactField
from magnetfund.kernel.errors import InvariantBroken

Row = TypeVar("Row", bound=models.Model)
#: A statement and its values.
Statement = tuple[str, Sequence[Any]]
#: What is kept back, where something is.
_KEPT: ContextVar[list[Statement] | None] = ContextVar("kept", default=None)

#: Types that the driver writes as they are where the column is of that kind; the rest, and so every
#: wrong one, is the field's to convert or refuse.
AS_IT_IS: dict[type[models.Field[Any, Any]], type] = {
    models.CharField: str,
    models.TextField: str,
    models.BooleanField: bool,
    models.IntegerField: int,
    models.BigIntegerField: int,
    models.BigAutoField: int,
    models.PositiveIntegerField: int,
    models.PositiveSmallIntegerField: int,
    models.FloatField: float,
    models.UUIDField: UUID,
    models.DateTimeField: datetime,
    ExactField: Decimal,
}
#: Of these kinds not every value is one that the column holds.
CHECKED: Mapping[type | None, Callable[[Any], bool]] = {
    Decimal: Decimal.is_finite,
    datetime: lambda instant: instant.tzinfo is not None,
}


def insert_rows(*rows: models.Model, then: Sequence[Statement] = ()) -> None:
    """Insert new rows in their order in one round trip: all or none, in a transaction or not.

    ``then`` is what follows them in that trip.
    """
    given = [(_insert_into(type(row)), _values_of(row)) for row in rows]
    with connection.cursor() as cursor:
        send(cursor, *given, *then)
        for row in rows:
            (row.pk,) = cursor.fetchone()
            row._state.adding, row._state.db = False, connection.alias
            cursor.nextset()


def write_rows(*rows: models.Model, then: Sequence[Statement] = ()) -> None:
    """Insert new rows and run what follows them, now or with what :func:`one_trip` keeps back; a
    key that the server gives stays unknown."""
    given = [(_insert_into(type(row)), _values_of(row)) for row in rows]
    write(*given, *then)
    for row in rows:
        row._state.adding, row._state.db = False, connection.alias


def write(*statements: Statement) -> None:
    """Run statements that nobody waits for: now, or with what :func:`one_trip` keeps back."""
    kept = _KEPT.get()
    if kept is not None:
        kept += statements
    elif statements:
        with connection.cursor() as cursor:
            send(cursor, *statements)


@contextmanager
def one_trip() -> Iterator[None]:
    """Keep back what :func:`write` is given, and send it in its order in one round trip, which is
    one commit: at the end, or before the database is asked anything else.

    For what can be told again from its beginning: where it breaks off, what was kept is not
    written.  A transaction begins after :func:`send_kept`; within one nothing is kept back.
    """
    if connection.in_atomic_block:
        yield
        return
    token = _KEPT.set([])
    try:
        with connection.execute_wrapper(_send_before):
            yield
            send_kept()
    finally:
        _KEPT.reset(token)


def send_kept() -> None:
    """Send what :func:`one_trip` kept back so far."""
    kept = _KEPT.get()
    if not kept:
        return
    if connection.in_atomic_block:
        raise InvariantBroken("what was kept back would fall with a transaction that began later")
    given = list(kept)
    kept.clear()
    with connection.cursor() as cursor:
        send(cursor, *given)


def _send_before(execute: Callable[..., Any], *asked: Any) -> Any:
    send_kept()
    return execute(*asked)


def copy_new(rows: Sequence[models.Model]) -> None:
    """Insert new rows of one table by COPY; a key that the server gives stays unknown."""
    if not rows:
        return
    model = type(rows[0])
    names = [name for name, _, _ in _columns_written(model)]
    copy_rows(model, names, (_values_of(row) for row in rows))
    for row in rows:
        row._state.adding, row._state.db = False, connection.alias


def read_rows(*statements: Statement) -> list[list[tuple[Any, ...]]]:
    """What each of some queries finds, asked in one round trip."""
    found = []
    with connection.cursor() as cursor:
        send(cursor, *statements)
        for _ in statements:
            found.append(cursor.fetchall())
            cursor.nextset()
    return found


def send(cursor: Any, *statements: Statement) -> None:
    """Run statements in one round trip; each finds its values by itself, so that the driver knows
    it again, which it does of no text with more than fifty."""
    cursor.execute("; ".join(cursor.mogrify(text, values) for text, values in statements))


def update_of(row: models.Model, names: tuple[str, ...]) -> Statement:
    """What writes the named columns (a foreign key by its ``_id``) of a stored row."""
    values = [_value_of(row, *column) for column in _columns_named(type(row), names)]
    return _update(type(row), names), [*values, row.pk]


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


def _values_of(row: models.Model) -> list[Any]:
    for field in _stamped(type(row)):
        field.pre_save(row, add=True)
    return [_value_of(row, *column) for column in _columns_written(type(row))]


def _value_of(row: models.Model, name: str, kind: type | None, field: Any) -> Any:
    """What is sent for a column: the field converts or refuses what is not of its kind."""
    value: Any = getattr(row, name)
    is_its_kind = type(value) is kind
    if value is None or (is_its_kind and (kind not in CHECKED or CHECKED[kind](value))):
        return value
    return field.get_db_prep_save(value, connection)


@cache
def _columns_written(model: type[models.Model]) -> tuple[tuple[str, type | None, Any], ...]:
    return tuple(_column_of(item) for item in _written(model))


@cache
def _columns_named(
    model: type[models.Model], names: tuple[str, ...]
) -> tuple[tuple[str, type | None, Any], ...]:
    fields = {field.attname: field for field in _fields(model)}
    return tuple(_column_of(fields[name]) for name in names)


def _column_of(field: models.Field[Any, Any]) -> tuple[str, type | None, Any]:
    told = field.target_field if isinstance(field, models.ForeignKey) else field
    return field.attname, AS_IT_IS.get(type(told)), field


@cache
def _stamped(model: type[models.Model]) -> tuple[models.Field[Any, Any], ...]:
    """Columns that are given the time of their writing."""
    return tuple(item for item in _written(model) if isinstance(item, models.DateTimeField))


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
