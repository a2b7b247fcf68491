"""A backtest as a stored run: by command, once per inputs, counted for ever, refused in words."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction
from pyarrow import parquet

from magnetfund.core.actors import Actor
from magnetfund.core.models import AuditEvent
from magnetfund.core.roles import Role
from magnetfund.kernel.clock import from_milliseconds
from magnetfund.kernel.errors import InvalidInput, NotAllowed
from magnetfund.operations.people import ensure_user
from risk.domain.limits import Limits
from trading.domain.market import Candles
from trading.domain.market.candles import timeframe_ms
from trading.domain.research.request import BacktestRequest, SleeveRequest
from trading.domain.research.run import build
from trading.domain.strategies.magnet import MagnetStrategy
from trading.models import FundingRate, Instrument, ResearchRun, RunState, Trial
from trading.selectors.research import family_named, list_families, list_runs
from trading.services.candle_store import store_candles
from trading.services.instruments import ensure_instrument
from trading.services.research import backtests
from trading.services.research.backtests import ask_backtest, hold_run, prepare_stored
from trading.services.research.catalogue import load_catalogue
from trading.services.research.queue import work_one, work_waiting
from trading.services.research.sweep_control import cancel_run
from trading.services.research.tables import decode_rows
from trading.tests.magnet_bars import make_random_bars, without_bars

pytestmark = pytest.mark.django_db
NAME = "BTC/USDT:USDT"
ARGUMENTS = ("--instrument", NAME, "--set", "fast=5", "--set", "slow=20")


def market(symbol: str = NAME) -> Instrument:
    return ensure_instrument(
        symbol, venue="binanceusdm", source_label="spot proxy", actor=Actor.system("test")
    )


def store(candles: Candles, timeframe: str = "1h", symbol: str = NAME) -> None:
    store_candles(
        replace(candles, timeframe_ms=timeframe_ms(timeframe)),
        instrument=market(symbol),
        timeframe=timeframe,
        source="test",
        available_ms=int(candles.open_time[-1]) + 10 * timeframe_ms(timeframe),
    )


@pytest.fixture
def bars() -> Candles:
    candles = make_random_bars(count=3_000, seed=31)
    store(candles)
    return candles


def run(*arguments: str) -> dict[str, Any]:
    out = StringIO()
    call_command("backtest", "--strategy", "moving-average", *arguments, "--json", stdout=out)
    found: dict[str, Any] = json.loads(out.getvalue())
    return found


def request(**options: Any) -> BacktestRequest:
    sleeve = SleeveRequest(strategy="moving-average", parameters={"fast": 5, "slow": 20})
    return BacktestRequest(sleeves=(sleeve,), instruments=(NAME,), **options)


def officer() -> Actor:
    return Actor.of(ensure_user(email="risk@example.com", name="Risk", roles=[Role.RISK_OFFICER]))


def test_the_command_stores_the_run_its_trial_and_an_audit_line(bars: Candles) -> None:
    found = run(*ARGUMENTS)
    stored = ResearchRun.objects.get(pk=found["id"])
    assert stored.state == RunState.DONE
    assert stored.inputs_hash == found["inputs_hash"] != ""
    assert found["metrics"]["trades"] > 10
    assert found["verdict"]["trials"] == 1
    assert found["coverage"][0]["label"] == "spot proxy"
    trial = Trial.objects.get(run=stored)
    assert (trial.family, trial.trades) == ("moving-average", found["metrics"]["trades"])
    assert AuditEvent.objects.filter(action="research.backtest_asked").count() == 1


def test_a_run_that_only_opened_is_not_told_to_have_no_trades(bars: Candles) -> None:
    stored = ResearchRun.objects.get(pk=run(*ARGUMENTS)["id"])
    [first, *_] = decode_rows(stored.trades_file)
    # Up to an hour after the first entry: what it bought is held at the last close.
    stop = from_milliseconds(first["entry_ms"] // 86_400_000 * 86_400_000 + 86_400_000)
    assert first["exit_ms"] >= stop.timestamp() * 1000, "the first trade lasts beyond its day"
    found = run(*ARGUMENTS, "--to", f"{stop:%Y-%m-%d}")
    assert found["metrics"]["trades"] == 0
    assert found["verdict"]["code"] == "still_open"
    assert list_runs(verdict="no_trades")[1] == 0
    assert list_runs(verdict="still_open")[1] == 1


def test_equal_inputs_are_shown_again_and_are_no_new_trial(bars: Candles) -> None:
    first, again = run(*ARGUMENTS), run(*ARGUMENTS)
    assert again["id"] == first["id"]
    assert Trial.objects.count() == 1
    assert ResearchRun.objects.get(state=RunState.REPEATED).result == {"same_as": first["id"]}
    other = run("--instrument", NAME, "--set", "fast=6", "--set", "slow=20")
    assert other["id"] != first["id"]
    assert other["verdict"]["trials"] == 2
    assert family_named("moving-average").trials == 2


def test_other_limits_or_other_bars_are_other_inputs(bars: Candles) -> None:
    first = run(*ARGUMENTS)
    assert run(*ARGUMENTS, "--rules", "bare")["id"] != first["id"]
    later = make_random_bars(count=3_100, seed=31).between(3_000, 3_100)
    store(later)
    assert run(*ARGUMENTS)["data_hash"] != first["data_hash"]


def test_dated_funding_changes_the_cost_of_funding(bars: Candles) -> None:
    plain = run(*ARGUMENTS, "--funding", "none")
    assert plain["costs"]["funding"] == 0.0
    instrument = market()
    stamps = bars.open_time[bars.open_time % 28_800_000 == 0]
    FundingRate.objects.bulk_create(
        FundingRate(instrument=instrument, at=from_milliseconds(int(at)), rate=0.001, source="t")
        for at in stamps
    )
    default = run(*ARGUMENTS, "--funding", "default")
    dated = run(*ARGUMENTS, "--funding", "dated")
    assert abs(dated["costs"]["funding"]) > 2 * abs(default["costs"]["funding"])
    assert dated["coverage"][0]["funding_stamps"] == stamps.size


def test_reports_and_tables_are_written(bars: Candles, tmp_path: Path) -> None:
    html, table, trades = (tmp_path / name for name in ("r.html", "t.csv", "t.parquet"))
    found = run(*ARGUMENTS, "--html", str(html), "--csv", str(table), "--parquet", str(trades))
    count = found["metrics"]["trades"]
    assert html.stat().st_size < 2_000_000
    assert "Assumptions" in html.read_text()
    assert len(table.read_text().splitlines()) == count + 1
    assert parquet.read_table(trades).num_rows == count


def test_a_file_runs_without_any_stored_candle(tmp_path: Path) -> None:
    bars = make_random_bars(count=2_000, seed=5)
    table = {"open_time": bars.open_time, "open": bars.open, "high": bars.high}
    table |= {"low": bars.low, "close": bars.close, "volume": bars.volume}
    path = tmp_path / "bars.parquet"
    parquet.write_table(pa.table(table), path)
    found = run(*ARGUMENTS, "--file", str(path), "--tick", "0.01", "--lot", "0.001")
    assert found["metrics"]["trades"] > 5


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--instrument", "XYZ/USDT:USDT"), "unknown_instrument"),
        ((*ARGUMENTS, "--set", "fats=5"), "unknown_parameter"),
        ((*ARGUMENTS, "--set", "fast=0"), "out_of_bounds"),
        ((*ARGUMENTS, "--set", "fast"), "bad_parameter"),
        ((*ARGUMENTS, "--from", "2030-01-01"), "no_candles"),
        ((*ARGUMENTS, "--from", "01.02.2024"), "bad_date"),
        ((*ARGUMENTS, "--timeframe", "4h"), "bad_timeframe"),
        ((*ARGUMENTS, "--html", "/no/such/folder/r.html"), "cannot_write"),
        ((*ARGUMENTS, "--file", "/no/such/file.csv"), "no_such_file"),
    ],
)
def test_what_cannot_be_run_is_refused_in_one_line_and_counts_as_no_trial(
    bars: Candles, arguments: tuple[str, ...], code: str
) -> None:
    with pytest.raises(CommandError, match=rf"\({code}\)") as caught:
        run(*arguments)
    assert "\n" not in str(caught.value)
    assert not Trial.objects.exists()


def test_hours_imported_as_minutes_are_refused_and_the_refusal_is_kept() -> None:
    store(make_random_bars(count=500, seed=3), timeframe="1m")
    with pytest.raises(CommandError, match="wrong_timeframe"):
        run(*ARGUMENTS)
    kept = ResearchRun.objects.get()
    assert (kept.state, kept.refusal_code) == (RunState.REFUSED, "wrong_timeframe")


@pytest.mark.parametrize(
    ("count", "hidden", "arguments", "code"),
    [
        (3_000, range(1_000, 1_100), (), "too_many_gaps"),
        (60, range(0), ("--set", "slow=200"), "warm_up"),
    ],
)
def test_holes_and_a_span_shorter_than_the_warm_up_are_refused_and_kept(
    count: int, hidden: range, arguments: tuple[str, ...], code: str
) -> None:
    store(without_bars(make_random_bars(count=count, seed=31), list(hidden)))
    with pytest.raises(CommandError, match=rf"\({code}\)") as caught:
        run(*ARGUMENTS, *arguments)
    assert "\n" not in str(caught.value)
    kept = ResearchRun.objects.get()
    assert (kept.state, kept.refusal_code) == (RunState.REFUSED, code)
    assert not Trial.objects.exists()


def store_quarters(hours: Candles, *, first: int, count: int, seed: int = 4) -> None:
    """Quarters whose extremes lie on the way of each hour from ``first`` on."""
    rng = np.random.default_rng(seed)
    part = hours.between(first, first + count)
    close = np.repeat(part.close, 4)
    for k in range(3):
        close[k::4] = part.low + (part.high - part.low) * rng.random(len(part))
    open_ = np.concatenate((part.open[:1], close[:-1]))
    high, low = np.maximum(open_, close), np.minimum(open_, close)
    high[1::4], low[1::4] = np.maximum(high[1::4], part.high), np.minimum(low[1::4], part.low)
    store(
        Candles(
            instrument=hours.instrument,
            timeframe_ms=timeframe_ms("15m"),
            open_time=np.repeat(part.open_time, 4) + np.tile(np.arange(4) * 900_000, len(part)),
            open=open_,
            high=high,
            low=low,
            close=close,
            volume=np.ones(4 * len(part)),
        ),
        timeframe="15m",
    )


def day_of(bars: Candles, row: int) -> str:
    return f"{from_milliseconds(int(bars.open_time[row])):%Y-%m-%d}"


def test_orders_execute_on_shorter_candles_where_they_are_asked_for(bars: Candles) -> None:
    first = 24 * (1_000 // 24)
    store_quarters(bars, first=first, count=24 * 40)
    span = ("--from", day_of(bars, first), "--to", day_of(bars, first + 24 * 40))
    hourly = run(*ARGUMENTS, *span)
    found = run(*ARGUMENTS, *span, "--resolution", "15m", "--both-engines")
    assert found["id"] != hourly["id"]
    assert found["data_hash"] != hourly["data_hash"]
    assert run(*ARGUMENTS, *span, "--resolution", "15m")["id"] == found["id"]
    stored = ResearchRun.objects.get(pk=found["id"])
    rows = decode_rows(stored.trades_file)
    assert any(row["exit_ms"] % 3_600_000 for row in rows)
    assert all(row["entry_ms"] % 3_600_000 == 0 for row in rows)
    told = " ".join(stored.result["figures"]["assumptions"])
    assert "execute on 3,840 15m candles; 0 missing" in told
    assert stored.result["figures"]["coverage"][0]["bars"] == 960


def test_engines_that_differ_are_refused_with_what_differs(
    bars: Candles, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trading.domain.backtest import reference

    honest = reference.run_reference

    def slipped(**arguments: Any) -> Any:
        raw = honest(**arguments)
        return replace(raw, trades=(replace(raw.trades[0], lots=7), *raw.trades[1:]))

    monkeypatch.setattr(reference, "run_reference", slipped)
    with pytest.raises(CommandError, match=r"trade 0, lots: 7 and \d+ \(engines_differ\)"):
        run(*ARGUMENTS, "--both-engines")


def test_a_span_without_shorter_candles_names_the_command_that_imports_them(bars: Candles) -> None:
    with pytest.raises(CommandError, match=r"import_candles FILE .* --timeframe 1m \(no_fine_c"):
        run(*ARGUMENTS, "--resolution", "1m")
    assert not Trial.objects.exists()


def test_hours_imported_as_minutes_are_no_minutes_to_execute_on(bars: Candles) -> None:
    store(bars, timeframe="1m")
    with pytest.raises(CommandError, match="wrong_timeframe"):
        run(*ARGUMENTS, "--resolution", "1m")


def test_a_sweep_says_that_it_does_not_execute_on_shorter_candles(bars: Candles) -> None:
    with pytest.raises(CommandError, match="resolution_not_swept"):
        call_command(
            "sweep", "--strategy", "moving-average", *ARGUMENTS, "--try", "fast=5,6",
            "--resolution", "15m",
        )  # fmt: skip


def test_asking_takes_the_right_to_run_research(bars: Candles) -> None:
    auditor = ensure_user(email="audit@example.com", name="Audit", roles=[Role.AUDITOR])
    with pytest.raises(NotAllowed):
        ask_backtest(request=request(), actor=Actor.of(auditor))
    assert not ResearchRun.objects.exists()


def test_the_queue_works_on_what_was_asked_and_takes_up_what_a_dead_worker_left(
    bars: Candles,
) -> None:
    asked = ask_backtest(request=request(), actor=officer())
    orphan = ask_backtest(request=request(cash=50_000.0), actor=officer())
    ResearchRun.objects.filter(pk=orphan.pk).update(state=RunState.RUNNING)
    assert work_waiting() == 2
    for item in (asked, orphan):
        item.refresh_from_db()
        assert item.state == RunState.DONE
    assert work_waiting() == 0
    assert not work_one(asked.pk)


def test_a_run_that_breaks_is_marked_and_stops_nobody_else(
    bars: Candles, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = ask_backtest(request=request(), actor=officer())
    fine = ask_backtest(request=request(cash=60_000.0), actor=officer())
    from trading.services.research import backtests

    real = backtests.run_backtest

    def sometimes(prepared: Any, **options: Any) -> Any:
        if prepared.request.cash == 430_000.0:
            raise RuntimeError("the planted error")
        return real(prepared, **options)

    monkeypatch.setattr(backtests, "run_backtest", sometimes)
    work_waiting()
    broken.refresh_from_db()
    fine.refresh_from_db()
    assert (broken.state, fine.state) == (RunState.FAILED, RunState.DONE)
    assert "planted" in broken.refusal


def test_of_two_equal_runs_at_once_the_second_shows_the_first(
    bars: Candles, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both workers looked before either was done."""
    first = run(*ARGUMENTS)
    asked = ask_backtest(request=request(), actor=officer())
    real, looks = backtests.find_finished, iter([None])
    monkeypatch.setattr(
        backtests, "find_finished", lambda *given: next(looks, real) and real(*given)
    )
    work_waiting()
    asked.refresh_from_db()
    assert (asked.state, asked.result) == (RunState.REPEATED, {"same_as": first["id"]})
    assert Trial.objects.count() == 1


