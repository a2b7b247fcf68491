"""The page Options: a dated chain of an instrument, its smile, its gamma, and as a file."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from magnetfund.kernel.clock import from_milliseconds, isoformat_z
from magnetfund.web.desk.access import desk_view
from magnetfund.web.desk.frame import build_frame
from magnetfund.web.parts import render_page
from trading.domain.options.chain import Expiry
from trading.domain.options.condor import CondorRefusal
from trading.domain.options.exposure import ASSUMPTION, StrikeGamma
from trading.models import Instrument, OptionSnapshot
from trading.selectors.options import (
    ChainView,
    chain_instruments,
    choose_expiry,
    describe_option,
    find_snapshot,
    list_snapshots,
    plan_condor,
    rank_volatility,
    say_expiry,
    view_chain,
)

#: Strikes with the most gamma that the page draws.
STRIKES_SHOWN = 16
#: Strikes of an expiry in its table, those nearest to the forward; the file holds all.
LINES_SHOWN = 24
CONDOR_LOSS = 1_000.0
CSV_COLUMNS = (
    "stated_at", "expiry", "strike", "kind", "open_interest", "volume", "bid", "ask", "mark",
    "forward", "implied_volatility", "volatility_from", "delta", "gamma", "vega", "theta",
)  # fmt: skip
NO_CONDOR = {
    CondorRefusal.NO_SHORT_STRIKE: "A side has no option out of the money with an ask.",
    CondorRefusal.NO_WING: "There is no strike beyond the short ones to buy.",
    CondorRefusal.NO_CREDIT: "No pair of wings leaves a credit at these bids and asks.",
    CondorRefusal.LOSS_ABOVE_LIMIT: "One contract could lose more than this limit.",
}


class CondorForm(forms.Form):
    """The most that an iron condor may lose, in quote currency."""

    loss = forms.FloatField(
        label="Loss at most", min_value=1.0, max_value=1e9, required=False, initial=CONDOR_LOSS
    )


@require_safe
@desk_view()
def options(request: HttpRequest) -> HttpResponse:
    """Expiries, strikes, smile, greeks, gamma by strike with the walls, unusual activity."""
    instruments, instrument, snapshots, snapshot = _chosen(request)
    context: dict[str, Any] = {
        "instruments": instruments,
        "instrument": instrument,
        "snapshots": snapshots,
        "snapshot": snapshot,
        "assumption": ASSUMPTION,
    }
    if snapshot is not None:
        context |= _chain_context(request, view_chain(snapshot))
    status = 422 if context.get("form") is not None and context["form"].errors else 200
    response = render_page(
        request, "desk/options.html", {**build_frame(request, "signals"), **context}, parts=()
    )
    response.status_code = status
    return response


@require_safe
@desk_view()
def options_csv(request: HttpRequest) -> HttpResponse:
    """Every option of the snapshot with its greeks; only the heading where there is none."""
    response = HttpResponse(content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = 'attachment; filename="options.csv"'
    writer = csv.writer(response)
    writer.writerow(CSV_COLUMNS)
    _, _, _, snapshot = _chosen(request)
    if snapshot is None:
        return response
    stated = isoformat_z(snapshot.stated_at)
    for expiry in view_chain(snapshot).expiries:
        day = say_expiry(expiry)
        for row in expiry.options:
            told = describe_option(row)
            writer.writerow([stated, day, *(told[name] for name in CSV_COLUMNS[2:])])
    return response


def _chosen(
    request: HttpRequest,
) -> tuple[list[Instrument], Instrument | None, list[OptionSnapshot], OptionSnapshot | None]:
    """The snapshot that the address names with its instrument, else the instrument's newest, else
    the first instrument's."""
    instruments = chain_instruments()
    asked = request.GET.get("snapshot", "")
    snapshot = find_snapshot(int(asked)) if asked.isdecimal() and len(asked) < 19 else None
    wanted = str(snapshot.instrument_id) if snapshot else request.GET.get("instrument", "")
    instrument = next(
        (row for row in instruments if str(row.pk) == wanted),
        instruments[0] if instruments else None,
    )
    snapshots = list_snapshots(instrument) if instrument is not None else []
    return instruments, instrument, snapshots, snapshot or next(iter(snapshots), None)


