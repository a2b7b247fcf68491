"""Stresses on the desk: every shipped one and those that people saved, on the open book."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from magnetfund.core.actors import actor_of
from magnetfund.core.roles import Capability
from magnetfund.kernel.errors import FundError, InvalidInput
from magnetfund.web.desk.access import desk_view
from magnetfund.web.desk.frame import build_frame
from risk.domain.stress import build_scenarios, read_shocks, write_shocks
from trading.selectors.stress import run_stresses
from trading.services.stresses import list_stresses, retire_stress, save_stress, scenario_of

#: Figures of the form: label, hint, usual value, what the form shows of it.
FIGURES = (
    ("move_others", "All others, %", "what no shock names", "0", 100.0),
    ("adverse_sigmas", "Against each position, sigmas", "of its own day, on top", "0", 1.0),
    ("volatility_multiple", "Volatility, times", "of those sigmas", "1", 1.0),
    ("spread_multiple", "Liquidity: spread, times", "of closing everything", "1", 1.0),
    ("hours", "Hours held", "no order reaches the venue", "0", 1.0),
    ("funding_multiple", "Funding, times", "of the newest rate, over those hours", "1", 1.0),
)
TEXTS = {"number": "", "title": "", "shocks": ""}
SAVED_MAX = 50


@require_safe
@desk_view()
def stresses(request: HttpRequest) -> HttpResponse:
    """The table, and the form: empty, or filled with the stress that is to be changed."""
    given = {**TEXTS, **{name: usual for name, _, _, usual, _ in FIGURES}}
    number = request.GET.get("change", "")
    row = None
    if number.isdecimal() and len(number) < 10:
        row = list_stresses(settings.MAGNET_BOOK).filter(pk=int(number)).first()
    if row is not None:
        found = scenario_of(row)
        given |= {"number": number, "title": row.title, "shocks": write_shocks(found)}
        given |= {name: f"{scale * getattr(found, name):g}" for name, _, _, _, scale in FIGURES}
    return _page(request, given)


def _page(
    request: HttpRequest, given: dict[str, str], error: str = "", status: int = 200
) -> HttpResponse:
    saved = list(list_stresses(settings.MAGNET_BOOK)[:SAVED_MAX])
    shipped = build_scenarios()
    lines = run_stresses(settings.MAGNET_BOOK, [*(scenario_of(row) for row in saved), *shipped])
    context: dict[str, Any] = {
        "given": given,
        "error": error,
        "figures": [
            {"name": name, "label": label, "hint": hint, "value": given[name], "error": ""}
            for name, label, hint, _, _ in FIGURES
        ],
        "saved": list(zip(saved, lines, strict=False)),
        "shipped": lines[len(saved) :],
        "is_flat": not any(line.result is not None for line in lines),
    }
    frame = build_frame(request, "risk")
    return render(request, "desk/stresses.html", {**frame, **context}, status=status)


@require_POST
@desk_view(Capability.RESEARCH_RUN)
def save(request: HttpRequest) -> HttpResponse:
    """Store a stress or a change of one; what is wrong is told above the form."""
    names = (*TEXTS, *(name for name, *_ in FIGURES))
    given = {name: request.POST.get(name, "")[:2_000] for name in names}
    try:
        row = save_stress(
            book=settings.MAGNET_BOOK,
            title=given["title"],
            definition=_read(given),
            number=_read_number(given["number"]),
            actor=actor_of(request),
        )
    except FundError as error:
        return _page(request, given, error.sentence, status=422)
    messages.success(request, f"{row.title} is saved.")
    return redirect("desk_stresses")


@require_POST
@desk_view(Capability.RESEARCH_RUN)
def retire(request: HttpRequest, pk: int) -> HttpResponse:
    """Take a saved stress off the list."""
    try:
        row = retire_stress(book=settings.MAGNET_BOOK, number=pk, actor=actor_of(request))
    except FundError as error:
        messages.error(request, f"Not retired: {error.message}.")
    else:
        messages.success(request, f"{row.title} is off the list.")
    return redirect("desk_stresses")


def _read(given: dict[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {"moves": read_shocks(given["shocks"])}
    for name, label, _, usual, scale in FIGURES:
        text = given[name].strip().replace(",", "") or usual
        try:
            found[name] = float(text) / scale
        except ValueError:
            raise InvalidInput(f"{label}: {text[:20]!r} is no number", code="bad_stress") from None
    return found


def _read_number(text: str) -> int | None:
    return int(text) if text.isdecimal() and len(text) < 10 else None
