"""Option chains through their doors: the command, the page, the file, the API, and the trader."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from rest_framework.test import APIClient

from magnetfund.core.models import AuditEvent
from magnetfund.core.roles import Role
from magnetfund.kernel.clock import utc_now
from magnetfund.operations.people import ensure_user
from magnetfund.tests.walls_support import make_instrument
from trading.models import Instrument, MarketRefusal, OptionListing, OptionSnapshot, Signal
from trading.services.option_chains import list_walls

pytestmark = pytest.mark.django_db

STATED = datetime(2026, 11, 20, 8, tzinfo=UTC)
HEADER = "expiry,strike,kind,open_interest,bid,ask,implied_volatility,volume,ask_volume"
ROWS = (
    ("2026-12-18", 90, "put", 400, 1.0, 1.2, 0.60),
    ("2026-12-18", 85, "put", 40, 0.5, 0.6, 0.65),
    ("2026-12-18", 100, "call", 30, 6.4, 6.6, 0.55),
    ("2026-12-18", 100, "put", 30, 6.4, 6.6, 0.55),
    ("2026-12-18", 110, "call", 900, 2.4, 2.6, 0.58),
    ("2026-12-18", 120, "call", 50, 0.8, 0.9, 0.62),
    ("2026-12-18", 75, "put", 5, 0.1, 0.15, 0.70),
    ("2026-12-18", 130, "call", 5, 0.2, 0.3, 0.66),
)


@pytest.fixture
def instrument() -> Instrument:
    return make_instrument()


def write(path: Path, *, extra: str = "", traded: str = "") -> Path:
    lines = [
        HEADER,
        *(",".join([*map(str, row), *([traded] if traded else [","])]) for row in ROWS),
    ]
    path.write_text("\n".join([*lines, *([extra] if extra else [])]))
    return path


def load(path: Path, **options: Any) -> str:
    out = io.StringIO()
    given = {"instrument": "BTC/USDT:USDT", "at": STATED.isoformat(), "spot": 100.0, **options}
    call_command("import_option_chain", str(path), stdout=out, **given)
    return out.getvalue()


def sign_in(role: Role = Role.OPERATOR) -> Client:
    client = Client()
    client.force_login(ensure_user(email=f"{role}@example.com", name="A Person", roles=[role]))
    return client


def test_a_chain_is_stored_once_with_its_walls_and_each_refused_row_named(
    instrument: Instrument, tmp_path: Path
):
    path = write(tmp_path / "chain.csv", extra="2026-12-18,90,put,1,,,,,")
    said = load(path)
    assert "8 options on BTC/USDT:USDT as of 2026-11-20T08:00:00Z: stored." in said
    assert "Call wall 110, put wall 90" in said
    assert "Line 10 refused: duplicate." in said
    assert "nothing changed" in load(path)
    row = OptionSnapshot.objects.get()
    assert (row.options, row.refused, row.known_at) == (8, 1, STATED)
    assert OptionListing.objects.filter(snapshot=row).count() == 8
    assert MarketRefusal.objects.get().reason == "duplicate"
    assert AuditEvent.objects.filter(action="options.imported").count() == 1
    with pytest.raises(CommandError, match="another chain of 2026-11-20T08:00:00Z"):
        load(path, spot=101.0)
    (walls,) = list_walls(instrument)
    assert walls.call is not None
    assert walls.put is not None
    assert (walls.call.strike, walls.put.strike) == (110.0, 90.0)


def test_what_was_said_before_the_import_stays_as_it_was_said(
    instrument: Instrument, tmp_path: Path
):
    Signal.objects.create(
        instrument=instrument, timeframe="1h", known_at=STATED, close=100.0, reading={}
    )
    before = utc_now()
    load(write(tmp_path / "chain.csv"))
    assert before <= OptionSnapshot.objects.get().known_at <= utc_now()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"at": "noon"}, "--at is a time"),
        ({"spot": 0.0}, "spot and multiplier are positive"),
        ({"instrument": "ETH/USDT:USDT"}, "there is no instrument ETH/USDT:USDT"),
        ({"published": "2026-11-19T08:00Z"}, "published after it is stated"),
        ({"published": (utc_now() + timedelta(days=2)).isoformat()}, "has not come yet"),
        ({"at": "2027-01-01T00:00Z"}, "holds no option to take: 8 expired"),
    ],
)
def test_a_chain_that_cannot_be_is_refused_with_its_reason(
    instrument: Instrument, tmp_path: Path, options: dict[str, Any], words: str
):
    with pytest.raises(CommandError, match=words):
        load(write(tmp_path / "chain.csv"), **options)
    assert not OptionSnapshot.objects.exists()


def test_the_page_names_the_command_where_nothing_is_stored(instrument: Instrument):
    page = sign_in().get("/desk/options/").content.decode()
    assert "manage.py import_option_chain chain.csv" in page
    assert instrument.symbol in page


def test_page_file_and_api_tell_the_same_chain(instrument: Instrument, tmp_path: Path):
    load(write(tmp_path / "chain.csv"))
    client = sign_in()
    page = client.get("/desk/options/").content.decode()
    assert "call wall" in page
    assert "put wall" in page
    assert "<polyline" in page
    assert "dealers are long calls and short puts" in page
    assert "Buy the put" in page
    assert "no earlier day to rank it by" in page
    assert client.get("/desk/options/?loss=0").status_code == 422
    assert "could lose more than this limit" in client.get("/desk/options/?loss=1").content.decode()
    table = client.get("/desk/options/options.csv").content.decode()
    rows = list(csv.DictReader(io.StringIO(table)))
    api = APIClient()
    api.force_authenticate(ensure_user(email="reads@example.com", name="R", roles=[Role.OPERATOR]))
    (told,) = api.get("/api/options?instrument=BTC/USDT:USDT").json()["snapshots"]
    assert (told["call_wall"], told["put_wall"]) == (110.0, 90.0)
    whole = api.get(f"/api/options/{told['id']}").json()
    options = [row for expiry in whole["expiries"] for row in expiry["options"]]
    assert [float(row["delta"]) for row in rows] == [row["delta"] for row in options]
    assert [row["strike"] for row in whole["gamma_by_strike"]] == [75, 85, 90, 100, 110, 120, 130]
    assert whole["gamma"] == pytest.approx(sum(row["net"] for row in whole["gamma_by_strike"]))
    assert api.get("/api/options/999999").status_code == 404


def test_a_years_volatility_is_ranked_and_an_unusual_option_is_named(
    instrument: Instrument, tmp_path: Path
):
    for day in range(20, 0, -1):
        path = write(tmp_path / f"{day}.csv", traded=f"{10 + day % 2},1")
        load(path, at=(STATED - timedelta(days=day)).isoformat())
    path = write(tmp_path / "today.csv", traded="5000,4000")
    load(path)
    row = OptionSnapshot.objects.latest("stated_at")
    assert {item["strike"] for item in row.unusual} == {75, 85, 90, 100, 110, 120, 130}
    page = sign_in().get("/desk/options/").content.decode()
    words = " ".join(page.split())
    assert "above 0 % of 20 days" in words
    assert "Call 110, 2026-12-18" in words
