"""A strategy of one's own on a running book: two people, its own process, and what happens when
that process fails.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from decimal import Decimal
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from magnetfund.core.actors import Actor
from magnetfund.core.models import AuditEvent
from magnetfund.core.roles import Role
from magnetfund.kernel.errors import Conflict, InvalidInput, NotAllowed
from magnetfund.operations.people import ensure_user
from trading.domain.market import HOUR_MS
from trading.management.commands.check_strategy import make_candles
from trading.models import BookMember, Order, Position, SleeveProposal, Strategy
from trading.services.membership import change_members, members_of
from trading.services.research.child import OwnSource, compute_in_child
from trading.services.research.child_stream import ChildStream
from trading.services.sleeve_proposals import (
    approve_sleeve,
    propose_retirement,
    propose_sleeve,
    return_sleeve,
)
from trading.tests.test_membership import Stage, stage  # noqa: F401  # a fixture
from trading.tests.test_own_strategies import HEAD, PEEKS, RULE, SOUND

pytestmark = pytest.mark.usefixtures("as_gateway")

#: Long at every close with a stop far below: it holds a position from its first hour on.
HOLDS = (
    HEAD
    + """
        return Entries(direction=np.ones(n, dtype=int), stop=close * 0.9, ready=np.arange(n) > 20)
