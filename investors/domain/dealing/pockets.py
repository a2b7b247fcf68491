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
