"""Sweeps as stored runs, worked on by any number of processes at once.

The first worker that meets a sweep plans it: it fixes the last candle, hashes what the run reads
and cuts the variants into chunks.  Every worker then takes chunks until none is left, and whoever
finds the last one done judges the whole.  What a worker finished is stored with its trials as it
goes, so a killed worker, a pause or a cancelled run loses no finished trial and counts none twice.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from django.db import IntegrityError, transaction
from numpy.typing import NDArray

from magnetfund.kernel.clock import utc_now
from magnetfund.kernel.errors import InvalidInput, InvariantBroken
from magnetfund.kernel.identifiers import content_hash
from trading.domain.backtest.kernel.outlook import find_day_ends
from trading.domain.backtest.kernel.variants import SUMS
from trading.domain.research.coverage import InstrumentSeries
from trading.domain.research.moments import find_edges
from trading.domain.research.request import request_of
from trading.domain.research.run import Prepared
from trading.domain.research.search import (
    CHUNK,
    OBJECTIVES,
    History,
    size_generation,
    suggest_places,
)
from trading.domain.research.space import (
    SweepSpace,
    list_places,
)
from trading.domain.research.sweep import (
    compute_cut_ms,
    judge_rows,
    open_bench,
)
from trading.domain.research.tried import HEAD, encode_tried, read_variants
from trading.domain.research.variants import VariantBench
from trading.models import ResearchRun, RunState, SweepChunk
from trading.services.research.backtests import (
    FROM_FILE,
    find_finished,
    finish_run,
    hold_run,
    prepare_stored,
    refuse_run,
    repeat_run,
)
from trading.services.research.catalogue import Catalogue, load_catalogue
from trading.services.research.child_process import hold_processes
from trading.services.research.magnet_files import keep_magnets
from trading.services.research.series import load_series
from trading.services.research.sweep_asking import read_asked
from trading.services.research.sweep_chunks import (
    LEASE_SECONDS,
    ChunkResult,
    HeldChunk,
    claim_chunks,
    has_work,
    make_chunks,
    renew_leases,
    store_chunk,
    tell_progress,
)
from trading.services.research.sweep_words import describe_front, describe_sweep

#: Chunks of a sweep, unless that makes them smaller or larger than these.
CHUNKS, CHUNK_MIN, CHUNK_MAX = 32, 4, 256
FOLLOWED_SECONDS = 0.3
FloatColumn = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepWork:
    """A planned sweep on its candles, as a worker holds it; ``places`` are numbers in the grid.

    A search has no places before it began: ``suggested`` holds them by generation.
    """

    run: ResearchRun
    prepared: Prepared
    catalogue: Catalogue
    space: SweepSpace
    places: list[int]
    edges: tuple[int, ...]
    suggested: dict[int, list[int]] = field(default_factory=dict)

    @property
    def width(self) -> int:
        """Columns of a stored row."""
        return HEAD + SUMS + 2 * (len(self.edges) - 1)


@hold_processes()
def work_sweep(
    run: ResearchRun,
    *,
    series: Mapping[str, InstrumentSeries] | None = None,
    threads: int | None = None,
    on_progress: Callable[[float], None] | None = None,
    on_more: Callable[[], None] | None = None,
    lease: float = LEASE_SECONDS,
) -> ResearchRun:
    """Work on a sweep until no chunk is left to take; whoever finds all done judges it.

    ``on_progress`` is told the share that is done after each chunk, ``on_more`` once that there is
    work for others too.
    """
    try:
        work = open_sweep(run, series)
        if isinstance(work, ResearchRun):
            return work
        bench: VariantBench | None = None
        while held := claim_chunks(run.pk, limit=_limit(threads, run), lease=lease):
            if bench is None:
                bench = open_bench(
                    work.prepared,
                    work.catalogue.builders,
                    threads=threads,
                    keep_magnets=keep_magnets,
                )
                if on_more is not None:
                    on_more()
            _work_chunks(work, bench, held, lease)
            share = tell_progress(run.pk)
            if on_progress is not None:
                on_progress(share)
        return finish_sweep(work)
    except (InvalidInput, InvariantBroken) as error:
        return refuse_run(run, error) if is_open(run) else run


def follow_sweep(run: ResearchRun, **options: Any) -> ResearchRun:
    """Work on a sweep (options of :func:`work_sweep`) and wait for those who work on the rest.

    A sweep that somebody pauses is waited for; one that is cancelled is given back as it is.
    """
    while True:
        run = work_sweep(run, **options)
        while not is_open(run) or not has_work(run.pk):
            if run.state not in (RunState.RUNNING, RunState.PAUSED):
                return run
            time.sleep(FOLLOWED_SECONDS)


def _limit(threads: int | None, run: ResearchRun) -> int:
    """Chunks to take at once: small ones several at a time, so that no thread waits for one."""
    size = int(run.result["plan"]["chunk"])
    return max(1, 8 * (threads or os.cpu_count() or 1) // size)


def is_open(run: ResearchRun) -> bool:
    """Read a run's state again; True while it may still be worked on."""
    run.refresh_from_db(fields=["state", "result", "started_at", "progress"])
    return run.state in (RunState.WAITING, RunState.RUNNING)


