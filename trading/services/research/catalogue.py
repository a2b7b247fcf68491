"""Every strategy that can be run: those that ship, and those of the home's own folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from trading.domain.market.candles import Candles
from trading.domain.research.parameters import parameters_of, text_of
from trading.domain.strategies.base import Strategy
from trading.domain.strategies.registry import STRATEGIES, compute_columns
from trading.domain.strategies.signals import Signals


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """Strategies by name; ``families`` and ``sources`` of those that are not of this program."""

    builders: Mapping[str, Callable[..., Strategy]]
    families: Mapping[str, str]
    sources: Mapping[str, str]

    def family_of(self, name: str) -> str:
        """The family whose trials a strategy adds to: its declared one, else its own name."""
        return self.families.get(name, name)[:60]

    def source_of(self, name: str) -> str:
        """Hash of the text of a strategy of one's own; empty for one of this program."""
        return self.sources.get(name, "")

    def columns(self, strategy: Strategy, candles: Candles) -> Signals:
        """The signals of every candle."""
        return compute_columns(strategy=strategy, candles=candles)

    def describe(self, strategies: Sequence[Strategy]) -> dict[str, dict[str, str]]:
        """All parameters of strategies as texts, by strategy."""
        return {
            strategy.traits.strategy_id: {
                item.name: text_of(getattr(strategy, item.name))
                for item in parameters_of(type(strategy))
            }
            for strategy in strategies
        }


def load_catalogue() -> Catalogue:
    """The strategies of this program."""
    return Catalogue(builders=STRATEGIES, families={}, sources={})
