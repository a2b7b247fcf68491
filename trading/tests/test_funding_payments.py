"""Funding of several positions and stamps in one statement: each counts once, in its order."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from magnetfund.kernel.errors import InvariantBroken
from magnetfund.tests.walls_support import make_instrument
from trading.models import FundingPayment, Instrument, Position
from trading.services.funding_payments import FundingLog, FundingPaid, record_funding

FIRST = datetime(2026, 3, 2, 8, tzinfo=UTC)
LATER = FIRST + timedelta(hours=8)


@pytest.fixture
def instrument(fresh_database: object, request: pytest.FixtureRequest) -> Instrument:
    found = make_instrument()
    request.getfixturevalue("as_gateway")
    for strategy in ("trend", "magnet"):
        Position.objects.create(book="main", instrument=found, strategy=strategy)
    return found


def paid(instrument: Instrument, strategy: str, **given: Any) -> FundingPaid:
    return FundingPaid(
        **{
            "instrument": instrument, "strategy": strategy, "stamp": FIRST, "rate": 0.0001,
            "notional": Decimal("12000.5"), "amount": Decimal("-1.20005"), **given,
        }
    )  # fmt: skip


def sums() -> dict[str, Decimal]:
    return dict(Position.objects.values_list("strategy", "funding"))


def test_payments_are_booked_in_their_order_and_summed_by_position(instrument: Instrument):
    told = [
        paid(instrument, "trend"),
        paid(instrument, "magnet", amount=Decimal("0.7")),
        paid(instrument, "trend", stamp=LATER, rate=-1e-07, amount=Decimal("3.000000000000000001")),
    ]
    record_funding("main", told)
    rows = FundingPayment.objects.order_by("id")
    assert [(row.strategy, row.stamp, row.rate, row.notional, row.amount) for row in rows] == [
        (item.strategy, item.stamp, item.rate, item.notional, item.amount) for item in told
    ]
    assert sums() == {"trend": Decimal("1.799950000000000001"), "magnet": Decimal("0.7")}


def test_a_repeated_stamp_changes_nothing_beside_a_new_one(instrument: Instrument):
    record_funding("main", [paid(instrument, "trend")])
    again = paid(instrument, "trend", amount=Decimal("9"))
    record_funding("main", [again, paid(instrument, "trend", stamp=LATER)])
    assert sums()["trend"] == 2 * Decimal("-1.20005")
    assert FundingPayment.objects.count() == 2


def test_funding_without_a_position_is_refused(instrument: Instrument):
    with pytest.raises(InvariantBroken, match="funding of scalping without a position"):
        record_funding("main", [paid(instrument, "scalping")])


def test_only_a_history_keeps_payments_until_they_are_read(instrument: Instrument):
    FundingLog("main", is_history=False).note(paid(instrument, "trend"))
    assert sums()["trend"] == Decimal("-1.20005")
    log = FundingLog("main", is_history=True)
    log.note(paid(instrument, "magnet"))
    assert sums()["magnet"] == 0
    log.save()
    log.save()
    assert sums()["magnet"] == Decimal("-1.20005")
