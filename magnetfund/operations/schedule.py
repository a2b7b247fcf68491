"""What beat starts and how often.  Every job owns its slot, so a second beat changes nothing."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

PERIODS: dict[str, timedelta] = {
    "equity_age": timedelta(seconds=15),
    "stop_audit": timedelta(seconds=10),
    "outgoing_mail": timedelta(seconds=15),
    "worker_heartbeat": timedelta(seconds=60),
    "market_poll": timedelta(seconds=60),
    "leverage_recalculation": timedelta(seconds=60),
    "fuse_check": timedelta(seconds=60),
    "account_snapshot": timedelta(minutes=5),
    "instrument_refresh": timedelta(days=1),
    "job_health": timedelta(minutes=1),
    "orchestrator_heartbeat": timedelta(seconds=60),
    "investor_estimates": timedelta(hours=1),
    "investor_statements": timedelta(hours=1),
    "strategy_performance": timedelta(minutes=1),
    "periodic_reviews": timedelta(days=1),
    "daily_screening": timedelta(days=1),
    "daily_verification": timedelta(days=1),
    "housekeeping": timedelta(days=1),
    "magnet_evidence": timedelta(days=7),
    "survival_study": timedelta(days=7),
}

#: Jobs that only the owner of the tables may do: beat has no right to them, the home starts them.
OWNER_PERIODS: dict[str, timedelta] = {"minute_archive": timedelta(days=1)}
ALL_PERIODS = PERIODS | OWNER_PERIODS

BEAT_SCHEDULE: dict[str, dict[str, Any]] = {
    name: {
        "task": f"magnetfund.{name}",
        "schedule": period.total_seconds(),
        # A message that nobody took before the next slot is of no use any more.
        "options": {"expires": max(period.total_seconds() * 0.9, 4.0)},
    }
    for name, period in PERIODS.items()
}

RESEARCH_QUEUE = "research"
"""Research has workers of its own: a sweep must never stand before a safety job."""
BEAT_SCHEDULE["research_queue"] = {
    "task": "magnetfund.research_queue",
    "schedule": 30.0,
    "options": {"queue": RESEARCH_QUEUE, "expires": 27.0},
}
