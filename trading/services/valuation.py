"""Account snapshots, one at a time by the trader or by the hundred in a replay."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from trading.models import Valuation


@dataclass(frozen=True, slots=True, kw_only=True)
class BookValue:
    """What the book is worth at ``at``.  ``detail`` lists the open positions."""

    at: datetime
    equity: Decimal
    cash: Decimal
    unrealised: Decimal
    gross_exposure: Decimal
    net_exposure: Decimal
    margin_used: Decimal
    unit_value: Decimal
    peak_unit_value: Decimal
    day_start_unit_value: Decimal
    open_positions: int
    detail: Sequence[dict[str, Any]] = field(default=())

    @property
    def leverage(self) -> float:
        return float(self.gross_exposure / self.equity) if self.equity > 0 else 0.0


def take_valuations(*, book: str, values: Sequence[BookValue], source: str) -> int:
    """Store snapshots; an instant that has one keeps it.  Returns how many were given."""
    Valuation.objects.bulk_create(
        [
            Valuation(
                book=book,
                at=value.at,
                equity=value.equity,
                cash=value.cash,
                unrealised=value.unrealised,
                gross_exposure=value.gross_exposure,
                net_exposure=value.net_exposure,
                margin_used=value.margin_used,
                leverage=value.leverage,
                unit_value=value.unit_value,
                peak_unit_value=value.peak_unit_value,
                day_start_unit_value=value.day_start_unit_value,
                open_positions=value.open_positions,
                detail=list(value.detail),
                source=source,
            )
            for value in values
        ],
        ignore_conflicts=True,
        batch_size=1000,
    )
    return len(values)
