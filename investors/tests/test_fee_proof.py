"""The fee of a NAV by lots, series and equalisation: worked by hand, over a live history, and
through the doors that show it."""

from __future__ import annotations

import csv
from datetime import date
from decimal import Decimal
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from django.test import Client
from rest_framework.test import APIClient

from investors.domain.fee_methods import FeeLot, PublishedUnit, follow_class, prove_fees
from investors.domain.fees import ClassTerms
from investors.domain.performance import ClassPoint
from investors.models import NavStrike
from investors.selectors import read_fee_proofs
from investors.services.verification import verify_fund
from investors.tests.fee_history import JULY, MARCH, YEAR_END, live_history
from investors.tests.fund_support import FIRST, SmallFund, make_fund, make_fund_of
from magnetfund.core.roles import Capability, Role, roles_with
from magnetfund.kernel.money import CONTEXT
from magnetfund.operations.people import ensure_user

D = Decimal
START, DAY = date(2025, 1, 1), date(2025, 7, 1)
#: 138 / 132, as long as the platform computes.
RATIO = CONTEXT.divide(D(138), D(132))
FIFTH = ClassTerms(performance_rate=D("0.2"))


def lot(number: int, mark: str, fee: str, *, units: str = "10", opened: date = START) -> FeeLot:
    return FeeLot(
        number=number, opened=opened, units=D(units), mark=D(mark), clock=opened,
        fee_per_unit=D(fee),
    )  # fmt: skip


def test_one_lot_above_and_one_below_the_mark_of_the_class_by_hand():
    """g = 140 over a class mark of 120 takes 4 a unit: 8 is due over 100, 2 over 130."""
    below, above = lot(1, "100", "8"), lot(2, "130", "2", opened=date(2025, 3, 1))
    proof = prove_fees(
        code="A", terms=FIFTH, price=D(140), day=DAY, charged=D(100), lots=[below, above],
        unit=PublishedUnit(mark=D(120), clock=START, part=D(1)),
    )  # fmt: skip
    assert (proof.by_lots, proof.by_series, proof.by_equalisation) == (100, 100, 100)
    assert (proof.published_price, proof.taken) == (136, 80)
    assert (proof.credits, proof.contingent) == (20, 40)
    assert [(item.credit, item.contingent) for item in proof.lots] == [(0, 40), (20, 0)]
    assert proof.largest_difference == 0
    assert proof.agrees
    first, second = proof.series
    assert (first.code, first.net_price, first.fee) == ("2025-01-01", 132, 80)
    # Both just paid: the second may become 138 / 132 units of the first for each of its own.
    assert (second.joins, second.ratio) == ("2025-01-01", RATIO)
    assert (first.joins, first.ratio) == ("", None)


def test_a_wrong_fee_is_named_with_its_lot_and_a_rounded_one_is_not():
    lots = [lot(1, "100", "8"), lot(2, "130", "2.01"), lot(3, "130", "2.0000000000004")]
    proof = prove_fees(
        code="A", terms=FIFTH, price=D(140), day=DAY, charged=D("120"), lots=lots,
        unit=PublishedUnit(mark=D(100), clock=START, part=D(1)),
    )  # fmt: skip
    assert [item.number for item in proof.differing] == [2]
    assert proof.largest_difference == D("0.1")
    assert not proof.agrees


def test_lots_of_one_day_with_other_marks_are_series_of_their_own():
    lots = [lot(1, "100", "8"), lot(2, "110", "6"), lot(3, "100", "8")]
    proof = prove_fees(
        code="A", terms=FIFTH, price=D(140), day=DAY, charged=D(220), lots=lots,
        unit=PublishedUnit(mark=D(100), clock=START, part=D(1)),
    )  # fmt: skip
    assert [(item.code, item.lots) for item in proof.series] == [
        ("2025-01-01", 2), ("2025-01-01-2", 1),
    ]  # fmt: skip
    assert [item.series for item in proof.lots] == ["2025-01-01", "2025-01-01-2", "2025-01-01"]


def test_the_published_price_goes_on_where_fee_units_were_cancelled():
    """100 to 140 pays 8 and leaves 132; at a gross price of 127.27 the old unit is worth 120: the
    published series of the three years 132, 120, 154.40."""
    years = [date(2025 + n, 12, 31) for n in range(4)]
    prices = (D(100), D(140), D(140) / 132 * 120, D(140) / 132 * 160)
    points = [
        ClassPoint(day=day, price=price, terms=FIFTH, crystallises=True)
        for day, price in zip(years, prices, strict=True)
    ]
    shown = []
    for count in (2, 3, 4):
        point = points[count - 1]
        unit = follow_class(points[:count])
        held = lot(1, "100", "0", opened=START)
        proof = prove_fees(
            code="A", terms=FIFTH, price=point.price, day=point.day, charged=D(0), lots=[held],
            unit=unit,
        )  # fmt: skip
        shown.append(proof.published_price)
    assert shown == [132, 120, D("154.4")]
    assert round(unit.mark, 9) == 132
    assert round(unit.part, 9) == round(D(132) / 140, 9)


def test_a_distribution_lowers_the_mark_of_the_class_and_never_to_nothing():
    def after(paid: str) -> PublishedUnit:
        return follow_class(
            [
                ClassPoint(day=START, price=D(100), terms=FIFTH),
                ClassPoint(day=DAY, price=D(40), terms=FIFTH, distributed=D(paid)),
            ]
        )

    assert (after("30").mark, after("30").clock) == (70, START)
    assert (after("100").mark, after("100").clock) == (40, DAY)


