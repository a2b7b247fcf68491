"""Orders by hand: sized by the house's laws, checked, committed as an intent, sent by the trader.

The web never trades.  It commits the intent and rings the trader's bell; what happened is read from
the order afterwards.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID, uuid4

from django.db import connection, transaction

from magnetfund.core.actors import Actor
from magnetfund.core.models import Heartbeat
from magnetfund.core.roles import Capability
from magnetfund.core.services.audit import record_audit
from magnetfund.kernel.clock import utc_now
from magnetfund.kernel.errors import InvalidInput, NotAllowed, Unavailable
from magnetfund.kernel.money import decimal_from_float
from risk.domain.limits import LimitSet
from risk.domain.pretrade import BookSnapshot, OrderRequest, OrderType, Side
from risk.domain.sizing import SizingCase, SizingDecision, size_position
from risk.services.limits import limits_in_force
from risk.services.pretrade import check_and_reserve, release_reservation
from trading.models import Instrument, Order, Position, Strategy, Valuation
from trading.services.book_setup import MANUAL
from trading.services.orders import FINAL_STATES, GateRefused, NewOrder, commit_intent
from trading.services.snapshots import build_snapshot

BELL = "magnetfund_orders"
EXPIRES = timedelta(seconds=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class ManualOrder:
    """An entry by hand.  ``direction`` is "long" or "short"; prices in quote currency."""

    book: str
    symbol: str
    direction: str
    tier: int
    entry_price: Decimal
    stop_price: Decimal
    target_price: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LivePrice:
    """The trader's last price and when it saw it."""

    price: Decimal
    observed_at: datetime


def find_instrument(symbol: str) -> Instrument:
    """By ``BTC/USDT:USDT`` or the short form ``BTCUSDT``; raises :class:`InvalidInput`."""
    short = symbol.replace("/", "").replace(":", "").upper()
    for row in Instrument.objects.filter(is_active=True):
        if symbol == row.symbol or short in (f"{row.base}{row.quote}", f"{row.base}{row.quote}2"):
            return row
    raise InvalidInput(f"{symbol} is not traded here", code="unknown_instrument")


def live_price(book: str, instrument: Instrument) -> LivePrice:
    """What the trader saw last; raises :class:`Unavailable` when no trader tells prices."""
    beat = Heartbeat.objects.filter(part="trader", instance=book).first()
    text = (beat.detail.get("prices") or {}).get(instrument.symbol) if beat else None
    if beat is None or text is None:
        raise Unavailable("no trader tells prices now", code="no_trader")
    return LivePrice(price=Decimal(text), observed_at=beat.seen_at)


def submit_manual_order(request: ManualOrder, *, actor: Actor, at: datetime | None = None) -> Order:
    """Size, check and commit an entry by hand; returns the order, DENIED where something said no.

    Needs the capability to submit orders.  Raises :class:`InvalidInput` for what makes no sense and
    :class:`Unavailable` without prices or equity.
    """
    _require_right(actor)
    at = at or utc_now()
    instrument = find_instrument(request.symbol)
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
    )
    sizing = _size(request, instrument, reference.price, stop, target, snapshot, limits)
    quantity = sizing.lots * instrument.lot
    order_id = uuid4()
    refused = _refusals(request, reference.price, sizing, limits)
    new = NewOrder(
        id=order_id,
        book=request.book,
        instrument=instrument,
        strategy=MANUAL,
        purpose="entry",
        side=side.value,
        type="market",
        quantity=quantity or instrument.lot,
        reference_price=reference.price,
        stop_price=stop,
        target_price=target,
        leverage=1.0,
        tier=request.tier,
        reason=f"{request.direction} by hand, {sizing.reasoning}"[:300],
        denial_codes=refused,
        expires_at=at + EXPIRES,
    )
    with transaction.atomic():
        order = _check_and_commit(new, side, snapshot, limits, refused, actor=actor, at=at)
        record_audit(
            actor=actor,
            action="order.denied" if order.state == "DENIED" else "order.submitted",
            subject=("order", order.id),
            body={"instrument": instrument.symbol, "side": side.value, "quantity": str(quantity)},
            at=at,
        )
        ring_bell()
    return order


def close_position(*, position: Position, actor: Actor, at: datetime | None = None) -> Order:
    """Ask for a position to be closed at the market; allowed in every state of the fuse."""
    _require_right(actor)
    at = at or utc_now()
    row = Position.objects.select_related("instrument").get(pk=position.pk)
    if row.quantity == 0:
        raise InvalidInput("this position is closed already", code="position_closed")
    reference = live_price(row.book, row.instrument)
    with transaction.atomic():
        order = commit_intent(
            NewOrder(
                id=uuid4(),
                book=row.book,
                instrument=row.instrument,
                strategy=row.strategy,
                purpose="manual",
                side="sell" if row.quantity > 0 else "buy",
                type="market",
                quantity=abs(row.quantity),
                reference_price=reference.price,
                reason="closed by hand",
                expires_at=at + EXPIRES,
            ),
            actor=actor,
            at=at,
        )
        record_audit(actor=actor, action="order.submitted", subject=("order", order.id), at=at)
        ring_bell()
    return order


