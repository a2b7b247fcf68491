"""Random lives of a fund whose money stands in a stablecoin that leaves par and comes back.

The law is that of the histories at par: what the coins moved (4055) is one more result.  A claim
that would leave or come one for one waits for a NAV at par.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal

import pytest

from investors.domain.ledger.chart import COIN_DIFFERENCE
from investors.models import NavStrike
from investors.services.ledger import read_balances
from investors.services.nav import reject_strike
from investors.services.par_terms import decide_par, propose_par
from investors.services.verification import verify_fund
from investors.tests.test_coin_rates import say
from magnetfund.kernel.errors import InvalidInput
from magnetfund.tests.drill_size import IS_SHORT
from magnetfund.tests.test_random_histories import History, _find_refused, _value_of
from magnetfund.tests.walls_support import make_instrument

pytestmark = pytest.mark.django_db
D = Decimal
HISTORIES = 2 if IS_SHORT else 300
RATES = ("1", "1", "0.9993", "1.0002", "0.97", "0.88", "1.01")
BEYOND = "4055"


class CoinHistory(History):
    """A life whose venue holds USDC; each NAV has a rate of its own."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        make_instrument("BTC/USDC:USDC", venue="binanceusdm", settle="USDC")
        if self.dice.random() < 0.5:
            row = propose_par(
                fund=self.small.fund, coin="USDC", is_at_par=True, first_day=date(2025, 1, 1),
                reference="board 7", actor=self.small.maker,
            )  # fmt: skip
            decide_par(proposal=row, is_approved=True, actor=self.small.checker)

    def _strike(self, at: datetime) -> None:
        say(self.small, self.dice.choice(RATES), at=at - timedelta(hours=1), coin="USDC")
        row = self.small.prepare(at)
        failed = [line["name"] for line in row.checklist if not line["passed"]]
        if failed:
            assert set(failed) == {"side pockets take venue cash at par"}
            reject_strike(strike=row, reason="off par", actor=self.small.checker)
            self.done["at par alone"] += 1
            say(self.small, "1", at=at, coin="USDC")
        else:
            reject_strike(strike=row, reason="looked at", actor=self.small.checker)
        super()._strike(at)

    def _require_eaten(self, error: InvalidInput, before: datetime) -> None:
        """Neither is a fund priced of which a millionth of a unit is left, worth no cent."""
        if error.code == "no_weights":
            assert _value_of(before) < D("0.01"), self.done
            return
        super()._require_eaten(error, before)

    def _require_law(self, at: datetime) -> None:
        balances = read_balances(self.small.fund, before=at + timedelta(microseconds=1))
        moved = -balances.get((BEYOND, "USD"), D(0))
        earned, self.earned = self.earned, self.earned + moved
        super()._require_law(at)
        self.earned = earned
        newest = NavStrike.objects.filter(fund=self.small.fund, valuation_at=at, state="dealt")
        taken = {item["coin"]: item for item in newest.get().inputs.get("coins", ())}
        stands = balances.get((COIN_DIFFERENCE, "USD"), D(0))
        coins = balances.get(("1030", "USD"), D(0))
        applied = D(taken["USDC"]["applied"])
        assert abs(stands - coins * (applied - 1)) <= D("0.0000001"), self.done


@pytest.mark.parametrize("seed", range(HISTORIES))
def test_no_value_appears_and_none_is_lost_off_par(seed: int):
    history = CoinHistory(seed)
    history.live()
    assert verify_fund(history.small.fund) == [], history.done
    assert _find_refused() == [], history.done
