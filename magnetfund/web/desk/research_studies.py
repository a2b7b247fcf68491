"""Sweeps, evidence and survival on the desk: asked for, listed, cancelled."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST, require_safe

from magnetfund.core.actors import actor_of
from magnetfund.core.roles import Capability
from magnetfund.kernel.errors import FundError, InvalidInput
from magnetfund.operations.tasks import wake_research
from magnetfund.web.desk.access import desk_view
from magnetfund.web.desk.frame import build_frame
from magnetfund.web.desk.research_form import BacktestForm
from magnetfund.web.public.pages import asked_page
from trading.domain.research.parameters import values_around
from trading.models import ResearchRun, Trial
from trading.selectors import research as selectors
from trading.services.research.catalogue import load_catalogue
from trading.services.research.studies import ask_study
from trading.services.research.sweep_asking import ask_sweep
from trading.services.research.sweep_control import cancel_run, pause_run, resume_run

#: Labels along a side of a surface that still stand apart.
LABELS_MAX = 12
#: Fields of a sweep beside those of a backtest.
GIVEN = ("space", "draw", "search")
STUDIES = {
    "evidence": (
        "Do magnets attract the price?",
        "Price is asked which it reaches first: the magnet, or the point as far away on the other "
        "side. Without any attraction that is an even chance.",
    ),
    "survival": (
        "Survival of a year",
        "Accounts without an edge live through years drawn from real hours: 10x all-in, the rules "
        "of this fund, and the fuse when it comes late.",
    ),
}


@require_safe
@desk_view()
def sweeps(request: HttpRequest) -> HttpResponse:
    """The form of a sweep and the stored ones."""
    given = {name: request.GET[name][:2_000] for name in GIVEN if name in request.GET}
    return _show_sweeps(request, BacktestForm.of(request.GET, load_catalogue()), given)


def _show_sweeps(
    request: HttpRequest, form: BacktestForm, given: dict[str, str], status: int = 200
) -> HttpResponse:
    rows, count = selectors.list_runs(kind=ResearchRun.Kind.SWEEP, page=asked_page(request))
    page = asked_page(request)
    return render(
        request,
        "desk/research/sweeps.html",
        {
            **build_frame(request, "research"),
            "form": form,
            "space": given.get("space", _example(form)),
            "draw": given.get("draw", "0"),
            "search": given.get("search", "grid"),
            "whole_error": form.errors.get("", ""),
            "strategies": sorted(load_catalogue().builders),
            "spans": selectors.list_spans(),
            "rows": [(row.run, selectors.judge_finished(row.run)) for row in rows],
            "count": count,
            "page": page,
            "has_older": page * selectors.RUNS_SHOWN < count,
        },
        status=status,
    )


@require_POST
@desk_view(Capability.RESEARCH_RUN)
def start_sweep(request: HttpRequest) -> HttpResponse:
    """Ask for a sweep; what is wrong is told above the form and nothing is stored."""
    catalogue = load_catalogue()
    form = BacktestForm.of(request.POST, catalogue)
    given = {name: request.POST.get(name, "")[:2_000] for name in GIVEN}
    asked = form.read(catalogue)
    try:
        if asked is None:
            raise InvalidInput(next(iter(form.errors.values())))
        run = ask_sweep(
            request=asked,
            space=_read_lines(given["space"]),
            count=_read_count(given["draw"]),
            seed=1,
            search="tpe" if given["search"] == "tpe" else "grid",
            objectives=("sharpe", "drawdown") if given["search"] == "tpe" else (),
            actor=actor_of(request),
        )
    except FundError as error:
        form.errors[""] = error.sentence
        return _show_sweeps(request, form, given, status=422)
    wake_research()
    return redirect("desk_research_run", pk=run.pk)


def _example(form: BacktestForm) -> str:
    """Values around the defaults of the first two parameters that are numbers."""
    lines = [(item.field.name, values_around(item.field)) for item in form.parameters]
    return "\n".join([f"{name} = {values}" for name, values in lines if values][:2])


def _read_lines(text: str) -> dict[str, str]:
    space = {}
    for line in text.splitlines():
        if line.strip():
            name, is_pair, values = line.partition("=")
            if not is_pair:
                told = f"a line reads parameter = values, not {line.strip()}"
                raise InvalidInput(told, code="bad_space")
            if name.strip() in space:
                raise InvalidInput(f"{name.strip()} stands in two lines", code="bad_space")
            space[name.strip()] = values.strip()
    return space


def _read_count(text: str) -> int:
    if not text.strip():
        return 0
    if not text.strip().isdecimal() or len(text.strip()) > 5:
        raise InvalidInput("the number of draws is a whole number", code="bad_space")
    return int(text)


@require_safe
@desk_view()
def study(request: HttpRequest, kind: str) -> HttpResponse:
    """The newest answer on each instrument, and the runs before."""
    title, question = STUDIES[kind]
    found = selectors.newest_studies(kind)
    return render(
        request,
        f"desk/research/{kind}.html",
        {
            **build_frame(request, "research"),
            "kind": kind,
            "title": title,
            "question": question,
            "found": found,
            "waiting": selectors.open_runs(kind),
            "spans": selectors.list_spans(),
        },
    )


@require_POST
@desk_view(Capability.RESEARCH_RUN)
def start_study(request: HttpRequest, kind: str) -> HttpResponse:
    """Ask for a study of an instrument's stored hours."""
    try:
        run = ask_study(
            kind=kind,
            instrument=request.POST.get("instrument", "")[:60],
            actor=actor_of(request),
        )
    except FundError as error:
        messages.error(request, f"Not started: {error.message}.")
        return redirect(f"desk_{kind}")
    wake_research()
    return redirect("desk_research_run", pk=run.pk)


