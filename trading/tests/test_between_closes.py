"""Minutes between two hourly closes: no reading ends an episode, time stops count whole hours."""

from __future__ import annotations

import math
from dataclasses import replace

from trading.domain.engine.book import Bar, Book, BookFill, CloseReason, Event, FuseMove, Trigger
from trading.domain.engine.rules import EngineRules, SlotRules, TradedInstrument
from trading.domain.engine.step import open_book, process_bar
from trading.domain.strategies.signals import HOUR_MS, Signal, StrategyTraits

MINUTE_MS = 60_000
START = 1_735_689_600_000
HOLD_HOURS = 6
QUIET = Signal(
    known_at=0,
    direction=0,
    exit_long=False,
    exit_short=False,
    stop=math.nan,
    target=math.nan,
    reason=0,
    distance=3.0,
    strength=50.0,
    conflict=0.0,
    volatility_ratio=1.0,
    sigma=0.5,
    atr=1.0,
    target_zone_price=math.nan,
    trend=0,
    opposite_pull_long=0.0,
    opposite_pull_short=0.0,
    heavy_opposite_long=0.0,
    heavy_opposite_short=0.0,
)
ENTRY = replace(QUIET, direction=1, stop=80.0)
TENSE = replace(QUIET, volatility_ratio=3.0)
RULES = EngineRules(
    instruments=(TradedInstrument(symbol="A", tick_size=0.01, lot_size=0.001),),
    slots=(
        SlotRules(
            traits=StrategyTraits(strategy_id="s", version="1", hold_ms_max=HOLD_HOURS * HOUR_MS),
            strategy=0,
            instrument=0,
        ),
    ),
    bar_ms=MINUTE_MS,
)


def walk(readings: list[Signal], *, late_ms: int = 0) -> tuple[Book, list[Event]]:
    """Hours of a calm price, minute by minute; each hour's reading comes with its last minute.

    ``late_ms`` shifts the minutes, as a process that looks at prices off the full minute does.
    """
    flat = Bar(open=10_000, high=10_000, low=10_000, close=10_000)
    book, events = open_book(rules=RULES, time_ms=START), []
    for hour, reading in enumerate(readings):
        for minute in range(60):
            at = START + hour * HOUR_MS + minute * MINUTE_MS + (late_ms if minute < 59 else 0)
            book, new = process_bar(
                rules=RULES if minute == 59 else replace(RULES, bar_ms=1),
                book=book,
                time_ms=at,
                bars=[flat],
                signals=[reading if minute == 59 else None],
            )
            events += new
    return book, events


def moves(events: list[Event]) -> list[tuple[Trigger, int]]:
    return [
        (Trigger(e.trigger), (e.time_ms - START) // HOUR_MS)
        for e in events
        if isinstance(e, FuseMove)
    ]


def test_an_episode_holds_through_the_minutes_and_ends_by_readings_alone():
    book, events = walk([ENTRY, QUIET, TENSE, TENSE, TENSE])
    assert moves(events) == [(Trigger.VOLATILITY, 3)]
    assert book.fuse.episodes[0].active
    assert not book.fuse.episodes[0].cleared_at

    _, events = walk([ENTRY, QUIET, TENSE, TENSE, QUIET, QUIET])
    assert moves(events) == [(Trigger.VOLATILITY, 3), (Trigger.CLEARED, 6)]
    cuts = [e for e in events if isinstance(e, BookFill) and e.close_reason == CloseReason.FUSE_CUT]
    assert len(cuts) == 1


def test_a_fill_within_the_hour_does_not_delay_the_time_stop():
    for late_ms in (0, 400, 50_000):
        _, events = walk([ENTRY] + [QUIET] * (HOLD_HOURS + 1), late_ms=late_ms)
        (entry, leaving) = [e for e in events if isinstance(e, BookFill)]
        assert entry.time_ms == START + HOUR_MS + late_ms
        assert leaving.close_reason == CloseReason.TIME
        assert leaving.time_ms == START + (1 + HOLD_HOURS) * HOUR_MS + late_ms
