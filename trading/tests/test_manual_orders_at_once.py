"""Entries by hand that are given at once: no two use the same room under the limits."""

from __future__ import annotations

import threading
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection

from magnetfund.core.actors import Actor
from magnetfund.core.roles import Role
from magnetfund.operations.people import ensure_user
from magnetfund.tests.test_desk_ticket import instrument
from magnetfund.tests.walls_support import wait_for_waiter
from trading.models import Instrument, Order
from trading.services import manual
from trading.services.manual import submit_manual_order
from trading.services.manual_plan import ManualOrder

pytestmark = pytest.mark.usefixtures("fresh_database", "placed_positions")
__all__ = ["instrument"]


def test_two_at_once_are_judged_one_after_the_other(
    instrument: Instrument, fresh_database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is within the margin of its tier, both together are not."""
    actor = Actor.of(ensure_user(email="o@example.com", name="O", roles=[Role.OPERATOR]))
    request = ManualOrder(
        book="main", symbol=instrument.symbol, direction="long", entry_price=Decimal(50_000),
        stop_price=Decimal(49_000), target_price=Decimal(52_000), tier=3,
        quantity=Decimal("0.4"), why="a drill",
    )  # fmt: skip
    is_second = threading.Event()
    other = threading.Thread(target=lambda: _submit(request, actor))
    ring: Callable[[], None] = manual.ring_bell

    def ring_late() -> None:
        """Before the first commits, the second is under way and waits for it."""
        if not is_second.is_set():
            is_second.set()
            other.start()
            wait_for_waiter(fresh_database)
        ring()

    monkeypatch.setattr(manual, "ring_bell", ring_late)
    first = submit_manual_order(request, actor=actor)
    other.join()
    assert first.state == "INTENT"
    second = Order.objects.exclude(pk=first.pk).get()
    assert second.state == "DENIED"
    assert "order_waiting" in second.denial_codes


def _submit(request: ManualOrder, actor: Actor) -> None:
    try:
        submit_manual_order(request, actor=actor)
    finally:
        connection.close()
