"""What a service posts or pays in these tests must stand as PostgreSQL asks for it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.db import connection


@pytest.fixture
def forged_entries() -> None:
    """A test that asks for it posts entries of its own, which no live book would take."""


@pytest.fixture(autouse=True)
def sourced_entries(request: pytest.FixtureRequest) -> Iterator[None]:
    """The suite's books take any entry, so the wall is asked here as its trigger would ask it.

    Results that ``SmallFund.earn`` makes out of nothing are left out.
    """
    is_stored = request.node.get_closest_marker("django_db") or "db" in request.fixturenames
    if not is_stored or "forged_entries" in request.fixturenames:
        yield
        return
    # Its transaction must end after the question, and stay away from tests that have none.
    request.getfixturevalue("_django_db_helper")
    yield
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT e.kind, e.source_ref, investors_entry_fault(e) FROM investors_entry e "
            "WHERE e.source_ref NOT LIKE 'earned:%' AND investors_entry_fault(e) IS NOT NULL"
        )
        assert cursor.fetchall() == []
        cursor.execute(
            "SELECT y.number, investors_payment_fault(y) FROM investors_payment y "
            "WHERE investors_payment_fault(y) IS NOT NULL"
        )
        assert cursor.fetchall() == []
