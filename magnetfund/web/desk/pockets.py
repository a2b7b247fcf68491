"""Side pockets: what waits for a director, what the next NAV sets apart, and who holds what."""

from __future__ import annotations

import csv
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

from django.conf import settings
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from investors.models import Investor, PocketChange, PocketEntry, SidePocket
from investors.services.pocket_books import (
    PocketHolding,
    read_merged,
    read_pocket_balances,
    read_pocket_holdings,
)
from investors.services.pocket_changes import changes_due, decide_change, withdraw_change
from investors.services.pockets import decide_pocket, pockets_due, withdraw_pocket
from magnetfund.core.actors import actor_of
from magnetfund.core.roles import Capability
from magnetfund.core.spreadsheets import safe_cell
from magnetfund.kernel.errors import FundError
from magnetfund.web.desk.access import desk_view
from magnetfund.web.desk.frame import build_frame
from magnetfund.web.desk.money import own_fund
from magnetfund.web.desk.signing import answer_decision, list_waiting
from magnetfund.web.forms import submit_once
from magnetfund.web.parts import render_page
from magnetfund.web.pocket_forms import PocketChangeForm, PocketForm
from magnetfund.web.service_forms import bind

SHOWN = 100
#: Shorter words of a step than those of its movements, for the narrow column of the roll-forward.
WORDS = {"merged": "Merged back", "paid": "Paid out"}
ZERO = Decimal(0)
COLUMNS = (
    "pocket", "asset", "account_number", "name", "share_class", "lot", "dealing_day", "units",
    "carried_at", "high_water_mark",
)  # fmt: skip


def _rows() -> Any:
    rows = SidePocket.objects.filter(fund__book=settings.MAGNET_BOOK)
    # The inputs of a strike hold a line for each lot of the fund.
    return rows.select_related("fund", "proposed_by", "decided_by", "strike").defer(
        "strike__inputs"
    )


@require_http_methods(["GET", "HEAD", "POST"])
@desk_view()
def pockets(request: HttpRequest) -> HttpResponse:
    """What stands apart, what waits for a signature or a NAV, and the form."""
    user: Any = request.user
    may_propose = user.can(Capability.DEALING_PROCESS)
    bound = bind(PocketForm, actor_of(request))
    form = bound()
    if request.method == "POST":
        if not may_propose:
            raise PermissionDenied
        form = bound(request.POST)
        if submit_once(request, form, verb="proposed", after="a director signs it."):
            return HttpResponseRedirect(reverse("desk_pockets"), status=303)
    fund = own_fund()
    balances = {} if fund is None else read_pocket_balances(fund)
    merged = {} if fund is None else read_merged(fund)
    created = list(_rows().exclude(strike=None).order_by("-number")[:SHOWN])
    context = {
        **build_frame(request, "nav"),
        "form": form,
        "fund": fund,
        "may_propose": may_propose,
        "may_decide": user.can(Capability.POCKETS_APPROVE),
        "may_withdraw": may_propose or user.can(Capability.POCKETS_APPROVE),
        "waiting": list_waiting(request, _rows().filter(is_approved=None)[:SHOWN]),
        "due": [] if fund is None else pockets_due(fund),
        "standing": [
            {
                "row": row,
                "carried": balances[row.name].assets if row.name in balances else ZERO,
                "merged": merged.get(row.pk),
            }
            for row in created
        ],
        "carried": sum((item.assets for item in balances.values()), ZERO),
        "past": _rows().filter(is_approved=False).order_by("-decided_at")[:SHOWN],
        "withdrawn": _rows().exclude(withdrawn_at=None).order_by("-withdrawn_at")[:SHOWN],
        "key": request.POST.get("key") or uuid4(),
    }
    answer = render_page(request, "desk/pockets.html", context, parts=())
    answer.status_code = 422 if request.method == "POST" else 200
    return answer


def _changes() -> Any:
    rows = PocketChange.objects.filter(pocket__fund__book=settings.MAGNET_BOOK)
    return rows.select_related("pocket__fund", "proposed_by", "decided_by", "strike", "line").defer(
        "strike__inputs"
    )


@require_http_methods(["GET", "HEAD", "POST"])
@desk_view()
def changes(request: HttpRequest) -> HttpResponse:
    """New values of claims, cash that came in, merges: what waits, what NAVs booked, the form."""
    user: Any = request.user
    may_propose = user.can(Capability.DEALING_PROCESS)
    bound = bind(PocketChangeForm, actor_of(request))
    form = bound()
    if request.method == "POST":
        if not may_propose:
            raise PermissionDenied
        form = bound(request.POST)
        if submit_once(request, form, verb="proposed", after="a director signs it."):
            return HttpResponseRedirect(reverse("desk_pocket_changes"), status=303)
    fund = own_fund()
    context = {
        **build_frame(request, "nav"),
        "form": form,
        "fund": fund,
        "may_propose": may_propose,
        "may_decide": user.can(Capability.POCKETS_APPROVE),
        "may_withdraw": may_propose or user.can(Capability.POCKETS_APPROVE),
        "waiting": list_waiting(request, _changes().filter(is_approved=None)[:SHOWN]),
        "due": [] if fund is None else changes_due(fund),
        "booked": _changes().exclude(strike=None).order_by("-strike__valuation_at")[:SHOWN],
        "past": _changes().filter(is_approved=False).order_by("-decided_at")[:SHOWN],
        "key": request.POST.get("key") or uuid4(),
    }
    answer = render_page(request, "desk/pocket_changes.html", context, parts=())
    answer.status_code = 422 if request.method == "POST" else 200
    return answer


