"""A small whole fund for tests: simulated candles, a replay of a few weeks, its investors."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from magnetfund.core.actors import Actor
from magnetfund.kernel.clock import to_milliseconds
from magnetfund.operations.replay import run_replay
from magnetfund.operations.replay_plan import ReplayPlan
from risk.domain.fuse import ResetPolicy
from trading.domain.simulated_market import SimulatedInstrument
from trading.models import Instrument
from trading.services.candle_store import store_candles
from trading.services.instruments import add_simulated_instrument
from trading.services.market_source import SimulatedSource, SimulationConfig

START = datetime(2026, 1, 1, tzinfo=UTC)
#: After the last dealing of a replay of 33 days, where candles still give a price.
LATER = START + timedelta(days=34)
SYMBOL = "BTC/USDT:USDT"


def make_candles(*, days_before: int = 62, days: int = 45, seed: int = 5) -> Instrument:
    """Store simulated hours around :data:`START`."""
    begin = START - timedelta(days=days_before)
    instrument = add_simulated_instrument(
        SYMBOL,
        tick=Decimal("0.1"),
        lot=Decimal("0.001"),
        minimum_notional=Decimal(5),
        maker_fee=Decimal("0.0002"),
        taker_fee=Decimal("0.0005"),
        maintenance_rate=Decimal("0.004"),
        actor=Actor.system("test"),
    )
    source = SimulatedSource(
        SimulationConfig(
            seed=seed,
            start_ms=to_milliseconds(begin),
            correlation=0.7,
            instruments=(SimulatedInstrument(symbol=SYMBOL, start_price=60_000.0, tick=0.1),),
        )
    )
    candles = source.candles(
        SYMBOL, to_milliseconds(begin), to_milliseconds(START + timedelta(days=days))
    )
    store_candles(
        candles,
        instrument=instrument,
        timeframe="1h",
        source="SIMULATED",
        available_ms=int(candles.open_time[0]),
    )
    return instrument


def replay(book: str, instrument: Instrument, *, days: int = 40, risk: str = "0.0035",
           policy: ResetPolicy = ResetPolicy.COOLDOWN_7D) -> dict[str, Any]:  # fmt: skip
    """Trade the fund through the stored hours."""
    return run_replay(
        ReplayPlan(
            book=book,
            instruments=(instrument,),
            start=START,
            end=START + timedelta(days=days),
            risk=Decimal(risk),
            reset_policy=policy,
        ),
        on_start=lambda bars: None,
        on_bar=lambda: None,
    )
