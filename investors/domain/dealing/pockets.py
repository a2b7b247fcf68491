"""A side pocket after its creation: a new value of the claim, and cash that came in for it.

The claim belongs to pocket units by what they were worth when they were set apart, so that classes
of different prices keep their parts whatever the claim comes to.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from investors.domain.exact import ZERO, exactly, not_negative, round_to_total
from investors.domain.fees import ClassTerms, compute_accrued_fee
from investors.domain.strike.types import PocketLot
from magnetfund.kernel.errors import InvalidInput
from magnetfund.kernel.money import Rounding, quantize

CENT = Decimal("0.01")


@dataclass(frozen=True, slots=True, kw_only=True)
class PocketStep:
    """What a change makes of one lot's part.

    ``change`` is what its value gains before anything is paid, ``units`` leave for ``gross``, of
    which ``fee`` is the manager's; ``price`` is that of a pocket unit by the new value.
    """

    lot: PocketLot
    change: Decimal
    units: Decimal
    price: Decimal
    gross: Decimal
    fee: Decimal

    @property
    def net(self) -> Decimal:
        """What the holder is owed."""
        return self.gross - self.fee


@exactly
def change_pocket(
    *,
    lots: Sequence[PocketLot],
    cash: Decimal,
    rest: Decimal,
    terms: Mapping[str, ClassTerms],
    day: date,
) -> tuple[PocketStep, ...]:
    """Pay ``cash`` out by pocket units and carry the claim at ``rest`` from then on.

    Units leave in the proportion of the cash to the whole, rounded down; where nothing rests, all
    of them.  The performance fee is that of each lot's terms, over its mark and with its hurdle to
    ``day``, on the units that leave.  Raises :class:`InvalidInput` (``pocket_empty``).
    """
    paid, left = not_negative(cash, name="cash"), not_negative(rest, name="rest")
    weights = [lot.units * lot.price for lot in lots]
    total = sum(weights, ZERO)
    if total <= 0:
        raise InvalidInput("nobody holds units of this side pocket", code="pocket_empty")
    worth = paid + left
    grosses = round_to_total([paid * w / total for w in weights], quantum=CENT, total=paid)
    rests = round_to_total([left * w / total for w in weights], quantum=CENT, total=left)
    steps = []
    for lot, gross, kept in zip(lots, grosses, rests, strict=True):
        price = lot.price * worth / total
        units = lot.units
        if left:
            step = terms[lot.share_class].unit_quantum
            units = quantize(lot.units * paid / worth, step, Rounding.DOWN) if paid else ZERO
        steps.append(
            PocketStep(
                lot=lot,
                change=gross + kept - lot.value,
                units=units,
                price=price,
                gross=gross,
                fee=_fee(
                    lot, terms[lot.share_class], price=price, units=units, gross=gross, day=day
                ),
            )
        )
    return tuple(steps)


@dataclass(frozen=True, slots=True, kw_only=True)
class PocketPart:
    """Pocket units of a lot that go to another holder with main units, and their value."""

    lot: PocketLot
    units: Decimal
    value: Decimal


@exactly
def take_pocket_part(
    lot: PocketLot, *, taken: Decimal, held: Decimal, unit_quantum: Decimal
) -> PocketPart | None:
    """What goes along when ``taken`` of a lot's ``held`` main units are transferred.

    All of it with all main units, also where there are none any more; else the same proportion,
    rounded down to whole steps, ``None`` where that is none.  The value goes by units, in cents
    down, so that the giver's lot keeps what rounding leaves.
    """
    if taken >= held:
        return PocketPart(lot=lot, units=lot.units, value=lot.value)
    units = quantize(lot.units * taken / held, unit_quantum, Rounding.DOWN)
    if not units:
        return None
    value = quantize(lot.value * units / lot.units, CENT, Rounding.DOWN)
    return PocketPart(lot=lot, units=units, value=value)


def _fee(
    lot: PocketLot, terms: ClassTerms, *, price: Decimal, units: Decimal, gross: Decimal, day: date
) -> Decimal:
    """The fee in cents on the units that leave, never above what they are paid."""
    if not gross or price <= 0:
        return ZERO
    a_unit = compute_accrued_fee(
        terms=terms, price=price, mark=lot.mark, clock=lot.clock, day=max(day, lot.clock)
    )
    return min(gross, quantize(units * a_unit, terms.cash_quantum, Rounding.DOWN))
