"""Evidence of magnets and survival of accounts as stored runs on stored or given candles."""

from __future__ import annotations

import time
from collections.abc import Mapping
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
from risk.domain.limits import Limits
from risk.domain.liquidation import AccountRules, build_bootstrap_bars, simulate_account_years
from risk.services.limits import limits_in_force
from trading.domain.evidence import (
    EvidenceJudgement,
    EvidenceRun,
    EvidenceState,
    judge_evidence,
    run_evidence_test,
)
from trading.domain.market.candles import HOUR_MS, Candles
from trading.domain.research.figures import clean
from trading.models import ResearchRun, RunState
from trading.services.candle_store import load_candles
from trading.services.instruments import get_instrument
from trading.services.membership import members_of
from trading.services.research.backtests import (
    begin_work,
    find_finished,
    finish_run,
    refuse_run,
    repeat_run,
)

EVIDENCE_SEED = 20_170_817
SURVIVAL_SEED = 1
PATHS_MIN, PATHS_MAX = 1_000, 200_000
HORIZONS_DAYS = (1, 7, 30, 365)
BARS_MIN = 24 * 60


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
) -> ResearchRun:
    """Put a study of one instrument's stored hours into the queue."""
    if by_person:
        actor.require(Capability.RESEARCH_RUN)
    if stored_candles:
        get_instrument(instrument)
    if not PATHS_MIN <= paths <= PATHS_MAX:
        raise InvalidInput(
            f"paths must lie between {PATHS_MIN:,} and {PATHS_MAX:,}", code="out_of_bounds"
        )
    usual = EVIDENCE_SEED if kind == ResearchRun.Kind.EVIDENCE else SURVIVAL_SEED
    request = {
        "instrument": instrument,
        "start_ms": start_ms,
        "end_ms": end_ms,
        "seed": usual if seed is None else seed,
        "paths": paths,
    }
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
    kind, asked = ResearchRun.Kind.EVIDENCE, 0
    waiting = set(
        ResearchRun.objects.filter(
            kind=kind, state__in=[RunState.WAITING, RunState.RUNNING]
        ).values_list("request__instrument", flat=True)
    )
    for instrument in members_of(book).instruments:
        if instrument.symbol in waiting:
            continue
        actor = Actor.system("weekly evidence")
        ask_study(kind=kind, instrument=instrument.symbol, actor=actor, by_person=False)
        asked += 1
    return asked


def work_evidence(run: ResearchRun, *, candles: Candles | None = None) -> ResearchRun:
    """The evidence test over the instrument's hours; Holm's correction counts earlier markets."""
    begin_work(run)
    began = time.monotonic()
    asked = run.request
    try:
        bars = candles or _hours(asked)
        earlier = _earlier_p_values(run)
        run.data_hash = hash_candles(bars)
        run.inputs_hash = content_hash(
            {"asked": asked, "data": run.data_hash, "earlier": earlier, "judged": "twice"}
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
        }
    )  # fmt: skip
    run.wall_ms = round(1000 * (time.monotonic() - began))
    finish_run(run)
    return run


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


def find_accounts(limits: Limits) -> tuple[tuple[str, str, AccountRules], ...]:
    """The accounts of the survival study: name, group, rules.

    The headline (10x all-in) beside the fund's rules, and the rows of a late fuse, which change
    the answer a hundredfold.
    """
    fund: dict[str, Any] = {
        "leverage": float(limits.leverage_max),
        "margin_cap": float(limits.margin_share_tier_1),
        "with_fuse": True,
        "daily_loss": float(limits.daily_loss_share),
        "drawdown": float(limits.drawdown_share),
    }
    cap = f"{fund['leverage']:g}x, {fund['margin_cap']:.0%} margin"
    late = {**fund, "margin_cap": 1.0}
    return (
        ("10x all-in, no fuse", "headline", AccountRules(leverage=10.0)),
        (f"{cap}, fuse armed again after 7 days", "fund", AccountRules(**fund)),
        (f"{cap}, fuse halts for good", "fund", AccountRules(**fund, cool_off_hours=0)),
        (f"{cap}, fuse 4 hours late", "fund", AccountRules(**fund, latency_hours=4)),
        (f"{cap}, fuse a day late", "fund", AccountRules(**fund, latency_hours=24)),
        ("1x all-in, no fuse", "comparison", AccountRules(leverage=1.0)),
        ("3x all-in, no fuse", "comparison", AccountRules(leverage=3.0)),
        ("3x all-in, fuse", "comparison", AccountRules(**late)),
        ("3x all-in, fuse 4 hours late", "comparison", AccountRules(**late, latency_hours=4)),
        ("3x all-in, fuse a day late", "comparison", AccountRules(**late, latency_hours=24)),
        ("10x all-in, perfect fuse", "comparison", AccountRules(leverage=10.0, with_fuse=True)),
    )


