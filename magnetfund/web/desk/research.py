"""Research on the desk: ask for a backtest, watch it, read it, put runs side by side, export."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from magnetfund.core.actors import actor_of
from magnetfund.core.roles import Capability
from magnetfund.kernel.errors import FundError
from magnetfund.operations.tasks import wake_research
from magnetfund.web.desk.access import desk_view
from magnetfund.web.desk.frame import build_frame
from magnetfund.web.desk.research_form import BacktestForm, query_of
from magnetfund.web.desk.research_page import build_page, compare_rows, draw_comparison
from magnetfund.web.desk.research_studies import chunk_context, study_context
from magnetfund.web.public.pages import asked_page
from trading.domain.research.report import build_report
from trading.domain.research.trials import Verdict
from trading.models import ResearchRun, RunState
from trading.selectors import research as selectors
from trading.services.research.backtests import ask_backtest
from trading.services.research.catalogue import load_catalogue
from trading.services.research.tables import decode_rows, write_csv

VERDICTS = {
    Verdict.SURVIVES: "Survives",
    Verdict.LUCK: "Does not survive",
    Verdict.LOSES: "Loses money",
    Verdict.NO_TRADES: "No trades",
    Verdict.STILL_OPEN: "No closed trade",
    Verdict.TOO_SHORT: "Too short to judge",
    RunState.REFUSED: "Refused",
    RunState.FAILED: "Failed",
    RunState.WAITING: "Waiting",
}
OPEN_STATES = (RunState.WAITING, RunState.RUNNING, RunState.PAUSED)


@require_safe
@desk_view()
def runs(request: HttpRequest) -> HttpResponse:
    """The form of a new backtest, the stored runs, the trials by family."""
    return _show_runs(request, BacktestForm.of(request.GET, load_catalogue()))


def _show_runs(request: HttpRequest, form: BacktestForm, status: int = 200) -> HttpResponse:
    frame = build_frame(request, "research")
    catalogue = load_catalogue()
    search, verdict = request.GET.get("search", "")[:60], request.GET.get("verdict", "")
    page = asked_page(request)
    rows, count = selectors.list_runs(search=search, verdict=verdict, page=page)
    families = selectors.list_families()
    return render(
        request,
        "desk/research/runs.html",
        {
            **frame,
            "form": form,
            "whole_error": form.errors.get("", ""),
            "strategies": sorted(catalogue.builders),
            "spans": selectors.list_spans(),
            "rows": rows,
            "count": count,
            "search": search,
            "verdict": verdict,
            "verdicts": {str(key): words for key, words in VERDICTS.items()},
            "page": page,
            "filters": urlencode({"search": search, "verdict": verdict}),
            "has_older": page * selectors.RUNS_SHOWN < count,
            "families": families,
            "trials": sum(row.trials for row in families),
            "own_trials": next(
                (row.trials for row in families
                 if row.name == catalogue.family_of(form.given["strategy"])), 0
            ),
        },
        status=status,
    )  # fmt: skip


@require_safe
@desk_view()
def parameters(request: HttpRequest) -> HttpResponse:
    """The parameters of a chosen strategy, for the form."""
    form = BacktestForm.of(request.GET, load_catalogue())
    fresh = BacktestForm(given=form.given, instruments=[], parameters=form.parameters)
    for item in fresh.parameters:
        item.value = item.field.default_text
    return render(request, "desk/research/_parameters.html", {"form": fresh})


@require_POST
@desk_view(Capability.RESEARCH_RUN)
def start(request: HttpRequest) -> HttpResponse:
    """Ask for a backtest; a bad field is told beside it and nothing is stored."""
    catalogue = load_catalogue()
    form = BacktestForm.of(request.POST, catalogue)
    asked = form.read(catalogue)
    if asked is None:
        return _show_runs(request, form, status=422)
    try:
        run = ask_backtest(request=asked, actor=actor_of(request))
    except FundError as error:
        form.errors[""] = error.message
        return _show_runs(request, form, status=422)
    wake_research()
    return redirect("desk_research_run", pk=run.pk)


@require_safe
@desk_view()
def run(request: HttpRequest, pk: int) -> HttpResponse:
    """One run: its progress, its refusal, or its whole result."""
    item = get_object_or_404(ResearchRun.objects.defer(*selectors.HEAVY), pk=pk)
    if item.state == RunState.REPEATED:
        messages.info(request, "Equal inputs were run before; this is that run.")
        return redirect("desk_research_run", pk=item.result["same_as"])
    is_open = item.state in OPEN_STATES
    if request.headers.get("HX-Request") and is_open:
        return render(request, "desk/research/_progress.html", {"run": item, **chunk_context(item)})
    if request.headers.get("HX-Request"):
        answer = HttpResponse()
        answer["HX-Refresh"] = "true"
        return answer
    frame = build_frame(request, "research")
    context: dict[str, Any] = {"run": item, "is_open": is_open, "again": _again(item)}
    if is_open:
        context |= chunk_context(item)
    if item.state == RunState.DONE and item.kind == ResearchRun.Kind.BACKTEST:
        context |= {
            **build_page(item),
            "judgement": selectors.judge_run(item),
            "all_trials": selectors.count_all_trials(),
            "parameters": selectors.parameter_texts(item),
        }
    elif item.state == RunState.DONE:
        context |= study_context(item)
    elif not is_open:
        context["kept_trials"] = item.trials.count()
    return render(request, "desk/research/run.html", {**frame, **context})


def _again(item: ResearchRun) -> str:
    """The address of the form filled with what a run asked for; "" where no form asks for it."""
    pages = {
        ResearchRun.Kind.BACKTEST: "desk_research",
        ResearchRun.Kind.SWEEP: "desk_sweeps",
    }
    page = pages.get(ResearchRun.Kind(item.kind))
    query = query_of(item.request) if page else ""
    return f"{reverse(page)}?{query}" if page and query else ""


@require_safe
@desk_view()
def compare(request: HttpRequest) -> HttpResponse:
    """Two to five finished runs side by side."""
    numbers = [int(text) for text in request.GET.getlist("run") if text.isdecimal()][:20]
    found = selectors.runs_to_compare(numbers)
    context: dict[str, Any] = {"runs": found}
    if len(found) > 1:
        judgements = [selectors.judge_run(item) for item in found]
        context |= {
            "chart": draw_comparison(found),
            "table": compare_rows(found, judgements),
            "judgements": list(zip(found, judgements, strict=True)),
            "same_data": len({item.data_hash for item in found}) == 1,
        }
    return render(
        request, "desk/research/compare.html", {**build_frame(request, "research"), **context}
    )


@require_safe
@desk_view()
def export(request: HttpRequest, pk: int, name: str) -> HttpResponse:
    """A finished backtest as a file: trades and equity as CSV or Parquet, all as JSON or HTML."""
    item = get_object_or_404(
        ResearchRun, pk=pk, state=RunState.DONE, kind=ResearchRun.Kind.BACKTEST
    )
    stem = f"backtest-{item.pk}"
    if name == "report.html":
        verdict = selectors.judge_run(item)
        text = build_report(
            title=f"Backtest {item.pk}: {item.title}",
            subtitle=f"{item.strategy_version}; {item.created_at:%Y-%m-%d %H:%M} UTC",
            figures=item.result["figures"],
            trades=decode_rows(item.trades_file),
            headline=f"{verdict.headline}: {verdict.detail}.",
            parameters=selectors.parameter_texts(item),
        )
        return _file(text.encode(), "text/html; charset=utf-8", f"{stem}.html")
    if name == "result.json":
        answer = JsonResponse(
            {**selectors.describe_run(item), "series": item.result["figures"]["series"]}
        )
        answer["Content-Disposition"] = f'attachment; filename="{stem}.json"'
        return answer
    bodies = {"trades": item.trades_file, "equity": item.equity_file}
    kind, _, ending = name.partition(".")
    if kind not in bodies or ending not in ("csv", "parquet"):
        raise Http404
    if ending == "csv":
        text = write_csv(decode_rows(bodies[kind]))
        return _file(text.encode(), "text/csv; charset=utf-8", f"{stem}-{name}")
    return _file(bytes(bodies[kind] or b""), "application/vnd.apache.parquet", f"{stem}-{name}")


def _file(body: bytes, content_type: str, name: str) -> HttpResponse:
    answer = HttpResponse(body, content_type=content_type)
    answer["Content-Disposition"] = f'attachment; filename="{name}"'
    return answer
