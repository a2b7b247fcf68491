"""A book grows, pauses and shrinks while it trades; what it holds follows its slot."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from magnetfund.core.actors import Actor
from magnetfund.core.models import AuditEvent
from magnetfund.core.roles import Role
from magnetfund.kernel.clock import VirtualClock, from_milliseconds, use_clock
from magnetfund.kernel.errors import Conflict, InvalidInput, NotAllowed
from magnetfund.operations.people import ensure_user
from risk.domain.margin import flat_tier
from trading.domain.engine.slots import Layout, carry_book
from trading.domain.market import HOUR_MS, InstrumentKind, InstrumentTerms
from trading.models import BookMember, Fill, Instrument, Order, Position, Strategy
from trading.services.candle_store import store_candles
from trading.services.instruments import (
    add_simulated_instrument,
    ensure_instrument,
    get_instrument,
    refresh_terms,
)
from trading.services.membership import change_members, members_of
from trading.services.trader import Trader
from trading.tests.parity import CASH, Market, PriceSequence, arm, build_ground
from trading.tests.test_trader_parity import SHORT_OF_ENTRY, STEP_MS, SYMBOL, make_market

pytestmark = pytest.mark.usefixtures("as_gateway")

OTHER = "ETH/USDT:USDT"
State = BookMember.State


class Stage:
    """A trader on simulated prices, beat by beat."""

    def __init__(self, market: Market) -> None:
        self.market = market
        self.source = PriceSequence(market)
        self.clock = VirtualClock(from_milliseconds(market.start_ms))
        self.at = market.start_ms
        self.trader = self.begin()

    def begin(self) -> Trader:
        trader = Trader(book="main", source=self.source)
        trader.start()
        self.trader = trader
        return trader

    def beat(self, until: int) -> None:
        while self.at < until:
            self.clock.move_to(from_milliseconds(self.at))
            self.source.now_ms = self.at
            self.trader.beat()
            self.at += STEP_MS

    def beat_until_held(self) -> Position:
        while not (held := Position.objects.exclude(quantity=0).first()):
            assert self.at < self.market.end_ms, "no position was opened"
            self.beat(self.at + STEP_MS)
        return held


@pytest.fixture
def stage(settings: Any) -> Iterator[Stage]:
    settings.INITIAL_EQUITY = CASH
    market = make_market(seed=33, days=1, from_hour=SHORT_OF_ENTRY)
    # The second instrument shares the prices of the first; it is not yet known to the book.
    doubled = replace(
        market,
        before={
            SYMBOL: market.before[SYMBOL],
            OTHER: replace(market.before[SYMBOL], instrument=OTHER),
        },
        fine={SYMBOL: market.fine[SYMBOL], OTHER: replace(market.fine[SYMBOL], instrument=OTHER)},
    )
    build_ground(market, tick="0.1")
    clock = VirtualClock(from_milliseconds(market.start_ms))
    with use_clock(clock):
        arm("main", market.start_ms)
        stage = Stage(doubled)
        stage.clock = clock
        yield stage


@pytest.fixture
def operator(as_gateway: None) -> Actor:
    return Actor.of(ensure_user(email="o@example.com", name="O", roles=[Role.OPERATOR]))


def new_instrument(symbol: str) -> Instrument:
    return add_simulated_instrument(
        symbol,
        tick=Decimal("0.1"),
        lot=Decimal("0.001"),
        minimum_notional=Decimal(5),
        maker_fee=Decimal("0.0002"),
        taker_fee=Decimal("0.0005"),
        maintenance_rate=Decimal("0.004"),
        actor=Actor.system("test"),
    )


def add_instrument(stage: Stage) -> Instrument:
    row = new_instrument(OTHER)
    store_candles(
        stage.market.before[OTHER],
        instrument=row,
        timeframe="1h",
        source="test",
        available_ms=stage.market.start_ms,
    )
    return row


def restart(stage: Stage) -> None:
    stage.trader.stop()
    stage.begin()


def test_a_new_instrument_or_a_switched_off_strategy_does_not_stop_the_next_start(stage: Stage):
    held = stage.beat_until_held()
    new_instrument("DOGE/USDT:USDT")  # as a failed backfill used to leave it
    Strategy.objects.filter(code=held.strategy).update(is_active=False)
    restart(stage)
    stage.beat(stage.at + 2 * STEP_MS)
    row = Position.objects.get(pk=held.pk)
    assert row.quantity == held.quantity
    assert {m.state for m in members_of("main").members if m.strategy == held.strategy} == {
        State.PAUSED
    }
    assert Order.objects.filter(purpose="stop", closed_at=None).count() == 1


def test_growing_while_it_runs_keeps_what_is_held_and_trades_the_new_slot(
    stage: Stage, operator: Actor
):
    held = stage.beat_until_held()
    other = add_instrument(stage)
    change_members(
        book="main",
        strategies=[held.strategy],
        instruments=[other],
        state=State.TRADING,
        reason="second market",
        actor=operator,
        at=stage.clock.now(),
    )
    stage.beat(stage.at + 3 * HOUR_MS)
    assert len(stage.trader.paper.book.positions) == 3
    assert [m.instrument.symbol for m in members_of("main").members].count(OTHER) == 1
    assert OTHER in stage.trader.paper.marks()
    restart(stage)
    stage.beat(stage.at + STEP_MS)
    assert len(stage.trader.paper.book.positions) == 3
    assert AuditEvent.objects.filter(action="book.trading", actor_label=operator.label).exists()


def test_shrinking_closes_first_and_then_lets_the_slot_go(stage: Stage, operator: Actor):
    held = stage.beat_until_held()
    change_members(
        book="main",
        strategies=[held.strategy],
        instruments=[held.instrument],
        state=State.LEAVING,
        reason="no longer wanted",
        actor=operator,
        at=stage.clock.now(),
    )
    stage.beat(stage.at + 2 * STEP_MS)
    last = Fill.objects.order_by("-id").first()
    assert last is not None
    assert (last.reason, last.quantity) == ("manual", abs(held.quantity))
    assert Position.objects.get(pk=held.pk).quantity == 0
    assert not Order.objects.filter(closed_at=None).exists()
    assert held.strategy not in {m.strategy for m in members_of("main").members}
    assert len(stage.trader.paper.book.positions) == 1
    restart(stage)
    stage.beat(stage.at + STEP_MS)
    rest = members_of("main").members[0]
    with pytest.raises(Conflict, match="at least one slot"):
        change_members(
            book="main",
            strategies=[rest.strategy],
            instruments=[rest.instrument],
            state=State.LEAVING,
            reason="all of it",
            actor=operator,
        )


def test_a_running_book_trades_by_the_terms_that_its_venue_states_now(stage: Stage):
    """Old lots of a running book beside new ones in its rows would be sizes ten times as large."""
    stage.beat(stage.at + 2 * STEP_MS)
    seen = stage.trader.paper.marks()[SYMBOL]
    row = get_instrument(SYMBOL)
    stated = InstrumentTerms(
        symbol=row.symbol, venue=row.venue, kind=InstrumentKind.LINEAR_PERPETUAL, base=row.base,
        quote=row.quote, settle=row.settle, tick=Decimal("0.5"), lot=Decimal("0.01"),
        minimum_notional=Decimal(7), maker_fee=Decimal("0.0002"), taker_fee=Decimal("0.0007"),
        maintenance_tiers=flat_tier(rate=0.008),
    )  # fmt: skip
    changed = refresh_terms(
        stated, source="x", stated_at=stage.clock.now(), actor=Actor.system("refresh")
    )
    assert {"tick", "lot", "taker_fee"} <= set(changed)
    stage.beat(stage.at + STEP_MS)
    traded = stage.trader.paper.rules.instruments[0]
    assert (traded.tick_size, traded.lot_size) == (0.5, 0.01)
    assert (traded.taker_fee_rate, traded.maintenance_rate) == (0.0007, 0.008)
    assert abs(stage.trader.paper.marks()[SYMBOL] / seen - 1) < Decimal("0.05")
    held = stage.beat_until_held()
    assert held.quantity % Decimal("0.01") == 0
    for order in Order.objects.filter(purpose__in=("entry", "stop")):
        price = order.trigger_price or order.stop_price
        assert price is not None
        assert price % Decimal("0.5") == 0
        assert order.quantity % Decimal("0.01") == 0
    fill = Fill.objects.get()
    assert fill.fee == fill.quantity * fill.price * Decimal("0.0007")
    readers = [reader.feed for reader in stage.trader.reader.hours]
    stage.beat(stage.at + 2 * STEP_MS)
    assert [reader.feed for reader in stage.trader.reader.hours] == readers, "read anew once"


def test_an_instrument_that_the_source_does_not_know_is_told_and_the_rest_trades(
    stage: Stage, operator: Actor
):
    other = add_instrument(stage)
    known = stage.source.price
    stage.source.price = lambda symbol, now_ms: _refuse(symbol, OTHER) or known(symbol, now_ms)  # type: ignore[method-assign]
    change_members(
        book="main",
        strategies=["trend"],
        instruments=[other],
        state=State.TRADING,
        reason="second market",
        actor=operator,
        at=stage.clock.now(),
    )
    stage.beat(stage.at + 2 * STEP_MS)
    problems = stage.trader.reader.find_problems()
    assert any(OTHER in line and "remove it" in line for line in problems)
    assert SYMBOL in stage.trader.paper.marks()


def _refuse(symbol: str, unknown: str) -> None:
    if symbol == unknown:
        raise InvalidInput(f"{symbol} is not simulated", code="unknown_instrument")


class TestRefusals:
    def test_what_cannot_be_traded_is_refused_and_leaves_nothing(
        self, stage: Stage, operator: Actor
    ):
        bare = new_instrument("DOGE/USDT:USDT")
        count = BookMember.objects.count()
        btc = Instrument.objects.get(symbol=SYMBOL)
        for strategies, instrument, reason, code in (
            (["trend"], bare, "why", "no_candles"),
            (["nonsense"], btc, "why", "unknown_strategy"),
            (["trend"], btc, "  ", "reason_missing"),
            (["trend"], btc, "why", "no_change"),
            ([], btc, "why", "no_slot"),
        ):
            with pytest.raises((InvalidInput, Conflict)) as caught:
                change_members(
                    book="main",
                    strategies=strategies,
                    instruments=[instrument],
                    state=State.TRADING,
                    reason=reason,
                    actor=operator,
                )
            assert caught.value.code == code
        assert BookMember.objects.count() == count

    def test_growing_needs_an_operator_and_stopping_anyone_of_the_staff(self, stage: Stage):
        accountant = Actor.of(ensure_user(email="a@example.com", name="A", roles=[Role.ACCOUNTANT]))
        btc = Instrument.objects.get(symbol=SYMBOL)
        paused = {"book": "main", "strategies": ["trend"], "instruments": [btc], "reason": "why"}
        change_members(**paused, state=State.PAUSED, actor=accountant)
        with pytest.raises(NotAllowed):
            change_members(**paused, state=State.TRADING, actor=accountant)

    def test_the_command_says_who_and_what(self, stage: Stage, operator: Actor, capsys: Any):
        with pytest.raises(CommandError, match="unknown_person"):
            call_command(
                "book", "pause", "--strategy", "trend", "--instrument", SYMBOL, "--reason", "x"
            )
        call_command(
            "book", "pause", "--strategy", "trend", "--instrument", SYMBOL, "--reason",
            "too quiet", "--by", "o@example.com",
        )  # fmt: skip
        call_command("book", "show")
        assert "paused   too quiet" in capsys.readouterr().out
        assert members_of("main").version == 2

    def test_prices_imported_for_research_do_not_stand_before_the_book_s_own(
        self, stage: Stage, operator: Actor
    ):
        own = Instrument.objects.get(symbol=SYMBOL)
        imported = ensure_instrument(SYMBOL, venue="binanceusdm", actor=Actor.system("import"))
        assert get_instrument(SYMBOL) == imported
        assert not imported.is_active
        call_command(
            "book", "pause", "--strategy", "trend", "--instrument", SYMBOL, "--reason", "x",
            "--by", "o@example.com",
        )  # fmt: skip
        assert [m.instrument for m in members_of("main").members if m.state == State.PAUSED] == [
            own
        ]
        with pytest.raises(CommandError, match=f"binanceusdm is switched off.*{own.venue}"):
            call_command(
                "book", "add", "--strategy", "trend", "--instrument", SYMBOL, "--reason", "x",
                "--venue", "binanceusdm", "--by", "o@example.com",
            )  # fmt: skip


def test_a_dropped_slot_must_be_flat(stage: Stage):
    stage.beat_until_held()
    paper = stage.trader.paper
    with pytest.raises(Conflict) as caught:
        carry_book(
            book=paper.book,
            before=paper.layout,
            after=Layout(strategies=(), instruments=(), slots=()),
        )
    assert caught.value.code == "slot_held"
