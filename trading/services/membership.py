"""The versioned membership of a book: which strategies trade which instruments.

A running book grows, pauses and shrinks by it.  The trader follows each new version at its next
beat; a slot that leaves is closed first and is gone once it is flat.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import connection, transaction
from django.db.models import Max

from magnetfund.core.actors import Actor
from magnetfund.core.locks import AdvisoryLock, take_lock
from magnetfund.core.roles import Capability
from magnetfund.core.services.audit import record_audit
from magnetfund.kernel.clock import utc_now
from magnetfund.kernel.errors import Conflict, InvalidInput
from magnetfund.kernel.money import require_carried
from trading.models import BookMember, Candle, Instrument, Strategy
from trading.services.book_setup import MANUAL, active_sleeves
from trading.services.instruments import TERMS, get_instrument
from trading.services.sleeve_strategies import OwnSleeve, build_sleeve_strategy

State = BookMember.State
NEWEST_CHANGE = (
    "SELECT (SELECT max(version) FROM trading_bookmember WHERE book = %s), "
    "(SELECT max(metadata_at) FROM trading_instrument WHERE id = ANY(%s))"
)
#: From which states a slot comes to each; None is a slot that the book does not have.
COMES_FROM: dict[str, tuple[str | None, ...]] = {
    State.TRADING: (None, State.PAUSED, State.LEAVING, State.GONE),
    State.PAUSED: (State.TRADING,),
    State.LEAVING: (State.TRADING, State.PAUSED),
    State.GONE: (State.LEAVING,),
}
#: Growing is an operator's act; anyone on the staff may make a book do less.
RIGHT = {
    State.TRADING: Capability.ORDER_SUBMIT,
    State.PAUSED: Capability.TRADING_STOP,
    State.LEAVING: Capability.TRADING_STOP,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A slot that a book has.  ``state`` counts a switched-off strategy or instrument as paused."""

    strategy: str
    instrument: Instrument
    state: str
    reason: str = ""

    @property
    def key(self) -> tuple[str, int]:
        return self.strategy, self.instrument.pk


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    """The slots in force, strategies in the order in which they were made."""

    version: int
    members: tuple[Member, ...]

    @property
    def instruments(self) -> tuple[Instrument, ...]:
        found = {m.instrument.pk: m.instrument for m in self.members}
        return tuple(sorted(found.values(), key=lambda row: row.symbol))

    @property
    def terms(self) -> dict[int, tuple[object, ...]]:
        """What venues state of the instruments, by key; rows compare by their key alone."""
        return {row.pk: terms_of(row) for row in self.instruments}

    @property
    def sleeves(self) -> tuple[Strategy, ...]:
        """The row of each strategy: its newest active version, or its newest."""
        codes = {m.strategy for m in self.members}
        newest: dict[str, Strategy] = {}
        rows = Strategy.objects.filter(code__in=codes).order_by("is_active", "version")
        for row in rows:
            newest[row.code] = row
        return tuple(sorted(newest.values(), key=lambda row: row.pk))


def terms_of(row: Instrument) -> tuple[object, ...]:
    """What a venue states of an instrument, as a row was read."""
    return tuple(getattr(row, name) for name in TERMS)


def newest_change(members: Membership, *, book: str) -> tuple[int, datetime | None]:
    """The number of a book's last change, and when a venue last stated terms of its instruments.

    One statement, since each beat asks it.
    """
    with connection.cursor() as cursor:
        cursor.execute(NEWEST_CHANGE, [book, [row.pk for row in members.instruments]])
        version, stated_at = cursor.fetchone()
    return version or 0, stated_at


def find_book_instrument(book: str, symbol: str, *, venue: str | None = None) -> Instrument:
    """The instrument that a person means who speaks of a book: one of its own, else a living one.

    Prices that were imported for research alone leave an instrument of the same symbol that is
    switched off; it does not stand before one that the book trades.  Raises as
    :func:`trading.services.instruments.get_instrument`.
    """
    named = get_instrument(symbol, venue=venue)
    if venue is not None:
        return named
    rows = list(Instrument.objects.filter(symbol=named.symbol))
    held = {member.instrument.pk for member in members_of(book).members}
    own = [row for row in rows if row.pk in held] or [row for row in rows if row.is_active]
    return own[0] if len(own) == 1 else named


