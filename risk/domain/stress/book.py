"""A book of linear positions under a scenario, by the venue's own margin rules.

Money is float64 in the settle currency; quantities are positive, the side stands beside them.
Stops are ignored: a gap passes them.  The order is that of the venue: prices move, funding is
paid, the fee of closing is reserved, then margin is tested and positions go by margin level, the
lowest first.  What survives is valued as if it were closed at the stressed spread.

An isolated position that is liquidated loses its whole wallet.  A cross account closes its
positions one by one, the worst result against its own margin first, each for the liquidation fee,
until the rest is sound.  No wallet falls below zero: what a gap takes beyond it is disclosed as
``gap_shortfall``, a bill to the venue's insurance that may or may not be honoured.

Invariant: equity after = equity before + price result - funding - closing fees - spread
- liquidation cost + gap shortfall.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from magnetfund.kernel.errors import InvalidInput
from risk.domain.margin import (
    MaintenanceTier,
    MarginLeg,
    compute_funding_cash,
    compute_liquidation_bounds,
    compute_maintenance_margin,
)
from risk.domain.stress.scenarios import StressScenario, move_of


@dataclass(frozen=True, slots=True, kw_only=True)
class StressPosition:
    """A position at its present mark.

    ``isolated_wallet`` is None for a position that shares the cross wallet.  ``daily_volatility``
    is a fraction, needed by scenarios in standard deviations.  ``funding_rate`` is that of one
    stamp, ``half_spread`` and the fee rates are fractions of notional.
    """

    name: str
    asset: str
    side: int
    quantity: float
    entry_price: float
    mark_price: float
    tiers: tuple[MaintenanceTier, ...]
    isolated_wallet: float | None = None
    daily_volatility: float | None = None
    funding_rate: float = 0.0
    funding_hours: float = 8.0
    half_spread: float = 0.0
    close_fee_rate: float = 0.0005
    liquidation_fee_rate: float = 0.0125

    def __post_init__(self) -> None:
        _ = self.leg  # which checks side, quantity, entry price and tiers
        if not (math.isfinite(self.mark_price) and self.mark_price > 0.0):
            raise InvalidInput("mark_price must be positive", code="bad_mark_price")
        wallet, volatility = self.isolated_wallet, self.daily_volatility
        if wallet is not None and not (math.isfinite(wallet) and wallet >= 0.0):
            raise InvalidInput("a wallet is not negative", code="bad_balance")
        if volatility is not None and not (math.isfinite(volatility) and volatility >= 0.0):
            raise InvalidInput("a volatility is not negative", code="bad_volatility")
        if not (math.isfinite(self.funding_rate) and self.funding_hours > 0.0):
            raise InvalidInput("funding has a finite rate and a period", code="bad_funding")
        for rate in (self.half_spread, self.close_fee_rate, self.liquidation_fee_rate):
            if not 0.0 <= rate < 1.0:
                raise InvalidInput("rates must lie in [0, 1)", code="bad_rate")

    @property
    def leg(self) -> MarginLeg:
        """The position as the margin rules see it."""
        return MarginLeg(
            side=self.side,
            quantity=self.quantity,
            entry_price=self.entry_price,
            tiers=self.tiers,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class StressBook:
    """Positions with the wallets behind them.

    ``cash_outside`` is money that no venue can take.  ``loss_limit`` is the equity at which the
    loss fuse trips (:func:`risk.domain.fuse.thresholds.compute_loss_threshold`), None without one.
    """

    positions: tuple[StressPosition, ...]
    cross_wallet: float = 0.0
    cash_outside: float = 0.0
    loss_limit: float | None = None

    def __post_init__(self) -> None:
        if len({position.name for position in self.positions}) != len(self.positions):
            raise InvalidInput("positions have names of their own", code="name_twice")
        for money in (self.cross_wallet, self.cash_outside, self.loss_limit or 0.0):
            if not math.isfinite(money):
                raise InvalidInput("balances must be finite", code="bad_balance")


@dataclass(frozen=True, slots=True, kw_only=True)
class StressLiquidation:
    """A position that the venue closed.

    ``margin_level`` is account value over maintenance margin when its turn came, of its own wallet
    or of the cross account; ``result`` its profit or loss from entry to ``mark_price``.
    """

    name: str
    margin_level: float
    mark_price: float
    result: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StressResult:
    """What a scenario does to a book; costs are positive.

    ``distance_to_fuse`` is equity after less the loss limit: at or below zero the fuse has tripped.
    """

    scenario: str
    equity_before: float
    equity_after: float
    price_result: float
    funding_paid: float
    closing_fees: float
    spread_paid: float
    liquidation_cost: float
    gap_shortfall: float
    liquidations: tuple[StressLiquidation, ...]
    distance_to_fuse: float | None

    @property
    def fuse_tripped(self) -> bool:
        """Whether equity lies at or below the loss limit."""
        return self.distance_to_fuse is not None and self.distance_to_fuse <= 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shocked:
    """A position after the move."""

    position: StressPosition
    mark_price: float
    unrealised: float
    maintenance: float
    price_result: float
    funding: float
    closing_fee: float
    spread: float
    liquidation_fee: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Outcome:
    """A wallet after its margin was tested; ``left`` is never negative."""

    margin_level: float
    left: float
    liquidation_cost: float
    gap_shortfall: float
    liquidations: tuple[StressLiquidation, ...]


def compute_equity(*, book: StressBook) -> float:
    """Cash, wallets and unrealised profit at the present marks."""
    return (
        book.cash_outside
        + book.cross_wallet
        + math.fsum(position.isolated_wallet or 0.0 for position in book.positions)
        + math.fsum(
            position.side * position.quantity * (position.mark_price - position.entry_price)
            for position in book.positions
        )
    )


def compute_stress(*, book: StressBook, scenario: StressScenario) -> StressResult:
    """Equity, liquidations in their order and distance to the fuse after a scenario.

    Raises ``InvalidInput`` (``no_volatility``) where the scenario moves in standard deviations and
    a position states none.
    """
    shocked = [_shock(position=position, scenario=scenario) for position in book.positions]
    outcomes = [
        _settle_isolated(one) for one in shocked if one.position.isolated_wallet is not None
    ]
    outcomes.append(
        _settle_cross(
            wallet=book.cross_wallet,
            shocked=[one for one in shocked if one.position.isolated_wallet is None],
        )
    )
    outcomes.sort(key=lambda outcome: outcome.margin_level)
    after = book.cash_outside + math.fsum(outcome.left for outcome in outcomes)
    return StressResult(
        scenario=scenario.name,
        equity_before=compute_equity(book=book),
        equity_after=after,
        price_result=math.fsum(one.price_result for one in shocked),
        funding_paid=math.fsum(one.funding for one in shocked),
        closing_fees=math.fsum(one.closing_fee for one in shocked),
        spread_paid=math.fsum(one.spread for one in shocked),
        liquidation_cost=math.fsum(outcome.liquidation_cost for outcome in outcomes),
        gap_shortfall=math.fsum(outcome.gap_shortfall for outcome in outcomes),
        liquidations=tuple(one for outcome in outcomes for one in outcome.liquidations),
        distance_to_fuse=None if book.loss_limit is None else after - book.loss_limit,
    )


def compute_stresses(
    *, book: StressBook, scenarios: Sequence[StressScenario]
) -> tuple[StressResult, ...]:
    """The results of many scenarios, in their order, each from the present book."""
    return tuple(compute_stress(book=book, scenario=scenario) for scenario in scenarios)


def _shock(*, position: StressPosition, scenario: StressScenario) -> _Shocked:
    price = position.mark_price * (1.0 + move_of(scenario=scenario, asset=position.asset))
    if scenario.adverse_sigmas > 0.0:
        if position.daily_volatility is None:
            raise InvalidInput(
                "the scenario needs the volatility of each position",
                code="no_volatility",
                details={"position": position.name},
            )
        depth = scenario.adverse_sigmas * scenario.volatility_multiple * position.daily_volatility
        price *= math.exp(-position.side * depth)  # in logarithms, so no price turns negative
    notional = position.quantity * price
    stamps = math.floor(scenario.hours / position.funding_hours)
    a_stamp = compute_funding_cash(
        side=position.side, mark_notional=notional, rate=position.funding_rate
    )
    signed = position.side * position.quantity
    return _Shocked(
        position=position,
        mark_price=price,
        unrealised=signed * (price - position.entry_price),
        maintenance=_maintenance_of(position=position, notional=notional),
        price_result=signed * (price - position.mark_price),
        # A stress does not count on funding that it would receive.
        funding=max(0.0, -a_stamp) * scenario.funding_multiple * stamps,
        closing_fee=position.close_fee_rate * notional,
        spread=position.half_spread * scenario.spread_multiple * notional,
        liquidation_fee=position.liquidation_fee_rate * notional,
    )


def _maintenance_of(*, position: StressPosition, notional: float) -> float:
    last = position.tiers[-1]
    if notional >= last.cap:  # the last rate is carried on, as it is for liquidation prices
        return notional * last.rate - last.amount
    return compute_maintenance_margin(tiers=position.tiers, notional=notional)


def _settle_isolated(one: _Shocked) -> _Outcome:
    wallet = (one.position.isolated_wallet or 0.0) - one.funding - one.closing_fee
    value = wallet + one.unrealised
    level = value / one.maintenance
    bounds = compute_liquidation_bounds(
        legs=(one.position.leg,), wallet_balance=wallet, mark_price=one.mark_price
    )
    exit_value = value - one.spread
    shortfall = max(0.0, -exit_value)
    if not bounds.liquidated:
        return _Outcome(
            margin_level=level,
            left=max(0.0, exit_value),
            liquidation_cost=0.0,
            gap_shortfall=shortfall,
            liquidations=(),
        )
    return _Outcome(
        margin_level=level,
        left=0.0,
        liquidation_cost=max(0.0, exit_value),
        gap_shortfall=shortfall,
        liquidations=(_record(one, level),),
    )


def _settle_cross(*, wallet: float, shocked: Sequence[_Shocked]) -> _Outcome:
    free = wallet - math.fsum(one.funding + one.closing_fee for one in shocked)
    # The worst result against the margin that it demands goes first; of equals, the largest loss.
    queue = sorted(shocked, key=lambda one: (one.unrealised / one.maintenance, one.unrealised))
    liquidations: list[StressLiquidation] = []
    cost = 0.0
    level = _cross_level(free, queue)
    while queue:
        first, others = queue[0], queue[1:]
        bounds = compute_liquidation_bounds(
            legs=(first.position.leg,),
            wallet_balance=free,
            mark_price=first.mark_price,
            other_maintenance=math.fsum(one.maintenance for one in others),
            other_unrealised=math.fsum(one.unrealised for one in others),
        )
        if not bounds.liquidated:
            break
        liquidations.append(_record(first, _cross_level(free, queue)))
        free += first.unrealised - first.liquidation_fee
        cost += first.liquidation_fee
        queue = others
    left = (
        free + math.fsum(one.unrealised for one in queue) - math.fsum(one.spread for one in shocked)
    )
    return _Outcome(
        margin_level=level,
        left=max(0.0, left),
        liquidation_cost=cost,
        gap_shortfall=max(0.0, -left),
        liquidations=tuple(liquidations),
    )


def _cross_level(free: float, open_positions: Sequence[_Shocked]) -> float:
    if not open_positions:
        return math.inf
    value = free + math.fsum(one.unrealised for one in open_positions)
    return value / math.fsum(one.maintenance for one in open_positions)


def _record(one: _Shocked, margin_level: float) -> StressLiquidation:
    return StressLiquidation(
        name=one.position.name,
        margin_level=margin_level,
        mark_price=one.mark_price,
        result=one.unrealised,
    )
