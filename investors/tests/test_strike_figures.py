"""What the NAV page, the portal and the public page show, struck through the services."""

from __future__ import annotations

import time
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection

from investors.domain.fees import ClassTerms
from investors.domain.performance import ClassPoint, build_net_record
from investors.models import Entry, LotNav, UnitLot
from investors.selectors import read_balance_sheet, read_net_records
from investors.services import nav
from investors.services.estimates import estimate_fund
from investors.services.ledger import read_balances
from investors.services.verification import verify_fund
from investors.tests.fund_support import FIRST, first_of, make_fund, make_fund_of
from magnetfund.kernel.errors import InvalidInput

pytestmark = pytest.mark.django_db
D = Decimal


def test_an_estimate_is_what_the_next_nav_strikes_from_the_same_equity():
    """30,747.31 were shown where 30,715.20 were struck: fees of the month were left out."""
    small = make_fund(management_rate="0.015", performance_rate="0.2")
    for at in (FIRST, first_of(2025, 2)):
        small.day(at)
    small.subscribe("ann", "30000", before=FIRST)
    small.subscribe("bob", "12345.67", before=FIRST)
    small.strike(FIRST)
    at = first_of(2025, 2)
    equity = small.book_cash() + D("1034.5678")
    small.value_book(f"{equity}", at=at - timedelta(hours=1))
    shown = estimate_fund(small.fund, at=at)
    gross = D(30_000) * equity / small.book_cash()
    assert gross - shown[small.investor("ann").pk].value > 150
    small.earn("1034.5678", at=at - timedelta(hours=1), by_trading=True)
    strike = small.prepare(at)
    for name in ("ann", "bob"):
        struck = LotNav.objects.get(strike=strike, lot__holding__investor=small.investor(name))
        found = shown[small.investor(name).pk]
        assert (found.value, found.units) == (struck.net_value, struck.units)


def test_the_lines_beside_a_strike_add_to_it_to_the_cent():
    small = make_fund_of(
        "sums",
        {"A": {"management_rate": "0.015"}, "B": {"performance_rate": "0.2"}, "C": {}},
    )
    for at in (FIRST, first_of(2025, 2), first_of(2025, 3), first_of(2025, 4)):
        small.day(at)
    for code in "ABC":
        small.subscribe(f"ann{code}", "1000.01", before=FIRST, code=code)
    small.strike(FIRST)
    for month, earned in ((2, "10.123456789"), (3, "-3.33333333")):
        at = first_of(2025, month)
        small.earn(earned, at=at - timedelta(hours=1))
        small.subscribe(f"late{month}", "333.33", before=first_of(2025, 3), paid=month == 3)
        strike = small.prepare(at)
        lines = dict(strike.waterfall)
        amounts = [D(amount) for _, amount in strike.waterfall]
        # The loss of March is booked as an expense, which has a line of its own.
        assert ("expenses" in lines) == (month == 3)
        net = 2 + (month == 3)
        assert sum(amounts[:net]) == amounts[net]
        assert amounts[net] + amounts[net + 1] == amounts[net + 2]
        assert amounts[net + 2] + amounts[net + 3] == amounts[net + 4] == strike.nav
        classes = list(strike.classes.all())
        assert sum(row.nav for row in classes) == strike.nav
        for row in classes:
            lots = LotNav.objects.filter(strike=strike, lot__share_class=row.share_class)
            assert sum(lot.net_value for lot in lots) + row.rounding == row.nav
        sheet = read_balance_sheet(strike, small.fund)
        assert sheet.assets_total + sheet.liabilities_total == sheet.net
        assert sheet.net == D(lines["net assets before fees"])
        small.approve(strike)
    assert verify_fund(small.fund) == []


def test_money_left_without_units_is_owed_and_prices_no_newcomer():
    """5,000.00 in a fund without units and a subscription of 1,000.00: ten units at 100."""
    small = make_fund(performance_rate="0.2")
    for at in (FIRST, first_of(2025, 2)):
        small.day(at)
    small.earn("5000", at=FIRST - timedelta(days=1))
    small.subscribe("ann", "1000", before=FIRST)
    strike = small.prepare(FIRST)
    assert strike.nav == 0
    assert [line["words"][:8] for line in strike.checklist if "without" in line["name"]] == [
        "5,000.00"
    ]
    small.approve(strike)
    lot = UnitLot.objects.get(share_class__fund=small.fund)
    assert (lot.units, lot.entry_price) == (10, 100)
    balances = read_balances(small.fund)
    assert balances["2340", "USD"] == -5000
    assert Entry.objects.filter(kind="unallocated_recognised").count() == 1
    after = small.strike(first_of(2025, 2))
    assert after.nav == 1000
    assert verify_fund(small.fund) == []


def test_a_deficit_without_units_is_refused():
    small = make_fund()
    small.day(FIRST)
    small.earn("-0.02", at=FIRST - timedelta(days=1))
    with pytest.raises(InvalidInput) as refused:
        small.prepare(FIRST)
    assert refused.value.code == "money_without_units"


def test_the_public_record_is_net_of_every_fee():
    small = make_fund(management_rate="0.02", performance_rate="0.2")
    for month in (1, 2):
        small.day(first_of(2025, month))
    small.subscribe("ann", "10000", before=FIRST)
    small.strike(FIRST)
    small.earn("1000", at=first_of(2025, 2) - timedelta(hours=1))
    small.strike(first_of(2025, 2))
    (record,) = read_net_records(small.fund.book)
    # 10 % gross; 31 days of 2 % a year; 20 % of what is above 100.
    price = (D(11_000) - (D(200) * 31 / 365).quantize(D("0.01"))) / 100
    assert record.total_return == ((price - (price - 100) * D("0.2")) / 100 - 1).quantize(
        D("1e-12")
    )
    assert (record.code, record.since) == ("A", FIRST.date())


def test_a_net_record_goes_on_after_the_fee_became_final():
    """The guide's three years: 140 / 127.2727.. / 169.6969.. end at 154.40 net."""
    terms = ClassTerms(performance_rate=D("0.2"))
    prices = ("100", "140", "127.272727272727", "169.696969696969")
    points = [
        ClassPoint(day=date(2024 + k, 1, 1), price=D(price), terms=terms, crystallises=k > 0)
        for k, price in enumerate(prices)
    ]
    assert [round(point.value, 6) for point in build_net_record(points)] == [
        D(100), D(132), D(120), D("154.4"),
    ]  # fmt: skip
    assert build_net_record([]) == ()


def test_a_strike_may_compute_for_longer_than_its_session_may_idle(
    monkeypatch: pytest.MonkeyPatch,
):
    """A role's limit ended the session of a fund of 100,000 lots between two statements."""
    small = make_fund()
    small.day(FIRST)
    small.subscribe("ann", "30000", before=FIRST)
    both = nav.recompute_strike

    def slowly(inputs: Any) -> Any:
        time.sleep(0.5)
        return both(inputs)

    monkeypatch.setattr(nav, "recompute_strike", slowly)
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL idle_in_transaction_session_timeout = '200ms'")
    assert small.prepare(FIRST).nav == 0
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
