"""Margin: maintenance tiers, liquidation prices, CFD close-out, funding and financing.

Prices, money and quantities are float64 in the settle currency of a linear contract; a quantity is
positive and its side (+1 long, -1 short) stands beside it; rates are fractions (0.004 is 0.4 %).
The mark price triggers a liquidation, not the last price.

Invariants: the maintenance margin is a continuous, convex function of the notional; a liquidation
price solves "account value = maintenance margin" with the tiers of the notional AT that price.

Sources: Binance USDT-M liquidation formula (public FAQ of the venue), ESMA decision (EU) 2018/796
for the CFD close-out at half the initial margin.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from magnetfund.kernel.errors import InvalidInput


@dataclass(frozen=True, slots=True, kw_only=True)
class MaintenanceTier:
    """A band of notional ``[floor, cap)`` with its maintenance rate and amount.

    The margin of a notional in the band is ``notional * rate - amount``; the venue calls the
    amount *cum*.  The last band has an infinite ``cap``, or the venue's largest position.
    """

    floor: float
    cap: float
    rate: float
    amount: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MarginLeg:
    """A position of one side: ``quantity`` > 0 contracts opened at ``entry_price``."""

    side: int
    quantity: float
    entry_price: float
    tiers: tuple[MaintenanceTier, ...]

    def __post_init__(self) -> None:
        if self.side not in (1, -1):
            raise InvalidInput("the side is +1 or -1", code="bad_side")
        _positive("quantity", self.quantity)
        _positive("entry_price", self.entry_price)
        if not self.tiers:
            raise InvalidInput("a leg needs maintenance tiers", code="no_tiers")


@dataclass(frozen=True, slots=True, kw_only=True)
class LiquidationBounds:
    """Between which prices an account lives: ``lower`` < mark < ``upper``, None for no bound.

    A long alone has no upper bound, a short alone no lower one; a hedged pair may have both.
    ``liquidated`` means that the account does not meet its margin at the mark already.
    """

    lower: float | None
    upper: float | None
    liquidated: bool


def build_tiers(*, caps: Sequence[float], rates: Sequence[float]) -> tuple[MaintenanceTier, ...]:
    """Tiers from the upper bounds of the bands and their rates.

    ``amount_1 = 0; amount_n = floor_n * (rate_n - rate_{n-1}) + amount_{n-1}``, which makes the
    margin continuous.  Raises :class:`InvalidInput` unless caps rise strictly, rates never fall
    and lie in (0, 1), and both have the same length >= 1.  Example (invented): caps 20,000,
    200,000 and 1,000,000 at 0.6 %, 1.2 % and 3 % give amounts 0, 120 and 3,720.
    """
    if not caps or len(caps) != len(rates):
        raise InvalidInput("tiers need a rate for each cap", code="bad_tiers")
    tiers: list[MaintenanceTier] = []
    floor, amount, previous = 0.0, 0.0, None
    for cap, rate in zip(caps, rates, strict=True):
        if not (cap > floor and 0.0 < rate < 1.0 and (previous is None or rate >= previous)):
            raise InvalidInput("caps must rise and rates may not fall", code="bad_tiers")
        if previous is not None:
            amount += floor * (rate - previous)
        tiers.append(
            MaintenanceTier(floor=float(floor), cap=float(cap), rate=float(rate), amount=amount)
        )
        floor, previous = cap, rate
    return tuple(tiers)


def flat_tier(*, rate: float) -> tuple[MaintenanceTier, ...]:
    """One tier without end at one maintenance rate."""
    return build_tiers(caps=(math.inf,), rates=(rate,))


def find_tier(*, tiers: Sequence[MaintenanceTier], notional: float) -> MaintenanceTier:
    """The tier of a notional >= 0.

    Raises :class:`InvalidInput` (``above_last_tier``) for a notional that the venue does not
    allow, and for one that is negative or not finite.
    """
    if not (math.isfinite(notional) and notional >= 0.0):
        raise InvalidInput("a notional is finite and not negative", code="bad_notional")
    for tier in tiers:
        if notional < tier.cap:
            return tier
    raise InvalidInput("the notional lies above the last tier", code="above_last_tier")


def compute_maintenance_margin(*, tiers: Sequence[MaintenanceTier], notional: float) -> float:
    """Money that a position of this notional must keep: ``notional * rate - amount``."""
    tier = find_tier(tiers=tiers, notional=notional)
    return notional * tier.rate - tier.amount


def compute_all_in_liquidation_price(
    *,
    entry_price: float,
    side: int,
    leverage: float,
    maintenance_rate: float,
    close_fee_rate: float = 0.0,
) -> float | None:
    """Liquidation price of an isolated position whose margin is entry notional / leverage.

    One tier: long ``EP (1 - 1/L) / (1 - mmr)``, short ``EP (1 + 1/L) / (1 + mmr)``.  With a close
    fee f that the venue reserves and an opening fee that came out of the margin, long
    ``EP (1 - 1/L + f) / (1 - mmr - f)`` and short mirrored.  None where no positive price
    liquidates (a long at 1x without fees).
    """
    _positive("entry_price", entry_price)
    _positive("leverage", leverage)
    if side not in (1, -1):
        raise InvalidInput("the side is +1 or -1", code="bad_side")
    if not 0.0 <= maintenance_rate < 1.0 or not 0.0 <= close_fee_rate < 1.0 - maintenance_rate:
        raise InvalidInput("rates must lie in [0, 1)", code="bad_rate")
    if side > 0:
        price = (
            entry_price
            * (1.0 - 1.0 / leverage + close_fee_rate)
            / (1.0 - maintenance_rate - close_fee_rate)
        )
    else:
        price = (
            entry_price
            * (1.0 + 1.0 / leverage - close_fee_rate)
            / (1.0 + maintenance_rate + close_fee_rate)
        )
    return price if price > 0.0 else None


def compute_liquidation_bounds(
    *,
    legs: Sequence[MarginLeg],
    wallet_balance: float,
    mark_price: float,
    other_maintenance: float = 0.0,
    other_unrealised: float = 0.0,
) -> LiquidationBounds:
    """The prices of one symbol at which its account is liquidated, tiers taken at those prices.

    Isolated: ``wallet_balance`` is the isolated wallet and the other two are 0.  Cross: the wallet
    balance, and the sums over the OTHER symbols of maintenance margin and of unrealised profit.
    ``legs`` is a one-way position, or the long and the short leg of hedge mode, or all three.

    On a stretch of price where each leg keeps its tier this is the venue's formula
    ``LP = (WB - TMM1 + UPNL1 + cum_B + cum_L + cum_S - s QB EPB - QL EPL + QS EPS)
    / (QB mB + QL mL + QS mS - s QB - QL + QS)``.  Account value minus margin is concave in the
    price, so one root at most lies on each side of a mark at which the account is sound.
    """
    _positive("mark_price", mark_price)
    if not legs:
        raise InvalidInput("a position needs a leg", code="no_legs")
    for value in (wallet_balance, other_maintenance, other_unrealised):
        if not math.isfinite(value):
            raise InvalidInput("balances must be finite", code="bad_balance")
    free = wallet_balance - other_maintenance + other_unrealised
    edges = sorted(
        {
            tier.cap / leg.quantity
            for leg in legs
            for tier in leg.tiers[:-1]  # beyond the last cap its own rate is carried on
        }
    )
    lower: float | None = None
    upper: float | None = None
    liquidated = _excess(legs, free, mark_price) <= 0.0
    for low, high in zip([0.0, *edges], [*edges, math.inf], strict=True):
        root = _root_between(legs, free, low, high)
        if root is None:
            continue
        if root <= mark_price:
            lower = root if lower is None else max(lower, root)
        else:
            upper = root if upper is None else min(upper, root)
    return LiquidationBounds(lower=lower, upper=upper, liquidated=liquidated)


def compute_liquidation_price(
    *,
    side: int,
    quantity: float,
    entry_price: float,
    wallet_balance: float,
    tiers: tuple[MaintenanceTier, ...],
    mark_price: float | None = None,
    other_maintenance: float = 0.0,
    other_unrealised: float = 0.0,
) -> float | None:
    """Liquidation price of a one-way position, None where no positive price liquidates it.

    Isolated with the isolated wallet alone, cross with the two sums of the other symbols; see
    :func:`compute_liquidation_bounds`.  ``mark_price`` defaults to the entry price.
    """
    leg = MarginLeg(side=side, quantity=quantity, entry_price=entry_price, tiers=tiers)
    free = wallet_balance - other_maintenance + other_unrealised
    if not math.isfinite(free):
        raise InvalidInput("balances must be finite", code="bad_balance")
    if mark_price is not None:
        _positive("mark_price", mark_price)
    # One leg's excess is monotone in the price, so its root does not depend on the mark.
    edges = [tier.cap / quantity for tier in tiers[:-1]]
    for low, high in zip([0.0, *edges], [*edges, math.inf], strict=True):
        root = _root_between((leg,), free, low, high)
        if root is not None:
            return root
    return None


def _tier_at(leg: MarginLeg, price: float) -> MaintenanceTier:
    notional = leg.quantity * price
    for tier in leg.tiers:
        if notional < tier.cap:
            return tier
    return leg.tiers[-1]


def _excess(legs: Sequence[MarginLeg], free: float, price: float) -> float:
    """Account value less maintenance margin at a price."""
    value = free
    for leg in legs:
        tier = _tier_at(leg, price)
        value += leg.side * leg.quantity * (price - leg.entry_price)
        value -= leg.quantity * price * tier.rate - tier.amount
    return value


def _root_between(legs: Sequence[MarginLeg], free: float, low: float, high: float) -> float | None:
    """The root on ``[low, high)``, where every leg keeps its tier, None if there is none."""
    inside = (low + high) / 2.0 if math.isfinite(high) else low * 2.0 + 1.0
    numerator, denominator = free, 0.0
    for leg in legs:
        tier = _tier_at(leg, inside)
        numerator += tier.amount - leg.side * leg.quantity * leg.entry_price
        denominator += leg.quantity * tier.rate - leg.side * leg.quantity
    if denominator == 0.0:
        return None
    price = numerator / denominator
    return price if price > 0.0 and low <= price < high else None


def _positive(name: str, value: float) -> None:
    if not (math.isfinite(value) and value > 0.0):
        raise InvalidInput(f"{name} must be positive", code=f"bad_{name}")


def compute_funding_cash(*, side: int, mark_notional: float, rate: float) -> float:
    """Cash that a position receives (+) or pays (-) at a funding stamp.

    ``-side * mark notional * rate`` for the position held at that instant: at a positive rate
    longs pay shorts.  It moves an isolated liquidation price where it eats margin.
    """
    if side not in (1, -1):
        raise InvalidInput("the side is +1 or -1", code="bad_side")
    if not (math.isfinite(mark_notional) and mark_notional >= 0.0 and math.isfinite(rate)):
        raise InvalidInput("notional and rate must be finite", code="bad_funding")
    return -side * mark_notional * rate


class MarginState(StrEnum):
    """Where a margin account stands."""

    SOUND = "sound"
    MARGIN_CALL = "margin_call"
    CLOSE_OUT = "close_out"


@dataclass(frozen=True, slots=True, kw_only=True)
class CfdAccount:
    """A CFD account at one instant.

    ``equity`` = balance + open profit - financing; ``margin_level`` = equity / used margin (None
    without a position).  With negative-balance protection the client never owes more than it.
    """

    equity: float
    used_margin: float
    margin_level: float | None
    state: MarginState


def evaluate_cfd_account(
    *,
    balance: float,
    open_profit: float,
    used_margin: float,
    financing: float = 0.0,
    margin_call_level: float = 1.0,
    close_out_level: float = 0.5,
) -> CfdAccount:
    """Equity, margin level and state of a CFD account.

    The state is CLOSE_OUT at or below ``close_out_level`` of the used initial margin (half, per
    account, for retail clients in the EU) and MARGIN_CALL at or below ``margin_call_level``.
    """
    values = (balance, open_profit, used_margin, financing)
    if not all(math.isfinite(value) for value in values) or used_margin < 0.0:
        raise InvalidInput("account figures must be finite", code="bad_balance")
    if not 0.0 < close_out_level <= margin_call_level:
        raise InvalidInput("the call must not stand below the close-out", code="bad_level")
    equity = balance + open_profit - financing
    if used_margin == 0.0:
        return CfdAccount(
            equity=equity, used_margin=0.0, margin_level=None, state=MarginState.SOUND
        )
    level = equity / used_margin
    state = MarginState.SOUND
    if level <= close_out_level:
        state = MarginState.CLOSE_OUT
    elif level <= margin_call_level:
        state = MarginState.MARGIN_CALL
    return CfdAccount(equity=equity, used_margin=used_margin, margin_level=level, state=state)


def compute_cfd_close_out_price(
    *,
    balance: float,
    side: int,
    quantity: float,
    entry_price: float,
    leverage: float,
    close_out_level: float = 0.5,
) -> float | None:
    """Price at which a single CFD position is closed out, None where no positive price does it.

    Long ``EP - (balance - level * IM) / Q`` with initial margin ``IM = EP Q / L``; short mirrored.
    """
    for name, value in (
        ("quantity", quantity),
        ("entry_price", entry_price),
        ("leverage", leverage),
    ):
        _positive(name, value)
    if side not in (1, -1) or not math.isfinite(balance):
        raise InvalidInput("the side is +1 or -1, the balance finite", code="bad_side")
    initial_margin = entry_price * quantity / leverage
    price = entry_price - side * (balance - close_out_level * initial_margin) / quantity
    return price if price > 0.0 else None
