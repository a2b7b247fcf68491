"""Derived figures of sleeves, and the journal of people who watch them."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from magnetfund.core.fields import ExactField
from magnetfund.kernel.clock import utc_now


class StrategyPerformance(models.Model):
    """Figures of a sleeve's closed trades; ``recalculate_performance`` makes all of them anew.

    ``latest`` and ``day`` count from the first trade to the end of the period, ``month`` counts
    that month alone.  Ratios are float64, NULL where there are too few trades to say.
    """

    class Kind(models.TextChoices):
        LATEST = "latest"
        DAY = "day"
        MONTH = "month"

    book = models.CharField(max_length=20, default="main")
    strategy = models.CharField(max_length=40)
    kind = models.CharField(max_length=6, choices=Kind.choices)
    period = models.DateField(help_text="The day, or the first day of the month.")
    total_trades = models.PositiveIntegerField()
    winning_trades = models.PositiveIntegerField()
    losing_trades = models.PositiveIntegerField()
    net_pnl = ExactField()
    commission = ExactField()
    slippage = ExactField()
    funding = ExactField()
    win_rate = models.FloatField(null=True, blank=True)
    average_win = models.FloatField(null=True, blank=True)
    average_loss = models.FloatField(null=True, blank=True)
    largest_win = models.FloatField(null=True, blank=True)
    largest_loss = models.FloatField(null=True, blank=True)
    profit_factor = models.FloatField(null=True, blank=True)
    expectancy = models.FloatField(null=True, blank=True)
    expectancy_error = models.FloatField(null=True, blank=True)
    sharpe_ratio = models.FloatField(null=True, blank=True)
    sortino_ratio = models.FloatField(null=True, blank=True)
    max_drawdown = models.FloatField(null=True, blank=True)
    exposure = models.FloatField(null=True, blank=True)
    confidence_score = models.FloatField(default=0.0)
    ready_for_live = models.BooleanField(default=False)
    ready_for_live_reason = models.TextField(blank=True)
    detail = models.JSONField(default=dict)
    last_trade_at = models.DateTimeField(null=True, blank=True)
    computed_at = models.DateTimeField(default=utc_now)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["book", "strategy", "kind", "period"],
                name="trading_strategyperformance_once",
            ),
            models.CheckConstraint(
                condition=models.Q(
                    total_trades=models.F("winning_trades") + models.F("losing_trades")
                ),
                name="trading_strategyperformance_counts",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.strategy} {self.kind} {self.period}"


class StrategyNote(models.Model):
    """A note in the journal of a sleeve; it is only ever added to."""

    book = models.CharField(max_length=20, default="main")
    strategy = models.CharField(max_length=40)
    text = models.CharField(max_length=2_000)
    tags = models.JSONField(default=list)
    author = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    written_at = models.DateTimeField(default=utc_now)

    class Meta:
        indexes = [
            models.Index(fields=["book", "strategy", "-written_at"], name="trading_note_newest")
        ]

    def __str__(self) -> str:
        return f"{self.strategy}: {self.text[:40]}"
