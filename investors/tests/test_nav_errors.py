"""A NAV that was wrong: prices computed again, materiality, and what each deal at it is due."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from copy import deepcopy
from datetime import timedelta
from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from investors.domain.restatement import CompensationTerms, CompensationWay
from investors.services.nav_errors import NavErrors, measure_nav_errors
from investors.tests.fund_support import FIRST, SmallFund, first_of, make_fund
from magnetfund.core.models import AuditEvent
from magnetfund.core.roles import Role
from magnetfund.kernel.errors import InvalidInput
from magnetfund.operations.people import ensure_user

pytestmark = pytest.mark.django_db
D = Decimal
FEBRUARY, MARCH = first_of(2025, 2), first_of(2025, 3)


def tell() -> SmallFund:
    """40 units at 100; 400 earned, so that 110 is dealt at in February; nothing after."""
    fund = make_fund("main", performance_rate="0", management_rate="0")
    for at in (FIRST, FEBRUARY, MARCH):
        fund.day(at)
    fund.subscribe("ann", "1000", before=FIRST)
    fund.subscribe("bob", "3000", before=FIRST)
    fund.strike(FIRST)
    fund.earn("400", at=FIRST + timedelta(days=9))
    fund.subscribe("cat", "1100", before=FEBRUARY)
    fund.redeem("ann", "4", before=FEBRUARY)
    fund.strike(FEBRUARY)
    fund.strike(MARCH)
    return fund


@pytest.fixture(scope="module")
def story() -> Callable[[], SmallFund]:
    return tell


@pytest.fixture
def small(module_database: Any, told: Any, db: None) -> SmallFund:
    return deepcopy(told.value)


def measure(small: SmallFund, amount: str, **changes: object) -> NavErrors:
    return measure_nav_errors(fund=small.fund, first=FEBRUARY.date(), amount=D(amount), **changes)  # type: ignore[arg-type]


def test_an_invoice_that_was_missed_is_weighed_to_the_cent(small: SmallFund) -> None:
    # 400 that January's result never had: the price of February should have been 100.
    found = measure(small, "-400")
    february, march = found.errors
    assert (february.published, february.right, february.ratio) == (110, 100, D("0.1"))
    assert march.right == D("101.304348")  # (5,060 - 400) / 46
    assert found.is_material
    dues = {row.entry.lot.holding.investor.legal_name: row.found for row in found.deals}
    # Cat paid 10 too much for each of 10 units, Ann took 10 too much for each of 4.
    assert (dues["Cat"].due, dues["Ann"].due) == (100, -40)
    assert (found.owed, found.gained, found.fund_loss) == (100, 40, 40)
    assert dues["Cat"].settlement is CompensationWay.CASH
    assert dues["Ann"].settlement is CompensationWay.MANAGER
    claimed = measure(small, "-400", terms=CompensationTerms(pursue_above=D(10)))
    assert [row.found.settlement for row in claimed.deals if row.found.due < 0] == [
        CompensationWay.CLAIM
    ]


def test_an_error_of_one_nav_leaves_the_next_and_a_small_one_compensates_nobody(
    small: SmallFund,
) -> None:
    ended = measure(small, "-400", last=FEBRUARY.date())
    assert [error.day for error in ended.errors] == [FEBRUARY.date()]
    slight = measure(small, "-4")
    assert [error.ratio.quantize(D("0.0001")) for error in slight.errors] == [
        D("0.0009"),
        D("0.0008"),
    ]
    assert (slight.is_material, slight.deals) == (False, ())
    assert measure(small, "-4", material_from=D("0.0005")).is_material


def test_a_leaver_is_owed_in_cash(small: SmallFund) -> None:
    small.day(first_of(2025, 4))
    small.redeem("cat", "10", before=first_of(2025, 4))
    small.strike(first_of(2025, 4))
    (cat,) = [
        row.found for row in measure(small, "-400", last=MARCH.date()).deals if row.found.due > 0
    ]
    assert (cat.due, cat.settlement) == (100, CompensationWay.CASH)


@pytest.mark.parametrize(
    ("changes", "amount", "code"),
    [
        ({"first": FEBRUARY.date() + timedelta(days=1)}, "1", "no_such_nav"),
        ({"last": FIRST.date()}, "1", "bad_span"),
        ({}, "0", "bad_amount"),
    ],
)
def test_what_cannot_be_weighed_is_refused(
    small: SmallFund, changes: dict[str, object], amount: str, code: str
) -> None:
    asked = {"fund": small.fund, "first": FEBRUARY.date(), "amount": D(amount), **changes}
    with pytest.raises(InvalidInput) as refused:
        measure_nav_errors(**asked)  # type: ignore[arg-type]
    assert refused.value.code == code


def test_the_page_shows_it_gives_it_as_a_file_and_writes_nothing(small: SmallFund) -> None:
    client = Client()
    client.force_login(ensure_user(email="c@example.com", name="C", roles=[Role.CONTROLLER]))
    before = AuditEvent.objects.count()
    query = "?first=2025-02-01&amount=-400&material=1"
    page = client.get(f"/desk/fund/nav/error/{query}")
    words = " ".join(page.content.decode().split())
    assert (page.status_code, "Holders are owed 100.00" in words) == (200, True)
    assert "the manager makes the fund whole first" in words
    rows = list(
        csv.DictReader(
            client.get(f"/desk/fund/nav/error/{query}&as=csv").content.decode().splitlines()
        )
    )
    assert [(row["due"], row["settlement"]) for row in rows] == [
        ("-40.00", "manager"),
        ("100.00", "cash"),
    ]
    assert client.get(f"/desk/fund/nav/error/{query.replace('02-01', '02-02')}").status_code == 422
    assert AuditEvent.objects.count() == before


def test_the_command_tells_the_same(small: SmallFund) -> None:
    out = StringIO()
    call_command("nav_error", "--first", "2025-02-01", "--amount=-400", "--json", stdout=out)
    told = json.loads(out.getvalue())
    assert (told["is_material"], told["owed"], told["fund_loss"]) == (True, "100.00", "40.00")
    assert [row["share_class"] for row in told["prices"]] == ["A", "A"]
    with pytest.raises(CommandError, match="no NAV was dealt on 2025-02-02"):
        call_command("nav_error", "--first", "2025-02-02", "--amount=-400")
