"""Option chains as imported: a dated snapshot and the options that it lists.

Figures are float64: signals and pages read them, no book does.  A snapshot never changes.
"""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q

from magnetfund.kernel.clock import utc_now


class OptionSnapshot(models.Model):
    """The chain on one instrument at ``stated_at``, with the walls that its gamma makes.

    ``known_at`` is when the platform may act on it: the publication, or the import where hours that
    closed after the publication had been read by then.
    """

    instrument = models.ForeignKey(
        "trading.Instrument", on_delete=models.PROTECT, related_name="option_snapshots"
    )
    stated_at = models.DateTimeField()
    known_at = models.DateTimeField()
    recorded_at = models.DateTimeField(default=utc_now)
    source = models.CharField(max_length=200)
    sha256 = models.CharField(max_length=64)
    spot = models.FloatField()
    multiplier = models.FloatField(help_text="Units of the asset in one contract.")
    settled_in_coin = models.BooleanField(default=False)
    options = models.PositiveIntegerField()
    refused = models.PositiveIntegerField()
    gamma = models.FloatField(help_text="Quote currency per 1 % move of the spot.")
    flip = models.FloatField(null=True)
    middle_volatility = models.FloatField(
        null=True, help_text="At the money, of the expiry nearest to 30 days; annual fraction."
    )
    premiums = models.JSONField(
        default=dict, help_text="Money paid for options since the day began, by bucket of delta."
    )
    unusual = models.JSONField(default=list, help_text="Options traded far more than usual.")
    call_wall = models.FloatField(null=True)
    call_wall_until = models.DateTimeField(null=True)
    put_wall = models.FloatField(null=True)
    put_wall_until = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["instrument", "stated_at"], name="trading_optionsnapshot_once"
            ),
            models.CheckConstraint(
                condition=Q(known_at__gte=F("stated_at")) & Q(recorded_at__gte=F("known_at")),
                name="trading_optionsnapshot_times",
            ),
            models.CheckConstraint(
                condition=Q(spot__gt=0) & Q(multiplier__gt=0) & Q(options__gt=0),
                name="trading_optionsnapshot_sane",
            ),
            models.CheckConstraint(
                condition=Q(call_wall=None, call_wall_until=None)
                | Q(call_wall__gt=F("spot"), call_wall_until__isnull=False),
                name="trading_optionsnapshot_call_wall",
            ),
            models.CheckConstraint(
                condition=Q(put_wall=None, put_wall_until=None)
                | Q(put_wall__lt=F("spot"), put_wall_until__isnull=False),
                name="trading_optionsnapshot_put_wall",
            ),
        ]
        indexes = [
            models.Index(fields=["instrument", "known_at"], name="trading_optionsnapshot_known")
        ]

    def __str__(self) -> str:
        return f"{self.instrument_id} options {self.stated_at:%Y-%m-%d %H:%M}"


class OptionListing(models.Model):
    """One option of a snapshot; prices per unit of the asset in quote currency, None where none."""

    snapshot = models.ForeignKey(OptionSnapshot, on_delete=models.PROTECT, related_name="listings")
    kind = models.CharField(max_length=4)
    strike = models.FloatField()
    expires_at = models.DateTimeField()
    interest = models.FloatField(help_text="Contracts open.")
    bid = models.FloatField(null=True)
    ask = models.FloatField(null=True)
    mark = models.FloatField(null=True)
    volatility = models.FloatField(null=True, help_text="Annual fraction, as the venue states it.")
    forward = models.FloatField(null=True)
    volume = models.FloatField(null=True)
    ask_volume = models.FloatField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["snapshot", "expires_at", "strike", "kind"],
                name="trading_optionlisting_once",
            ),
            models.CheckConstraint(
                condition=Q(kind__in=["call", "put"]) & Q(strike__gt=0) & Q(interest__gte=0),
                name="trading_optionlisting_sane",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.expires_at:%Y-%m-%d} {self.strike:g} {self.kind}"
