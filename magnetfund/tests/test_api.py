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
from trading.models import Candle, Instrument, Order, Valuation

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


LEVERAGE = {
    "primary_magnet_price": "66000", "current_price": 65000, "magnet_strength": 70,
    "conflict_index": 0.2, "volatility_pressure": 0.1, "atr": 400,
}  # fmt: skip
SIZING = {
    "equity": 430_000, "entry_price": 65_000, "stop_price": 64_000, "magnet_price": 68_000,
    "magnet_tier": 2, "leverage": 1.0,
}  # fmt: skip


def ask(client: Client, path: str, body: dict[str, Any]) -> Any:
    return client.post(path, data=json.dumps(body), content_type="application/json")


@pytest.mark.parametrize("method", ["get", "post", "put", "patch", "delete"])
@pytest.mark.parametrize("path", ["/api/nothing", "/api/", "/api/trade/execute/"])
def test_an_unknown_path_answers_in_the_one_shape_whatever_the_method(
    fresh_database: Any, method: str, path: str
):
    answer = getattr(Client(enforce_csrf_checks=True), method)(path)
    assert answer.status_code == 404
    assert answer.json() == {
        "error": {"code": "not_found", "message": "no such path", "details": {}}
    }


def test_an_unknown_method_answers_in_the_one_shape(client: Client):
    answer = client.get("/api/leverage/calculate")
    assert answer.status_code == 405
    assert answer.json()["error"]["code"] == "method_not_allowed"


@pytest.mark.parametrize(
    "changes",
    [
        {"atr": 0}, {"atr": -1}, {"current_price": 0}, {"primary_magnet_price": "0"},
        {"magnet_strength": 0}, {"magnet_strength": 101}, {"conflict_index": -0.1},
        {"volatility_pressure": -1}, {"atr": "NaN"}, {"kind": "future"},
    ],
)  # fmt: skip
def test_a_figure_that_cannot_be_is_422_in_leverage(client: Client, changes: dict[str, Any]):
    answer = ask(client, "/api/leverage/calculate", {**LEVERAGE, **changes})
    assert answer.status_code == 422
    assert set(answer.json()["error"]["details"]) == set(changes)


@pytest.mark.parametrize(
    "name", ["equity", "entry_price", "stop_price", "magnet_price", "leverage"]
)
def test_a_figure_that_cannot_be_is_422_in_sizing(client: Client, name: str):
    answer = ask(client, "/api/sizing/calculate", {**SIZING, name: 0})
    assert answer.status_code == 422
    assert set(answer.json()["error"]["details"]) == {name}


def test_an_instrument_that_is_not_the_funds_is_422(client: Client):
    answer = ask(client, "/api/leverage/calculate", {**LEVERAGE, "instrument": "DOGEUSDT"})
    assert answer.status_code == 422
    assert answer.json()["error"]["code"] == "unknown_instrument"


def caps_of(client: Client, **changes: Any) -> dict[str, dict[str, Any]]:
    answer = ask(client, "/api/leverage/calculate", {**LEVERAGE, **changes})
    assert answer.status_code == 200
    return {cap["name"]: cap for cap in answer.json()["caps"]}


def make_hours(instrument: Any, *, step: float) -> None:
    """A month of hours that move by ``step`` up and down in turn, closed until now."""
    end = utc_now().replace(minute=0, second=0, microsecond=0)
    closes = [65_000.0 * (1 + step * (number % 2)) for number in range(740)]
    Candle.objects.bulk_create(
        Candle(
            instrument=instrument, timeframe="1h", open=close, high=close, low=close, close=close,
            volume=1.0, open_time=end - timedelta(hours=740 - number),
            known_at=end - timedelta(hours=739 - number),
            available_at=end - timedelta(hours=739 - number),
        )
        for number, close in enumerate(closes)
    )  # fmt: skip


