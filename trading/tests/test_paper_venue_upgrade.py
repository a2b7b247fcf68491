"""A home of an earlier version: its one memory becomes the trader's and the paper venue's."""

from __future__ import annotations

from decimal import Decimal
from importlib import import_module
from typing import Any

import pytest
from django.apps import apps

from trading.domain.engine.storage import dump_book
from trading.domain.engine.wants import account_of
from trading.models import BookMemory, Order, PaperOrder, PaperVenueState
from trading.services.book.memory import keep_memory, load_memory
from trading.services.paper_venue import PaperVenue
from trading.tests.test_crash_points import Stage, check, stage

pytestmark = pytest.mark.usefixtures("as_gateway")
__all__ = ["stage"]
part_memories: Any = import_module("trading.migrations.0013_paper_venue_rows").part_memories


def test_what_was_one_memory_is_two_that_agree(stage: Stage, monkeypatch: pytest.MonkeyPatch):
    stage.beat_until(lambda: any(stage.trader.paper.book.positions))
    book = stage.trader.paper
    stored = load_memory("main")
    assert stored is not None
    stage.trader.stop()
    # As the earlier version stored it, beside the rows that it had.
    PaperVenueState.objects.filter(book="main").update(
        state={
            "book": dump_book(book.book),
            "sequence": 7,
            "flow_id": 0,
            "shares": book.shares,
            "decided": book.decided,
            "layout": {
                "strategies": list(book.layout.strategies),
                "instruments": list(book.layout.instruments),
                "slots": [list(slot) for slot in book.layout.slots],
            },
        }
    )
    taken: dict[str, Any] = {}
    monkeypatch.setattr(BookMemory.objects, "create", lambda **row: taken.update(memory=row))
    monkeypatch.setattr(
        PaperOrder.objects, "create", lambda **row: taken.setdefault("orders", []).append(row)
    )
    part_memories(apps, None)

    assert taken["memory"]["state"]["booked"] == 7
    live = set(Order.objects.filter(closed_at=None).values_list("client_order_id", flat=True))
    assert {row["client_order_id"] for row in taken["orders"]} == live
    for row in taken["orders"]:
        known = PaperOrder.objects.get(pk=row["client_order_id"])
        assert {name: getattr(known, name) for name in row} == row

    venue = PaperVenue(code="main", rules=book.rules, sleeves=book.sleeves, cash=Decimal(0))
    venue.restore()
    assert venue.book.accounts == tuple(account_of(held) for held in book.book.positions)
    assert venue.cash == Decimal(repr(book.book.cash))

    keep_memory("main", stored)
    BookMemory.objects.filter(book="main").update(state=taken["memory"]["state"])
    stage.begin()
    check(stage)
