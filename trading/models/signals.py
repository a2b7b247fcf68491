"""What the platform saw and decided: magnets, per-bar readings, strategies, proposals."""

from __future__ import annotations

import uuid

from django.db import models

from magnetfund.core.fields import ExactField, not_negative
from magnetfund.kernel.clock import utc_now


class Strategy(models.Model):
    """A sleeve: one strategy with one version of its parameters and its share of risk."""

    code = models.CharField(max_length=40)
    version = models.PositiveIntegerField(default=1)
    name = models.CharField(max_length=120)
    parameters = models.JSONField(default=dict)
    risk_fraction = ExactField()
    timeframe = models.CharField(max_length=4, default="1h")
    is_active = models.BooleanField(default=True)
    expectation = models.TextField(blank=True, help_text="What may honestly be expected of it.")
    created_at = models.DateTimeField(default=utc_now)

    class Meta:
        verbose_name_plural = "strategies"
        constraints = [
            models.UniqueConstraint(fields=["code", "version"], name="trading_strategy_version"),
            *not_negative("trading_strategy", "risk_fraction"),
        ]

    def __str__(self) -> str:
        return f"{self.code} v{self.version}"


class Magnet(models.Model):
    """A level where orders plausibly cluster, alive on ``[known_at, dead_at)``."""

    instrument = models.ForeignKey("trading.Instrument", on_delete=models.PROTECT)
    kind = models.CharField(max_length=24)
    timeframe = models.CharField(max_length=4)
    side = models.CharField(max_length=8, blank=True)
    price = models.FloatField()
    created_at = models.DateTimeField()
    known_at = models.DateTimeField()
    dead_at = models.DateTimeField(null=True, blank=True)
    detail = models.JSONField(default=dict)
    params_version = models.CharField(max_length=20, default="1")

    class Meta:
        indexes = [
            models.Index(fields=["instrument", "known_at"], name="trading_magnet_known"),
            models.Index(fields=["instrument", "price"], name="trading_magnet_price"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["instrument", "kind", "timeframe", "known_at", "price", "params_version"],
                name="trading_magnet_once",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.timeframe} {self.price}"


class Signal(models.Model):
    """The reading of one closed bar: zones, targets, conflict, leverage inputs, both directions."""

    instrument = models.ForeignKey("trading.Instrument", on_delete=models.PROTECT)
    timeframe = models.CharField(max_length=4)
    known_at = models.DateTimeField()
    close = models.FloatField()
    atr = models.FloatField(null=True, blank=True)
    reading = models.JSONField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["instrument", "timeframe", "known_at"], name="trading_signal_once"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.instrument_id} {self.known_at:%Y-%m-%d %H:%M}"


class Proposal(models.Model):
    """One decision of one strategy: the proposed trade, or the reason for none."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    book = models.CharField(max_length=20, default="main")
    strategy = models.CharField(max_length=40)
    instrument = models.ForeignKey("trading.Instrument", on_delete=models.PROTECT)
    decided_at = models.DateTimeField()
    direction = models.CharField(max_length=5, blank=True)
    is_trade = models.BooleanField(default=False)
    reason = models.CharField(max_length=60, blank=True)
    entry_price = ExactField(null=True, blank=True)
    stop_price = ExactField(null=True, blank=True)
    target_price = ExactField(null=True, blank=True)
    quantity = ExactField(null=True, blank=True)
    leverage = models.FloatField(null=True, blank=True)
    tier = models.PositiveSmallIntegerField(null=True, blank=True)
    leverage_decision = models.JSONField(default=dict, blank=True)
    sizing_decision = models.JSONField(default=dict, blank=True)
    why = models.TextField(blank=True)
    recorded_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["book", "strategy", "instrument", "decided_at"],
                name="trading_proposal_once",
            ),
        ]
        indexes = [models.Index(fields=["book", "-decided_at"], name="trading_proposal_latest")]

    def __str__(self) -> str:
        return f"{self.strategy} {self.instrument_id} {self.decided_at:%Y-%m-%d %H:%M}"
