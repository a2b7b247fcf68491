"""Sweeps as stored runs: every variant a trial of its family, written by COPY in one commit."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict
from statistics import median
from typing import Any

from django.db import connection, transaction

from magnetfund.core.actors import Actor
from magnetfund.core.roles import Capability
from magnetfund.kernel.clock import from_milliseconds, isoformat_z, utc_now
from magnetfund.kernel.errors import InvalidInput
from magnetfund.kernel.identifiers import canonical_json, content_hash
from trading.domain.research.coverage import InstrumentSeries
from trading.domain.research.figures import clean
from trading.domain.research.parameters import text_of
from trading.domain.research.request import BacktestRequest, request_of
from trading.domain.research.run import Prepared, build
from trading.domain.research.sweep import (
    Sweep,
    Variant,
    check_sweepable,
    hash_variant,
    name_shape,
    read_space,
    run_sweep,
    tabulate_surface,
)
from trading.models import ResearchRun, RunState
from trading.services.instruments import get_instrument
from trading.services.research.backtests import (
    begin_work,
    find_finished,
    finish_run,
    prepare_stored,
    refuse_run,
    repeat_run,
    store_question,
)
from trading.services.research.catalogue import load_catalogue

SHOWN_MAX = 30
PROGRESS_SECONDS = 1.0
COLUMNS = (
    "family", "strategy", "parameters", "inputs_hash", "data_hash", "run_id", "sharpe_daily",
    "days", "trades", "seen", "unseen", "total_return", "drawdown_max", "first_at", "last_at",
    "recorded_at",
)  # fmt: skip


def ask_sweep(
    *,
    request: BacktestRequest,
    space: dict[str, str],
    count: int,
    seed: int,
    actor: Actor,
    by_person: bool = True,
    stored_candles: bool = True,
) -> ResearchRun:
    """Check a sweep and put it into the queue; raises :class:`InvalidInput`, ``NotAllowed``."""
    if by_person:
        actor.require(Capability.RESEARCH_RUN)
    catalogue = load_catalogue()
    check_sweepable(request)
    sleeve = request.sleeves[0]
    build(catalogue.builders, sleeve.strategy, sleeve.parameters)
    read_space(catalogue.builders[sleeve.strategy], space, count=count, seed=seed)
    for name in request.instruments if stored_candles else ():
        get_instrument(name)
    return store_question(
        ResearchRun.Kind.SWEEP,
        request,
        actor,
        catalogue,
        sweep={"space": space, "count": count, "seed": seed},
    )


def work_sweep(
    run: ResearchRun,
    *,
    series: dict[str, InstrumentSeries] | None = None,
    on_variant: Callable[[], None] | None = None,
) -> ResearchRun:
    """Work on one claimed sweep to its end; its trials and its result are one commit."""
    begin_work(run)
    began = time.monotonic()
    plain = dict(run.request)
    asked = plain.pop("sweep")
    try:
        request = request_of(plain)
        catalogue = load_catalogue()
        prepared = prepare_stored(request, catalogue, series)
        builder = catalogue.builders[request.sleeves[0].strategy]
        space = read_space(builder, asked["space"], count=asked["count"], seed=asked["seed"])
        inputs_hash = content_hash({"backtest": prepared.inputs_hash, "sweep": asked})
        known = find_finished(run.kind, inputs_hash)
        if known is not None:
            return repeat_run(run, known)
        catalogue.require_sound(prepared)
        total = min(space.count or space.size, space.size)
        sweep = run_sweep(
            prepared=prepared,
            builders=catalogue.builders,
            space=space,
            on_variant=_Progress(run, total, on_variant),
        )
    except InvalidInput as error:
        return refuse_run(run, error)
    if run.state == RunState.CANCELLED:
        return run
    run.result = {"sweep": describe_sweep(sweep), "space": asked["space"]}
    run.strategy_version = prepared.strategies[0].traits.version[:80]
    run.inputs_hash, run.data_hash, run.seed = inputs_hash, prepared.data_hash, asked["seed"]
    run.wall_ms = round(1000 * (time.monotonic() - began))
    with transaction.atomic():
        run.result["new_trials"] = copy_trials(run, prepared, sweep.variants)
        finish_run(run)
    return run


class _Progress:
    """Tells the row how far a sweep is, once a second, and learns there that it is cancelled."""

    def __init__(self, run: ResearchRun, total: int, also: Callable[[], None] | None) -> None:
        self._run, self._total, self._also = run, max(total, 1), also
        self._done, self._told = 0, time.monotonic()

    def __call__(self) -> bool:
        self._done += 1
        if self._also is not None:
            self._also()
        if time.monotonic() - self._told < PROGRESS_SECONDS:
            return True
        self._told = time.monotonic()
        moved = ResearchRun.objects.filter(pk=self._run.pk, state=RunState.RUNNING).update(
            progress=self._done / self._total
        )
        if not moved:
            self._run.state = RunState.CANCELLED
        return bool(moved)


def cancel_run(*, run: ResearchRun, actor: Actor) -> bool:
    """Stop an open run; what a sweep tried so far is not counted, for nobody saw it."""
    actor.require(Capability.RESEARCH_RUN)
    moved = ResearchRun.objects.filter(
        pk=run.pk, state__in=[RunState.WAITING, RunState.RUNNING]
    ).update(state=RunState.CANCELLED, finished_at=utc_now(), refusal=f"cancelled by {actor.label}")
    return bool(moved)


def copy_trials(run: ResearchRun, prepared: Prepared, variants: tuple[Variant, ...]) -> int:
    """Write every variant as a trial by COPY; those tried before are not written again."""
    sleeve = prepared.request.sleeves[0]
    first, last = (from_milliseconds(int(prepared.market.time_ms[k])) for k in (0, -1))
    now = isoformat_z(utc_now())
    rows = []
    for variant in variants:
        parameters = {**sleeve.parameters, **variant.parameters}
        plain = {name: text_of(value) for name, value in parameters.items()}
        facts = variant.facts
        rows.append(
            (
                run.family,
                sleeve.strategy,
                canonical_json({sleeve.strategy: plain}),
                hash_variant(prepared, parameters),
                prepared.data_hash,
                run.pk,
                facts.sharpe if facts else None,
                facts.days if facts else 0,
                variant.trades,
                clean(variant.seen),
                clean(variant.unseen),
                clean(variant.total_return),
                clean(variant.drawdown_max),
                isoformat_z(first),
                isoformat_z(last),
                now,
            )
        )
    names = ", ".join(COLUMNS)
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE TEMP TABLE IF NOT EXISTS research_trials (LIKE trading_trial) ON COMMIT DROP"
        )
        cursor.execute("ALTER TABLE research_trials ALTER id DROP NOT NULL")
        with cursor.copy(f"COPY research_trials ({names}) FROM STDIN") as stream:
            for row in rows:
                stream.write_row(row)
        cursor.execute(
            f"INSERT INTO trading_trial ({names}) SELECT {names} FROM research_trials "  # noqa: S608 - fixed names
            "ON CONFLICT (inputs_hash) DO NOTHING"
        )
        return int(cursor.rowcount)


def describe_sweep(sweep: Sweep) -> dict[str, Any]:
    """A sweep as plain data: the best variants, the surface, how far to believe it."""
    order = sorted(range(len(sweep.variants)), key=lambda k: -sweep.variants[k].seen)
    swept = list(sweep.variants[0].parameters)
    surface = None
    if len(swept) >= 2:
        surface = tabulate_surface(sweep.variants, swept[0], swept[1])
    elif swept:
        surface = tabulate_surface(sweep.variants, swept[0], swept[0])
        surface["rows"] = [_diagonal(surface)]
    facts = sweep.variants[sweep.best].facts
    plain: dict[str, Any] = clean(
        {
            "variants": len(sweep.variants),
            "refused": sweep.refused,
            "cut_ms": sweep.cut_ms,
            "best": _plain_variant(sweep.variants[sweep.best]),
            "facts": asdict(facts) if facts else None,
            "top": [_plain_variant(sweep.variants[k]) for k in order[:SHOWN_MAX]],
            "surface": surface,
            "neighbours": sweep.neighbours,
            "shape": name_shape(
                best=sweep.variants[sweep.best].seen,
                neighbours=sweep.neighbours,
                median=median(variant.seen for variant in sweep.variants),
            ),
            "overfitting": asdict(sweep.overfitting) if sweep.overfitting else None,
            "walks": [
                {
                    "kind": walk.kind,
                    "sharpe": walk.sharpe,
                    "sharpe_seen": walk.sharpe_seen_mean,
                    "stretches": walk.stretches,
                }
                for walk in sweep.walks
            ],
        }
    )
    return plain


def _plain_variant(variant: Variant) -> dict[str, Any]:
    return {
        "parameters": {name: text_of(value) for name, value in variant.parameters.items()},
        "seen": variant.seen,
        "unseen": variant.unseen,
        "total_return": variant.total_return,
        "drawdown_max": variant.drawdown_max,
        "trades": variant.trades,
    }


def _diagonal(surface: dict[str, Any]) -> dict[str, Any]:
    """One parameter alone: its values side by side."""
    cells = [row["cells"][k] for k, row in enumerate(surface["rows"])]
    return {"name": "", "cells": cells}
