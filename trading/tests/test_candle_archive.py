"""Old minutes as files: read as if they were rows, moved whole or not at all, missed when gone."""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, OperationalError, connection, connections, transaction

from magnetfund.core.actors import Actor
from magnetfund.core.models import AuditEvent, JobRun
from magnetfund.env import parse_database_url
from magnetfund.kernel.clock import VirtualClock, to_milliseconds, use_clock
from magnetfund.kernel.errors import InvariantBroken
from magnetfund.operations.backups.make import find_files as find_kept_files
from magnetfund.operations.checkup import check_candles
from magnetfund.operations.servers.daily import DailyChild
from magnetfund.operations.servers.process import Child
from magnetfund.operations.watch import find_late_jobs
from magnetfund.tests.walls_support import make_instrument
from magnetfund.web.desk.selectors import find_jobs
from trading.domain.candle_files import RawCandles
from trading.domain.market import HOUR_MS, MINUTE_MS, Candles
from trading.models import Candle, CandleFile, Instrument, ResearchRun, RunState
from trading.selectors.research import list_spans
from trading.services.candle_archive import archive_months, find_file_differences
from trading.services.candle_files import read_candle_file
from trading.services.candle_import import import_candles
from trading.services.candle_store import (
    first_open_after,
    load_candles,
    load_last_candles,
    store_candles,
    stored_spans,
)
from trading.services.research.series import stored_timeframes

pytestmark = pytest.mark.usefixtures("as_owner")
START = datetime(2025, 1, 20, tzinfo=UTC)
NOW = datetime(2025, 7, 10, tzinfo=UTC)
ACTOR = Actor.system("test")
PRICES = ("open", "high", "low", "close", "volume")


def draw(times: np.ndarray, step: int, *, seed: int = 5) -> Candles:
    rng = np.random.default_rng(seed)
    close = np.round(60_000.0 + np.cumsum(rng.normal(0, 5, times.size)), 1)
    return Candles(
        instrument="BTC/USDT:USDT", timeframe_ms=step, open_time=times, open=close,
        high=close + 2.0, low=close - 2.0, close=close, volume=np.full(times.size, 3.0),
    )  # fmt: skip


@pytest.fixture
def as_owner(fresh_database: Any) -> Iterator[None]:
    """The default connection as the role that may delete what a file holds."""
    values = parse_database_url("test", fresh_database.dsn("fa_owner", "fresh"))
    connection.close()
    connection.settings_dict.update(values)
    yield
    connection.close()


@pytest.fixture
def btc(settings: Any, tmp_path: Path) -> Instrument:
    """Twenty minutes of each day of half a year, from two sources, and its hours."""
    settings.MAGNET_HOME, settings.CANDLE_FOLDER = tmp_path, tmp_path / "candles"
    row = make_instrument()
    first = to_milliseconds(START)
    days = np.arange((NOW - START).days)
    times = (first + days[:, None] * 24 * HOUR_MS + np.arange(20) * MINUTE_MS).ravel()
    minutes = draw(times, MINUTE_MS)
    for source, part in (("one", minutes.between(0, 700)), ("two", minutes.between(700, 9999))):
        store_candles(
            part, instrument=row, timeframe="1m", source=source, available_ms=to_milliseconds(NOW)
        )
    hours = draw(first + HOUR_MS * np.arange(200), HOUR_MS)
    store_candles(hours, instrument=row, timeframe="1h", source="one", available_ms=first)
    return row


def plain(candles: Candles) -> list[list[float]]:
    return [getattr(candles, name).tolist() for name in ("open_time", *PRICES)]


def read_all(row: Instrument) -> list[Any]:
    """All that the rest of the platform asks of stored minutes."""
    first, day = to_milliseconds(START), 24 * HOUR_MS
    marks = [first + k * day + 7 * MINUTE_MS for k in (-1, 0, 11, 12, 40, 69, 70, 100, 160, 999)]
    found: list[Any] = [plain(load_candles(row, "1m")), plain(load_candles(row, "1h"))]
    for start in marks:
        for end in marks:
            found.append(plain(load_candles(row, "1m", start_ms=start, end_ms=end)))
    for mark in (*marks, None):
        for count in (1, 25, 4_000):
            found.append(plain(load_last_candles(row, "1m", count=count, before_ms=mark)))
    marks.append(first + 19 * MINUTE_MS)
    found += [first_open_after(row, "1m", mark) for mark in marks]
    return [*found, stored_timeframes(row)]


