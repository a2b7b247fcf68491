"""What was dealt of one order, as its holder and the desk read it: money line by line, lot by lot.

The lines add: what the units were worth at the dealing price, less each fee, is what the order
moved; less what is withheld and paid, what is still owed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from uuid import UUID

from django.db.models import Sum

from investors.models import ClassNav, DealingOrder, LotNav, NavStrike, UnitEntry
from investors.models.dealing import DISTRIBUTED
from investors.services.policies import terms_in_force
from magnetfund.kernel.money import Rounding, quantize

ZERO, CENT = Decimal(0), Decimal("0.01")
#: More lots than these stand in the contract note alone.
LOTS_SHOWN = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class MoneyLine:
    """One line of an order's account in the fund's currency; a fee is negative.

    ``note`` says why a line is nothing.
    """

    label: str
    amount: Decimal
    note: str = ""
    is_total: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DealtLot:
    """One lot that an order bought or took from: ``units`` that moved at ``price``, of which
    ``net`` a unit after the performance fee of the lot; ``left`` is what the lot has since."""

    number: int
    share_class: str
    bought: date
    dealt: date
    units: Decimal
    mark: Decimal
    price: Decimal
    net: Decimal
    left: Decimal

    @property
    def amount(self) -> Decimal:
        """What the units came to, in cents."""
        return quantize(self.units * self.net, CENT)


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderFigures:
    """The account of an order, its lots in order of dealing, and the units its holder had in the
    class after the last deal."""

    lines: tuple[MoneyLine, ...]
    lots: tuple[DealtLot, ...]
    hidden_lots: int
    units_left: Decimal | None

    @property
    def dealt(self) -> tuple[MoneyLine, ...]:
        """The lines of the deal itself, which no later payment changes."""
        end = next(k for k, line in enumerate(self.lines, start=1) if line.is_total)
        return self.lines[:end]


def account_for(order: DealingOrder) -> OrderFigures | None:
    """The account of an order so far; ``None`` before any part of it was dealt."""
    if order.kind in (DealingOrder.Kind.DISTRIBUTION, DealingOrder.Kind.COMPENSATION):
        label, amount = order.get_kind_display(), order.amount or ZERO
        declared = MoneyLine(label=label, amount=amount, is_total=True)
        return OrderFigures(
            lines=(declared, *_owed(order)), lots=(), hidden_lots=0, units_left=None
        )
    if not order.dealt_units or order.strike is None:
        return None
    moves = read_moves(order)
    lots = read_lots(moves)
    lines = _bought(order) if order.buys_units else _taken(order, lots, order.strike)
    return OrderFigures(
        lines=tuple(lines),
        lots=tuple(lots[:LOTS_SHOWN]),
        hidden_lots=max(0, len(lots) - LOTS_SHOWN),
        units_left=_units_left(order, order.strike),
    )


def read_moves(order: DealingOrder, *, strike: NavStrike | None = None) -> list[UnitEntry]:
    """Movements of units of an order, of one strike or of all, oldest first and by lot."""
    rows = UnitEntry.objects.filter(order=order).select_related("lot__share_class")
    if strike is not None:
        rows = rows.filter(strike=strike)
    return list(rows.order_by("effective_at", "lot__number", "pk"))


def read_lots(moves: Sequence[UnitEntry]) -> list[DealtLot]:
    """Each movement with the net value of its lot at the NAV that dealt it."""
    lots = {move.lot_id for move in moves}
    net: dict[tuple[UUID, UUID], Decimal] = {
        (strike, lot): value
        for strike, lot, value in LotNav.objects.filter(
            strike__in={move.strike_id for move in moves}, lot__in=lots
        ).values_list("strike_id", "lot_id", "net_value_per_unit")
    }
    left: dict[UUID, Decimal] = {}
    if moves:
        until = max(move.effective_at for move in moves)
        left = dict(
            UnitEntry.objects.filter(lot__in=lots, effective_at__lte=until)
            .values_list("lot_id")
            .annotate(total=Sum("units"))
        )
    return [
        DealtLot(
            number=move.lot.number,
            share_class=move.lot.share_class.code,
            bought=move.lot.dealing_day,
            dealt=move.effective_at.date(),
            units=abs(move.units),
            mark=move.high_water_mark,
            price=move.price,
            net=_net_of(move, net),
            left=left.get(move.lot_id, ZERO),
        )
        for move in moves
    ]


def _net_of(move: UnitEntry, net: dict[tuple[UUID, UUID], Decimal]) -> Decimal:
    if move.strike_id is None:
        return move.price
    return net.get((move.strike_id, move.lot_id), move.price)


def _bought(order: DealingOrder) -> list[MoneyLine]:
    """From the money that came to what bought units."""
    came = order.funded_amount or order.amount or ZERO
    why = "" if order.fee_amount else "the class takes none"
    if order.kind in DISTRIBUTED:
        why = "none on a reinvestment"
    return [
        MoneyLine(label="Amount received", amount=came),
        MoneyLine(label="Subscription fee", amount=-order.fee_amount, note=why),
        MoneyLine(label="Invested in units", amount=order.dealt_amount or ZERO, is_total=True),
    ]


def _taken(order: DealingOrder, lots: Sequence[DealtLot], strike: NavStrike) -> list[MoneyLine]:
    """From the dealing price to what left the class, and what of it is withheld and paid."""
    code = order.share_class.code
    taken = [lot for lot in lots if lot.share_class == code]
    moved, is_last = order.dealt_amount or ZERO, _left_nobody(order, strike)
    fee = _fee_of(taken)
    # Each deal rounded its units' worth down to the cent: no fee may seem to have taken that.
    gross, rest = moved + order.fee_amount + fee, ZERO
    if is_last:
        gross = quantize(sum((lot.units * lot.price for lot in taken), ZERO), CENT)
        rest = moved + order.fee_amount + fee - gross
    total = f"Moved to class {order.into_class.code}" if order.into_class else "Proceeds"
    lines = [
        MoneyLine(label=f"Units of {code} at the dealing price", amount=gross),
        MoneyLine(
            label="Performance fee of the lots",
            amount=-fee,
            note="" if fee else "nothing had accrued",
        ),
        MoneyLine(
            label="Exit and early redemption fee",
            amount=-order.fee_amount,
            note="" if order.fee_amount else _why_no_exit_fee(order, strike, is_last=is_last),
        ),
    ]
    if rest:
        note = "the last holders leave nothing behind"
        lines.append(MoneyLine(label="Remainder of the class", amount=rest, note=note))
    lines.append(MoneyLine(label=total, amount=moved, is_total=True))
    if order.into_class is None:
        return lines + _owed(order)
    why = "" if order.into_fee else "the class takes none"
    return [
        *lines,
        MoneyLine(
            label=f"Subscription fee of {order.into_class.code}",
            amount=-order.into_fee,
            note=why,
        ),
        MoneyLine(
            label=f"Invested in units of {order.into_class.code}",
            amount=moved - order.into_fee,
            is_total=True,
        ),
    ]


def _fee_of(taken: Sequence[DealtLot]) -> Decimal:
    """The performance fee as each deal books it: of all its lots together, rounded down."""
    owed: dict[date, Decimal] = {}
    for lot in taken:
        owed[lot.dealt] = owed.get(lot.dealt, ZERO) + lot.units * (lot.price - lot.net)
    return sum((quantize(fee, CENT, Rounding.DOWN) for fee in owed.values()), ZERO)


def _owed(order: DealingOrder) -> list[MoneyLine]:
    """What of the proceeds is withheld, paid and still owed."""
    total = order.dealt_amount or order.amount or ZERO
    note = "paid after the audit" if order.held_amount else "nothing is withheld"
    return [
        MoneyLine(label="Withheld until the audit", amount=-order.held_amount, note=note),
        MoneyLine(label="Paid so far", amount=-order.paid_amount),
        MoneyLine(
            label="Still to be paid",
            amount=total - order.held_amount - order.paid_amount,
            is_total=True,
        ),
    ]


def _why_no_exit_fee(order: DealingOrder, strike: NavStrike, *, is_last: bool) -> str:
    """An exit fee is for those who stay."""
    terms = terms_in_force(order.share_class, at=strike.valuation_at)
    if is_last and (terms.exit_fee_rate or terms.soft_lock_fee_rate):
        return "none: every holder left on this day, so nobody stays to whom it would go"
    if terms.exit_fee_rate:
        return "less than a cent"
    return "no lot was within its lock-up" if terms.soft_lock_fee_rate else "the class takes none"


def _left_nobody(order: DealingOrder, strike: NavStrike) -> bool:
    """Whether the strike redeemed every unit that the class had."""
    before = ClassNav.objects.filter(strike=strike, share_class=order.share_class).first()
    out = UnitEntry.objects.filter(
        strike=strike,
        lot__share_class=order.share_class,
        kind__in=(UnitEntry.Kind.REDEEM, UnitEntry.Kind.SWITCH_OUT),
    ).aggregate(total=Sum("units"))["total"]
    return before is not None and before.units == -(out or ZERO)


def _units_left(order: DealingOrder, strike: NavStrike) -> Decimal:
    """Units of the class that the holder had after the dealing of a strike."""
    total = UnitEntry.objects.filter(
        lot__holding__investor=order.investor_id,
        lot__share_class=order.share_class_id,
        effective_at__lte=strike.valuation_at,
    ).aggregate(total=Sum("units"))["total"]
    return total or ZERO
