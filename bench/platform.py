"""The platform's own speeds on a durable database: API answers, candle ingest, the fuse.

Run as ``python -m bench platform``.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from bench.ground import platform
from bench.timing import Row

CANDLES = 500_000
REQUESTS = 200


def p95_ms(work: Callable[[], object], *, rounds: int = REQUESTS) -> float:
    """95th percentile of ``rounds`` runs in ms, after ten that warm up."""
    for _ in range(10):
        work()
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        work()
        times.append((time.perf_counter() - began) * 1000.0)
    return statistics.quantiles(times, n=20)[18]


def run() -> list[Row]:
    """The rows of this bench."""
    with platform():
        return [*_api(), *_ingest(), *_fuse()]


def _api() -> list[Row]:
    from django.test import Client
    from rest_framework.throttling import UserRateThrottle
    from rest_framework_simplejwt.tokens import RefreshToken

    from magnetfund.core.roles import Role
    from magnetfund.operations.people import ensure_user

    # One client asks thousands of times a minute here; its throttle is not what is measured.
    UserRateThrottle.THROTTLE_RATES = {**UserRateThrottle.THROTTLE_RATES, "user": None}
    user = ensure_user(email="bench@example.com", name="Bench", roles=[Role.OPERATOR])
    token = RefreshToken.for_user(user).access_token
    client = Client(headers={"Authorization": f"Bearer {token}"})
    leverage = json.dumps(
        {
            "primary_magnet_price": 66000, "current_price": 65000, "magnet_strength": 70,
            "conflict_index": 0.2, "volatility_pressure": 0.1, "atr": 400,
        }
    )  # fmt: skip
    sizing = json.dumps(
        {
            "equity": 430000, "entry_price": 65000, "stop_price": 64000, "magnet_price": 67000,
            "magnet_tier": 2, "leverage": 1.5,
        }
    )  # fmt: skip

    def post(path: str, body: str) -> Any:
        answer = client.post(path, data=body, content_type="application/json")
        assert answer.status_code == 200, answer.content
        return answer

    return [
        ("GET /health, p95", p95_ms(lambda: client.get("/health")), 20.0, "ms"),
        (
            "POST /api/leverage/calculate, p95",
            p95_ms(lambda: post("/api/leverage/calculate", leverage)),
            15.0,
            "ms",
        ),
        (
            "POST /api/sizing/calculate, p95",
            p95_ms(lambda: post("/api/sizing/calculate", sizing)),
            15.0,
            "ms",
        ),
    ]


def _ingest() -> list[Row]:
    from django.db import transaction

    from magnetfund.core.actors import Actor
    from trading.domain.candle_files import RawCandles
    from trading.domain.market import MINUTE_MS, Candles
    from trading.services.candle_import import import_candles
    from trading.services.candle_store import load_candles, store_candles
    from trading.services.instruments import ensure_instrument

    def columns(count: int) -> dict[str, Any]:
        rng = np.random.default_rng(11)
        close = np.round(50_000 * np.exp(np.cumsum(rng.normal(0, 4e-4, count))), 1)
        open_ = np.concatenate(([50_000.0], close[:-1]))
        return {
            "open_time": 1_600_000_020_000 + MINUTE_MS * np.arange(count, dtype=np.int64),
            "open": open_,
            "high": np.maximum(open_, close) + 1.0,
            "low": np.minimum(open_, close) - 1.0,
            "close": close,
            "volume": np.full(count, 3.0),
        }

    actor = Actor.system("bench")
    bare = ensure_instrument("BTC/USDT:USDT", venue="binanceusdm", actor=actor)
    candles = Candles(instrument=bare.symbol, timeframe_ms=MINUTE_MS, **columns(CANDLES))
    began = time.perf_counter()
    with transaction.atomic():
        store_candles(candles, instrument=bare, timeframe="1m", source="bench", available_ms=0)
    copied = CANDLES / (time.perf_counter() - began)
    began = time.perf_counter()
    assert len(load_candles(bare, "1m")) == CANDLES
    read = time.perf_counter() - began
    whole = ensure_instrument("ETH/USDT:USDT", venue="binanceusdm", actor=actor)
    raw = RawCandles(**columns(CANDLES), line=np.arange(CANDLES))
    began = time.perf_counter()
    import_candles(raw, instrument=whole, timeframe="1m", source="bench", actor=actor)
    taken = CANDLES / (time.perf_counter() - began)
    return [
        (f"candle COPY, {CANDLES:,} rows", copied, 300_000.0, "rows/s"),
        ("candles checked, stored and accounted for", taken, 100_000.0, "rows/s"),
        (f"{CANDLES:,} candles to arrays", read, 1.0, "s"),
    ]


def _fuse() -> list[Row]:
    from magnetfund.core.actors import Actor
    from risk.services.fuse import trip_fuse, wait_for_orders
    from risk.services.stop_statements import FuseFacts

    def trip() -> None:
        trip_fuse(book="bench", facts=FuseFacts(trigger="manual"), actor=Actor.system("bench"))
        wait_for_orders("bench")

    return [("trip committed and barrier passed, p95", p95_ms(trip, rounds=100), 500.0, "ms")]


if __name__ == "__main__":
    from bench.timing import print_rows

    print_rows(run())
