"""The list of closed trades: filters, order, and the file with the same query."""

from __future__ import annotations

import csv
import io
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.http import QueryDict
from django.test import Client

from magnetfund.core.roles import Role
from magnetfund.kernel.clock import utc_now
from magnetfund.operations.people import ensure_user
from magnetfund.tests.walls_support import make_instrument
from magnetfund.web.desk.trade_list import TRADES
from trading.models import Trade

pytestmark = pytest.mark.usefixtures("fresh_database")


@pytest.fixture
def client(fresh_database: Any) -> Client:
    instrument = make_instrument()
    now = utc_now()
    for hours, strategy, net in ((1, "magnet", "-20"), (2, "trend", "50"), (3, "manual", "10")):
        Trade.objects.using("gateway").create(
            instrument=instrument, strategy=strategy, direction="long", quantity=Decimal("0.1"),
            entry_price=50_000, exit_price=50_100, gross_pnl=Decimal(net), commission=0, funding=0,
            slippage=0, net_pnl=Decimal(net), account_balance=430_000, closure_reason="target",
            opened_at=now - timedelta(hours=hours + 1), closed_at=now - timedelta(hours=hours),
            why_opened="=cmd()",
        )  # fmt: skip
    client = Client()
    client.force_login(ensure_user(email="op@example.com", name="Op", roles=[Role.OPERATOR]))
    return client


@pytest.mark.parametrize(
    ("query", "sleeves"),
    [
        ("", ["magnet", "trend", "manual"]),
        ("result=won", ["trend", "manual"]),
        ("result=lost", ["magnet"]),
        ("sort=best", ["trend", "manual", "magnet"]),
        ("sort=worst&result=won", ["manual", "trend"]),
        ("sleeve=trend", ["trend"]),
        ("instrument=ETH", []),
        ("sort=%27;drop&result=x", ["magnet", "trend", "manual"]),
    ],
)
def test_the_page_and_the_file_answer_the_same_query(
    client: Client, query: str, sleeves: list[str]
):
    page = client.get(f"/desk/trading/?{query}")
    assert [trade.strategy for trade in page.context["listing"].rows] == sleeves
    file = client.get(f"/desk/trading/trades.csv?{query}").content.decode()
    assert [row["strategy"] for row in csv.DictReader(io.StringIO(file))] == sleeves


def test_words_in_the_file_are_no_formula(client: Client):
    file = client.get("/desk/trading/trades.csv").content.decode()
    assert {row["why"] for row in csv.DictReader(io.StringIO(file))} == {"'=cmd()"}


def test_a_query_survives_its_own_address():
    asked = {"instrument": "BTC", "sleeve": "by & hand", "result": "won", "sort": "best"}
    listing = TRADES.read(asked)
    assert TRADES.read(QueryDict(listing.query)) == listing
    assert TRADES.read({}).query == ""


def test_htmx_gets_the_list_alone_and_a_browser_the_page(client: Client):
    asked = {"HX-Request": "true", "HX-Target": "trades"}
    part = client.get("/desk/trading/?result=won", headers=asked)
    text = part.content.decode()
    assert "<html" not in text
    assert 'id="trades"' in text
    assert 'id="strip"' in text
    assert 'hx-swap-oob="true"' in text
    assert {"HX-Request", "HX-Target"} <= {item.strip() for item in part["Vary"].split(",")}
    whole = client.get("/desk/trading/?result=won").content.decode()
    assert "<html" in whole
    unknown = client.get("/desk/trading/", headers={"HX-Request": "true", "HX-Target": "else"})
    assert "<html" in unknown.content.decode()


def test_heads_lead_to_the_next_order_and_keep_the_filters(client: Client):
    page = client.get("/desk/trading/?result=won&sort=best")
    heads = {head.column.label: head for head in page.context["listing"].heads}
    assert heads["Net P&L, USD"].aria_sort == "descending"
    assert heads["Net P&L, USD"].href == "/desk/trading/?result=won&sort=worst"
    assert heads["Trade"].href == "/desk/trading/?result=won"


def test_a_session_that_ended_leaves_the_page_instead_of_filling_a_part(fresh_database: Any):
    asked = {
        "HX-Request": "true", "HX-Target": "trades",
        "HX-Current-URL": "http://testserver/desk/trading/?result=won",
    }  # fmt: skip
    answer = Client().get("/desk/trading/?result=won", headers=asked)
    assert answer["HX-Redirect"] == "/account/login/?next=%2Fdesk%2Ftrading%2F%3Fresult%3Dwon"
