"""The chunks of a sweep: taken under a lease, fenced by a token, stored with their trials.

Any number of workers on any number of machines take chunks of one run.  Leases are read on the
clock of the database, so that the clocks of the machines do not matter.  A chunk and its trials
become visible in one commit: a worker that dies before it has lost unfinished work alone, and one
that comes back after its lease finds its token spent and writes nothing.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from django.db import connection, transaction
from numpy.typing import NDArray

from magnetfund.kernel.clock import from_milliseconds, isoformat_z, utc_now
from magnetfund.kernel.errors import InvalidInput
from magnetfund.kernel.identifiers import canonical_json
from trading.domain.research.figures import clean
from trading.domain.research.identity import hash_trial
from trading.domain.research.parameters import text_of
from trading.domain.research.run import Prepared
from trading.domain.research.tried import Variant
from trading.models import ResearchRun, RunState, SweepChunk

LEASE_SECONDS = 30.0
#: So often may a chunk be taken before it is held to kill its workers.
TAKEN_MAX = 12
COLUMNS = (
    "family", "strategy", "parameters", "inputs_hash", "data_hash", "run_id", "sharpe_daily",
    "days", "trades", "seen", "unseen", "total_return", "drawdown_max", "first_at", "last_at",
    "recorded_at",
)  # fmt: skip
NAMES = ", ".join(COLUMNS)
# Chosen in a materialised expression: a planner may run a subquery of ``IN`` once for each row, and
# each run would then lock and take a further chunk, whatever the limit says.
CLAIM = """
WITH chosen AS MATERIALIZED (
  SELECT c.id FROM trading_sweepchunk c JOIN trading_researchrun r ON r.id = c.run_id
  WHERE c.run_id = %(run)s AND r.state = 'running'
    AND (c.state = 'free' OR (c.state = 'taken' AND c.leased_until < clock_timestamp()))
    AND NOT EXISTS (SELECT 1 FROM trading_sweepchunk e WHERE e.run_id = c.run_id
      AND e.generation < c.generation AND e.state <> 'done')
  ORDER BY c.number LIMIT %(limit)s FOR UPDATE OF c SKIP LOCKED)
UPDATE trading_sweepchunk c SET state = 'taken', token = c.token + 1, worker = %(worker)s,
  leased_until = clock_timestamp() + make_interval(secs => %(lease)s)
FROM chosen WHERE c.id = chosen.id
RETURNING c.id, c.number, c.generation, c.first, c.size, c.token"""
WAITING = """
SELECT r.state = 'running' AND (
  NOT EXISTS (SELECT 1 FROM trading_sweepchunk c WHERE c.run_id = r.id AND c.state <> 'done')
  OR EXISTS (SELECT 1 FROM trading_sweepchunk c WHERE c.run_id = r.id
    AND (c.state = 'free' OR (c.state = 'taken' AND c.leased_until < clock_timestamp()))
    AND NOT EXISTS (SELECT 1 FROM trading_sweepchunk e WHERE e.run_id = c.run_id
      AND e.generation < c.generation AND e.state <> 'done')))
FROM trading_researchrun r WHERE r.id = %s"""
RENEW = """
UPDATE trading_sweepchunk c SET leased_until = clock_timestamp() + make_interval(secs => %s)
FROM trading_researchrun r, unnest(%s::bigint[], %s::int[]) AS held(id, token)
WHERE c.id = held.id AND c.token = held.token AND c.state = 'taken' AND r.id = c.run_id
  AND r.state IN ('running', 'paused')"""
PROGRESS = """
UPDATE trading_researchrun r SET progress = (
  SELECT coalesce(sum(c.size) FILTER (WHERE c.state = 'done'), 0)::float8 / sum(c.size)
  FROM trading_sweepchunk c WHERE c.run_id = r.id)
WHERE r.id = %s AND r.state IN ('running', 'paused') RETURNING r.progress"""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldChunk:
    """A chunk that this worker took."""

    id: int
    number: int
    generation: int
    first: int
    size: int
    token: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkResult:
    """What the variants of a chunk gave, ready to be stored."""

    rows: NDArray[np.float64]
    variants: tuple[Variant, ...]
    refused: int
    places: list[int] | None


def make_chunks(
    run: ResearchRun, *, total: int, size: int, generation_size: int | None = None
) -> None:
    """Store the free chunks of a run; ``generation_size`` None puts all into one generation."""
    SweepChunk.objects.bulk_create(
        [
            SweepChunk(
                run=run,
                number=number,
                generation=first // generation_size if generation_size else 0,
                first=first,
                size=min(size, total - first),
            )
            for number, first in enumerate(range(0, total, size))
        ]
    )


def claim_chunks(run_id: int, *, limit: int, lease: float) -> list[HeldChunk]:
    """Take up to ``limit`` chunks that are free or whose lease ran out, lowest numbers first.

    Raises :class:`InvalidInput` (``workers_died``) for a chunk that was taken too often.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            CLAIM,
            {"run": run_id, "limit": limit, "lease": lease, "worker": name_worker()},
        )
        names = ("id", "number", "generation", "first", "size", "token")
        held = [HeldChunk(**dict(zip(names, row, strict=True))) for row in cursor.fetchall()]
    for chunk in held:
        if chunk.token > TAKEN_MAX:
            raise InvalidInput(
                f"variants {chunk.first + 1:,} to {chunk.first + chunk.size:,} ended their worker "
                f"{TAKEN_MAX} times; try fewer, or another strategy",
                code="workers_died",
            )
    return sorted(held, key=lambda chunk: chunk.number)


