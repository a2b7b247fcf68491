"""Take waiting runs and work on them, one after another."""

from __future__ import annotations

import logging
from collections.abc import Callable

from trading.models import ResearchRun, RunState
from trading.services.research.backtests import fail_run, hold_run, work_backtest
from trading.services.research.studies import work_evidence
from trading.services.research.survival import work_survival
from trading.services.research.sweeps import work_sweep

log = logging.getLogger(__name__)
WORKERS: dict[str, Callable[[ResearchRun], ResearchRun]] = {
    ResearchRun.Kind.BACKTEST: work_backtest,
    ResearchRun.Kind.SWEEP: work_sweep,
    ResearchRun.Kind.EVIDENCE: work_evidence,
    ResearchRun.Kind.SURVIVAL: work_survival,
}


def work_waiting() -> int:
    """Work on every open run that no other worker holds; returns how many were worked on."""
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
        count += work_one(run_id)


def work_one(run_id: int) -> bool:
    """Work on one run unless it is finished or held; a run that breaks is marked failed."""
    with hold_run(run_id) as is_mine:
        if not is_mine:
            return False
        run = ResearchRun.objects.defer("trades_file", "equity_file").get(pk=run_id)
        if run.state not in (RunState.WAITING, RunState.RUNNING):
            return False
        try:
            WORKERS[ResearchRun.Kind(run.kind)](run)
        except Exception as error:
            log.exception("research run %s broke", run_id)
            fail_run(run, error)
    return True
