"""Dealing rules around the strike: calendar, liquidity terms, order wordings, moves of units.

The engine that prices and cuts lots is :mod:`investors.domain.strike.dealing`.
"""

from investors.domain.dealing.calendar import (
    DealingDate,
    SubscriptionStep,
    choose_dealing_date,
    count_business_days,
    decide_subscription,
)
from investors.domain.dealing.distribution import Allotment, allot_distribution, lower_mark
from investors.domain.dealing.liquidity import (
    FreeUnits,
    GateFill,
    GateRequest,
    Holdback,
    LockedLot,
    RedemptionRefusal,
    cap_by_holder,
    check_redemption,
    compute_free_units,
    fill_gate,
    size_holdback,
)
from investors.domain.dealing.locks import FreeLots, compute_lockup_end, list_free_lots
from investors.domain.dealing.moves import (
    LotMove,
    Switch,
    deal_switch,
    split_side_pocket,
    transfer_units,
)
from investors.domain.dealing.pockets import (
    PocketPart,
    PocketStep,
    change_pocket,
    take_pocket_part,
)
from investors.domain.dealing.sizing import (
    LotUnits,
    gross_of_net,
    order_first_in_first_out,
    size_gross_redemption,
)
from investors.domain.fees import FeeForm, LockUp, Rank
from investors.domain.strike.types import PocketLot

__all__ = [
    "Allotment",
    "DealingDate",
    "FeeForm",
    "FreeLots",
    "FreeUnits",
    "GateFill",
    "GateRequest",
    "Holdback",
    "LockUp",
    "LockedLot",
    "LotMove",
    "LotUnits",
    "PocketLot",
    "PocketPart",
    "PocketStep",
    "Rank",
    "RedemptionRefusal",
    "SubscriptionStep",
    "Switch",
    "allot_distribution",
    "cap_by_holder",
    "change_pocket",
    "check_redemption",
    "choose_dealing_date",
    "compute_free_units",
    "compute_lockup_end",
    "count_business_days",
    "deal_switch",
    "decide_subscription",
    "fill_gate",
    "gross_of_net",
    "list_free_lots",
    "lower_mark",
    "order_first_in_first_out",
    "size_gross_redemption",
    "size_holdback",
    "split_side_pocket",
    "take_pocket_part",
    "transfer_units",
]
