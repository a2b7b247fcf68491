"""Take waiting runs and work on them, one after another."""

from __future__ import annotations

import logging
from collections.abc import Callable

from magnetfund.kernel.errors import InvalidInput
from trading.models import ResearchRun, RunState
from trading.services.research.backtests import (
    FROM_FILE,
    fail_run,
    hold_run,
    refuse_run,
    work_backtest,
)
from trading.services.research.studies import work_evidence
from trading.services.research.survival import work_survival
from trading.services.research.sweep_chunks import has_work
from trading.services.research.sweeps import work_sweep

log = logging.getLogger(__name__)
WORKERS: dict[str, Callable[[ResearchRun], ResearchRun]] = {
    ResearchRun.Kind.BACKTEST: work_backtest,
    ResearchRun.Kind.EVIDENCE: work_evidence,
    ResearchRun.Kind.SURVIVAL: work_survival,
}


def work_waiting(*, threads: int = 1, on_more: Callable[[], None] | None = None) -> int:
    """Work on every open run that has work left; returns how many were worked on.

    A sweep is shared: ``on_more`` is told that others may join it.  ``threads`` work on a sweep
    here; a worker is a core, so others make it faster.
    """
    count, tried = 0, 0
    while True:
        run_id = (
            ResearchRun.objects.filter(state__in=[RunState.WAITING, RunState.RUNNING], id__gt=tried)
            .order_by("id")
            .values_list("id", flat=True)
            .first()
        )
        if run_id is None:
            return count
        tried = run_id
        count += work_one(run_id, threads=threads, on_more=on_more)


def work_one(run_id: int, *, threads: int = 1, on_more: Callable[[], None] | None = None) -> bool:
    """Work on one run unless it is finished or held; a run that breaks is marked failed."""
    run = ResearchRun.objects.defer("trades_file", "equity_file").get(pk=run_id)
    if run.kind == ResearchRun.Kind.SWEEP and FROM_FILE not in run.request:
        is_planned = run.state == RunState.RUNNING and "plan" in run.result
        if is_planned and not has_work(run_id):
            return False
        return _work(run, lambda given: work_sweep(given, threads=threads, on_more=on_more))
    work = _refuse_file if FROM_FILE in run.request else WORKERS[ResearchRun.Kind(run.kind)]
    with hold_run(run_id) as is_mine:
        return is_mine and _work(run, work)


def _work(run: ResearchRun, work: Callable[[ResearchRun], ResearchRun]) -> bool:
    run.refresh_from_db(fields=["state", "result"])
    if run.state not in (RunState.WAITING, RunState.RUNNING):
        return False
    try:
        work(run)
    except Exception as error:
        log.exception("research run %s broke", run.pk)
        fail_run(run, error)
    return True


def _refuse_file(run: ResearchRun) -> ResearchRun:
    """A sweep over a file whose command ended: nobody else has its candles."""
    error = InvalidInput(
        "the command that read the file has ended; its finished trials count", code="file_gone"
    )
    return refuse_run(run, error)