def newest_version(book: str) -> int:
    """The number of the last change; 0 for a book that has no membership yet."""
    return BookMember.objects.filter(book=book).aggregate(last=Max("version"))["last"] or 0


def members_of(book: str) -> Membership:
    """What the book has now."""
    off = {row.code: True for row in Strategy.objects.all()}
    off.update({row.code: False for row in Strategy.objects.filter(is_active=True)})
    newest: dict[tuple[str, int], BookMember] = {}
    version = 0
    for row in BookMember.objects.filter(book=book).select_related("instrument"):
        newest[row.strategy, row.instrument_id] = row
        version = row.version
    members = [
        Member(
            strategy=row.strategy,
            instrument=row.instrument,
            state=State.PAUSED
            if row.state == State.TRADING
            and (off.get(row.strategy, True) or not row.instrument.is_active)
            else row.state,
            reason=row.reason,
        )
        for row in newest.values()
        if row.state != State.GONE
    ]
    members.sort(key=lambda m: (m.strategy, m.instrument.symbol))
    return Membership(version=version, members=tuple(members))


def begin_membership(
    *, book: str, venue: str, actor: Actor, at: datetime | None = None
) -> Membership:
    """The first version of a book that has none: every active strategy on a venue's instruments.

    Raises :class:`InvalidInput` (``no_sleeves``) where nothing is configured.
    """
    at = at or utc_now()
    with transaction.atomic():
        _lock(book)
        if not newest_version(book):
            instruments = list(
                Instrument.objects.filter(is_active=True, venue=venue).order_by("symbol")
            )
            pairs = [(row.code, item) for row in active_sleeves() for item in instruments]
            if not pairs:
                raise InvalidInput("the book has no instruments or sleeves yet", code="no_sleeves")
            _write(book, pairs, State.TRADING, "first membership of the book", actor, at)
    return members_of(book)


def change_members(
    *,
    book: str,
    strategies: Sequence[str],
    instruments: Sequence[Instrument],
    state: str,
    reason: str,
    actor: Actor,
    at: datetime | None = None,
) -> Membership:
    """Bring every named strategy on every named instrument to ``state``, all or nothing.

    Slots that are in that state already stay as they are.  Adding needs ``order.submit``, pausing
    and removing ``trading.stop``.  Raises :class:`InvalidInput` for what cannot be traded
    (``unknown_strategy``, ``sleeve_changed``, ``inactive``, ``no_candles``, ``reason_missing``,
    ``currency_not_carried``) and :class:`Conflict` for a move that cannot be (``member_state``,
    ``last_member``, ``no_change``).
    """
    wanted = State(state)
    if actor.user is not None:
        actor.require(RIGHT[wanted])
    if not reason.strip():
        raise InvalidInput("give a reason", code="reason_missing")
    if not strategies or not instruments:
        raise InvalidInput("name a strategy and an instrument", code="no_slot")
    at = at or utc_now()
    with transaction.atomic():
        _lock(book)
        held = {member.key: member for member in members_of(book).members}
        stored = {key: member.state for key, member in held.items()}
        changes: list[tuple[str, Instrument]] = []
        for code in dict.fromkeys(strategies):
            for instrument in instruments:
                before = stored_state(book, code, instrument)
                if before == wanted:
                    continue
                if before not in COMES_FROM[wanted]:
                    raise Conflict(
                        f"{code} on {instrument.symbol} is {before or 'no member of the book'} and "
                        f"cannot become {wanted}",
                        code="member_state",
                    )
                if wanted is State.TRADING:
                    _require_tradable(code, instrument)
                changes.append((code, instrument))
                stored[code, instrument.pk] = wanted
        if not changes:
            raise Conflict("nothing would change", code="no_change")
        if wanted is State.LEAVING and all(s == State.LEAVING for s in stored.values()):
            raise Conflict("a book keeps at least one slot; pause it instead", code="last_member")
        _write(book, changes, wanted, reason.strip(), actor, at)
    return members_of(book)


