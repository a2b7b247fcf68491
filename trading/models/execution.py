"""Orders, fills, positions, closed trades and funding.

Only the gateway role may change an order's state or a position.  ``reduces`` is computed by a
trigger from the position, never taken from the caller.  A position belongs to one sleeve:
(book, instrument, strategy); quantities are signed, positive is long.
"""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from magnetfund.core.fields import ExactField, in_range, not_negative, positive
from magnetfund.kernel.clock import utc_now
from trading.domain.orders import OrderState, Told


class Order(models.Model):
    class Side(models.TextChoices):
        BUY = "buy"
        SELL = "sell"

    class Type(models.TextChoices):
        MARKET = "market"
        LIMIT = "limit"
        STOP = "stop"
        TAKE_PROFIT = "take_profit"

    class Purpose(models.TextChoices):
        ENTRY = "entry"
        EXIT = "exit"
        STOP = "stop"
        TARGET = "target"
        FUSE = "fuse"
        CUT = "cut"
        MANUAL = "manual"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    client_order_id = models.CharField(max_length=32, unique=True)
    venue_order_id = models.CharField(max_length=64, blank=True)
    book = models.CharField(max_length=20, default="main")
    venue = models.CharField(max_length=30, default="paper")
    instrument = models.ForeignKey("trading.Instrument", on_delete=models.PROTECT)
    strategy = models.CharField(max_length=40)
    proposal = models.ForeignKey(
        "trading.Proposal", on_delete=models.PROTECT, null=True, blank=True, related_name="orders"
    )
    pretrade_check = models.UUIDField(null=True, blank=True)
    purpose = models.CharField(max_length=8, choices=Purpose.choices)
    side = models.CharField(max_length=4, choices=Side.choices)
    type = models.CharField(max_length=12, choices=Type.choices)
    quantity = ExactField()
    reference_price = ExactField(help_text="Last price when the intent was made.")
    limit_price = ExactField(null=True, blank=True)
    trigger_price = ExactField(null=True, blank=True)
    stop_price = ExactField(null=True, blank=True, help_text="Protective stop of an entry.")
    target_price = ExactField(null=True, blank=True, help_text="Target of an entry.")
    leverage = models.FloatField(default=1.0)
    tier = models.PositiveSmallIntegerField(null=True, blank=True)
    reduces = models.BooleanField(default=False, editable=False)
    state = models.CharField(max_length=16, default=OrderState.INTENT.value)
    filled_quantity = ExactField(default=0)
    average_price = ExactField(null=True, blank=True)
    denial_codes = models.JSONField(default=list, blank=True)
    reason = models.CharField(max_length=300, blank=True)
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True, blank=True
    )
    actor_label = models.CharField(max_length=120)
    mode = models.CharField(max_length=8, default="paper")
    occurred_at = models.DateTimeField(default=utc_now)
    recorded_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    #: When the sender claimed it, by the server's clock; a trigger writes it.
    claimed_at = models.DateTimeField(null=True, blank=True, editable=False)
    closed_at = models.DateTimeField(null=True, blank=True)
    #: Its events, where the only writer of its book keeps them and need not read them again.
    told: tuple[Told, ...] | None = None

    class Meta:
        constraints = [
            *positive("trading_order", "quantity", "reference_price", "limit_price"),
            *positive("trading_order", "trigger_price", "stop_price", "target_price"),
            *not_negative("trading_order", "filled_quantity"),
            models.CheckConstraint(
                condition=Q(filled_quantity__lte=F("quantity")), name="trading_order_not_overfilled"
            ),
            models.CheckConstraint(
                condition=Q(state__in=[state.value for state in OrderState]),
                name="trading_order_known_state",
            ),
        ]
        indexes = [
            models.Index(
                fields=["book", "instrument", "strategy"],
                condition=Q(closed_at=None),
                name="trading_order_open",
            ),
            models.Index(fields=["book", "-occurred_at"], name="trading_order_latest"),
        ]

    def __str__(self) -> str:
        return f"{self.side} {self.quantity.normalize():f} {self.instrument_id} {self.state}"


class OrderEvent(models.Model):
    """One step of an order's life."""

    order = models.ForeignKey(Order, on_delete=models.PROTECT, related_name="events")
    seq = models.PositiveIntegerField()
    kind = models.CharField(max_length=24)
    from_state = models.CharField(max_length=16, blank=True)
    to_state = models.CharField(max_length=16)
    detail = models.JSONField(default=dict, blank=True)
    occurred_at = models.DateTimeField(default=utc_now)
    recorded_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["order", "seq"]
        constraints = [
            models.UniqueConstraint(fields=["order", "seq"], name="trading_orderevent_once"),
        ]

    def __str__(self) -> str:
        return f"{self.order_id} {self.to_state}"


