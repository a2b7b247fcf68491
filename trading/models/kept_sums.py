"""Sums over what the trader booked, of each UTC day and of all fills.

A page reads days instead of rows, and the wall of positions one sum instead of every fill.
PostgreSQL adds fills and closed trades to them in the transaction that books them (``sum_by_day``,
``sum_of_fills``); nobody writes these tables otherwise.  ``recalculate_performance`` makes them
anew and ``verify_books`` compares them with the rows.
"""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models

from magnetfund.core.fields import ExactField


class FillDay(models.Model):
    """The fills of one sleeve's instrument on one day; sold counts below zero."""

    book = models.CharField(max_length=20)
    instrument = models.ForeignKey("trading.Instrument", on_delete=models.PROTECT)
    strategy = models.CharField(max_length=40)
    day = models.DateField()
    fills = models.PositiveIntegerField()
    quantity = ExactField(help_text="Base currency.")
    held = ExactField(help_text="Quantity by the share of the day that was left.")
    paid = models.DecimalField(max_digits=60, decimal_places=18, help_text="Quote currency.")
    fees = ExactField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["book", "day", "strategy", "instrument"], name="trading_fillday_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.strategy} {self.instrument_id} {self.day}"


class FillTotal(models.Model):
    """All fills of one sleeve's instrument; its position must be of this quantity."""

    book = models.CharField(max_length=20)
    instrument = models.ForeignKey("trading.Instrument", on_delete=models.PROTECT)
    strategy = models.CharField(max_length=40)
    fills = models.PositiveIntegerField()
    quantity = ExactField(help_text="Base currency.")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["book", "strategy", "instrument"], name="trading_filltotal_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.strategy} {self.instrument_id} {self.quantity.normalize():f}"


class TradeDay(models.Model):
    """The trades of one sleeve's instrument that were closed on one day, by leverage and exit.

    A share is the net result over the account at entry, to the eighteenth decimal; ``shares``
    counts those with an account, ``shares_1`` to ``shares_3`` are the sums of their powers.
    """

    book = models.CharField(max_length=20)
    instrument = models.ForeignKey("trading.Instrument", on_delete=models.PROTECT)
    strategy = models.CharField(max_length=40)
    day = models.DateField()
    leverage_band = models.PositiveSmallIntegerField(help_text="Edges that the leverage is above.")
    closure_reason = models.CharField(max_length=20)
    trades = models.PositiveIntegerField()
    won = models.PositiveIntegerField()
    lost = models.PositiveIntegerField()
    gross = ExactField()
    commission = ExactField()
    funding = ExactField()
    slippage = ExactField()
    net = ExactField()
    won_net = ExactField(help_text="Net results above zero.")
    lost_net = ExactField(help_text="Net results below zero.")
    best = ExactField(help_text="The best net result.")
    worst = ExactField(help_text="The worst net result.")
    last_closed_at = models.DateTimeField()
    shares = models.PositiveIntegerField()
    shares_1 = models.DecimalField(max_digits=80, decimal_places=18)
    shares_2 = models.DecimalField(max_digits=140, decimal_places=36)
    shares_3 = models.DecimalField(max_digits=200, decimal_places=54)
    share_best = models.DecimalField(max_digits=80, decimal_places=18, null=True)
    share_worst = models.DecimalField(max_digits=80, decimal_places=18, null=True)
    bins = ArrayField(models.PositiveIntegerField(), help_text="Shares between the edges.")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=[
                    "book", "day", "strategy", "instrument", "leverage_band", "closure_reason",
                ],
                name="trading_tradeday_once",
            )
        ]  # fmt: skip

    def __str__(self) -> str:
        return f"{self.strategy} {self.instrument_id} {self.day}"