def _chain_context(request: HttpRequest, view: ChainView) -> dict[str, Any]:
    expiry = choose_expiry(view.expiries, request.GET.get("expiry", "")[:10])
    form = CondorForm(request.GET if "loss" in request.GET else {"loss": CONDOR_LOSS})
    context: dict[str, Any] = {
        "form": form,
        "expiry": expiry,
        "expiries": [{"row": row, "day": say_expiry(row)} for row in view.expiries],
        "gamma": draw_gamma(view.gamma, view.snapshot),
        "rank": rank_volatility(view.snapshot),
        "unusual": [
            {**item, "day": from_milliseconds(item["expires_ms"]).strftime("%Y-%m-%d")}
            for item in view.snapshot.unusual
        ],
    }
    if expiry is not None:
        context |= {
            "day": say_expiry(expiry),
            "strikes": pair_strikes(expiry, most=LINES_SHOWN),
            "strike_count": len({row.option.strike for row in expiry.options}),
            "smile": draw_smile(expiry),
        }
    if expiry is not None and form.is_valid():
        found = plan_condor(
            expiry,
            loss_max=form.cleaned_data["loss"] or CONDOR_LOSS,
            multiplier=view.snapshot.multiplier,
        )
        if isinstance(found, CondorRefusal):
            context["no_condor"] = NO_CONDOR[found]
        else:
            context["condor"] = found
    return context


def pair_strikes(expiry: Expiry, *, most: int) -> list[dict[str, Any]]:
    """One line for each of the ``most`` strikes nearest to the forward: the call and the put, each
    None where it is not listed."""
    lines: dict[float, dict[str, Any]] = {}
    for row in expiry.options:
        line = lines.setdefault(row.option.strike, {"strike": row.option.strike})
        line[row.option.kind.value] = row
    near = sorted(lines, key=lambda strike: abs(strike - expiry.forward))[:most]
    return [
        {"call": None, "put": None, **line, "is_middle": strike == near[0]}
        for strike, line in sorted(lines.items())
        if strike in near
    ]


def draw_smile(expiry: Expiry) -> dict[str, Any] | None:
    """Implied volatility by strike, of the option out of the money, as points of a 100 x 40 box."""
    points = sorted(
        (row.option.strike, row.volatility)
        for row in expiry.options
        if row.volatility is not None
        and row.option.kind.sign * (row.option.strike - expiry.forward) >= 0.0
    )
    if len(points) < 3:
        return None
    low, high = points[0][0], points[-1][0]
    least = min(value for _, value in points)
    most = max(value for _, value in points)
    wide, tall = (high - low) or 1.0, (most - least) or 1.0
    return {
        "points": " ".join(
            f"{100 * (strike - low) / wide:.2f},{38 - 36 * (value - least) / tall:.2f}"
            for strike, value in points
        ),
        "forward": f"{min(max(100 * (expiry.forward - low) / wide, 0.0), 100.0):.2f}",
        "low": low,
        "high": high,
        "least": least,
        "most": most,
    }


def draw_gamma(rows: Sequence[StrikeGamma], snapshot: OptionSnapshot) -> list[dict[str, Any]]:
    """The strikes with the most gamma, the highest first, as bars that end at the largest."""
    walls = {snapshot.call_wall: "call wall", snapshot.put_wall: "put wall"}
    chosen = sorted(rows, key=lambda row: -(row.calls - row.puts))[:STRIKES_SHOWN]
    most = max((abs(row.net) for row in chosen), default=0.0) or 1.0
    return [
        {
            "row": row,
            "wall": walls.get(row.strike, ""),
            "width": f"{100 * abs(row.net) / most:.2f}",
            "kind": "f" if row.net >= 0.0 else "n",
        }
        for row in sorted(chosen, key=lambda row: -row.strike)
    ]