@require_POST
@desk_view(Capability.RESEARCH_RUN)
def cancel(request: HttpRequest, pk: int) -> HttpResponse:
    """Stop an open run."""
    run = get_object_or_404(ResearchRun.objects.defer(*selectors.HEAVY), pk=pk)
    if cancel_run(run=run, actor=actor_of(request)):
        kept = Trial.objects.filter(run=run).count()
        messages.success(
            request,
            f"Run {run.pk} is cancelled. "
            + (f"The {kept:,} trials that it finished count." if kept else "It counts no trial."),
        )
    else:
        messages.info(request, f"Run {run.pk} was finished already.")
    return redirect("desk_research_run", pk=pk)


@require_POST
@desk_view(Capability.RESEARCH_RUN)
def pause(request: HttpRequest, pk: int) -> HttpResponse:
    """Stop handing out the chunks of a running sweep."""
    run = get_object_or_404(ResearchRun.objects.defer(*selectors.HEAVY), pk=pk)
    try:
        if not pause_run(run=run, actor=actor_of(request)):
            messages.info(request, f"Run {run.pk} is not running.")
    except InvalidInput as error:
        messages.error(request, f"Not paused: {error.message}.")
    return redirect("desk_research_run", pk=pk)


@require_POST
@desk_view(Capability.RESEARCH_RUN)
def resume(request: HttpRequest, pk: int) -> HttpResponse:
    """Hand out the chunks of a paused sweep again."""
    run = get_object_or_404(ResearchRun.objects.defer(*selectors.HEAVY), pk=pk)
    if resume_run(run=run, actor=actor_of(request)):
        wake_research()
    else:
        messages.info(request, f"Run {run.pk} is not paused.")
    return redirect("desk_research_run", pk=pk)


def chunk_context(run: ResearchRun) -> dict[str, Any]:
    """How far a sweep is, by what is stored of it."""
    is_sweep = run.kind == ResearchRun.Kind.SWEEP
    return {"sweep_progress": selectors.find_progress(run) if is_sweep else None}


def study_context(run: ResearchRun) -> dict[str, Any]:
    """What the page of a finished sweep or study shows beyond the run."""
    if run.kind == ResearchRun.Kind.SWEEP:
        sweep = run.result["sweep"]
        return {
            "sweep": sweep,
            "judgement": selectors.judge_run(run),
            "surface": shade_surface(sweep["surface"], sweep["best"], sweep.get("shape", "")),
            "all_trials": selectors.count_all_trials(),
        }
    return {"item": run}


def shade_surface(
    surface: dict[str, Any] | None, best: dict[str, Any], shape: str
) -> dict[str, Any] | None:
    """Cells with the step of their shade, s0 (below zero) to s5; the best with its shape.

    A surface too dense for figures in its cells has thinned labels beside the full ones.
    """
    if surface is None:
        return None
    known = [cell for row in surface["rows"] for cell in row["cells"] if cell is not None]
    high = max([*known, 1e-9])
    rows = []
    for row in surface["rows"]:
        cells = []
        for name, value in zip(surface["columns"], row["cells"], strict=True):
            shade = "is-none"
            if value is not None:
                shade = "s0" if value <= 0 else f"s{1 + min(4, int(4.999 * value / high))}"
            chosen = best["parameters"]
            is_best = chosen[surface["across"]] == name and row["name"] in (
                "", chosen[surface["down"]]
            )  # fmt: skip
            mark = f"is-{'peak' if shape == 'peak' else 'plateau'}" if is_best else ""
            cells.append({"value": value, "shade": shade, "mark": mark})
        rows.append({"name": row["name"], "cells": cells})
    names = [row["name"] for row in rows]
    is_dense = len(surface["columns"]) > LABELS_MAX or len(names) > 2 * LABELS_MAX
    if is_dense:
        for label in thin_labels(names):
            rows[label["first"]]["label"] = label
    labels = thin_labels(surface["columns"])
    return {**surface, "rows": rows, "labels": labels, "is_dense": is_dense}


def thin_labels(names: Sequence[str]) -> list[dict[str, Any]]:
    """At most :data:`LABELS_MAX` of the names at equal steps, each with how many it stands for."""
    step = -(-len(names) // LABELS_MAX)
    return [
        {"first": first, "name": names[first], "span": min(step, len(names) - first)}
        for first in range(0, len(names), step)
    ]
