"""Declared grant class of every table of the trading app, and the triggers that guard them."""

from __future__ import annotations

from magnetfund.core.walls import (
    GrantClass,
    TableGrant,
    TableTrigger,
    append_only,
    append_only_triggers,
    gateway,
    gateway_append,
    mutable,
    read_only,
)

APPEND_ONLY_TABLES = (
    "trading_candle",
    "trading_marketevent",
    "trading_marketrefusal",
    "trading_fundingrate",
    "trading_signal",
    "trading_proposal",
    "trading_orderevent",
    "trading_fill",
    "trading_fundingpayment",
    "trading_trade",
    "trading_reconciliation",
    "trading_enginetransition",
    "trading_valuation",
    "trading_bookflow",
    "trading_trial",
    "trading_bookmember",
    "trading_paperevent",
    "trading_leveragereading",
    "trading_accountsnapshot",
    "trading_strategynote",
    "trading_optionsnapshot",
    "trading_optionlisting",
)

#: What the venue reported and how our books compare with it: the gateway alone writes it.
GATEWAY_APPEND_TABLES = (
    "trading_fill",
    "trading_fundingpayment",
    "trading_trade",
    "trading_reconciliation",
    "trading_paperevent",
)

#: Columns of an order that the trader moves; everything else is fixed by the intent.
ORDER_COLUMNS = (
    "state",
    "venue_order_id",
    "filled_quantity",
    "average_price",
    "denial_codes",
    "closed_at",
)

#: Columns of its order that the paper venue moves.
PAPER_ORDER_COLUMNS = ("status", "filled_quantity", "reason", "closed_at")

#: What a venue states of an instrument.
INSTRUMENT_TERMS = (
    "tick",
    "lot",
    "minimum_notional",
    "maker_fee",
    "taker_fee",
    "maintenance_tiers",
    "metadata_source",
    "metadata_at",
)

GRANTS = [
    *read_only("trading_candlefile", "trading_fillday", "trading_filltotal", "trading_tradeday"),
    TableGrant(
        table="trading_depthminute",
        grant_class=GrantClass.GATEWAY,
        columns=("recorded_at",),
        deletes=True,
    ),
    *append_only(*(t for t in APPEND_ONLY_TABLES if t not in GATEWAY_APPEND_TABLES)),
    gateway("trading_order", *ORDER_COLUMNS, app_inserts=True),
    gateway("trading_position"),
    gateway("trading_papervenuestate"),
    gateway("trading_bookmemory"),
    gateway("trading_paperorder", *PAPER_ORDER_COLUMNS),
    *gateway_append(*GATEWAY_APPEND_TABLES),
    mutable(
        "trading_instrument",
        "source_label",
        "is_restricted",
        "is_active",
        reported=INSTRUMENT_TERMS,
    ),
    mutable("trading_candlegap", "refilled_at", "reason", "end"),
    mutable("trading_magnet", "dead_at", "detail"),
    mutable("trading_strategy", "is_active"),
    mutable(
        "trading_strategyperformance",
        "total_trades",
        "winning_trades",
        "losing_trades",
        "net_pnl",
        "commission",
        "slippage",
        "funding",
        "win_rate",
        "average_win",
        "average_loss",
        "largest_win",
        "largest_loss",
        "profit_factor",
        "expectancy",
        "expectancy_error",
        "sharpe_ratio",
        "sortino_ratio",
        "max_drawdown",
        "exposure",
        "confidence_score",
        "ready_for_live",
        "ready_for_live_reason",
        "detail",
        "last_trade_at",
        "computed_at",
    ),
    mutable("trading_eventblackout", "withdrawn_at", "withdrawn_label", "withdrawn_reason"),
    mutable(
        "trading_savedstress", "title", "definition", "actor_label", "updated_at", "retired_at"
    ),
    mutable("trading_sleeveproposal", "decision", "decided_by_id", "decided_at"),
    mutable("trading_tradingsession", "ended_at", "summary"),
    mutable("trading_replayrun", "result", "finished_at"),
    mutable(
        "trading_researchrun",
        "state",
        "family",
        "strategy_version",
        "inputs_hash",
        "data_hash",
        "code_version",
        "result",
        "trades_file",
        "equity_file",
        "refusal_code",
        "refusal",
        "progress",
        "wall_ms",
        "started_at",
        "finished_at",
    ),
    mutable(
        "trading_sweepchunk",
        "places",
        "state",
        "token",
        "worker",
        "leased_until",
        "rows_file",
        "refused",
        "new_trials",
        "finished_at",
    ),
]

TRIGGERS = [
    *append_only_triggers(APPEND_ONLY_TABLES),
    *append_only_triggers(["trading_candlefile"]),
    TableTrigger(table="trading_order", name="fuse_gate"),
    TableTrigger(table="trading_order", name="order_told"),
    TableTrigger(table="trading_orderevent", name="told_in_order"),
    TableTrigger(table="trading_paperorder", name="of_claimed"),
    TableTrigger(table="trading_enginetransition", name="engine_order"),
    TableTrigger(table="trading_fill", name="fill_guard"),
    TableTrigger(table="trading_fill", name="position_is_its_fills"),
    TableTrigger(table="trading_fill", name="sum_by_day"),
    TableTrigger(table="trading_fill", name="sum_of_fills"),
    TableTrigger(table="trading_trade", name="sum_by_day"),
    TableTrigger(table="trading_position", name="position_is_its_fills"),
    TableTrigger(table="trading_reconciliation", name="reconciliation_time"),
    TableTrigger(table="trading_valuation", name="by_trader"),
    TableTrigger(table="trading_instrument", name="instrument_terms"),
    TableTrigger(table="trading_sleeveproposal", name="sleeve_signed"),
    TableTrigger(table="trading_strategy", name="sleeve_decided"),
    # Arming asks for what trading knows: that our books and the venue's agreed since the stop.
    TableTrigger(table="risk_fusetransition", name="fuse_transition_rest"),
]
