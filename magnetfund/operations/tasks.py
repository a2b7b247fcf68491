"""Background jobs: thin fronts of services, each owning the slot of its period."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from celery import shared_task
from django.conf import settings

from magnetfund.core.services.jobs import beat_heart, run_slot
from magnetfund.operations import watch
from magnetfund.operations.schedule import PERIODS
from risk.services.stop_audit import chain_stops


def _job(name: str, work: Callable[[datetime], str]) -> Callable[[], str]:
    @shared_task(name=f"magnetfund.{name}")
    def task() -> str:
        row = run_slot(job=name, period=PERIODS[name], work=work)
        return row.detail if row is not None else "already run for this time slot"

    return task  # type: ignore[no-any-return]  # Celery is untyped


def _beat(slot: datetime) -> str:
    beat_heart(part="worker", instance="celery", build_id=settings.BUILD_ID)
    return "alive"


fuse_dead_man = _job("fuse_dead_man", lambda slot: watch.stop_without_trader())
equity_age = _job("equity_age", lambda slot: watch.trip_on_stale_equity())
stop_audit = _job("stop_audit", lambda slot: f"{chain_stops()} audit lines of stops written")
worker_heartbeat = _job("worker_heartbeat", _beat)
position_monitor = _job("position_monitor", lambda slot: watch.find_unprotected())
job_health = _job("job_health", lambda slot: watch.find_late_jobs())
orchestrator_heartbeat = _job("orchestrator_heartbeat", lambda slot: watch.tell_orchestrator())
investor_estimates = _job("investor_estimates", lambda slot: watch.estimate_investors())
daily_verification = _job("daily_verification", lambda slot: watch.verify_all())
housekeeping = _job("housekeeping", lambda slot: watch.clean_up())
