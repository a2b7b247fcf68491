"""Turning an accounting event and its amounts into a balanced entry; reversals."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from investors.domain.exact import ZERO, Number, exactly
from investors.domain.ledger.chart import POOLED
from investors.domain.ledger.events import EVENTS
from investors.domain.ledger.types import (
    CHOSEN,
    Event,
    JournalEntry,
    Leg,
    Measure,
    PostingRule,
    Tags,
)
from magnetfund.kernel.errors import InvalidInput
from magnetfund.kernel.money import decimal_of

NO_TAGS = Tags()


@exactly
def build_entry(
    *,
    event: str,
    source_ref: str,
    effective_at: datetime,
    amounts: Mapping[str, Number],
    currency: str = "USD",
    other_currency: str = "",
    fund: str = "",
    tags: Tags = NO_TAGS,
    other: Tags = NO_TAGS,
    account: str = "",
    text: str = "",
) -> JournalEntry:
    """The balanced entry of one event.

    ``amounts`` gives the event's parts by name in money or units; parts left out are zero.
    ``tags`` name the lot or place that gives, ``other`` the one that receives; ``account`` is the
    caller's choice where the event leaves one.  Raises :class:`InvalidInput`: ``unknown_event``,
    ``unknown_part``, ``negative`` (a part that has one direction only), ``account_not_allowed``,
    ``no_currency``, ``no_unit_tags``, ``empty_entry``.
    """
    return build_joint_entry(
        event=event,
        source_ref=source_ref,
        effective_at=effective_at,
        lines=(JointLine(amounts=amounts, tags=tags, other=other),),
        currency=currency,
        other_currency=other_currency,
        fund=fund,
        account=account,
        text=text,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class JointLine:
    """One lot's or class's part of an event that many share."""

    amounts: Mapping[str, Number]
    tags: Tags = NO_TAGS
    other: Tags = NO_TAGS


@exactly
def build_joint_entry(
    *,
    event: str,
    source_ref: str,
    effective_at: datetime,
    lines: Iterable[JointLine],
    currency: str,
    other_currency: str = "",
    fund: str = "",
    account: str = "",
    text: str = "",
) -> JournalEntry:
    """One entry of one event that happened to many lots at once, each with its own amounts.

    Raises what :func:`build_entry` raises.
    """
    rules = find_event(event)
    if (account or rules.choices) and account not in rules.choices:
        raise InvalidInput(f"{event} may not use account {account!r}", code="account_not_allowed")
    parts = rules.parts
    legs: list[Leg] = []
    pooled: dict[tuple[str, str, str], Decimal] = {}
    for line in lines:
        if not line.amounts.keys() <= parts:
            unknown = min(line.amounts.keys() - parts)
            raise InvalidInput(f"{event} has no part {unknown!r}", code="unknown_part")
        for rule in rules.rules:
            amount = decimal_of(line.amounts.get(rule.part, ZERO))
            if amount < 0 and not rule.either_sign:
                raise InvalidInput(f"{rule.part} may not be negative", code="negative")
            if amount != 0:
                places = (line.tags, line.other)
                currencies = (currency, other_currency, fund)
                legs += _legs(rule, amount, currencies, places, account, pooled)
    legs += [
        Leg(account=code, currency=own, share_class=share_class, amount=amount)
        for (code, own, share_class), amount in pooled.items()
        if amount
    ]
    return JournalEntry(
        kind=event,
        source_ref=source_ref,
        effective_at=effective_at,
        legs=tuple(legs),
        text=text or rules.meaning,
    )


def find_event(name: str) -> Event:
    """The event of a name; raises ``InvalidInput`` (``unknown_event``)."""
    try:
        return EVENTS[name]
    except KeyError:
        raise InvalidInput(f"no accounting event {name!r}", code="unknown_event") from None


def _legs(
    rule: PostingRule,
    amount: Decimal,
    currencies: tuple[str, str, str],
    places: tuple[Tags, Tags],
    account: str,
    pooled: dict[tuple[str, str, str], Decimal],
) -> list[Leg]:
    """Both sides of a rule for one line.  A lot's side of an account that is kept by class is
    added to ``pooled`` instead: one leg a class comes of all of them."""
    legs = []
    for code, moved, place in (
        (rule.debit, amount, places[rule.debit_to_other]),
        (rule.credit, -amount, places[rule.credit_to_other]),
    ):
        found = account if code == CHOSEN else code
        currency = _currency(rule.measure, currencies, place)
        if found in POOLED and place.lot is not None:
            key = found, currency, place.share_class
            pooled[key] = pooled.get(key, ZERO) + moved
            continue
        legs.append(
            Leg(
                account=found,
                amount=moved,
                currency=currency,
                share_class=place.share_class,
                lot=place.lot,
                instrument=place.instrument or place.pocket,
                strategy=place.strategy,
            )
        )
    return legs


def _currency(measure: Measure, currencies: tuple[str, str, str], place: Tags) -> str:
    main, other, fund = currencies
    if measure is Measure.UNITS:
        if not fund or not place.share_class or place.lot is None:
            raise InvalidInput("units name their fund, class and lot", code="no_unit_tags")
        return f"U:{fund}:{place.share_class}" + (f":{place.pocket}" if place.pocket else "")
    found = other if measure is Measure.OTHER_MONEY else main
    if not found:
        raise InvalidInput("the entry names no currency", code="no_currency")
    return found


def reverse_entry(
    entry: JournalEntry, *, source_ref: str, effective_at: datetime, text: str, kind: str = ""
) -> JournalEntry:
    """The full reversal of an entry, of its kind unless another is named.

    Both stay in every balance; a correction is a new entry.
    """
    return JournalEntry(
        kind=kind or entry.kind,
        source_ref=source_ref,
        effective_at=effective_at,
        legs=tuple(replace(leg, amount=-leg.amount) for leg in entry.legs),
        text=text,
        reverses=entry.source_ref,
    )
