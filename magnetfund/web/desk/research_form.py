"""The form of a backtest: what is offered, what was given, what is wrong with it at which field."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from django.http import QueryDict

from magnetfund.kernel.clock import from_milliseconds
from magnetfund.kernel.errors import InvalidInput
from risk.domain.fuse import ResetPolicy
from trading.domain.market.slices import name_length
from trading.domain.research.parameters import (
    ParameterField,
    parameters_of,
    read_parameters,
    text_of,
)
from trading.domain.research.request import (
    CONTROLS_MAX,
    RESOLUTIONS,
    BacktestRequest,
    SleeveRequest,
)
from trading.domain.research.run import build
from trading.services.research.catalogue import Catalogue

DEFAULTS = {
    "strategy": "trend",
    "cash": "430000",
    "risk": "0.35",
    "fees": "",
    "slippage": "",
    "rules": "fund",
    "funding": "dated",
    "resolution": "",
    "gaps": "1",
    "controls": "0",
    "start": "",
    "end": "",
    "unseen": "",
}
#: Fields with their scale (what the form shows over what the request holds) and bounds shown.
NUMBERS = {
    "cash": (1.0, 100.0, 1e12),
    "risk": (100.0, 0.01, 1.0),
    "fees": (100.0, 0.0, 0.5),
    "slippage": (10_000.0, 0.0, 100.0),
    "gaps": (100.0, 0.0, 100.0),
    "controls": (1.0, 0.0, float(CONTROLS_MAX)),
}


#: Numbers of a request by their field, and its days.
STORED_NUMBERS = {
    "cash": "cash",
    "fees": "fee_rate",
    "slippage": "slippage_rate",
    "gaps": "gap_share_max",
    "controls": "controls",
}
STORED_DAYS = {"start": "start_ms", "end": "end_ms", "unseen": "unseen_ms"}


COSTS = (
    ("risk", "Risk per trade, %", "of equity at the stop, 0.01 to 1.00"),
    ("fees", "Fee, % a side", "empty: that of the instrument"),
    ("slippage", "Slippage, bp", "empty: 2, and 10 where the fuse closes"),
    ("gaps", "Missing candles allowed, %", "of the span, per instrument"),
)
CONTROLS = ("controls", "Controls", "draws of each: what chance would have earned; 100 is usual")


@dataclass(slots=True, kw_only=True)
class ParameterInput:
    """One parameter with what was typed."""

    field: ParameterField
    value: str
    error: str = ""

    @property
    def hint(self) -> str:
        """Default and bounds as a person reads them."""
        told = f"default {self.field.default_text}"
        if self.field.low is not None and self.field.high is not None:
            told += f", bounds {self.field.low:g} to {self.field.high:g}"
        return told


@dataclass(slots=True, kw_only=True)
class BacktestForm:
    """Texts as given, checked field by field; ``errors`` by field name, ``""`` for the whole."""

    given: dict[str, str]
    instruments: list[str]
    parameters: list[ParameterInput]
    errors: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, data: QueryDict, catalogue: Catalogue) -> BacktestForm:
        """The form of an address or a post; what is absent has its default."""
        given = {name: data.get(name, default)[:60] for name, default in DEFAULTS.items()}
        builder = catalogue.builders.get(given["strategy"])
        fields = parameters_of(builder) if builder is not None else ()
        form = cls(
            given=given,
            instruments=[name[:60] for name in data.getlist("instrument")],
            parameters=[
                ParameterInput(
                    field=item, value=data.get(f"p_{item.name}", item.default_text)[:120]
                )
                for item in fields
            ],
        )
        if builder is None:
            form.errors["strategy"] = "There is no such strategy."
        return form

    @property
    def resolutions(self) -> tuple[str, ...]:
        """Shorter candles that a run may execute on."""
        return RESOLUTIONS

    @property
    def costs(self) -> list[dict[str, str]]:
        """Risk and costs with what was given and what is wrong with it."""
        return [self._shown(*item) for item in COSTS]

    @property
    def controls(self) -> dict[str, str]:
        """The number of draws of each control."""
        return self._shown(*CONTROLS)

    def _shown(self, name: str, label: str, hint: str) -> dict[str, str]:
        return {
            "name": name,
            "label": label,
            "hint": hint,
            "value": self.given[name],
            "error": self.errors.get(name, ""),
        }

    def read(self, catalogue: Catalogue) -> BacktestRequest | None:
        """The request, or None with ``errors`` filled."""
        values = self._parameters(catalogue)
        numbers = {name: self._number(name) for name in NUMBERS}
        days = {name: self._day(name) for name in ("start", "end", "unseen")}
        if self.given["resolution"] not in ("", *RESOLUTIONS):
            self.errors["resolution"] = "Choose one of those offered."
        if not self.instruments:
            self.errors["instrument"] = "Choose at least one instrument."
        if self.errors:
            return None
        name = self.given["strategy"]
        try:
            strategy = build(catalogue.builders, name, values)
            return BacktestRequest(
                sleeves=(
                    SleeveRequest(
                        strategy=name, parameters=values, risk_share=numbers["risk"] or 0.0035
                    ),
                ),
                instruments=tuple(self.instruments),
                timeframe=name_length(strategy.timeframe_ms),
                start_ms=days["start"],
                end_ms=days["end"],
                unseen_ms=days["unseen"],
                rules=self.given["rules"],
                funding=self.given["funding"],
                fee_rate=numbers["fees"],
                slippage_rate=numbers["slippage"],
                cash=numbers["cash"] or 430_000.0,
                reset_policy=ResetPolicy.COOLDOWN_7D.code,
                gap_share_max=numbers["gaps"] or 0.0,
                resolution=self.given["resolution"] or None,
                controls=round(numbers["controls"] or 0),
            )
        except InvalidInput as error:
            self.errors[""] = error.sentence + "."
            return None

    def _parameters(self, catalogue: Catalogue) -> dict[str, Any]:
        values = {}
        builder = catalogue.builders.get(self.given["strategy"])
        for item in self.parameters:
            if item.value.strip() == item.field.default_text:
                continue
            try:
                values.update(read_parameters(builder, {item.field.name: item.value}))
            except InvalidInput as error:
                item.error = error.message
                self.errors[f"p_{item.field.name}"] = error.message
        return values

    def _number(self, name: str) -> float | None:
        text = self.given[name].strip().replace(",", "")
        if not text and name in ("fees", "slippage"):
            return None
        scale, low, high = NUMBERS[name]
        try:
            value = float(text)
        except ValueError:
            self.errors[name] = "Enter a number."
            return None
        if not low <= value <= high:
            self.errors[name] = f"Allowed here: {low:g} to {high:g}."
            return None
        return value / scale

    def _day(self, name: str) -> int | None:
        text = self.given[name].strip()
        if not text:
            return None
        try:
            day = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
        except ValueError:
            self.errors[name] = "Enter a date as YYYY-MM-DD."
            return None
        return round(day.timestamp() * 1000)


def query_of(asked: Mapping[str, Any]) -> str:
    """A stored request as the fields of the form that asks for it; "" where no form can.

    The form takes one strategy and whole days; that of a sweep leaves everything but its values,
    its instruments and the unseen days at the defaults.
    """
    sleeves, sweep = asked.get("sleeves", ()), asked.get("sweep")
    if len(sleeves) != 1:
        return ""
    sleeve = sleeves[0]
    given = {name: asked[name] for name in ("rules", "funding")}
    given["resolution"] = asked.get("resolution") or ""
    given["risk"] = _scaled("risk", sleeve["risk_share"])
    for name, stored in STORED_NUMBERS.items():
        given[name] = _scaled(name, asked.get(stored))
    for name, stored in STORED_DAYS.items():
        instant = asked.get(stored)
        given[name] = "" if instant is None else f"{from_milliseconds(instant):%Y-%m-%d}"
    pairs = [("strategy", sleeve["strategy"])]
    pairs += [("instrument", name) for name in asked["instruments"]]
    pairs += [(f"p_{name}", text_of(value)) for name, value in sleeve["parameters"].items()]
    if sweep:
        if sleeve["parameters"] or any(
            given[name] != default for name, default in DEFAULTS.items()
            if name not in ("strategy", "unseen")
        ):  # fmt: skip
            return ""
        given = {"unseen": given["unseen"]}
    pairs += given.items()
    if sweep:
        lines = [f"{name} = {values}" for name, values in sweep["space"].items()]
        pairs += [("space", "\n".join(lines)), ("draw", str(sweep["count"]))]
        pairs += [("search", sweep.get("search", "grid"))]
    return urlencode(pairs)


def _scaled(name: str, value: float | None) -> str:
    if value is None:
        return "0" if name == "controls" else ""
    return f"{value * NUMBERS[name][0]:.12g}"
