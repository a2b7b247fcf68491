"""The bench of a large fund, on a thousandth of it: every lot and order, all walls in force."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection

from bench.dealing import measure_strikes
from investors.models import DealingOrder, Fund, UnitEntry, UnitLot
from investors.services.verification import verify_fund

pytestmark = pytest.mark.usefixtures("fresh_database")


def test_its_days_are_dealt_and_every_lot_is_charged_at_the_end(fresh_database: Any):
    dsn = fresh_database.dsn("postgres", connection.settings_dict["NAME"])
    rows = measure_strikes(dsn, scale=1000, profiled=False)
    assert [bar for _, _, bar, _ in rows] == [0.0, 0.0, 10.0, 30.0, 30.0, 600.0]
    orders = DealingOrder.objects.values_list("state", flat=True)
    assert sorted(set(orders)) == ["payable", "settled"]
    assert UnitEntry.objects.filter(kind="fee_cancel").count() == UnitLot.objects.count() == 105
    # Its orders are written in bulk, without a line of the bank and of the audit for each.
    problems = verify_fund(Fund.objects.get(code="large"))
    assert [line for line in problems if not line.startswith("order ")] == []
