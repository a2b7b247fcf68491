"""A trip against many writers: no order that adds exposure commits after it."""

from __future__ import annotations

import statistics
import threading
import time
from typing import Any

import pytest
from django.db import DatabaseError, connections, transaction

from magnetfund.core.actors import Actor
from magnetfund.core.roles import Role
from magnetfund.kernel.clock import utc_now
from magnetfund.tests.drill_size import drilled
from magnetfund.tests.walls_support import (
    arm_fuse,
    make_engine_ready,
    make_instrument,
    make_user,
    order_values,
)
from risk.services.fuse import trip_fuse, wait_for_orders
from risk.services.stop_statements import FuseFacts
from trading.models import Instrument, Order

pytestmark = pytest.mark.usefixtures("as_gateway")
WRITERS = 12


def _write_orders(instrument: Instrument, stop: threading.Event) -> None:
    try:
        while not stop.is_set():
            try:
                with transaction.atomic():
                    Order.objects.create(**order_values(instrument))
            except DatabaseError:
                time.sleep(0.001)
    finally:
        connections.close_all()


def _race(instrument: Instrument) -> tuple[int, float]:
    """Orders committed after the trip's barrier, and how long the trip took in ms."""
    stop = threading.Event()
    before = Order.objects.count()
    writers = [
        threading.Thread(target=_write_orders, args=(instrument, stop)) for _ in range(WRITERS)
    ]
    for writer in writers:
        writer.start()
    deadline = time.monotonic() + 30
    while Order.objects.count() == before and time.monotonic() < deadline:
        time.sleep(0.01)
    began = time.perf_counter()
    trip_fuse(
        book="main", facts=FuseFacts(trigger="manual", reason="race"), actor=Actor.system("test")
    )
    took = (time.perf_counter() - began) * 1000.0
    wait_for_orders("main")
    at_trip = Order.objects.count()
    assert at_trip > before, "the writers must have written before the trip"
    time.sleep(0.05)
    stop.set()
    for writer in writers:
        writer.join()
    return Order.objects.count() - at_trip, took


def _rounds(count: int) -> tuple[int, list[float]]:
    officers = make_user("ann", Role.RISK_OFFICER), make_user("ben", Role.RISK_OFFICER)
    instrument = make_instrument()
    late, times = 0, []
    for number in range(count):
        arm_fuse(*officers, at=utc_now())
        if number == 0:
            make_engine_ready()
        after, took = _race(instrument)
        late += after
        times.append(took)
    return late, times


def test_no_order_commits_after_the_trip():
    late, _ = _rounds(5)
    assert late == 0


@pytest.mark.drill
@pytest.mark.alone
def test_many_rounds(on_record: Any):
    late, times = _rounds(drilled(200))
    p99 = statistics.quantiles(times, n=100)[98]
    with on_record():
        print(
            f"\n{len(times)} rounds, {WRITERS} writers: {late} late orders, trip visible median "
            f"{statistics.median(times):.1f} ms, p99 {p99:.1f} ms"
        )
    assert late == 0
