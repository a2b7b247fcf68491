"""Strategies of one's own: written, checked, run in a child, refused for what they do wrong."""

from __future__ import annotations

import json
import os
import re
import signal
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from magnetfund.kernel.errors import InvalidInput
from trading.management.commands.check_strategy import CHECK_BARS, make_candles
from trading.models import ResearchRun, RunState, Trial
from trading.services.research.catalogue import load_catalogue
from trading.services.research.child import (
    OwnSource,
    build_proxy,
    check_in_child,
    compute_in_child,
    describe_source,
)
from trading.tests.magnet_bars import make_random_bars
from trading.tests.test_research_backtests import NAME, store

HEAD = """
from dataclasses import dataclass
import numpy as np
from magnetfund.research import ColumnStrategy, Entries, RuleStrategy, Wish, sma

@dataclass(frozen=True, slots=True, kw_only=True)
class Own(ColumnStrategy):
    length: int = 20

    def entries(self, candles):
        close = candles.close
        n = len(close)
"""
SOUND = (
    HEAD
    + """
        side = np.where(close > sma(values=close, length=self.length), 1, -1)
        ready = np.arange(n) >= self.length
        return Entries(direction=side, stop=close * (1 - 0.02 * side), ready=ready)
"""
)
PEEKS = (
    HEAD
    + """
        side = np.sign(np.append(close[1:], close[-1]) - close).astype(int)
        return Entries(direction=side, stop=close * (1 - 0.02 * side), ready=np.arange(n) > 20)
"""
)
RANDOM = (
    HEAD
    + """
        side = np.random.default_rng().choice((-1, 1), n)
        return Entries(direction=side, stop=close * (1 - 0.02 * side), ready=np.arange(n) > 20)
"""
)
WRONG_STOP = (
    HEAD
    + """
        side = np.ones(n, dtype=int)
        return Entries(direction=side, stop=close * 1.02, ready=np.arange(n) > 20)
"""
)
LEAKS = (
    """
_seen = []
"""
    + HEAD
    + """
        _seen.append(close[0])
        side = np.full(n, 1 if len(set(_seen)) == 1 else -1)
        return Entries(direction=side, stop=close * (1 - 0.02 * side), ready=np.arange(n) > 20)
"""
)
RULE = """
from dataclasses import dataclass
from magnetfund.research import RuleStrategy, Wish

FAMILY = "old-idea"

class _Memory:
    def __init__(self):
        self.before = None

    def update(self, bar, atr):
        before, self.before = self.before, bar.close
        if before is None:
            return None
        return Wish.hold(1 if bar.close > before else -1)

@dataclass(frozen=True, slots=True, kw_only=True)
class OneBar(RuleStrategy):
    hold_bars: int = 6

    @property
    def name(self):
        return "one-bar"

    def rule(self):
        return _Memory()
"""

BY_INDICATORS = """
from dataclasses import dataclass
from magnetfund.research import RuleStrategy, Wish, indicators

class _Memory:
    def __init__(self):
        self.rsi, self.ratio = indicators.Rsi(length=14), indicators.VolatilityRatio()

    def update(self, bar, atr):
        strength, ratio = self.rsi.update(bar.close), self.ratio.update(bar.close)
        if not ratio < 2.0 or strength != strength:
            return None
        return Wish.hold(1 if strength < 50 else -1)

@dataclass(frozen=True, slots=True, kw_only=True)
class ByIndicators(RuleStrategy):
    bar_hours: int = 1

    @property
    def name(self):
        return "by-indicators"

    def rule(self):
        return _Memory()
"""


def source(text: str) -> OwnSource:
    return OwnSource(file="own.py", text=text)


def findings(text: str, name: str = "own", *, count: int = CHECK_BARS) -> dict[str, dict[str, Any]]:
    candles = make_candles(3_600_000, count=count)
    found = check_in_child(source(text), name=name, parameters={}, candles=candles)
    return {item["name"]: item for item in found}


def test_a_sound_strategy_passes_and_its_child_says_what_the_class_says() -> None:
    assert all(item["is_passed"] for item in findings(SOUND).values())
    candles = make_candles(3_600_000, count=1_500)
    signals = compute_in_child(
        source(SOUND), name="own", parameters={"length": 30}, candles=candles
    )
    assert set(signals.direction[30:].tolist()) == {-1, 1}
    assert not signals.direction[:30].any()


def test_the_librarys_indicators_are_at_hand_bar_by_bar() -> None:
    found = findings(BY_INDICATORS, "by-indicators", count=1_500)  # the ratio is known after 720
    assert all(item["is_passed"] for item in found.values()), found


def test_a_planted_peeker_is_refused_at_its_bar_and_column() -> None:
    found = findings(PEEKS)["look-ahead"]
    assert not found["is_passed"]
    assert found["column"] in ("direction", "stop", "reason")
    assert found["bar"] is not None
    assert f"bar {found['bar']:,} knew what came after bar" in found["words"]


