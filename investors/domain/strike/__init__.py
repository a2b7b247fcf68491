"""The NAV strike of a unitised fund: fee terms, prices by class and lot, dealing at the price.

Pure and exact.  ``compute`` strikes, ``recompute`` strikes again by another route, ``dealing``
turns orders into units at the approved price.  Order of the steps and rounding: ``compute``.
"""

from investors.domain.fees import ClassTerms, Hurdle
from investors.domain.strike.compute import compute_strike
from investors.domain.strike.dealing import (
    Crystallisation,
    LotCut,
    RedemptionOrder,
    RedemptionResult,
    SubscriptionOrder,
    SubscriptionResult,
    crystallise_lots,
    deal_redemptions,
    deal_subscription,
)
from investors.domain.strike.merges import PocketMerge, merge_side_pocket
from investors.domain.strike.pockets import count_pocket_units, set_apart
from investors.domain.strike.recompute import recompute_strike
from investors.domain.strike.types import (
    ClassInput,
    ClassMerge,
    ClassPocket,
    ClassStrike,
    LotInput,
    LotStrike,
    MergeInput,
    PocketInput,
    PocketLot,
    Strike,
    StrikeInputs,
)

__all__ = [
    "ClassInput",
    "ClassMerge",
    "ClassPocket",
    "ClassStrike",
    "ClassTerms",
    "Crystallisation",
    "Hurdle",
    "LotCut",
    "LotInput",
    "LotStrike",
    "MergeInput",
    "PocketInput",
    "PocketLot",
    "PocketMerge",
    "RedemptionOrder",
    "RedemptionResult",
    "Strike",
    "StrikeInputs",
    "SubscriptionOrder",
    "SubscriptionResult",
    "compute_strike",
    "count_pocket_units",
    "crystallise_lots",
    "deal_redemptions",
    "deal_subscription",
    "merge_side_pocket",
    "recompute_strike",
    "set_apart",
]
