"""The unit register on the desk: holders by class at a date, the lots behind one, and its files."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from investors.models import Fund, Investor, ShareClass
from investors.models.holders import KYC_CHOICES
from investors.services.register import (
    Register,
    read_lots_of_holder,
    read_register,
    tabulate_register,
    tie_register,
)
from magnetfund.core.actors import Actor, actor_of
from magnetfund.core.roles import Capability
from magnetfund.core.spreadsheets import write_rows, write_workbook
from magnetfund.kernel.clock import utc_now
from magnetfund.web.desk.access import desk_view
from magnetfund.web.desk.frame import build_frame
from magnetfund.web.desk.money import own_fund
from magnetfund.web.lists import Choices, Column, Listing, ListSpec
from magnetfund.web.parts import TABLE_TYPES, render_page, send_file
from magnetfund.web.public.pages import asked_page

PAGE_SIZE = 25
REGISTER = ListSpec(
    name="register",
    url_name="desk_register",
    label="Pages of holders",
    columns=(
        Column(label="Investor", sorts=("name",), is_wide=True),
        Column(label="Class"),
        Column(label="Lots", is_number=True),
        Column(label="Units", is_number=True, sorts=("units",)),
        Column(label="Value", is_number=True, sorts=("largest", "smallest")),
        Column(label="Of the fund", is_number=True),
        Column(label="KYC"),
    ),
    filters=(
        Choices(name="search", label="Name or account", entry="search"),
        Choices(name="at", label="At the end of", entry="date"),
        Choices(name="class", label="Class"),
        Choices(name="kyc", label="KYC", options=tuple(KYC_CHOICES)),
    ),
    sorts=(
        ("largest", "Largest first"),
        ("smallest", "Smallest first"),
        ("units", "Most units first"),
        ("name", "Name"),
        ("number", "Account"),
    ),
)


@require_safe
@desk_view(Capability.PAPERS_VIEW)
def register(request: HttpRequest) -> HttpResponse:
    """Holders with units, value, share, KYC state and lots; the lots of the one that is chosen."""
    fund, listing = own_fund(), _listing(request)
    context: dict[str, Any] = {"listing": listing, "fund": fund, "room": "register"}
    if fund is not None:
        actor = actor_of(request)
        begin = (listing.number - 1) * PAGE_SIZE
        found = find_register(fund, listing, actor=actor, first=begin, most=PAGE_SIZE)
        context |= {
            "found": found,
            "listing": listing.hold(
                found.holders, number=listing.number, has_older=found.count > begin + PAGE_SIZE
            ),
            "holder": (holder := _chosen(request)),
        }
        if found.count and not listing.chosen["search"] and not listing.chosen["kyc"]:
            context["ties"] = tie_register(found)
        if holder is not None:
            context["lots"] = read_lots_of_holder(fund, holder.pk, at=found.at, actor=actor)
    frame = build_frame(request, "nav")
    return render_page(request, "desk/register.html", {**frame, **context}, parts=("register",))


@require_safe
@desk_view(Capability.PAPERS_VIEW)
def export(request: HttpRequest, form: str) -> HttpResponse:
    """Every holder of the list's own query as CSV or XLSX; each export is noted."""
    fund = own_fund()
    if fund is None or form not in TABLE_TYPES:
        raise Http404
    actor = actor_of(request)
    found = find_register(fund, _listing(request), actor=actor)
    rows = tabulate_register(found, fund=fund, actor=actor, form=form)
    content = write_rows(rows) if form == "csv" else write_workbook({"Register": rows})
    name = f"register-{fund.code}-{found.at:%Y%m%d}.{form}"
    return send_file(name, content, kind=TABLE_TYPES[form])


def find_register(
    fund: Fund, listing: Listing, *, actor: Actor, first: int = 0, most: int | None = None
) -> Register:
    """What an address asks for; without a date, as it is now; a page of it, or every holder."""
    chosen = listing.chosen
    return read_register(
        fund,
        at=end_of(chosen["at"]),
        actor=actor,
        share_class=chosen["class"],
        kyc_state=chosen["kyc"],
        search=chosen["search"],
        sort=listing.sort,
        first=first,
        most=most,
    )


def end_of(day: str) -> datetime:
    """The last instant of a day, never after now; now without one."""
    now = utc_now()
    if not day:
        return now
    begin = datetime.combine(date.fromisoformat(day), time(), tzinfo=UTC)
    return min(now, begin + timedelta(days=1, microseconds=-1))


def _listing(request: HttpRequest) -> Listing:
    codes = ShareClass.objects.filter(fund=own_fund()).order_by("code").values_list("code", "name")
    spec = REGISTER.with_options(
        **{"class": tuple((code, f"{code}, {name}") for code, name in codes)}
    )
    listing = spec.read(request.GET, number=asked_page(request))
    return replace(listing, number=min(listing.number, 400))


def _chosen(request: HttpRequest) -> Investor | None:
    try:
        return Investor.objects.filter(pk=UUID(request.GET.get("holder", ""))).first()
    except ValueError:
        return None
