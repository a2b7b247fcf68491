"""Which slots a trader works, under which rules: the book's members and the setup made of them."""

from __future__ import annotations

from datetime import datetime

from magnetfund.core.actors import Actor
from risk.domain.limits import Limits
from trading.models import BookMember
from trading.services.book_setup import BookSetup, build_setup
from trading.services.correlations import find_correlation_groups, measure_correlations
from trading.services.leverage_caps import find_evidence_caps
from trading.services.membership import (
    Membership,
    begin_membership,
    finish_leaving,
    members_of,
    newest_change,
)


class BookSlots:
    """Members and setup of one book as its trader works them now."""

    members: Membership
    setup: BookSetup
    evidence_caps: dict[str, float]

    def __init__(self, *, book: str, actor: Actor) -> None:
        self.code = book
        self.actor = actor
        self._stated_at: datetime | None = None

    def begin(self, *, venue: str, limits: Limits, at: datetime) -> None:
        """Take the members in force; a book without any begins with those of the venue."""
        members = members_of(self.code)
        if not members.members:
            members = begin_membership(book=self.code, venue=venue, actor=self.actor, at=at)
        self.take(members, limits=limits, at=at)

    def take(self, members: Membership, *, limits: Limits, at: datetime) -> None:
        """Work these members from here on."""
        self.members = members
        self.set_up(limits, at=at)

    def set_up(self, limits: Limits, *, at: datetime) -> None:
        """The rules of the members under ``limits``, correlations measured anew."""
        instruments = self.members.instruments
        caps = find_evidence_caps(instruments, limits=limits, at=at)
        measure_correlations(book=self.code, instruments=instruments, at=at)
        symbols = [item.symbol for item in instruments]
        self.setup = build_setup(
            instruments=instruments,
            sleeves=self.members.sleeves,
            limits=limits,
            evidence_caps=caps,
            groups=find_correlation_groups(book=self.code, symbols=symbols, limits=limits, at=at),
            only={member.key for member in self.members.members},
        )
        self.evidence_caps = caps

    def has_other_evidence(self, limits: Limits, *, at: datetime) -> bool:
        """Whether the evidence allows another leverage than the rules say."""
        found = find_evidence_caps(self.members.instruments, limits=limits, at=at)
        return found != self.evidence_caps

    def find_change(self, *, look: bool) -> Membership | None:
        """The members in force, where they or the terms of their instruments are others; asks the
        rows where ``look`` says so."""
        version, stated_at = newest_change(self.members, book=self.code)
        if not look and (version, stated_at) == (self.members.version, self._stated_at):
            return None
        found, self._stated_at = members_of(self.code), stated_at
        is_same = found == self.members and found.terms == self.members.terms
        return None if is_same else found

    def closed(self) -> frozenset[int]:
        """Slots that are paused or leaving: they open nothing."""
        return frozenset(
            slot for slot, state in enumerate(self._states()) if state != BookMember.State.TRADING
        )

    def leaving(self) -> frozenset[int]:
        """Slots that close what they hold and go."""
        return frozenset(
            slot for slot, state in enumerate(self._states()) if state == BookMember.State.LEAVING
        )

    def let_go(self, slots: frozenset[int], *, at: datetime) -> Membership:
        """Record that slots are flat and gone; returns the members that are left."""
        sleeves = self.setup.sleeves
        keys = {(sleeves[slot].strategy, sleeves[slot].instrument.pk) for slot in slots}
        gone = [member for member in self.members.members if member.key in keys]
        return finish_leaving(book=self.code, members=gone, actor=self.actor, at=at)

    def _states(self) -> list[str]:
        state = {member.key: member.state for member in self.members.members}
        return [state[sleeve.strategy, sleeve.instrument.pk] for sleeve in self.setup.sleeves]
