"""Pre-trade checks, what they reserve, and measures of risk."""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import Q

from magnetfund.core.fields import ExactField, not_negative
from magnetfund.kernel.clock import utc_now


class PreTradeCheck(models.Model):
    """The verdict on one order intent.  An exposure-adding order must name an accepted one."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    book = models.CharField(max_length=20, default="main")
    order_id = models.UUIDField(unique=True)
    instrument = models.CharField(max_length=60)
    strategy = models.CharField(max_length=40, blank=True)
    side = models.CharField(max_length=4)
    quantity = ExactField()
    notional = ExactField()
    accepted = models.BooleanField()
    denials = models.JSONField(default=list)
    checks = models.JSONField(default=list)
    limits_version = models.PositiveIntegerField()
    occurred_at = models.DateTimeField(default=utc_now)
    recorded_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = not_negative("risk_pretradecheck", "quantity", "notional")
        indexes = [models.Index(fields=["book", "-occurred_at"], name="risk_pretrade_latest")]

    def __str__(self) -> str:
        return f"{self.instrument} {self.side} {'accepted' if self.accepted else 'denied'}"


class Reservation(models.Model):
    """Margin set aside for an accepted order until it is filled, refused or expired."""

    class State(models.TextChoices):
        HELD = "held"
        RELEASED = "released"

    check_row = models.OneToOneField(
        PreTradeCheck, on_delete=models.PROTECT, related_name="reservation"
    )
    order_id = models.UUIDField(unique=True)
    book = models.CharField(max_length=20, default="main")
    instrument = models.CharField(max_length=60)
    margin = ExactField()
    notional = ExactField()
    state = models.CharField(max_length=8, choices=State.choices, default=State.HELD)
    held_at = models.DateTimeField(default=utc_now)
    released_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = not_negative("risk_reservation", "margin", "notional")
        indexes = [
            models.Index(
                fields=["book", "instrument"],
                condition=Q(state="held"),
                name="risk_reservation_held",
            )
        ]

    def __str__(self) -> str:
        return f"{self.instrument} {self.margin} {self.state}"


class RiskMeasure(models.Model):
    """A computed risk figure set (VaR, liquidation odds, stress) with its inputs and seed."""

    book = models.CharField(max_length=20, default="main")
    kind = models.CharField(max_length=40)
    values = models.JSONField()
    inputs_hash = models.CharField(max_length=64, blank=True)
    seed = models.BigIntegerField(null=True, blank=True)
    occurred_at = models.DateTimeField(default=utc_now)
    recorded_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes = [models.Index(fields=["book", "kind", "-occurred_at"], name="risk_measure_now")]

    def __str__(self) -> str:
        return f"{self.kind} at {self.occurred_at:%Y-%m-%d %H:%M}"
