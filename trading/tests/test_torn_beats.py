"""A database that goes in the midst of a beat: nothing that was read is lost, nothing mixed up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import OperationalError

from magnetfund.core.actors import Actor
from magnetfund.kernel.clock import from_milliseconds
from trading.domain.market import HOUR_MS
from trading.models import BookMember, EngineTransition, Signal
from trading.services import book_slots, hours, trader
from trading.services.engine import engine_state_of
from trading.services.membership import change_members
from trading.services.readings import ReadingLog
from trading.tests.test_membership import OTHER, Stage, add_instrument, operator, stage
from trading.tests.test_trader_parity import STEP_MS, SYMBOL

pytestmark = pytest.mark.usefixtures("as_gateway")
__all__ = ["operator", "stage"]


def tear(stage: Stage, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, *, call: int) -> int:
    """Run beats as :meth:`Trader.run` does until the database went at a call of ``owner.name``.

    ``call`` counts from 1; returns the instant of the beat that was torn.
    """
    real, calls, torn = getattr(owner, name), [0], []

    def lost(*args: Any, **kwargs: Any) -> Any:
        calls[0] += 1
        if calls[0] == call:
            torn.append(stage.at)
            raise OperationalError("the server closed the connection")
        return real(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, lost)
        patch.setattr(trader.time, "sleep", lambda _: None)
        patch.setattr(stage.trader.prices, "wait", lambda until, should_stop: None)
        while not torn:
            assert stage.at < stage.market.end_ms, "it was never called"
            run_once(stage)
    return torn[0]


def run_once(stage: Stage) -> None:
    stage.clock.move_to(from_milliseconds(stage.at))
    stage.source.now_ms = stage.at
    asked: list[bool] = []
    stage.trader.run(should_stop=lambda: bool(asked) or asked.append(True) or False)
    stage.at += STEP_MS


WHERE: list[tuple[str, Callable[[], Any], str]] = [
    ("while hours are decided", lambda: trader, "decide_hours"),
    ("while readings are stored", lambda: ReadingLog, "save"),
    ("while an hour is stored", lambda: hours, "store_candles"),
    ("while walls are read", lambda: hours, "list_walls"),
]


@pytest.mark.parametrize(("where", "owner", "name"), WHERE, ids=[row[0] for row in WHERE])
def test_an_hour_that_was_read_is_decided_after_it(
    stage: Stage,
    monkeypatch: pytest.MonkeyPatch,
    where: str,
    owner: Callable[[], Any],
    name: str,
):
    del where
    stage.beat(stage.at + 2 * STEP_MS)
    before = stage.trader.paper.decided[SYMBOL]
    at = stage.at
    # decide_hours is called at each beat: the one that reads an hour is meant.
    beats_left = (HOUR_MS - at % HOUR_MS) % HOUR_MS // STEP_MS + 1
    tear(stage, monkeypatch, owner(), name, call=beats_left if name == "decide_hours" else 1)
    assert stage.trader.paper.decided[SYMBOL] == before
    stage.beat(stage.at + STEP_MS)
    assert stage.trader.paper.decided[SYMBOL] == before + HOUR_MS
    stage.beat(stage.at + HOUR_MS)
    assert stage.trader.paper.decided[SYMBOL] == before + 2 * HOUR_MS
    told = Signal.objects.filter(known_at__gt=from_milliseconds(before + HOUR_MS))
    assert told.count() == 2


def test_a_change_of_members_is_taken_whole(
    stage: Stage, operator: Actor, monkeypatch: pytest.MonkeyPatch
):
    stage.beat(stage.at + 2 * STEP_MS)
    other = add_instrument(stage)
    change_members(
        book="main", strategies=["trend"], instruments=[other], state=BookMember.State.TRADING,
        reason="second market", actor=operator, at=stage.clock.now(),
    )  # fmt: skip
    tear(stage, monkeypatch, stage.trader.reader, "prepare", call=1)
    stage.beat(stage.at + 2 * STEP_MS)
    read = [reader.feed.instrument.symbol for reader in stage.trader.reader.hours]
    assert read == [item.symbol for item in stage.trader.setup.instruments] == [SYMBOL, OTHER]
    assert set(stage.trader.paper.marks()) == {SYMBOL, OTHER}


def test_what_the_evidence_allows_is_asked_again(stage: Stage, monkeypatch: pytest.MonkeyPatch):
    stage.beat(stage.at + 2 * STEP_MS)
    before = stage.trader.paper.rules.instruments[0]
    monkeypatch.setattr(book_slots, "find_evidence_caps", lambda rows, limits, at: {SYMBOL: 1.0})
    tear(stage, monkeypatch, book_slots, "measure_correlations", call=1)
    stage.beat(stage.at + STEP_MS)
    assert stage.trader.paper.rules.instruments[0] != before


def test_a_clock_that_was_put_back_is_no_silent_hour(stage: Stage):
    """No price moves a book that has seen a later one, so that no stop would be watched."""
    stage.beat_until_held()
    stage.beat(stage.at + 2 * STEP_MS)
    there = stage.at
    stage.at -= HOUR_MS
    stage.clock._now = from_milliseconds(stage.at)
    stage.beat(stage.at + STEP_MS)
    newest = EngineTransition.objects.filter(book="main").latest("id")
    assert newest.state == "RECONCILING"
    assert "our clock was put back: the book has seen prices up to" in newest.reason
    stage.at = there
    stage.beat(there + STEP_MS)
    assert engine_state_of("main") == "READY"
