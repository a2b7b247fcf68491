"""What happened to one investor's orders and units, newest first."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_DOWN, Decimal
from uuid import UUID

from investors.models import DealingOrder, Investor, UnitEntry
from magnetfund.core.templatetags.figures import unit_count
from magnetfund.kernel.money import quantize

CENT = Decimal("0.01")
ACTIVITY_SIZE = 50
#: 5,000 lines; who wants more asks for a statement.
ACTIVITY_PAGES_MAX = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """One line of the activity list."""

    at: datetime
    what: str
    note: str
    amount: Decimal | None
    order: UUID | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivityPage:
    """One page of the activity list."""

    number: int
    happenings: list[Happening]
    has_older: bool


def find_activity(
    investor: Investor, *, number: int = 1, size: int = ACTIVITY_SIZE
) -> ActivityPage:
    """Orders and movements of units, newest first, page ``number`` from 1.

    What moves no unit (a hurdle period, a lowered mark) is not listed.  Two lists are merged, so
    page n reads the newest n pages of each; nothing is counted, only looked one line ahead.
    """
    number = max(1, min(number, ACTIVITY_PAGES_MAX))
    begin, end = (number - 1) * size, number * size
    entries = (
        UnitEntry.objects.filter(lot__holding__investor=investor)
        .exclude(units=0)
        .select_related("lot__share_class")
        .order_by("-effective_at", "-id")[: end + 1]
    )
    orders = (
        DealingOrder.objects.filter(investor=investor)
        .select_related("share_class")
        .order_by("-received_at", "-id")[: end + 1]
    )
    found = [
        Happening(
            at=entry.effective_at,
            what=_entry_words(entry),
            note=f"Class {entry.lot.share_class.code}, "
            f"{unit_count(abs(entry.units))} at {entry.price.normalize():,f}",
            amount=money_of_movement(entry),
        )
        for entry in entries
    ]
    found += [
        Happening(
            at=order.received_at,
            what=f"{order.get_kind_display()} order received",
            note=f"Class {order.share_class.code} · {order.get_state_display().lower()}",
            amount=order.amount,
            order=order.pk,
        )
        for order in orders
    ]
    found.sort(key=lambda item: item.at, reverse=True)
    return ActivityPage(
        number=number,
        happenings=found[begin:end],
        has_older=len(found) > end and number < ACTIVITY_PAGES_MAX,
    )


def money_of_movement(entry: UnitEntry) -> Decimal:
    """Money of a movement, positive where units leave to the holder's account.

    What is paid out is cut to the cent, as dealing does; the rest stays with the fund.  Units that
    go to another holder are paid by nobody: their worth is rounded.
    """
    money = entry.units * entry.price
    if entry.kind == "transfer_out":
        return quantize(-money, CENT)
    if entry.kind not in ("redeem", "switch_out"):
        return money
    return (-money).quantize(CENT, rounding=ROUND_DOWN)


def _entry_words(entry: UnitEntry) -> str:
    words = {
        "issue": "Subscription dealt",
        "redeem": "Redemption dealt",
        "fee_cancel": "Performance fee (units cancelled)",
        "transfer_out": "Units transferred to another holder",
        "transfer_in": "Units received by transfer",
        "switch_out": "Switch dealt, units left",
        "switch_in": "Switch dealt, units issued",
        "side_pocket_out": "Units set apart in a side pocket",
        "merge": "Units merged back from a side pocket",
    }
    return words.get(entry.kind, entry.get_kind_display().capitalize())
