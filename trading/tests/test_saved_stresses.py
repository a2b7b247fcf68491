"""Stresses that people save: run by the margin rules, changed with audit lines, or refused."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from django.core.management import CommandError
from django.test import Client

from magnetfund.core.models import AuditEvent, Heartbeat
from magnetfund.core.roles import Role
from magnetfund.kernel.clock import utc_now
from magnetfund.kernel.errors import InvalidInput
from magnetfund.operations.people import ensure_user
from magnetfund.tests.test_access import bearer
from magnetfund.tests.walls_support import make_instrument
from risk.domain.stress import StressScenario, check_saved, move_for, read_shocks, write_shocks
from trading.models import Instrument, Position, SavedStress, Valuation
from trading.tests.test_research_studies import call

DESK = "/desk/risk/stresses/"
FORM = {
    "title": "Bad Tuesday", "shocks": "BTC -30", "move_others": "-10", "adverse_sigmas": "0",
    "volatility_multiple": "1", "spread_multiple": "5", "hours": "0", "funding_multiple": "1",
}  # fmt: skip


@pytest.fixture
def book(placed_positions: None) -> Instrument:
    """Half a bitcoin at 50,000, its wallet a third of the notional, in a fund of 100,000."""
    instrument = make_instrument()
    now = utc_now()
    Valuation.objects.create(
        book="main", at=now, equity=100_000, cash=100_000, unit_value=100, peak_unit_value=100,
        day_start_unit_value=100, gross_exposure=25_000, margin_used=8_333, open_positions=1,
    )  # fmt: skip
    Position.objects.using("gateway").create(
        book="main", instrument=instrument, strategy="trend", quantity=Decimal("0.5"),
        average_price=50_000, leverage=3.0, stop_price=49_000, opened_at=now,
    )  # fmt: skip
    Heartbeat.objects.create(
        part="trader", instance="main", seen_at=now, detail={"prices": {instrument.symbol: "50000"}}
    )
    return instrument


def desk(role: Role = Role.RISK_OFFICER) -> Client:
    client = Client()
    client.force_login(ensure_user(email=f"{role.value}@example.com", name="R", roles=[role]))
    return client


def test_shocks_are_read_by_line_and_found_by_instrument_before_asset_before_kind() -> None:
    text = "BTC/USDT:USDT -40\n\nBTC -30%\nlinear_perpetual 5.5"
    moves = read_shocks(text)
    assert moves == (("BTC/USDT:USDT", -0.4), ("BTC", -0.3), ("linear_perpetual", 0.055))
    found = StressScenario(name="x", title="x", moves=moves, move_others=-0.01)
    assert read_shocks(write_shocks(found)) == moves
    names = {"group": "linear_perpetual"}
    assert move_for(found, symbol="BTC/USDT:USDT", asset="BTC", **names) == -0.4
    assert move_for(found, symbol="BTC/USDC:USDC", asset="BTC", **names) == -0.3
    assert move_for(found, symbol="ETH/USDT:USDT", asset="ETH", **names) == 0.055
    assert move_for(found, symbol="ETH/USDT", asset="ETH", group="spot") == -0.01
    for bad in ("BTC", "-30", "BTC minus", "BTC nan"):
        with pytest.raises(InvalidInput):
            read_shocks(bad)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({}, "empty_stress"),
        ({"moves": (("XYZ", -0.3),)}, "unknown_name"),
        ({"move_others": 11.0}, "out_of_bounds"),
        ({"move_others": -0.1, "hours": 721.0}, "out_of_bounds"),
        ({"spread_multiple": 1_001.0}, "out_of_bounds"),
    ],
)
def test_a_stress_out_of_bounds_is_refused(fields: dict[str, Any], code: str) -> None:
    with pytest.raises(InvalidInput) as told:
        check_saved(StressScenario(name="x", title="x", **fields), {"BTC"})
    assert told.value.code == code


def test_the_page_saves_changes_and_retires_and_the_venues_rules_answer(book: Instrument) -> None:
    client = desk()
    assert client.post(f"{DESK}save/", FORM).status_code == 302
    row = SavedStress.objects.get()
    page = client.get(DESK).content.decode()
    assert "Bad Tuesday" in page
    assert "12 March 2020, low" in page
    assert "Correlation one" in page
    line = client.get(DESK).context["saved"][0][1]
    # 0.5 BTC fall by 15,000 each; fee 0.05 % and five half-spreads of the notional after it.
    assert line.result is not None
    assert -7_600 < line.result < -7_500
    assert line.trips
    deeper = {**FORM, "number": str(row.pk), "shocks": "BTC -40"}
    assert client.post(f"{DESK}save/", deeper).status_code == 302
    line = client.get(DESK).context["saved"][0][1]
    assert line.liquidated == ("BTC trend",), "3x is liquidated near -33 %"
    assert -8_400 < line.result < -8_300, "the isolated wallet is lost, no more"
    assert 'value="Bad Tuesday"' in client.get(f"{DESK}?change={row.pk}").content.decode()
    client.post(f"{DESK}save/", {**FORM, "title": "Sigmas", "shocks": "", "adverse_sigmas": "3"})
    assert "volatility of a position is not known" in client.get(DESK).content.decode()
    client.post(f"{DESK}{SavedStress.objects.get(title='Sigmas').pk}/retire/")
    client.post(f"{DESK}{row.pk}/retire/")
    assert client.get(DESK).context["saved"] == []
    lines = AuditEvent.objects.filter(action__startswith="stress.").order_by("id")
    assert [item.action for item in lines] == [
        "stress.saved", "stress.changed", "stress.saved", "stress.retired", "stress.retired",
    ]  # fmt: skip
    changed = lines[1].body
    assert (changed["before"]["moves"], changed["after"]["moves"]) == (
        [["BTC", "-0.3"]], [["BTC", "-0.4"]],
    )  # fmt: skip


@pytest.mark.django_db
def test_a_malformed_stress_is_refused_and_nothing_typed_is_lost() -> None:
    make_instrument()
    client = desk()
    for field, value, words in (
        ("title", " ", "A title has"), ("shocks", "BTC", "is not a name and a move"),
        ("shocks", "DOGE -3", "is no instrument"), ("hours", "many", "is no number"),
        ("shocks", "BTC -120", "above -100"), ("spread_multiple", "-1", "not negative"),
    ):  # fmt: skip
        answer = client.post(f"{DESK}save/", {**FORM, field: value})
        assert answer.status_code == 422, value
        page = answer.content.decode()
        assert words in page
        assert not SavedStress.objects.exists()
        if field != "title":
            assert 'value="Bad Tuesday"' in page


@pytest.mark.django_db
def test_a_title_is_taken_once_and_an_accountant_saves_none() -> None:
    make_instrument()
    client = desk()
    client.post(f"{DESK}save/", FORM)
    again = client.post(f"{DESK}save/", FORM)
    assert again.status_code == 422
    assert "already" in again.content.decode()
    assert desk(Role.ACCOUNTANT).post(f"{DESK}save/", FORM).status_code == 403
    assert desk(Role.AUDITOR).get(DESK).status_code == 200


@pytest.mark.usefixtures("token_keys")
def test_the_api_and_the_command_do_the_same(book: Instrument) -> None:
    api = Client(headers=bearer(Role.RISK_OFFICER))
    body = {"title": "Crash", "shocks": [{"name": "BTC", "move": -0.3}], "spread_multiple": 5.0}
    made = api.post("/api/risk/stresses", json.dumps(body), content_type="application/json")
    assert made.status_code == 201
    assert -7_600 < made.json()["result"] < -7_500
    bad = api.post(
        "/api/risk/stresses", json.dumps({"title": "Nothing"}), content_type="application/json"
    )
    assert (bad.status_code, bad.json()["error"]["code"]) == (422, "empty_stress")
    told = call("stress")["stresses"]
    assert told[0]["title"] == "Crash"
    assert told[0]["result"] == pytest.approx(made.json()["result"])
    assert len(told) == len(api.get("/api/risk/stresses").json()) > 20
    with pytest.raises(CommandError, match="unknown_name"):
        call("stress", "--save", "x", "--shock", "DOGE -30")
    path = f"/api/risk/stresses/{made.json()['id']}"
    put = api.put(path, json.dumps({**body, "title": "Fall"}), content_type="application/json")
    assert put.json()["title"] == "Fall"
    assert api.delete(path).status_code == 204
    assert call("stress")["stresses"][0]["title"] != "Fall"
    reader = Client(headers=bearer(Role.AUDITOR))
    denied = reader.post("/api/risk/stresses", json.dumps(body), content_type="application/json")
    assert denied.status_code == 403
