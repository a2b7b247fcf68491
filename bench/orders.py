"""A trader at work: from the API's request to the stored fill, and from a falling price to flat.

Run as ``python -m bench orders``.  A demo fund of one month trades 20 simulated instruments; the
trader is a process of its own, as it is in an instance.  Prices are the
simulated ones times a factor that the bench moves.
"""

from __future__ import annotations

import json
import multiprocessing
import statistics
import time
from dataclasses import replace
from typing import Any

from bench.ground import platform
from bench.timing import Row

INSTRUMENTS = 20
ROUND_TRIPS = 60
WARM_UP = 5
RISE = 1.004
FALL = 0.72


class Dial:
    """A price factor that two processes share, and when the trader first read its present value."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._factor = context.Value("d", 1.0)
        self._read_at = context.Value("d", 0.0)
        self.done = context.Event()
        self.ready = context.Event()

    @property
    def factor(self) -> float:
        return float(self._factor.value)

    @property
    def read_at(self) -> float:
        """On the machine's monotonic clock, which both processes read."""
        return float(self._read_at.value)

    def turn(self, ratio: float) -> None:
        self._factor.value *= ratio

    def note_reading(self) -> None:
        self._read_at.value = time.perf_counter()


class MovedSource:
    """The simulated market times the factor of a dial."""

    def __init__(self, source: Any, dial: Dial) -> None:
        self._source, self._dial = source, dial
        self._read = dial.factor

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)

    def price(self, symbol: str, now_ms: int) -> float:
        factor = self._dial.factor
        if factor != self._read:
            self._read = factor
            self._dial.note_reading()
        return float(self._source.price(symbol, now_ms)) * factor


def run() -> list[Row]:
    """The rows of this bench."""
    with platform(with_valkey=True):
        _make_fund()
        dial = Dial()
        trader = multiprocessing.get_context("spawn").Process(target=_trade, args=(dial,))
        trader.start()
        try:
            if not dial.ready.wait(120.0):
                raise TimeoutError("the trader did not start")
            return [*_orders(dial), *_fall(dial)]
        finally:
            dial.done.set()
            trader.join(30)
            trader.kill()


def _trade(dial: Dial) -> None:
    """The trader's process."""
    import django

    django.setup()
    from trading.services.market_source import SimulatedSource, load_simulation
    from trading.services.trader import Trader

    config = load_simulation()
    assert config is not None
    trader = Trader(book="main", source=MovedSource(SimulatedSource(config), dial))
    trader.start()
    trader.beat()
    dial.ready.set()
    try:
        trader.run(should_stop=dial.done.is_set)
    finally:
        trader.stop()


def _make_fund() -> None:
    from magnetfund.operations.demo.load import load_demo
    from magnetfund.operations.scenario import load_scenario

    story = load_scenario()
    market = {
        **story.market,
        "instruments": [
            {
                "symbol": f"B{number:02d}/USDT:USDT", "start_price": 1_000.0 + 100 * number,
                "tick": "0.01", "lot": "0.001", "volatility_hour": 0.003,
            }
            for number in range(INSTRUMENTS)
        ],
    }  # fmt: skip
    load_demo(
        on_start=lambda bars: None,
        on_bar=lambda: None,
        scenario=replace(
            story,
            fund={**story.fund, "months_of_history": 1},
            market=market,
            # Sleeves that decide by themselves would take the room under the margin limit.
            sleeves=tuple(sleeve for sleeve in story.sleeves if sleeve["code"] == "manual"),
            events=(),
        ),
    )
    _allow_messages()


