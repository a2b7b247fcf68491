"""The paper venue's own rows, and what the trader remembers between two beats.

The venue's rows are kept apart from ours, so that comparing them means something: it commits its
orders and executions before it answers, and a trader that lost sight finds them here.
"""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q

from magnetfund.core.fields import ExactField, in_range, not_negative, positive
from magnetfund.kernel.clock import utc_now
from trading.domain.orders import VenueStatus
from trading.domain.paper_venue import Kind


class BookMemory(models.Model):
    """What the engine carries from one price to the next, and the last venue event it booked."""

    book = models.CharField(max_length=20, primary_key=True)
    revision = models.BigIntegerField(default=0)
    state = models.JSONField(default=dict)
    updated_at = models.DateTimeField(default=utc_now)

    class Meta:
        verbose_name_plural = "book memories"

    def __str__(self) -> str:
        return f"memory of {self.book}"


class PaperVenueState(models.Model):
    """The paper venue's accounts and cash of one book."""

    book = models.CharField(max_length=20, primary_key=True)
    revision = models.BigIntegerField(default=0)
    state = models.JSONField(default=dict)
    updated_at = models.DateTimeField(default=utc_now)

    def __str__(self) -> str:
        return f"paper venue of {self.book}"


class PaperOrder(models.Model):
    """An order as the paper venue took it."""

    client_order_id = models.CharField(max_length=32, primary_key=True)
    book = models.CharField(max_length=20)
    instrument = models.ForeignKey("trading.Instrument", on_delete=models.PROTECT)
    account = models.CharField(max_length=40)
    side = models.CharField(max_length=4)
    type = models.CharField(max_length=12)
    quantity = ExactField()
    trigger_price = ExactField(null=True, blank=True)
    reduce_only = models.BooleanField()
    leverage = models.FloatField(default=1.0)
    is_urgent = models.BooleanField(default=False)
    status = models.CharField(max_length=10, default=VenueStatus.OPEN.value)
    filled_quantity = ExactField(default=0)
    reason = models.CharField(max_length=200, blank=True)
    taken_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            *positive("trading_paperorder", "quantity", "trigger_price"),
            *not_negative("trading_paperorder", "filled_quantity"),
            models.CheckConstraint(
                condition=Q(filled_quantity__lte=F("quantity")),
                name="trading_paperorder_not_overfilled",
            ),
            models.CheckConstraint(
                condition=Q(status__in=[status.value for status in VenueStatus]),
                name="trading_paperorder_known_status",
            ),
        ]
        indexes = [
            models.Index(
                fields=["book", "taken_at"],
                condition=Q(closed_at=None),
                name="trading_paperorder_open",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.client_order_id} {self.status}"


class PaperEvent(models.Model):
    """An execution or a funding charge of the paper venue, numbered within its book."""

    book = models.CharField(max_length=20)
    number = models.BigIntegerField()
    kind = models.CharField(max_length=12)
    client_order_id = models.CharField(max_length=32, blank=True)
    instrument = models.ForeignKey("trading.Instrument", on_delete=models.PROTECT)
    account = models.CharField(max_length=40)
    side = models.CharField(max_length=4)
    quantity = ExactField()
    price = ExactField()
    amount = ExactField(help_text="Fee paid (positive), or funding received (positive).")
    rate = models.FloatField(null=True, blank=True, help_text="Of funding.")
    is_gapped = models.BooleanField(default=False)
    occurred_at = models.DateTimeField()
    recorded_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["book", "number"]
        constraints = [
            models.UniqueConstraint(fields=["book", "number"], name="trading_paperevent_once"),
            models.CheckConstraint(
                condition=Q(kind__in=[kind.value for kind in Kind]),
                name="trading_paperevent_known_kind",
            ),
            *positive("trading_paperevent", "quantity", "price"),
            *in_range("trading_paperevent", "amount"),
        ]

    def __str__(self) -> str:
        return f"{self.book} {self.number} {self.kind}"
