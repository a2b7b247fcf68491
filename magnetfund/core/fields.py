"""Column types of exact numbers.

Every amount, price, quantity and unit is ``NUMERIC(38,18)``.  A binary float is refused before it
reaches SQL, and each column carries a range check in PostgreSQL that refuses NaN and infinity.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import BaseConstraint, CheckConstraint, Q

LIMIT = Decimal("1e20")


if TYPE_CHECKING:
    from django.db.models.expressions import Combinable
    from typing_extensions import TypeVar

    _Set = TypeVar("_Set", default=Any)
    _Get = TypeVar("_Get", default=Any)
    _Column = models.DecimalField[_Set, _Get]
else:
    _Set = _Get = None
    _Column = {(_Set, _Get): models.DecimalField}


class ExactField(_Column[_Set, _Get]):
    """``NUMERIC(38,18)`` that accepts Decimal, int and str, never float."""

    if TYPE_CHECKING:  # what a row may be given and what it holds; None too where the column allows
        _pyi_private_set_type: Decimal | int | str | Combinable
        _pyi_private_get_type: Decimal

    def __init__(self, *args: Any, null: bool = False, **kwargs: Any) -> None:
        kwargs["max_digits"] = 38
        kwargs["decimal_places"] = 18
        super().__init__(*args, null=null, **kwargs)

    def deconstruct(self) -> tuple[str, str, Any, dict[str, Any]]:
        name, path, args, kwargs = super().deconstruct()
        del kwargs["max_digits"], kwargs["decimal_places"]
        return name, path, args, kwargs

    def to_python(self, value: Any) -> Any:
        if isinstance(value, (float, bool)):
            raise ValidationError("use an exact decimal, not a float")
        number = super().to_python(value)
        if number is not None and not number.is_finite():
            raise ValidationError("the number is not finite")
        return number

    def get_db_prep_save(self, value: Any, connection: Any) -> Any:
        if isinstance(value, (float, bool)):
            raise TypeError(f"{self.name}: use an exact decimal, not a float")
        return super().get_db_prep_save(value, connection)


def in_range(table: str, *columns: str) -> list[BaseConstraint]:
    """Range checks that keep NaN, infinity and absurd magnitudes out of the named columns."""
    return [
        CheckConstraint(
            condition=Q(**{f"{column}__gt": -LIMIT, f"{column}__lt": LIMIT})
            | Q(**{f"{column}__isnull": True}),
            name=f"{table}_{column}_finite"[:63],
        )
        for column in columns
    ]


def positive(table: str, *columns: str) -> list[BaseConstraint]:
    """Checks that the named columns are > 0 and finite (NULL passes)."""
    return [
        CheckConstraint(
            condition=Q(**{f"{column}__gt": 0, f"{column}__lt": LIMIT})
            | Q(**{f"{column}__isnull": True}),
            name=f"{table}_{column}_positive"[:63],
        )
        for column in columns
    ]


def not_negative(table: str, *columns: str) -> list[BaseConstraint]:
    """Checks that the named columns are >= 0 and finite (NULL passes)."""
    return [
        CheckConstraint(
            condition=Q(**{f"{column}__gte": 0, f"{column}__lt": LIMIT})
            | Q(**{f"{column}__isnull": True}),
            name=f"{table}_{column}_not_negative"[:63],
        )
        for column in columns
    ]
