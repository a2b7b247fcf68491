"""Research as stored: runs of backtests and sweeps with their chunks, the register of trials.

A trial counts for ever: its row is append-only, and equal inputs are one trial.  Figures of a run
are float64 (research, no books); what a page shows is kept as JSON, every trade and mark as
Parquet.
"""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q

from magnetfund.kernel.clock import utc_now


class RunState(models.TextChoices):
    WAITING = "waiting"
    RUNNING = "running"
    PAUSED = "paused"
    DONE = "done"
    REFUSED = "refused"
    FAILED = "failed"
    CANCELLED = "cancelled"
    REPEATED = "repeated"


class ResearchRun(models.Model):
    """A backtest, a sweep or a study: what was asked, by whom, and what came of it.

    ``inputs_hash`` is made of the request, the rules in force, the bars and the strategy's own
    text; a finished run with the same hash is shown instead of computed again.
    """

    class Kind(models.TextChoices):
        BACKTEST = "backtest"
        SWEEP = "sweep"
        EVIDENCE = "evidence"
        SURVIVAL = "survival"

    kind = models.CharField(max_length=10, choices=Kind.choices, default=Kind.BACKTEST)
    state = models.CharField(max_length=10, choices=RunState.choices, default=RunState.WAITING)
    title = models.CharField(max_length=160)
    family = models.CharField(max_length=60, blank=True)
    strategy_version = models.CharField(max_length=80, blank=True)
    request = models.JSONField()
    inputs_hash = models.CharField(max_length=64, blank=True)
    data_hash = models.CharField(max_length=64, blank=True)
    code_version = models.CharField(max_length=60, blank=True)
    seed = models.BigIntegerField(null=True, blank=True)
    result = models.JSONField(default=dict, blank=True)
    trades_file = models.BinaryField(null=True, blank=True)
    equity_file = models.BinaryField(null=True, blank=True)
    refusal_code = models.CharField(max_length=60, blank=True)
    refusal = models.CharField(max_length=400, blank=True)
    progress = models.FloatField(default=0.0)
    wall_ms = models.PositiveIntegerField(null=True, blank=True)
    asked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True, blank=True
    )
    actor_label = models.CharField(max_length=120)
    created_at = models.DateTimeField(default=utc_now)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["kind", "inputs_hash"],
                condition=Q(state="done") & ~Q(inputs_hash=""),
                name="trading_researchrun_once",
            ),
            models.CheckConstraint(
                condition=~Q(state="done") | Q(finished_at__isnull=False),
                name="trading_researchrun_finished",
            ),
        ]
        indexes = [
            models.Index(
                fields=["id"],
                condition=Q(state__in=["waiting", "running"]),
                name="trading_researchrun_open",
            ),
            models.Index(fields=["kind", "-id"], name="trading_researchrun_newest"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.pk}: {self.title}"

    @property
    def seconds(self) -> float | None:
        """Wall time of the work."""
        return None if self.wall_ms is None else self.wall_ms / 1000


class Trial(models.Model):
    """One variant that was ever tried, with the daily Sharpe that it showed (NULL: no trade)."""

    family = models.CharField(max_length=60)
    strategy = models.CharField(max_length=60)
    parameters = models.JSONField(default=dict)
    inputs_hash = models.CharField(max_length=64, unique=True)
    data_hash = models.CharField(max_length=64)
    run = models.ForeignKey(ResearchRun, on_delete=models.PROTECT, related_name="trials")
    sharpe_daily = models.FloatField(null=True, blank=True)
    days = models.PositiveIntegerField(default=0)
    trades = models.PositiveIntegerField(default=0)
    seen = models.FloatField(null=True, blank=True)
    unseen = models.FloatField(null=True, blank=True)
    total_return = models.FloatField(null=True, blank=True)
    drawdown_max = models.FloatField(null=True, blank=True)
    first_at = models.DateTimeField()
    last_at = models.DateTimeField()
    recorded_at = models.DateTimeField(default=utc_now)

    class Meta:
        indexes = [models.Index(fields=["family"], name="trading_trial_family")]

    def __str__(self) -> str:
        return f"{self.family}: {self.strategy}"


class SweepChunk(models.Model):
    """Some variants of a sweep: free, taken by a worker under a lease, or done.

    ``token`` grows with every taking and fences: a worker whose lease ran out and whose chunk was
    taken by another writes nothing.  ``rows_file`` holds what the variants gave (float64) until the
    sweep is judged.  A search decides ``places`` when the chunk is taken; a chunk may be taken once
    every chunk of the generations before it is done.
    """

    class State(models.TextChoices):
        FREE = "free"
        TAKEN = "taken"
        DONE = "done"

    run = models.ForeignKey(ResearchRun, on_delete=models.PROTECT, related_name="chunks")
    number = models.PositiveIntegerField()
    generation = models.PositiveIntegerField(default=0)
    first = models.PositiveIntegerField()
    size = models.PositiveIntegerField()
    places = models.JSONField(null=True, blank=True)
    state = models.CharField(max_length=5, choices=State.choices, default=State.FREE)
    token = models.PositiveIntegerField(default=0)
    worker = models.CharField(max_length=80, blank=True)
    leased_until = models.DateTimeField(null=True, blank=True)
    rows_file = models.BinaryField(null=True, blank=True)
    refused = models.PositiveIntegerField(default=0)
    new_trials = models.PositiveIntegerField(default=0)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["run", "number"], name="trading_sweepchunk_number"),
            models.CheckConstraint(
                condition=Q(state="done", finished_at__isnull=False)
                | Q(state="taken", leased_until__isnull=False)
                | Q(state="free"),
                name="trading_sweepchunk_state",
            ),
        ]

    def __str__(self) -> str:
        return f"chunk {self.number} of run {self.run_id}"