def _allow_messages() -> None:
    """The house's message rate at its hard ceiling, signed by two: the pace here is a machine's."""
    from magnetfund.core.actors import Actor
    from magnetfund.core.roles import Role
    from magnetfund.kernel.clock import utc_now
    from magnetfund.operations.people import ensure_user
    from risk.domain.limits import Limits, figures_of
    from risk.services.limits import approve_limits, propose_limits

    makers = [
        Actor.of(ensure_user(email=f"{name}@example.com", name=name, roles=[Role.RISK_OFFICER]))
        for name in ("bench-maker", "bench-checker")
    ]
    proposal = propose_limits(
        book="main",
        figures={**figures_of(limits=Limits()), "orders_per_minute_count_max": "300"},
        reason="a bench trades as fast as it can",
        effective_from=utc_now(),
        actor=makers[0],
    )
    approve_limits(proposal=proposal, seen_hash=proposal.content_hash, actor=makers[1])


def _orders(dial: Dial) -> list[Row]:
    from django.test import Client
    from rest_framework.throttling import UserRateThrottle
    from rest_framework_simplejwt.tokens import RefreshToken

    from magnetfund.core.actors import Actor
    from magnetfund.core.models import User
    from trading.models import Fill, Instrument, Position
    from trading.services.manual import close_position, wait_for_outcome

    UserRateThrottle.THROTTLE_RATES = {**UserRateThrottle.THROTTLE_RATES, "user": None}
    user = User.objects.get(email="operator@example.com")
    token = RefreshToken.for_user(user).access_token
    token["factor_at"] = time.time()  # the sign-in behind it has just shown a code
    client = Client(headers={"Authorization": f"Bearer {token}"})
    symbols = list(Instrument.objects.order_by("symbol").values_list("symbol", flat=True))
    times = []
    for number in range(WARM_UP + ROUND_TRIPS):
        symbol = symbols[number % len(symbols)]
        began = time.perf_counter()
        order_id = _buy(client, symbol, key=f"trip-{number}")
        times.append((time.perf_counter() - began) * 1000.0)
        assert Fill.objects.filter(order_id=order_id).exists()
        # A small gain a round trip: losses in a row would rightly lock the sleeve.
        dial.turn(RISE)
        time.sleep(1.1)
        position = Position.objects.get(instrument__symbol=symbol, strategy="manual")
        order = close_position(position=position, actor=Actor.of(user))
        assert wait_for_outcome(order.pk, seconds=5.0).state == "FILLED"
    for number, symbol in enumerate(symbols):
        _buy(client, symbol, key=f"hold-{number}")
        time.sleep(1.2)
    assert Position.objects.exclude(quantity=0).count() >= INSTRUMENTS
    return [
        (
            f"order: API request to paper fill stored, {ROUND_TRIPS} orders, p95",
            statistics.quantiles(times[WARM_UP:], n=20)[18], 100.0, "ms",
        ),
    ]  # fmt: skip


def _buy(client: Any, symbol: str, *, key: str) -> str:
    """A long by hand, waited for; the order's id."""
    from magnetfund.core.models import Heartbeat

    beat = Heartbeat.objects.get(part="trader", instance="main")
    price = float(beat.detail["prices"][symbol])
    body = {
        "idempotency_key": key, "symbol": symbol, "direction": "long", "magnet_tier": 2,
        "entry_price": f"{price:.2f}", "stop_price": f"{price * 0.6:.2f}",
        "target_price": f"{price * 2:.2f}",
    }  # fmt: skip
    answer = client.post(
        "/api/trade/execute", data=json.dumps(body), content_type="application/json"
    )
    assert answer.status_code in (200, 201), (key, answer.content)
    return str(answer.json()["order_id"])


def _fall(dial: Dial) -> list[Row]:
    from risk.services.fuse import state_of
    from trading.models import Position

    count = Position.objects.exclude(quantity=0).count()
    dial.turn(FALL)
    while state_of("main") != "TRIPPED":
        time.sleep(0.001)
    tripped = (time.perf_counter() - dial.read_at) * 1000.0
    while Position.objects.exclude(quantity=0).exists():
        time.sleep(0.001)
    flat = time.perf_counter() - dial.read_at
    assert count >= INSTRUMENTS
    return [
        ("fuse: tick to trip visible to another connection", tripped, 500.0, "ms"),
        (f"fuse: tick to flat with {count} positions on paper", flat, 5.0, "s"),
    ]
