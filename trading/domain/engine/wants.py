"""What a slot holds and wants to have waiting at the venue; it follows from the book alone."""

from __future__ import annotations

from trading.domain.engine.book import CloseReason, OrderIntent, SlotPosition
from trading.domain.paper_venue import Kind, RestingOrder, VenueAccount

#: Reasons to leave at any price.
URGENT = (CloseReason.FUSE, CloseReason.FUSE_CUT)


def orders_of(
    slot: int,
    *,
    held: SlotPosition | None,
    leaving: OrderIntent | None,
    entry: OrderIntent | None,
) -> list[RestingOrder]:
    """What a slot wants to have waiting at the venue: stop and target, exit and entry."""
    found = []
    if held is not None:
        for kind, level in ((Kind.STOP, held.stop_ticks), (Kind.TAKE_PROFIT, held.target_ticks)):
            if level:
                found.append(
                    RestingOrder(
                        id=f"{slot}-{kind}",
                        account=slot,
                        side=-held.side,
                        lots=held.lots,
                        kind=kind,
                        reduces=True,
                        trigger_ticks=level,
                    )
                )
    for intent in (leaving, entry):
        if intent is not None:
            found.append(
                RestingOrder(
                    id=f"{slot}-{intent.decided_at}",
                    account=slot,
                    side=intent.side,
                    lots=intent.lots,
                    kind=Kind.MARKET,
                    reduces=intent.reduces,
                    leverage=intent.leverage,
                    urgent=intent.close_reason in URGENT,
                )
            )
    return found


def account_of(held: SlotPosition | None) -> VenueAccount:
    """What the venue holds for a slot where nothing was lost on the way."""
    if held is None:
        return VenueAccount()
    return VenueAccount(
        side=held.side,
        lots=held.lots,
        entry_ticks=held.entry_ticks,
        liquidation_ticks=held.liquidation_ticks,
        leverage=held.leverage,
    )
