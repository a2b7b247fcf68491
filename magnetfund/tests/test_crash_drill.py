"""Processes of a whole instance are killed while orders, fills, entries, NAVs and resets are under
way: nothing lost, nothing doubled, nothing stuck.  Twenty kills with ``FULL=1``, seven without.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Any

import pytest
from django.db import connection

from investors.services.verification import verify_fund
from magnetfund.tests.crash_stage import CrashStage, running_stage, until
from magnetfund.tests.drill_size import IS_SHORT
from magnetfund.tests.test_instance_life import processes_of
from risk.services.fuse import state_of
from trading.services.verification import find_order_differences

pytestmark = [pytest.mark.drill, pytest.mark.alone]

VICTIMS = ("trader", "postgres", "redis", "worker", "watchdog", "web", "signer")
WORK = ("order", "fill", "ledger", "strike", "reset")
#: Seven and five have no common divisor, so the first 35 pairs all differ.
KILLS = [(VICTIMS[n % 7], WORK[n % 5]) for n in range(7 if IS_SHORT else 20)]
SEED = 20_251


@pytest.fixture
def stage(tmp_path: Path, django_db_blocker: Any) -> Iterator[CrashStage]:
    with running_stage(tmp_path, django_db_blocker) as stage:
        yield stage


def strike_down(stage: CrashStage, victim: str, work: str, delay: float) -> dict[str, Any]:
    """Kill one process while one piece of work is under way; what was lost, doubled or stuck."""
    began = time.monotonic()
    killed: list[tuple[int, datetime]] = []
    executioner = threading.Timer(delay, lambda: killed.append(stage.kill(victim)))
    executioner.start()
    found, wanted = getattr(stage, work)()
    executioner.join()
    stage.wait_until_sound(victim, *killed[0])
    was_tripped = state_of("main") != "ARMED"
    if was_tripped:
        stage.arm()
    return {
        "victim": victim,
        "work": work,
        "after": f"{delay * 1000:.0f} ms",
        "sound": f"{time.monotonic() - began - delay:.1f} s",
        "lost": max(0, wanted - found),
        "doubled": max(0, found - wanted),
        "stuck": stage.in_doubt(),
        "fills": stage.unequal_fills(),
        "tripped": "armed by two people" if was_tripped else "",
    }


def test_kills_while_money_moves_lose_double_and_leave_nothing(
    stage: CrashStage, on_record: Any
) -> None:
    dice = Random(SEED)
    until(lambda: state_of("main") == "ARMED", seconds=60, what="armed")
    until(stage.price, seconds=120, what="the trader's first price")
    rows = []
    for victim, work in KILLS:
        rows.append(strike_down(stage, victim, work, dice.uniform(0.0, 0.4)))
        with on_record():
            print("  " + "  ".join(f"{name}: {value}" for name, value in rows[-1].items()))
    spoilt = [r for r in rows if r["lost"] or r["doubled"] or r["stuck"] or r["fills"]]
    assert spoilt == []
    assert stage.small is not None
    assert verify_fund(stage.small.fund) == []
    assert find_order_differences("main") == []
    connection.close()
    stage.running.terminate()
    stage.running.wait(60)
    assert processes_of(stage.home) == {}
