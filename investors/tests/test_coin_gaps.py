"""Coins that a NAV left out: prepared before they had values, forged, or of a closed market."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from investors.services import nav
from investors.services.nav import reject_strike
from investors.services.verification import verify_fund
from investors.tests.fund_support import SmallFund
from investors.tests.test_coin_rates import refused, say
from investors.tests.test_coin_values import FEBRUARY, MARCH, balance, begin, lines
from trading.models import Instrument

D = Decimal
NAME = "currency result of stablecoins"


@pytest.fixture
def small(db: Any) -> SmallFund:
    return begin(performance_rate="0", management_rate="0")


def test_a_nav_that_was_prepared_at_par_is_not_approved_once_coins_are_valued(
    small: SmallFund, monkeypatch: pytest.MonkeyPatch
):
    """A home is upgraded between the preparing of a NAV and its approval."""
    say(small, "0.88", at=FEBRUARY, coin="USDC")
    with monkeypatch.context() as before:
        before.setattr(nav, "value_held", lambda *_, **__: [])
        before.setattr(nav, "post_coin_values", lambda *_, **__: None)
        row = small.prepare(FEBRUARY)
    assert "coins" not in row.inputs
    assert refused(small.approve, row) == "stale"
    reject_strike(strike=row, reason="prepared at par", actor=small.checker)
    assert lines(small.strike(FEBRUARY))[NAME] == D("-7200.00")
    assert verify_fund(small.fund) == []


def test_a_nav_that_leaves_a_coin_out_is_named(small: SmallFund, monkeypatch: pytest.MonkeyPatch):
    """Whoever runs the dealing with code of his own values nothing, and signs it."""
    say(small, "0.88", at=FEBRUARY, coin="USDC")
    monkeypatch.setattr(nav, "value_held", lambda *_, **__: [])
    monkeypatch.setattr(nav, "changed_rates", lambda *_: [])
    small.strike(FEBRUARY)
    assert verify_fund(small.fund) == [
        f"NAV of {FEBRUARY:%Y-%m-%d}: USDC is held, and it values none"
    ]


def test_coins_stay_coins_when_their_market_is_closed(small: SmallFund):
    """The only listed market goes before anything was traded there; the money is USDC still."""
    say(small, "0.88", at=FEBRUARY, coin="USDC")
    small.strike(FEBRUARY)
    Instrument.objects.update(is_active=False)
    assert refused(small.prepare, MARCH) == "rate_too_old"
    say(small, "0.9", at=MARCH, coin="USDC")
    row = small.strike(MARCH)
    assert lines(row)[NAME] == D("1200.00")
    assert balance(small, "1040", before=MARCH) == D("-6000")
    assert verify_fund(small.fund) == []
