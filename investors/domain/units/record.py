"""From the results of dealing to movements: what each event changes, lot by lot.

The arithmetic of an event lives where it is dealt (``strike``, ``dealing``); here its result is
only written as movements, so that a fold of them gives the lots the event left.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal

from investors.domain.dealing.moves import LotMove, PocketMerge
from investors.domain.exact import Number, exactly, positive
from investors.domain.strike.dealing import Crystallisation, RedemptionResult, SubscriptionResult
from investors.domain.units.types import HeldLot, LotMovement, LotOpening, MovementKind
from magnetfund.kernel.errors import InvalidInput


def build_issue(
    *,
    result: SubscriptionResult,
    lot: str,
    number: int,
    holder: str,
    day: date,
    lockup_until: date | None = None,
    is_switch: bool = False,
) -> LotMovement:
    """A subscription (or the second half of a switch) opens a lot: mark g, clock today."""
    return LotMovement(
        lot=lot,
        kind=MovementKind.SWITCH_IN if is_switch else MovementKind.ISSUE,
        units=result.units,
        day=day,
        cost=result.consideration,
        mark=result.price,
        clock=day,
        opens=LotOpening(number=number, holder=holder, dealing_day=day, lockup_until=lockup_until),
    )


@exactly
def build_redemption(
    *,
    results: Sequence[RedemptionResult],
    held: Mapping[str, HeldLot],
    day: date,
    is_switch: bool = False,
) -> tuple[LotMovement, ...]:
    """What the redemptions of one day (or first halves of switches) take from each lot.

    Each cut's cost was rounded by itself; the cut that empties a lot takes whatever cost is left,
    so that none outlives its units.  Raises ``InvalidInput``: ``unknown_lot``.
    """
    kind = MovementKind.SWITCH_OUT if is_switch else MovementKind.REDEEM
    left = {name: (item.lot.units, item.lot.cost) for name, item in held.items()}
    found: list[LotMovement] = []
    for cut in (cut for result in results for cut in result.cuts):
        if cut.lot not in left:
            raise InvalidInput(f"no lot {cut.lot}", code="unknown_lot")
        units, cost = left[cut.lot]
        gone = cost if cut.units == units else min(cost, cut.cost)
        left[cut.lot] = (units - cut.units, cost - gone)
        found.append(LotMovement(lot=cut.lot, kind=kind, units=-cut.units, cost=-gone, day=day))
    return tuple(found)


def build_crystallisation(
    *, cuts: Sequence[Crystallisation], price: Decimal, day: date
) -> tuple[LotMovement, ...]:
    """Fee units leave, the mark becomes g and the hurdle clock restarts; cost stays."""
    return tuple(
        LotMovement(
            lot=cut.lot,
            kind=MovementKind.FEE_CANCEL,
            units=-cut.units,
            day=day,
            mark=price,
            clock=day,
        )
        for cut in cuts
    )


def build_transfer(
    *, moves: Sequence[LotMove], held: Mapping[str, HeldLot], day: date
) -> tuple[LotMovement, ...]:
    """Both sides of a transfer; the new lot keeps mark, clock, dealing day and lock-up."""
    return _pass_on(
        moves, held, day, MovementKind.TRANSFER_OUT, MovementKind.TRANSFER_IN, is_pocket=False
    )


def build_side_pocket(
    *, moves: Sequence[LotMove], held: Mapping[str, HeldLot], day: date
) -> tuple[LotMovement, ...]:
    """Both sides of a split into a side pocket; the pocket lot names the main lot as parent."""
    return _pass_on(
        moves, held, day, MovementKind.SIDE_POCKET_OUT, MovementKind.SIDE_POCKET_IN, is_pocket=True
    )


def _pass_on(
    moves: Sequence[LotMove],
    held: Mapping[str, HeldLot],
    day: date,
    out: MovementKind,
    into: MovementKind,
    *,
    is_pocket: bool,
) -> tuple[LotMovement, ...]:
    found: list[LotMovement] = []
    for move in moves:
        goes = move.goes
        if move.parent not in held:
            raise InvalidInput(f"no lot {move.parent}", code="unknown_lot")
        opens = LotOpening(
            number=goes.number,
            holder=goes.holder,
            dealing_day=goes.dealing_day,
            lockup_until=held[move.parent].lockup_until,
            parent=move.parent,
            is_pocket=is_pocket,
        )
        found.append(
            LotMovement(lot=move.parent, kind=out, units=-goes.units, cost=-goes.cost, day=day)
        )
        found.append(
            LotMovement(
                lot=goes.lot,
                kind=into,
                units=goes.units,
                day=day,
                cost=goes.cost,
                mark=goes.mark,
                clock=goes.clock,
                opens=opens,
            )
        )
    return tuple(found)


@exactly
def build_merge(
    *,
    merges: Sequence[PocketMerge],
    held: Mapping[str, HeldLot],
    pocket_price: Number,
    main_price: Number,
    first_number: int,
    day: date,
) -> tuple[LotMovement, ...]:
    """Pocket lots end and each opens a main lot that keeps holder, clock, day, cost and lock-up.

    The mark becomes h x main price / pocket price: the gain since the mark stays the same share of
    value, so merging neither charges nor forgives a fee.  A pocket worth less than one unit step
    ends without a lot; its cost is then realised with it.  Raises ``InvalidInput``:
    ``unknown_lot``.
    """
    inner, outer = positive(pocket_price, name="pocket_price"), positive(main_price, name="main")
    found: list[LotMovement] = []
    number = first_number
    for merge in merges:
        pocket = merge.pocket
        if pocket.lot not in held:
            raise InvalidInput(f"no lot {pocket.lot}", code="unknown_lot")
        found.append(
            LotMovement(
                lot=pocket.lot,
                kind=MovementKind.MERGE,
                units=-pocket.units,
                cost=-pocket.cost,
                day=day,
            )
        )
        if merge.units == 0:
            continue
        found.append(
            LotMovement(
                lot=f"{pocket.lot}/{number}",
                kind=MovementKind.MERGE,
                units=merge.units,
                day=day,
                cost=pocket.cost,
                mark=pocket.mark * outer / inner,
                clock=pocket.clock,
                opens=LotOpening(
                    number=number,
                    holder=pocket.holder,
                    dealing_day=pocket.dealing_day,
                    lockup_until=held[pocket.lot].lockup_until,
                    parent=pocket.lot,
                ),
            )
        )
        number += 1
    return tuple(found)
