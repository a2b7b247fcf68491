"""The pre-trade check (PRE-1): every control of one order, in order, as stored values.

:func:`check_order` never raises for what a caller or the market sent: what cannot be read is
denied.  Reducing is computed from the position and the open closing orders, never believed; an
order that only reduces is exempt from every control that would keep a risk on the book.

Conservative counting: open orders that add exposure count at their full open quantity, on top of
the positions; net exposure is taken at the worse end of what may still fill.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from decimal import Decimal

from magnetfund.kernel.money import round_to_step
from risk.domain.limits import Limits
from risk.domain.pretrade.answers import answer
from risk.domain.pretrade.conduct import (
    check_duplicate,
    check_rate_minute,
    check_rate_second,
    check_reduces,
    check_repeat,
    check_self_cross,
)
from risk.domain.pretrade.exposure import (
    check_book_leverage,
    check_gap_book,
    check_gap_position,
    check_gross,
    check_group_margin,
    check_leverage,
    check_net,
    check_position_margin,
    check_position_notional,
    check_total_margin,
)
from risk.domain.pretrade.facts import OrderFacts, read_facts
from risk.domain.pretrade.permission import (
    check_allowlist,
    check_engine,
    check_fuse,
    check_live_approval,
    check_live_evidence,
    check_lock,
    check_market,
    check_mode,
    check_restricted,
    check_shape,
)
from risk.domain.pretrade.prices import check_collar, check_drift, check_staleness, check_tick
from risk.domain.pretrade.size import (
    check_loss,
    check_lot,
    check_minimum,
    check_quantity,
    check_stop,
    check_value,
)
from risk.domain.pretrade.types import (
    BookSnapshot,
    Check,
    CheckStatus,
    Control,
    OrderRequest,
    PreTradeVerdict,
)

ZERO = Decimal(0)
Judge = Callable[[OrderFacts], Check]

#: Controls that a reducing order need not pass: they only bound what adds exposure.
GROWTH_ONLY = frozenset(
    {
        Control.ALLOWLIST,
        Control.RESTRICTED,
        Control.LIVE_EVIDENCE,
        Control.LIVE_APPROVAL,
        Control.FUSE_STATE,
        Control.MARKET_TRIGGER,
        Control.STRATEGY_LOCK,
        Control.ENGINE_STATE,
        Control.STALE_PRICE,
        Control.PRICE_DRIFT,
        Control.MINIMUM_NOTIONAL,
        Control.ORDER_VALUE,
        Control.PROTECTIVE_STOP,
        Control.LOSS_AT_STOP,
        Control.GAP_LOSS_POSITION,
        Control.GAP_LOSS_BOOK,
        Control.LEVERAGE,
        Control.BOOK_LEVERAGE,
        Control.POSITION_NOTIONAL,
        Control.POSITION_MARGIN,
        Control.GROUP_MARGIN,
        Control.TOTAL_MARGIN,
        Control.GROSS_EXPOSURE,
        Control.NET_EXPOSURE,
        Control.REPEAT_THROTTLE,
        Control.DUPLICATE,
    }
)
#: Controls whose ``allowed`` is a quantity, so that they bound ``quantity_allowed``.
SIZE_CONTROLS = frozenset(
    {
        Control.ORDER_VALUE,
        Control.ORDER_QUANTITY,
        Control.LOSS_AT_STOP,
        Control.GAP_LOSS_POSITION,
        Control.GAP_LOSS_BOOK,
        Control.POSITION_NOTIONAL,
        Control.POSITION_MARGIN,
        Control.GROUP_MARGIN,
        Control.TOTAL_MARGIN,
        Control.GROSS_EXPOSURE,
        Control.NET_EXPOSURE,
    }
)

#: Controls whose bound is a figure of the limit set; under bare rules none of them acts.
LIMIT_CONTROLS = (SIZE_CONTROLS - {Control.ORDER_QUANTITY}) | {
    Control.LEVERAGE,
    Control.BOOK_LEVERAGE,
    Control.MESSAGE_RATE_SECOND,
    Control.MESSAGE_RATE_MINUTE,
    Control.REPEAT_THROTTLE,
    Control.DUPLICATE,
}

#: Controls that measure money, which takes a price; without one STALE_PRICE denies.
PRICED = SIZE_CONTROLS | {
    Control.MINIMUM_NOTIONAL,
    Control.PROTECTIVE_STOP,
    Control.BOOK_LEVERAGE,
}


def check_order(
    *, order: OrderRequest, book: BookSnapshot, limits: Limits, now: datetime
) -> PreTradeVerdict:
    """Judge one order against the book, the limits and the clock (aware, UTC).

    Returns every control with its value, limit and what it would allow; accepted only when none
    denied.  Never raises for bad content: numbers that make no sense are an ``order_shape`` denial.
    """
    facts = read_facts(order=order, book=book, limits=limits, now=now)
    shape = check_shape(facts)
    if shape.status is CheckStatus.DENIED:
        return _verdict(facts, (shape,))
    checks = [shape]
    for control, judge in _JUDGES:
        if facts.reduces and control in GROWTH_ONLY:
            checks.append(answer(control, CheckStatus.EXEMPT, words="the order only reduces"))
        elif book.is_bare and control in LIMIT_CONTROLS:
            checks.append(answer(control, CheckStatus.EXEMPT, words="bare rules: no limit acts"))
        elif facts.price <= 0 and control in PRICED:
            checks.append(answer(control, CheckStatus.NOT_EVALUATED, words="no reference price"))
        else:
            checks.append(judge(facts))
    return _verdict(facts, tuple(checks))


def _verdict(facts: OrderFacts, checks: tuple[Check, ...]) -> PreTradeVerdict:
    denials = tuple(check for check in checks if check.status is CheckStatus.DENIED)
    blocked = any(check.control not in SIZE_CONTROLS for check in denials)
    bounds = [c.allowed for c in checks if c.control in SIZE_CONTROLS and c.allowed is not None]
    allowed = ZERO if blocked or not facts.is_sound else min([facts.order.quantity, *bounds])
    grows = not facts.reduces and facts.is_sound
    return PreTradeVerdict(
        accepted=not denials,
        reduces=facts.reduces,
        checks=checks,
        denials=denials,
        codes=tuple(check.control.value for check in denials),
        quantity_allowed=_whole_lots(max(allowed, ZERO), facts),
        notional=facts.notional if grows else ZERO,
        margin=facts.margin if grows else ZERO,
        gap_loss=facts.gap_loss if grows else ZERO,
        loss_at_stop=facts.loss_at_stop if grows else None,
        limits_version=facts.limits.version,
        checked_at=facts.now,
    )


def _whole_lots(quantity: Decimal, facts: OrderFacts) -> Decimal:
    lot = facts.book.instrument.lot_size
    if not facts.is_sound or lot <= 0:
        return ZERO
    return round_to_step(quantity, lot)


_JUDGES: Iterable[tuple[Control, Judge]] = (
    (Control.ALLOWLIST, check_allowlist),
    (Control.RESTRICTED, check_restricted),
    (Control.MODE, check_mode),
    (Control.LIVE_EVIDENCE, check_live_evidence),
    (Control.LIVE_APPROVAL, check_live_approval),
    (Control.FUSE_STATE, check_fuse),
    (Control.MARKET_TRIGGER, check_market),
    (Control.STRATEGY_LOCK, check_lock),
    (Control.ENGINE_STATE, check_engine),
    (Control.STALE_PRICE, check_staleness),
    (Control.PRICE_COLLAR, check_collar),
    (Control.PRICE_DRIFT, check_drift),
    (Control.TICK_SIZE, check_tick),
    (Control.LOT_SIZE, check_lot),
    (Control.MINIMUM_NOTIONAL, check_minimum),
    (Control.ORDER_VALUE, check_value),
    (Control.ORDER_QUANTITY, check_quantity),
    (Control.PROTECTIVE_STOP, check_stop),
    (Control.LOSS_AT_STOP, check_loss),
    (Control.GAP_LOSS_POSITION, check_gap_position),
    (Control.GAP_LOSS_BOOK, check_gap_book),
    (Control.LEVERAGE, check_leverage),
    (Control.BOOK_LEVERAGE, check_book_leverage),
    (Control.POSITION_NOTIONAL, check_position_notional),
    (Control.POSITION_MARGIN, check_position_margin),
    (Control.GROUP_MARGIN, check_group_margin),
    (Control.TOTAL_MARGIN, check_total_margin),
    (Control.GROSS_EXPOSURE, check_gross),
    (Control.NET_EXPOSURE, check_net),
    (Control.MESSAGE_RATE_SECOND, check_rate_second),
    (Control.MESSAGE_RATE_MINUTE, check_rate_minute),
    (Control.REPEAT_THROTTLE, check_repeat),
    (Control.DUPLICATE, check_duplicate),
    (Control.SELF_CROSS, check_self_cross),
    (Control.REDUCES, check_reduces),
)
