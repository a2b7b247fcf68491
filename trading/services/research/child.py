"""Strategies of one's own, run in a child process; this side never executes their text.

The child has an empty environment, an empty folder to stand in, bounded memory and processor time,
and a deadline; it is a fork of :mod:`.child_process` that ends with its answer, which is checked
like any input.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, make_dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from magnetfund.kernel.errors import InvalidInput
from trading.domain.market.candles import Candles
from trading.domain.strategies.signals import (
    LeverageRule,
    Signals,
    StrategyTraits,
    build_signals,
    require_sane_signals,
)
from trading.services.research.child_process import ProcessEnded, ask_process

MEMORY_BYTES = 3_000_000_000
DESCRIBE_SECONDS = 20
COLUMN_SECONDS = 120
TEXT_MAX = 200_000


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnSource:
    """The text of a strategy file."""

    file: str
    text: str

    @property
    def hash(self) -> str:
        """sha256 of the text."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def read_source(path: Path) -> OwnSource:
    """The text of a file; raises :class:`InvalidInput` (``no_such_file``, ``strategy_failed``)."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{path.name} cannot be read: {error}", code="no_such_file") from None
    if len(text) > TEXT_MAX:
        raise InvalidInput(f"{path.name} is no strategy: too long", code="strategy_failed")
    return OwnSource(file=path.name, text=text)


def ask_child(
    source: OwnSource,
    *,
    mode: str,
    seconds: int,
    name: str = "",
    parameters: Mapping[str, Any] | None = None,
    candles: Candles | None = None,
) -> tuple[dict[str, Any], bytes]:
    """One question, answered in a child of its own.

    Raises :class:`InvalidInput` for whatever goes wrong in it (``strategy_failed``,
    ``strategy_too_slow``).
    """
    header = {
        "mode": mode,
        "text": source.text,
        "file": source.file,
        "name": name,
        "parameters": dict(parameters or {}),
        "memory_bytes": MEMORY_BYTES,
        "seconds": seconds,
    }
    try:
        status, told = ask_process(header, candles, seconds=seconds + 10)
    except TimeoutError:
        raise InvalidInput(
            f"{source.file} did not answer within {seconds + 10} s", code="strategy_too_slow"
        ) from None
    except ProcessEnded as ended:
        raise InvalidInput(
            f"{source.file} could not be asked: {ended}", code="strategy_failed"
        ) from None
    first, _, rest = told.partition(b"\n")
    try:
        answer: dict[str, Any] = json.loads(first)
    except ValueError:
        code = "strategy_too_slow" if status in (-24, -9) else "strategy_failed"
        why = "used up its processor time" if code == "strategy_too_slow" else "died"
        raise InvalidInput(f"{source.file} {why} (status {status})", code=code) from None
    if "error" in answer:
        raise InvalidInput(f"{source.file}: {answer['error']}", code="strategy_failed")
    return answer, rest


@lru_cache(maxsize=64)
def describe_source(source: OwnSource) -> dict[str, Any]:
    """The strategies of a file by name: family, timeframe, traits, parameters."""
    answer, _ = ask_child(source, mode="describe", seconds=DESCRIBE_SECONDS)
    found: dict[str, Any] = answer["strategies"]
    return found


@lru_cache(maxsize=256)
def _traits_of(source: OwnSource, name: str, parameters: str) -> StrategyTraits:
    answer, _ = ask_child(
        source, mode="describe", seconds=DESCRIBE_SECONDS, parameters=json.loads(parameters)
    )
    plain = dict(answer["strategies"][name]["traits"])
    return StrategyTraits(**{**plain, "leverage_rule": LeverageRule(plain["leverage_rule"])})


def build_proxy(source: OwnSource, name: str, told: Mapping[str, Any]) -> Any:
    """A dataclass with the parameters of a strategy that runs in a child."""
    columns: list[tuple[str, Any, Any]] = []
    bounds = {}
    for item in told["parameters"]:
        default = tuple(item["default"]) if isinstance(item["default"], list) else item["default"]
        columns.append((item["name"], type(default), field(default=default)))
        if item["low"] is not None:
            bounds[item["name"]] = (item["low"], item["high"])

    def given(self: Any) -> dict[str, Any]:
        return {item.name: getattr(self, item.name) for item in fields(self)}

    def traits(self: Any) -> StrategyTraits:
        return _traits_of(source, name, json.dumps(given(self), sort_keys=True))

    def timeframe_ms(self: Any) -> int:
        return int(told["timeframe_ms"])

    def compute(self: Any, *, candles: Candles) -> Signals:
        return compute_in_child(source, name=name, parameters=given(self), candles=candles)

    return make_dataclass(
        name.replace("-", "_"),
        columns,
        frozen=True,
        kw_only=True,
        namespace={
            "BOUNDS": bounds,
            "traits": property(traits),
            "timeframe_ms": property(timeframe_ms),
            "columns": compute,
            "__doc__": told["note"],
        },
    )


def compute_in_child(
    source: OwnSource, *, name: str, parameters: Mapping[str, Any], candles: Candles
) -> Signals:
    """The signals of every candle, made in a child; raises :class:`InvalidInput`."""
    _, body = ask_child(
        source,
        mode="columns",
        seconds=COLUMN_SECONDS,
        name=name,
        parameters=parameters,
        candles=candles,
    )
    columns = np.load(io.BytesIO(body))
    if columns["known_at"].shape != (len(candles),):
        raise InvalidInput(f"{name} gave another number of rows", code="strategy_failed")
    signals = build_signals(
        known_at=candles.known_at,
        **{key: columns[key] for key in columns.files if key != "known_at"},
    )
    try:
        require_sane_signals(signals)
    except InvalidInput as error:
        raise InvalidInput(f"{source.file}: {error.message}", code="strategy_failed") from None
    return signals


def check_in_child(
    source: OwnSource, *, name: str, parameters: Mapping[str, Any], candles: Candles
) -> list[dict[str, Any]]:
    """Every finding of the check, made in a child; raises :class:`InvalidInput`."""
    answer, _ = ask_child(
        source,
        mode="check",
        seconds=COLUMN_SECONDS,
        name=name,
        parameters=parameters,
        candles=candles,
    )
    found: list[dict[str, Any]] = answer["findings"]
    return found
