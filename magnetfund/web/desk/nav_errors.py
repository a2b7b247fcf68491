"""The page of a NAV error: how far prices were off, whether it is material, who is owed what."""

from __future__ import annotations

import csv
from typing import Any

from django import forms
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from investors.domain.restatement import CompensationWay
from investors.models import Fund, NavStrike
from investors.services.nav_errors import NavErrors, measure_nav_errors
from magnetfund.kernel.errors import FundError
from magnetfund.web.desk.access import desk_view
from magnetfund.web.desk.frame import build_frame
from magnetfund.web.parts import render_page

SETTLEMENTS = {
    CompensationWay.CASH: "in cash",
    CompensationWay.MANAGER: "gained; not pursued, the manager makes the fund whole",
    CompensationWay.CLAIM: "gained; the fund may claim it",
    CompensationWay.NONE: "below the smallest amount",
}
COLUMNS = (
    "nav", "class", "investor", "deal", "units", "published", "right", "due", "settlement",
)  # fmt: skip


class NavErrorForm(forms.Form):
    """What net assets lacked, on which NAVs, and the policy's threshold."""

    first = forms.DateField(
        label="First wrong NAV",
        widget=forms.DateInput(attrs={"type": "date", "class": "form-control"}),
    )
    last = forms.DateField(
        label="Last wrong NAV",
        required=False,
        help_text="Empty: all later ones.",
        widget=forms.DateInput(attrs={"type": "date", "class": "form-control"}),
    )
    amount = forms.DecimalField(
        label="Net assets lacked",
        max_digits=18,
        decimal_places=2,
        help_text="Below zero where they held too much, as with an invoice that was missed.",
        widget=forms.NumberInput(attrs={"class": "form-control", "step": "0.01"}),
    )
    material = forms.DecimalField(
        label="Material from, % of the right price",
        min_value=0.001,
        max_value=100,
        decimal_places=3,
        initial=1,
        widget=forms.NumberInput(attrs={"class": "form-control", "step": "0.001"}),
    )


@require_safe
@desk_view()
def nav_errors(request: HttpRequest) -> HttpResponse:
    """The form, and below it what the error made of each NAV and of each deal at it."""
    fund = Fund.objects.filter(book=settings.MAGNET_BOOK).first()
    form = NavErrorForm(request.GET if "amount" in request.GET else None)
    found: NavErrors | None = None
    if fund is not None and form.is_bound and form.is_valid():
        given = form.cleaned_data
        try:
            found = measure_nav_errors(
                fund=fund,
                first=given["first"],
                last=given["last"],
                amount=given["amount"],
                material_from=given["material"] / 100,
            )
        except FundError as error:
            form.add_error(None, error.message)
    if found is not None and request.GET.get("as") == "csv":
        return _as_csv(found)
    context: dict[str, Any] = {
        **build_frame(request, "nav"),
        "form": form,
        "found": found,
        "fund": fund,
        "query": request.GET.urlencode(),
        "deals": [{"row": row, "words": SETTLEMENTS[row.found.settlement]} for row in found.deals]
        if found
        else [],
        "has_navs": NavStrike.objects.filter(fund=fund, state=NavStrike.State.DEALT).exists(),
    }
    answer = render_page(request, "desk/nav_errors.html", context, parts=())
    answer.status_code = 422 if form.is_bound and not form.is_valid() else 200
    return answer


def _as_csv(found: NavErrors) -> HttpResponse:
    prices = {(error.day, error.share_class): error for error in found.errors}
    response = HttpResponse(content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = 'attachment; filename="nav-error.csv"'
    writer = csv.writer(response)
    writer.writerow(COLUMNS)
    for row in found.deals:
        deal = row.found.deal
        error = prices[(deal.day, deal.share_class)]
        writer.writerow(
            [
                deal.day.isoformat(), deal.share_class, row.entry.lot.holding.investor.number,
                deal.kind.value, f"{deal.units:f}", f"{error.published:f}", f"{error.right:f}",
                f"{row.found.due:f}", row.found.settlement.value,
            ]
        )  # fmt: skip
    return response
