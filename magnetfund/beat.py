"""The Celery application of beat alone: which job is due when, and nothing of what the jobs do.

Without Django, and so without the platform's code, its database and its keys: it sends names.
Whoever runs the jobs has the application of ``magnetfund.celery``.
"""

from __future__ import annotations

from celery import Celery
from celery.signals import setup_logging

from magnetfund.core.logs import log_as_lines
from magnetfund.env import PROJECT, Environment, broker_url
from magnetfund.operations.schedule import BEAT_SCHEDULE

_env = Environment.of_process()
app = Celery("magnetfund", fixups=[], set_as_current=False)
app.conf.update(
    broker_url=broker_url(_env),
    broker_connection_retry_on_startup=True,
    timezone="UTC",
    task_ignore_result=True,
    beat_schedule=BEAT_SCHEDULE,
    beat_schedule_filename=str(_env.folder("MAGNET_HOME", PROJECT / "var") / "beat-schedule"),
)


@setup_logging.connect  # type: ignore[untyped-decorator]  # Celery is untyped
def log_like_the_others(**_sent: object) -> None:
    """Celery leaves its own form of a line away where this is connected."""
    log_as_lines("WARNING")