def wait_for_outcome(order_id: UUID, *, seconds: float = 2.0) -> Order:
    """The order once it is final, or as it stands after ``seconds``."""
    deadline = time.monotonic() + seconds
    while True:
        order = Order.objects.select_related("instrument").get(pk=order_id)
        if order.state in FINAL_STATES or time.monotonic() > deadline:
            return order
        time.sleep(0.005)


def ring_bell() -> None:
    """Wake the trader when the present transaction commits."""
    with connection.cursor() as cursor:
        cursor.execute(f"NOTIFY {BELL}")


def _require_right(actor: Actor) -> None:
    user = actor.user
    rights = (Capability.ORDER_SUBMIT, Capability.API_EXECUTE)
    if user is None or not user.is_active or not any(user.can(right) for right in rights):
        raise NotAllowed(
            "this step needs the capability order.submit", details={"capability": "order.submit"}
        )


def _side(request: ManualOrder) -> Side:
    if request.direction not in ("long", "short"):
        raise InvalidInput("the direction is long or short", code="bad_direction")
    is_long = request.direction == "long"
    if is_long != (request.stop_price < request.entry_price):
        raise InvalidInput(
            "the stop must lie on the losing side of the entry", code="stop_wrong_side"
        )
    if request.target_price is not None and is_long != (request.target_price > request.entry_price):
        raise InvalidInput(
            "the target must lie on the winning side of the entry", code="target_wrong_side"
        )
    return Side.BUY if is_long else Side.SELL


def _equity(book: str) -> Decimal:
    newest = Valuation.objects.filter(book=book).order_by("-at").first()
    if newest is None:
        raise Unavailable("the book has no valuation yet", code="no_valuation")
    return newest.equity


def _on_tick(price: Decimal, instrument: Instrument) -> Decimal:
    ticks = (price / instrument.tick).to_integral_value()
    return max(ticks, Decimal(1)) * instrument.tick


def _size(
    request: ManualOrder,
    instrument: Instrument,
    price: Decimal,
    stop: Decimal,
    target: Decimal | None,
    snapshot: BookSnapshot,
    limits: LimitSet,
) -> SizingDecision:
    sleeve = Strategy.objects.filter(code=MANUAL, is_active=True).order_by("-version").first()
    same = [p for p in snapshot.positions if p.instrument == instrument.symbol]
    return size_position(
        case=SizingCase(
            equity=float(snapshot.equity),
            entry_price=float(price),
            stop_price=float(stop),
            target_price=float(target) if target is not None else None,
            leverage=1.0,
            lot_units=float(instrument.lot),
            tier=request.tier,
            notional_min=float(instrument.minimum_notional),
            fee_rate_in=float(instrument.taker_fee),
            fee_rate_out=float(instrument.taker_fee),
            gap_rate_floor=float(instrument.gap_floor),
            risk_share=float(sleeve.risk_fraction) if sleeve else None,
            margin_open_instrument=float(sum((p.margin for p in same), Decimal(0))),
            margin_open_group=float(sum((p.margin for p in snapshot.positions), Decimal(0))),
            margin_open_total=float(sum((p.margin for p in snapshot.positions), Decimal(0))),
            gap_loss_open_instrument=float(sum((p.gap_loss for p in same), Decimal(0))),
            gap_loss_open_book=float(sum((p.gap_loss for p in snapshot.positions), Decimal(0))),
        ),
        limits=limits,
    )


def _refusals(
    request: ManualOrder, reference: Decimal, sizing: SizingDecision, limits: LimitSet
) -> Sequence[str]:
    """Why no order is made at all: the size is nothing, or the given entry is not the market."""
    codes: list[str] = []
    away = abs(request.entry_price / reference - 1)
    if away > limits.price_collar_share:
        codes.append("price_collar")
    if not sizing.is_safe:
        codes += [reason.value for reason in sizing.reasons] or ["no_room"]
    return tuple(dict.fromkeys(codes))


def _check_and_commit(
    new: NewOrder,
    side: Side,
    snapshot: BookSnapshot,
    limits: LimitSet,
    refused: Sequence[str],
    *,
    actor: Actor,
    at: datetime,
) -> Order:
    from dataclasses import replace

    if refused:
        return commit_intent(new, actor=actor, at=at)
    verdict, check = check_and_reserve(
        order_id=new.id,
        book=new.book,
        order=OrderRequest(
            instrument=new.instrument.symbol,
            strategy=new.strategy,
            side=side,
            type=OrderType.MARKET,
            quantity=new.quantity,
            stop_price=new.stop_price,
            leverage=decimal_from_float(new.leverage),
            tier=new.tier,
        ),
        snapshot=snapshot,
        limits=limits,
        now=at,
    )
    checked = replace(new, pretrade_check=check.id)
    if not verdict.accepted:
        return commit_intent(replace(checked, denial_codes=verdict.codes), actor=actor, at=at)
    try:
        return commit_intent(checked, actor=actor, at=at)
    except GateRefused as refusal:
        release_reservation(new.id, at=at)
        denied = replace(checked, denial_codes=("order_gate",), reason=refusal.message)
        return commit_intent(denied, actor=actor, at=at)
