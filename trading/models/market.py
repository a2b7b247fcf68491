"""Market data as stored: instruments, closed candles, gaps, refusals, funding rates.

Candles hold float64 because signals read them by the hundred thousand; a price becomes exact when
it enters the ledger (shortest decimal text of the float, on the instrument's tick).  Intervals are
half-open in UTC.  A revised candle is a further version of the same interval, never an overwrite.
"""

from __future__ import annotations

from datetime import timedelta

from django.db import models
from django.db.models import F, Q

from magnetfund.core.fields import ExactField, not_negative, positive
from magnetfund.kernel.clock import utc_now
from trading.domain.market.instruments import GAP_FLOOR


class Instrument(models.Model):
    class Kind(models.TextChoices):
        SPOT = "spot"
        LINEAR_PERPETUAL = "linear_perpetual"
        CFD = "cfd"
        EQUITY = "equity"
        OPTION = "option"

    # The name of its market: simulated prices live on "sim" alone.
    venue = models.CharField(max_length=30)
    symbol = models.CharField(max_length=60)
    kind = models.CharField(max_length=20, choices=Kind.choices)
    base = models.CharField(max_length=20)
    quote = models.CharField(max_length=20)
    settle = models.CharField(max_length=20)
    tick = ExactField()
    lot = ExactField()
    minimum_notional = ExactField(default=0)
    maker_fee = ExactField(default=0)
    taker_fee = ExactField(default=0)
    maintenance_tiers = models.JSONField(default=list)
    gap_floor = ExactField(default=GAP_FLOOR)
    source_label = models.CharField(
        max_length=40, blank=True, help_text='Shown with its prices: "spot proxy", "SIMULATED".'
    )
    metadata_source = models.CharField(
        max_length=200, help_text="Where tick, lot, minimum, fees and tiers come from."
    )
    metadata_at = models.DateTimeField(help_text="The time for which that source states them.")
    is_restricted = models.BooleanField(default=False)
    is_active = models.BooleanField(default=True)

    class Meta:
        ordering = ["symbol", "venue"]
        constraints = [
            models.UniqueConstraint(
                fields=["venue", "symbol"], name="trading_instrument_once_a_venue"
            ),
            *positive("trading_instrument", "tick", "lot"),
            *not_negative("trading_instrument", "minimum_notional", "taker_fee", "gap_floor"),
            models.CheckConstraint(
                condition=Q(gap_floor__gte=GAP_FLOOR), name="trading_instrument_gap_floor_least"
            ),
        ]

    def __str__(self) -> str:
        return self.symbol


class Candle(models.Model):
    """One closed bar of ``[open_time, open_time + timeframe)``."""

    # The unique constraint leads with the instrument, and no role of the platform can delete one:
    # an index and a foreign key of its own would only halve the ingest.
    instrument = models.ForeignKey(
        Instrument,
        on_delete=models.PROTECT,
        related_name="candles",
        db_index=False,
        db_constraint=False,
    )
    timeframe = models.CharField(max_length=4)
    open_time = models.DateTimeField()
    version = models.PositiveSmallIntegerField(default=1)
    open = models.FloatField()
    high = models.FloatField()
    low = models.FloatField()
    close = models.FloatField()
    volume = models.FloatField()
    known_at = models.DateTimeField()
    available_at = models.DateTimeField()
    source = models.CharField(max_length=40)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["instrument", "timeframe", "open_time", "version"],
                name="trading_candle_once",
            ),
            models.CheckConstraint(
                condition=Q(low__gt=0)
                & Q(low__lte=F("open"))
                & Q(low__lte=F("close"))
                & Q(high__gte=F("open"))
                & Q(high__gte=F("close"))
                & Q(high__lt=1e11)
                & Q(volume__gte=0)
                & Q(volume__lt=1e18),
                name="trading_candle_sane",
            ),
            models.CheckConstraint(
                condition=Q(known_at__gt=F("open_time")), name="trading_candle_closed"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.instrument_id} {self.timeframe} {self.open_time:%Y-%m-%d %H:%M}"


