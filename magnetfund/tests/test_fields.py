"""Columns of exact numbers: what they take and what a migration writes."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.core.exceptions import ValidationError
from django.db import connection, transaction

from investors.models import InvestorSnapshot
from magnetfund.core.bulk import copy_rows, update_rows
from magnetfund.core.fields import ExactField


@pytest.mark.parametrize("value", [1.5, True, "NaN", "Infinity"])
def test_a_float_or_what_is_no_number_is_refused(value: object) -> None:
    with pytest.raises(ValidationError):
        ExactField().to_python(value)


def test_a_float_is_refused_on_its_way_to_sql() -> None:
    with pytest.raises(TypeError, match="exact decimal"):
        ExactField().get_db_prep_save(1.5, connection)


@pytest.mark.django_db
def test_rows_written_many_at_once_refuse_a_float_too() -> None:
    with pytest.raises(TypeError, match="exact decimal"), transaction.atomic():
        copy_rows(InvestorSnapshot, ("units", "value"), [(Decimal(1), 1.5)])
    with pytest.raises(TypeError, match="exact decimal"):
        update_rows(InvestorSnapshot, ("value",), [(1, 1.5)])


def test_a_decimal_and_a_text_are_taken_as_they_are() -> None:
    assert ExactField().to_python("0.100000000000000001") == Decimal("0.100000000000000001")


def test_a_migration_writes_whether_it_may_be_empty() -> None:
    _, path, positional, named = ExactField(null=True, blank=True).deconstruct()
    assert (path, list(positional)) == ("magnetfund.core.fields.ExactField", [])
    assert named == {"null": True, "blank": True}
