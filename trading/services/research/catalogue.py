"""Every strategy that can be run: those that ship, and those of the home's own folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.conf import settings

from magnetfund.kernel.errors import InvalidInput
from trading.domain.market.candles import Candles
from trading.domain.research.parameters import parameters_of, text_of
from trading.domain.research.run import Prepared
from trading.domain.strategies.base import Strategy
from trading.domain.strategies.registry import STRATEGIES
from trading.services.research.child import (
    OwnSource,
    build_proxy,
    check_in_child,
    describe_source,
    read_source,
)

CHECK_BARS = 6_000
_PASSED: set[tuple[str, str, str]] = set()


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """Strategies by name; ``own`` are those of the home's folder, ``broken`` say why by name, or by
    file where it bears the name of one that ships."""

    builders: Mapping[str, Callable[..., Strategy]]
    own: Mapping[str, OwnSource] = field(default_factory=dict)
    families: Mapping[str, str] = field(default_factory=dict)
    broken: Mapping[str, str] = field(default_factory=dict)

    def family_of(self, name: str) -> str:
        """The family whose trials a strategy adds to: its declared one, else its own name."""
        return self.families.get(name, name)[:60]

    def source_of(self, name: str) -> str:
        """Hash of the text of a strategy of one's own; empty for one of this program."""
        return self.own[name].hash if name in self.own else ""

    def require_sound(self, prepared: Prepared) -> None:
        """Check strategies of one's own on the run's first candles.

        Raises :class:`InvalidInput` (``strategy_refused``) with the bar and column of the first
        test that failed; what passed once passes until its text or its parameters change.
        """
        for sleeve in prepared.request.sleeves:
            source = self.own.get(sleeve.strategy)
            if source is None:
                continue
            key = (source.hash, sleeve.strategy, repr(sorted(sleeve.parameters.items())))
            if key in _PASSED:
                continue
            rows = prepared.rows[0]
            part = prepared.candles[0].between(max(0, rows.stop - CHECK_BARS), rows.stop)
            require_passed(source, name=sleeve.strategy, parameters=sleeve.parameters, candles=part)
            _PASSED.add(key)

    def describe(self, strategies: Sequence[Strategy]) -> dict[str, dict[str, str]]:
        """All parameters of strategies as texts, by strategy."""
        return {
            strategy.traits.strategy_id: {
                item.name: text_of(getattr(strategy, item.name))
                for item in parameters_of(type(strategy))
            }
            for strategy in strategies
        }


def require_passed(
    source: OwnSource, *, name: str, parameters: Mapping[str, Any], candles: Candles
) -> list[dict[str, Any]]:
    """The findings of a strategy that passed every test.

    Raises :class:`InvalidInput` (``strategy_refused``) with the first that it failed.
    """
    findings = check_in_child(source, name=name, parameters=parameters, candles=candles)
    for item in findings:
        # A short span may hold no entry; that is no fault of the strategy.
        if not item["is_passed"] and item["name"] != "warm-up":
            raise InvalidInput(
                f"{name} is refused, {item['name']}: {item['words']}",
                code="strategy_refused",
                details={"bar": item["bar"], "column": item["column"]},
            )
    return findings


def strategies_folder() -> Path:
    """The folder of strategies of one's own."""
    return Path(settings.MAGNET_HOME) / "strategies"


def load_catalogue() -> Catalogue:
    """The strategies of this program and of the home's folder."""
    folder = strategies_folder()
    builders: dict[str, Any] = dict(STRATEGIES)
    own: dict[str, OwnSource] = {}
    families: dict[str, str] = {}
    broken: dict[str, str] = {}
    for path in sorted(folder.glob("*.py")) if folder.is_dir() else ():
        try:
            source = read_source(path)
            described = describe_source(source)
        except InvalidInput as error:
            name = path.stem.replace("_", "-")
            broken[path.name if name in STRATEGIES else name] = error.message
            continue
        for name, told in described.items():
            if name in builders:
                # One that ships is as sound as before; of two files nobody knows which is meant.
                place = path.name if name in STRATEGIES else name
                broken[place] = f"{path.name}: the name {name} is taken"
                continue
            builders[name] = build_proxy(source, name, told)
            own[name], families[name] = source, told["family"]
    return Catalogue(builders=builders, own=own, families=families, broken=broken)
