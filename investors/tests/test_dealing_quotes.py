"""What an order is shown to be, beside what the engine and the services make of it."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from investors.domain.fees import ClassTerms, Rank
from investors.domain.onboarding import KycState
from investors.models import DealingDay, Investor
from investors.services.dealing import submit_redemption
from investors.services.dealing_quotes import (
    compute_gate_range,
    quote_redemption,
    quote_subscription,
)
from investors.services.estimates import estimate_fund, estimate_prices
from investors.tests.fund_support import FIRST, SmallFund, first_of, make_fund, switch_dealing
from magnetfund.kernel.errors import FundError

pytestmark = pytest.mark.django_db
D = Decimal
AT = first_of(2025, 2)


def running_fund(**terms: str) -> SmallFund:
    """Two holders, one month of gain that no NAV has struck yet."""
    small = make_fund(management_rate="0.015", performance_rate="0.2", **terms)
    small.day(FIRST)
    small.subscribe("ann", "30000", before=FIRST)
    small.subscribe("bob", "12345.67", before=FIRST)
    small.strike(FIRST)
    small.day(AT + timedelta(days=28))
    small.value_book(f"{small.book_cash() + D('1034.5678')}", at=AT - timedelta(hours=1))
    return small


def test_all_units_are_worth_what_the_overview_estimates():
    small = running_fund()
    estimate = estimate_prices(small.fund, at=AT)
    assert estimate is not None
    assert not estimate.is_struck
    for name in ("ann", "bob"):
        shown = estimate_fund(small.fund, at=AT)[small.investor(name).pk]
        quote = quote_redemption(
            investor=small.investor(name), share_class=small.share_class(), estimate=estimate, at=AT
        )
        assert quote.proceeds is not None
        assert quote.is_all
        assert quote.units == shown.units
        # A payout is rounded down to the cent, a value to the nearest one.
        assert D(0) <= shown.value - quote.proceeds.payout <= D("0.01")
        assert quote.proceeds.performance_fee > 0


def test_an_amount_becomes_units_that_pay_just_that_after_every_fee():
    small = running_fund(exit_fee_rate="0.01")
    quote = quote_redemption(
        investor=small.investor("ann"), share_class=small.share_class(), at=AT,
        estimate=estimate_prices(small.fund, at=AT), amount=D(10_000),
    )  # fmt: skip
    assert quote.proceeds is not None
    assert quote.lower is not None
    assert quote.higher is not None
    assert D("9999.99") <= quote.proceeds.payout <= D(10_000)
    assert quote.proceeds.exit_fee == D("101.01")
    assert quote.lower < quote.proceeds.payout < quote.higher
    with pytest.raises(FundError, match="exceeds the value") as refused:
        quote_redemption(
            investor=small.investor("ann"), share_class=small.share_class(), at=AT,
            estimate=estimate_prices(small.fund, at=AT), amount=D(40_000),
        )  # fmt: skip
    assert refused.value.code == "not_enough_value"


def test_a_quote_refuses_what_the_order_would_be_refused():
    small = running_fund()
    ann, share_class = small.investor("ann"), small.share_class()
    estimate = estimate_prices(small.fund, at=AT)

    def codes(units: str) -> set[str]:
        found = set()
        for call in (
            lambda: quote_redemption(
                investor=ann, share_class=share_class, estimate=estimate, at=AT, units=D(units)
            ),
            lambda: submit_redemption(
                investor=ann, share_class=share_class, units=D(units), actor=small.maker, at=AT
            ),
        ):
            with pytest.raises(FundError) as refused:
                call()
            found.add(refused.value.code)
        return found

    assert codes("300.000001") == {"not_enough_units"}
    assert codes("0.0000001") == {"too_fine"}
    Investor.objects.filter(pk=ann.pk).update(kyc_state=KycState.RESTRICTED)
    ann.refresh_from_db()
    assert codes("1") == {"on_hold"}
    switch_dealing(small.fund, suspends=True)
    assert codes("1") == {"fund_suspended"}


def test_after_the_cut_off_the_next_day_is_named_with_the_one_that_was_missed():
    small = running_fund()
    late = DealingDay.objects.get(valuation_at=AT + timedelta(days=28)).cutoff_at + timedelta(
        hours=1
    )
    following = small.day(AT + timedelta(days=59))
    quote = quote_redemption(
        investor=small.investor("ann"), share_class=small.share_class(), units=D(1), at=late,
        estimate=None,
    )  # fmt: skip
    assert quote.day == following
    assert quote.missed is not None
    assert quote.missed.valuation_at == AT + timedelta(days=28)
    assert (quote.price, quote.proceeds) == (None, None)


def test_the_range_under_the_gate_is_ones_own():
    gated = ClassTerms(gate_share=D("0.25"))
    assert compute_gate_range(terms=[ClassTerms()], value=D(10), nav=D(10)).least == 1
    small = compute_gate_range(terms=[ClassTerms(), gated], value=D(10), nav=D(1000))
    assert (small.share, small.least, small.most) == (D("0.25"), D("0.25"), 1)
    large = compute_gate_range(terms=[gated], value=D(500), nav=D(1000))
    assert (large.least, large.most) == (D("0.25"), D("0.5"))
    ranked = ClassTerms(gate_share=D("0.25"), gate_rank=Rank.OLDER_FIRST)
    assert compute_gate_range(terms=[ranked], value=D(10), nav=D(1000)).least == 0


def test_a_subscription_is_quoted_at_the_estimate_and_a_new_class_at_its_launch_price():
    small = running_fund(entry_fee_rate="0.02")
    estimate = estimate_prices(small.fund, at=AT)
    assert estimate is not None
    given = {"investor": small.investor("ann"), "share_class": small.share_class(), "at": AT}
    quote = quote_subscription(estimate=estimate, amount=D(1000), **given)  # type: ignore[arg-type]
    assert quote.price == estimate.prices["A"]
    assert quote.entry_fee == 20
    assert quote.units * quote.price <= 980
    new = quote_subscription(estimate=None, amount=D(1000), **given)  # type: ignore[arg-type]
    assert (new.price, new.units) == (100, D("9.8"))
