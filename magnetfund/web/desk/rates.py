"""Rates of stablecoins: what counts now, what waits for a signature, and the form."""

from __future__ import annotations

import csv
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from investors.domain.coins import is_at_par, is_fresh
from investors.models import CoinRate, Fund, ParTerm, RateProposal
from investors.services.coin_rates import decide_rates, usable_rates
from investors.services.coin_values import find_restated_rates, funding_coin
from investors.services.par_terms import decide_par
from magnetfund.core.actors import actor_of
from magnetfund.core.roles import Capability
from magnetfund.core.spreadsheets import safe_cell
from magnetfund.kernel.clock import isoformat_z, utc_now
from magnetfund.kernel.money import CARRIED
from magnetfund.web.desk.access import desk_view
from magnetfund.web.desk.frame import build_frame
from magnetfund.web.desk.money import own_fund
from magnetfund.web.desk.signing import answer_decision, list_waiting
from magnetfund.web.forms import submit_once
from magnetfund.web.parts import render_page
from magnetfund.web.rate_forms import ParForm, RateForm
from magnetfund.web.service_forms import bind

SHOWN = 60
LINES_SHOWN = 5
COLUMNS = (
    "coin", "currency", "rate", "observed_at", "arrived_at", "source", "held", "entered_by",
    "signed_by",
)  # fmt: skip


def _proposals() -> Any:
    return RateProposal.objects.filter(fund__book=settings.MAGNET_BOOK).select_related(
        "proposed_by", "decided_by"
    )


def _terms() -> Any:
    return ParTerm.objects.filter(fund__book=settings.MAGNET_BOOK).select_related(
        "proposed_by", "decided_by"
    )


def _rates(fund: Fund) -> Any:
    return CoinRate.objects.filter(currency=fund.currency).select_related(
        "proposal__proposed_by", "proposal__decided_by"
    )


def _newest(fund: Fund) -> list[dict[str, Any]]:
    """Of each coin that has a rate, the one that counts now."""
    now = utc_now()
    rows = [usable_rates(coin, fund.currency).first() for coin in CARRIED]
    return [
        {
            "row": row,
            "is_old": not is_fresh(row.observed_at, at=now),
            "is_at_par": is_at_par(row.rate),
        }
        for row in rows
        if row is not None
    ]


@require_http_methods(["GET", "HEAD", "POST"])
@desk_view()
def rates(request: HttpRequest) -> HttpResponse:
    """What each coin is worth now, what waits for a second person, every rate, and the form."""
    user: Any = request.user
    may_propose = user.can(Capability.NAV_PREPARE)
    actor = actor_of(request)
    form: Any = bind(RateForm, actor)(prefix="rate")
    par: Any = bind(ParForm, actor)(prefix="par")
    if request.method == "POST":
        if not may_propose:
            raise PermissionDenied
        if "par-coin" in request.POST:
            par = bind(ParForm, actor)(request.POST, prefix="par")
        else:
            form = bind(RateForm, actor)(request.POST, prefix="rate")
        sent = par if par.is_bound else form
        if submit_once(request, sent, verb="entered", after="a controller signs it."):
            return HttpResponseRedirect(reverse("desk_rates"), status=303)
    fund = own_fund()
    terms = _terms()
    waiting = list_waiting(request, _proposals().filter(is_approved=None)[:SHOWN])
    for item in waiting:
        item["lines"] = [
            (datetime.fromisoformat(at), rate) for at, rate in item["row"].lines[:LINES_SHOWN]
        ]
        item["more"] = max(0, len(item["row"].lines) - LINES_SHOWN)
    context = {
        **build_frame(request, "nav"),
        "form": form,
        "par": par,
        "par_waiting": list_waiting(request, terms.filter(is_approved=None)[:SHOWN]),
        "terms": terms.filter(is_approved=True).order_by("-first_day", "coin")[:SHOWN],
        "restated": [] if fund is None else find_restated_rates(fund),
        "fund": fund,
        "needed": "" if fund is None else funding_coin(fund),
        "may_propose": may_propose,
        "may_decide": user.can(Capability.NAV_APPROVE),
        "newest": [] if fund is None else _newest(fund),
        "waiting": waiting,
        "rates": [] if fund is None else _rates(fund)[:SHOWN],
        "declined": _proposals().filter(is_approved=False).order_by("-decided_at")[:SHOWN],
        "key": request.POST.get("key") or uuid4(),
    }
    answer = render_page(request, "desk/rates.html", context, parts=())
    answer.status_code = 422 if request.method == "POST" else 200
    return answer


@require_POST
@desk_view(Capability.NAV_APPROVE, step_up=True)
def decide(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The second person's decision on entered rates, on his signature."""
    return answer_decision(
        request, get_object_or_404(_proposals(), pk=pk), decide=decide_rates,
        back=reverse("desk_rates"), approved=lambda done: f"{done} counts from now on",
    )  # fmt: skip


@require_POST
@desk_view(Capability.TERMS_APPROVE, step_up=True)
def decide_term(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The second person's decision on a term of par, on his signature."""
    return answer_decision(
        request, get_object_or_404(_terms(), pk=pk), decide=decide_par,
        back=reverse("desk_rates"),
        approved=lambda done: f"it counts from the NAV of {done.first_day:%-d %b %Y}",
    )  # fmt: skip


@require_safe
@desk_view()
def export(request: HttpRequest) -> HttpResponse:
    """Every rate in the fund's currency with exact figures, those that were held included."""
    response = HttpResponse(content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = 'attachment; filename="rates.csv"'
    writer = csv.writer(response)
    writer.writerow(COLUMNS)
    fund = own_fund()
    for row in [] if fund is None else _rates(fund).order_by("observed_at", "pk").iterator():
        who = row.proposal
        writer.writerow(
            [
                row.coin, row.currency, f"{row.rate.normalize():f}", isoformat_z(row.observed_at),
                isoformat_z(row.arrived_at), safe_cell(row.source), safe_cell(row.held),
                who.proposed_by.email if who else "", who.decided_by.email if who else "",
            ]
        )  # fmt: skip
    return response