class Fill(models.Model):
    """An execution as the venue reported it; booked once by (venue, venue_trade_id)."""

    order = models.ForeignKey(Order, on_delete=models.PROTECT, related_name="fills")
    venue = models.CharField(max_length=30)
    venue_trade_id = models.CharField(max_length=80)
    book = models.CharField(max_length=20, default="main")
    instrument = models.ForeignKey("trading.Instrument", on_delete=models.PROTECT)
    strategy = models.CharField(max_length=40)
    side = models.CharField(max_length=4, choices=Order.Side.choices)
    quantity = ExactField()
    price = ExactField()
    fee = ExactField(default=0, help_text="Paid in the settle currency; negative is a rebate.")
    realised = ExactField(default=0, help_text="Profit or loss realised, before the fee.")
    slippage = ExactField(default=0, help_text="Execution minus reference, in our disfavour.")
    liquidity = models.CharField(max_length=5, default="taker")
    reason = models.CharField(max_length=20, blank=True)
    occurred_at = models.DateTimeField()
    recorded_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["occurred_at", "id"]
        constraints = [
            models.UniqueConstraint(fields=["venue", "venue_trade_id"], name="trading_fill_once"),
            *positive("trading_fill", "quantity", "price"),
            *in_range("trading_fill", "fee", "realised", "slippage"),
        ]
        indexes = [
            models.Index(fields=["book", "-occurred_at"], name="trading_fill_latest"),
            models.Index(
                fields=["book", "instrument", "strategy"], name="trading_fill_of_position"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.side} {self.quantity.normalize():f} @ {self.price.normalize():f}"


class Position(models.Model):
    """What one sleeve holds of one instrument now; rebuilt from fills it must be equal."""

    book = models.CharField(max_length=20, default="main")
    instrument = models.ForeignKey("trading.Instrument", on_delete=models.PROTECT)
    strategy = models.CharField(max_length=40)
    quantity = ExactField(default=0)
    average_price = ExactField(default=0)
    realised = ExactField(default=0, help_text="Of the open round trip, before fees and funding.")
    fees = ExactField(default=0)
    funding = ExactField(default=0, help_text="Cash received (+) or paid (-).")
    entry_quantity = ExactField(default=0, help_text="Largest size of the open round trip.")
    entry_notional = ExactField(default=0)
    stop_price = ExactField(null=True, blank=True)
    target_price = ExactField(null=True, blank=True)
    liquidation_price = ExactField(null=True, blank=True)
    leverage = models.FloatField(default=1.0)
    tier = models.PositiveSmallIntegerField(null=True, blank=True)
    target_strength = models.FloatField(null=True, blank=True)
    equity_at_entry = ExactField(null=True, blank=True)
    risk_fraction = models.FloatField(null=True, blank=True)
    entry_proposal = models.UUIDField(null=True, blank=True)
    entry_fill = models.BigIntegerField(
        null=True, blank=True, help_text="First fill of the open round trip."
    )
    opened_at = models.DateTimeField(null=True, blank=True)
    updated_at = models.DateTimeField(default=utc_now)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["book", "instrument", "strategy"], name="trading_position_once"
            ),
            *in_range("trading_position", "quantity", "realised", "fees", "funding"),
            *not_negative("trading_position", "average_price"),
        ]

    def __str__(self) -> str:
        return f"{self.strategy} {self.instrument_id} {self.quantity.normalize():f}"


class Trade(models.Model):
    """A closed round trip with its result and its reasons."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    book = models.CharField(max_length=20, default="main")
    instrument = models.ForeignKey("trading.Instrument", on_delete=models.PROTECT)
    strategy = models.CharField(max_length=40)
    trading_mode = models.CharField(max_length=8, default="paper")
    direction = models.CharField(max_length=5)
    quantity = ExactField()
    entry_price = ExactField()
    exit_price = ExactField()
    stop_price = ExactField(null=True, blank=True)
    target_price = ExactField(null=True, blank=True)
    gross_pnl = ExactField()
    commission = ExactField()
    funding = ExactField()
    slippage = ExactField()
    net_pnl = ExactField()
    account_balance = ExactField()
    risk_percent = models.FloatField(null=True, blank=True)
    leverage = models.FloatField(default=1.0)
    tier = models.PositiveSmallIntegerField(null=True, blank=True)
    closure_reason = models.CharField(max_length=20)
    why_opened = models.TextField(blank=True)
    why_closed = models.TextField(blank=True)
    is_ambiguous = models.BooleanField(default=False)
    opened_at = models.DateTimeField()
    closed_at = models.DateTimeField()
    recorded_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["closed_at", "id"]
        constraints = in_range(
            "trading_trade", "gross_pnl", "commission", "funding", "net_pnl", "account_balance"
        )
        indexes = [
            models.Index(fields=["book", "-closed_at"], name="trading_trade_latest"),
            models.Index(fields=["book", "strategy", "-closed_at"], name="trading_trade_sleeve"),
        ]

    def __str__(self) -> str:
        return f"{self.strategy} {self.direction} {self.net_pnl}"


class FundingPayment(models.Model):
    """Funding of one position at one stamp: cash received (+) or paid (-)."""

    book = models.CharField(max_length=20, default="main")
    instrument = models.ForeignKey("trading.Instrument", on_delete=models.PROTECT)
    strategy = models.CharField(max_length=40)
    stamp = models.DateTimeField()
    rate = models.FloatField()
    notional = ExactField()
    amount = ExactField()
    recorded_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["book", "instrument", "strategy", "stamp"],
                name="trading_fundingpayment_once",
            ),
            *in_range("trading_fundingpayment", "notional", "amount"),
        ]

    def __str__(self) -> str:
        return f"{self.instrument_id} {self.stamp:%Y-%m-%d %H:%M} {self.amount}"
