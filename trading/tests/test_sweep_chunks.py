"""Sweeps in chunks: paused, resumed, cancelled, shared; a lost lease writes nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from io import StringIO
from typing import Any

import numpy as np
import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from magnetfund.core.actors import Actor
from magnetfund.core.models import AuditEvent
from magnetfund.core.roles import Role
from magnetfund.kernel.errors import InvalidInput, NotAllowed
from magnetfund.operations.people import ensure_user
from trading.domain.research.request import BacktestRequest, SleeveRequest
from trading.models import ResearchRun, RunState, SweepChunk, Trial
from trading.selectors.research import find_progress
from trading.services.research import sweeps
from trading.services.research.backtests import ask_backtest
from trading.services.research.catalogue import load_catalogue
from trading.services.research.queue import work_waiting
from trading.services.research.sweep_asking import ask_sweep, read_asked
from trading.services.research.sweep_chunks import TAKEN_MAX, claim_chunks, store_chunk
from trading.services.research.sweep_control import cancel_run, pause_run, resume_run
from trading.services.research.sweeps import follow_sweep, open_sweep, work_sweep
from trading.tests.magnet_bars import make_random_bars
from trading.tests.test_research_backtests import NAME, store

pytestmark = pytest.mark.django_db
SPACE = {"fast": "3:12:1", "slow": "20:60:4"}
VARIANTS = 110


@pytest.fixture
def officer() -> Actor:
    store(make_random_bars(count=1_500, seed=31))
    return Actor.of(ensure_user(email="r@example.com", name="R", roles=[Role.RISK_OFFICER]))


def ask(actor: Actor, **changed: Any) -> ResearchRun:
    request = BacktestRequest(
        sleeves=(SleeveRequest(strategy="moving-average"),), instruments=(NAME,)
    )
    return ask_sweep(request=request, space={**SPACE, **changed}, count=0, seed=1, actor=actor)


def call(*arguments: str) -> dict[str, Any]:
    out = StringIO()
    call_command("research", *arguments, "--json", stdout=out)
    found: dict[str, Any] = json.loads(out.getvalue())
    return found


def after_first_chunk(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    """Do something once, when the first chunk is stored and its progress told."""
    real, told = sweeps.tell_progress, []

    def tell(run_id: int) -> float:
        share = real(run_id)
        if not told:
            told.append(share)
            act()
        return share

    monkeypatch.setattr(sweeps, "tell_progress", tell)


def test_a_paused_sweep_keeps_its_trials_and_goes_on_where_it_stood(
    officer: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = ask(officer)
    after_first_chunk(monkeypatch, lambda: pause_run(run=run, actor=officer))
    assert work_waiting() == 1
    run.refresh_from_db()
    assert run.state == RunState.PAUSED
    kept = Trial.objects.count()
    assert 0 < kept < VARIANTS
    progress = find_progress(run)
    assert progress is not None
    assert (progress.variants, progress.trials, progress.workers) == (VARIANTS, kept, 0)
    assert run.progress == progress.variants_done / VARIANTS
    assert work_waiting() == 0
    assert resume_run(run=run, actor=officer)
    assert work_waiting() == 1
    run.refresh_from_db()
    assert (run.state, run.progress) == (RunState.DONE, 1.0)
    assert Trial.objects.count() == run.result["new_trials"] == VARIANTS
    assert SweepChunk.objects.filter(run=run, token=1, rows_file=None).count() == 28
    words = set(AuditEvent.objects.values_list("action", flat=True))
    assert {"research.paused", "research.resumed"} <= words


def test_a_paused_sweep_ends_as_one_that_never_stopped(
    officer: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = follow_sweep(ask(officer))
    other = ask(officer, slow="20:64:4")
    after_first_chunk(monkeypatch, lambda: pause_run(run=other, actor=officer))
    work_waiting()
    resume_run(run=other, actor=officer)
    work_waiting()
    other.refresh_from_db()
    # The wider grid holds the first one: what both tried reads the same, and is counted once.
    assert other.result["new_trials"] == 10
    assert other.result["sweep"]["variants"] == VARIANTS + 10
    same = [row for row in other.result["sweep"]["surface"]["rows"] if row["name"] != "64"]
    assert same == whole.result["sweep"]["surface"]["rows"]


def test_what_ran_as_a_backtest_is_no_new_trial_of_a_sweep(officer: Actor) -> None:
    def backtest(**parameters: Any) -> None:
        sleeve = SleeveRequest(strategy="moving-average", parameters=parameters)
        request = BacktestRequest(sleeves=(sleeve,), instruments=(NAME,))
        for asked in (request, replace(request, gap_share_max=0.02, start_ms=0)):
            run = ask_backtest(request=asked, actor=officer)
            assert work_waiting() == 1
            run.refresh_from_db()
            assert run.state == RunState.DONE

    backtest(fast=5, slow=24)
    backtest(fast="5", slow="24", stop_atr="2.0")  # the last is the default, said aloud
    assert Trial.objects.count() == 1
    backtest(fast=5, slow=25)  # not of the grid
    run = follow_sweep(ask(officer))
    assert run.result["new_trials"] == VARIANTS - 1
    assert Trial.objects.count() == VARIANTS + 1


def test_a_cancelled_sweep_counts_what_it_finished_and_no_more(
    officer: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = ask(officer)
    after_first_chunk(monkeypatch, lambda: cancel_run(run=run, actor=officer))
    work_waiting()
    run.refresh_from_db()
    assert run.state == RunState.CANCELLED
    assert 0 < Trial.objects.count() < VARIANTS
    assert not cancel_run(run=run, actor=officer)
    assert not resume_run(run=run, actor=officer)
    assert work_waiting() == 0


def test_a_chunk_that_was_taken_over_writes_nothing(officer: Actor) -> None:
    run = ask(officer)
    work = open_sweep(run, None)
    assert not isinstance(work, ResearchRun)
    (late,) = claim_chunks(run.pk, limit=1, lease=0.0)
    (now,) = claim_chunks(run.pk, limit=1, lease=30.0)
    assert (late.id, late.token + 1) == (now.id, now.token)
    result = sweeps.ChunkResult(rows=np.empty((0, 1)), variants=(), refused=late.size, places=None)
    assert not store_chunk(run, work.prepared, late, result)
    assert SweepChunk.objects.get(pk=late.id).state == "taken"
    assert store_chunk(run, work.prepared, now, result)
    assert not store_chunk(run, work.prepared, now, result), "no chunk is stored twice"
    assert claim_chunks(run.pk, limit=1, lease=30.0)[0].number == 1


def test_no_plan_of_the_database_takes_more_chunks_than_asked(officer: Actor) -> None:
    run = ask(officer)
    open_sweep(run, None)
    with connection.cursor() as cursor:
        # Statistics of another day make the planner walk the choice once for each chunk.
        for way in ("hashjoin", "mergejoin", "hashagg", "sort", "material"):
            cursor.execute(f"SET LOCAL enable_{way} = off")
    assert [chunk.number for chunk in claim_chunks(run.pk, limit=1, lease=30.0)] == [0]
    assert [chunk.number for chunk in claim_chunks(run.pk, limit=2, lease=30.0)] == [1, 2]


def test_a_chunk_that_ends_its_workers_stops_the_sweep(officer: Actor) -> None:
    run = ask(officer)
    open_sweep(run, None)
    SweepChunk.objects.filter(run=run, number=0).update(token=TAKEN_MAX)
    work_sweep(run)
    run.refresh_from_db()
    assert (run.state, run.refusal_code) == (RunState.REFUSED, "workers_died")
    assert "variants 1 to 4 ended their worker" in run.refusal


def test_candles_that_arrive_meanwhile_change_nothing_but_changed_ones_stop_it(
    officer: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = ask(officer)
    after_first_chunk(monkeypatch, lambda: pause_run(run=run, actor=officer))
    work_waiting()
    resume_run(run=run, actor=officer)
    store(make_random_bars(count=1_520, seed=31).between(1_500, 1_520))
    work_waiting()
    run.refresh_from_db()
    assert run.state == RunState.DONE, run.refusal
    other = ask(officer, fast="3:13:1")
    open_sweep(other, None)
    plan = {**other.result["plan"], "inputs_hash": "another"}
    ResearchRun.objects.filter(pk=other.pk).update(result={"plan": plan})
    work_waiting()
    other.refresh_from_db()
    assert (other.state, other.refusal_code) == (RunState.REFUSED, "inputs_changed")


def test_runs_are_listed_paused_resumed_worked_on_and_cancelled_by_command(officer: Actor) -> None:
    run = ask(officer)
    open_sweep(run, None)
    assert [row["id"] for row in call("list")["runs"]] == [run.pk]
    assert call("pause", str(run.pk))["state"] == "paused"
    assert call("work")["worked_on"] == 0
    with pytest.raises(CommandError, match="wrong_state"):
        call("pause", str(run.pk))
    assert call("resume", str(run.pk))["state"] == "running"
    assert call("work", "--threads", "2")["worked_on"] == 1
    assert call("show", str(run.pk))["sweep"]["variants"] == VARIANTS
    with pytest.raises(CommandError, match="unknown_run"):
        call("show", "999999")
    again = ask(officer, fast="3:14:1")
    assert call("cancel", str(again.pk))["state"] == "cancelled"


def test_only_who_runs_research_may_pause_and_only_a_sweep_can_be(officer: Actor) -> None:
    run = ask(officer)
    reader = Actor.of(ensure_user(email="a@example.com", name="A", roles=[Role.AUDITOR]))
    for move in (pause_run, resume_run, cancel_run):
        with pytest.raises(NotAllowed):
            move(run=run, actor=reader)
    run.kind = ResearchRun.Kind.BACKTEST
    with pytest.raises(InvalidInput, match="only a sweep"):
        pause_run(run=run, actor=officer)


def test_a_sweep_over_a_file_whose_command_ended_is_refused(officer: Actor) -> None:
    request = BacktestRequest(
        sleeves=(SleeveRequest(strategy="moving-average"),), instruments=(NAME,)
    )
    run = ask_sweep(
        request=request, space=SPACE, count=0, seed=1, actor=officer, stored_candles=False
    )
    work_waiting()
    run.refresh_from_db()
    assert (run.state, run.refusal_code) == (RunState.REFUSED, "file_gone")


def test_the_process_that_asks_numbers_variants_as_one_that_reads_the_row(officer: Actor) -> None:
    # PostgreSQL stores the names of a JSON object in an order of its own.
    run = ask_sweep(
        request=BacktestRequest(
            sleeves=(SleeveRequest(strategy="moving-average"),), instruments=(NAME,)
        ),
        space={"stop_atr": "1,2", "bar_hours": "4,6", "fast": "5,10,15"},
        count=0,
        seed=1,
        actor=officer,
    )
    stored = ResearchRun.objects.get(pk=run.pk)
    assert list(stored.request["sweep"]["space"]) != list(run.request["sweep"]["space"])
    builder = load_catalogue().builders["moving-average"]
    mine, read = (read_asked(builder, item.request["sweep"]) for item in (run, stored))
    assert [mine.at(place) for place in range(12)] == [read.at(place) for place in range(12)]
