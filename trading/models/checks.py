"""What background checks found: leverage recalculated, accounts compared with their moves."""

from __future__ import annotations

from django.db import models

from magnetfund.core.fields import ExactField, in_range
from magnetfund.kernel.clock import utc_now


class LeverageReading(models.Model):
    """Leverage that formula and caps give an instrument at a time; kept where it changed."""

    instrument = models.ForeignKey("trading.Instrument", on_delete=models.PROTECT)
    at = models.DateTimeField()
    price = ExactField()
    leverage = models.FloatField()
    tier = models.PositiveSmallIntegerField()
    binding = models.CharField(max_length=40)
    caps = models.JSONField(help_text="Name, value, status and words of every cap.")
    inputs = models.JSONField()
    recorded_at = models.DateTimeField(default=utc_now)

    class Meta:
        ordering = ["-at"]
        constraints = [
            models.UniqueConstraint(
                fields=["instrument", "at"], name="trading_leveragereading_once"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.instrument_id} {self.at:%Y-%m-%d %H:%M} {self.leverage:.2f}x"


class AccountSnapshot(models.Model):
    """A book's account at a time as reported, and what its cash should be by its own moves."""

    book = models.CharField(max_length=20, default="main")
    at = models.DateTimeField()
    valued_at = models.DateTimeField()
    equity = ExactField()
    cash = ExactField()
    unrealised = ExactField()
    leverage = models.FloatField()
    fuse_state = models.CharField(max_length=10)
    open_positions = models.PositiveSmallIntegerField()
    expected_cash = ExactField(help_text="Cash of the last snapshot and every move since.")
    difference = ExactField(help_text="Cash less expected cash.")
    recorded_at = models.DateTimeField(default=utc_now)

    class Meta:
        ordering = ["-at"]
        constraints = [
            models.UniqueConstraint(fields=["book", "at"], name="trading_accountsnapshot_once"),
            *in_range("trading_accountsnapshot", "equity", "cash", "unrealised"),
            *in_range("trading_accountsnapshot", "expected_cash", "difference"),
        ]

    def __str__(self) -> str:
        return f"{self.book} {self.at:%Y-%m-%d %H:%M} {self.equity}"
