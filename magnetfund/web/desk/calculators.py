"""Calculators of the Risk pages: Kelly, liquidation and margin, leverage with every cap."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from magnetfund.kernel.errors import FundError
from magnetfund.web.desk.access import desk_view
from magnetfund.web.desk.frame import build_frame
from trading import selectors
from trading.selectors.calculators import (
    calculate_growth,
    calculate_kelly,
    calculate_leverage,
    calculate_margin,
    observed_odds,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One field of a calculator: what it is called, its unit or bounds, its usual value, its scale.

    The form shows ``scale`` times what the calculation takes (100 for a per cent).
    """

    name: str
    label: str
    hint: str
    usual: str
    scale: float = 1.0


KELLY = (
    Asked(name="win_rate", label="Winning trades, %", hint="0 to 100", usual="55", scale=100.0),
    Asked(name="payoff", label="Payoff", hint="average win over average loss", usual="1.2"),
    Asked(name="trades", label="Trades behind it", hint="how much they prove", usual="100"),
    Asked(name="fraction", label="Share of Kelly, %", hint="at most 50", usual="25", scale=100.0),
)
GROWTH = (
    Asked(
        name="mean", label="Mean return a year, %", hint="before caution", usual="8", scale=100.0
    ),
    Asked(name="rate", label="Cash rate a year, %", hint="", usual="3", scale=100.0),
    Asked(name="deviation", label="Deviation a year, %", hint="", usual="10", scale=100.0),
    Asked(name="years", label="Years behind it", hint="how much they prove", usual="4"),
    Asked(name="fraction", label="Share of Kelly, %", hint="at most 50", usual="25", scale=100.0),
)
MARGIN = (
    Asked(name="quantity", label="Quantity", hint="units of the asset", usual="1"),
    Asked(name="entry_price", label="Entry price", hint="quote currency", usual="60000"),
    Asked(name="leverage", label="Leverage", hint="1 to 125", usual="3"),
    Asked(
        name="maintenance_rate",
        label="Maintenance, %",
        hint="of notional, first tier",
        usual="0.4",
        scale=100.0,
    ),
    Asked(name="wallet", label="Wallet, cross", hint="quote currency", usual="50000"),
    Asked(name="sigma", label="Volatility a year, %", hint="log returns", usual="60", scale=100.0),
    Asked(name="days", label="Held for, days", hint="up to 365", usual="7"),
)
LEVERAGE = (
    Asked(name="current_price", label="Price", hint="quote currency", usual="60000"),
    Asked(name="primary_magnet_price", label="Magnet", hint="quote currency", usual="61500"),
    Asked(name="atr", label="ATR(14)", hint="of hours, in price", usual="600"),
    Asked(name="magnet_strength", label="Strength S", hint="0 to 100", usual="70"),
    Asked(name="conflict_index", label="Conflict C", hint="0 or more", usual="0.2"),
    Asked(name="volatility_pressure", label="Pressure V", hint="0 or more", usual="0.1"),
)


@dataclass(slots=True, kw_only=True)
class Sheet:
    """A calculator with what was typed, what is wrong with it, and its answer."""

    name: str
    inputs: list[dict[str, str]]
    values: dict[str, float]
    error: str = ""
    answer: Any = None
    extra: dict[str, str] = field(default_factory=dict)

    @property
    def is_sound(self) -> bool:
        """Whether every field is a number."""
        return not self.error and not any(item["error"] for item in self.inputs)


@require_safe
@desk_view()
def calculators(request: HttpRequest) -> HttpResponse:
    """Four sheets in one page; each answers what its address holds, nothing is stored."""
    asked = request.GET.get("sheet", "")
    given = request.GET
    odds = observed_odds(settings.MAGNET_BOOK)
    kelly = _read("kelly", KELLY, given if asked == "kelly" else {})
    if asked != "kelly" and odds is not None:
        for item in kelly.inputs:
            if item["name"] in odds.usual:
                item["value"] = odds.usual[item["name"]]
        kelly.values |= odds.values
    growth = _read("growth", GROWTH, given if asked == "growth" else {})
    margin = _read("margin", MARGIN, given if asked == "margin" else {})
    leverage = _read("leverage", LEVERAGE, given if asked == "leverage" else {})
    side = "short" if asked == "margin" and given.get("side") == "short" else "long"
    instrument = given.get("instrument", "")[:60] if asked == "leverage" else ""
    margin.extra, leverage.extra = {"side": side}, {"instrument": instrument}
    _answer(kelly, lambda: calculate_kelly(**kelly.values))
    _answer(growth, lambda: calculate_growth(**growth.values))
    _answer(margin, lambda: calculate_margin(side=1 if side == "long" else -1, **margin.values))
    _answer(
        leverage,
        lambda: calculate_leverage(
            settings.MAGNET_BOOK, {**leverage.values, "instrument": instrument}
        ),
    )
    is_bad = not all(sheet.is_sound for sheet in (kelly, growth, margin, leverage))
    return render(
        request,
        "desk/calculators.html",
        {
            **build_frame(request, "risk"),
            "kelly": kelly,
            "growth": growth,
            "margin": margin,
            "leverage": leverage,
            "odds": odds,
            "instruments": selectors.active_instruments(),
        },
        status=422 if is_bad else 200,
    )


def _read(name: str, fields: tuple[Asked, ...], given: Mapping[str, Any]) -> Sheet:
    inputs, values = [], {}
    for item in fields:
        text = str(given.get(item.name, item.usual))[:40]
        error = ""
        try:
            values[item.name] = float(text.replace(",", "")) / item.scale
        except ValueError:
            error = "Enter a number."
        inputs.append(
            {
                "name": item.name,
                "id": f"{name}-{item.name}",
                "label": item.label,
                "hint": item.hint,
                "value": text,
                "error": error,
            }
        )
    return Sheet(name=name, inputs=inputs, values=values)


def _answer(sheet: Sheet, work: Callable[[], Any]) -> None:
    if not sheet.is_sound:
        return
    try:
        sheet.answer = work()
    except FundError as error:
        sheet.error = error.sentence + "."