@pytest.mark.django_db
def test_every_nav_of_a_live_history_charges_the_same_by_the_three_methods():
    small = live_history()
    prepared = small.prepare(MARCH)
    assert prepared.state == NavStrike.State.PREPARED
    seen = []
    for strike in small.fund.strikes.order_by("valuation_at"):
        for proof in read_fee_proofs(strike):
            assert proof.agrees
            assert proof.largest_difference < D("1e-8")
            total = round(proof.by_equalisation, 2)
            assert total == proof.charged == strike.classes.get().performance_fee_accrued
            assert round(proof.taken - proof.credits + proof.contingent, 2) == total
            seen.append(proof)
    july, year_end, february, march = seen
    # Ann alone: 130 over 100 with half of a year's hurdle, 181 days of 365.
    assert july.charged == round(D(100) * D("0.2") * (130 - 100 * (1 + D("0.05") * 181 / 365)), 2)
    # Bob entered above the mark of the class: part of what its price was charged is his.
    assert (july.credits, july.contingent) == (0, 0)
    assert year_end.credits > 0
    assert year_end.published_price < year_end.price
    assert [item.joins for item in year_end.series] == ["", "2025-01-01"]
    assert february.published_price < february.price * february.part + D("0.000001")
    assert 0 < march.part < 1
    assert len(march.series) == 3
    assert march.lots[2].by_lot == 0
    assert verify_fund(small.fund) == []


@pytest.mark.django_db
def test_no_proof_where_no_class_charges_or_has_units():
    small = make_fund_of("main", {"A": {}, "B": {"performance_rate": "0.2"}})
    small.day(FIRST)
    small.day(JULY)
    small.subscribe("ann", "1000", before=FIRST)
    assert read_fee_proofs(small.strike(FIRST)) == []
    assert read_fee_proofs(small.strike(JULY)) == []


def test_the_books_name_a_lot_that_was_charged_otherwise(fresh_database: Any):
    small = live_history()
    strike = small.fund.strikes.get(valuation_at=YEAR_END)
    row = strike.lots.select_related("lot").order_by("lot__number")[0]
    with psycopg.connect(fresh_database.dsn("postgres", "fresh"), autocommit=True) as session:
        session.execute("ALTER TABLE investors_lotnav DISABLE TRIGGER USER")
        session.execute(
            "UPDATE investors_lotnav SET performance_fee_per_unit = performance_fee_per_unit + 0.01"
            " WHERE id = %s",
            (row.pk,),
        )
    wrong = f"NAV of 2026-01-01 class A lot {row.lot.number}: performance fee by lots "
    assert len([line for line in verify_fund(small.fund) if line.startswith(wrong)]) == 1


def ask_page(client: Client, path: str) -> str:
    return " ".join(client.get(path).content.decode().split())


@pytest.mark.django_db
def test_page_file_and_api_show_the_same_figures_of_a_nav():
    small = live_history()
    strike = small.prepare(MARCH)
    (proof,) = read_fee_proofs(strike)
    client = client_of(small)
    folded = ask_page(client, "/desk/fund/")
    assert "Performance fee by three methods" in folded
    assert "Accrued by the NAV" not in folded, "nothing is computed before it is asked for"
    page = ask_page(client, f"/desk/fund/?strike={strike.pk}&fees=open")
    assert "No lot differs by more than rounding" in page
    assert "hurdle from" in page
    assert f"{proof.charged:,.2f}" in page
    assert f"{proof.published_price:,.6f}" in page
    assert f"into {proof.series[0].code}" in page or "stays" in page
    answer = client.get(f"/desk/fund/nav/{strike.pk}/fees.csv")
    rows = list(csv.DictReader(answer.content.decode().splitlines()))
    assert [int(row["lot"]) for row in rows] == [lot.number for lot in proof.lots]
    for row in rows:
        parts = [D(row[name]) for name in ("fee_by_lot", "fee_by_series", "fee_by_equalisation")]
        assert max(parts) - min(parts) <= D("1e-8")
    assert round(sum(D(row["fee_by_lot"]) for row in rows), 2) == proof.charged
    api = APIClient()
    api.force_authenticate(small.checker.user)
    told = api.get(f"/api/navs/{strike.pk}/fees").json()
    (item,) = told["classes"]
    assert (told["state"], item["share_class"], item["agrees"]) == ("prepared", "A", True)
    assert D(item["charged"]) == proof.charged
    assert [D(lot["credit"]) for lot in item["lots"]] == [
        round(lot.credit, 12) for lot in proof.lots
    ]
    assert item["next_after"] is None
    last = api.get(f"/api/navs/{strike.pk}/fees?after={proof.lots[1].number}").json()
    assert [lot["lot"] for lot in last["classes"][0]["lots"]] == [proof.lots[2].number]
    assert api.get(f"/api/navs/{uuid4()}/fees").status_code == 404
    assert api.get(f"/api/navs/{strike.pk}/fees?after=x").status_code == 422


@pytest.mark.django_db
def test_who_sees_the_fees_of_a_nav():
    small = make_fund("main")
    small.day(FIRST)
    strike = small.prepare(FIRST)
    paths = (f"/desk/fund/nav/{strike.pk}/fees.csv", f"/api/navs/{strike.pk}/fees")
    for role in Role:
        client = Client()
        client.force_login(ensure_user(email=f"{role}@example.com", name=role, roles=[role]))
        for path in paths:
            expected = 200 if role in roles_with(Capability.DESK_VIEW) else 403
            assert client.get(path).status_code == expected, (role, path)
    for path in paths:
        assert Client().get(path).status_code in (302, 401)
    page = ask_page(client_of(small), "/desk/fund/?fees=open")
    assert "No class with units at this NAV charges a performance fee" in page


def client_of(small: SmallFund) -> Client:
    client = Client()
    client.force_login(small.checker.user)
    return client
