"""One worker of a stored sweep, then two: what a second process on another core is worth.

Run as ``python -m bench.research_workers``.  Processes are up and warm before the clock starts; a
chunk is stored with its trials in PostgreSQL inside it.  Readings of magnets lie in the home, as
they do after the first sweep, backtest or variant on the same candles.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from typing import Any

from bench.data import BTC_FILE, data_folder
from bench.ground import platform
from bench.timing import Row, Skip, print_rows

MAGNETS = 4_000
INSTRUMENT = "BTC/USDT:USDT"


def run() -> list[Row]:
    """The rows of this bench."""
    folder = data_folder()
    if folder is None:
        raise Skip("the real hours are not here")
    with platform():
        from django.core.management import call_command

        path = str(folder / "candles" / BTC_FILE)
        call_command("import_candles", path, instrument=INSTRUMENT, timeframe="1h", verbosity=0)
        _sweep("moving-average", {"fast": "10,20"}, seed=1, processes=1)
        _sweep("magnet", {"hold_hours": "24,25"}, seed=1, processes=1)
        space = {"hold_hours": "24:118:1", "stop_atr_min": "0.5:0.92:0.01"}
        (one, alone), (two, shared) = (
            _sweep("magnet", space, seed=processes, processes=processes) for processes in (1, 2)
        )
    return [
        (f"stored sweep, {MAGNETS:,} of the magnet strategy, one worker", one, 0, "s"),
        ("  its processor time", alone, 0, "s"),
        ("  two workers", two, 0, "s"),
        ("  two workers over one", one / two, 1.7, "x"),
        ("  by the processor time of the busier worker", alone / shared, 1.7, "x"),
    ]


def _sweep(
    strategy: str, space: dict[str, str], *, seed: int, processes: int
) -> tuple[float, float]:
    """Seconds from the start of warm workers to the judged sweep; processor time of the busiest."""
    from django.db import connections

    from magnetfund.core.actors import Actor
    from trading.domain.research.request import BacktestRequest, SleeveRequest
    from trading.models import ResearchRun
    from trading.services.research.sweep_asking import ask_sweep

    run = ask_sweep(
        request=BacktestRequest(
            sleeves=(SleeveRequest(strategy=strategy),), instruments=(INSTRUMENT,)
        ),
        space=space,
        count=MAGNETS if len(space) > 1 else 0,
        seed=seed,
        actor=Actor.system("bench"),
        by_person=False,
    )
    connections.close_all()
    forked = multiprocessing.get_context("fork")
    gate, spent = forked.Event(), forked.Queue()
    workers = [forked.Process(target=_work, args=(run.pk, gate, spent)) for _ in range(processes)]
    for worker in workers:
        worker.start()
    time.sleep(1.0)
    began = time.perf_counter()
    gate.set()
    for worker in workers:
        worker.join()
    seconds = time.perf_counter() - began
    state = ResearchRun.objects.get(pk=run.pk).state
    if state != "done":
        raise RuntimeError(f"the sweep is {state}")
    return seconds, max(spent.get() for _ in workers)


def _work(run_id: int, gate: Any, spent: Any) -> None:
    from trading.models import ResearchRun
    from trading.services.research.sweeps import follow_sweep

    gate.wait()
    began = time.process_time()
    follow_sweep(ResearchRun.objects.get(pk=run_id), threads=1)
    spent.put(time.process_time() - began)
    spent.close()
    spent.join_thread()
    os._exit(0)


if __name__ == "__main__":
    print_rows(run())