@pytest.mark.parametrize(
    ("text", "name"),
    [(RANDOM, "determinism"), (WRONG_STOP, "stops"), (LEAKS, "leaking state")],
)
def test_what_is_wrong_is_named(text: str, name: str) -> None:
    assert not findings(text)[name]["is_passed"]


def test_a_rule_is_described_with_its_family_bounds_and_time_exit() -> None:
    told = describe_source(source(RULE))["one-bar"]
    assert told["family"] == "old-idea"
    builder = build_proxy(source(RULE), "one-bar", told)
    assert builder().traits.hold_ms_max == 6 * 4 * 3_600_000
    assert builder(hold_bars=2).traits.hold_ms_max == 2 * 4 * 3_600_000
    assert all(item["is_passed"] for item in findings(RULE, "one-bar").values())


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("        raise ValueError('planted')", "ValueError: planted (line"),
        ("        import socket; socket.create_connection(('127.0.0.1', 1))", "socket"),
        ("        open('/tmp/strategy-escape', 'w').write('x')", "Error"),
        ("        import subprocess; subprocess.run(['true'])", "subprocess"),
        ("        return np.ones((200_000, 200_000))", "emory"),
        ("        import os; raise ValueError(sorted(os.environ))", "PYTHONPATH"),
    ],
)
def test_a_child_that_errs_or_reaches_out_is_one_clear_line(body: str, words: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        compute_in_child(
            source(HEAD + body), name="own", parameters={}, candles=make_candles(3_600_000)
        )
    assert caught.value.code == "strategy_failed"
    assert words in caught.value.message
    assert "DATABASE_URL" not in caught.value.message
    escaped = Path("/tmp/strategy-escape")
    assert not escaped.exists() or escaped.stat().st_size == 0


def test_a_child_empties_no_file_of_code(tmp_path: Path) -> None:
    kept = tmp_path / "other.py"
    kept.write_text("kept = True\n")
    for mode in ("w", "a", "r+"):
        opens = source(HEAD + f"        open({str(kept)!r}, {mode!r})")
        with pytest.raises(InvalidInput, match="may not open"):
            compute_in_child(opens, name="own", parameters={}, candles=make_candles(3_600_000))
        assert kept.read_text() == "kept = True\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            HEAD
            + "        return Entries(direction=np.ones(n), stop=close / 2, ready=close > 0,"
            + " target=np.full(n, np.inf))",
            "the target inf at bar 0 is no price",
        ),
        (
            RULE.replace("Wish.hold(1 if bar.close > before else -1)", "Wish(reason=77)"),
            "reason 77 at bar",
        ),
    ],
)
def test_a_signal_that_nothing_can_read_is_refused(text: str, words: str) -> None:
    with pytest.raises(InvalidInput, match=words) as caught:
        compute_in_child(
            source(text), name="one-bar" if text.count("OneBar") else "own",
            parameters={}, candles=make_candles(3_600_000, count=300),
        )  # fmt: skip
    assert caught.value.code == "strategy_failed"


def test_a_strategy_that_never_ends_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    from trading.services.research import child

    monkeypatch.setattr(child, "COLUMN_SECONDS", 2)
    with pytest.raises(InvalidInput) as caught:
        compute_in_child(
            source(HEAD + "        while True: pass"),
            name="own",
            parameters={},
            candles=make_candles(3_600_000, count=100),
        )
    assert caught.value.code == "strategy_too_slow"


@pytest.fixture
def home(settings: Any, tmp_path: Path) -> Path:
    settings.MAGNET_HOME = tmp_path
    return tmp_path


def call(*arguments: str) -> dict[str, Any]:
    out = StringIO()
    call_command(*arguments, "--json", stdout=out)
    found: dict[str, Any] = json.loads(out.getvalue())
    return found


@pytest.mark.django_db
def test_a_new_strategy_is_written_checked_and_run(home: Path) -> None:
    store(make_random_bars(count=3_000, seed=31))
    written = call("new_strategy", "my-pullback")
    assert Path(written["path"]).is_file()
    checked = call("check_strategy", "my-pullback")
    assert all(item["is_passed"] for item in checked["findings"])
    found = call("backtest", "--strategy", "my-pullback", "--instrument", NAME, "--set", "dip=45")
    assert found["state"] == "done"
    assert found["metrics"]["trades"] > 0
    assert found["family"] == "my-pullback"
    assert found["parameters"]["my-pullback"]["dip"] == "45.0"
    for name, code in (("my-pullback", "name_taken"), ("Bad Name", "bad_name")):
        with pytest.raises(CommandError, match=code):
            call("new_strategy", name)
    edited = Path(written["path"])
    edited.write_text(edited.read_text().replace("2.0", "2.5"))
    again = call("backtest", "--strategy", "my-pullback", "--instrument", NAME, "--set", "dip=45")
    assert again["inputs_hash"] != found["inputs_hash"]
    assert again["verdict"]["trials"] == 2


