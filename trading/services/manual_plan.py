"""Preview of a manual order: request, allowed size and pre-trade check.

Preview and submission build the same plan; nothing here writes.  Money and prices are Decimals in
the quote currency, quantities in the base; ``codes`` is empty exactly when the order may be sent.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import uuid4

from magnetfund.core.models import Heartbeat
from magnetfund.kernel.errors import InvalidInput, Unavailable
from magnetfund.kernel.money import Rounding, decimal_from_float, round_to_step
from risk.domain.limits import Limits
from risk.domain.pretrade import (
    BookSnapshot,
    OrderType,
    PreTradeVerdict,
    Side,
    check_order,
)
from risk.domain.sizing import (
    SizingCase,
    SizingDecision,
    liquidation_price_of,
    size_position,
)
from risk.services.limits import limits_in_force
from trading.models import BookMember, Instrument, Order, Position, Strategy, Valuation
from trading.selectors.book import require_instrument
from trading.selectors.fuse import find_manual_block
from trading.services.blackouts import find_event
from trading.services.book_setup import MANUAL, instrument_rules
from trading.services.membership import newest_version, stored_state
from trading.services.orders import request_of
from trading.services.snapshots import build_snapshot

#: How long an order by hand may wait for its sender.
EXPIRES = timedelta(seconds=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class ManualOrder:
    """An entry by hand.  ``direction`` is "long" or "short"; prices in quote currency.

    ``entry_price`` is the price that the person saw.  At most one of ``quantity`` (base) and
    ``notional`` (quote) says how much; without either it is the largest size that the limits allow.
    """

    book: str
    symbol: str
    direction: str
    tier: int
    entry_price: Decimal
    stop_price: Decimal
    target_price: Decimal | None = None
    leverage: Decimal = Decimal(1)
    quantity: Decimal | None = None
    notional: Decimal | None = None
    why: str = ""

    @property
    def stated_notional(self) -> Decimal | None:
        """The size that the person named, in quote currency; None where the limits choose it."""
        if self.notional is not None:
            return self.notional
        return None if self.quantity is None else self.quantity * self.entry_price


@dataclass(frozen=True, slots=True, kw_only=True)
class LivePrice:
    """The trader's last price and when it saw it."""

    price: Decimal
    observed_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderPlan:
    """What would be sent now: ``order`` is the row itself, not stored yet.

    ``quantity`` is whole lots; ``largest`` what the sizing laws allow.  ``codes`` holds every
    reason against it: those of the ticket first (price, size), then the pre-trade check's.
    """

    request: ManualOrder
    order: Order
    instrument: Instrument
    side: Side
    reference: LivePrice
    target: Decimal | None
    quantity: Decimal
    largest: Decimal
    snapshot: BookSnapshot
    limits: Limits
    sizing: SizingDecision
    verdict: PreTradeVerdict
    liquidation_price: Decimal | None
    refusals: tuple[str, ...]

    @property
    def codes(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*self.refusals, *self.verdict.codes)))


def plan_manual_order(request: ManualOrder, *, at: datetime) -> OrderPlan:
    """Size and check an entry by hand without a trace.

    Raises :class:`InvalidInput` for what makes no sense and :class:`Unavailable` without prices or
    equity; every other "no" is a code in the plan.
    """
    instrument = require_instrument(request.symbol)
    side = _side(request)
    reference = live_price(request.book, instrument)
    equity = _equity(request.book)
    limits = limits_in_force(request.book, at=at)
    stop = _on_tick(request.stop_price, instrument)
    target = _on_tick(request.target_price, instrument) if request.target_price else None
    snapshot = build_snapshot(
        book=request.book,
        instrument=instrument,
        strategy=MANUAL,
        equity=equity,
        marks={instrument.symbol: reference.price},
        reference=reference.price,
        observed_at=reference.observed_at,
        at=at,
        limits=limits,
        entry_block=find_manual_block(
            instrument_id=instrument.pk, side=side.sign, limits=limits, at=at
        ),
    )
    case = _case(request, instrument, side, reference.price, stop, target, snapshot)
    event = find_event(request.book, instrument.symbol, at=at)
    sizing = size_position(case=case, limits=limits)
    largest = Decimal(sizing.lots * instrument.lot)
    quantity = _asked_quantity(request, instrument, reference.price)
    if quantity is None:
        quantity = largest
    order = _entry(
        request, instrument, reference.price, quantity, sizing.reasoning,
        side=side, stop=stop, target=target, at=at,
    )  # fmt: skip
    liquidation = liquidation_price_of(case=case)
    return OrderPlan(
        request=request,
        order=order,
        instrument=instrument,
        side=side,
        reference=reference,
        target=target,
        quantity=quantity,
        largest=largest,
        snapshot=snapshot,
        limits=limits,
        sizing=sizing,
        verdict=check_order(order=request_of(order), book=snapshot, limits=limits, now=at),
        liquidation_price=_on_tick(decimal_from_float(liquidation), instrument)
        if liquidation
        else None,
        refusals=(
            *_refusals(request, instrument, reference.price, sizing, quantity, largest, limits),
            *(("event_blackout",) if event is not None else ()),
        ),
    )


def live_price(book: str, instrument: Instrument) -> LivePrice:
    """What the trader saw last, and when; raises :class:`Unavailable` when it reports no price.

    It goes on reporting while a market is away: the book, or the instrument, was priced earlier.
    """
    beat = Heartbeat.objects.filter(part="trader", instance=book).first()
    text = (beat.detail.get("prices") or {}).get(instrument.symbol) if beat else None
    if beat is None or text is None:
        raise Unavailable("no live price: the trader is not running", code="no_trader")
    told = (beat.detail.get("market") or {}).get("price_at") or {}
    times = filter(None, (beat.detail.get("priced_at"), told.get(instrument.symbol)))
    observed_at = min([beat.seen_at, *map(datetime.fromisoformat, times)])
    return LivePrice(price=Decimal(text), observed_at=observed_at)


