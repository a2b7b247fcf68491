"""What a book trades: strategies on instruments, in versions."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q

from magnetfund.kernel.clock import utc_now


class BookMember(models.Model):
    """A change of one slot, a strategy on an instrument; its newest row is in force."""

    class State(models.TextChoices):
        TRADING = "trading"
        PAUSED = "paused", "Paused: no new entry, open positions keep their protection"
        LEAVING = "leaving", "Leaving: the position is closed, then the slot is gone"
        GONE = "gone"

    book = models.CharField(max_length=20, default="main")
    version = models.PositiveIntegerField()
    strategy = models.CharField(max_length=40)
    instrument = models.ForeignKey("trading.Instrument", on_delete=models.PROTECT)
    state = models.CharField(max_length=8, choices=State.choices)
    reason = models.CharField(max_length=300)
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True, blank=True
    )
    actor_label = models.CharField(max_length=120)
    occurred_at = models.DateTimeField(default=utc_now)
    recorded_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["book", "version", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["book", "version", "strategy", "instrument"],
                name="trading_bookmember_once",
            ),
            models.CheckConstraint(
                condition=Q(state__in=["trading", "paused", "leaving", "gone"]),
                name="trading_bookmember_known_state",
            ),
        ]
        indexes = [models.Index(fields=["book", "-version"], name="trading_bookmember_newest")]

    def __str__(self) -> str:
        return f"{self.book} v{self.version} {self.strategy} {self.instrument_id} {self.state}"