def open_sweep(
    run: ResearchRun, series: Mapping[str, InstrumentSeries] | None
) -> SweepWork | ResearchRun:
    """Prepare a sweep and plan it if nobody has; the finished run where equal inputs were swept.

    Raises :class:`InvalidInput`: what speaks against the run; ``inputs_changed`` where candles,
    rules or a strategy's text are no longer those on which its first chunks ran.
    """
    plain = {key: value for key, value in run.request.items() if key != FROM_FILE}
    asked = plain.pop("sweep")
    request, catalogue = request_of(plain), load_catalogue()
    series = series or load_series(request)
    plan = run.result.get("plan")
    if plan is not None:
        request = replace(request, end_ms=plan["end_ms"])
    prepared = prepare_stored(request, catalogue, series)
    if request.end_ms is None:
        # Candles that arrive while the sweep runs are none of its business.
        last_ms = int(prepared.market.time_ms[-1])
        request = replace(request, end_ms=last_ms + request.bar_ms)
        prepared = prepare_stored(request, catalogue, series)
    builder = catalogue.builders[request.sleeves[0].strategy]
    space = read_asked(builder, asked)
    if plan is None:
        catalogue.require_sound(prepared)
        inputs_hash = content_hash({"backtest": prepared.inputs_hash, "sweep": asked})
        known = find_finished(run.kind, inputs_hash)
        if known is not None:
            return repeat_run(run, known)
        if not plan_sweep(run, prepared, space, inputs_hash):
            return open_sweep(run, series) if is_open(run) else run
    elif plan["inputs_hash"] != prepared.inputs_hash:
        raise InvalidInput(
            "candles, limits or the strategy changed while the sweep ran; its finished trials "
            "count, ask for it again",
            code="inputs_changed",
        )
    return SweepWork(
        run=run,
        prepared=prepared,
        catalogue=catalogue,
        space=space,
        places=[] if space.search == "tpe" else list_places(space),
        edges=tuple(run.result["plan"]["edges"]),
    )