@require_POST
@desk_view(Capability.POCKETS_APPROVE, step_up=True)
def decide_one(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The director's decision on a change, on his signature."""
    return answer_decision(
        request, get_object_or_404(_changes(), pk=pk), decide=decide_change,
        back=reverse("desk_pocket_changes"), approved=lambda done: "the next NAV books it",
    )  # fmt: skip


@require_POST
@desk_view()
def withdraw_one(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Take an approved change back before a NAV has booked it."""
    row = get_object_or_404(_changes(), pk=pk)
    try:
        withdraw_change(change=row, reason=request.POST.get("reason", ""), actor=actor_of(request))
    except FundError as error:
        messages.error(request, f"Not withdrawn: {error.message}. ({error.code})")
    else:
        messages.success(request, "Withdrawn; no NAV books it.")
    return redirect("desk_pocket_changes")


@require_safe
@desk_view(Capability.PAPERS_VIEW)
def pocket(request: HttpRequest, pk: UUID) -> HttpResponse:
    """One side pocket: the claim, its roll-forward by class, and its holders by lot."""
    row = get_object_or_404(_rows().exclude(strike=None), pk=pk)
    held = _held(row)
    by_class: dict[str, list[Decimal]] = {}
    for item in held:
        sums = by_class.setdefault(item.share_class, [ZERO, ZERO])
        sums[0] += item.units
        sums[1] += item.value
    names = Investor.objects.in_bulk({item.investor for item in held})
    context = {
        **build_frame(request, "nav"),
        "fund": row.fund,
        "row": row,
        "steps": _steps(row),
        "merged": read_merged(row.fund).get(row.pk),
        "classes": [(code, *sums) for code, sums in sorted(by_class.items())],
        "units": sum((item.units for item in held), ZERO),
        "value": sum((item.value for item in held), ZERO),
        "holders": [(names[item.investor], item) for item in held[:SHOWN]],
        "left_out": max(0, len(held) - SHOWN),
    }
    return render_page(request, "desk/pocket.html", context, parts=())


@require_safe
@desk_view(Capability.PAPERS_VIEW)
def export(request: HttpRequest) -> HttpResponse:
    """Every lot's units of every side pocket, exact."""
    response = HttpResponse(content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = 'attachment; filename="side-pockets.csv"'
    writer = csv.writer(response)
    writer.writerow(COLUMNS)
    fund = own_fund()
    held = [] if fund is None else read_pocket_holdings(fund)
    names = Investor.objects.in_bulk({item.investor for item in held})
    for item in held:
        who = names[item.investor]
        writer.writerow(
            [
                item.pocket.name, safe_cell(item.pocket.asset), who.number,
                safe_cell(who.legal_name), item.share_class, item.lot, item.entry_day,
                f"{item.units.normalize():f}", f"{item.value.normalize():f}",
                f"{item.mark.normalize():f}",
            ]
        )  # fmt: skip
    return response


@require_POST
@desk_view(Capability.POCKETS_APPROVE, step_up=True)
def decide(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The director's decision on a side pocket, on his signature."""
    return answer_decision(
        request, get_object_or_404(_rows(), pk=pk), decide=decide_pocket,
        back=reverse("desk_pockets"),
        approved=lambda done: f"the next NAV sets {done.name} apart",
    )  # fmt: skip


@require_POST
@desk_view()
def withdraw(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Take an approved side pocket back before a NAV has set it apart."""
    row = get_object_or_404(_rows(), pk=pk)
    try:
        withdraw_pocket(pocket=row, reason=request.POST.get("reason", ""), actor=actor_of(request))
    except FundError as error:
        messages.error(request, f"Not withdrawn: {error.message}. ({error.code})")
    else:
        messages.success(request, f"{row.name} is withdrawn; no NAV sets it apart.")
    return redirect("desk_pockets")


def _steps(row: SidePocket) -> list[dict[str, Any]]:
    """The roll-forward: what each NAV did to units and value, with what stood after it."""
    sums: dict[tuple[Any, str], list[Decimal]] = {}
    # What goes from holder to holder leaves the pocket as it was.
    entries = row.entries.exclude(kind__in=("transfer_out", "transfer_in"))
    for at, kind, units, value, fee in entries.order_by("effective_at", "pk").values_list(
        "effective_at", "kind", "units", "value", "fee"
    ):
        found = sums.setdefault((at, kind), [ZERO, ZERO, ZERO])
        for place, amount in enumerate((units, value, fee)):
            found[place] += amount
    steps, units_left, value_left = [], ZERO, ZERO
    for (at, kind), (units, value, fee) in sums.items():
        units_left, value_left = units_left + units, value_left + value
        steps.append(
            {
                "at": at, "words": WORDS.get(kind, PocketEntry.Kind(kind).label),
                "units": units, "value": value, "fee": fee,
                "units_left": units_left, "value_left": value_left,
            }
        )  # fmt: skip
    return steps


def _held(row: SidePocket) -> list[PocketHolding]:
    return [item for item in read_pocket_holdings(row.fund) if item.pocket.pk == row.pk]