"""
)


def stream(text: str, **options: Any) -> ChildStream:
    return ChildStream(
        OwnSource(file="own.py", text=text),
        name="one-bar" if text.count("OneBar") else "own",
        parameters={} if text.count("OneBar") else {"length": 30},
        timeframe_ms=HOUR_MS,
        **options,
    )


def test_a_child_says_bar_by_bar_what_the_columns_say() -> None:
    candles = make_candles(HOUR_MS, count=160)
    found = stream(SOUND)
    found.warm(candles.between(0, 100))
    signals = [found.update(candles.at(index)) for index in range(100, 160)]
    assert not found.find_problem()
    expected = compute_in_child(
        OwnSource(file="own.py", text=SOUND), name="own", parameters={"length": 30}, candles=candles
    )
    assert [item.direction for item in signals] == expected.direction[100:].tolist()
    assert [item.stop for item in signals] == pytest.approx(expected.stop[100:].tolist())
    found.close()


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("        raise ValueError('planted')", "ValueError: planted (line"),
        ("        import os; os._exit(7)", "its process died (status 7)"),
        ("        while True: pass", "it did not answer within"),
        ("        np.ones((60_000, 60_000))", "more memory"),
        ("        open('/proc/self/environ').read()", "may not open /proc/self/environ"),
        ("        import os; os.fork()", "may not use os.fork"),
        ("        return Entries(direction=np.ones(n), stop=close * 2, ready=close > 0)", "losing"),
        (
            "        return Entries(direction=np.ones(n), stop=close / 2, target=close * 1e30,"
            " ready=close > 0)",
            "is no price",
        ),
        (
            "        return Entries(direction=-np.ones(n), stop=close * 1e303, ready=close > 0)",
            "is no price",
        ),
    ],
)
def test_a_child_that_fails_says_nothing_more_and_why(body: str, why: str) -> None:
    candles = make_candles(HOUR_MS, count=60)
    found = stream(HEAD + body, bar_seconds=1.0)
    found.warm(candles.between(0, 50))
    first = found.update(candles.at(50))
    assert (first.direction, first.exit_long, first.exit_short) == (0, False, False)
    assert why in found.find_problem()
    assert found.update(candles.at(51)).direction == 0
    assert found._child is None


def test_a_reason_of_ones_own_ends_the_child_and_not_the_trader() -> None:
    found = stream(RULE.replace("Wish.hold(1 if bar.close > before else -1)", "Wish(reason=77)"))
    for index in range(60):
        found.update(make_candles(HOUR_MS, count=60).at(index))
    assert "reason 77 is none of Reason" in found.find_problem()


def test_a_killed_child_is_noticed_between_two_hours() -> None:
    found = stream(SOUND)
    found.warm(make_candles(HOUR_MS, count=60))
    assert found._child is not None
    os.kill(found._child.pid, signal.SIGKILL)
    found._child.wait()
    assert "died (status -9)" in found.find_problem()


@pytest.fixture
def home(settings: Any, tmp_path: Path) -> Path:
    settings.MAGNET_HOME = tmp_path
    (tmp_path / "strategies").mkdir()
    return tmp_path


def officer(letter: str) -> Actor:
    return Actor.of(
        ensure_user(
            email=f"{letter}@example.com",
            name=letter.upper(),
            roles=[Role.RISK_OFFICER, Role.OPERATOR],
        )
    )


def propose(home: Path, text: str = HOLDS) -> SleeveProposal:
    (home / "strategies" / "own.py").write_text(text)
    return propose_sleeve(
        book="main",
        code="own",
        name="Own",
        risk_fraction=Decimal("0.0035"),
        reason="a trial on paper",
        actor=officer("a"),
    )


def add_own(stage: Stage, home: Path) -> None:  # noqa: F811
    proposal = propose(home)
    approve_sleeve(proposal=proposal, seen_hash=proposal.content_hash, actor=officer("b"))
    change_members(
        book="main",
        strategies=["own"],
        instruments=[stage.trader.slots.members.instruments[0]],
        state=BookMember.State.TRADING,
        reason="paper",
        actor=officer("a"),
    )


def held_by_own() -> Position | None:
    return Position.objects.filter(strategy="own").exclude(quantity=0).first()


def own_state() -> str:
    return next(m.state for m in members_of("main").members if m.strategy == "own")


def test_a_sleeve_of_ones_own_trades_and_its_stop_outlives_its_process(
    stage: Stage,  # noqa: F811
    home: Path,
) -> None:
    add_own(stage, home)
    while not held_by_own():
        assert stage.at < stage.market.end_ms
        stage.beat(stage.at + 10 * 60_000)
    child = stage.trader.feeds[0]._streams["own"]
    assert isinstance(child, ChildStream)
    assert child._child is not None
    os.kill(child._child.pid, signal.SIGKILL)
    child._child.wait()
    stage.beat(stage.at + 10 * 60_000)
    assert own_state() == BookMember.State.PAUSED
    row = BookMember.objects.filter(strategy="own").latest("version")
    assert "its process died (status -9)" in row.reason
    assert AuditEvent.objects.filter(action="book.paused").exists()
    assert held_by_own() is not None
    stops = Order.objects.filter(strategy="own", purpose="stop", closed_at=None)
    assert stops.exists()
    # The rest of the book goes on; nothing new of this sleeve, whose stop still rests.
    entries = Order.objects.filter(strategy="own", purpose="entry").count()
    stage.beat(stage.at + 2 * HOUR_MS)
    assert Order.objects.filter(strategy="own", purpose="entry").count() == entries
    assert held_by_own() is None or stops.exists()
    change_members(
        book="main",
        strategies=["own"],
        instruments=[stage.trader.slots.members.instruments[0]],
        state=BookMember.State.TRADING,
        reason="looked at",
        actor=officer("a"),
    )
    stage.beat(stage.at + 10 * 60_000)
    assert not stage.trader.feeds[0].find_failures()


def test_a_file_that_changed_after_two_people_signed_opens_nothing(
    stage: Stage,  # noqa: F811
    home: Path,
) -> None:
    add_own(stage, home)
    path = home / "strategies" / "own.py"
    path.write_text(path.read_text().replace("0.9", "0.8"))
    stage.beat(stage.at + 2 * HOUR_MS)
    assert own_state() == BookMember.State.PAUSED
    assert held_by_own() is None
    with pytest.raises(InvalidInput, match="not the one that two people approved"):
        add_again(stage)


def add_again(stage: Stage) -> None:  # noqa: F811
    change_members(
        book="main",
        strategies=["own"],
        instruments=[stage.trader.slots.members.instruments[0]],
        state=BookMember.State.TRADING,
        reason="again",
        actor=officer("a"),
    )


def test_one_person_adds_nothing_and_what_was_shown_is_what_is_signed(
    stage: Stage,  # noqa: F811
    home: Path,
) -> None:
    with pytest.raises(InvalidInput, match="look-ahead"):
        propose(home, PEEKS)
    proposal = propose(home)
    with pytest.raises(Conflict, match="is open"):
        propose(home)
    with pytest.raises(NotAllowed):
        approve_sleeve(proposal=proposal, seen_hash=proposal.content_hash, actor=officer("a"))
    with pytest.raises(Conflict, match="changed"):
        approve_sleeve(proposal=proposal, seen_hash="0" * 64, actor=officer("b"))
    path = home / "strategies" / "own.py"
    path.write_text(path.read_text() + "\n# another text\n")
    with pytest.raises(InvalidInput, match="not the one that two people approved"):
        approve_sleeve(proposal=proposal, seen_hash=proposal.content_hash, actor=officer("b"))
    assert not Strategy.objects.filter(code="own").exists()
    return_sleeve(proposal=proposal, reason="changed", actor=officer("b"))
    proposal.refresh_from_db()
    assert proposal.decision == "returned"
    assert propose(home, SOUND).content_hash != proposal.content_hash


def test_a_retired_sleeve_is_closed_and_gone(stage: Stage, home: Path) -> None:  # noqa: F811
    add_own(stage, home)
    while not held_by_own():
        stage.beat(stage.at + 10 * 60_000)
    proposal = propose_retirement(book="main", code="own", reason="enough", actor=officer("a"))
    approve_sleeve(proposal=proposal, seen_hash=proposal.content_hash, actor=officer("b"))
    stage.beat(stage.at + 30 * 60_000)
    assert held_by_own() is None
    assert "own" not in {m.strategy for m in members_of("main").members}
    assert not Strategy.objects.get(code="own").is_active


def call(*arguments: str) -> dict[str, Any]:
    out = StringIO()
    call_command(*arguments, "--json", stdout=out)
    found: dict[str, Any] = json.loads(out.getvalue())
    return found


def test_the_guide_from_file_to_sleeve_by_commands(
    stage: Stage,  # noqa: F811
    home: Path,
) -> None:
    officer("a"), officer("b")
    call("new_strategy", "my-pullback")
    reason = ("--reason", "paper")
    call("sleeve", "propose", "my-pullback", "--set", "dip=45", "--by", "a@example.com", *reason)
    assert call("sleeve", "show")["open"][0]["strategy"] == "my-pullback"
    with pytest.raises(CommandError, match="second person"):
        call("sleeve", "approve", "my-pullback", "--by", "a@example.com")
    done = call("sleeve", "approve", "my-pullback", "--by", "b@example.com")
    assert done["decision"] == "approved"
    row = Strategy.objects.get(code="my-pullback")
    assert row.parameters["dip"] == "45.0"
    symbol = stage.trader.slots.members.instruments[0].symbol
    call("book", "add", "--strategy", "my-pullback", "--instrument", symbol, "--by",
         "a@example.com", *reason)  # fmt: skip
    stage.beat(stage.at + HOUR_MS + 10 * 60_000)
    assert not stage.trader.feeds[0].find_failures()
    assert own_state_of("my-pullback") == BookMember.State.TRADING


def own_state_of(code: str) -> str:
    return next(m.state for m in members_of("main").members if m.strategy == code)


@pytest.fixture(autouse=True)
def children_end() -> Iterator[None]:
    yield
    import gc

    gc.collect()
