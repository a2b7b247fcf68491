"""What a book trades: its sleeves and instruments, and the engine's rules made of the limits."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from magnetfund.kernel.errors import InvalidInput
from magnetfund.kernel.money import decimal_of
from risk.domain.fuse import FuseRules, ResetPolicy
from risk.domain.limits import Limits, StrategyLimits
from trading.domain.engine.rules import (
    LEVERAGE_CEILING,
    EngineRules,
    LimitRules,
    SlotRules,
    TradedInstrument,
    bare_rules,
)
from trading.domain.strategies.base import Strategy as PureStrategy
from trading.domain.strategies.magnet import MagnetStrategy
from trading.domain.strategies.signals import StrategyTraits
from trading.models import Instrument
from trading.models import Strategy as StrategyRow
from trading.services.leverage_caps import find_fixed_cap
from trading.services.sleeve_strategies import LIMITS_KEY, build_sleeve_strategy
from trading.services.sleeves import Sleeve

MANUAL = "manual"
MANUAL_TRAITS = StrategyTraits(strategy_id=MANUAL, version="manual.1", trigger_volatility=False)


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
    limits: Limits,
    cash: float = 100_000.0,
    groups: Mapping[str, int] | None = None,
    evidence_caps: Mapping[str, float] | None = None,
    reset_policy: ResetPolicy = ResetPolicy.NONE,
    only: Collection[tuple[str, int]] | None = None,
    is_bare: bool = False,
) -> BookSetup:
    """The setup of given instruments and sleeves, strategy by strategy, instrument by instrument.

    ``cash`` is what a scenario begins with; a live book begins with what its ledger sent.
    ``groups`` are the correlation groups by symbol; without them all count as one.
    ``evidence_caps`` is the leverage by symbol that the evidence allows, where it acts.
    ``only`` names the slots (strategy, instrument's key) where not every pair is one.
    ``reset_policy`` other than NONE, and bare rules, are for scenarios only: live re-arming is for
    two people, and no live book is without its fuse.
    """
    strategies: dict[str, PureStrategy] = {}
    slots: list[SlotRules] = []
    placed: list[Sleeve] = []
    for number, row in enumerate(sleeves):
        if row.code == MANUAL:
            traits = MANUAL_TRAITS
        else:
            strategies[row.code] = (
                build_sleeve_strategy(row.code, row.parameters)
                if is_bare
                else _build_strategy(row, limits)
            )
            traits = strategies[row.code].traits
        own = strategy_limits(row)
        for index, instrument in enumerate(instruments):
            if only is not None and (row.code, instrument.pk) not in only:
                continue
            share = float(row.risk_fraction)
            slots.append(
                SlotRules(
                    traits=traits,
                    strategy=number,
                    instrument=index,
                    risk_share=share,
                    limits=own,
                )
            )
            placed.append(Sleeve(strategy=row.code, instrument=instrument, risk_fraction=share))
    rules = EngineRules(
        instruments=tuple(
            instrument_rules(
                item,
                group=(groups or {}).get(item.symbol, 0),
                evidence_cap=(evidence_caps or {}).get(item.symbol),
            )
            for item in instruments
        ),
        slots=tuple(slots),
        limits=LimitRules.of_limit_set(limits),
        fuse=FuseRules.of_limit_set(limits, reset_policy=reset_policy),
        cash_opening=cash,
    )
    return BookSetup(
        rules=bare_rules(rules) if is_bare else rules,
        instruments=tuple(instruments),
        sleeves=tuple(placed),
        strategies=strategies,
    )


def _build_strategy(row: StrategyRow, limits: Limits) -> PureStrategy:
    """A sleeve's strategy, reading opposing zones as far as the limits say."""
    strategy = build_sleeve_strategy(row.code, row.parameters)
    if isinstance(strategy, MagnetStrategy):
        return strategy.reading_opposite_within(float(limits.opposite_distance_atr))
    return strategy


def strategy_limits(row: StrategyRow) -> StrategyLimits:
    """A sleeve's own limits beside the fund's, kept with the parameters of its version.

    Raises :class:`InvalidInput` for a figure that is unknown or no positive number.
    """
    given = row.parameters.get(LIMITS_KEY, {})
    unknown = set(given) - set(StrategyLimits.__slots__)
    if unknown:
        raise InvalidInput(f"unknown strategy limits {sorted(unknown)}", code="unknown_figure")
    figures = {name: decimal_of(value) for name, value in given.items()}
    count = figures.pop("losses_in_a_row_count", None)
    return StrategyLimits(**figures, losses_in_a_row_count=None if count is None else int(count))


def instrument_rules(
    row: Instrument, *, group: int = 0, evidence_cap: float | None = None
) -> TradedInstrument:
    """An instrument as the paper venue trades it: ticks, lots, fees, slippage, maintenance, caps.

    The caps of venue and class always act, that of the evidence where it is given.
    """
    caps = (find_fixed_cap(row), evidence_cap)
    return TradedInstrument(
        symbol=row.symbol,
        tick_size=float(row.tick),
        lot_size=float(row.lot),
        notional_min=float(row.minimum_notional),
        taker_fee_rate=float(row.taker_fee),
        maintenance_rate=float(row.maintenance_tiers[0][1]),
        gap_rate_floor=float(row.gap_floor),
        correlation_group=group,
        leverage_cap=min((cap for cap in caps if cap is not None), default=LEVERAGE_CEILING),
    )


def active_sleeves() -> list[StrategyRow]:
    """Newest active version of each sleeve, in the order in which they were made."""
    newest: dict[str, StrategyRow] = {}
    for row in StrategyRow.objects.filter(is_active=True).order_by("version"):
        newest[row.code] = row
    return sorted(newest.values(), key=lambda row: row.pk)
