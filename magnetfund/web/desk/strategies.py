"""Sleeves on the desk: figures, verdict, checks, journal, and changes that two people make."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from magnetfund.core.actors import actor_of
from magnetfund.core.roles import Capability
from magnetfund.core.services.signing import SignatureMissing
from magnetfund.kernel.errors import FundError, InvalidInput
from magnetfund.web.desk.access import desk_view
from magnetfund.web.desk.frame import build_frame, equity_of
from magnetfund.web.desk.selectors import live_marks
from magnetfund.web.desk.signing import go_on_signing, reason_of
from trading.models import SleeveProposal, TradingSession
from trading.selectors import strategies as selectors
from trading.services.performance import add_note
from trading.services.research.catalogue import load_catalogue
from trading.services.run_now import build_ticket
from trading.services.sleeve_proposals import (
    approve_sleeve,
    propose_retirement,
    propose_sleeve,
    return_sleeve,
)

COMPONENTS = {
    "deflated_sharpe": "More than luck among every variant tried",
    "edge": "Wins often enough for their size",
    "survival": "A year ends in profit, less than 10 % down",
}
CAPS = {
    "look_ahead": "it looks ahead",
    "missing_component": "one of the three is not known yet",
    "few_trades": "fewer than 100 trades: at most 40",
    "no_out_of_sample": "nothing out of sample: at most 60",
    "one_regime": "less than a year: at most 70",
}
HEADLINES = {
    "shown": "The score is reached",
    "promising": "Promising, but not shown",
    "not shown": "Its edge is not shown",
}


@require_safe
@desk_view()
def strategies(request: HttpRequest) -> HttpResponse:
    """Every sleeve with its verdict, and what waits for a second person."""
    return _show_list(request, {})


def _show_list(request: HttpRequest, given: dict[str, str], status: int = 200) -> HttpResponse:
    book, user = settings.MAGNET_BOOK, request.user
    sleeves = selectors.list_sleeves(book)
    taken = {item.row.code for item in sleeves if item.row.is_active}
    return render(
        request,
        "desk/research/strategies.html",
        {
            **build_frame(request, "research"),
            "sleeves": sleeves,
            "proposals": [
                {
                    "row": row,
                    "may_sign": _may_sign(user, row),
                    "lines": _lines(row),
                    "reason": reason_of(request, row.pk),
                }
                for row in selectors.find_open_proposals(book)
            ],
            "choices": sorted(set(load_catalogue().builders) - taken),
            "given": given,
        },
        status=status,
    )


def _may_sign(user: Any, row: SleeveProposal) -> bool:
    other = user.pk != row.proposed_by_id and user.person != row.proposed_by.person
    return bool(other and user.can(Capability.LIMITS_APPROVE))


def _lines(row: SleeveProposal) -> list[tuple[str, str]]:
    plain = [(k, str(v)) for k, v in row.parameters.items() if not isinstance(v, dict)]
    pin = row.parameters.get("source")
    return [*plain, ("file", pin["file"]), ("sha256 of the file", pin["hash"])] if pin else plain


@require_safe
@desk_view()
def strategy(request: HttpRequest, code: str) -> HttpResponse:
    """One sleeve."""
    book = settings.MAGNET_BOOK
    sleeve = selectors.find_sleeve(book, code)
    if sleeve is None:
        raise Http404
    found = sleeve.performance
    model = selectors.find_model_costs(code)
    detail = found.detail if found is not None else {}
    readings = selectors.find_readings(sleeve)
    frame = build_frame(request, "research")
    return render(
        request,
        "desk/research/strategy.html",
        {
            **frame,
            "sleeve": sleeve,
            "found": found,
            "headline": HEADLINES.get(detail.get("standing", ""), "Nothing traded yet"),
            "facts": detail.get("facts", []),
            "components": [
                (COMPONENTS[name], value, name == detail.get("binding"))
                for name, value in detail.get("components", {}).items()
            ],
            "caps": [CAPS[name] for name in detail.get("caps", [])],
            "chart": _result_chart(book, code),
            "model": model,
            "costs": selectors.compare_costs(found, model) if found and model else [],
            "trades": selectors.find_last_trades(book, code),
            "months": selectors.find_months(book, code),
            "checks": selectors.check_session(book, sleeve, readings),
            "readings": readings,
            "runs": _offer_runs(sleeve, equity_of(frame)),
            "sessions": [_describe_session(row, code) for row in selectors.list_sessions(book)],
            "notes": selectors.find_notes(book, code),
        },
    )


def _offer_runs(sleeve: selectors.SleeveRow, equity: Decimal | None) -> list[dict[str, Any]]:
    """Each instrument's newest decision with the ticket that it would be, or why there is none."""
    if not sleeve.row.is_active or equity is None:
        return []
    marks = live_marks(settings.MAGNET_BOOK)
    found = []
    for decision in selectors.find_decisions(sleeve):
        ticket = build_ticket(
            decision,
            strategy=sleeve.row.name,
            risk_fraction=sleeve.row.risk_fraction,
            equity=equity,
            mark=marks.get(decision.instrument.symbol),
        )
        fields, nothing = ({}, ticket) if isinstance(ticket, str) else (ticket, "")
        found.append(
            {
                "decision": decision,
                "ticket": fields,
                "query": urlencode(fields),
                "nothing": nothing,
            }
        )
    return found


