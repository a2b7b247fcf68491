"""Reads of research: runs, their trials, and what is left of a result once those are counted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, F, Q, QuerySet, Sum, Variance
from django.db.models.functions import Now

from trading.domain.market.candles import TIMEFRAMES
from trading.domain.research.parameters import text_of
from trading.domain.research.trials import (
    YEAR_DAYS,
    Judgement,
    TrialFacts,
    TrialFamily,
    Verdict,
    judge,
)
from trading.models import Instrument, ResearchRun, RunState, SweepChunk, Trial
from trading.services.candle_store import stored_spans

RUNS_SHOWN = 25
COMPARED_MAX = 5
#: Columns of a run that no list needs.
HEAVY = ("trades_file", "equity_file")


@dataclass(frozen=True, slots=True, kw_only=True)
class FamilyRow:
    """A family of trials with its best finished backtest; Sharpe ratios are annual."""

    name: str
    trials: int
    best: float | None
    judgement: Judgement | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRow:
    """A run as a list shows it."""

    run: ResearchRun
    judgement: Judgement | None
    trades: int | None
    sharpe: float | None
    unseen: float | None


def find_families() -> dict[str, TrialFamily]:
    """Every family: the number of its trials and the variance of their daily Sharpe ratios."""
    rows = Trial.objects.values("family").annotate(
        trials=Count("id"), spread=Variance("sharpe_daily", sample=True)
    )
    return {
        row["family"]: TrialFamily(trials=row["trials"], variance=row["spread"]) for row in rows
    }


def family_named(name: str) -> TrialFamily:
    """One family; without any trial it counts none."""
    row = Trial.objects.filter(family=name).aggregate(
        trials=Count("id"), spread=Variance("sharpe_daily", sample=True)
    )
    return TrialFamily(trials=row["trials"], variance=row["spread"])


def count_all_trials() -> int:
    """Every trial of every family: a renamed idea cannot be known for what it is."""
    return Trial.objects.count()


def facts_of(result: Mapping[str, Any]) -> TrialFacts | None:
    """The stored facts of a finished backtest."""
    facts = result.get("facts")
    return TrialFacts(**facts) if facts else None


def judge_run(run: ResearchRun, family: TrialFamily | None = None) -> Judgement:
    """A finished backtest beside every trial of its family, as of now."""
    if run.kind == ResearchRun.Kind.SWEEP:
        sweep = run.result["sweep"]
        return judge(
            facts=facts_of(sweep),
            family=family or family_named(run.family),
            trades=sweep["best"]["trades"],
        )
    figures = run.result.get("figures", {})
    return judge(
        facts=facts_of(run.result),
        family=family or family_named(run.family),
        trades=figures.get("metrics", {}).get("trades", 0),
        is_open=bool(figures.get("open_positions")),
    )


def list_runs(
    *, kind: str = ResearchRun.Kind.BACKTEST, search: str = "", verdict: str = "", page: int = 1
) -> tuple[list[RunRow], int]:
    """Newest runs of a page and how many there are; ``verdict`` is a Verdict or a state."""
    rows: QuerySet[ResearchRun] = ResearchRun.objects.filter(kind=kind).exclude(
        state=RunState.REPEATED
    )
    if search.strip().isdigit():
        rows = rows.filter(pk=int(search.strip()[:15]))
    elif search.strip():
        rows = rows.filter(Q(title__icontains=search.strip()) | Q(family__icontains=search.strip()))
    if verdict in RunState.values:
        rows = rows.filter(state=verdict)
    elif verdict:
        rows = rows.filter(state=RunState.DONE)
    families = find_families()
    found = (
        [_row_of(run, families) for run in rows.defer(*HEAVY).order_by("-id")[:1_000]]
        if (verdict in list(Verdict))
        else []
    )
    if verdict in list(Verdict):
        kept = [row for row in found if row.judgement and row.judgement.verdict == verdict]
        return kept[(page - 1) * RUNS_SHOWN : page * RUNS_SHOWN], len(kept)
    first = (page - 1) * RUNS_SHOWN
    shown = rows.defer(*HEAVY).order_by("-id")[first : first + RUNS_SHOWN]
    return [_row_of(run, families) for run in shown], rows.count()


def _row_of(run: ResearchRun, families: Mapping[str, TrialFamily]) -> RunRow:
    if run.state != RunState.DONE or run.kind != ResearchRun.Kind.BACKTEST:
        return RunRow(run=run, judgement=None, trades=None, sharpe=None, unseen=None)
    figures = run.result["figures"]
    periods = {item["name"]: item["run"]["sharpe"] for item in figures["periods"]}
    return RunRow(
        run=run,
        judgement=judge_run(run, families.get(run.family)),
        trades=figures["metrics"]["trades"],
        sharpe=figures["metrics"]["sharpe"],
        unseen=periods.get("unseen"),
    )


def judge_finished(run: ResearchRun) -> Judgement | None:
    """The judgement of a finished backtest or sweep; None for others."""
    kinds = (ResearchRun.Kind.BACKTEST, ResearchRun.Kind.SWEEP)
    return judge_run(run) if run.state == RunState.DONE and run.kind in kinds else None


def newest_studies(kind: str) -> list[ResearchRun]:
    """The newest finished study of a kind for each instrument."""
    done = ResearchRun.objects.filter(kind=kind, state=RunState.DONE).defer(*HEAVY)
    return list(done.order_by("request__instrument", "-id").distinct("request__instrument")[:20])


def find_survival() -> ResearchRun | None:
    """The newest finished study of survival, for the short form on other pages."""
    rows = ResearchRun.objects.filter(kind=ResearchRun.Kind.SURVIVAL, state=RunState.DONE)
    return rows.defer(*HEAVY).order_by("-id").first()


def open_runs(kind: str) -> list[ResearchRun]:
    """Runs of a kind that wait or are being worked on, and the newest that was refused."""
    states = [RunState.WAITING, RunState.RUNNING, RunState.PAUSED]
    rows = ResearchRun.objects.filter(kind=kind, state__in=states).defer(*HEAVY)
    return list(rows.order_by("-id")[:10])


def list_open_runs() -> list[ResearchRun]:
    """Every run that waits, is worked on or is paused, oldest first."""
    states = [RunState.WAITING, RunState.RUNNING, RunState.PAUSED]
    return list(ResearchRun.objects.filter(state__in=states).defer(*HEAVY).order_by("id")[:100])


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepProgress:
    """How far a sweep is; ``workers`` hold a chunk now, ``trials`` are those it stored."""

    variants: int
    variants_done: int
    workers: int
    trials: int


def find_progress(run: ResearchRun) -> SweepProgress | None:
    """The progress of a planned sweep by its chunks; None for what has none."""
    state = SweepChunk.State
    found = SweepChunk.objects.filter(run=run).aggregate(
        variants=Sum("size"),
        variants_done=Sum("size", filter=Q(state=state.DONE)),
        workers=Count("worker", distinct=True, filter=Q(state=state.TAKEN, leased_until__gt=Now())),
        trials=Sum("new_trials"),
    )
    if found["variants"] is None:
        return None
    return SweepProgress(**{name: value or 0 for name, value in found.items()})


def list_families() -> list[FamilyRow]:
    """Families with most trials first, each judged by its best trial."""
    families = find_families()
    tops = Trial.objects.order_by("family", F("sharpe_daily").desc(nulls_last=True)).distinct(
        "family"
    )
    rows = []
    for top in tops:
        family, best, judgement = families[top.family], top.sharpe_daily, None
        if best is not None:
            facts = TrialFacts(sharpe=best, days=top.days, skewness=0.0, kurtosis=3.0)
            judgement = judge(facts=facts, family=family, trades=max(top.trades, 1))
        rows.append(
            FamilyRow(
                name=top.family,
                trials=family.trials,
                best=best * YEAR_DAYS**0.5 if best is not None else None,
                judgement=judgement,
            )
        )
    return sorted(rows, key=lambda row: -row.trials)


def list_spans() -> list[dict[str, Any]]:
    """Instruments with the first and last stored candle of each timeframe."""
    held: dict[int, list[dict[str, Any]]] = {}
    for (pk, timeframe), (first, last) in stored_spans(list(TIMEFRAMES)).items():
        held.setdefault(pk, []).append({"timeframe": timeframe, "first": first, "last": last})
    spans: dict[str, dict[str, Any]] = {}
    for item in Instrument.objects.filter(pk__in=held).order_by("symbol", "venue"):
        row = spans.setdefault(
            item.symbol, {"symbol": item.symbol, "label": item.source_label, "held": []}
        )
        row["held"] += held[item.pk]
    return list(spans.values())


def parameter_texts(run: ResearchRun) -> dict[str, str]:
    """The parameters of a finished run by name, led by the strategy where there are several."""
    stored = run.result.get("parameters", {})
    several = len(stored) > 1
    return {
        f"{strategy}.{name}" if several else name: text_of(value)
        for strategy, values in stored.items()
        for name, value in values.items()
    }


def describe_run(run: ResearchRun) -> dict[str, Any]:
    """A run as the API and ``--json`` give it, without its series."""
    plain: dict[str, Any] = {
        "id": run.pk,
        "kind": run.kind,
        "state": run.state,
        "title": run.title,
        "family": run.family,
        "strategy_version": run.strategy_version,
        "request": run.request,
        "inputs_hash": run.inputs_hash,
        "data_hash": run.data_hash,
        "code_version": run.code_version,
        "wall_ms": run.wall_ms,
        "progress": run.progress,
        "refusal_code": run.refusal_code,
        "refusal": run.refusal,
    }
    if run.state == RunState.REPEATED:
        plain["same_as"] = run.result.get("same_as")
    if run.state == RunState.DONE and run.kind == ResearchRun.Kind.SWEEP:
        plain |= {**run.result, "verdict": describe_judgement(judge_run(run))}
    elif run.state == RunState.DONE and run.kind != ResearchRun.Kind.BACKTEST:
        plain |= {"result": run.result}
    if run.state == RunState.DONE and run.kind == ResearchRun.Kind.BACKTEST:
        verdict = judge_run(run)
        figures = run.result["figures"]
        plain |= {
            "metrics": figures["metrics"],
            "periods": figures["periods"],
            "counts": figures["counts"],
            "costs": figures["costs"],
            "months": figures["months"],
            "controls": figures.get("controls", []),
            "ambiguous_share": figures["ambiguous_share"],
            "coverage": figures["coverage"],
            "assumptions": figures["assumptions"],
            "parameters": run.result["parameters"],
            "verdict": describe_judgement(verdict),
        }
    return plain


def describe_judgement(verdict: Judgement) -> dict[str, Any]:
    """A judgement as plain data; what is infinite or no number is null."""
    from trading.domain.research.figures import clean

    plain: dict[str, Any] = clean(
        {
            "code": verdict.verdict.value,
            "headline": verdict.headline,
            "detail": verdict.detail,
            "trials": verdict.trials,
            "sharpe": verdict.sharpe,
            "luck": verdict.luck,
            "deflated_sharpe": verdict.deflated,
            "track_record_years": verdict.track_record_years,
        }
    )
    return plain


def runs_to_compare(numbers: Iterable[int]) -> list[ResearchRun]:
    """Two to five finished backtests in the order asked for; others are left out."""
    wanted = list(dict.fromkeys(numbers))[:COMPARED_MAX]
    found = {
        run.pk: run
        for run in ResearchRun.objects.filter(
            pk__in=wanted, kind=ResearchRun.Kind.BACKTEST, state=RunState.DONE
        ).defer(*HEAVY)
    }
    return [found[number] for number in wanted if number in found]
