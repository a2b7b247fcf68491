"""The NAV page: strikes with their proof, preparing and approving one."""

from __future__ import annotations

import csv
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.db.models import Count, Sum
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils.timesince import timesince
from django.views.decorators.http import require_POST, require_safe

from investors.domain.fee_methods import FeeProof
from investors.models import ClassNav, Fund, LotNav, NavStrike
from investors.selectors import read_balance_sheet, read_dealing, read_fee_proofs
from investors.services.coin_values import coins_taken, say_taken
from investors.services.nav import (
    approve_strike,
    prepare_due,
    reject_strike,
)
from investors.services.nav_calendar import find_due
from investors.services.pocket_books import read_pocket_balances
from magnetfund.core.actors import actor_of
from magnetfund.core.roles import Capability
from magnetfund.core.services.signing import NAV, SignatureMissing
from magnetfund.kernel.clock import utc_now
from magnetfund.kernel.errors import FundError
from magnetfund.kernel.money import quantize
from magnetfund.web.desk.access import desk_view
from magnetfund.web.desk.frame import build_frame
from magnetfund.web.desk.signing import go_to_sign, is_own
from magnetfund.web.lists import Choices, Column, Listing, ListSpec
from magnetfund.web.parts import render_page
from magnetfund.web.public.pages import asked_page

MONTHS_SHOWN = 24
LOTS_SHOWN = 60
SERIES_SHOWN = CORRECTED_SHOWN = 40
#: Digits of money that the file of fees has: as many as a NAV stores of a fee per unit.
FINE = Decimal("1e-12")
FEE_COLUMNS = (
    "share_class", "lot", "series", "dealing_day", "units", "high_water_mark", "hurdle_start",
    "published_price", "fee_by_lot", "fee_by_series", "fee_by_equalisation",
    "equalisation_credit", "contingent_redemption", "largest_difference",
)  # fmt: skip
#: The lots of one NAV; the address names the NAV too.
LOTS = ListSpec(
    name="lots",
    url_name="desk_nav",
    label="Pages of lots",
    columns=(
        Column(label="Lot"),
        Column(label="Units", is_number=True),
        Column(label="High-water mark", is_number=True),
        Column(label="Net value per unit", is_number=True),
        Column(label="Net value", is_number=True),
    ),
    filters=(Choices(name="strike", label="NAV"),),
)
#: Steps of a waterfall that sum what stands above them.
SUBTOTALS = ("net assets before fees", "gross asset value", "NAV before performance fee")


@require_safe
@desk_view()
def nav(request: HttpRequest) -> HttpResponse:
    """The strike: waterfall, balance, signatures, checklist, second engine, lots, versions, and
    where it is asked for the performance fee by its three methods."""
    frame = build_frame(request, "nav")
    fund = Fund.objects.filter(book=settings.MAGNET_BOOK).first()
    # The inputs that a strike froze hold a line a lot; no page shows them.
    strikes = list(
        NavStrike.objects.filter(fund=fund)
        .select_related("prepared_by", "approved_by")
        .defer("inputs")
        .order_by("-valuation_at", "-version")[:MONTHS_SHOWN]
    )
    chosen = next((s for s in strikes if str(s.pk) == request.GET.get("strike")), None) or (
        strikes[0] if strikes else None
    )
    context: dict[str, Any] = {"fund": fund, "strikes": strikes, "strike": chosen}
    if chosen is not None and fund is not None:
        context.update(
            _strike_context(chosen, fund, LOTS.read(request.GET, number=asked_page(request)))
        )
    if fund is not None:
        due = find_due(fund, at=utc_now())
        context["due_at"] = due and due[0]
    context["fees_open"] = request.GET.get("fees") == "open"
    if context["fees_open"] and chosen is not None:
        context["proofs"] = [_say_proof(proof) for proof in read_fee_proofs(chosen)]
    context["can_decide"] = (
        chosen is not None
        and chosen.state == NavStrike.State.PREPARED
        and chosen.prepared_by_id != request.user.pk
        and "nav_approve" in frame["capabilities"]
    )
    return render_page(
        request, "desk/nav.html", {**frame, **context}, parts=("lots", "fee-methods")
    )


