"""The register and the capital activity agree with holdings, NAVs and orders at every instant."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from investors.models import DealingOrder, Holding
from investors.services.capital_activity import NAMES, read_capital
from investors.services.register import SORTS, read_lots_of_holder, read_register, tie_register
from investors.tests.fund_support import SmallFund
from investors.tests.test_investor_statements import MONTHS, lived
from magnetfund.core.actors import Actor
from magnetfund.core.roles import Role
from magnetfund.kernel.errors import NotAllowed
from magnetfund.operations.people import ensure_user

pytestmark = pytest.mark.django_db
D = Decimal


@pytest.fixture(scope="module")
def story() -> Callable[[], SmallFund]:
    return lived


@pytest.fixture
def small(module_database: Any, told: Any, db: None) -> SmallFund:
    return deepcopy(told.value)


def dealt(small: SmallFund):
    return [small.fund.strikes.get(valuation_at=at, state="dealt") for at in MONTHS[:5]]


def test_register_and_capital_agree_with_holdings_navs_and_orders(small: SmallFund):
    """One life of a fund for every check: it takes as long as they do together."""
    check_holdings(small)
    check_a_transfer(small)
    check_filters(small)
    check_capital(small)


def check_holdings(small: SmallFund):
    now = MONTHS[4] + timedelta(days=1)
    found = read_register(small.fund, at=now, actor=small.maker)
    held = {
        (row.investor.number, row.share_class.code): row.units
        for row in Holding.objects.filter(units__gt=0).select_related("investor", "share_class")
    }
    assert {(row.number, row.share_class): row.units for row in found.holders} == held
    assert sum(row.share for row in found.holders) == pytest.approx(D(1))
    for row in found.holders:
        lots = [
            lot
            for lot in read_lots_of_holder(small.fund, row.investor, at=now, actor=small.maker)
            if lot.share_class == row.share_class
        ]
        assert len(lots) == row.lots
        assert sum(lot.units for lot in lots) == row.units
        assert sum(lot.value for lot in lots) == row.value
    nobody = read_register(small.fund, at=MONTHS[0] - timedelta(hours=1), actor=small.maker)
    assert (nobody.holders, nobody.strike) == ((), None)
    (newest,) = dealt(small)[-1:]
    assert found.strike == newest
    assert found.value == newest.nav  # nothing was dealt at this NAV
    for strike in dealt(small):
        at = strike.valuation_at
        register = read_register(small.fund, at=at, actor=small.maker)
        ties = tie_register(register)
        assert sum(tie.value for tie in ties) == register.value
        assert sum(tie.nav for tie in ties) == strike.nav
        for tie in ties:
            held = [row for row in register.holders if row.share_class == tie.share_class]
            units, lots = sum(row.units for row in held), sum(row.lots for row in held)
            # A cent for each lot and for the fee accrued on all, and the last digit of the price.
            assert abs(tie.rounding) <= (lots + 1) * D("0.01") + units * D("0.000001")


def check_a_transfer(small: SmallFund):
    given = MONTHS[1] + timedelta(days=3)
    before, after = (
        read_register(small.fund, at=given + timedelta(hours=n), actor=small.maker) for n in (-1, 1)
    )
    assert {row.number for row in after.holders} - {row.number for row in before.holders} == {
        "main-dan"
    }
    assert before.units == after.units
    assert abs(before.value - after.value) <= D("0.02")


def check_filters(small: SmallFund):
    at = MONTHS[2] + timedelta(days=1)
    every = read_register(small.fund, at=at, actor=small.maker)
    shares = {(row.number, row.share_class): row.share for row in every.holders}
    assert [row.value for row in every.holders] == sorted(
        (row.value for row in every.holders), reverse=True
    )
    some = read_register(
        small.fund, at=at, actor=small.maker, share_class="B", search="ANN", sort="name"
    )
    assert [(row.number, row.share_class) for row in some.holders] == [("main-ann", "B")]
    assert some.holders[0].share == shares["main-ann", "B"]
    none = read_register(small.fund, at=at, actor=small.maker, kyc_state="declined")
    assert none.holders == ()
    for sort in SORTS:
        whole = read_register(small.fund, at=at, actor=small.maker, sort=sort)
        for first in range(whole.count + 1):
            part = read_register(
                small.fund, at=at, actor=small.maker, sort=sort, first=first, most=2
            )
            assert part.holders == whole.holders[first : first + 2]
            assert replace(part, holders=whole.holders) == whole
    assert whole.count == len(whole.holders) > 2
    assert sum(whole.by_class.values()) == whole.value == sum(row.value for row in whole.holders)
    assert whole.units == sum(row.units for row in whole.holders)
    assert whole.lots == sum(row.lots for row in whole.holders)
    operator = Actor.of(ensure_user(email="op@example.com", name="Op", roles=[Role.OPERATOR]))
    with pytest.raises(NotAllowed):
        read_register(small.fund, at=at, actor=operator)


def check_capital(small: SmallFund):
    papers = [read_capital(strike) for strike in dealt(small)]
    for earlier, later in itertools.pairwise(papers):
        for key, line in later.items():
            assert line["opening"] == earlier.get(key, dict.fromkeys(NAMES, D(0)))["closing"]
    for strike, found in zip(dealt(small), papers, strict=True):
        total = {name: sum((line[name] for line in found.values()), D(0)) for name in NAMES}
        moved = total["subscribed"] + total["redeemed"] + total["switched"]
        assert abs(total["closing"] - moved - strike.nav) <= D("0.05")
        assert abs(total["transferred"]) <= D("0.02")
        orders = DealingOrder.objects.filter(strike=strike, kind="redemption")
        paid = sum((row.dealt_amount + row.fee_amount for row in orders), D(0))
        assert abs(total["redeemed"] + paid) <= D("0.02")
        orders = DealingOrder.objects.filter(strike=strike, kind="subscription")
        bought = sum((row.dealt_amount for row in orders), D(0))
        reinvested = DealingOrder.objects.filter(strike=strike, kind="reinvestment")
        bought += sum((row.dealt_amount for row in reinvested), D(0))
        assert abs(total["subscribed"] - bought) <= D("0.05")
    assert sum(line["distributed"] for line in papers[3].values()) < 0
    assert papers[2]["A", "main-ann"]["transferred"] < 0 < papers[2]["A", "main-dan"]["transferred"]
