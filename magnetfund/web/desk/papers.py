"""The fund's vault on the desk: every paper, who took it, and making a month's statements."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.http import require_POST, require_safe

from investors.models import NavStrike, Paper
from investors.services.fund_papers import TITLES, fund_paper, fund_table
from investors.services.investor_statements import make_statements
from investors.services.papers import note_download
from investors.services.statement_periods import list_periods
from investors.services.vault import downloads_of, papers_of_fund
from magnetfund.core.actors import actor_of
from magnetfund.core.roles import Capability
from magnetfund.kernel.errors import FundError
from magnetfund.web.desk.access import desk_view
from magnetfund.web.desk.frame import build_frame
from magnetfund.web.desk.money import own_fund
from magnetfund.web.lists import VALUE_MAX, Choices, Column, ListSpec
from magnetfund.web.parts import TABLE_TYPES, render_page, send_file, send_pdf
from magnetfund.web.public.pages import asked_page

PAGE_SIZE = 20
#: What one press of the button makes; a month of more people is for the command or the hourly job.
MADE_MAX = 200
PERIODS_SHOWN = 24
NAVS_SHOWN = 6
SORTS = {"newest": ("-made_at", "-number"), "oldest": ("made_at", "number")}
PAPERS = ListSpec(
    name="papers",
    url_name="desk_papers",
    label="Pages of papers",
    columns=(
        Column(label="Paper", sorts=("newest", "oldest")),
        Column(label="For"),
        Column(label="NAV of"),
        Column(label="Taken"),
        Column(label="File", is_hidden=True),
    ),
    filters=(
        Choices(name="kind", label="Kind", options=tuple(Paper.Kind.choices)),
        Choices(name="period", label="Month"),
        Choices(name="account", label="Account"),
    ),
    sorts=(("newest", "Newest first"), ("oldest", "Oldest first")),
)


@require_safe
@desk_view(Capability.PAPERS_VIEW)
def papers(request: HttpRequest) -> HttpResponse:
    """Every paper of the fund, filtered and sorted, with who took it last."""
    fund = own_fund()
    periods = list_periods(fund)[:PERIODS_SHOWN] if fund is not None else []
    # Ten thousand accounts are no list to choose from: a name in the table is the way to its own.
    account = request.GET.get("account", "")[:VALUE_MAX]
    spec = PAPERS.with_options(
        period=[(item, item) for item in periods], account=[(account, account)] if account else []
    )
    listing = spec.read(request.GET, number=asked_page(request))
    rows = papers_of_fund(fund).select_related("investor", "strike").defer("strike__inputs")
    chosen = listing.chosen
    if chosen["kind"]:
        rows = rows.filter(kind=chosen["kind"])
    if chosen["period"]:
        rows = rows.filter(period=chosen["period"])
    if chosen["account"]:
        rows = rows.filter(investor__number=chosen["account"])
    page = listing.cut(rows.order_by(*SORTS[listing.sort]), size=PAGE_SIZE)
    taken = downloads_of([row.pk for row in page.rows])
    context: dict[str, Any] = {
        "listing": replace(
            page, rows=[{"row": row, "taken": taken.get(row.pk, [])} for row in page.rows]
        ),
        "periods": periods,
        "titles": TITLES,
        "strikes": list(
            NavStrike.objects.filter(fund=fund, state=NavStrike.State.DEALT)
            .only("valuation_at", "version")
            .order_by("-valuation_at")[:NAVS_SHOWN]
        ),
        "room": "papers",
        "fund": fund,
    }
    frame = build_frame(request, "nav")
    return render_page(request, "desk/papers.html", {**frame, **context}, parts=("papers",))


@require_safe
@desk_view(Capability.PAPERS_VIEW)
def paper(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The PDF of a paper; each download is noted."""
    row = get_object_or_404(Paper, pk=pk, strike__fund__book=settings.MAGNET_BOOK)
    return send_pdf(row.number, note_download(row, actor=actor_of(request)))


@require_safe
@desk_view(Capability.PAPERS_VIEW)
def nav_paper(request: HttpRequest, pk: UUID, kind: str, form: str) -> HttpResponse:
    """A paper of the fund at one NAV, as PDF, CSV or XLSX; each download is noted."""
    strike = get_object_or_404(
        NavStrike.objects.select_related("fund"), pk=pk, fund__book=settings.MAGNET_BOOK
    )
    actor = actor_of(request)
    try:
        if form == "pdf":
            row = fund_paper(strike=strike, kind=kind, actor=actor)
            return send_pdf(row.number, note_download(row, actor=actor))
        number, content = fund_table(strike=strike, kind=kind, actor=actor, form=form)
    except FundError as error:
        messages.error(request, f"No paper: {error.message}. ({error.code})")
        return redirect("desk_papers")
    return send_file(f"{number}.{form}", content, kind=TABLE_TYPES[form])


@require_POST
@desk_view(Capability.NAV_PREPARE)
def statements(request: HttpRequest) -> HttpResponse:
    """Make what is missing of a month's statements."""
    fund = own_fund()
    if fund is None:
        messages.error(request, "No fund has been founded.")
        return redirect("desk_papers")
    try:
        run = make_statements(
            fund=fund,
            period=request.POST.get("period", ""),
            actor=actor_of(request),
            most=MADE_MAX,
        )
    except FundError as error:
        messages.error(request, f"No statements: {error.message}. ({error.code})")
        return redirect("desk_papers")
    done = f"{len(run.made)} statements of {run.period} made, {run.kept} stood already."
    if run.left:
        done += f" {run.left} are left: press again, or leave them to the hourly job."
    messages.success(request, done)
    if run.refused:
        names = ", ".join(f"{number} ({code})" for number, code in list(run.refused.items())[:5])
        messages.error(request, f"{len(run.refused)} were not issued: {names}.")
    return redirect("desk_papers")
