"""What a book trades: its sleeves and instruments, and the engine's rules made of the limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from risk.domain.limits import LimitSet
from trading.domain.engine.rules import (
    EngineRules,
    FuseRules,
    InstrumentRules,
    LimitRules,
    ResetPolicy,
    SlotRules,
)
from trading.domain.strategies.base import Strategy as PureStrategy
from trading.domain.strategies.registry import build_strategy
from trading.domain.strategies.signals import StrategyTraits
from trading.models import Instrument
from trading.models import Strategy as StrategyRow
from trading.services.sleeves import Sleeve

MANUAL = "manual"
MANUAL_TRAITS = StrategyTraits(
    strategy_id=MANUAL, version="manual.1", trigger_volatility=False, entry_checks_triggers=False
)


@dataclass(frozen=True, slots=True, kw_only=True)
class BookSetup:
    """Rules, instruments and sleeves of one book, slot by slot in the same order."""

    rules: EngineRules
    instruments: tuple[Instrument, ...]
    sleeves: tuple[Sleeve, ...]
    strategies: Mapping[str, PureStrategy]


def build_setup(
    *,
    instruments: Sequence[Instrument],
    sleeves: Sequence[StrategyRow],
    limits: LimitSet,
    cash: float,
    reset_policy: ResetPolicy = ResetPolicy.NONE,
) -> BookSetup:
    """The setup of given instruments and sleeves, strategy by strategy, instrument by instrument.

    ``reset_policy`` other than NONE is for scenarios only; live re-arming is for two people.
    """
    strategies: dict[str, PureStrategy] = {}
    slots: list[SlotRules] = []
    placed: list[Sleeve] = []
    for number, row in enumerate(sleeves):
        if row.code == MANUAL:
            traits = MANUAL_TRAITS
        else:
            strategies[row.code] = build_strategy(row.code, row.parameters)
            traits = strategies[row.code].traits
        for index, instrument in enumerate(instruments):
            share = float(row.risk_fraction)
            slots.append(
                SlotRules(traits=traits, strategy=number, instrument=index, risk_share=share)
            )
            placed.append(Sleeve(strategy=row.code, instrument=instrument, risk_fraction=share))
    rules = EngineRules(
        instruments=tuple(instrument_rules(item) for item in instruments),
        slots=tuple(slots),
        limits=LimitRules.of_limit_set(limits),
        fuse=FuseRules(
            daily_loss_share=float(limits.daily_loss_share),
            drawdown_share=float(limits.drawdown_share),
            reset_policy=reset_policy,
        ),
        cash_opening=cash,
    )
    return BookSetup(
        rules=rules,
        instruments=tuple(instruments),
        sleeves=tuple(placed),
        strategies=strategies,
    )


def instrument_rules(row: Instrument) -> InstrumentRules:
    """An instrument as the paper venue trades it: ticks, lots, fees, slippage, maintenance."""
    return InstrumentRules(
        symbol=row.symbol,
        tick_size=float(row.tick),
        lot_size=float(row.lot),
        notional_min=float(row.minimum_notional),
        taker_fee_rate=float(row.taker_fee),
        maintenance_rate=float(row.maintenance_tiers[0][1]),
        gap_rate_floor=float(row.gap_floor),
    )


def active_sleeves() -> list[StrategyRow]:
    """Newest active version of each sleeve, in the order in which they were made."""
    newest: dict[str, StrategyRow] = {}
    for row in StrategyRow.objects.filter(is_active=True).order_by("version"):
        newest[row.code] = row
    return sorted(newest.values(), key=lambda row: row.pk)
