"""The days of a fund by the API alone: NAVs, orders, carried over and paid, switch, transfer,
suspension, and a fiscal period that ends while a full redemption waits.

Proofs are checked in ``test_proof_of_units.py``, applications in ``test_api_kyc.py``.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from rest_framework.test import APIClient

from investors.models import Holding, Message
from investors.services.ledger import read_balances
from investors.services.money_accounts import (
    add_payee,
    approve_account,
    approve_payee,
    open_account,
)
from investors.services.verification import verify_fund
from investors.tests.fund_support import FIRST, SmallFund, first_of, make_fund_of
from magnetfund.core.roles import Role
from magnetfund.kernel.clock import VirtualClock, use_clock, utc_now
from magnetfund.operations.people import ensure_user

pytestmark = pytest.mark.django_db
D = Decimal
#: The fiscal year ends between the second and the third.
DAYS = (
    first_of(2025, 11), first_of(2025, 12), first_of(2026, 1) + timedelta(days=1),
    first_of(2026, 2), first_of(2026, 3),
)  # fmt: skip
IBAN = "CH9300762011623852957"


class Days:
    """People with a client each; every POST has a key of its own."""

    def __init__(self, small: SmallFund, clock: VirtualClock) -> None:
        self.small, self.clock = small, clock
        self._clients, self._keys = dict[str, APIClient](), 0

    def at(self, instant: datetime) -> None:
        self.clock.move_to(instant + timedelta(hours=8))

    def client(self, name: str) -> APIClient:
        if name not in self._clients:
            self._clients[name] = APIClient()
            if name in self.small.investors:
                row = self.small.investor(name)
                row.user = ensure_user(email=row.email, name=name, roles=[Role.INVESTOR])
                row.save(update_fields=["user"])
                user = row.user
            else:
                user = ensure_user(email=f"{name}@example.com", name=name, roles=[Role(name)])
            self._clients[name].force_authenticate(user)
        return self._clients[name]

    def get(self, name: str, path: str) -> Any:
        return self.client(name).get(f"/api/{path}").json()

    def post(self, name: str, path: str, /, **body: Any) -> Any:
        self._keys += 1
        headers = {"Idempotency-Key": f"k{self._keys}"}
        answer = self.client(name).post(f"/api/{path}", body, format="json", headers=headers)
        return answer.json()

    def code(self, name: str, path: str, /, **body: Any) -> str:
        return str(self.post(name, path, **body).get("error", {}).get("code", ""))

    def strike(self) -> Any:
        """Prepare and approve the NAV that is due."""
        row = self.post("accountant", "navs")
        given = {"is_approved": True, "content_hash": row["content_hash"]}
        assert self.code("accountant", f"navs/{row['id']}/decision", **given) == "not_allowed"
        wrong = {**given, "content_hash": "0" * 64}
        assert self.code("controller", f"navs/{row['id']}/decision", **wrong) == "changed"
        return self.post("controller", f"navs/{row['id']}/decision", **given)

    def import_line(self, reference: str, amount: str, party: str, text: str) -> Any:
        heads = "reference,booked_at,amount,currency,party,party_account,end_to_end"
        at = utc_now() - timedelta(hours=1)
        line = f"{reference},{at:%Y-%m-%dT%H:%M:%SZ},{amount},USD,{party},SIM1,{text}"
        return self.post(
            "accountant", "money/statements", account="bank", name="s.csv",
            content=f"{heads}\n{line}\n",
        )  # fmt: skip

    def orders(self, name: str) -> Any:
        return self.get(name, "investor/orders")["orders"]

    def pay(self, order: Any, name: str) -> Decimal:
        """What an order owes, from preparing to the bank's line; gives the amount."""
        payee = self.small.fund.payees.get(investor=self.small.investor(name))
        row = self.post(
            "accountant", "money/payments", kind="redemption", order_id=order["id"],
            payee_id=str(payee.pk),
        )  # fmt: skip
        step = f"money/payments/{row['id']}/step"
        given = {"step": "approve", "hash": row["hash"]}
        assert self.post("controller", step, **given)["state"] == "approved"
        assert self.post("accountant", step, step="release", account="bank")["state"] == "released"
        self.import_line(f"OUT-{row['reference']}", f"-{row['amount']}", name, row["reference"])
        (paid,) = (
            item
            for item in self.get("accountant", "money/payments")["payments"]
            if item["id"] == row["id"]
        )
        assert paid["state"] == "confirmed"
        return D(row["amount"])


@pytest.fixture
def days() -> Iterator[Days]:
    with use_clock(VirtualClock(FIRST - timedelta(days=40))) as clock:
        small = make_fund_of(
            "main",
            {
                "A": {"gate_share": "0.25", "exit_fee_rate": "0.02", "performance_rate": "0.2"},
                "B": {},
            },
        )
        for at in DAYS:
            small.day(at)
        for name, number in (("ann", "SIM11111"), ("bob", "SIM22222"), ("cyd", "SIM33333")):
            owner = small.investor(name)
            row = add_payee(
                fund=small.fund, investor=owner, kind="bank", number=number, currency="USD",
                name=owner.legal_name, evidence="call-back", actor=small.maker,
            )  # fmt: skip
            approve_payee(payee=row, actor=small.checker, at=utc_now())
        account = open_account(
            fund=small.fund, code="bank", kind="bank", bank="Bank", number=IBAN, currency="USD",
            actor=small.maker,
        )  # fmt: skip
        approve_account(account=account, actor=small.checker)
        assert isinstance(clock, VirtualClock)
        yield Days(small, clock)


