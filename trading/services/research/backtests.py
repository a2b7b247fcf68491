"""Backtests: asked for by a person, a command or the API; worked on by whoever claims the row.

The row is the queue.  A worker holds a session lock on the run's number while it works, so a run
whose worker died is taken up again at once, and nobody works on one that is being worked on.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction

from magnetfund.core.actors import Actor
from magnetfund.core.locks import AdvisoryLock, release_session_lock, try_session_lock
from magnetfund.core.roles import Capability
from magnetfund.core.services.audit import record_audit
from magnetfund.kernel.clock import from_milliseconds, utc_now
from magnetfund.kernel.errors import FundError, InvalidInput, InvariantBroken
from magnetfund.kernel.identifiers import content_hash
from risk.domain.fuse import FuseRules
from risk.services.limits import limits_in_force
from trading.domain.engine.rules import LimitRules
from trading.domain.market.candles import Candles
from trading.domain.research.controls import measure_controls
from trading.domain.research.coverage import InstrumentSeries
from trading.domain.research.figures import (
    build_figures,
    clean,
    compute_trial_facts,
    describe_trades,
)
from trading.domain.research.identity import hash_trial
from trading.domain.research.request import BacktestRequest, request_of
from trading.domain.research.run import Backtest, Prepared, build, prepare, run_backtest
from trading.domain.strategies.base import Strategy
from trading.domain.strategies.registry import compute_columns
from trading.domain.strategies.shared import SharedBars
from trading.domain.strategies.signals import Signals
from trading.models import ResearchRun, RunState, Trial
from trading.services.blackouts import read_blackouts
from trading.services.instruments import get_instrument
from trading.services.research.catalogue import Catalogue, load_catalogue
from trading.services.research.child_process import hold_processes
from trading.services.research.magnet_files import keep_magnets
from trading.services.research.series import load_series
from trading.services.research.tables import encode_equity, encode_trades

#: In a request: the command that asks has the candles, and nobody else can work on it.
FROM_FILE = "from_file"
WORKED_ON = ("state", "result", "trades_file", "equity_file", "inputs_hash", "data_hash")


def ask_backtest(
    *,
    request: BacktestRequest,
    actor: Actor,
    by_person: bool = True,
    stored_candles: bool = True,
) -> ResearchRun:
    """Check a request and put it into the queue; without ``stored_candles`` the asking process
    alone can work on it.

    Raises :class:`InvalidInput` for what can be known before candles are read, and
    :class:`NotAllowed` where a person lacks the right to run research.
    """
    if by_person:
        actor.require(Capability.RESEARCH_RUN)
    catalogue = load_catalogue()
    for sleeve in request.sleeves:
        if sleeve.strategy in catalogue.broken:
            raise InvalidInput(catalogue.broken[sleeve.strategy], code="strategy_failed")
        build(catalogue.builders, sleeve.strategy, sleeve.parameters)
    for name in request.instruments if stored_candles else ():
        get_instrument(name)
    source = {} if stored_candles else {FROM_FILE: True}
    return store_question(ResearchRun.Kind.BACKTEST, request, actor, catalogue, **source)


def store_question(
    kind: str, request: BacktestRequest, actor: Actor, catalogue: Catalogue, **extra: Any
) -> ResearchRun:
    """The waiting row of a question, with its audit line."""
    first = request.sleeves[0]
    names = " and ".join(sleeve.strategy for sleeve in request.sleeves)
    with transaction.atomic():
        run = ResearchRun.objects.create(
            kind=kind,
            title=f"{names}, {', '.join(request.instruments)}"[:160],
            family=catalogue.family_of(first.strategy),
            request={**request.plain(), **extra},
            code_version=settings.BUILD_ID[:60],
            asked_by=actor.user,
            actor_label=actor.label[:120],
        )
        record_audit(
            actor=actor,
            action=f"research.{kind}_asked",
            subject=("researchrun", run.pk),
            body={"title": run.title},
        )
    return run


@contextmanager
def hold_run(run_id: int) -> Iterator[bool]:
    """The session lock of a run; False where another worker holds it."""
    is_mine = try_session_lock(AdvisoryLock.RESEARCH_RUN, run_id)
    try:
        yield is_mine
    finally:
        if is_mine:
            release_session_lock(AdvisoryLock.RESEARCH_RUN, run_id)


@hold_processes()
def work_backtest(
    run: ResearchRun, *, series: Mapping[str, InstrumentSeries] | None = None
) -> ResearchRun:
    """Work on one claimed backtest to its end; a refusal is an answer and is stored."""
    if not begin_work(run):
        return run
    began = time.monotonic()
    try:
        request = request_of({k: v for k, v in run.request.items() if k != FROM_FILE})
        catalogue = load_catalogue()
        prepared = prepare_stored(request, catalogue, series)
        inputs_hash = prepared.inputs_hash
        if request.controls:
            inputs_hash = content_hash([inputs_hash, "controls", request.controls])
        known = find_finished(run.kind, inputs_hash)
        if known is not None:
            return repeat_run(run, known)
        catalogue.require_sound(prepared)
        backtest = run_backtest(prepared, columns=_compute_columns)
        controls = _run_controls(backtest, catalogue, series)
    except (InvalidInput, InvariantBroken) as error:  # a file of old minutes that is gone
        return refuse_run(run, error)
    figures = {**build_figures(backtest), "controls": controls}
    facts = compute_trial_facts(backtest.result, prepared.rules)
    rows = describe_trades(backtest.result.trades, prepared.rules, prepared.executed)
    run.result = {
        "figures": figures,
        "facts": None
        if facts is None
        else {
            "sharpe": facts.sharpe,
            "days": facts.days,
            "skewness": facts.skewness,
            "kurtosis": facts.kurtosis,
        },
        "parameters": catalogue.describe(prepared.strategies),
        "limits": {
            "version": prepared.rules.fuse.limits_version,
            "drawdown_share": prepared.rules.fuse.drawdown_share,
        }
        if prepared.request.rules == "fund"
        else None,
    }
    run.trades_file, run.equity_file = encode_trades(rows), encode_equity(backtest)
    run.strategy_version = ", ".join(s.traits.version for s in prepared.strategies)[:80]
    run.inputs_hash, run.data_hash = inputs_hash, prepared.data_hash
    run.wall_ms = round(1000 * (time.monotonic() - began))
    trial = Trial(
        family=run.family,
        strategy=" and ".join(s.strategy for s in prepared.request.sleeves)[:60],
        parameters={s.strategy: dict(s.parameters) for s in prepared.request.sleeves},
        inputs_hash=hash_trial(prepared.trial_base, prepared.strategies),
        data_hash=prepared.data_hash,
        run=run,
        sharpe_daily=facts.sharpe if facts else None,
        days=facts.days if facts else 0,
        trades=len(rows),
        total_return=figures["metrics"]["total_return"],
        drawdown_max=figures["metrics"]["drawdown_max"],
        first_at=from_milliseconds(int(prepared.market.time_ms[0])),
        last_at=from_milliseconds(int(prepared.market.time_ms[-1])),
    )
    return close_run(run, trials=[trial])


def _compute_columns(strategy: Strategy, candles: Candles) -> Signals:
    """The signals of a strategy; readings of magnets are kept for the next run."""
    shared = SharedBars(candles, keep_magnets=keep_magnets)
    return compute_columns(strategy=strategy, candles=candles, shared=shared)


def _run_controls(
    backtest: Backtest,
    catalogue: Catalogue,
    series: Mapping[str, InstrumentSeries] | None,
) -> list[dict[str, Any]]:
    """The controls that the request asks for, as plain rows; none of them is a trial."""
    request = backtest.prepared.request
    if not request.controls:
        return []
    known = series or load_series(request)

    def again(candles: Mapping[str, Candles]) -> Prepared:
        mixed = {
            name: replace(item, candles=candles[name]) if name in candles else item
            for name, item in known.items()
        }
        return prepare_stored(replace(request, gap_share_max=1.0), catalogue, mixed)

    found = measure_controls(backtest, draws=request.controls, again=again)
    rows: list[dict[str, Any]] = clean([asdict(item) for item in found])
    return rows


def prepare_stored(
    request: BacktestRequest,
    catalogue: Catalogue,
    series: Mapping[str, InstrumentSeries] | None = None,
) -> Prepared:
    """A request on stored candles (or given ones) with the limits in force."""
    limits = limits_in_force(settings.MAGNET_BOOK)
    return prepare(
        request=request,
        series=series or load_series(request),
        builders=catalogue.builders,
        sources={s.strategy: catalogue.source_of(s.strategy) for s in request.sleeves},
        limits=LimitRules.of_limit_set(limits),
        fuse=FuseRules.of_limit_set(limits),
        opposite_reach=float(limits.opposite_distance_atr),
        blackouts=read_blackouts(
            settings.MAGNET_BOOK, start_ms=request.start_ms, end_ms=request.end_ms
        ),
    )


def find_finished(kind: str, inputs_hash: str) -> ResearchRun | None:
    """The finished run of equal inputs, if there is one."""
    return ResearchRun.objects.filter(
        kind=kind, inputs_hash=inputs_hash, state=RunState.DONE
    ).first()


def begin_work(run: ResearchRun) -> bool:
    """Mark a run as being worked on; False where it was cancelled meanwhile, or is finished."""
    began = utc_now()
    is_open = bool(
        ResearchRun.objects.filter(pk=run.pk, state__in=(RunState.WAITING, RunState.RUNNING))
        .update(state=RunState.RUNNING, started_at=began)
    )  # fmt: skip
    if is_open:
        run.state, run.started_at = RunState.RUNNING, began
    else:
        run.refresh_from_db(fields=["state", "result", "refusal", "refusal_code"])
    return is_open


def finish_run(run: ResearchRun) -> None:
    """Store a finished run with everything that it gave."""
    run.state, run.finished_at, run.progress = RunState.DONE, utc_now(), 1.0
    run.save(
        update_fields=[
            *WORKED_ON, "strategy_version", "family", "wall_ms", "finished_at", "progress",
        ]
    )  # fmt: skip


def close_run(run: ResearchRun, *, trials: Sequence[Trial] = ()) -> ResearchRun:
    """Store a finished run with its trials, unless it was cancelled meanwhile.

    Where equal inputs were finished first, by another worker, that run is given.
    """
    try:
        with transaction.atomic():
            held = ResearchRun.objects.select_for_update().only("state").get(pk=run.pk)
            if held.state != RunState.RUNNING:
                run.refresh_from_db(fields=["state", "result", "refusal", "refusal_code"])
                return run
            finish_run(run)
            Trial.objects.bulk_create(trials, ignore_conflicts=True)
    except IntegrityError:
        known = find_finished(run.kind, run.inputs_hash)
        if known is None:
            raise
        return repeat_run(run, known)
    return run


def require_done(run: ResearchRun) -> None:
    """Raise :class:`InvalidInput` for a run that was refused, with its code, or ``cancelled``."""
    if run.state == RunState.REFUSED:
        raise InvalidInput(run.refusal, code=run.refusal_code)
    if run.state == RunState.CANCELLED:
        raise InvalidInput(f"run {run.pk} was {run.refusal or 'cancelled'}", code="cancelled")


def refuse_run(run: ResearchRun, error: FundError) -> ResearchRun:
    """Store why a run was refused; nothing of it counts as a trial."""
    return _end_run(run, RunState.REFUSED, error.code, error.message)


def fail_run(run: ResearchRun, error: Exception) -> ResearchRun:
    """Store that a run broke; the log holds the trace."""
    return _end_run(run, RunState.FAILED, "failed", f"{type(error).__name__}: {error}")


def _end_run(run: ResearchRun, state: RunState, code: str, words: str) -> ResearchRun:
    """End an open run without a result; one that was cancelled meanwhile stays so."""
    opened = (RunState.WAITING, RunState.RUNNING, RunState.PAUSED)
    ResearchRun.objects.filter(pk=run.pk, state__in=opened).update(
        state=state, finished_at=utc_now(), refusal_code=code[:60], refusal=words[:400]
    )
    run.refresh_from_db(fields=["state", "finished_at", "refusal_code", "refusal"])
    return run


def repeat_run(run: ResearchRun, known: ResearchRun) -> ResearchRun:
    """Point a run at the finished one of equal inputs, and give that one.

    A run that another process finished meanwhile is that one itself, and keeps its result.
    """
    if known.pk == run.pk:
        return known
    run.state, run.finished_at, run.progress = RunState.REPEATED, utc_now(), 1.0
    run.result = {"same_as": known.pk}
    run.save(update_fields=["state", "finished_at", "progress", "result"])
    return known
