"""Workers of sweeps killed at random moments: no finished trial is lost, none counts twice.

Ten kills, or a hundred with ``FULL=1``.  Two processes share each sweep; SIGKILL leaves them no
moment to tidy up.  What a sweep says in the end is what it says undisturbed, to the last digit.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import time
import traceback
from multiprocessing.process import BaseProcess

from django.db import connections

from magnetfund.core.actors import Actor
from magnetfund.tests.drill_size import drilled
from trading.domain.research.request import BacktestRequest, SleeveRequest, request_of
from trading.domain.research.space import read_space
from trading.domain.research.sweep import Sweep, run_sweep
from trading.models import ResearchRun, RunState, SweepChunk, Trial
from trading.services.research.backtests import prepare_stored
from trading.services.research.catalogue import load_catalogue
from trading.services.research.sweep_asking import ask_sweep
from trading.services.research.sweep_words import describe_sweep
from trading.services.research.sweeps import follow_sweep
from trading.tests.magnet_bars import make_random_bars
from trading.tests.test_research_backtests import NAME, store

LEASE_SECONDS = 1.0
PROCESSES = 2
SECONDS_MAX = 120.0


def ask(number: int) -> ResearchRun:
    request = BacktestRequest(
        sleeves=(SleeveRequest(strategy="moving-average"),), instruments=(NAME,)
    )
    # 1,600 variants; each sweep shares half of them with the one before it.
    first = 80 + 20 * number
    space = {"fast": "3:42:1", "slow": f"{first}:{first + 39}:1"}
    return ask_sweep(
        request=request, space=space, count=0, seed=1, actor=Actor.system("drill"), by_person=False
    )


def start_worker(run_id: int) -> BaseProcess:
    """A process of its own, with a connection of its own, that works on one run."""
    # A forked child must not share the parent's session with the server.
    connections.close_all()
    process = multiprocessing.get_context("fork").Process(target=_work, args=(run_id,))
    process.start()
    return process


def _work(run_id: int) -> None:
    code = 1
    try:
        run = ResearchRun.objects.get(pk=run_id)
        follow_sweep(run, threads=1, lease=LEASE_SECONDS)
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)  # nothing of the test session may end with the child


def test_killed_workers_lose_no_finished_trial_and_count_none_twice(fresh_database: object) -> None:
    store(make_random_bars(count=9_000, seed=31))
    chance, left, number, taken_again, counted = random.Random(4), drilled(100), 0, 0, 0
    while left:
        run = ask(number)
        if not number:
            _sweep_alone(run)  # a worker that compiles first would be killed at that every time
        number += 1
        workers: list[BaseProcess] = []
        began, seen = time.monotonic(), 0
        while True:
            workers = [worker for worker in workers if worker.is_alive()]
            workers += [start_worker(run.pk) for _ in range(PROCESSES - len(workers))]
            time.sleep(chance.uniform(0.05, 0.8))
            run.refresh_from_db()
            if run.state not in (RunState.WAITING, RunState.RUNNING):
                break
            assert time.monotonic() - began < SECONDS_MAX, "the sweep does not end"
            # A trial that was there once is there for ever.
            now = Trial.objects.count()
            assert now >= seen
            seen = now
            if left:
                victim = chance.choice(workers)
                victim.kill()
                victim.join()
                left -= 1
        for worker in workers:
            worker.join(30)
            assert worker.exitcode == 0
        assert run.state == RunState.DONE, run.refusal
        counted = _check(run, counted)
        taken_again += sum(SweepChunk.objects.filter(run=run).values_list("token", flat=True)) - 32
    assert taken_again > 0, "no kill ever hit a worker with a chunk in hand"
    print(f"{drilled(100)} kills over {number} sweeps, {taken_again} chunks taken again")


def test_a_worker_that_read_the_run_before_it_was_planned_leaves_its_result(
    fresh_database: object,
) -> None:
    """It prepares for as long as the others take for the whole sweep."""
    store(make_random_bars(count=9_000, seed=31))
    run = ask(0)
    late = ResearchRun.objects.get(pk=run.pk)
    follow_sweep(run, threads=1, lease=LEASE_SECONDS)
    follow_sweep(late, threads=1, lease=LEASE_SECONDS)
    run.refresh_from_db()
    assert run.state == RunState.DONE
    assert _check(run, 0) == 1_600


def _check(run: ResearchRun, counted: int) -> int:
    """The run says what an undisturbed one says; returns the trials that are counted by now."""
    assert run.result["sweep"] == describe_sweep(_sweep_alone(run))
    assert run.result["sweep"]["variants"] == 1_600
    assert SweepChunk.objects.filter(run=run, state="done").count() == 32
    trials = Trial.objects.count()
    assert trials == counted + run.result["new_trials"]
    assert run.result["new_trials"] == (1_600 if counted == 0 else 800)
    return trials


def _sweep_alone(run: ResearchRun) -> Sweep:
    """The same sweep in this process, undisturbed; it compiles what its children inherit."""
    plain = dict(run.request)
    asked = plain.pop("sweep")
    catalogue = load_catalogue()
    prepared = prepare_stored(request_of(plain), catalogue)
    space = read_space(catalogue.builders["moving-average"], asked["space"])
    return run_sweep(prepared=prepared, builders=catalogue.builders, space=space)