@pytest.mark.parametrize("ending", ["done", "refused", "broken"])
def test_a_run_that_is_cancelled_while_it_is_worked_on_stays_cancelled(
    bars: Candles, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    asked = ask_backtest(request=request(), actor=officer())
    real = backtests.run_backtest

    def cancelled_meanwhile(prepared: Any, **options: Any) -> Any:
        assert cancel_run(run=asked, actor=officer())
        if ending == "refused":
            raise InvalidInput("the planted refusal", code="planted")
        if ending == "broken":
            raise RuntimeError("the planted error")
        return real(prepared, **options)

    monkeypatch.setattr(backtests, "run_backtest", cancelled_meanwhile)
    work_waiting()
    asked.refresh_from_db()
    assert (asked.state, asked.refusal_code) == (RunState.CANCELLED, "")
    assert asked.refusal.startswith("cancelled by")
    assert asked.result == {}
    assert not Trial.objects.exists()


def test_a_command_whose_run_is_cancelled_says_so(
    bars: Candles, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = backtests.run_backtest

    def cancelled_meanwhile(prepared: Any, **options: Any) -> Any:
        cancel_run(run=ResearchRun.objects.get(), actor=officer())
        return real(prepared, **options)

    monkeypatch.setattr(backtests, "run_backtest", cancelled_meanwhile)
    with pytest.raises(CommandError, match=r"cancelled by .* \(cancelled\)"):
        run(*ARGUMENTS)


def test_a_trial_can_be_neither_changed_nor_taken_away(bars: Candles) -> None:
    run(*ARGUMENTS)
    for statement in (
        "UPDATE trading_trial SET family = 'other'",
        "DELETE FROM trading_trial",
        "DELETE FROM trading_researchrun",
        "UPDATE trading_researchrun SET request = '{}'",
    ):
        with (
            pytest.raises(DatabaseError),
            transaction.atomic(),
            connection.cursor() as cursor,
        ):
            cursor.execute(statement)


def test_lists_filter_by_name_state_and_verdict(bars: Candles) -> None:
    first = run(*ARGUMENTS)
    with pytest.raises(CommandError):
        run(*ARGUMENTS, "--from", "2030-01-01")
    rows, count = list_runs()
    assert count == 2
    assert list_runs(search=str(first["id"]))[1] == 1
    assert list_runs(search="no such")[1] == 0
    assert list_runs(verdict="refused")[1] == 1
    assert list_runs(verdict=first["verdict"]["code"])[1] == 1
    assert [row.name for row in list_families()] == ["moving-average"]
    assert {row.run.state for row in rows} == {"done", "refused"}


def test_a_held_run_is_left_to_its_holder(bars: Candles, django_db_blocker: Any) -> None:
    asked = ask_backtest(request=request(), actor=officer())
    with hold_run(asked.pk) as mine, hold_run(asked.pk) as again:
        # The lock belongs to the session, and this is one session: it may hold it twice.
        assert mine
        assert again
    asked.refresh_from_db()
    assert asked.state == RunState.WAITING


def test_two_instruments_share_one_book(bars: Candles) -> None:
    other = replace(make_random_bars(count=3_000, seed=77), instrument="ETH/USDT:USDT")
    store(other, symbol="ETH/USDT:USDT")
    alone = run(*ARGUMENTS)
    both = run(*ARGUMENTS, "--instrument", "ETH/USDT:USDT")
    assert both["metrics"]["trades"] > alone["metrics"]["trades"]
    assert len(both["coverage"]) == 2
    assert np.isfinite(both["metrics"]["sharpe"])


@pytest.mark.parametrize(("rules", "reach"), [("fund", 5.0), ("bare", 3.0)])
def test_opposing_zones_are_read_as_far_as_the_limits_in_force_say(
    bars: Candles, monkeypatch: pytest.MonkeyPatch, rules: str, reach: float
) -> None:
    asked = BacktestRequest(
        sleeves=(SleeveRequest(strategy="magnet", parameters={}),),
        instruments=(NAME,),
        rules=rules,
    )
    usual = prepare_stored(asked, load_catalogue())
    limits = Limits(opposite_distance_atr=Decimal(5))
    monkeypatch.setattr(backtests, "limits_in_force", lambda book: limits)
    changed = prepare_stored(asked, load_catalogue())
    strategy = changed.strategies[0]
    assert isinstance(strategy, MagnetStrategy)
    assert strategy.magnets.heavy_zone_reach == reach
    assert (changed.inputs_hash == usual.inputs_hash) == (rules == "bare")
    variant = build(
        load_catalogue().builders,
        "magnet",
        {"hold_hours": "24"},
        opposite_reach=changed.opposite_reach,
    )
    assert isinstance(variant, MagnetStrategy)
    assert variant.magnets.heavy_zone_reach == reach


def test_a_run_names_the_limits_that_acted(bars: Candles, monkeypatch: pytest.MonkeyPatch) -> None:
    limits = Limits(version=7, drawdown_share=Decimal("0.04"))
    monkeypatch.setattr(backtests, "limits_in_force", lambda book: limits)
    found = run(*ARGUMENTS)
    assert any("limits (version 7) and the fuse" in line for line in found["assumptions"])
    kept = ResearchRun.objects.get(pk=found["id"]).result["limits"]
    assert kept == {"version": 7, "drawdown_share": 0.04}