def _describe_session(row: TradingSession, code: str) -> dict[str, Any]:
    mine = next((item for item in row.sleeves if item["strategy"] == code), None)
    checks = mine["checks"] if mine is not None else []
    return {
        "row": row,
        "checks": checks,
        "passed": sum(item["is_passed"] for item in checks),
        "score": mine["confidence_score"] if mine is not None else None,
        "result": row.summary.get(code),
    }


def _result_chart(book: str, code: str) -> dict[str, Any] | None:
    times, sums = selectors.find_result_curve(book, code)
    if len(times) < 2:
        return None
    return {
        "caption": "Net result of closed trades, USD",
        "size": "is-tall2",
        "source": "result",
        "data": {
            "t": [int(at.timestamp()) for at in times],
            "digits": 2,
            "axisDigits": 0,
            "sign": True,
            "levels": [{"y": 0, "label": "", "colour": "line-strong"}],
            "series": [
                {
                    "name": "Net result",
                    "colour": "field",
                    "width": 2,
                    "step": True,
                    "y": [round(float(value), 2) for value in sums],
                }
            ],
        },
    }


@require_POST
@desk_view()
def note(request: HttpRequest, code: str) -> HttpResponse:
    """Add to the journal."""
    book = settings.MAGNET_BOOK
    if selectors.find_sleeve(book, code) is None:
        raise Http404
    try:
        add_note(
            book=book,
            strategy=code,
            text=request.POST.get("text", ""),
            tags=request.POST.get("tags", "").split(","),
            actor=actor_of(request),
        )
    except FundError as error:
        messages.error(request, f"Not saved: {error.message}.")
    else:
        messages.success(request, "Noted.")
    return redirect("desk_strategy", code)


@require_POST
@desk_view(Capability.LIMITS_PROPOSE)
def propose(request: HttpRequest) -> HttpResponse:
    """Propose a sleeve; what is wrong is told above the form and nothing is stored."""
    given = {name: request.POST.get(name, "")[:2_000] for name in
             ("code", "name", "risk", "parameters", "expectation", "reason")}  # fmt: skip
    try:
        row = propose_sleeve(
            book=settings.MAGNET_BOOK,
            code=given["code"],
            name=given["name"] or given["code"].replace("-", " ").capitalize(),
            risk_fraction=_read_percent(given["risk"]),
            parameters=_read_pairs(given["parameters"]),
            expectation=given["expectation"],
            reason=given["reason"],
            actor=actor_of(request),
        )
    except FundError as error:
        return _show_list(request, {**given, "error": error.message}, status=422)
    messages.success(request, f"{row.name} waits for a second risk officer.")
    return redirect("desk_strategies")


def _read_percent(text: str) -> Decimal:
    try:
        return Decimal(text.strip().rstrip("%").strip()) / 100
    except InvalidOperation:
        raise InvalidInput(f"{text or 'nothing'} is no percentage", code="bad_number") from None


def _read_pairs(text: str) -> dict[str, str]:
    found = {}
    for line in filter(None, (line.strip() for line in text.splitlines())):
        name, equals, value = line.partition("=")
        if not equals:
            raise InvalidInput(f"{line} is no line name = value", code="bad_parameter")
        found[name.strip()] = value.strip()
    return found


@require_POST
@desk_view(Capability.LIMITS_PROPOSE)
def retire(request: HttpRequest, code: str) -> HttpResponse:
    """Propose that a sleeve leaves."""
    try:
        propose_retirement(
            book=settings.MAGNET_BOOK,
            code=code,
            reason=request.POST.get("reason", ""),
            actor=actor_of(request),
        )
    except FundError as error:
        messages.error(request, f"Not proposed: {error.message}.")
    else:
        messages.success(request, "The retirement waits for a second risk officer.")
    return redirect("desk_strategies")


@require_POST
@desk_view(Capability.LIMITS_APPROVE, step_up=True)
def decide(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Approve the change that was shown, or return it."""
    row = get_object_or_404(SleeveProposal, pk=pk, book=settings.MAGNET_BOOK)
    try:
        if request.POST.get("decision") == "approve":
            seen = request.POST.get("hash", "")
            approve_sleeve(proposal=row, seen_hash=seen, actor=actor_of(request))
            messages.success(request, f"Approved: {row.action} {row.code}.")
        else:
            return_sleeve(
                proposal=row, reason=request.POST.get("reason", ""), actor=actor_of(request)
            )
            messages.success(request, "Returned to the proposer.")
    except SignatureMissing as missing:
        return go_on_signing(
            request, missing, back=reverse("desk_strategies"),
            reason=request.POST.get("reason", ""),
        )  # fmt: skip
    except FundError as error:
        messages.error(request, f"Not saved: {error.message}.")
    return redirect("desk_strategies")