class CandleFile(models.Model):
    """Candles of ``[starts_at, ends_at)`` as a file of the home, with its SHA-256."""

    instrument = models.ForeignKey(Instrument, on_delete=models.PROTECT, related_name="+")
    timeframe = models.CharField(max_length=4)
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    rows = models.PositiveIntegerField()
    size = models.PositiveIntegerField(help_text="Bytes of the file.")
    sha256 = models.CharField(max_length=64)
    path = models.CharField(max_length=200, unique=True)
    archived_at = models.DateTimeField(default=utc_now)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(ends_at__gt=F("starts_at"))
                & Q(ends_at__lte=F("archived_at") - timedelta(days=30)),
                name="trading_candlefile_old",
            ),
            models.CheckConstraint(
                condition=Q(rows__gt=0) & Q(size__gt=0) & Q(timeframe="1m"),
                name="trading_candlefile_minutes",
            ),
        ]
        indexes = [
            models.Index(
                fields=["instrument", "timeframe", "starts_at"], name="trading_candlefile_span"
            ),
        ]

    def __str__(self) -> str:
        return self.path


class CandleGap(models.Model):
    """A hole ``[start, end)`` in the candles, with its reason, until it is refilled."""

    instrument = models.ForeignKey(Instrument, on_delete=models.PROTECT, related_name="gaps")
    timeframe = models.CharField(max_length=4)
    start = models.DateTimeField()
    end = models.DateTimeField()
    reason = models.CharField(max_length=40)
    found_at = models.DateTimeField(default=utc_now)
    refilled_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["instrument", "timeframe", "start"], name="trading_candlegap_once"
            ),
            models.CheckConstraint(condition=Q(end__gt=F("start")), name="trading_candlegap_order"),
        ]

    def __str__(self) -> str:
        return f"{self.instrument_id} {self.start:%Y-%m-%d %H:%M} to {self.end:%Y-%m-%d %H:%M}"


class MarketRefusal(models.Model):
    """Garbage refused by validation: what came, from where, and why it was not taken."""

    instrument = models.ForeignKey(
        Instrument, on_delete=models.PROTECT, related_name="+", null=True, blank=True
    )
    source = models.CharField(max_length=200)
    reason = models.CharField(max_length=40)
    line = models.PositiveIntegerField(null=True, blank=True)
    raw = models.JSONField(default=dict)
    recorded_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"{self.source}: {self.reason}"


class MarketEvent(models.Model):
    """Something that happened to a market source or a series; kinds in ``domain.market.events``."""

    kind = models.CharField(max_length=40)
    venue = models.CharField(max_length=30)
    instrument = models.ForeignKey(
        Instrument, on_delete=models.PROTECT, related_name="+", null=True, blank=True
    )
    source = models.CharField(max_length=200)
    occurred_at = models.DateTimeField()
    recorded_at = models.DateTimeField()
    detail = models.JSONField(default=dict)

    class Meta:
        indexes = [models.Index(fields=["-recorded_at"], name="trading_marketevent_newest")]

    def __str__(self) -> str:
        return f"{self.venue} {self.kind} {self.occurred_at:%Y-%m-%d %H:%M:%S}"


class FundingRate(models.Model):
    """Funding rate of a perpetual at its stamp; a positive rate is paid by longs to shorts."""

    instrument = models.ForeignKey(Instrument, on_delete=models.PROTECT, related_name="funding")
    at = models.DateTimeField()
    rate = models.FloatField()
    source = models.CharField(max_length=40)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["instrument", "at"], name="trading_fundingrate_once"),
            models.CheckConstraint(
                condition=Q(rate__gt=-1) & Q(rate__lt=1), name="trading_fundingrate_sane"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.instrument_id} {self.at:%Y-%m-%d %H:%M} {self.rate}"
