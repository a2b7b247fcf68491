"""Account snapshots: what the book was worth at an instant."""

from __future__ import annotations

from django.db import models

from magnetfund.core.fields import ExactField, in_range, not_negative
from magnetfund.kernel.clock import utc_now


class Valuation(models.Model):
    """Equity of one book.  ``unit_value`` is flow-adjusted: subscriptions never move it."""

    book = models.CharField(max_length=20, default="main")
    at = models.DateTimeField()
    equity = ExactField()
    cash = ExactField()
    unrealised = ExactField(default=0)
    gross_exposure = ExactField(default=0)
    net_exposure = ExactField(default=0)
    margin_used = ExactField(default=0)
    leverage = models.FloatField(default=0)
    unit_value = ExactField()
    peak_unit_value = ExactField()
    day_start_unit_value = ExactField()
    open_positions = models.PositiveSmallIntegerField(default=0)
    detail = models.JSONField(default=list)
    source = models.CharField(max_length=20, default="trader")
    recorded_at = models.DateTimeField(default=utc_now)

    class Meta:
        ordering = ["at"]
        constraints = [
            models.UniqueConstraint(fields=["book", "at"], name="trading_valuation_once"),
            *in_range("trading_valuation", "equity", "cash", "unrealised", "net_exposure"),
            *not_negative("trading_valuation", "gross_exposure", "margin_used"),
        ]

    def __str__(self) -> str:
        return f"{self.book} {self.at:%Y-%m-%d %H:%M} {self.equity}"
