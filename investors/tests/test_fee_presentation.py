"""Lots shown by series and by equalisation: other units and prices, the same values to the cent."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.test import Client

from investors.domain.fee_presentation import PresentedLot, present_lot
from investors.domain.fees import FeePresentation
from investors.models import NavStrike, Paper
from investors.selectors import read_fee_proofs
from investors.services.investor_statements import make_statements
from investors.services.lot_presentation import read_presentations
from investors.services.policies import build_terms, plain_terms, terms_in_force
from investors.services.verification import verify_fund
from investors.tests.fee_history import FEBRUARY, JULY, MARCH, YEAR_END, live_history
from investors.tests.fund_support import SmallFund
from magnetfund.core.roles import Role
from magnetfund.operations.people import ensure_user
from magnetfund.web.portal.selectors import find_lots

D = Decimal
CENT, NEAR = D("0.01"), D("0.00001")
ANN, BOB, CYD = 0, 1, 2
pytestmark = pytest.mark.django_db


def present(small: SmallFund, strike: NavStrike) -> list[PresentedLot]:
    """The lots of a NAV as its class shows them, each worth what the NAV says."""
    shown = read_presentations(strike, is_dealt=False)["A"]
    found = []
    for row in strike.lots.select_related("lot").order_by("lot__number"):
        one = present_lot(
            shown, opened=row.lot.dealing_day, units=row.units, net_per_unit=row.net_value_per_unit
        )
        assert one is not None
        value = one.units * one.price + one.credit - one.contingent
        assert abs(value - row.net_value) < CENT
        found.append(one)
    return found


def presented_history(
    method: FeePresentation,
) -> tuple[SmallFund, dict[object, list[PresentedLot]]]:
    small = live_history(fee_presentation=method)
    small.strike(MARCH)
    strikes = {item.valuation_at: item for item in small.fund.strikes.all()}
    days = (JULY, YEAR_END, FEBRUARY, MARCH)
    return small, {day: present(small, strikes[day]) for day in days}


def values_of(small: SmallFund) -> list[Decimal]:
    rows = small.fund.strikes.order_by("valuation_at", "lots__lot__number")
    return list(rows.values_list("lots__net_value", flat=True))


def test_a_series_keeps_its_units_and_lets_the_fee_out_of_its_price():
    """Ann has 100 of the first series for ever; Bob's 6,500 buy 65 of a series opened at 100."""
    small, shown = presented_history(FeePresentation.SERIES)
    for lots in shown.values():
        assert abs(lots[ANN].units - 100) < NEAR
        assert all(lot.credit == lot.contingent == 0 for lot in lots)
    for day in (YEAR_END, FEBRUARY, MARCH):
        assert abs(shown[day][BOB].units - 65) < NEAR
    assert abs(shown[MARCH][CYD].units - 50) < NEAR
    booked = small.fund.strikes.get(valuation_at=MARCH).lots.order_by("lot__number")
    assert booked[ANN].units < 99, "the books cancelled fee units"
    assert shown[MARCH][CYD].price < 100, "under water"
    assert (
        shown[MARCH][ANN].series == small.fund.strikes.earliest("valuation_at").valuation_at.date()
    )


def test_equalisation_shows_one_price_with_a_credit_that_comes_back_as_units():
    small, shown = presented_history(FeePresentation.EQUALISATION)
    for day, lots in shown.items():
        strike = small.fund.strikes.get(valuation_at=day)
        (proof,) = read_fee_proofs(strike)
        assert {round(lot.price, 6) for lot in lots} == {proof.published_price}
        # Ann entered at the launch: the class's mark is hers.
        assert abs(lots[ANN].units - 100) < NEAR
        assert max(lots[ANN].credit, lots[ANN].contingent) < NEAR
    before, after = shown[YEAR_END][BOB], shown[FEBRUARY][BOB]
    assert before.credit > CENT
    assert abs(after.units - before.units - before.credit / before.price) < NEAR


def test_no_value_differs_between_the_three():
    found = []
    for code, method in zip(("lots", "series", "equal"), FeePresentation, strict=True):
        small = live_history(code, fee_presentation=method)
        small.strike(MARCH)
        found.append(values_of(small))
        assert verify_fund(small.fund) == []
    assert found[0] == found[1] == found[2]
    assert len([value for value in found[0] if value]) == 8


@pytest.mark.parametrize(
    ("method", "said"),
    [
        (FeePresentation.LOTS, ""),
        (FeePresentation.SERIES, "Series of 1 Jan 2025"),
        (FeePresentation.EQUALISATION, "Published price"),
    ],
)
def test_statement_and_portal_show_the_lot_as_its_class_does(method: FeePresentation, said: str):
    small = live_history(fee_presentation=method)
    run = make_statements(fund=small.fund, period="2026-01", actor=small.maker)
    assert (len(run.made), run.refused) == (2, {})
    paper = Paper.objects.get(investor=small.investor("ann"), period="2026-01")
    rows = paper.data.get("presented", [])
    strike = small.fund.strikes.get(valuation_at=FEBRUARY)
    assert [row[2] for row in rows] == ([said] if said else [])
    owner = ensure_user(email="ann-owner@example.com", name="Ann", roles=[Role.INVESTOR])
    small.investor("ann").user = owner
    small.investor("ann").save(update_fields=["user"])
    client = Client()
    client.force_login(owner)
    page = " ".join(client.get("/overview/").content.decode().split())
    whole = " ".join(client.get(f"/statements/{paper.pk}/").content.decode().split())
    (lot,) = find_lots(small.investor("ann"), strike)
    if not said:
        assert lot.presented is None
        assert " of series " not in page
        assert "as the class prices them" not in whole
        return
    assert lot.presented is not None
    assert rows[0][-1] == paper.data["lots"][0][-1], "the value of the lot"
    assert rows[0][3] in {"100.000000", "99.999999", "100.000001"}
    assert said in whole
    assert f"{lot.presented.price:,.6f}" in page
    value = lot.presented.units * lot.presented.price + lot.presented.credit
    assert abs(value - lot.presented.contingent - lot.value) < CENT


def test_terms_of_before_present_lots_and_the_choice_is_kept_with_the_version():
    small = live_history(fee_presentation="series")
    terms = terms_in_force(small.share_class(), at=MARCH)
    plain = plain_terms(terms)
    assert plain["fee_presentation"] == "series"
    del plain["fee_presentation"]
    assert build_terms(plain).fee_presentation is FeePresentation.LOTS