def finish_leaving(
    *, book: str, members: Sequence[Member], actor: Actor, at: datetime
) -> Membership:
    """Write that slots which left are flat; the trader's act."""
    with transaction.atomic():
        _lock(book)
        pairs = [
            (m.strategy, m.instrument)
            for m in members
            if stored_state(book, m.strategy, m.instrument) == State.LEAVING
        ]
        if pairs:
            _write(book, pairs, State.GONE, "flat", actor, at)
    return members_of(book)


def pause_failed(
    *,
    book: str,
    members: Sequence[Member],
    failures: Mapping[int, Mapping[str, str]],
    actor: Actor,
    at: datetime,
) -> bool:
    """Pause trading slots whose strategy failed: by instrument's key, the reason by strategy.

    The trader's act; returns whether a slot was paused.  Trading again is a person's decision.
    """
    found = [
        (member, failures.get(member.instrument.pk, {}).get(member.strategy, ""))
        for member in members
        if member.state == State.TRADING
    ]
    failed = [(member, why) for member, why in found if why]
    for member, why in failed:
        change_members(
            book=book,
            strategies=[member.strategy],
            instruments=[member.instrument],
            state=State.PAUSED,
            reason=f"the strategy failed: {why}",
            actor=actor,
            at=at,
        )
    return bool(failed)


def _lock(book: str) -> None:
    take_lock(AdvisoryLock.BOOK_MEMBERS, book)


def stored_state(book: str, strategy: str, instrument: Instrument) -> str | None:
    return (
        BookMember.objects.filter(book=book, strategy=strategy, instrument=instrument)
        .order_by("-version")
        .values_list("state", flat=True)
        .first()
    )


def _require_tradable(code: str, instrument: Instrument) -> None:
    row = Strategy.objects.filter(code=code, is_active=True).order_by("-version").first()
    if row is None:
        known = sorted(
            Strategy.objects.filter(is_active=True).values_list("code", flat=True).distinct()
        )
        raise InvalidInput(
            f"there is no active strategy {code}; known: {', '.join(known) or 'none'}",
            code="unknown_strategy",
        )
    if code != MANUAL:
        strategy = build_sleeve_strategy(row.code, row.parameters)
        if isinstance(strategy, OwnSleeve):
            strategy.source()
    if not instrument.is_active:
        living = Instrument.objects.filter(is_active=True).order_by("venue", "symbol")
        known = [f"{row.symbol} on {row.venue}" for row in living[:20]]
        raise InvalidInput(
            f"{instrument.symbol} on {instrument.venue} is switched off; switched on: "
            f"{', '.join(known) or 'none'}",
            code="inactive",
        )
    require_carried(instrument.settle, what=instrument.symbol)
    if not Candle.objects.filter(instrument=instrument, timeframe="1h").exists():
        raise InvalidInput(
            f"{instrument.symbol} has no hourly candles; run import_candles or backfill_candles",
            code="no_candles",
        )


def _write(
    book: str,
    pairs: Sequence[tuple[str, Instrument]],
    state: str,
    reason: str,
    actor: Actor,
    at: datetime,
) -> None:
    version = newest_version(book) + 1
    BookMember.objects.bulk_create(
        BookMember(
            book=book,
            version=version,
            strategy=code,
            instrument=instrument,
            state=state,
            reason=reason[:300],
            actor=actor.user,
            actor_label=actor.label,
            occurred_at=at,
        )
        for code, instrument in pairs
    )
    record_audit(
        actor=actor,
        action=f"book.{state}",
        subject=("book", book),
        body={
            "version": version,
            "slots": [f"{code} {instrument.symbol}" for code, instrument in pairs],
            "reason": reason,
        },
        at=at,
    )
