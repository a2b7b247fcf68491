"""What a receipt is for: the order, whether the payer may pay for it, and what is left over.

A suggestion moves no money.  Only an exact receipt by reference from a proved account of the
investor needs no person; third-party money and other currencies are never matched.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from investors.domain.receipts.lines import plain_number
from investors.domain.receipts.names import NameBook, score_names

#: From here two spellings count as one name.
NAME_SCORE_MIN = 0.85
ZERO = Decimal(0)


class Outcome(StrEnum):
    """What a receipt is, measured by the order that it names."""

    EXACT = "exact"
    SHORT = "short"
    OVER = "over"
    LATE = "late"
    UNKNOWN = "unknown"
    THIRD_PARTY = "third_party"
    WRONG_CURRENCY = "wrong_currency"


class Payer(StrEnum):
    """Who paid, seen from the order's investor."""

    OWN_ACCOUNT = "own_account"  # an approved account of the investor
    SAME_NAME = "same_name"  # an account that is not known, in the investor's name
    UNNAMED = "unnamed"  # neither name nor known account
    OTHER = "other"  # another person's account or name


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingOrder:
    """A subscription that waits for money; ``paid`` has come already, all in ``currency``."""

    order: str
    reference: str
    investor: str
    name: str
    amount: Decimal
    paid: Decimal
    currency: str
    deadline_at: datetime | None

    @property
    def rest(self) -> Decimal:
        """What is still missing."""
        return self.amount - self.paid


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """Money that arrived; ``open_amount`` is what is not matched of it yet."""

    text: str
    party: str
    party_account: str
    open_amount: Decimal
    currency: str
    cleared_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Suggestion:
    """``matched + left`` is the open amount; ``missing`` is what the order lacks after it."""

    outcome: Outcome
    payer: Payer
    order: str = ""
    matched: Decimal = ZERO
    left: Decimal = ZERO
    missing: Decimal = ZERO
    is_automatic: bool = False
    is_late: bool = False
    name_score: float = 0.0


class WaitingOrders:
    """Orders that wait, found by what a receipt says about them.

    Each question costs what it finds, not what waits: many receipts ask the same orders.
    """

    def __init__(self, orders: Iterable[WaitingOrder]) -> None:
        self._by_reference: dict[str, list[WaitingOrder]] = defaultdict(list)
        self._by_investor: dict[str, list[WaitingOrder]] = defaultdict(list)
        self._by_rest: dict[Decimal, list[WaitingOrder]] = defaultdict(list)
        self._names: dict[Decimal, NameBook] = {}
        for item in orders:
            if item.reference:
                self._by_reference[_pack(item.reference)].append(item)
            self._by_investor[item.investor].append(item)
            self._by_rest[item.rest].append(item)
        self._sizes = {len(packed) for packed in self._by_reference}

    def quoted(self, text: str) -> list[WaitingOrder]:
        """Those whose reference a payer quotes, with or without its dash and spaces."""
        packed = _pack(text)
        parts = {
            packed[start : start + size]
            for size in self._sizes
            for start in range(len(packed) - size + 1)
        }
        return [item for part in parts for item in self._by_reference.get(part, ())]

    def of_investor(self, investor: str) -> list[WaitingOrder]:
        """Those of one investor."""
        return self._by_investor.get(investor, [])

    def of_payer(self, party: str, amount: Decimal) -> list[WaitingOrder]:
        """Those that lack just this amount, of investors whose name counts as the payer's."""
        lacking = self._by_rest.get(amount)
        if not lacking:
            return []
        if amount not in self._names:
            self._names[amount] = NameBook(item.name for item in lacking)
        names = self._names[amount].alike(party, score_min=NAME_SCORE_MIN)
        return [item for item in lacking if item.name in names]


def suggest_match(
    *,
    arrival: Arrival,
    orders: WaitingOrders,
    accounts: Mapping[str, str],
    currency: str,
) -> Suggestion:
    """What to do with money, from the orders that wait, the approved ``accounts`` (number to
    investor) and the fund's ``currency``."""
    owner = _find_owner(arrival, accounts)
    by_reference = orders.quoted(arrival.text)
    found = by_reference or (orders.of_investor(owner) if owner else [])
    if not found and not owner:
        found = orders.of_payer(arrival.party, arrival.open_amount)
    if len(found) != 1:
        return Suggestion(
            outcome=Outcome.UNKNOWN if arrival.currency == currency else Outcome.WRONG_CURRENCY,
            payer=Payer.OWN_ACCOUNT if owner else Payer.UNNAMED,
            left=arrival.open_amount,
        )
    return measure_match(
        arrival=arrival, order=found[0], accounts=accounts, is_named=bool(by_reference)
    )


def _find_owner(arrival: Arrival, accounts: Mapping[str, str]) -> str:
    numbers = {plain_number(number): owner for number, owner in accounts.items()}
    return numbers.get(plain_number(arrival.party_account), "") if arrival.party_account else ""


def measure_match(
    *, arrival: Arrival, order: WaitingOrder, accounts: Mapping[str, str], is_named: bool = False
) -> Suggestion:
    """How money fits one order; ``is_named`` where the payer quoted its reference."""
    owner = _find_owner(arrival, accounts)
    score = round(score_names(arrival.party, order.name), 2)
    payer = _payer(arrival, order, owner, score)
    open_amount = arrival.open_amount
    refused = None
    if arrival.currency != order.currency:
        refused = Outcome.WRONG_CURRENCY
    elif payer is Payer.OTHER:
        refused = Outcome.THIRD_PARTY
    if refused is not None:
        return Suggestion(
            outcome=refused, payer=payer, order=order.order, left=open_amount, name_score=score
        )
    matched = min(open_amount, order.rest)
    is_late = order.deadline_at is not None and arrival.cleared_at > order.deadline_at
    outcome = Outcome.EXACT
    if open_amount < order.rest:
        outcome = Outcome.SHORT
    elif open_amount > order.rest:
        outcome = Outcome.OVER
    elif is_late:
        outcome = Outcome.LATE
    return Suggestion(
        outcome=outcome,
        payer=payer,
        order=order.order,
        matched=matched,
        left=open_amount - matched,
        missing=order.rest - matched,
        is_automatic=outcome is Outcome.EXACT and is_named and payer is Payer.OWN_ACCOUNT,
        is_late=is_late,
        name_score=score,
    )


def _payer(arrival: Arrival, order: WaitingOrder, owner: str, score: float) -> Payer:
    if owner:
        return Payer.OWN_ACCOUNT if owner == order.investor else Payer.OTHER
    if not arrival.party:
        return Payer.UNNAMED
    return Payer.SAME_NAME if score >= NAME_SCORE_MIN else Payer.OTHER


def _pack(text: str) -> str:
    """Letters and digits alone, in capitals."""
    return re.sub(r"[^0-9A-Z]", "", text.upper())
