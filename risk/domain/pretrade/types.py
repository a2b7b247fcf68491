"""What the pre-trade check is shown and what it answers.

Exact Decimals throughout: this is the boundary at which money is committed.  Quantities are
positive amounts of the base with the side beside them; signed quantities are positive for long.
Values are in the fund's currency (quantity * price * contract multiplier).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from risk.domain.fuse.types import Condition, FuseState
from risk.domain.leverage.types import EvidencePolicy
from risk.domain.limits import NO_STRATEGY_LIMITS, StrategyLimits


class Side(StrEnum):
    """Of an order."""

    BUY = "buy"
    SELL = "sell"

    @property
    def sign(self) -> int:
        """+1 for a buy, -1 for a sell."""
        return 1 if self is Side.BUY else -1


class OrderType(StrEnum):
    """How an order executes."""

    MARKET = "market"
    LIMIT = "limit"
    STOP = "stop"
    TAKE_PROFIT = "take_profit"


class Mode(StrEnum):
    """Where the fund trades."""

    BACKTEST = "backtest"
    PAPER = "paper"
    LIVE = "live"


class EngineState(StrEnum):
    """The trading engine's own state; only READY lets exposure grow."""

    RECONCILING = "RECONCILING"
    READY = "READY"
    STOPPED = "STOPPED"


class Control(StrEnum):
    """Every check of an order; a denial carries the control's word as its code."""

    ORDER_SHAPE = "order_shape"
    ALLOWLIST = "allowlist"
    RESTRICTED = "restricted"
    MODE = "mode"
    LIVE_EVIDENCE = "live_evidence"
    LIVE_APPROVAL = "live_approval"
    FUSE_STATE = "fuse_state"
    MARKET_TRIGGER = "market_trigger"
    STRATEGY_LOCK = "strategy_lock"
    ENGINE_STATE = "engine_state"
    STALE_PRICE = "stale_price"
    PRICE_COLLAR = "price_collar"
    PRICE_DRIFT = "price_drift"
    TICK_SIZE = "tick_size"
    LOT_SIZE = "lot_size"
    MINIMUM_NOTIONAL = "minimum_notional"
    ORDER_VALUE = "order_value"
    ORDER_QUANTITY = "order_quantity"
    PROTECTIVE_STOP = "protective_stop"
    LOSS_AT_STOP = "loss_at_stop"
    GAP_LOSS_POSITION = "gap_loss_position"
    GAP_LOSS_BOOK = "gap_loss_book"
    LEVERAGE = "leverage"
    BOOK_LEVERAGE = "book_leverage"
    POSITION_NOTIONAL = "position_notional"
    POSITION_MARGIN = "position_margin"
    GROUP_MARGIN = "group_margin"
    TOTAL_MARGIN = "total_margin"
    GROSS_EXPOSURE = "gross_exposure"
    NET_EXPOSURE = "net_exposure"
    MESSAGE_RATE_SECOND = "message_rate_second"
    MESSAGE_RATE_MINUTE = "message_rate_minute"
    REPEAT_THROTTLE = "repeat_throttle"
    DUPLICATE = "duplicate"
    SELF_CROSS = "self_cross"
    REDUCES = "reduces"


