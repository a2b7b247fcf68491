"""A stream that is down says so once, by its event; nothing else is said on its behalf."""

from __future__ import annotations

import asyncio
import gc
import logging
from typing import Any

import pytest

from simulated_exchange.faults import Fault
from trading.tests.stream_stage import SECOND, Stage, set_stage
from trading.venues import binance_streams

ROUNDS = 4


def cut(stage: Stage) -> None:
    asyncio.run_coroutine_threadsafe(stage.exchange.streams.drop_all(), stage.loop).result(30)


def mute(stage: Stage) -> None:
    stage.exchange.faults.append(Fault(kind="mute", path="@", times=10_000))


def break_books(stage: Stage) -> None:
    """Books that cannot be read anew, and then a cut."""
    stage.exchange.faults += [
        Fault(kind="gap", path="@depth", times=10_000),
        Fault(kind="html", path="/fapi/v1/depth", times=10_000),
    ]
    for _ in range(5):
        stage.move(SECOND)
    cut(stage)


@pytest.mark.parametrize("fail", [cut, mute, break_books])
def test_no_failure_of_a_stream_is_left_to_the_loop(
    fail: Any, settings: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr(binance_streams, "PAUSE_SECONDS", 0.05)
    monkeypatch.setattr(binance_streams, "PAUSE_MAX_SECONDS", 0.1)
    monkeypatch.setattr(binance_streams, "SILENT_SECONDS", 0.5)
    with caplog.at_level(logging.WARNING, logger="asyncio"), set_stage(settings) as stage:
        for _ in range(ROUNDS):
            stage.move(SECOND)
            fail(stage)
            stage.wait_for(lambda: bool(stage.prices.stream_reason))
            stage.exchange.faults.clear()
            stage.wait_for(lambda: not stage.prices.stream_reason)
            gc.collect()
        assert stage.market.streams is not None
        assert stage.market.streams.openings > ROUNDS
    gc.collect()
    assert [r.getMessage() for r in caplog.records if r.name == "asyncio"] == []