def archive(**asked: Any) -> list[CandleFile]:
    with use_clock(VirtualClock(NOW)):
        return archive_months(actor=ACTOR, **asked)


def test_a_month_whose_commit_was_not_heard_of_keeps_its_file(
    btc: Instrument, monkeypatch: pytest.MonkeyPatch
):
    """The server may have deleted the rows before the connection went."""
    before = read_all(btc)
    commit = connection.commit

    def commit_unheard() -> None:
        commit()
        raise OperationalError("server closed the connection unexpectedly")

    with monkeypatch.context() as patch:
        patch.setattr(connection, "commit", commit_unheard)
        with pytest.raises(OperationalError):
            archive()
    connection.close()
    assert CandleFile.objects.count() == 1
    assert not find_file_differences()
    assert read_all(btc) == before
    assert len(archive()) == 2
    assert read_all(btc) == before


def test_a_backtest_on_a_file_that_was_altered_is_refused_and_ends(btc: Instrument, tmp_path: Path):
    made = archive()[0]
    path = tmp_path / "candles" / made.path
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(CommandError, match=r"not those that were written \(candle_file\)"):
        call_command(
            "backtest", "--strategy", "moving-average", "--instrument", btc.symbol,
            "--resolution", "1m", stdout=io.StringIO(),
        )  # fmt: skip
    run = ResearchRun.objects.get()
    assert (run.state, run.refusal_code) == (RunState.REFUSED, "candle_file")


def test_what_is_read_is_the_same_before_and_after(btc: Instrument, tmp_path: Path):
    before, rows = read_all(btc), Candle.objects.count()
    made = archive()
    assert [f"{row.starts_at:%Y-%m}" for row in made] == ["2025-01", "2025-02", "2025-03"]
    assert read_all(btc) == before
    assert Candle.objects.count() == rows - sum(row.rows for row in made)
    oldest = Candle.objects.filter(timeframe="1m").earliest("open_time")
    assert oldest.open_time == datetime(2025, 4, 1, tzinfo=UTC)
    assert stored_spans(["1m"])[btc.pk, "1m"][1] == datetime(2025, 7, 9, 0, 19, tzinfo=UTC)
    assert {held["timeframe"] for held in list_spans()[0]["held"]} == {"1m", "1h"}
    assert archive() == []
    raw = read_candle_file(tmp_path / "candles" / made[0].path)
    assert raw.open_time.tolist() == before[0][0][:240]
    assert raw.close.tolist() == before[0][4][:240]
    assert AuditEvent.objects.filter(action="market.archived").count() == 3
    kept = {name for name, _ in find_kept_files(tmp_path)}
    assert {f"candles/{row.path}" for row in made} <= kept


def test_bars_that_are_in_a_file_are_known_and_one_that_comes_late_gets_a_file_of_its_own(
    btc: Instrument,
):
    archive()
    stored = load_candles(btc, "1m")
    late = to_milliseconds(START) + 20 * MINUTE_MS
    times = np.append(stored.open_time[:40], late)
    raw = RawCandles(
        open_time=times, line=np.arange(times.size),
        **{name: np.append(getattr(stored, name)[:40], getattr(stored, name)[19])
           for name in PRICES},
    )  # fmt: skip
    report = import_candles(raw, instrument=btc, timeframe="1m", source="late", actor=ACTOR)
    assert (report.already_stored, report.taken) == (40, 1)
    before = read_all(btc)
    assert late in before[0][0]
    made = archive()
    assert [row.rows for row in made] == [1]
    assert read_all(btc) == before


