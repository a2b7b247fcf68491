"""The parameters of a strategy: name, kind, default and bounds; text and JSON into values."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from enum import Enum
from functools import cache
from typing import Any

from magnetfund.kernel.errors import InvalidInput

#: Fields that are no parameters of a backtest: what a strategy is called, and nested settings.
HIDDEN = frozenset({"version", "magnets"})
#: Bounds by the name of the parameter, shared by all strategies that have it.
BOUNDS: Mapping[str, tuple[float, float]] = {
    "fast": (1, 2_000),
    "slow": (2, 5_000),
    "signal": (1, 500),
    "length": (2, 2_000),
    "horizon": (1, 1_000),
    "enter_bars": (1, 2_000),
    "leave_bars": (1, 2_000),
    "bar_hours": (1, 24),
    "atr_length": (1, 500),
    "stop_atr": (0.2, 20.0),
    "target_atr": (0.0, 50.0),
    "hold_bars": (0, 10_000),
    "hold_hours": (1, 10_000),
    "oversold": (1.0, 49.0),
    "overbought": (51.0, 99.0),
    "middle": (1.0, 99.0),
    "swing_order": (1, 50),
    "horizons_days": (1, 400),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterField:
    """One parameter; ``kind`` is whole, number, switch, choice or list (of whole numbers)."""

    name: str
    kind: str
    default: Any
    low: float | None
    high: float | None
    choices: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """The name as a person reads it."""
        return self.name.replace("_", " ").capitalize().replace("atr", "ATR")

    @property
    def default_text(self) -> str:
        """The default as it is written in a form or on a command line."""
        return text_of(self.default)


def values_around(field: ParameterField) -> str:
    """Three values for a sweep: three quarters of the default, the default and five quarters.

    They stay within the bounds; a parameter that is no single number, or whose default is 0, has
    none and gives an empty text.
    """
    if field.kind not in ("whole", "number") or not field.default:
        return ""
    low = -math.inf if field.low is None else field.low
    high = math.inf if field.high is None else field.high
    wanted = (min(high, max(low, share * field.default)) for share in (0.75, 1.0, 1.25))
    rounded = (round(value) if field.kind == "whole" else round(value, 4) for value in wanted)
    return ",".join(text_of(value) for value in sorted(set(rounded)))


def text_of(value: Any) -> str:
    """A value as it is written in a form or on a command line."""
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, (tuple, list)):
        return ",".join(text_of(item) for item in value)
    return str(value)


@cache
def parameters_of(builder: Any) -> tuple[ParameterField, ...]:
    """The parameters of a strategy's class, in the order of its fields.

    A class may state ``BOUNDS`` of its own; a number without any may lie between a tenth and ten
    times its default.
    """
    own: Mapping[str, tuple[float, float]] = getattr(builder, "BOUNDS", {})
    found = []
    for item in fields(builder):
        if item.name in HIDDEN or item.default is MISSING:
            continue
        kind = _kind_of(item.default)
        if kind is None:
            continue
        low, high = _bounds_of(item.name, item.default, own)
        choices = (
            tuple(str(member.value) for member in type(item.default))
            if isinstance(item.default, Enum)
            else ()
        )
        found.append(
            ParameterField(
                name=item.name,
                kind=kind,
                default=item.default,
                low=low,
                high=high,
                choices=choices,
            )
        )
    return tuple(found)


def _kind_of(default: Any) -> str | None:
    if isinstance(default, Enum):
        return "choice"
    if isinstance(default, bool):
        return "switch"
    if isinstance(default, int):
        return "whole"
    if isinstance(default, float):
        return "number"
    return "list" if isinstance(default, tuple) else None


def _bounds_of(
    name: str, default: Any, own: Mapping[str, tuple[float, float]]
) -> tuple[float | None, float | None]:
    if isinstance(default, (Enum, bool)):
        return None, None
    if name in own or name in BOUNDS:
        return own.get(name) or BOUNDS[name]
    size = max(abs(item) for item in default) if isinstance(default, tuple) else abs(default)
    if size == 0:
        return 0.0, 1_000.0
    return (1 if isinstance(default, int) else size / 10.0), size * 10.0


def read_parameters(builder: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """Given texts or JSON values as checked values of their fields.

    Raises :class:`InvalidInput`: ``unknown_parameter`` with the names that exist, ``bad_parameter``
    for what is no such value, ``out_of_bounds`` with the bounds.
    """
    known = {item.name: item for item in parameters_of(builder)}
    values = {}
    for name, value in given.items():
        if name not in known:
            raise InvalidInput(
                f"there is no parameter {name}; known: {', '.join(known) or 'none'}",
                code="unknown_parameter",
                details={"parameter": name},
            )
        values[name] = _read(known[name], value)
    return values


def _read(item: ParameterField, value: Any) -> Any:
    if item.kind == "choice":
        text = text_of(value)
        if text not in item.choices:
            raise _bad(item, f"must be one of {', '.join(item.choices)}")
        return type(item.default)(text)
    if item.kind == "switch":
        text = str(value).strip().lower()
        if text not in ("true", "false", "on", "off", "1", "0", "yes", "no"):
            raise _bad(item, "must be true or false")
        return text in ("true", "on", "1", "yes")
    if item.kind == "list":
        parts = value.split(",") if isinstance(value, str) else value
        if not isinstance(parts, (list, tuple)) or not parts:
            raise _bad(item, "must be a list such as 14,28,56")
        return tuple(_number(item, part, whole=isinstance(item.default[0], int)) for part in parts)
    return _number(item, value, whole=item.kind == "whole")


def _number(item: ParameterField, value: Any, *, whole: bool) -> int | float:
    try:
        number = float(str(value).strip())
    except ValueError:
        raise _bad(item, "must be a number") from None
    if not math.isfinite(number) or isinstance(value, bool):
        raise _bad(item, "must be a number")
    if whole and number != int(number):
        raise _bad(item, "must be a whole number")
    if (item.low is not None and number < item.low) or (
        item.high is not None and number > item.high
    ):
        raise InvalidInput(
            f"{item.name} = {number:g} is outside its bounds {item.low:g} to {item.high:g}",
            code="out_of_bounds",
            details={"parameter": item.name, "low": item.low, "high": item.high},
        )
    # Minus zero is zero, also where the values of a trial are compared as texts.
    return int(number) if whole else number + 0.0


def _bad(item: ParameterField, why: str) -> InvalidInput:
    return InvalidInput(
        f"{item.name} {why}", code="bad_parameter", details={"parameter": item.name}
    )