class CheckStatus(StrEnum):
    """Outcome of one control; exempt means that a closing order need not pass it."""

    PASSED = "passed"
    DENIED = "denied"
    EXEMPT = "exempt"
    NOT_EVALUATED = "not_evaluated"


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRequest:
    """The order as intended.

    ``price`` is the limit (or trigger) price, None for a market order.  ``stop_price`` protects an
    entry.  ``is_protective`` marks a resting stop or target, which the venue holds reduce-only.
    ``must_reduce`` is the caller's claim; the check never believes it, it only holds them to it.
    ``approved_by`` names the person who approved this very order.
    """

    instrument: str
    strategy: str
    side: Side
    type: OrderType
    quantity: Decimal
    price: Decimal | None = None
    stop_price: Decimal | None = None
    leverage: Decimal = Decimal(1)
    tier: int | None = None
    is_protective: bool = False
    must_reduce: bool = False
    approved_by: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class InstrumentRules:
    """An instrument as the venue and the house define it.

    ``gap_rate`` is the worst adverse hour known for either side or the class floor, the larger;
    ``venue_leverage_max`` the venue's own.  ``correlation_group`` names those that move together.
    """

    instrument: str
    tick_size: Decimal
    lot_size: Decimal
    multiplier: Decimal = Decimal(1)
    notional_min: Decimal = Decimal(0)
    quantity_max: Decimal | None = None
    fee_rate: Decimal = Decimal("0.0005")
    slippage_rate: Decimal = Decimal("0.0002")
    gap_rate: Decimal = Decimal("0.25")
    venue_leverage_max: Decimal | None = None
    correlation_group: str = ""
    is_isolated: bool = True
    is_allowed: bool = True
    is_restricted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferencePrice:
    """An independent price: not the order's, not the strategy's.

    ``price_before`` is the reference at the start of the drift window, None without one.
    """

    price: Decimal
    observed_at: datetime
    price_before: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BookPosition:
    """One open position; ``quantity`` signed, ``margin`` the equity committed, ``mark`` its price.

    ``gap_loss`` is what the worst hour would take from it.
    """

    instrument: str
    strategy: str
    quantity: Decimal
    mark: Decimal
    margin: Decimal
    gap_loss: Decimal
    multiplier: Decimal = Decimal(1)
    correlation_group: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BookOrder:
    """An order that may still fill: sent, resting or unknown, counted at its full open quantity.

    ``reduces`` is what the check recorded when it was accepted.  ``price`` is its limit, or the
    reference at sending for a market order.
    """

    order_id: str
    instrument: str
    strategy: str
    side: Side
    type: OrderType
    quantity_open: Decimal
    price: Decimal
    submitted_at: datetime
    margin: Decimal = Decimal(0)
    gap_loss: Decimal = Decimal(0)
    reduces: bool = False
    is_protective: bool = False
    multiplier: Decimal = Decimal(1)
    correlation_group: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecentOrder:
    """An order of the last minute, open or not: for message rates and duplicates."""

    instrument: str
    strategy: str
    side: Side
    quantity: Decimal
    price: Decimal | None
    submitted_at: datetime
    is_message_only: bool = False
    reduces: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class BookSnapshot:
    """The book as the check sees it, read in the same transaction.

    ``equity`` is the latest reconciled one less pending withdrawals.  ``fuse_state`` is the state
    that an order in this instrument meets, None where no row was found (which refuses).
    ``strategy_locked_until`` is a loss-streak lock, ``entry_block`` a market trigger that holds.
    ``executions_since_review`` and ``live_trades_of_strategy`` count for this order's strategy in
    live mode.  ``is_bare`` is a told story under bare rules, in which no limit acts.
    """

    equity: Decimal
    mode: Mode
    fuse_state: FuseState | None
    engine_state: EngineState | None
    instrument: InstrumentRules
    reference: ReferencePrice | None
    positions: tuple[BookPosition, ...] = ()
    orders: tuple[BookOrder, ...] = ()
    recent: tuple[RecentOrder, ...] = ()
    strategy_locked_until: datetime | None = None
    entry_block: Condition | None = None
    client_class_leverage_max: Decimal | None = None
    evidence_policy: EvidencePolicy = EvidencePolicy.ADVISORY
    is_evidence_override_signed: bool = False
    executions_since_review: int | None = None
    live_trades_of_strategy: int | None = None
    strategy_limits: StrategyLimits = field(default=NO_STRATEGY_LIMITS)
    is_bare: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One control with what it measured, the limit, and what would have been allowed.

    ``allowed`` is the largest quantity, value or price that this control alone would let pass,
    None where no such number exists.
    """

    control: Control
    status: CheckStatus
    value: Decimal | str | None
    limit: Decimal | str | None
    allowed: Decimal | None
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PreTradeVerdict:
    """Every control, in order, and the sum: accepted only if none denied.

    ``reduces`` is computed from the position and the open reducing orders.  ``quantity_allowed``
    is the largest quantity that all size controls together would let pass (0 when another control
    denies).  ``notional``, ``margin``, ``gap_loss`` and ``loss_at_stop`` are what an accepted order
    reserves; a reducing order reserves nothing.
    """

    accepted: bool
    reduces: bool
    checks: tuple[Check, ...]
    denials: tuple[Check, ...]
    codes: tuple[str, ...]
    quantity_allowed: Decimal
    notional: Decimal
    margin: Decimal
    gap_loss: Decimal
    loss_at_stop: Decimal | None
    limits_version: int
    checked_at: datetime
