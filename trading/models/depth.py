"""What the stream told of an instrument's order book, by the minute."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from magnetfund.kernel.clock import utc_now


class DepthMinute(models.Model):
    """One minute of a streamed book: its profile, its walls, the liquidations told in it.

    Kept for a day, which is what walls of the next minute are measured against; the walls that
    became levels stay as rows of :class:`Magnet`.
    """

    # The unique constraint leads with the instrument.
    instrument = models.ForeignKey(
        "trading.Instrument", on_delete=models.PROTECT, related_name="+", db_index=False
    )
    at = models.DateTimeField(help_text="The end of the minute.")
    bucket = models.FloatField(help_text="Height of a bucket of the profile, in price.")
    profile = models.BinaryField(null=True, help_text="Sizes by bucket; null without a book.")
    walls = models.JSONField(default=list)
    reason = models.CharField(max_length=20, blank=True, help_text="Why no wall can be named.")
    forced = models.JSONField(
        default=list, help_text="Liquidations: time (ms), side of the order, price, quantity."
    )
    recorded_at = models.DateTimeField(default=utc_now)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["instrument", "at"], name="trading_depthminute_once"),
            models.CheckConstraint(condition=Q(bucket__gt=0), name="trading_depthminute_bucket"),
        ]
        indexes = [models.Index(fields=["at"], name="trading_depthminute_age")]

    def __str__(self) -> str:
        return f"{self.instrument_id} {self.at:%Y-%m-%d %H:%M}"
