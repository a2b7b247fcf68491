"""Movements of units and the lots that they fold to.

Signs: positive units and cost add to a lot, negative ones take from it.  A movement either opens a
lot (it carries a :class:`LotOpening`) or changes one that is open; a lot is never reopened.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum

from investors.domain.exact import ZERO, coerce_decimals
from investors.domain.strike.types import LotInput
from magnetfund.kernel.errors import InvalidInput


class MovementKind(StrEnum):
    """Why the units of a lot changed."""

    ISSUE = "issue"
    REDEEM = "redeem"
    SWITCH_OUT = "switch_out"
    SWITCH_IN = "switch_in"
    FEE_CANCEL = "fee_cancel"
    EQUALISATION = "equalisation"  # a credit returned as units, or units taken for the manager
    TRANSFER_OUT = "transfer_out"
    TRANSFER_IN = "transfer_in"
    SIDE_POCKET_OUT = "side_pocket_out"
    SIDE_POCKET_IN = "side_pocket_in"
    MERGE = "merge"
    COMPENSATION = "compensation"


#: Kinds that begin a lot; a merge may also end one.
OPENING_KINDS = frozenset(
    {
        MovementKind.ISSUE,
        MovementKind.SWITCH_IN,
        MovementKind.TRANSFER_IN,
        MovementKind.SIDE_POCKET_IN,
        MovementKind.MERGE,
    }
)
#: Kinds that may only take units from a lot.
TAKING_KINDS = frozenset(
    {
        MovementKind.REDEEM,
        MovementKind.SWITCH_OUT,
        MovementKind.FEE_CANCEL,
        MovementKind.TRANSFER_OUT,
        MovementKind.SIDE_POCKET_OUT,
        MovementKind.MERGE,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LotOpening:
    """What a lot is born with.  ``parent`` is the lot that its units were cut from, if any."""

    number: int
    holder: str
    dealing_day: date
    lockup_until: date | None = None
    parent: str | None = None
    is_pocket: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LotMovement:
    """One change of one lot, on ``day``.

    ``mark`` (price per unit) and ``clock`` are the lot's after the movement; ``None`` leaves them.
    An opening names both and adds units.  Raises ``InvalidInput``: ``wrong_sign``,
    ``wrong_opening``.
    """

    lot: str
    kind: MovementKind
    units: Decimal
    day: date
    cost: Decimal = ZERO
    mark: Decimal | None = None
    clock: date | None = None
    opens: LotOpening | None = None

    def __post_init__(self) -> None:
        coerce_decimals(self, "units", "cost", "mark")
        if self.opens is not None:
            if self.kind not in OPENING_KINDS or self.mark is None or self.clock is None:
                raise InvalidInput("an opening states its mark and clock", code="wrong_opening")
            if self.units <= 0:
                raise InvalidInput("an opening adds units", code="wrong_sign")
        elif self.kind in OPENING_KINDS - TAKING_KINDS:
            raise InvalidInput(f"{self.kind} opens a lot", code="wrong_opening")
        elif self.kind in TAKING_KINDS and self.units >= 0:
            raise InvalidInput(f"{self.kind} takes units", code="wrong_sign")
        elif self.kind is MovementKind.COMPENSATION and self.units <= 0:
            raise InvalidInput("compensation adds units", code="wrong_sign")
        if self.mark is not None and self.mark <= 0:
            raise InvalidInput("a mark is positive", code="not_positive")


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldLot:
    """An open lot and what the terms of the class need beside its price inputs."""

    lot: LotInput
    lockup_until: date | None = None
    parent: str | None = None
    is_pocket: bool = False