@pytest.mark.django_db
def test_a_peeker_in_the_home_is_refused_by_the_backtest_and_counts_nothing(home: Path) -> None:
    store(make_random_bars(count=3_000, seed=31))
    (home / "strategies").mkdir()
    (home / "strategies" / "own.py").write_text(PEEKS)
    (home / "strategies" / "broken.py").write_text("def oops(:\n")
    with pytest.raises(CommandError, match="strategy_refused") as caught:
        call("backtest", "--strategy", "own", "--instrument", NAME)
    assert re.search(r"look-ahead: .*bar [\d,]+ knew what came after bar", str(caught.value))
    assert ResearchRun.objects.get().state == RunState.REFUSED
    assert not Trial.objects.exists()
    with pytest.raises(CommandError, match=r"SyntaxError.*line 1.*strategy_failed"):
        call("backtest", "--strategy", "broken", "--instrument", NAME)
    with pytest.raises(CommandError, match="unknown_strategy"):
        call("check_strategy", "nobody")
    assert "own" in load_catalogue().builders


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("text", "words"),
    [
        (RANDOM, "own is refused"),
        (HEAD + "        raise ValueError('planted')", "ValueError: planted"),
        (HEAD + "        return np.ones((200_000, 200_000))", "emory"),
        (HEAD + "        while True: pass", "strategy_too_slow"),
    ],
    ids=["draws", "raises", "memory", "endless"],
)
def test_what_a_file_of_the_home_does_wrong_refuses_its_backtest_in_one_line(
    home: Path, monkeypatch: pytest.MonkeyPatch, text: str, words: str
) -> None:
    from trading.services.research import child

    monkeypatch.setattr(child, "COLUMN_SECONDS", 2 if words == "strategy_too_slow" else 120)
    store(make_random_bars(count=1_500, seed=31))
    (home / "strategies").mkdir()
    (home / "strategies" / "own.py").write_text(text)
    with pytest.raises(CommandError, match=words) as caught:
        call("backtest", "--strategy", "own", "--instrument", NAME)
    assert "\n" not in str(caught.value)
    assert ResearchRun.objects.get().state == RunState.REFUSED
    assert not Trial.objects.exists()


COUNTS = """
from dataclasses import dataclass
import numpy as np
from magnetfund.research import ColumnStrategy, Entries

seen = []

@dataclass(frozen=True, slots=True, kw_only=True)
class Counting(ColumnStrategy):
    length: int = 20

    def entries(self, candles):
        seen.append(self.length)
        assert len(seen) < 2 or len(set(seen)) == 1, "another variant was here"
        hours = candles.open_time // 3_600_000
        side = np.where(hours // self.length % 2 == 0, 1, -1)
        entering = np.where(hours % self.length == 0, side, 0)
        return Entries(
            direction=entering,
            stop=candles.close * (1 - 0.03 * side),
            ready=np.arange(len(candles)) >= self.length,
            leave_long=side < 0,
            leave_short=side > 0,
        )
"""


@pytest.mark.django_db
def test_a_sweep_over_a_file_of_the_home_starts_one_process_for_each_thread(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trading.services.research import child_process

    store(make_random_bars(count=3_000, seed=31))
    (home / "strategies").mkdir()
    (home / "strategies" / "counting.py").write_text(COUNTS)
    started: list[child_process.StrategyProcess] = []
    begin = child_process.StrategyProcess.__init__

    def note(process: child_process.StrategyProcess) -> None:
        begin(process)
        started.append(process)

    monkeypatch.setattr(child_process.StrategyProcess, "__init__", note)
    grid = ("--try", "length=20:42:2")
    found = call("sweep", "--strategy", "counting", "--instrument", NAME, *grid)
    assert (found["state"], found["sweep"]["variants"]) == ("done", 12)
    assert len(started) <= (os.cpu_count() or 1) < 12
    assert not any(process.is_alive for process in started)
    # What another variant left behind is not there, and each is what its backtest says.
    best = found["sweep"]["best"]["parameters"]["length"]
    alone = call(
        "backtest", "--strategy", "counting", "--instrument", NAME, "--set", f"length={best}"
    )
    assert alone["verdict"]["trials"] == 12
    # A process that somebody ends between two questions is replaced, and nobody notices.
    source_ = source(COUNTS)
    candles = make_candles(3_600_000, count=500)
    with child_process.hold_processes():
        first = compute_in_child(source_, name="counting", parameters={}, candles=candles)
        os.kill(started[-1].number, signal.SIGKILL)
        os.waitpid(started[-1].number, 0)
        again = compute_in_child(source_, name="counting", parameters={}, candles=candles)
    assert first.direction.any()
    assert first.direction.tolist() == again.direction.tolist()
