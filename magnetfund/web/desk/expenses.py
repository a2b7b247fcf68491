"""Running costs of the fund: what waits, what accrues, the forms, and the list as CSV."""

from __future__ import annotations

import csv
from typing import Any
from uuid import UUID, uuid4

from django.conf import settings
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from investors.models import Expense, ExpenseChange
from investors.services.expenses import (
    decide_expense,
    expenses_due,
    read_expenses,
)
from magnetfund.core.actors import actor_of
from magnetfund.core.roles import Capability
from magnetfund.core.spreadsheets import safe_cell
from magnetfund.kernel.clock import utc_now
from magnetfund.kernel.errors import FundError
from magnetfund.web.desk.access import desk_view
from magnetfund.web.desk.frame import build_frame
from magnetfund.web.desk.money import own_fund
from magnetfund.web.desk.signing import answer_decision, list_waiting
from magnetfund.web.expense_forms import ExpenseForm, propose_change
from magnetfund.web.forms import submit_once
from magnetfund.web.parts import render_page
from magnetfund.web.service_forms import bind

SHOWN = 40
COLUMNS = (
    "supplier", "reference", "account", "amount", "is_yearly", "first_day", "last_day", "invoiced",
    "in_navs", "proposed_by", "approved_by",
)  # fmt: skip


def _rows() -> Any:
    return Expense.objects.filter(fund__book=settings.MAGNET_BOOK).select_related(
        "proposed_by", "decided_by"
    )


def _changes() -> Any:
    return ExpenseChange.objects.filter(expense__fund__book=settings.MAGNET_BOOK).select_related(
        "expense", "proposed_by", "decided_by"
    )


@require_http_methods(["GET", "HEAD", "POST"])
@desk_view()
def expenses(request: HttpRequest) -> HttpResponse:
    """What waits for a second person, what each NAV takes, and the form."""
    user: Any = request.user
    may_propose = user.can(Capability.NAV_PREPARE)
    fund = own_fund()
    bound = bind(ExpenseForm, actor_of(request))
    form = bound(initial={"fund": fund})
    if request.method == "POST":
        if not may_propose:
            raise PermissionDenied
        form = bound(request.POST)
        if submit_once(request, form, verb="proposed", after="a controller approves it."):
            return HttpResponseRedirect(reverse("desk_expenses"), status=303)
    waiting = [*_rows().filter(is_approved=None)[:SHOWN]]
    waiting += [*_changes().filter(is_approved=None)[:SHOWN]]
    past = [*_rows().exclude(is_approved=None)[:SHOWN]]
    past += [*_changes().exclude(is_approved=None)[:SHOWN]]
    past.sort(key=lambda row: row.decided_at, reverse=True)
    states = read_expenses(fund) if fund is not None else []
    pending = {(row.expense_id, row.kind) for row in waiting if isinstance(row, ExpenseChange)}
    context = {
        **build_frame(request, "nav"),
        "form": form,
        "fund": fund,
        "may_propose": may_propose,
        "may_decide": user.can(Capability.NAV_APPROVE),
        "waiting": list_waiting(request, waiting),
        "running": [
            {
                "state": state,
                "may_end": state.terms.last_day is None
                and (state.row.pk, ExpenseChange.Kind.END) not in pending,
                "may_invoice": state.terms.last_day is not None
                and state.terms.invoiced is None
                and (state.row.pk, ExpenseChange.Kind.INVOICE) not in pending,
            }
            for state in states
        ],
        "due": expenses_due(fund, at=utc_now()) if fund is not None and states else None,
        "past": past[:SHOWN],
        "key": request.POST.get("key") or uuid4(),
    }
    answer = render_page(request, "desk/expenses.html", context, parts=())
    answer.status_code = 422 if request.method == "POST" else 200
    return answer


@require_POST
@desk_view(Capability.NAV_PREPARE)
def change(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Propose the end or the final invoice of one expense."""
    row = get_object_or_404(_rows(), pk=pk)
    try:
        propose_change(row, request.POST, actor_of(request))
    except FundError as error:
        messages.error(request, f"Not proposed: {error.message}. ({error.code})")
    else:
        messages.success(request, "Proposed; a controller approves it.")
    return redirect("desk_expenses")


@require_POST
@desk_view(Capability.NAV_APPROVE, step_up=True)
def decide(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The second person's decision on an expense or a change, on his signature."""
    row = _rows().filter(pk=pk).first() or get_object_or_404(_changes(), pk=pk)
    return answer_decision(
        request, row, decide=decide_expense, back=reverse("desk_expenses"),
        approved=lambda done: "the next NAV takes it",
    )  # fmt: skip


@require_safe
@desk_view()
def export(request: HttpRequest) -> HttpResponse:
    """Every approved expense with exact figures."""
    response = HttpResponse(content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = 'attachment; filename="expenses.csv"'
    writer, fund = csv.writer(response), own_fund()
    writer.writerow(COLUMNS)
    for state in read_expenses(fund) if fund is not None else []:
        row, terms = state.row, state.terms
        writer.writerow(
            [
                safe_cell(row.supplier), safe_cell(row.reference), row.account, f"{row.amount:.2f}",
                row.is_yearly, terms.first_day, terms.last_day or "",
                "" if terms.invoiced is None else f"{terms.invoiced:.2f}", f"{state.total:.2f}",
                row.proposed_by.email, row.decided_by.email if row.decided_by else "",
            ]
        )  # fmt: skip
    return response
