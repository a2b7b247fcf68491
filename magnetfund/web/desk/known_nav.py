"""The page NAV(V, K): what the fund was worth at one instant as its books knew it at another."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django import forms
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from investors.models import Fund
from investors.services.nav_as_known import nav_as_known
from magnetfund.kernel.clock import utc_now
from magnetfund.kernel.errors import FundError
from magnetfund.web.desk.access import desk_view
from magnetfund.web.desk.frame import build_frame
from magnetfund.web.parts import render_page


def _instant(label: str, *, required: bool) -> forms.DateTimeField:
    return forms.DateTimeField(
        label=label,
        required=required,
        widget=forms.DateTimeInput(attrs={"type": "datetime-local", "class": "form-control"}),
    )


class KnownNavForm(forms.Form):
    """Both instants in UTC."""

    at = _instant("Valued at (UTC)", required=True)
    known = _instant("As known at (UTC); now if empty", required=False)


@require_safe
@desk_view()
def known_nav(request: HttpRequest) -> HttpResponse:
    """The form, and below it the NAV that it asks for or why there is none."""
    fund = Fund.objects.filter(book=settings.MAGNET_BOOK).first()
    form = KnownNavForm(request.GET or None)
    context: dict[str, Any] = {**build_frame(request, "nav"), "form": form}
    if fund is not None and form.is_bound and form.is_valid():
        given = form.cleaned_data
        try:
            context["found"] = nav_as_known(
                fund=fund,
                valuation_at=_utc(given["at"]),
                known_at=_utc(given["known"]) if given["known"] else utc_now(),
            ).plain()
        except FundError as error:
            form.add_error(None, error.message)
    answer = render_page(request, "desk/known_nav.html", context, parts=())
    answer.status_code = 422 if form.is_bound and not form.is_valid() else 200
    return answer


def _utc(value: datetime) -> datetime:
    return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)
