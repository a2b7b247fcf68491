"""Old minutes into files, once a day: the slot that a start or the daily run owns.

Only the owner of the tables may delete a candle, and Celery's workers are not given its password.
So whoever runs the home starts the command once a UTC day, apart from every part: ``make run`` by
itself, a fund of containers by its scheduler.  A second run in a day finds the slot
taken; one that is late or failed stands beside the other jobs.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from magnetfund.core.actors import Actor
from magnetfund.core.models import JobRun
from magnetfund.core.services.jobs import run_slot
from magnetfund.kernel.counting import count_of
from magnetfund.operations.schedule import OWNER_PERIODS
from trading.models import CandleFile
from trading.services.candle_archive import archive_months

JOB = "minute_archive"


def archive_today(
    *, actor: Actor, months_max: int | None = None, on_month: Callable[[CandleFile], None]
) -> JobRun | None:
    """Move what is old enough, once a UTC day; None where that was done already.

    Needs the owner's role.
    """

    def work(slot: datetime) -> str:
        made = archive_months(actor=actor, months_max=months_max, on_month=on_month)
        return f"{count_of(len(made), 'month')} moved into files"

    return run_slot(job=JOB, period=OWNER_PERIODS[JOB], work=work)
