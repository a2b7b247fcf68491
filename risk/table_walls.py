"""Declared grant class of every table of the risk app, and the triggers that guard them."""

from __future__ import annotations

from magnetfund.core.walls import (
    TableTrigger,
    append_only,
    append_only_triggers,
    gateway_append,
    mutable,
    owner_only,
    read_only,
)

#: Written by the owner's functions alone.
OWNER_TABLES = ("risk_fusestopreset", "risk_fusebarrier", "risk_limitset")

#: States of instruments, by the trader; armings of the fund, by a function of the owner.
TRADER_TABLES = ("risk_fusetransition",)

APPEND_ONLY_TABLES = (
    "risk_fuseevent",
    "risk_strategylock",
    "risk_pretradecheck",
    "risk_riskmeasure",
    *TRADER_TABLES,
    *OWNER_TABLES,
)

GRANTS = [
    *append_only(*(t for t in APPEND_ONLY_TABLES if t not in (*TRADER_TABLES, *OWNER_TABLES))),
    *gateway_append(*TRADER_TABLES),
    *read_only(*OWNER_TABLES),
    *read_only("risk_wallinstance", "risk_scenarioclock"),
    # No run-time role can lock a row of the latch by a statement of its own.
    *owner_only("risk_fuselatch"),
    mutable("risk_limitproposal", "withdrawn_at"),
    mutable("risk_fusereset", "withdrawn_at"),
    mutable("risk_reservation", "state", "released_at"),
]

TRIGGERS = [
    *append_only_triggers(APPEND_ONLY_TABLES),
    TableTrigger(table="risk_fuseevent", name="stop_time"),
    TableTrigger(table="risk_fusetransition", name="fuse_transition_guard"),
    TableTrigger(table="risk_fusereset", name="fuse_reset_guard"),
    TableTrigger(table="risk_fusereset", name="withdrawn_for_good"),
    TableTrigger(table="risk_limitproposal", name="withdrawn_for_good"),
]
