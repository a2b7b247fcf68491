"""The simulated market, a pure function of the seed and of time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from magnetfund.core.models import SystemConfig
from magnetfund.kernel.errors import InvalidInput
from magnetfund.kernel.money import decimal_from_float
from trading.domain.magnets.order_flow import DepthSnapshot
from trading.domain.market import HOUR_MS, MINUTE_MS, Candles
from trading.domain.market.symbols import SIMULATED
from trading.domain.simulated_market import SimulatedInstrument, SimulatedMarket, simulate_market
from trading.venues.market_data import (
    BookWish,
    ChargedFunding,
    Doubts,
    ForcedOrder,
    Quote,
    SourceNote,
)

CONFIG_KEY = "simulated_market"
#: Hours simulated beyond the present, so that the path is drawn once a day.
AHEAD_HOURS = 36


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulationConfig:
    """What fixes the simulated market for ever."""

    seed: int
    start_ms: int
    correlation: float
    instruments: tuple[SimulatedInstrument, ...]


def save_simulation(config: SimulationConfig) -> None:
    """Keep the definition; raises :class:`InvalidInput` when another one is kept already."""
    plain = _plain(config)
    row, is_new = SystemConfig.objects.get_or_create(key=CONFIG_KEY, defaults={"value": plain})
    if not is_new and row.value != plain:
        raise InvalidInput("another simulated market is in use", code="simulation_differs")


def load_simulation() -> SimulationConfig | None:
    """The definition in use; None where prices come from elsewhere."""
    row = SystemConfig.objects.filter(key=CONFIG_KEY).first()
    if row is None:
        return None
    value = row.value
    return SimulationConfig(
        seed=value["seed"],
        start_ms=value["start_ms"],
        correlation=value["correlation"],
        instruments=tuple(SimulatedInstrument(**item) for item in value["instruments"]),
    )


def _plain(config: SimulationConfig) -> dict[str, Any]:
    return {
        "seed": config.seed,
        "start_ms": config.start_ms,
        "correlation": config.correlation,
        "instruments": [
            {
                "symbol": item.symbol,
                "start_price": item.start_price,
                "tick": item.tick,
                "volatility_hour": item.volatility_hour,
                "volume_hour": item.volume_hour,
            }
            for item in config.instruments
        ],
    }


class SimulatedSource:
    """The simulated market as a :class:`MarketData`, drawn as far as it was asked for."""

    label = "SIMULATED"
    venue = SIMULATED
    is_simulated = True

    def __init__(self, config: SimulationConfig) -> None:
        self._config = config
        self._market: SimulatedMarket | None = None

    def open(self, symbols: Sequence[str], *, since_ms: int) -> None:
        """Nothing to do: it is there."""

    def watch(self, symbols: Sequence[str]) -> None:
        """Nothing to do: all of it is there."""

    def follow(self) -> None:
        """Nothing to do: it is drawn when it is read."""

    def close(self) -> None:
        """Nothing to end."""

    def settle(self, symbol: str, price: float) -> None:
        """Nothing to do: it ends no instrument."""

    def find_doubts(self, now_ms: int, *, since_ms: int) -> Doubts:
        """None: it is a function of time."""
        return Doubts()

    def wake_handle(self) -> int | None:
        """None: its price is asked for, not pushed."""
        return None

    def take_notes(self) -> tuple[SourceNote, ...]:
        """None: nothing happens to it."""
        return ()

    def facts(self, now_ms: int) -> Mapping[str, Mapping[str, Any]]:
        """The price alone: it has no book and no source to be late."""
        return {
            quote.symbol: {"source": self.label, "price": f"{quote.price:f}", "age_ms": 0}
            for quote in self.quotes(now_ms)
        }

    def sample_books(self, wishes: Mapping[str, BookWish]) -> bool:
        """It has no book."""
        return False

    def book_samples(self, symbol: str, start_ms: int, end_ms: int) -> tuple[DepthSnapshot, ...]:
        """None: it has no book."""
        return ()

    def forced_orders(self, symbol: str, since_ms: int) -> tuple[ForcedOrder, ...]:
        """None: nobody is liquidated on it."""
        return ()

    def funding(self, symbol: str, start_ms: int, end_ms: int) -> tuple[ChargedFunding, ...]:
        """None stated: the default applies."""
        return ()

    def quotes(self, now_ms: int) -> tuple[Quote, ...]:
        return tuple(
            Quote(
                symbol=symbol,
                price=decimal_from_float(self.price(symbol, now_ms)),
                venue_time_ms=now_ms,
                arrived_ms=now_ms,
            )
            for symbol in self.symbols
        )

    def connection(self) -> Mapping[str, Any]:
        """Nothing: it is here."""
        return {}

    def price(self, symbol: str, now_ms: int) -> float:
        """The price at ``now_ms``: on the straight line between two minutes' ends, on the tick."""
        market = self._drawn_to(now_ms)
        row = self._row(market, symbol)
        minutes = market.minutes[row]
        position = (now_ms - self._config.start_ms) / MINUTE_MS
        after = min(int(position), minutes.size - 1)
        before = max(after - 1, 0)
        share = position - int(position)
        value = float(minutes[before] + (minutes[after] - minutes[before]) * share)
        tick = self._config.instruments[row].tick
        return round(round(value / tick) * tick, 10)

    def depth(self, symbol: str, now_ms: int) -> float | None:
        """Nothing: a simulated path has no order book."""
        return None

    def candles(self, symbol: str, start_ms: int, end_ms: int) -> Candles:
        market = self._drawn_to(end_ms)
        row = self._row(market, symbol)
        times = market.open_time
        chosen = (times >= start_ms) & (times + HOUR_MS <= end_ms)
        columns = market.candles[row][:, chosen]
        return Candles(
            instrument=symbol,
            timeframe_ms=HOUR_MS,
            open_time=times[chosen],
            open=np.ascontiguousarray(columns[0]),
            high=np.ascontiguousarray(columns[1]),
            low=np.ascontiguousarray(columns[2]),
            close=np.ascontiguousarray(columns[3]),
            volume=np.ascontiguousarray(columns[4]),
        )

    @property
    def symbols(self) -> Sequence[str]:
        return [item.symbol for item in self._config.instruments]

    def _row(self, market: SimulatedMarket, symbol: str) -> int:
        try:
            return market.symbols.index(symbol)
        except ValueError:
            raise InvalidInput(f"{symbol} is not simulated", code="unknown_instrument") from None

    def _drawn_to(self, now_ms: int) -> SimulatedMarket:
        needed = (now_ms - self._config.start_ms) // HOUR_MS + 1
        if needed < 1:
            raise InvalidInput("the simulated market begins later", code="before_start")
        if self._market is None or self._market.open_time.size < needed:
            self._market = simulate_market(
                seed=self._config.seed,
                instruments=self._config.instruments,
                start_ms=self._config.start_ms,
                hours=int(needed) + AHEAD_HOURS,
                correlation=self._config.correlation,
            )
        return self._market
