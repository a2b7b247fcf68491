"""Rates of stablecoins: what sources and people said of them, and what waits for a signature."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from investors.models.expenses import STANDS, TwoPersonProposal, checks_of_two
from magnetfund.core.fields import ExactField, positive


class RateProposal(TwoPersonProposal):
    """Rates that a person enters by hand or by a file; another signs them.

    ``lines`` are [time, rate] in the order of time.  What was proposed never changes.
    """

    fund = models.ForeignKey(
        "investors.Fund", on_delete=models.PROTECT, related_name="rate_proposals"
    )
    coin = models.CharField(max_length=8)
    currency = models.CharField(max_length=8)
    source = models.CharField(max_length=80, help_text="Where the rate was read.")
    lines = models.JSONField()

    class Meta(TwoPersonProposal.Meta):
        constraints = checks_of_two("investors_rateproposal")

    def __str__(self) -> str:
        return f"{self.coin} in {self.currency} by {self.source}"


class CoinRate(models.Model):
    """What one coin was worth in a fund's currency at a time, by a source; never changed.

    ``arrived_at`` is the server's.  A rate that is ``held`` counts nowhere: it says why.
    """

    coin = models.CharField(max_length=8)
    currency = models.CharField(max_length=8)
    rate = ExactField()
    source = models.CharField(max_length=80)
    observed_at = models.DateTimeField()
    arrived_at = models.DateTimeField(db_default=Now(), editable=False)
    held = models.CharField(max_length=200, blank=True)
    proposal = models.ForeignKey(
        RateProposal, on_delete=models.PROTECT, null=True, blank=True, related_name="rates"
    )

    class Meta:
        ordering = ["-observed_at", "-id"]
        constraints = [
            *positive("investors_coinrate", "rate"),
            models.CheckConstraint(
                condition=Q(proposal=None) | Q(held=""), name="investors_coinrate_signed_counts"
            ),
            models.UniqueConstraint(
                fields=["coin", "currency", "source", "observed_at"],
                condition=Q(proposal=None),
                name="investors_coinrate_once",
            ),
            models.UniqueConstraint(
                fields=["proposal", "observed_at"],
                condition=Q(proposal__isnull=False),
                name="investors_coinrate_signed_once",
            ),
        ]
        indexes = [
            models.Index(fields=["coin", "currency", "-observed_at"], name="investors_coinrate_at")
        ]

    def __str__(self) -> str:
        return f"{self.coin} {self.rate.normalize():f} {self.currency}, {self.source}"


class ParTerm(TwoPersonProposal):
    """A fund's term that a coin is carried at par, or no longer, from a day's NAV on.

    The approved one that began last is in force.  It is void at a NAV whose rate departs from 1 by
    more than half a per cent.
    """

    fund = models.ForeignKey("investors.Fund", on_delete=models.PROTECT, related_name="par_terms")
    coin = models.CharField(max_length=8)
    is_at_par = models.BooleanField()
    first_day = models.DateField()
    reference = models.CharField(max_length=80, help_text="Where it was resolved.")

    class Meta(TwoPersonProposal.Meta):
        constraints = [
            models.UniqueConstraint(
                fields=["fund", "coin", "first_day"], condition=STANDS,
                name="investors_parterm_once",
            ),
            *checks_of_two("investors_parterm"),
        ]  # fmt: skip

    def __str__(self) -> str:
        return f"{self.coin} {'at par' if self.is_at_par else 'by its rate'}, {self.reference}"
