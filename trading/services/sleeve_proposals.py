"""Adding a sleeve to a running book or retiring one: one person proposes, another decides."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import transaction
from django.db.models import Max, QuerySet

from magnetfund.core.actors import Actor
from magnetfund.core.locks import AdvisoryLock, take_lock
from magnetfund.core.roles import Capability
from magnetfund.core.services.audit import record_audit
from magnetfund.core.services.signing import SLEEVE, signed_step, signed_to
from magnetfund.kernel.clock import utc_now
from magnetfund.kernel.errors import Conflict, InvalidInput
from magnetfund.kernel.identifiers import content_hash
from risk.domain.limits import FIGURES
from trading.domain.market.candles import Candles
from trading.models import BookMember, Candle, SleeveProposal, Strategy
from trading.services.book_setup import MANUAL
from trading.services.candle_store import load_candles
from trading.services.membership import change_members, members_of
from trading.services.research.catalogue import CHECK_BARS
from trading.services.sleeve_setup import NAME_MAX
from trading.services.sleeve_strategies import OwnSleeve, build_sleeve_strategy, pin_strategy

Action = SleeveProposal.Action
Decision = SleeveProposal.Decision
State = BookMember.State


def open_sleeve_proposals(book: str) -> QuerySet[SleeveProposal]:
    """What waits for a second person, oldest first."""
    return (
        SleeveProposal.objects.filter(book=book, decision="")
        .select_related("proposed_by")
        .order_by("proposed_at")
    )


def propose_sleeve(
    *,
    book: str,
    code: str,
    name: str,
    risk_fraction: Decimal,
    reason: str,
    actor: Actor,
    expectation: str = "",
    parameters: Mapping[str, Any] | None = None,
) -> SleeveProposal:
    """Propose a sleeve; a strategy of one's own is checked now.

    ``risk_fraction`` is the share of equity that one trade loses at its stop.  Raises
    :class:`InvalidInput` for what cannot be (``above_ceiling``, ``bad_name``, ``reason_missing``
    and those of :func:`pin_strategy`) and :class:`Conflict` (``sleeve_exists``, ``proposal_open``).
    """
    actor.require(Capability.LIMITS_PROPOSE)
    ceiling = FIGURES["loss_at_stop_share"].ceiling
    if not risk_fraction.is_finite() or not 0 < risk_fraction <= ceiling:
        raise InvalidInput(
            f"a trade risks more than 0 and at most {ceiling:f} of equity", code="above_ceiling"
        )
    if not 1 <= len(name.strip()) <= NAME_MAX:
        raise InvalidInput(f"a name has 1 to {NAME_MAX} characters", code="bad_name")
    if code == MANUAL:
        raise InvalidInput("manual trades need no strategy", code="unknown_strategy")
    _require_free(book, code)
    pinned = pin_strategy(code, parameters or {}, candles=_candles_to_check_on(book))
    return _propose(
        actor,
        reason,
        book=book,
        action=Action.ADD,
        code=code,
        name=name.strip(),
        parameters=pinned,
        risk_fraction=risk_fraction,
        expectation=" ".join(expectation.split()),
    )


def propose_retirement(*, book: str, code: str, reason: str, actor: Actor) -> SleeveProposal:
    """Propose that a sleeve leaves: its positions are closed, then it trades no more.

    Raises :class:`InvalidInput` (``unknown_strategy``, ``reason_missing``) and :class:`Conflict`.
    """
    actor.require(Capability.LIMITS_PROPOSE)
    row = _active(code).first()
    if row is None:
        raise InvalidInput(f"there is no active strategy {code}", code="unknown_strategy")
    return _propose(
        actor,
        reason,
        book=book,
        action=Action.RETIRE,
        code=code,
        name=row.name,
        parameters={},
        risk_fraction=row.risk_fraction,
    )


def approve_sleeve(*, proposal: SleeveProposal, seen_hash: str, actor: Actor) -> SleeveProposal:
    """Second signature: the sleeve is there, or leaves; ``seen_hash`` is of what was shown.

    A sleeve that was added trades on the instruments that an operator names (``book add``).
    Raises :class:`Conflict` (``proposal_closed``, ``changed``, ``sleeve_exists``, ``last_member``)
    and, where the file is no longer the proposed one, :class:`InvalidInput` (``sleeve_changed``);
    :class:`SignatureMissing` until the actor has signed it.
    """
    actor.require(Capability.LIMITS_APPROVE)
    at = utc_now()
    with transaction.atomic():
        take_lock(AdvisoryLock.BOOK_MEMBERS, proposal.book)
        row = _still_open(proposal)
        actor.require_other_than(row.proposed_by, "a change of the sleeves")
        if seen_hash != row.content_hash:
            raise Conflict("the proposal changed since you opened it", code="changed")
        if row.action == Action.ADD:
            _add(row)
        else:
            _retire(row, actor, at)
        _decide(row, Decision.APPROVED, actor, at)
    return row


def return_sleeve(*, proposal: SleeveProposal, reason: str, actor: Actor) -> SleeveProposal:
    """Close a proposal without effect; its proposer may do that as well.

    Raises :class:`SignatureMissing` until the actor has signed it.
    """
    actor.require(Capability.LIMITS_PROPOSE)
    with transaction.atomic():
        row = _still_open(proposal)
        _decide(row, Decision.RETURNED, actor, utc_now(), reason=reason.strip())
    return row


def _propose(actor: Actor, reason: str, **columns: Any) -> SleeveProposal:
    assert actor.user is not None  # a capability is a person's
    if not reason.strip():
        raise InvalidInput("give a reason", code="reason_missing")
    shown = {key: columns[key] for key in sorted(columns)}
    with transaction.atomic():
        take_lock(AdvisoryLock.BOOK_MEMBERS, columns["book"])
        if open_sleeve_proposals(columns["book"]).filter(code=columns["code"]).exists():
            raise Conflict("a proposal for this sleeve is open", code="proposal_open")
        row = SleeveProposal.objects.create(
            **columns,
            reason=reason.strip()[:300],
            content_hash=content_hash([f"{key}={value}" for key, value in shown.items()]),
            proposed_by=actor.user,
        )
        record_audit(
            actor=actor,
            action="sleeve.proposed",
            subject=("sleeve_proposal", row.pk),
            body={"action": row.action, "code": row.code, "hash": row.content_hash},
        )
    return row


def _require_free(book: str, code: str) -> None:
    """A book trades one version of a strategy at a time: another comes after the first is gone."""
    if _active(code).exists() or any(m.strategy == code for m in members_of(book).members):
        raise Conflict(
            f"the book has a sleeve {code}; retire it before another version of it comes",
            code="sleeve_exists",
        )


def _add(row: SleeveProposal) -> None:
    _require_free(row.book, row.code)
    strategy = build_sleeve_strategy(row.code, row.parameters)
    if isinstance(strategy, OwnSleeve):
        strategy.source()
    last = Strategy.objects.filter(code=row.code).aggregate(last=Max("version"))["last"] or 0
    Strategy.objects.create(
        code=row.code,
        version=last + 1,
        name=row.name,
        parameters=row.parameters,
        risk_fraction=row.risk_fraction,
        expectation=row.expectation,
    )


def _retire(row: SleeveProposal, actor: Actor, at: datetime) -> None:
    held = [m for m in members_of(row.book).members if m.strategy == row.code]
    staying = [m for m in held if m.state in (State.TRADING, State.PAUSED)]
    if staying:
        change_members(
            book=row.book,
            strategies=[row.code],
            instruments=[member.instrument for member in staying],
            state=str(State.LEAVING),
            reason=f"retired: {row.reason}",
            actor=actor,
            at=at,
        )
    _active(row.code).update(is_active=False)


def _decide(
    row: SleeveProposal, decision: str, actor: Actor, at: datetime, *, reason: str = ""
) -> None:
    assert actor.user is not None  # a capability is a person's
    row.decision, row.decided_by, row.decided_at = decision, actor.user, at
    action = signed_to(SLEEVE, is_approved=decision == Decision.APPROVED)
    with signed_step(action=action, subject=row.pk):
        row.save(update_fields=["decision", "decided_by", "decided_at"])
    record_audit(
        actor=actor,
        action=f"sleeve.{decision}",
        subject=("sleeve_proposal", row.pk),
        body={"action": row.action, "code": row.code, "hash": row.content_hash, "reason": reason},
        at=at,
    )


def _still_open(proposal: SleeveProposal) -> SleeveProposal:
    row = SleeveProposal.objects.select_for_update().get(pk=proposal.pk)
    if row.decision:
        raise Conflict("this proposal is closed", code="proposal_closed")
    return row


def _active(code: str) -> QuerySet[Strategy]:
    return Strategy.objects.filter(code=code, is_active=True)


def _candles_to_check_on(book: str) -> Candles | None:
    """The newest hours of an instrument of the book, or of any that has them."""
    known = members_of(book).instruments
    instrument = known[0] if known else None
    if instrument is None:
        row = Candle.objects.filter(timeframe="1h").select_related("instrument").first()
        instrument = row.instrument if row is not None else None
    if instrument is None:
        return None
    candles = load_candles(instrument, "1h")
    return candles.between(max(0, len(candles) - CHECK_BARS), len(candles))
