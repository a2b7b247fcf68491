"""The strategy of a sleeve: one that ships, or one of the home's own folder, pinned by its text.

A sleeve of one's own names the file and the hash of the text that two people approved, with the
traits that the engine needs.  The book can therefore go on guarding what is open while the file is
missing, changed or failing; then the sleeve opens nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any

from magnetfund.kernel.errors import InvalidInput
from trading.domain.market.candles import HOUR_MS, Candles
from trading.domain.research.parameters import read_parameters, text_of
from trading.domain.strategies.base import Strategy
from trading.domain.strategies.registry import STRATEGIES, build_strategy
from trading.domain.strategies.signals import LeverageRule, StrategyTraits
from trading.services.research.catalogue import load_catalogue, require_passed, strategies_folder
from trading.services.research.child import OwnSource, read_source
from trading.services.research.child_stream import ChildStream

#: Where a sleeve's own limits, and the text of a strategy of one's own, stand among its parameters.
LIMITS_KEY = "limits"
SOURCE_KEY = "source"
CHANGED = "its file is not the one that two people approved; propose the sleeve anew"


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnSleeve:
    """A strategy of one's own as two people approved it; it counts as a ``Strategy``."""

    code: str
    file: str
    hash: str
    parameters: Mapping[str, Any]
    traits: StrategyTraits
    timeframe_ms: int

    def stream(self) -> ChildStream:
        """A fresh memory in a child process; where the file is not the approved one, a dead one."""
        source: OwnSource | None = None
        problem = ""
        try:
            source = self.source()
        except InvalidInput as error:
            problem = error.message
        return ChildStream(
            source,
            name=self.code,
            parameters=self.parameters,
            timeframe_ms=self.timeframe_ms,
            problem=problem,
        )

    def source(self) -> OwnSource:
        """The approved text; raises :class:`InvalidInput`: ``no_such_file``, ``sleeve_changed``."""
        if "/" in self.file or not self.file.endswith(".py"):
            raise InvalidInput(f"{self.file} is not a file of strategies", code="no_such_file")
        source = read_source(strategies_folder() / self.file)
        if source.hash != self.hash:
            raise InvalidInput(CHANGED, code="sleeve_changed")
        return source


def build_sleeve_strategy(code: str, parameters: Mapping[str, Any]) -> Strategy:
    """The strategy of a sleeve's stored parameters, its limits left out.

    Raises :class:`InvalidInput`: ``unknown_strategy``, ``bad_parameter``.
    """
    own = {k: v for k, v in parameters.items() if k not in (LIMITS_KEY, SOURCE_KEY)}
    pin = parameters.get(SOURCE_KEY)
    if pin is None:
        return build_strategy(code, own)
    traits = dict(pin["traits"])
    return OwnSleeve(
        code=code,
        file=pin["file"],
        hash=pin["hash"],
        parameters=own,
        traits=StrategyTraits(**{**traits, "leverage_rule": LeverageRule(traits["leverage_rule"])}),
        timeframe_ms=int(pin["timeframe_ms"]),
    )


def family_of_sleeve(code: str, parameters: Mapping[str, Any]) -> str:
    """The family whose trials a sleeve is judged by."""
    return str((parameters.get(SOURCE_KEY) or {}).get("family", code))


def _plain(value: Any) -> Any:
    """A parameter as JSON keeps it."""
    if isinstance(value, Enum):
        return value.value
    return list(value) if isinstance(value, tuple) else value


def pin_strategy(
    code: str, parameters: Mapping[str, Any], *, candles: Candles | None
) -> dict[str, Any]:
    """What a sleeve's row keeps: checked parameters and, for a strategy of one's own, its pin.

    ``candles`` are what a strategy of one's own is checked on.  Raises :class:`InvalidInput`:
    ``unknown_strategy``, ``bad_parameter``, ``bad_timeframe``, ``no_candles``,
    ``strategy_failed``, ``strategy_refused``.
    """
    limits = {k: v for k, v in parameters.items() if k == LIMITS_KEY}
    given = {k: v for k, v in parameters.items() if k not in (LIMITS_KEY, SOURCE_KEY)}
    if code in STRATEGIES:
        read = read_parameters(STRATEGIES[code], given)
        plain = {name: _plain(read[name]) for name in given}
        build_strategy(code, plain)
        return {**plain, **limits}
    catalogue = load_catalogue()
    if code in catalogue.broken:
        raise InvalidInput(catalogue.broken[code], code="strategy_failed")
    if code not in catalogue.own:
        raise InvalidInput(f"there is no strategy {code!r}", code="unknown_strategy")
    source, builder = catalogue.own[code], catalogue.builders[code]
    values = read_parameters(builder, given)
    strategy = builder(**values)
    if strategy.timeframe_ms != HOUR_MS:
        raise InvalidInput("a running book reads hourly candles", code="bad_timeframe")
    if candles is None or not len(candles):
        raise InvalidInput("there are no hourly candles to check it on", code="no_candles")
    require_passed(source, name=code, parameters=values, candles=candles)
    return {
        **{name: text_of(value) for name, value in values.items()},
        **limits,
        SOURCE_KEY: {
            "file": source.file,
            "family": catalogue.family_of(code),
            "hash": source.hash,
            "timeframe_ms": strategy.timeframe_ms,
            "traits": asdict(strategy.traits),
        },
    }
