"""Which units of a holder's lots are free on a day, by the terms of their class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from investors.domain.dealing.liquidity import FreeUnits, LockedLot, compute_free_units
from investors.domain.fees import ClassTerms, LockUp
from investors.domain.strike.types import LotInput


@dataclass(frozen=True, slots=True, kw_only=True)
class FreeLots:
    """Free units by lot, and the soft lock-up's fee rate of each lot that has one."""

    units: dict[str, Decimal]
    fee_rates: dict[str, Decimal]


def list_free_lots(*, terms: ClassTerms, lots: Sequence[LotInput], day: date) -> FreeLots:
    """What may be redeemed of each lot on ``day``."""
    locked = [
        LockedLot(lot=lot.lot, units=lot.units, lockup_until=lot.lockup_until) for lot in lots
    ]
    found: tuple[FreeUnits, ...] = compute_free_units(
        lots=locked, day=day, lock=terms.lock_up, soft_fee_rate=terms.soft_lock_fee_rate
    )
    return FreeLots(
        units={item.lot: item.units for item in found},
        fee_rates={item.lot: item.fee_rate for item in found if item.fee_rate},
    )


def compute_lockup_end(*, terms: ClassTerms, dealing_day: date) -> date | None:
    """The first day on which units issued on ``dealing_day`` are free; ``None``: at once."""
    if terms.lock_up is LockUp.NONE or terms.lock_up_days == 0:
        return None
    return dealing_day + timedelta(days=terms.lock_up_days)