def _side(request: ManualOrder) -> Side:
    if request.direction not in ("long", "short"):
        raise InvalidInput("the direction is long or short", code="bad_direction")
    is_long = request.direction == "long"
    if is_long != (request.stop_price < request.entry_price):
        raise InvalidInput(
            "the stop must be below a long's entry or above a short's", code="stop_wrong_side"
        )
    if request.target_price is not None and is_long != (request.target_price > request.entry_price):
        raise InvalidInput(
            "the target must be above a long's entry or below a short's", code="target_wrong_side"
        )
    return Side.BUY if is_long else Side.SELL


def _equity(book: str) -> Decimal:
    newest = Valuation.objects.filter(book=book).order_by("-at").first()
    if newest is None:
        raise Unavailable("the book has no valuation yet", code="no_valuation")
    return newest.equity


def _on_tick(price: Decimal, instrument: Instrument) -> Decimal:
    nearest = round_to_step(price, instrument.tick, Rounding.HALF_EVEN)
    return max(nearest, instrument.tick)


def _asked_quantity(request: ManualOrder, instrument: Instrument, price: Decimal) -> Decimal | None:
    """The quantity asked for in whole lots, rounded down; None when the limits are to choose."""
    if request.quantity is not None and request.notional is not None:
        raise InvalidInput("give the size in units or in USD, not both", code="two_sizes")
    asked = request.quantity
    if request.notional is not None:
        asked = request.notional / price
    if asked is None:
        return None
    if asked <= 0:
        raise InvalidInput("the size must be greater than zero", code="bad_size")
    return round_to_step(asked, instrument.lot)


def _case(
    request: ManualOrder,
    instrument: Instrument,
    side: Side,
    price: Decimal,
    stop: Decimal,
    target: Decimal | None,
    snapshot: BookSnapshot,
) -> SizingCase:
    sleeve = Strategy.objects.filter(code=MANUAL, is_active=True).order_by("-version").first()
    same = [p for p in snapshot.positions if p.instrument == instrument.symbol]
    group = snapshot.instrument.correlation_group
    grouped = [p for p in snapshot.positions if p.correlation_group == group]
    rules = instrument_rules(instrument)
    return SizingCase(
        equity=float(snapshot.equity),
        entry_price=float(price),
        stop_price=float(stop),
        target_price=float(target) if target is not None else None,
        side=side.sign,
        leverage=float(request.leverage),
        lot_units=float(instrument.lot),
        tier=request.tier,
        notional_min=float(instrument.minimum_notional),
        fee_rate_in=rules.taker_fee_rate,
        fee_rate_out=rules.taker_fee_rate,
        gap_rate_floor=rules.gap_rate_floor,
        maintenance_rate=rules.maintenance_rate,
        risk_share=float(sleeve.risk_fraction) if sleeve else None,
        margin_open_instrument=float(sum((p.margin for p in same), Decimal(0))),
        margin_open_group=float(sum((p.margin for p in grouped), Decimal(0))),
        margin_open_total=float(sum((p.margin for p in snapshot.positions), Decimal(0))),
        gap_loss_open_instrument=float(sum((p.gap_loss for p in same), Decimal(0))),
        gap_loss_open_book=float(sum((p.gap_loss for p in snapshot.positions), Decimal(0))),
    )


def _entry(
    request: ManualOrder,
    instrument: Instrument,
    price: Decimal,
    quantity: Decimal,
    words: str,
    *,
    side: Side,
    stop: Decimal,
    target: Decimal | None,
    at: datetime,
) -> Order:
    """The entry as it would be committed; never less than a lot, so that it can be judged."""
    said = f"{request.why.strip()}. " if request.why.strip() else ""
    return Order(
        id=uuid4(),
        book=request.book,
        instrument=instrument,
        strategy=MANUAL,
        purpose="entry",
        side=side.value,
        type=OrderType.MARKET.value,
        quantity=quantity or instrument.lot,
        reference_price=price,
        stop_price=stop,
        target_price=target,
        leverage=float(request.leverage),
        tier=request.tier,
        reason=f"{said}{request.direction.capitalize()}, manual order. {words}"[:300],
        expires_at=at + EXPIRES,
    )


def _refusals(
    request: ManualOrder,
    instrument: Instrument,
    reference: Decimal,
    sizing: SizingDecision,
    quantity: Decimal,
    largest: Decimal,
    limits: Limits,
) -> tuple[str, ...]:
    """What the pre-trade check does not ask: the price seen, the slot, the sizing laws."""
    if abs(request.entry_price / reference - 1) > limits.price_collar_share:
        return ("price_collar",)  # decided on another price: nothing else about it is worth saying
    codes: list[str] = []
    slot = stored_state(request.book, MANUAL, instrument)
    if slot != BookMember.State.TRADING and newest_version(request.book):
        codes.append("not_by_hand")  # a trader that has no such slot could only let it expire
    held = Position.objects.filter(book=request.book, instrument=instrument, strategy=MANUAL)
    if held.exclude(quantity=0).exists():
        codes.append("position_open")
    waiting = Order.objects.filter(
        book=request.book, instrument=instrument, strategy=MANUAL, purpose="entry", closed_at=None
    )
    if waiting.exists():
        codes.append("order_waiting")
    if not sizing.is_safe:
        codes += [reason.value for reason in sizing.reasons] or ["no_room"]
    elif quantity > largest:
        codes.append(sizing.binding_cap.code)
    if not quantity and sizing.is_safe:
        codes.append("below_lot")
    return tuple(dict.fromkeys(codes))
