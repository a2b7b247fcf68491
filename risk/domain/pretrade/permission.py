"""Controls on what is asked, who asks, and whether anything may be asked now.

Shape of the order, the lists of instruments, live evidence and approval, the survival fuse, the
lock of a strategy and the state of the engine.  None of them measures money.
"""

from __future__ import annotations

from decimal import Decimal

from risk.domain.fuse.types import FuseState
from risk.domain.pretrade.answers import answer, answer_if
from risk.domain.pretrade.facts import OrderFacts
from risk.domain.pretrade.types import Check, CheckStatus, Control, EngineState, Mode


def check_shape(facts: OrderFacts) -> Check:
    problem = facts.problem
    return answer_if(
        Control.ORDER_SHAPE, problem is None, value=problem, words=problem or "order is complete"
    )


def check_allowlist(facts: OrderFacts) -> Check:
    return answer_if(
        Control.ALLOWLIST,
        facts.book.instrument.is_allowed,
        value=facts.order.instrument,
        words="instrument must be on the permitted list",
    )


def check_restricted(facts: OrderFacts) -> Check:
    return answer_if(
        Control.RESTRICTED,
        not facts.book.instrument.is_restricted,
        value=facts.order.instrument,
        words="instrument must not be on the restricted list",
    )


def check_mode(facts: OrderFacts) -> Check:
    return answer_if(
        Control.MODE,
        facts.book.mode in Mode,
        value=facts.book.mode.value,
        words="trading mode must be enabled",
    )


def check_live_evidence(facts: OrderFacts) -> Check:
    book = facts.book
    if book.mode is not Mode.LIVE or facts.order.leverage <= 1:
        return answer(Control.LIVE_EVIDENCE, CheckStatus.EXEMPT, words="not live above 1.0x")
    passes = book.evidence_policy.value == "enforced" or book.is_evidence_override_signed
    return answer_if(
        Control.LIVE_EVIDENCE,
        passes,
        value=book.evidence_policy.value,
        limit="enforced",
        words="live leverage above 1.0x needs enforced evidence or a signed override",
    )


def check_live_approval(facts: OrderFacts) -> Check:
    book, needed = facts.book, facts.limits.live_approved_trades_count
    if book.mode is not Mode.LIVE:
        return answer(Control.LIVE_APPROVAL, CheckStatus.EXEMPT, words="not live")
    done = book.live_trades_of_strategy
    passes = facts.order.approved_by is not None or (done is not None and done >= needed)
    return answer_if(
        Control.LIVE_APPROVAL,
        passes,
        value=None if done is None else Decimal(done),
        limit=needed,
        words="each of a strategy's first live trades needs a person's approval",
    )


def check_fuse(facts: OrderFacts) -> Check:
    state = facts.book.fuse_state
    return answer_if(
        Control.FUSE_STATE,
        state is FuseState.ARMED,
        value=state.value if state is not None else "missing",
        limit=FuseState.ARMED.value,
        words="exposure can be added only while the fuse is armed",
    )


def check_market(facts: OrderFacts) -> Check:
    """Nobody opens what the fuse would cut."""
    block = facts.book.entry_block
    return answer_if(
        Control.MARKET_TRIGGER,
        block is None,
        value=None if block is None else f"{block.trigger.code} {block.value:.4g}",
        limit=None if block is None else f"{block.threshold:.4g}",
        words="no market trigger holds"
        if block is None
        else f"the fuse would cut this position: {block.words}",
    )


def check_lock(facts: OrderFacts) -> Check:
    until = facts.book.strategy_locked_until
    return answer_if(
        Control.STRATEGY_LOCK,
        until is None or until <= facts.now,
        value=None if until is None else until.isoformat(),
        words="strategy must not be locked",
    )


def check_engine(facts: OrderFacts) -> Check:
    state = facts.book.engine_state
    return answer_if(
        Control.ENGINE_STATE,
        state is EngineState.READY,
        value=state.value if state is not None else "missing",
        limit=EngineState.READY.value,
        words="trading engine must be reconciled and ready",
    )