def work_survival(run: ResearchRun, *, candles: Candles | None = None) -> ResearchRun:
    """Bootstrapped accounts without an edge: liquidated, ruined, ever under half, by horizon."""
    begin_work(run)
    began = time.monotonic()
    asked = run.request
    try:
        bars = _cut(candles or _hours(asked), asked)
        if len(bars) < BARS_MIN:
            raise InvalidInput(
                f"{len(bars):,} hours are too few to draw a year from; at least {BARS_MIN:,}",
                code="too_few_candles",
            )
        accounts = find_accounts(limits_in_force(settings.MAGNET_BOOK))
        run.data_hash = hash_candles(bars)
        run.inputs_hash = content_hash(
            {
                "asked": asked,
                "data": run.data_hash,
                "accounts": [(name, asdict(rules)) for name, _, rules in accounts],
            }
        )
        known = find_finished(run.kind, run.inputs_hash)
        if known is not None:
            return repeat_run(run, known)
        drawn = build_bootstrap_bars(high=bars.high, low=bars.low, close=bars.close)
    except InvalidInput as error:
        run.inputs_hash = ""
        return refuse_run(run, error)
    rows = []
    for name, group, rules in accounts:
        row: dict[str, Any] = {"name": name, "group": group, "horizons": []}
        for days in HORIZONS_DAYS:
            found = simulate_account_years(
                bars=drawn, rules=rules, paths=asked["paths"], seed=asked["seed"], hours=24 * days
            )
            row["horizons"].append(
                {
                    "days": days,
                    "liquidated": _share(found.liquidated, found.paths),
                    "ruined": _share(found.ruined, found.paths),
                    "halved": _share(found.halved, found.paths),
                    "median": found.equity_median,
                    "trips": found.trips_mean,
                }
            )
        rows.append(row)
    run.result = clean(
        {
            "rows": rows,
            "bars": len(bars),
            "first_ms": int(bars.open_time[0]),
            "last_ms": int(bars.open_time[-1]) + HOUR_MS,
            "paths": asked["paths"],
            "sentence": _survival_sentence(rows),
            "assumptions": _survival_assumptions(asked),
        }
    )
    run.wall_ms = round(1000 * (time.monotonic() - began))
    finish_run(run)
    return run


def _share(value: float, paths: int) -> dict[str, float]:
    """A simulated share with its 95 % Wilson interval."""
    from risk.domain.readiness import compute_wilson_interval

    low, high = compute_wilson_interval(wins=round(value * paths), trades=paths)
    return {"value": value, "low": low, "high": high}


def _survival_sentence(rows: list[dict[str, Any]]) -> str:
    bold, fund = rows[0]["horizons"][-1], rows[1]["horizons"][-1]
    late = rows[4]["horizons"][-1]
    return (
        f"Of simulated years without an edge, {bold['liquidated']['value']:.1%} at 10x all-in were "
        f"liquidated and {bold['halved']['value']:.1%} fell below half; under the fund's rules "
        f"{fund['liquidated']['value']:.2%} were liquidated (at most "
        f"{fund['liquidated']['high']:.2%}) and {fund['halved']['value']:.2%} fell below half, "
        f"{late['halved']['value']:.2%} where the fuse came a day late."
    )


def _survival_assumptions(asked: Mapping[str, Any]) -> list[str]:
    return [
        f"Hours of {asked['instrument']} drawn in stretches of about 72, their drift removed: what "
        f"never happened in them cannot happen here.",
        "The account is always in the market, long, without an edge; fees and funding are paid.",
        "Ruined: below a tenth of the start at any hour. Below half is the second, milder measure.",
        "Margin rules of one isolated position; exchange failure and loss of keys are not in it.",
        f"{asked['paths']:,} paths a row, seed {asked['seed']}; intervals are of the simulation "
        f"alone, not of history.",
    ]


def hash_candles(candles: Candles) -> str:
    """sha256 over every number of the candles."""
    import hashlib

    digest = hashlib.sha256()
    for name in ("open_time", "open", "high", "low", "close", "volume"):
        digest.update(np.ascontiguousarray(getattr(candles, name)).tobytes())
    return digest.hexdigest()


def _cut(candles: Candles, asked: Mapping[str, Any]) -> Candles:
    """The hours of the asked span."""
    first, last = 0, len(candles)
    if asked["start_ms"] is not None:
        first = int(np.searchsorted(candles.open_time, asked["start_ms"]))
    if asked["end_ms"] is not None:
        last = int(np.searchsorted(candles.open_time, asked["end_ms"]))
    return candles.between(first, max(first, last))


def _hours(asked: Mapping[str, Any]) -> Candles:
    """All stored hours: evidence warms up on those before its span."""
    candles = load_candles(get_instrument(asked["instrument"]), "1h")
    if not len(candles):
        raise InvalidInput(
            f"there are no hourly candles of {asked['instrument']}; import them first",
            code="no_candles",
        )
    return candles
