"""The pure journal: chart of accounts, accounting events, balanced entries, trial balance."""

from investors.domain.ledger.balances import (
    TrialRow,
    build_trial_balance,
    value_net_assets,
)
from investors.domain.ledger.build import (
    JointLine,
    build_entry,
    build_joint_entry,
    find_event,
    reverse_entry,
)
from investors.domain.ledger.chart import ACCOUNTS, CHART, LedgerAccount, find_account
from investors.domain.ledger.events import EVENTS
from investors.domain.ledger.types import (
    Event,
    JournalEntry,
    Leg,
    Measure,
    PostingRule,
    Tags,
    sum_legs,
)

__all__ = [
    "ACCOUNTS",
    "CHART",
    "EVENTS",
    "Event",
    "JointLine",
    "JournalEntry",
    "LedgerAccount",
    "Leg",
    "Measure",
    "PostingRule",
    "Tags",
    "TrialRow",
    "build_entry",
    "build_joint_entry",
    "build_trial_balance",
    "find_account",
    "find_event",
    "reverse_entry",
    "sum_legs",
    "value_net_assets",
]