def test_a_file_that_is_altered_or_gone_is_reported_and_not_read(btc: Instrument, tmp_path: Path):
    made = archive(months_max=2)
    assert find_file_differences() == []
    assert check_candles().state == "ok"
    first, second = (tmp_path / "candles" / row.path for row in made)
    content = bytearray(first.read_bytes())
    content[len(content) // 2] ^= 1
    first.write_bytes(content)
    second.unlink()
    found = find_file_differences()
    assert "not those that were written" in found[0]
    assert "cannot be read" in found[1]
    assert made[1].path in check_candles().words
    with pytest.raises(InvariantBroken) as refused:
        load_candles(btc, "1m")
    assert refused.value.code == "candle_file"
    with pytest.raises(SystemExit):
        call_command("verify_books", stdout=io.StringIO())


def test_a_month_moves_whole_or_not_at_all(
    btc: Instrument, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    rows = Candle.objects.count()

    def end(**asked: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("trading.services.candle_archive.record_audit", end)
    with pytest.raises(KeyboardInterrupt):
        archive()
    assert Candle.objects.count() == rows
    assert not CandleFile.objects.exists()
    assert not [path for path in (tmp_path / "candles").rglob("*") if path.is_file()]


def test_the_database_lets_go_of_a_candle_only_where_a_file_holds_it(btc: Instrument):
    def refused(statement: str, using: str = "default") -> str:
        with pytest.raises(DatabaseError) as error, transaction.atomic(using=using):
            connections[using].cursor().execute(statement)
        return str(error.value)

    assert "append-only" in refused("DELETE FROM trading_candle WHERE timeframe = '1m'")
    archive(months_max=1)
    for statement in ("DELETE FROM trading_candle", "DELETE FROM trading_candlefile"):
        assert "permission denied" in refused(statement, using="gateway")
    assert "append-only" in refused("DELETE FROM trading_candle WHERE timeframe = '1m'")
    assert "append-only" in refused("UPDATE trading_candle SET close = open")
    assert "append-only" in refused("DELETE FROM trading_candlefile")
    assert "trading_candlefile_old" in refused(
        "INSERT INTO trading_candlefile (instrument_id, timeframe, starts_at, ends_at, rows, size,"
        " sha256, path, archived_at) SELECT instrument_id, timeframe, starts_at,"
        " archived_at - interval '29 days', 1, 1, '', 'x', archived_at FROM trading_candlefile"
    )


def test_the_command_tells_each_month_and_keeps_the_last_ones(btc: Instrument):
    with use_clock(VirtualClock(NOW)):
        out = io.StringIO()
        call_command("archive_candles", "--months", "1", stdout=out)
        assert "BTC/USDT:USDT 2025-01: 240 minutes" in out.getvalue()
        assert "1 month moved into files." in out.getvalue()
        with pytest.raises(CommandError):
            call_command("archive_candles", "--keep-days", "10", stdout=io.StringIO())
    assert CandleFile.objects.get().ends_at < NOW - timedelta(days=90)


def test_a_day_moves_them_once_and_a_late_day_is_told(btc: Instrument) -> None:
    with use_clock(VirtualClock(NOW)):
        call_command("archive_candles", "--daily", stdout=io.StringIO())
        assert CandleFile.objects.count() == 3
        row = JobRun.objects.get(job="minute_archive")
        assert (row.state, row.detail) == (JobRun.State.DONE, "3 months moved into files")
        out = io.StringIO()
        call_command("archive_candles", "--daily", stdout=out)
        assert "Already done today" in out.getvalue()
        assert JobRun.objects.filter(job="minute_archive").count() == 1
    assert find_late_jobs() == "late: minute archive"
    assert next(job for job in find_jobs() if job["name"] == "minute archive")["state"] == "late"


def test_a_daily_command_starts_once_a_day_and_tells_of_a_failure(tmp_path: Path) -> None:
    told = tmp_path / "told"
    script = f"echo run >> {told}; test $(wc -l < {told}) -lt 2"
    child = Child("archive", ["sh", "-c", script], log=tmp_path / "log")
    daily = DailyChild(child, today=NOW.date())
    said = []
    for minutes in (0, 600, 1_445, 1_461, 1_462, 2_000, 2_902):
        said.append(daily.look(NOW + timedelta(minutes=minutes)))
        child.wait_until_stopped()
    said.append(daily.look(NOW + timedelta(minutes=2_903)))
    daily.stop()
    assert told.read_text().split() == ["run", "run"]
    assert [text for text in said if text] == ["archive failed (code 1); see its log"]
