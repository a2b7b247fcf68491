"""Units that are worth less than a cent stop no NAV, neither of their class nor of the others."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from investors.services.investor_statements import make_statements
from investors.services.verification import verify_fund
from investors.tests.fund_support import FIRST, SmallFund, first_of, make_fund_of

pytestmark = pytest.mark.django_db
D = Decimal
FEBRUARY, MARCH, APRIL, MAY = (first_of(2025, month) for month in (2, 3, 4, 5))


def all_but(left: str, *, classes: str = "AB", performance_rate: str = "0") -> SmallFund:
    """Ann redeemed all but ``left`` of her 10 units of A at 110; Bob has 1,000 of B, if any."""
    terms = {"management_rate": "0", "performance_rate": performance_rate}
    small = make_fund_of("main", dict.fromkeys(classes, terms))
    for at in (FIRST, FEBRUARY, MARCH, APRIL, MAY):
        small.day(at)
    small.subscribe("ann", "1000", before=FIRST)
    if "B" in classes:
        small.subscribe("bob", "100000", before=FIRST, code="B")
    small.strike(FIRST)
    small.earn("10100" if "B" in classes else "100", at=FIRST + timedelta(days=3))
    small.redeem("ann", str(10 - D(left)), before=FEBRUARY)
    small.strike(FEBRUARY)
    return small


@pytest.mark.parametrize("left", ["0.000001", "0.00005", "0.0001"])
def test_a_class_of_less_than_a_cent_is_priced_by_its_unrounded_part(left: str):
    """0.000001 units at 110 are 0.00 in cents, which left no price and stopped the whole fund."""
    small = all_but(left)
    small.subscribe("cyd", "1100", before=MARCH)
    march = small.strike(MARCH)
    prices = [row.price for row in march.classes.order_by("share_class__code")]
    # The 0.0001 that no cent can hold are shared by weight too.
    assert all(abs(price - 110) < D("0.0001") for price in prices), prices
    held = small.share_class("A").holdings.get(investor=small.investor("cyd")).units
    assert abs(held - 10) < D("0.00001")
    small.earn("-11110", at=MARCH + timedelta(days=3))
    april = small.strike(APRIL)
    prices = [row.price for row in april.classes.order_by("share_class__code")]
    assert all(abs(price - 99) < D("0.001") for price in prices), prices
    small.redeem("ann", None, before=MAY)
    small.strike(MAY)
    assert verify_fund(small.fund) == []
    for period in ("2025-01", "2025-02", "2025-03", "2025-04"):
        run = make_statements(fund=small.fund, period=period, actor=small.maker)
        assert run.refused == {}, period


@pytest.mark.parametrize("left", ["0.000001", "0.00005"])
def test_what_is_worth_less_than_the_cents_of_its_fee_is_priced_too(left: str):
    """Nothing but dust is left, with a cent of accrued fee beside it: no class had a weight."""
    small = all_but(left, classes="A", performance_rate="0.2")
    small.subscribe("cyd", "500", before=MARCH)
    small.strike(MARCH)
    small.strike(APRIL)
    assert verify_fund(small.fund) == []
