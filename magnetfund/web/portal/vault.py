"""An investor's papers: monthly statements, contract notes, and each statement as a page."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.http import require_safe

from investors.models import DealingProposal, Investor, Paper
from investors.services.papers import note_download, note_reading
from investors.services.transfer_note import transfer_note
from investors.services.vault import notes_of, papers_of, transfers_of
from magnetfund.core.actors import actor_of
from magnetfund.kernel.errors import FundError
from magnetfund.web.parts import render_page, send_pdf
from magnetfund.web.portal.access import PAPERS, seen_investor
from magnetfund.web.public.pages import page_context

#: Ten years of months, and as many notes; who has more asks for a file.
SHOWN_MAX = 120
KINDS = (("", "All kinds"), ("statements", "Statements"), ("notes", "Contract notes"))


@require_safe
@login_required
def statements(request: HttpRequest) -> HttpResponse:
    """Every paper of one's own, by year and kind."""
    investor = seen_investor(request, PAPERS)
    rows: list[Any] = list(
        papers_of(investor)
        .filter(kind=Paper.Kind.STATEMENT)
        .order_by("-period", "-version")[:SHOWN_MAX]
    )
    notes = notes_of(investor, most=SHOWN_MAX)
    moved = transfers_of(investor, most=SHOWN_MAX)
    years = sorted(
        {row.period[:4] for row in rows}
        | {f"{item.strike.valuation_at:%Y}" for item in notes}
        | {f"{item.decided_at:%Y}" for item in moved},
        reverse=True,
    )
    year = request.GET.get("year", "")
    kind = request.GET.get("kind", "")
    if year in years:
        rows = [row for row in rows if row.period.startswith(year)]
        notes = [item for item in notes if f"{item.strike.valuation_at:%Y}" == year]
        moved = [item for item in moved if f"{item.decided_at:%Y}" == year]
    context = {
        **page_context(request, "statements"),
        "investor": investor,
        "newest": next((row for row in rows if not row.is_superseded), None),
        "statements": [] if kind == "notes" else [_line(row) for row in rows],
        "current": sum(not row.is_superseded for row in rows),
        "notes": [] if kind == "statements" else notes,
        "transfers": [] if kind == "statements" else moved,
        "years": years,
        "year": year,
        "kinds": KINDS,
        "kind": kind,
    }
    return render_page(request, "portal/statements.html", context, parts=("papers",))


def _line(row: Any) -> dict[str, Any]:
    return {"row": row, "figures": row.data["figures"], "month": row.data["month"]}


@require_safe
@login_required
def statement(request: HttpRequest, pk: UUID) -> HttpResponse:
    """One statement as a page, figure for figure what the PDF prints."""
    investor = seen_investor(request, PAPERS)
    row = get_object_or_404(papers_of(investor), pk=pk, kind=Paper.Kind.STATEMENT)
    if investor.user_id != request.user.pk:
        note_reading(row, actor=actor_of(request))
    context = {
        **page_context(request, "statements"),
        "investor": investor,
        "row": row,
        "paper": row.data,
        "figures": row.data["figures"],
    }
    answer = render_page(request, "portal/statement.html", context, parts=())
    answer["Cache-Control"] = "private, no-store"
    return answer


@require_safe
@login_required
def paper(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The PDF of one's own paper; each download is noted."""
    row = _own_paper(seen_investor(request, PAPERS), pk)
    return send_pdf(row.number, note_download(row, actor=actor_of(request)))


@require_safe
@login_required
def transfer(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The note of a transfer that one gave or received; each download is noted."""
    investor = seen_investor(request, PAPERS)
    row = get_object_or_404(
        DealingProposal.objects.filter(Q(investor=investor) | Q(receiver=investor)),
        pk=pk,
        kind=DealingProposal.Kind.TRANSFER,
        is_approved=True,
    )
    try:
        paper = transfer_note(proposal=row, investor=investor)
    except FundError as error:
        messages.error(request, f"No note: {error.message}. ({error.code})")
        return redirect("statements")
    return send_pdf(paper.number, note_download(paper, actor=actor_of(request)))


def _own_paper(investor: Investor, pk: UUID) -> Paper:
    found: Paper = get_object_or_404(Paper, pk=pk, investor=investor)
    return found
