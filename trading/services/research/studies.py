"""Studies as stored runs on stored or given candles: how they are asked for, and the evidence."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from django.conf import settings
from django.db import transaction

from magnetfund.core.actors import Actor
from magnetfund.core.roles import Capability
from magnetfund.core.services.audit import record_audit
from magnetfund.kernel.clock import to_milliseconds, utc_now
from magnetfund.kernel.errors import InvalidInput
from magnetfund.kernel.identifiers import content_hash
from trading.domain.evidence import (
    EvidenceJudgement,
    EvidenceRun,
    EvidenceState,
    calibrate_targets,
    find_band_alarms,
    judge_evidence,
    measure_bands,
    run_evidence_test,
)
from trading.domain.magnets import MagnetSignals, compute_magnet_signals
from trading.domain.market.candles import Candles
from trading.domain.research.figures import clean
from trading.models import ResearchRun, RunState
from trading.services.candle_store import load_candles
from trading.services.instruments import get_instrument
from trading.services.membership import members_of
from trading.services.research.backtests import (
    begin_work,
    close_run,
    find_finished,
    refuse_run,
    repeat_run,
)

EVIDENCE_SEED = 20_170_817
SURVIVAL_SEED = 1
PATHS_MIN, PATHS_MAX = 1_000, 200_000


def ask_study(
    *,
    kind: str,
    instrument: str,
    actor: Actor,
    by_person: bool = True,
    stored_candles: bool = True,
    start_ms: int | None = None,
    end_ms: int | None = None,
    seed: int | None = None,
    paths: int = 20_000,
    left_out: Sequence[tuple[int, int]] = (),
) -> ResearchRun:
    """Put a study of one instrument's stored hours into the queue.

    ``left_out`` are spans in milliseconds that a study of survival draws no hour from.
    """
    if by_person:
        actor.require(Capability.RESEARCH_RUN)
    if stored_candles:
        get_instrument(instrument)
    if not PATHS_MIN <= paths <= PATHS_MAX:
        raise InvalidInput(
            f"paths must lie between {PATHS_MIN:,} and {PATHS_MAX:,}", code="out_of_bounds"
        )
    usual = EVIDENCE_SEED if kind == ResearchRun.Kind.EVIDENCE else SURVIVAL_SEED
    if any(first >= last for first, last in left_out):
        raise InvalidInput("days left out end before they begin", code="bad_span")
    request: dict[str, Any] = {
        "instrument": instrument,
        "start_ms": start_ms,
        "end_ms": end_ms,
        "seed": usual if seed is None else seed,
        "paths": paths,
    }
    if left_out:
        request["left_out"] = [list(span) for span in left_out]
    title = "Do magnets attract the price" if kind == "evidence" else "Survival of a year"
    with transaction.atomic():
        run = ResearchRun.objects.create(
            kind=kind,
            title=f"{title}, {instrument}"[:160],
            family=kind,
            request=request,
            seed=request["seed"],
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


def ask_weekly_evidence(book: str) -> int:
    """Ask for a study of the magnets of every instrument of a book; one that waits is enough.

    Returns how many were asked.  The job of beat: hours that came since the last study make another
    one, and equal hours are answered by the stored one.
    """
    symbols = [item.symbol for item in members_of(book).instruments]
    return sum(
        ask_unless_waiting(kind=ResearchRun.Kind.EVIDENCE, instrument=symbol) for symbol in symbols
    )


def ask_unless_waiting(*, kind: str, instrument: str) -> bool:
    """Ask for a study as the platform's weekly job; False where such a study waits already."""
    waits = ResearchRun.objects.filter(
        kind=kind,
        state__in=[RunState.WAITING, RunState.RUNNING],
        request__instrument=instrument,
    )
    if waits.exists():
        return False
    ask_study(
        kind=kind, instrument=instrument, actor=Actor.system(f"weekly {kind}"), by_person=False
    )
    return True


def work_evidence(run: ResearchRun, *, candles: Candles | None = None) -> ResearchRun:
    """The evidence test over the instrument's hours; Holm's correction counts earlier markets."""
    if not begin_work(run):
        return run
    began = time.monotonic()
    asked = run.request
    try:
        bars = candles or stored_hours(asked)
        earlier = _earlier_p_values(run)
        run.data_hash = hash_candles(bars)
        run.inputs_hash = content_hash(
            {
                "asked": asked,
                "data": run.data_hash,
                "earlier": earlier,
                "judged": "twice, calibrated with races",
            }
        )
        known = find_finished(run.kind, run.inputs_hash)
        if known is not None:
            return repeat_run(run, known)
        found = run_evidence_test(
            candles=bars,
            market=asked["instrument"],
            seed=asked["seed"],
            first_at=asked["start_ms"],
            last_at=asked["end_ms"],
            earlier_p_values=earlier,
        )
        judged = _judge_twice(bars, found, asked=asked, earlier=earlier)
        signals = compute_magnet_signals(candles=bars)
        readings = _measure_readings(signals, found)
        calibration = _calibrate(bars, signals, found)
    except InvalidInput as error:
        run.inputs_hash = ""
        return refuse_run(run, error)
    rows = [asdict(row) for row in found.rows if row.first.n]
    best = max((row for row in found.rows if not row.control and row.first.n),
               key=lambda row: row.first.z, default=None)  # fmt: skip
    shown = [
        row.name for row in found.rows
        if not row.control and row.first.n and row.first.z > 0 and row.p_holm < 0.05
    ]  # fmt: skip
    supported = [one.name for one in judged if one.state is EvidenceState.SUPPORTED]
    run.result = clean(
        {
            "rows": rows,
            "judged": [asdict(one) for one in judged],
            "void": found.void,
            "bars": found.bars,
            "decisions": found.decisions,
            "first_ms": found.first_at,
            "last_ms": found.last_at,
            "levels_version": found.levels_version,
            "corrected_for": len(earlier),
            "attracting": shown,
            "best": None if best is None else {"name": best.name, "z": best.first.z,
                                               "p_holm": best.p_holm},
            "sentence": _evidence_sentence(found.void, shown, supported),
            "readings": readings,
            "calibration": calibration,
        }
    )  # fmt: skip
    run.wall_ms = round(1000 * (time.monotonic() - began))
    return close_run(run)


