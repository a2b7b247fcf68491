"""Who sends which job where: beat without the platform, and a worker that starts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from magnetfund import celery
from magnetfund.env import PROJECT
from magnetfund.operations.schedule import BEAT_SCHEDULE, RESEARCH_QUEUE


def test_a_worker_that_starts_leaves_research_to_its_own_workers(monkeypatch: pytest.MonkeyPatch):
    """A sweep that the worker of safety jobs took held them up for as long as it lasted."""
    sent: dict[str, Any] = {}
    monkeypatch.setattr(
        celery.app, "send_task", lambda name, **options: sent.update({name: options})
    )
    celery.run_what_was_missed()
    assert set(sent) == {entry["task"] for entry in BEAT_SCHEDULE.values()}
    research = sent.pop("magnetfund.research_queue")
    assert research["queue"] == RESEARCH_QUEUE
    assert all("queue" not in options for options in sent.values())
    assert all(options["expires"] > 0 for options in sent.values())


def test_beat_starts_without_database_key_or_the_platform(tmp_path: Any):
    script = (
        "import json, sys\n"
        "from magnetfund.beat import app\n"
        "app.loader.import_default_modules(); app.finalize()\n"
        "print(json.dumps({'broker': app.conf.broker_url, 'jobs': sorted(app.conf.beat_schedule),\n"
        "    'file': app.conf.beat_schedule_filename, 'modules': sorted(sys.modules)}))"
    )
    environment = {
        "PATH": os.environ["PATH"],
        "MAGNET_HOME": str(tmp_path),
        "REDIS_URL": "unix:///run/valkey.sock",
        "DJANGO_SETTINGS_MODULE": "magnetfund.settings",  # as the home has it
    }
    told = subprocess.run(
        [sys.executable, "-c", script], cwd=PROJECT, env=environment,
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    found = json.loads(told.stdout)
    assert found["broker"] == "redis+socket:///run/valkey.sock"
    assert found["jobs"] == sorted(BEAT_SCHEDULE)
    assert found["file"] == str(tmp_path / "beat-schedule")
    loaded = set(found["modules"])
    assert not loaded & {
        "django.apps",
        "django.db",
        "psycopg",
        "numpy",
        "trading",
        "investors",
        "risk",
    }
