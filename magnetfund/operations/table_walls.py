"""Declared grant class of the tables of platform upkeep."""

from __future__ import annotations

from magnetfund.core.walls import Trigger, append_only, append_only_triggers

APPEND_ONLY_TABLES = ("operations_backup", "operations_backupcheck")

#: People, approvals, money and orders: no background job writes a row of these.
NOT_BY_WORKER = (
    "account_emailaddress",
    "core_rolegrant",
    "core_roleproposal",
    "core_signaturerequest",
    "core_systemconfig",
    "core_user",
    "investors_classpolicyversion",
    "investors_dealingorder",
    "investors_entry",
    "investors_fund",
    "investors_fundaccount",
    "investors_lineallocation",
    "investors_navstrike",
    "investors_payeeaccount",
    "investors_payment",
    "investors_posting",
    "investors_statementline",
    "investors_suspensionproposal",
    "investors_termsproposal",
    "investors_unitentry",
    "investors_unitlot",
    "mfa_authenticator",
    "risk_fusereset",
    "risk_limitproposal",
    "risk_pretradecheck",
    "trading_bookmember",
    "trading_enginetransition",
    "trading_order",
    "trading_sleeveproposal",
)

GRANTS = [*append_only(*APPEND_ONLY_TABLES)]

TRIGGERS = [
    *append_only_triggers(APPEND_ONLY_TABLES),
    *(Trigger(table=table, name="not_by_worker") for table in NOT_BY_WORKER),
]
