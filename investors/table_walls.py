"""Declared grant class of every table of the investors app, and the triggers that guard them."""

from __future__ import annotations

from magnetfund.core.walls import (
    Trigger,
    append_only,
    append_only_triggers,
    mutable,
    read_only,
)

APPEND_ONLY_TABLES = (
    "investors_classpolicyversion",
    "investors_fundholiday",
    "investors_entry",
    "investors_posting",
    "investors_unitentry",
    "investors_classnav",
    "investors_lotnav",
    "investors_kyccheck",
    "investors_screening",
    "investors_kycmove",
)

GRANTS = [
    *append_only(*APPEND_ONLY_TABLES),
    *read_only("investors_entrybalance"),
    # A lot's units, mark and clock move with its unit entries, by a trigger and nothing else.
    *append_only("investors_unitlot"),
    mutable("investors_fund", "is_suspended"),
    mutable("investors_termsproposal", "policy_id", "withdrawn_at"),
    mutable("investors_shareclass", "name", "minimum_subscription"),
    mutable("investors_account", "name"),
    mutable(
        "investors_investor",
        "user_id",
        "legal_name",
        "email",
        "country",
        "kyc_state",
        "kyc_approved_at",
    ),
    mutable(
        "investors_kyccase",
        "points",
        "risk",
        "is_politically_exposed",
        "rating_reason",
        "reviewed_by_id",
        "reviewed_at",
        "reviewed_hash",
        "seconded_by_id",
        "seconded_at",
        "approved_by_id",
        "approved_at",
        "review_due",
        "waiting_since",
    ),
    mutable("investors_holding", "reserved_units", "updated_at"),
    mutable("investors_dealingday", "is_suspended"),
    mutable(
        "investors_dealingorder",
        "state",
        "dealing_day_id",
        "strike_id",
        "units",
        "funded_at",
        "rolls",
        "dealt_units",
        "dealt_price",
        "dealt_amount",
        "fee_amount",
        "reason",
        "updated_at",
    ),
    mutable(
        "investors_navstrike",
        "state",
        "approved_by_id",
        "approved_at",
        "approved_hash",
        "rejected_reason",
        "dealt_at",
    ),
    mutable(
        "investors_investorsnapshot",
        "units",
        "value",
        "net_invested",
        "share_of_fund",
        "is_estimate",
    ),
]

TRIGGERS = [
    *append_only_triggers(APPEND_ONLY_TABLES),
    Trigger(table="investors_entry", name="ledger_chain"),
    Trigger(table="investors_entry", name="ledger_has_postings"),
    Trigger(table="investors_entry", name="ledger_period"),
    Trigger(table="investors_posting", name="ledger_open_entry"),
    Trigger(table="investors_posting", name="ledger_sum"),
    Trigger(table="investors_entrybalance", name="ledger_balanced"),
    Trigger(table="investors_entrybalance", name="ledger_balance_kept"),
    Trigger(table="investors_navstrike", name="nav_strike_guard"),
    Trigger(table="investors_unitentry", name="unit_entry_apply"),
    Trigger(table="investors_unitlot", name="unit_lot_starts_empty"),
    Trigger(table="investors_holding", name="holding_starts_empty"),
]
