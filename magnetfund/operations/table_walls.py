"""Declared grant class of the tables of platform upkeep."""

from __future__ import annotations

from magnetfund.core.walls import TableTrigger, append_only_triggers, backup_append

APPEND_ONLY_TABLES = ("operations_backup", "operations_backupcheck", "operations_backupcopy")

#: People, approvals, money and orders: no background job writes a row of these.
NOT_BY_WORKER = (
    "account_emailaddress",
    "auth_group",
    "auth_group_permissions",
    "core_rolegrant",
    "core_roleproposal",
    "core_signaturerequest",
    "core_systemconfig",
    "core_user",
    "core_user_groups",
    "core_user_user_permissions",
    "investors_accountchange",
    "investors_adviseraccess",
    "investors_agreementtext",
    "investors_bookbreak",
    "investors_classnav",
    "investors_classpolicyversion",
    "investors_dealingorder",
    "investors_dealingproposal",
    "investors_deathreport",
    "investors_distribution",
    "investors_entry",
    "investors_estatestep",
    "investors_expense",
    "investors_expensechange",
    "investors_fund",
    "investors_fundaccount",
    "investors_fundholiday",
    "investors_kyccheck",
    "investors_lineallocation",
    "investors_lotnav",
    "investors_navstrike",
    "investors_parterm",
    "investors_payeeaccount",
    "investors_payment",
    "investors_paymentfile",
    "investors_pocketchange",
    "investors_pocketentry",
    "investors_posting",
    "investors_powerofattorney",
    "investors_rateproposal",
    "investors_rebate",
    "investors_restatement",
    "investors_shareclass",
    "investors_sidepocket",
    "investors_signature",
    "investors_statementfile",
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
    "trading_strategy",
)

#: What a trader keeps: a holder of its lease that was replaced writes no row of these.
UNDER_LEASE = (
    "core_heartbeat",
    "risk_fusetransition",
    "risk_reservation",
    "trading_bookmember",
    "trading_bookmemory",
    "trading_enginetransition",
    "trading_fill",
    "trading_fundingpayment",
    "trading_magnet",
    "trading_order",
    "trading_orderevent",
    "trading_paperevent",
    "trading_paperorder",
    "trading_papervenuestate",
    "trading_position",
    "trading_proposal",
    "trading_reconciliation",
    "trading_signal",
    "trading_trade",
    "trading_valuation",
)

# A restore test that was never made is written by nobody but the process that makes them.
GRANTS = [*backup_append(*APPEND_ONLY_TABLES)]

TRIGGERS = [
    *append_only_triggers(APPEND_ONLY_TABLES),
    *(TableTrigger(table=table, name="not_by_worker") for table in NOT_BY_WORKER),
    *(TableTrigger(table=table, name="under_lease") for table in UNDER_LEASE),
]
