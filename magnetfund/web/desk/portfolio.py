"""Risk pages beside the gauges: how instruments move together, factor scores, attribution."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from magnetfund.kernel.clock import utc_midnight, utc_now
from magnetfund.web.desk.access import desk_view
from magnetfund.web.desk.charts import KIND_WORDS
from magnetfund.web.desk.frame import build_frame
from magnetfund.web.desk.research_page import bars_of
from risk.services.limits import limits_in_force
from trading import selectors
from trading.selectors.active_return import view_active_return
from trading.selectors.attribution import AttributedTrades, TradeGroup, view_attribution
from trading.selectors.portfolio import (
    QUANTILES,
    WINDOWS,
    PortfolioView,
    score_names,
    view_portfolio,
)
from trading.selectors.shortfall import view_shortfall

#: Days of closed trades that the attribution offers; 0 is all of them.
SPANS = ((30, "30 days"), (90, "90 days"), (365, "A year"), (0, "All"))
WAYS = (
    ("strategy", "Strategy", "the sleeve that decided"),
    ("instrument", "Instrument", ""),
    ("magnet", "Magnet kind", "the stored level next to the target at entry"),
    ("leverage", "Leverage", "notional over margin, fixed at entry"),
    ("exit", "Exit", "what closed the trade"),
)


@require_safe
@desk_view()
def correlation(request: HttpRequest) -> HttpResponse:
    """Correlations over a window, and portfolios that they suggest beside the present book."""
    days = _choose(request.GET.get("days", ""), WINDOWS, 90)
    book = settings.MAGNET_BOOK
    view = view_portfolio(book, selectors.active_instruments(), days=days)
    edge = float(limits_in_force(book).correlation_group_min)
    return render(
        request,
        "desk/correlation.html",
        {
            **build_frame(request, "risk"),
            "view": view,
            "windows": WINDOWS,
            "edge": edge,
            "matrix": _shade(view, edge),
            "pairs": _pairs(view),
            "names": [
                {"symbol": symbol, "volatility": v, "mean": m, "error": e}
                for symbol, v, m, e in zip(
                    view.symbols, view.volatilities, view.means, view.mean_errors, strict=False
                )
            ],
            "proposals": [
                {"row": item, "parts": list(zip(view.symbols, item.weights, item.risk_shares,
                                                strict=False))}
                for item in view.proposals
            ],
        },
    )  # fmt: skip


@require_safe
@desk_view()
def factors(request: HttpRequest) -> HttpResponse:
    """Factor scores of every active instrument, screened by fifths and by class."""
    rows, problem = score_names(selectors.active_instruments())
    fifth = _choose(request.GET.get("fifth", ""), tuple(range(QUANTILES + 1)), 0)
    kinds = sorted({row.kind for row in rows})
    kind = request.GET.get("kind", "")
    shown = [
        row
        for row in rows
        if fifth in (0, row.quantile) and (kind not in kinds or kind == row.kind)
    ]
    return render(
        request,
        "desk/factors.html",
        {
            **build_frame(request, "risk"),
            "rows": shown,
            "count": len(rows),
            "problem": problem,
            "fifths": range(1, QUANTILES + 1),
            "fifth": fifth,
            "kinds": kinds,
            "kind": kind,
        },
    )


@require_safe
@desk_view()
def attribution(request: HttpRequest) -> HttpResponse:
    """Where the result of closed trades came from, and how their results are spread."""
    days = _choose(request.GET.get("days", ""), tuple(span for span, _ in SPANS), 365)
    since = utc_midnight(utc_now()) - timedelta(days=days) if days else None
    view = view_attribution(settings.MAGNET_BOOK, since=since)
    return render(
        request,
        "desk/attribution.html",
        {
            **build_frame(request, "risk"),
            "view": view,
            "days": days,
            "spans": SPANS,
            "costs": _costs(view.whole),
            "ways": [
                {
                    "title": title,
                    "words": words,
                    "parts": [{"name": _name_of(part.key), "part": part} for part in view.by[name]],
                }
                for name, title, words in WAYS
            ],
            "bars": bars_of(list(view.spread.bins)) if view.spread else [],
            "tails": _tails(view),
            "active": view_active_return(settings.MAGNET_BOOK, since=since, until=utc_now()),
            "shortfall": view_shortfall(settings.MAGNET_BOOK, since=since),
        },
    )


def _choose(text: str, offered: tuple[int, ...], otherwise: int) -> int:
    return int(text) if text.isdigit() and int(text) in offered else otherwise


def _shade(view: PortfolioView, edge: float) -> list[dict[str, Any]]:
    """Rows of the matrix; the stronger the tint, the more two names move alike."""
    rows = []
    for at, symbol in enumerate(view.symbols[: len(view.correlations)]):
        cells = []
        for other, value in enumerate(view.correlations[at]):
            cells.append({"value": value, "shade": _tint(value, is_self=at == other, edge=edge)})
        rows.append({"symbol": symbol, "cells": cells})
    return rows


def _tint(value: float | None, *, is_self: bool, edge: float) -> str:
    if value is None or is_self:
        return "is-none"
    if value < 0.0:
        return "s0"
    size = sum(value >= step for step in (0.2, 0.4, 0.6, 0.8))
    return f"s{1 + size}{' is-peak' if value >= edge else ''}"


def _pairs(view: PortfolioView) -> list[dict[str, Any]]:
    """Every pair as a row, the most alike first, with what acts now beside it."""
    found = []
    for i, first in enumerate(view.symbols[: len(view.correlations)]):
        for j in range(i + 1, len(view.symbols)):
            pair = (first, view.symbols[j])
            acting = view.acting.get(pair, view.acting.get(pair[::-1]))
            words = "not measured" if acting is None else f"{acting:.2f}"
            found.append({"pair": pair, "value": view.correlations[i][j], "acting_words": words})
    return sorted(found, key=lambda row: -abs(row["value"] or 0.0))


def _costs(whole: TradeGroup) -> list[tuple[str, Any]]:
    names = ("Price moves before costs", "Slippage", "Fees", "Funding", "Net")
    return list(zip(names, whole.steps, strict=True))


def _name_of(key: str) -> str:
    words = KIND_WORDS.get(key, key.replace("_", " "))
    return words[:1].upper() + words[1:]


def _tails(view: AttributedTrades) -> list[dict[str, Any]]:
    return [
        {"title": "Largest winners", "trades": view.winners, "none": "No trade has won."},
        {"title": "Largest losers", "trades": view.losers, "none": "No trade has lost."},
    ]
