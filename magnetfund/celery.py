"""The Celery application of those who work.  ``magnetfund.beat`` says when, from the schedule."""

from __future__ import annotations

import os

from celery import Celery
from celery.signals import worker_ready

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "magnetfund.settings")
# Django's checks look at the code, which ``make check`` does.
os.environ.setdefault("CELERY_SKIP_CHECKS", "1")

app = Celery("magnetfund")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(["magnetfund.operations"])

from magnetfund.operations.schedule import BEAT_SCHEDULE  # noqa: E402 - after the app exists


@worker_ready.connect  # type: ignore[untyped-decorator]  # Celery is untyped
def run_what_was_missed(**_sent: object) -> None:
    """Runs missed jobs at start, each in the queue of its own; slots already taken are skipped."""
    for entry in BEAT_SCHEDULE.values():
        app.send_task(entry["task"], **entry["options"])
