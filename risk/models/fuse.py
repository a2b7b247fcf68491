"""The fuse: events, transitions, resets, and what the engine remembers of it."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q

from magnetfund.kernel.clock import utc_now
from risk.domain.fuse.types import FuseState

FUND_SCOPE = "fund"


class FuseEvent(models.Model):
    """Append-only record of fuse measurements and actions (FUSE-4).

    A stop of the fund is such a row and nothing else.  Its insert waits for nobody: the account is
    a plain id without a foreign key, because the key's row lock is one that others can hold.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    book = models.CharField(max_length=20, default="main")
    scope = models.CharField(max_length=60, default=FUND_SCOPE)
    kind = models.CharField(max_length=30)
    trigger = models.CharField(max_length=40, blank=True)
    strategy = models.CharField(max_length=40, blank=True)
    severity = models.FloatField(null=True, blank=True)
    measured = models.JSONField(default=dict)
    limits_version = models.PositiveIntegerField(null=True, blank=True)
    action = models.CharField(max_length=200, blank=True)
    positions_closed = models.PositiveIntegerField(null=True, blank=True)
    latency_ms = models.FloatField(null=True, blank=True)
    reason = models.CharField(max_length=500, blank=True)
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        related_name="+",
        null=True,
        blank=True,
        db_constraint=False,
    )
    actor_label = models.CharField(max_length=120)
    occurred_at = models.DateTimeField(default=utc_now)
    recorded_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["occurred_at", "recorded_at"]
        indexes = [
            models.Index(fields=["book", "-occurred_at"], name="risk_fuseevent_latest"),
            models.Index(
                fields=["book"],
                condition=Q(scope=FUND_SCOPE, kind__in=["tripped", "disarmed"]),
                name="risk_fuseevent_stops",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.occurred_at:%Y-%m-%d %H:%M} {self.scope} {self.kind} {self.trigger}"


class FuseReset(models.Model):
    """A request to re-arm the fund: two people, a reason, a clean reconciliation."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    book = models.CharField(max_length=20, default="main")
    event = models.ForeignKey(
        FuseEvent, on_delete=models.PROTECT, related_name="resets", null=True, blank=True
    )
    trigger = models.CharField(max_length=40, blank=True)
    stops = ArrayField(
        models.UUIDField(),
        default=list,
        blank=True,
        help_text="The stops that its signers saw; PostgreSQL fills it.",
    )
    reason = models.CharField(max_length=500)
    reconciliation = models.CharField(
        max_length=80, help_text="The clean reconciliation run that it rests on."
    )
    proposed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )
    proposed_at = models.DateTimeField(default=utc_now)
    approved_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        related_name="+",
        null=True,
        blank=True,
    )
    approved_at = models.DateTimeField(null=True, blank=True)
    director = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        related_name="+",
        null=True,
        blank=True,
    )
    withdrawn_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(approved_by=None) | ~Q(approved_by=F("proposed_by")),
                name="risk_fusereset_four_eyes",
            ),
            models.CheckConstraint(
                condition=Q(approved_by=None, approved_at=None)
                | Q(approved_by__isnull=False, approved_at__isnull=False),
                name="risk_fusereset_approved_whole",
            ),
            models.CheckConstraint(condition=~Q(reason=""), name="risk_fusereset_has_reason"),
        ]

    def __str__(self) -> str:
        return f"reset {self.id}"


class FuseStopReset(models.Model):
    """Which arming ended which stop of the fund; the arming's trigger alone writes it."""

    event = models.OneToOneField(
        FuseEvent,
        on_delete=models.PROTECT,
        primary_key=True,
        related_name="stop_reset",
        db_constraint=False,
    )
    reset = models.ForeignKey(
        FuseReset, on_delete=models.PROTECT, related_name="stop_resets", db_constraint=False
    )
    recorded_at = models.DateTimeField(default=utc_now)

    def __str__(self) -> str:
        return f"{self.event_id} ended by {self.reset_id}"


class FuseTransition(models.Model):
    """Append-only states of the fund's armings and of instruments.

    A fund-scope ``ARMED`` row needs an approved, unused :class:`FuseReset` (a trigger checks).
    ``follows`` is the newest REDUCING row that a clearing saw; a later one stays in force.
    """

    book = models.CharField(max_length=20, default="main")
    scope = models.CharField(max_length=60, default=FUND_SCOPE)
    state = models.CharField(
        max_length=8, choices=[(state.value, state.value.title()) for state in FuseState]
    )
    event = models.ForeignKey(
        FuseEvent, on_delete=models.PROTECT, related_name="transitions", null=True, blank=True
    )
    reset = models.OneToOneField(
        FuseReset, on_delete=models.PROTECT, related_name="transition", null=True, blank=True
    )
    follows = models.BigIntegerField(null=True, blank=True, editable=False)
    occurred_at = models.DateTimeField(default=utc_now)
    recorded_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id"]
        indexes = [models.Index(fields=["book", "scope", "-id"], name="risk_fusetransition_now")]
        constraints = [
            models.CheckConstraint(
                condition=Q(state__in=[s.value for s in FuseState]),
                name="risk_fusetransition_known_state",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.book}/{self.scope} {self.state}"


class StrategyLock(models.Model):
    """A strategy that may not enter until a time (three losses in a row)."""

    book = models.CharField(max_length=20, default="main")
    strategy = models.CharField(max_length=40)
    locked_at = models.DateTimeField(default=utc_now)
    until = models.DateTimeField()
    event = models.ForeignKey(FuseEvent, on_delete=models.PROTECT, related_name="+")

    class Meta:
        indexes = [
            models.Index(fields=["book", "strategy", "-until"], name="risk_strategylock_now")
        ]

    def __str__(self) -> str:
        return f"{self.strategy} until {self.until:%Y-%m-%d %H:%M}"
