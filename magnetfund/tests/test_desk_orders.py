"""The list of orders: found by state, sleeve and instrument, in place and as a file."""

from __future__ import annotations

import csv
import io
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from magnetfund.core.roles import Role
from magnetfund.operations.people import ensure_user
from magnetfund.tests.walls_support import (
    NOON,
    arm_fuse,
    make_engine_ready,
    make_instrument,
    make_user,
    order_values,
)
from magnetfund.web.desk.order_list import OUTCOMES
from trading.domain.orders import OrderState
from trading.models import Order

pytestmark = pytest.mark.usefixtures("fresh_database")
PATH = "/desk/trading/orders/"


@pytest.fixture
def client(fresh_database: Any) -> Client:
    client = Client()
    person = ensure_user(email="a@example.com", name="A Person", roles=[Role.AUDITOR])
    client.force_login(person)
    return client


def make_orders(count: int, **changes: object) -> list[str]:
    instrument = make_instrument()
    arm_fuse(make_user("ann", Role.RISK_OFFICER), make_user("ben", Role.RISK_OFFICER))
    make_engine_ready()
    made = [
        Order.objects.using("gateway").create(
            **order_values(instrument, occurred_at=NOON + timedelta(minutes=n), **changes)
        )
        for n in range(count)
    ]
    return [order.id.hex[:8] for order in made]


def part(client: Client, query: str) -> str:
    answer = client.get(f"{PATH}?{query}", HTTP_HX_REQUEST="true", HTTP_HX_TARGET="orders")
    assert answer.status_code == 200
    return answer.content.decode()


def test_every_state_is_found_under_one_word_at_least():
    assert frozenset().union(*OUTCOMES.values()) == frozenset(OrderState)


def test_orders_page_and_sort_in_place(client: Client):
    names = make_orders(22)
    newest = client.get(PATH).content.decode()
    assert names[-1] in newest
    assert names[0] not in newest
    second = part(client, "page=2")
    assert "<html" not in second
    assert names[0] in second
    assert names[-1] not in second
    assert names[0] in part(client, "sort=oldest")


def test_filters_find_what_they_name_and_say_when_nothing_does(client: Client):
    (waiting,) = make_orders(1)
    assert waiting in part(client, "outcome=working")
    assert waiting in part(client, "instrument=BTC&outcome=working")
    assert "No orders match these filters" in part(client, "outcome=refused")
    assert "No orders match these filters" in part(client, "instrument=ETH")
    assert "No orders match these filters" in part(client, "sleeve=manual")
    assert waiting in part(client, "outcome=nonsense"), "an unknown state asks for every state"


def test_the_file_holds_what_the_list_shows(client: Client):
    make_orders(2)
    rows = list(csv.DictReader(io.StringIO(client.get(f"{PATH[:-1]}.csv").content.decode())))
    assert [row["instrument"] for row in rows] == ["BTC/USDT:USDT"] * 2
    assert rows[0]["ordered_at"] > rows[1]["ordered_at"]
    assert rows[0]["state"] == "INTENT"
    none = client.get(f"{PATH[:-1]}.csv?outcome=filled").content.decode()
    assert len(none.splitlines()) == 1


def test_an_empty_book_says_what_will_stand_here(client: Client):
    assert "No orders yet" in client.get(PATH).content.decode()