def _strike_context(strike: NavStrike, fund: Fund, listing: Listing) -> dict[str, Any]:
    classes = list(ClassNav.objects.filter(strike=strike).select_related("share_class"))
    second = strike.second_engine or {}
    lots = LotNav.objects.filter(strike=strike)
    steps = [(name, Decimal(amount)) for name, amount in strike.waterfall]
    largest = max((abs(amount) for _, amount in steps), default=Decimal(1)) or Decimal(1)
    return {
        "classes": classes,
        "steps": [
            {
                "name": name,
                "amount": amount,
                "share": abs(amount) / largest,
                "shape": "is-sub is-end"
                if number == len(steps)
                else ("is-sub" if name in SUBTOTALS else ""),
            }
            for number, (name, amount) in enumerate(steps, start=1)
        ],
        "second": [{"row": row, "other": second.get(row.share_class.code, {})} for row in classes],
        "listing": listing.cut(
            lots.select_related("lot__holding__investor").order_by("lot__number"), size=LOTS_SHOWN
        ),
        **lots.aggregate(lot_count=Count("pk"), lot_units=Sum("units"), lot_value=Sum("net_value")),
        "apart": sum(
            (
                item.assets
                for item in read_pocket_balances(fund, before=strike.valuation_at).values()
            ),
            Decimal(0),
        ),
        "sheet": read_balance_sheet(strike, fund),
        "coins": _say_coins(strike),
        "dealing": read_dealing(strike) if strike.state == NavStrike.State.PREPARED else None,
        "rounding": sum((row.rounding for row in classes), Decimal(0)),
        "passed": sum(1 for line in strike.checklist if line["passed"]),
    }


def _say_coins(strike: NavStrike) -> list[dict[str, Any]]:
    """What was held in stablecoins, by which rate it was taken, and its age at the valuation."""
    return [
        {
            "coin": item["coin"],
            "amount": Decimal(item["amount"]),
            "rate": Decimal(item["rate"]),
            "source": item["source"],
            "observed_at": (observed := datetime.fromisoformat(item["observed_at"])),
            "age": timesince(observed, strike.valuation_at),
            "taken": say_taken(item),
            "difference": Decimal(item.get("difference", 0)),
        }
        for item in coins_taken(strike.checklist)
    ]


def _say_proof(proof: FeeProof) -> dict[str, Any]:
    """The totals by method, the series, and the lots whose correction is the largest."""
    corrected = sorted(proof.lots, key=lambda lot: (-max(lot.credit, lot.contingent), lot.number))
    return {
        "proof": proof,
        "series": proof.series[:SERIES_SHOWN],
        "series_left_out": max(0, len(proof.series) - SERIES_SHOWN),
        "lots": sorted(corrected[:CORRECTED_SHOWN], key=lambda lot: lot.number),
        "lots_left_out": max(0, len(proof.lots) - CORRECTED_SHOWN),
    }


@require_safe
@desk_view()
def export_fees(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The performance fee of every lot of a NAV by each method, with exact figures."""
    strike = get_object_or_404(NavStrike, pk=pk, fund__book=settings.MAGNET_BOOK)
    response = HttpResponse(content_type="text/csv; charset=utf-8")
    name = f"performance-fee-{strike.valuation_at:%Y-%m-%d}-v{strike.version}.csv"
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    writer = csv.writer(response)
    writer.writerow(FEE_COLUMNS)
    for proof in read_fee_proofs(strike):
        series = {item.code: item for item in proof.series}
        for lot in proof.lots:
            own = series[lot.series]
            figures = (
                lot.by_lot, lot.by_series, lot.by_equalisation, lot.credit, lot.contingent,
                lot.difference,
            )  # fmt: skip
            writer.writerow(
                [
                    proof.code, lot.number, lot.series, own.opened.isoformat(), f"{lot.units:f}",
                    f"{own.mark:f}", own.clock.isoformat(), f"{proof.published_price:f}",
                    *(f"{quantize(figure, FINE):f}" for figure in figures),
                ]
            )  # fmt: skip
    return response


@require_POST
@desk_view(Capability.NAV_PREPARE)
def prepare_nav(request: HttpRequest) -> HttpResponse:
    """Prepare the NAV that is due."""
    fund = Fund.objects.filter(book=settings.MAGNET_BOOK).first()
    if fund is None:
        messages.error(request, "Not prepared: no fund has been founded.")
        return redirect("desk_nav")
    try:
        prepare_due(fund=fund, actor=actor_of(request))
    except FundError as error:
        messages.error(request, f"Not prepared: {error.message}. ({error.code})")
    else:
        messages.success(request, "NAV prepared. Another person must approve it.")
    return redirect("desk_nav")


@require_POST
@desk_view(Capability.NAV_APPROVE, step_up=True)
def decide_nav(request: HttpRequest, pk: str) -> HttpResponse:
    """Approve the strike that was shown, or return it with a reason."""
    strike = get_object_or_404(NavStrike, pk=pk, fund__book=settings.MAGNET_BOOK)
    try:
        if request.POST.get("decision") == "approve":
            approve_strike(
                strike=strike, seen_hash=request.POST.get("hash", ""), actor=actor_of(request)
            )
            messages.success(request, "NAV approved and orders dealt.")
        else:
            reject_strike(
                strike=strike, reason=request.POST.get("reason", ""), actor=actor_of(request)
            )
            messages.success(request, "Returned to the preparer.")
    except SignatureMissing as error:
        if is_own(request, error):
            return go_to_sign(request, action=NAV, subject=strike.pk, back=reverse("desk_nav"))
        messages.error(request, f"Not saved: {error.message}.")
    except FundError as error:
        messages.error(request, f"Not saved: {error.message}. ({error.code})")
    return redirect("desk_nav")