def test_a_fund_lives_by_the_api_alone(days: Days):
    small = days.small
    days.at(DAYS[0] - timedelta(days=20))
    for name in ("ann", "bob"):
        order = days.post(name, "investor/subscribe", share_class="A", amount="10000")
        days.import_line(f"IN-{name}", "10000.00", name.title(), order["reference"])
        (line,) = days.get("accountant", "money/receipts")["receipts"]
        days.post(
            "accountant", f"money/receipts/{line['id']}/match", order_id=order["request_id"],
            reason="the name is his",
        )  # fmt: skip
    assert days.code("accountant", "navs") == "nothing_due"
    days.at(DAYS[0])
    first = days.strike()
    assert (first["state"], first["nav"]) == ("dealt", "0")
    assert [row["state"] for row in days.orders("ann")] == ["settled"]

    # Ann wants 8,000 of 20,000 through a gate of 25 %; Bob switches, which no gate counts.
    days.at(DAYS[1] - timedelta(days=20))
    days.post("ann", "investor/withdraw", share_class="A", units="80")
    days.post("bob", "investor/switch", share_class="A", into_class="B", units="20")
    extra = days.post("bob", "investor/withdraw", share_class="A", units="5")
    taken = days.post("bob", f"investor/orders/{extra['request_id']}/cancel")
    assert taken["state"] == "cancelled"
    assert days.code("ann", f"investor/orders/{extra['request_id']}/cancel") == "not_found"
    days.at(DAYS[1])
    days.strike()
    (carried,) = (row for row in days.orders("ann") if row["type"] == "redemption")
    assert (carried["state"], carried["dealt_units"], carried["units"]) == ("deferred", "50", "30")
    paid = days.pay(carried, "ann")
    assert paid == D("4900.00")  # 50 units at 100 less the exit fee of 2 %
    assert [row["into_units"] for row in days.orders("bob") if row["into_class"]] == ["19.6"]

    # Two people suspend dealing and open it again; in between nothing is taken.
    for suspends, notice in ((True, "No dealing until Monday"), (False, "Dealing is open")):
        asked = {"suspends": suspends, "reason": "outage", "notice": notice}
        assert days.code("accountant", "dealing/suspensions", **asked) == "not_allowed"
        row = days.post("director", "dealing/suspensions", **asked)
        decide, yes = f"dealing/suspensions/{row['id']}/decision", {"is_approved": True}
        assert days.code("director", decide, **yes) == "same_person"
        assert days.post("controller", decide, **yes)["is_approved"] is True
        assert days.get("controller", "dealing/suspensions")["is_suspended"] is suspends
        refused = days.code("bob", "investor/withdraw", share_class="A", units="100")
        assert refused == ("fund_suspended" if suspends else "not_enough_units")
        assert Message.objects.filter(investor=small.investor("ann"), body=notice).exists()

    # Cyd receives 5 units of Bob; accountant and controller.
    days.at(DAYS[1] + timedelta(days=5))
    row = days.post(
        "accountant", "dealing/proposals", type="transfer", investor="main-bob", units="5",
        receiver="main-cyd", share_class="A", reason="gift",
    )  # fmt: skip
    moved = days.post("controller", f"dealing/proposals/{row['id']}/decision", is_approved=True)
    assert moved["is_approved"] is True
    held = Holding.objects.get(investor=small.investor("cyd"))
    assert (held.units, held.share_class.code) == (5, "A")

    # Ann leaves whole: 30 units are carried over, the rest is asked for before the year ends.
    days.at(DAYS[2] - timedelta(days=12))
    rest = days.post("ann", "investor/withdraw", share_class="A", is_all=True)
    days.at(DAYS[2])
    late = days.code("ann", f"investor/orders/{rest['request_id']}/cancel")
    assert late == "cutoff_passed"
    year_end = days.strike()
    assert (year_end["valuation_at"], year_end["dealing_day"]) == ("2026-01-01T00:00:00Z", None)
    ann = Holding.objects.get(investor=small.investor("ann"))
    assert ann.units == ann.reserved_units < 50, "fee units were taken of what waits"
    days.strike()
    days.at(DAYS[3])
    days.strike()
    ann.refresh_from_db()
    assert (ann.units, ann.reserved_units) == (0, 0)
    open_orders = [row for row in days.orders("ann") if row["type"] == "redemption"]
    assert {row["state"] for row in open_orders} == {"payable"}
    for row in open_orders:
        paid += days.pay(row, "ann")
    assert {row["state"] for row in days.orders("ann")} == {"settled"}
    note = days.client("ann").get(f"/api/investor/orders/{open_orders[0]['id']}/note.pdf")
    assert note.content.startswith(b"%PDF")
    days.at(DAYS[4])  # the last exit fee is earned after the NAV that it was taken at
    assert days.strike()["state"] == "dealt"
    check_books(days, paid)


def check_books(days: Days, paid: Decimal) -> None:
    """Cash in = cash out + fees owed + NAV, to the cent, and every check is clean."""
    small = days.small
    assert verify_fund(small.fund) == []
    register = days.get("auditor", "register")
    balances = read_balances(small.fund)
    cash = sum(balances.get((code, "USD"), D(0)) for code in ("1010", "1020", "1030"))
    assert cash == 20_000 - paid
    owed = -sum(amount for (code, _), amount in balances.items() if code in ("2110", "2120"))
    nav = D(days.get("auditor", "navs")["navs"][0]["nav"])
    assert cash - owed == nav
    assert abs(D(register["value"]) - nav) <= D("0.03"), "a cent for each lot"