def plan_sweep(run: ResearchRun, prepared: Prepared, space: SweepSpace, inputs_hash: str) -> bool:
    """Cut a sweep into chunks and start it; False where another worker did so meanwhile."""
    days = find_day_ends(prepared.market.time_ms, prepared.rules.bar_ms).size
    size, generation = min(max(space.tried // CHUNKS, CHUNK_MIN), CHUNK_MAX), None
    if space.search == "tpe":
        size, generation = CHUNK, size_generation(space.tried)
    with transaction.atomic():
        held = ResearchRun.objects.select_for_update().only("state", "result").get(pk=run.pk)
        if "plan" in held.result or held.state not in (RunState.WAITING, RunState.RUNNING):
            return False
        run.state, run.started_at = RunState.RUNNING, utc_now()
        run.inputs_hash, run.data_hash, run.seed = inputs_hash, prepared.data_hash, space.seed
        run.strategy_version = prepared.strategies[0].traits.version[:80]
        run.result = {
            "plan": {
                "end_ms": prepared.request.end_ms,
                "inputs_hash": prepared.inputs_hash,
                "edges": find_edges(days),
                "chunk": size,
                "variants": space.tried,
            }
        }
        run.save(
            update_fields=[
                "state", "started_at", "inputs_hash", "data_hash", "strategy_version", "result",
            ]
        )  # fmt: skip
        make_chunks(run, total=space.tried, size=size, generation_size=generation)
    return True


def _work_chunks(work: SweepWork, bench: VariantBench, held: list[HeldChunk], lease: float) -> None:
    """Run the variants of taken chunks and store them; what was lost meanwhile is thrown away."""
    places = [_places_of(work, chunk) for chunk in held]
    together = [place for part in places for place in part]
    renewed = time.monotonic()

    def keep(_more: int) -> bool:
        nonlocal renewed
        if time.monotonic() - renewed < min(1.0, lease / 4):
            return True
        renewed = time.monotonic()
        return renew_leases(held, lease=lease)

    tried = bench.try_all(len(together), lambda k: work.space.at(together[k]), on_done=keep)
    if not tried.is_whole:
        return
    rows, start = encode_tried(tried, together), 0
    for chunk, part in zip(held, places, strict=True):
        inside = (tried.places >= start) & (tried.places < start + len(part))
        start += len(part)
        kept = rows[inside]
        result = ChunkResult(
            rows=kept,
            variants=read_variants(kept, work.space, bench.days),
            refused=len(part) - kept.shape[0],
            places=part if work.space.search == "tpe" else None,
        )
        store_chunk(work.run, work.prepared, chunk, result)


def _places_of(work: SweepWork, chunk: HeldChunk) -> list[int]:
    """The variants of a chunk; a search suggests those of a whole generation at once."""
    space = work.space
    if space.search == "grid":
        return work.places[chunk.first : chunk.first + chunk.size]
    size = size_generation(space.tried)
    first = chunk.generation * size
    if chunk.generation not in work.suggested:
        work.suggested[chunk.generation] = suggest_places(
            space=space,
            history=read_history(work, chunk.generation),
            count=min(size, space.tried - first),
            seed=(space.seed, chunk.generation),
        )
    start = chunk.first - first
    return work.suggested[chunk.generation][start : start + chunk.size]


def read_history(work: SweepWork, generation: int) -> History:
    """What the generations before one tried, in their order."""
    chunks = SweepChunk.objects.filter(run=work.run, generation__lt=generation).order_by("number")
    places: list[int] = []
    values: list[tuple[float, ...]] = []
    for tried, file in chunks.values_list("places", "rows_file"):
        rows = np.frombuffer(bytes(file or b"")).reshape(-1, work.width)
        variants = read_variants(rows, work.space, work.edges[-1])
        known = {
            int(row[0]): tuple(OBJECTIVES[name](variant) for name in work.space.objectives)
            for row, variant in zip(rows, variants, strict=True)
        }
        nothing = (math.nan,) * len(work.space.objectives)
        asked: list[int] = list(tried or ())
        places += asked
        values += [known.get(place, nothing) for place in asked]
    return History(places=tuple(places), values=tuple(values))


def finish_sweep(work: SweepWork) -> ResearchRun:
    """Judge a sweep whose chunks are all done; left as it is while others work on it."""
    run = work.run
    with hold_run(run.pk) as is_mine:
        chunks = SweepChunk.objects.filter(run=run)
        if not is_mine or not is_open(run) or chunks.exclude(state="done").exists():
            return run
        parts = chunks.order_by("number").values_list("rows_file", "refused", "new_trials")
        rows = np.concatenate(
            [np.frombuffer(bytes(part[0] or b"")).reshape(-1, work.width) for part in parts]
        )
        sweep = judge_rows(
            rows=rows,
            edges=work.edges,
            space=work.space,
            refused=sum(part[1] for part in parts),
            cut_ms=compute_cut_ms(work.prepared),
        )
        run.result = {
            "sweep": describe_sweep(sweep) | describe_front(sweep, work.space),
            "space": run.request["sweep"]["space"],
            "new_trials": sum(part[2] for part in parts),
        }
        began = run.started_at or utc_now()
        run.wall_ms = max(0, round((utc_now() - began).total_seconds() * 1000))
        return _close(run)


def _close(run: ResearchRun) -> ResearchRun:
    """Store the judged sweep unless it was paused or cancelled meanwhile."""
    try:
        with transaction.atomic():
            held = ResearchRun.objects.select_for_update().only("state").get(pk=run.pk)
            if held.state != RunState.RUNNING:
                run.state = held.state
                return run
            SweepChunk.objects.filter(run=run).update(rows_file=None)
            finish_run(run)
    except IntegrityError:
        # A sweep of equal inputs was finished first.
        known = find_finished(run.kind, run.inputs_hash)
        if known is None:
            raise
        return repeat_run(run, known)
    return run