@pytest.mark.usefixtures("as_gateway")
def test_a_named_instrument_brings_its_own_caps(client: Client):
    instrument = Instrument.objects.get()
    assert caps_of(client)["liquidation_probability"]["not_evaluated"]
    make_hours(instrument, step=0.02)
    instrument.maintenance_tiers = [["50000", "0.004", "1.25"], ["250000", "0.01", "1.0"]]
    instrument.save(update_fields=["maintenance_tiers"])
    caps = caps_of(client, instrument="BTCUSDT")
    # 2 % an hour up and down is 187 % a year: a week of it leaves little room to liquidation.
    assert 1.0 < float(caps["liquidation_probability"]["value"]) < 3.0
    assert caps["venue"]["value"] == "1.25"
    assert caps["venue"]["binding"]


def test_a_calmer_instrument_may_carry_more(client: Client):
    instrument = Instrument.objects.get()
    make_hours(instrument, step=0.002)
    calm = caps_of(client, instrument="BTCUSDT")["liquidation_probability"]["value"]
    assert float(calm) > 3.0


def test_a_kind_brings_the_cap_of_its_class(client: Client):
    assert caps_of(client, kind="cfd")["client_class"]["value"] == "2"
    assert caps_of(client, kind="linear_perpetual")["client_class"]["not_evaluated"]
    answer = ask(
        client, "/api/leverage/calculate", {**LEVERAGE, "instrument": "BTCUSDT", "kind": "cfd"}
    )
    assert answer.status_code == 422
    assert answer.json()["error"]["code"] == "kind_differs"


def test_money_and_ratios_travel_as_strings(client: Client):
    size = ask(client, "/api/sizing/calculate", SIZING).json()
    for name in ("position_size", "margin", "quantity", "actual_risk", "potential_reward"):
        assert isinstance(size[name], str), name
    assert Decimal(size["position_size"]) / 65_000 == pytest.approx(Decimal(size["quantity"]))
    current = client.get("/api/performance/current").json()
    assert current["money"] == {"currency": "USD", "equity": "430000", "daily_pnl": "0"}
    for point in client.get("/api/performance/history").json()["points"]:
        assert isinstance(point["equity"], str)
        assert isinstance(point["drawdown"], str)
    fuse = client.get("/api/fuse/status").json()
    assert fuse["threshold"] == "-2.5"
    assert fuse["distance_to_trigger"] == "2.5"


def test_sizing_is_compared_with_kelly_and_a_volatility_target(client: Client):
    plain = ask(client, "/api/sizing/calculate", SIZING).json()
    assert [item["notional"] for item in plain["comparisons"]] == [None, None]
    told = {"win_rate": 0.5, "payoff": 2.0, "volatility_target": 0.2}
    found = ask(client, "/api/sizing/calculate", {**SIZING, **told}).json()
    assert found["position_size"] == plain["position_size"], "a comparison changes nothing"
    kelly, target = found["comparisons"]
    # A quarter of p - (1 - p) / b = 0.25 of equity is the loss at the stop.
    stake = Decimal("0.0625") * SIZING["equity"]
    ours = Decimal(found["position_size"]) / Decimal(found["actual_risk"])
    assert Decimal(kelly["notional"]) == pytest.approx(stake * ours)
    assert Decimal(kelly["ratio"]) < 1
    assert target["notional"] is None, "no instrument, no volatility"


def test_money_of_the_performance_loses_no_digit(client: Client):
    exact = Decimal("123456789012.123456780000000001")
    last = Valuation.objects.get()
    last.pk, last.at = None, utc_now()
    last.equity = last.cash = exact
    last.save()
    current = client.get("/api/performance/current").json()
    assert current["money"]["equity"] == str(exact)
    points = client.get("/api/performance/history?period=1d&interval=1h").json()["points"]
    assert points[-1]["equity"] == str(exact)


def test_a_fault_answers_in_the_one_shape(client: Client, monkeypatch: pytest.MonkeyPatch):
    def fail(**_: Any) -> None:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr("trading.selectors.calculators.choose_leverage", fail)
    client.raise_request_exception = False
    answer = ask(client, "/api/leverage/calculate", LEVERAGE)
    assert answer.status_code == 500
    assert answer.json()["error"]["code"] == "error"
    assert "secret" not in answer.content.decode()
