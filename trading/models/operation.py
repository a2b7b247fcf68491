"""The engine's state, reconciliations, trading sessions, replay runs."""

from __future__ import annotations

import uuid
from typing import Any

from django.db import models
from django.db.models import Q

from magnetfund.core.fields import ExactField, in_range
from magnetfund.kernel.clock import utc_now
from risk.domain.pretrade.types import EngineState


class Reconciliation(models.Model):
    """Our books against the venue's.  Differences are listed; the venue wins."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    book = models.CharField(max_length=20, default="main")
    is_clean = models.BooleanField()
    differences = models.JSONField(default=list)
    compared = models.JSONField(default=dict)
    occurred_at = models.DateTimeField(default=utc_now)
    recorded_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes = [models.Index(fields=["book", "-occurred_at"], name="trading_recon_latest")]

    def __str__(self) -> str:
        return f"{self.book} {'clean' if self.is_clean else 'differs'}"


class EngineTransition(models.Model):
    """Append-only engine states; the newest row of a book is in force."""

    book = models.CharField(max_length=20, default="main")
    state = models.CharField(
        max_length=11, choices=[(state.value, state.value.title()) for state in EngineState]
    )
    reason = models.CharField(max_length=300, blank=True)
    actor_label = models.CharField(max_length=120)
    reconciliation = models.ForeignKey(
        Reconciliation, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    occurred_at = models.DateTimeField(default=utc_now)
    recorded_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id"]
        indexes = [models.Index(fields=["book", "-id"], name="trading_engine_now")]
        constraints = [
            models.CheckConstraint(
                condition=Q(state__in=[s.value for s in EngineState]),
                name="trading_enginetransition_known",
            ),
            models.CheckConstraint(
                condition=~Q(state="READY") | Q(reconciliation__isnull=False),
                name="trading_enginetransition_ready_reconciled",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.book} {self.state}"


class TradingSession(models.Model):
    """One stretch of trading with the checklist that preceded it."""

    book = models.CharField(max_length=20, default="main")
    mode = models.CharField(max_length=8, default="paper")
    started_at = models.DateTimeField(default=utc_now)
    ended_at = models.DateTimeField(null=True, blank=True)
    checklist = models.JSONField(default=dict)
    summary = models.JSONField(default=dict, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["book"],
                condition=Q(ended_at=None),
                name="trading_tradingsession_one_open",
            )
        ]

    @property
    def sleeves(self) -> list[dict[str, Any]]:
        """What was checked before it, by sleeve."""
        found: list[dict[str, Any]] = self.checklist.get("sleeves", [])
        return found

    def __str__(self) -> str:
        return f"{self.book} from {self.started_at:%Y-%m-%d %H:%M}"


class ReplayRun(models.Model):
    """A run of the whole flow through imported history, with what it measured."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    book = models.CharField(max_length=20, default="main")
    parameters = models.JSONField()
    result = models.JSONField(default=dict, blank=True)
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"replay {self.id}"


class BookFlow(models.Model):
    """Money that came into a book (> 0) or left it (< 0) and is no result: dealing, fees, costs.

    Written by whoever books the flow in the ledger; the trader applies each once, in order.
    """

    book = models.CharField(max_length=20, default="main")
    amount = ExactField()
    source_ref = models.CharField(max_length=120, unique=True)
    text = models.CharField(max_length=200)
    occurred_at = models.DateTimeField(default=utc_now)
    recorded_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            *in_range("trading_bookflow", "amount"),
            models.CheckConstraint(condition=~Q(amount=0), name="trading_bookflow_not_zero"),
        ]
        indexes = [models.Index(fields=["book", "id"], name="trading_bookflow_next")]

    def __str__(self) -> str:
        return f"{self.book} {self.amount} {self.text}"