def has_work(run_id: int) -> bool:
    """Whether a run has a chunk to take, or waits for nothing but its judgement."""
    with connection.cursor() as cursor:
        cursor.execute(WAITING, [run_id])
        return bool(cursor.fetchone()[0])


def name_worker() -> str:
    """This process, as the rows name it."""
    return f"{socket.gethostname()[:60]} {os.getpid()}"


def renew_leases(held: Sequence[HeldChunk], *, lease: float) -> bool:
    """Hold chunks for longer; False where none is ours any more or the run was closed."""
    with connection.cursor() as cursor:
        cursor.execute(
            RENEW, [lease, [chunk.id for chunk in held], [chunk.token for chunk in held]]
        )
        return int(cursor.rowcount) > 0


def store_chunk(run: ResearchRun, prepared: Prepared, held: HeldChunk, result: ChunkResult) -> bool:
    """Write a finished chunk with its trials; False where it is ours no more, nothing is written.

    The run's row is held in share mode, so that a run is cancelled before or after a chunk.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT state FROM trading_researchrun WHERE id = %s FOR SHARE", [run.pk])
        state = cursor.fetchone()[0]
        if state not in (RunState.RUNNING, RunState.PAUSED):
            return False
        mine = SweepChunk.objects.filter(
            pk=held.id, token=held.token, state=SweepChunk.State.TAKEN
        ).update(
            state=SweepChunk.State.DONE,
            rows_file=result.rows.tobytes(),
            places=result.places,
            refused=result.refused,
            finished_at=utc_now(),
        )
        if not mine:
            return False
        new = copy_trials(run, prepared, result.variants)
        SweepChunk.objects.filter(pk=held.id).update(new_trials=new)
    return True


def tell_progress(run_id: int) -> float:
    """Bring the progress of a run up to its chunks, and give it."""
    with connection.cursor() as cursor:
        cursor.execute(PROGRESS, [run_id])
        row = cursor.fetchone()
    return float(row[0]) if row else 0.0


def copy_trials(run: ResearchRun, prepared: Prepared, variants: Sequence[Variant]) -> int:
    """Write variants as trials by COPY; those tried before are not written again.

    Rows go in by the order of their hash, so that two sweeps of the same variants wait for each
    other instead of locking each other out.
    """
    rows = list_trials(run, prepared, variants)
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE TEMP TABLE IF NOT EXISTS research_trials (LIKE trading_trial) ON COMMIT DROP"
        )
        cursor.execute("ALTER TABLE research_trials ALTER id DROP NOT NULL")
        cursor.execute("TRUNCATE research_trials")
        with cursor.copy(f"COPY research_trials ({NAMES}) FROM STDIN") as stream:
            for row in rows:
                stream.write_row(row)
        cursor.execute(
            f"INSERT INTO trading_trial ({NAMES}) SELECT {NAMES} FROM research_trials "  # noqa: S608 - fixed names
            "ORDER BY inputs_hash ON CONFLICT (inputs_hash) DO NOTHING"
        )
        return int(cursor.rowcount)


def list_trials(
    run: ResearchRun, prepared: Prepared, variants: Sequence[Variant]
) -> list[tuple[object, ...]]:
    """The rows of variants in the register of trials."""
    sleeve = prepared.request.sleeves[0]
    first, last = (isoformat_z(from_milliseconds(int(prepared.market.time_ms[k]))) for k in (0, -1))
    now = isoformat_z(utc_now())
    rows: list[tuple[object, ...]] = []
    for variant in variants:
        parameters = {**sleeve.parameters, **variant.parameters}
        plain = {name: text_of(value) for name, value in parameters.items()}
        facts = variant.facts
        rows.append(
            (
                run.family,
                sleeve.strategy,
                canonical_json({sleeve.strategy: plain}),
                hash_trial(prepared.trial_base, prepared.strategies, variant.parameters),
                prepared.data_hash,
                run.pk,
                facts.sharpe if facts else None,
                facts.days if facts else 0,
                variant.trades,
                clean(variant.seen),
                clean(variant.unseen),
                clean(variant.total_return),
                clean(variant.drawdown_max),
                first,
                last,
                now,
            )
        )
    return rows