def _judge_twice(
    bars: Candles, whole: EvidenceRun, *, asked: Mapping[str, Any], earlier: list[float]
) -> tuple[EvidenceJudgement, ...]:
    """The verdict on each kind: shown in the first two thirds of the span, and again in the last.

    Without a decision in one of the parts there is nothing to confirm by, and all stay unproven.
    """
    cut_ms = whole.first_at + (whole.last_at - whole.first_at) * 2 // 3
    parts: list[EvidenceRun] = []
    for first_at, last_at in ((asked["start_ms"], cut_ms), (cut_ms, asked["end_ms"])):
        try:
            parts.append(
                run_evidence_test(
                    candles=bars,
                    market=whole.market,
                    seed=whole.seed,
                    first_at=first_at,
                    last_at=last_at,
                    earlier_p_values=earlier,
                )
            )
        except InvalidInput as error:
            if error.code != "no_decisions":
                raise
    if not parts:
        return ()
    judged_at = to_milliseconds(utc_now())
    return tuple(
        judge_evidence(
            name=row.name,
            in_sample=parts[0],
            out_of_sample=parts[1] if len(parts) > 1 else None,
            judged_at=judged_at,
        )
        for row in whole.rows
        if not row.control and row.first.n
    )


def _measure_readings(signals: MagnetSignals, found: EvidenceRun) -> dict[str, Any]:
    """How the readings of the span are spread, and the shares that left their bands."""
    bands = measure_bands(signals=signals, first_at=found.first_at - 1, last_at=found.last_at)
    return {**asdict(bands), "alarms": find_band_alarms(bands=bands)}


def _calibrate(bars: Candles, signals: MagnetSignals, found: EvidenceRun) -> dict[str, Any]:
    """Chance by strength that a target is reached before its mirror point, as plain steps."""
    fitted = calibrate_targets(
        candles=bars, signals=signals, first_at=found.first_at, last_at=found.last_at
    )
    columns = (fitted.strengths, fitted.chances, fitted.counts)
    steps = zip(*(column.tolist() for column in columns), strict=True)
    return {
        "races": fitted.races,
        "steps": [
            {"to": to, "chance": chance, "races": int(count), "calibrated": fitted.calibrate(to)}
            for to, chance, count in steps
        ],
    }


def _evidence_sentence(void: bool, attracting: list[str], supported: list[str]) -> str:
    if void:
        return "Void: the control of random prices is not clean, so nothing may be concluded."
    if not attracting:
        return (
            "No. Price did not reach any kind of magnet before its mirror point more often than "
            "chance, after correction for everything that was tried."
        )
    found = f"Price reached {', '.join(attracting)} before the mirror point more often than chance"
    if not supported:
        return f"{found}, but not in both parts of the history: unproven."
    return f"{found}; confirmed in the last third of the history: {', '.join(supported)}."


def _earlier_p_values(run: ResearchRun) -> list[float]:
    """The newest p values of every other market: all that was tried counts in the correction."""
    newest: dict[str, list[float]] = {}
    done = ResearchRun.objects.filter(kind=run.kind, state=RunState.DONE).order_by("pk")
    for other in done.only("request", "result"):
        name = other.request["instrument"]
        if name != run.request["instrument"]:
            newest[name] = [
                row["p_value"] for row in other.result["rows"]
                if not row["control"] and row["p_value"] is not None
            ]  # fmt: skip
    return [value for name in sorted(newest) for value in newest[name]]


def hash_candles(candles: Candles) -> str:
    """sha256 over every number of the candles."""
    import hashlib

    digest = hashlib.sha256()
    for name in ("open_time", "open", "high", "low", "close", "volume"):
        digest.update(np.ascontiguousarray(getattr(candles, name)).tobytes())
    return digest.hexdigest()


def stored_hours(asked: Mapping[str, Any]) -> Candles:
    """All stored hours: evidence warms up on those before its span."""
    candles = load_candles(get_instrument(asked["instrument"]), "1h")
    if not len(candles):
        raise InvalidInput(
            f"there are no hourly candles of {asked['instrument']}; import them first",
            code="no_candles",
        )
    return candles
