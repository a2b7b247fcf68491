"""The Celery application.  What runs when is in ``magnetfund.operations.schedule``."""

from __future__ import annotations

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "magnetfund.settings")

app = Celery("magnetfund")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(["magnetfund.operations"])

from magnetfund.operations.schedule import BEAT_SCHEDULE  # noqa: E402 - after the app exists

app.conf.beat_schedule = BEAT_SCHEDULE
