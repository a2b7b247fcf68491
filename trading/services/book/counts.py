"""What a run of a book has written so far, for its report."""

from __future__ import annotations

from dataclasses import dataclass, field

from risk.domain.fuse import FuseMove, Trigger


@dataclass(slots=True, kw_only=True)
class StepCounts:
    """Counts of a run; ``by_trigger`` counts the fuse's moves by the code of their trigger."""

    bars: int = 0
    orders: int = 0
    denied: int = 0
    fills: int = 0
    trades: int = 0
    fuse_events: int = 0
    resets: int = 0
    refusals: int = 0
    by_trigger: dict[str, int] = field(default_factory=dict)

    def note_fuse(self, event: FuseMove) -> None:
        """Count one move of the fuse."""
        trigger = Trigger(event.trigger)
        self.fuse_events += 1
        self.resets += trigger is Trigger.RESET
        self.by_trigger[trigger.code] = self.by_trigger.get(trigger.code, 0) + 1
