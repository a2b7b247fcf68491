"""The API's promises: one shape of error, money once a key, denials with codes."""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client

from magnetfund.core.models import Heartbeat
from magnetfund.core.roles import Role
from magnetfund.kernel.clock import utc_now
from magnetfund.operations.people import ensure_user
from magnetfund.tests.walls_support import (
    arm_fuse,
    make_engine_ready,
    make_instrument,
    make_user,
)
from trading.models import Order, Valuation

pytestmark = pytest.mark.usefixtures("fresh_database")


@pytest.fixture
def client(fresh_database: Any, monkeypatch: pytest.MonkeyPatch) -> Client:
    """An operator's session on a fund that could trade, without a trader behind it."""
    instrument = make_instrument()
    arm_fuse(make_user("ann", Role.RISK_OFFICER), make_user("ben", Role.RISK_OFFICER))
    make_engine_ready()
    now = utc_now()
    Valuation.objects.create(
        book="main", at=now - timedelta(seconds=5), equity=430_000, cash=430_000, unit_value=100,
        peak_unit_value=100, day_start_unit_value=100,
    )  # fmt: skip
    Heartbeat.objects.create(
        part="trader", instance="main", seen_at=now,
        detail={"prices": {instrument.symbol: "50000"}},
    )  # fmt: skip
    monkeypatch.setattr("magnetfund.web.api.trading.wait_for_outcome", _as_it_stands)
    client = Client()
    client.force_login(ensure_user(email="op@example.com", name="Op", roles=[Role.OPERATOR]))
    return client


def _as_it_stands(order_id: Any) -> Order:
    return Order.objects.get(pk=order_id)


def execute(client: Client, **changes: Any) -> Any:
    body = {
        "idempotency_key": "one", "symbol": "BTCUSDT", "direction": "long", "magnet_tier": 2,
        "entry_price": "50000", "stop_price": "49000", "target_price": "52000", **changes,
    }  # fmt: skip
    return client.post("/api/trade/execute", data=json.dumps(body), content_type="application/json")


def test_the_same_key_and_body_is_one_order_and_one_answer(client: Client):
    first, second = execute(client), execute(client)
    assert first.status_code == second.status_code == 202
    assert first.content == second.content
    assert second.headers["Idempotent-Replayed"] == "true"
    assert Order.objects.count() == 1


def test_the_same_key_with_another_body_is_refused(client: Client):
    execute(client)
    other = execute(client, magnet_tier=3)
    assert other.status_code == 422
    assert other.json()["error"]["code"] == "key_reused"
    assert Order.objects.count() == 1


def test_a_size_comes_from_the_limits_and_not_from_the_caller(client: Client):
    execute(client)
    order = Order.objects.get()
    # 10 % of equity as margin of a tier 2 trade at 1.0x is the law that binds: 43,000 / 50,000.
    assert order.quantity == Decimal("0.860")


def test_a_denial_is_an_answer_with_its_codes_and_is_kept(client: Client):
    answer = execute(client, entry_price="60000", stop_price="59000", target_price=None)
    assert answer.status_code == 422
    assert answer.json()["error"]["details"]["codes"] == ["price_collar"]
    assert Order.objects.get().state == "DENIED"
    again = execute(client, entry_price="60000", stop_price="59000", target_price=None)
    assert again.content == answer.content


@pytest.mark.parametrize(
    "changes",
    [
        {"direction": "up"},
        {"magnet_tier": 9},
        {"entry_price": "NaN"},
        {"stop_price": "51000"},
        {"symbol": "DOGEUSDT"},
        {"idempotency_key": ""},
        {"entry_price": "1e400"},
    ],
)
def test_nonsense_is_422_and_orders_nothing(client: Client, changes: dict[str, Any]):
    answer = execute(client, **changes)
    assert answer.status_code == 422
    assert set(answer.json()["error"]) == {"code", "message", "details"}
    assert Order.objects.count() == 0


def test_an_emergency_stop_stops_the_next_order(client: Client):
    stopped = client.post(
        "/api/system/emergency-stop",
        data=json.dumps({"reason": "drill"}),
        content_type="application/json",
    )
    assert stopped.json()["stopped"] is True
    refused = execute(client)
    assert refused.status_code == 422
    assert "fuse_state" in refused.json()["error"]["details"]["codes"]
    assert client.get("/health").json()["status"] == "inactive"


def test_leverage_shows_every_cap(client: Client):
    answer = client.post(
        "/api/leverage/calculate",
        data=json.dumps(
            {
                "primary_magnet_price": "66000", "current_price": 65000, "magnet_strength": 70,
                "conflict_index": 0.2, "volatility_pressure": 0.1, "atr": 400,
            }
        ),
        content_type="application/json",
    ).json()  # fmt: skip
    # 2.5 x 0.70 / (1 + 0.2 + 0.1)
    assert answer["raw_leverage"] == pytest.approx(1.75 / 1.3)
    assert {cap["name"] for cap in answer["caps"]} >= {"fund_limit", "evidence", "venue"}
