"""Correlation, factors, attribution, calculators: on the desk, over the API, and with nothing."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from django.test import Client

from magnetfund.core.actors import Actor
from magnetfund.core.roles import Role
from magnetfund.kernel.clock import to_milliseconds, utc_midnight, utc_now
from magnetfund.operations.people import ensure_user
from magnetfund.tests.test_access import bearer
from risk.domain.attribution import compute_shortfall
from risk.domain.portfolio import compute_minimum_variance, shrink_covariance
from trading.domain.market import DAY_MS, HOUR_MS, Candles
from trading.models import Instrument
from trading.selectors.calculators import calculate_growth, calculate_kelly, calculate_margin
from trading.selectors.portfolio import score_names, view_portfolio
from trading.selectors.shortfall import PlacedEntry, execute, view_shortfall
from trading.services.candle_store import store_candles
from trading.services.instruments import add_simulated_instrument

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("token_keys")]
PATHS = ("correlation", "factors", "attribution", "calculators")
DAYS = 130


@pytest.fixture
def desk() -> Client:
    client = Client()
    client.force_login(
        ensure_user(email="risk@example.com", name="Risk", roles=[Role.RISK_OFFICER])
    )
    return client


def add(symbol: str) -> Instrument:
    return add_simulated_instrument(
        symbol, tick=Decimal("0.1"), lot=Decimal("0.001"), minimum_notional=Decimal(5),
        maker_fee=Decimal("0.0002"), taker_fee=Decimal("0.0005"),
        maintenance_rate=Decimal("0.004"), actor=Actor.system("test"),
    )  # fmt: skip


def store_closes(row: Instrument, returns: np.ndarray, *, volume: float) -> np.ndarray:
    """Hours of which the last of each day has the given closes, up to last midnight."""
    closes = 100.0 * np.exp(np.concatenate(([0.0], np.cumsum(returns))))
    hours = np.repeat(closes, 24)
    end = to_milliseconds(utc_midnight(utc_now()))
    times = end - np.arange(hours.size, 0, -1, dtype=np.int64) * HOUR_MS
    store_candles(
        Candles(
            instrument=row.symbol, timeframe_ms=HOUR_MS, open_time=times, open=hours, high=hours,
            low=hours, close=hours, volume=np.full(hours.size, volume),
        ),
        instrument=row, timeframe="1h", source="test", available_ms=end + DAY_MS,
    )  # fmt: skip
    return closes


@pytest.fixture
def market() -> dict[str, np.ndarray]:
    return make_market()


def make_market() -> dict[str, np.ndarray]:
    """Three instruments of which two move alike."""
    rng = np.random.default_rng(7)
    common = rng.normal(0.001, 0.03, DAYS)
    returns = {
        "AAA/USDT:USDT": common,
        "BBB/USDT:USDT": 0.8 * common + rng.normal(0, 0.01, DAYS),
        "CCC/USDT:USDT": rng.normal(-0.001, 0.02, DAYS),
    }
    return {
        name: store_closes(add(name), moved, volume=10.0 * (at + 1))
        for at, (name, moved) in enumerate(returns.items())
    }


@pytest.mark.parametrize("path", PATHS)
def test_a_home_without_any_history_says_what_is_missing(desk: Client, path: str) -> None:
    answer = desk.get(f"/desk/risk/{path}/")
    page = answer.content.decode()
    assert answer.status_code == 200
    assert "style=" not in page
    words = {
        "correlation": "at least two instruments",
        "factors": "at least 3 instruments",
        "attribution": "No trade was closed in this span.",
        "calculators": "example odds",
    }
    assert words[path] in page


def test_two_instruments_with_few_days_say_how_many_are_needed() -> None:
    rows = [add("AAA/USDT:USDT"), add("BBB/USDT:USDT")]
    for row in rows:
        store_closes(row, np.full(5, 0.01), volume=1.0)
    view = view_portfolio("main", rows, days=30)
    assert view.problem.startswith("The instruments share 5 daily returns")
    assert not view.proposals


def test_the_matrix_and_the_proposals_are_those_of_the_daily_closes(
    desk: Client, market: dict[str, np.ndarray]
) -> None:
    rows = list(Instrument.objects.order_by("symbol"))
    view = view_portfolio("main", rows, days=90)
    closes = np.column_stack([market[row.symbol] for row in rows])[-91:]
    simple = closes[1:] / closes[:-1] - 1.0
    assert view.returns == 90
    np.testing.assert_allclose(
        np.array(view.correlations, dtype=float), np.corrcoef(np.log1p(simple), rowvar=False)
    )
    covariance, intensity = shrink_covariance(returns=simple)
    by_name = {item.name: item for item in view.proposals}
    np.testing.assert_allclose(
        by_name["Minimum variance"].weights, compute_minimum_variance(covariance=covariance)
    )
    assert view.shrinkage == pytest.approx(intensity)
    np.testing.assert_allclose(by_name["Risk parity"].risk_shares, [1 / 3] * 3, atol=1e-9)
    assert by_name["Present book"].problem == "Nothing is held now."
    page = desk.get("/desk/risk/correlation/?days=90").content.decode()
    assert "Minimum variance" in page
    assert "is-peak" in page
    assert desk.get("/desk/risk/correlation/?days=7").status_code == 200


def test_factors_rank_by_what_is_known_and_disclose_what_is_not(
    desk: Client, market: dict[str, np.ndarray]
) -> None:
    young = add("YYY/USDT:USDT")
    store_closes(young, np.full(40, 0.001), volume=5.0)
    rows, problem = score_names(list(Instrument.objects.order_by("symbol")))
    assert problem == ""
    by_name = {row.symbol: row for row in rows}
    closes = market["AAA/USDT:USDT"]
    # The newest close is yesterday's: seven days are skipped, ninety are measured.
    assert by_name["AAA/USDT:USDT"].momentum == pytest.approx(closes[-8] / closes[-97] - 1.0)
    assert by_name["YYY/USDT:USDT"].momentum is None
    assert by_name["YYY/USDT:USDT"].score.missing == ("momentum",)
    assert {row.quantile for row in rows} <= {1, 2, 3, 4, 5}
    assert [row.quantile for row in rows] == sorted(row.quantile or 0 for row in rows)
    page = desk.get("/desk/risk/factors/?fifth=1").content.decode()
    assert "without momentum" not in page or by_name["YYY/USDT:USDT"].quantile == 1
    assert "1 of 4 instruments" in page


def test_kelly_is_cut_by_the_error_of_few_trades_and_by_its_share() -> None:
    few = calculate_kelly(win_rate=0.55, payoff=1.2, trades=100, fraction=0.25)
    many = calculate_kelly(win_rate=0.55, payoff=1.2, trades=10_000, fraction=0.25)
    assert few.full == pytest.approx(0.55 - 0.45 / 1.2)
    assert few.kept < many.kept < few.full
    assert few.stake == pytest.approx(few.kept / 4)
    assert few.half == pytest.approx(0.5**7)
    none = calculate_kelly(win_rate=0.4, payoff=1.0, trades=100, fraction=0.25)
    assert (none.stake, none.half) == (0.0, None)


def test_margin_gives_the_prices_of_the_published_formulas() -> None:
    values: dict[str, Any] = {
        "side": 1, "quantity": 2.0, "entry_price": 100.0, "leverage": 5.0,
        "maintenance_rate": 0.004, "wallet": 100.0, "sigma": 0.8, "days": 7.0,
    }  # fmt: skip
    found = calculate_margin(**values)
    assert (found.notional, found.initial_margin) == (200.0, 40.0)
    assert found.isolated == pytest.approx(100 * (1 - 1 / 5) / (1 - 0.004))
    assert found.cross == pytest.approx((100 - 200) / (2 * 0.004 - 2))
    assert found.close_out == pytest.approx(100 - (100 - 20) / 2)
    assert found.margin_level == 2.5
    # methods: 5x long, 7 days at 80 %: 5.3 %
    assert found.chance == pytest.approx(0.053, abs=0.001)
    short = calculate_margin(**{**values, "side": -1})
    assert short.isolated == pytest.approx(100 * (1 + 1 / 5) / (1 + 0.004))


def test_the_calculators_answer_their_address_and_tell_a_bad_field(desk: Client) -> None:
    page = desk.get(
        "/desk/risk/calculators/?sheet=margin&side=short&quantity=1&entry_price=100&leverage=2"
        "&maintenance_rate=0.4&wallet=100&sigma=80&days=7"
    ).content.decode()
    assert "149.40" in page
    bad = desk.get(
        "/desk/risk/calculators/?sheet=kelly&win_rate=much&payoff=1&trades=10&fraction=25"
    )
    assert bad.status_code == 422
    assert "Enter a number." in bad.content.decode()
    refused = desk.get(
        "/desk/risk/calculators/?sheet=kelly&win_rate=120&payoff=1&trades=10&fraction=25"
    )
    assert refused.status_code == 422
    assert "A probability lies in [0, 1]." in refused.content.decode()
    add("AAA/USDT:USDT")
    capped = desk.get(
        "/desk/risk/calculators/?sheet=leverage&instrument=AAA/USDT:USDT&current_price=100"
        "&primary_magnet_price=103&atr=1&magnet_strength=90&conflict_index=0&volatility_pressure=0"
    ).content.decode()
    assert "Liquidation probability" in capped
    assert "not evaluated" in capped


def test_the_api_gives_the_same_figures(market: dict[str, np.ndarray]) -> None:
    client = Client(headers=bearer(Role.RISK_OFFICER))
    found = client.get("/api/risk/portfolio?days=30").json()
    rows = list(Instrument.objects.order_by("symbol"))
    view = view_portfolio("main", rows, days=30)
    assert found["symbols"] == [row.symbol for row in rows]
    np.testing.assert_allclose(found["correlations"], view.correlations)
    assert client.get("/api/risk/portfolio?days=31").status_code == 422
    assert len(client.get("/api/risk/factors").json()["names"]) == 3
    whole = client.get("/api/risk/attribution?days=30").json()["whole"]
    assert (whole["net"], whole["trades"]) == ("0", 0)
    assert client.get("/api/risk/attribution?days=0").status_code == 422
    body = {"win_rate": 0.55, "payoff": 1.2, "trades": 100}
    kelly = client.post("/api/kelly/calculate", json.dumps(body), content_type="application/json")
    assert kelly.json()["full"] == pytest.approx(0.175)
    margin = {
        "direction": "short", "quantity": 1, "entry_price": 100, "leverage": 2,
        "maintenance_rate": 0.004, "wallet": 100, "sigma": 0.8,
    }  # fmt: skip
    answer = client.post(
        "/api/margin/calculate", json.dumps(margin), content_type="application/json"
    )
    assert answer.json()["isolated"] == pytest.approx(149.402, abs=0.001)
    margin["leverage"] = 500
    bad = client.post("/api/margin/calculate", json.dumps(margin), content_type="application/json")
    assert (bad.status_code, bad.json()["error"]["code"]) == (422, "bad_leverage")


def test_growth_is_told_with_what_few_years_leave_of_it(desk: Client) -> None:
    found = calculate_growth(mean=0.08, rate=0.03, deviation=0.1, years=16.0, fraction=0.25)
    assert found.full == pytest.approx(5.0)
    # 16 years at a ratio of 0.5: evidence 16 x 0.25 = 4, so a quarter of it is error.
    assert found.kept == pytest.approx(5.0 * 0.75)
    assert found.stake == pytest.approx(found.kept / 4)
    assert calculate_growth(mean=0.02, rate=0.03, deviation=0.1, years=9.0, fraction=0.5).stake == 0
    page = desk.get("/desk/risk/calculators/?sheet=growth&mean=8&rate=3&deviation=10&years=16")
    assert "Grows fastest at" in page.content.decode()
    assert desk.get("/desk/risk/calculators/?sheet=growth&deviation=0").status_code == 422
    api = Client(headers=bearer(Role.RISK_OFFICER))
    body = {"mean": 0.08, "rate": 0.03, "deviation": 0.1, "years": 16}
    told = api.post("/api/growth/calculate", json.dumps(body), content_type="application/json")
    assert told.json()["full"] == pytest.approx(5.0)


def test_shortfall_adds_up_from_the_price_decided_on(desk: Client) -> None:
    filled = PlacedEntry(
        strategy="trend", instrument_id=1, side="buy", quantity=Decimal(10),
        filled_quantity=Decimal(7), reference_price=Decimal("100.5"),
        average_price=Decimal("100.7"), denial_codes=[], closed_at=utc_now(),
        decided=Decimal(100), fees=Decimal("0.14"),
    )  # fmt: skip
    found = compute_shortfall(order=execute(filled, Decimal("100.8")))
    # 7 units came 0.5 late and 0.2 dearer, 3 were missed by 0.8, and the fee.
    assert (found.delay, found.impact) == (pytest.approx(3.5), pytest.approx(1.4))
    assert found.opportunity == pytest.approx(2.4)
    assert found.share == pytest.approx((3.5 + 1.4 + 2.4 + 0.14) / 1000)
    assert view_shortfall("main") == ()
    assert desk.get("/desk/risk/attribution/").status_code == 200
