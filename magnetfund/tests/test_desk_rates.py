"""Rates of stablecoins by page, API, admin and Today: entered by one person, signed by another."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from rest_framework.test import APIClient

from investors.models import CoinRate, ParTerm, RateProposal
from investors.services.coin_rates import decide_rates, propose_rates
from investors.tests.fund_support import FIRST, SmallFund, first_of, make_fund
from magnetfund.core.roles import Role
from magnetfund.kernel.clock import isoformat_z, utc_midnight, utc_now
from magnetfund.operations.people import ensure_user
from magnetfund.tests.walls_support import make_instrument
from trading.models import BookMember

pytestmark = pytest.mark.django_db
PAGE, API = "/desk/fund/rates/", "/api/money/rates"
ADMIN = "/admin/investors/rateproposal/"


@pytest.fixture
def small() -> SmallFund:
    """A fund whose next NAV is of tomorrow, and whose book trades a real market in USDT."""
    instrument = make_instrument(venue="binanceusdm")
    BookMember.objects.create(
        book="main", version=1, strategy="trend", instrument=instrument, state="trading",
        reason="x", actor_label="x",
    )  # fmt: skip
    fund = make_fund("main")
    fund.day(utc_midnight(utc_now()) + timedelta(days=1))
    return fund


def client_of(role: Role) -> Client:
    client = Client()
    client.force_login(
        ensure_user(email=f"{role.value}@example.com", name=role.value.title(), roles=[role])
    )
    return client


def text(client: Client, path: str) -> str:
    return client.get(path).content.decode()


def typed(**more: Any) -> dict[str, Any]:
    at = utc_now() - timedelta(hours=1)
    return {
        "coin": "USDT", "rate": "0.9985", "observed_at": f"{at:%Y-%m-%dT%H:%M}",
        "source": "exchange page", **more,
    }  # fmt: skip


def sent(form: str, **more: Any) -> dict[str, Any]:
    """What one of the page's two forms sends."""
    key = more.pop("key")
    given = typed(**more) if form == "rate" else more
    return {"key": key, **{f"{form}-{name}": value for name, value in given.items()}}


def test_the_page_takes_a_rate_from_the_accountant_to_the_controller(small: SmallFund):
    clerk, signer = client_of(Role.ACCOUNTANT), client_of(Role.CONTROLLER)
    assert "USDT has no rate for the NAV of" in text(clerk, "/desk/")
    assert "is USDT, which has no rate" in text(clerk, PAGE)
    assert 'value="USDC"' in text(clerk, PAGE)
    assert 'value="USD"' not in text(clerk, PAGE), "a fund in USD has no rate of USD"
    wrong = clerk.post(PAGE, sent("rate", rate="0", key="r0"))
    assert (wrong.status_code, "a rate lies between" in wrong.content.decode()) == (422, True)
    assert signer.post(PAGE, sent("rate", key="r1")).status_code == 403
    for _ in range(2):
        assert clerk.post(PAGE, sent("rate", key="r1")).status_code == 303
    row = RateProposal.objects.get()
    assert "Approve or decline a rate of USDT" in text(signer, "/desk/")
    assert 'value="approve"' not in text(clerk, PAGE)
    signer.post(f"{PAGE}{row.pk}/", {"decision": "decline"})
    row.refresh_from_db()
    assert row.is_approved is None, "a refusal says why"
    signer.post(f"{PAGE}{row.pk}/", {"decision": "approve"})
    page = text(clerk, PAGE)
    assert ("0.998500" in page, "Within 0.5 % of par" in page) == (True, True)
    assert "has no rate for the NAV" not in text(clerk, "/desk/")
    [names, line] = text(clerk, f"{PAGE[:-1]}.csv").splitlines()
    assert names == ("coin,currency,rate,observed_at,arrived_at,source,held,entered_by,signed_by")
    assert line.startswith("USDT,USD,0.9985,")
    assert line.endswith(",exchange page,,accountant@example.com,controller@example.com")


def test_a_rate_that_is_held_or_old_says_so(small: SmallFund):
    old = utc_now() - timedelta(hours=7)
    for rate, held in (("0.97", ""), ("0.5", "-48.5% from kraken USDT/USD; no second source")):
        CoinRate.objects.create(
            coin="USDT", currency="USD", rate=rate, source=f"kraken {rate}", observed_at=old,
            held=held,
        )  # fmt: skip
    page = text(client_of(Role.AUDITOR), PAGE)
    for part in ("Too old", "held, counts nowhere: -48.5% from kraken"):
        assert part in page
    assert "has no rate for the NAV" in text(client_of(Role.ACCOUNTANT), "/desk/")


def test_the_api_reaches_the_same_steps(small: SmallFund):
    clerk, signer = APIClient(), APIClient()
    for client, role in ((clerk, Role.ACCOUNTANT), (signer, Role.CONTROLLER)):
        client.force_authenticate(
            ensure_user(email=f"{role.value}@example.com", name="x", roles=[role])
        )
    at = isoformat_z(utc_now() - timedelta(hours=1))
    said = {"coin": "USDT", "source": "page", "lines": [{"observed_at": at, "rate": "0.9985"}]}
    for _ in range(2):
        first = clerk.post(API, said, format="json", headers={"Idempotency-Key": "k"})
        assert (first.status_code, first.json()["is_approved"]) == (201, None)
    row = RateProposal.objects.get()
    assert first.json()["lines"] == [[at, "0.9985"]]
    own = clerk.post(
        f"{API}/{row.pk}/decision", {"is_approved": True}, format="json",
        headers={"Idempotency-Key": "d0"},
    )  # fmt: skip
    assert own.status_code == 403
    done = signer.post(
        f"{API}/{row.pk}/decision", {"is_approved": True}, format="json",
        headers={"Idempotency-Key": "d1"},
    )  # fmt: skip
    assert (done.status_code, done.json()["is_approved"]) == (200, True)
    listed = signer.get(API).json()
    assert [item["rate"] for item in listed["rates"]] == ["0.9985"]
    assert listed["proposals"][0]["source"] == "page"


def test_the_admin_enters_and_decides_by_the_same_services(small: SmallFund):
    clerk, signer = client_of(Role.ACCOUNTANT), client_of(Role.CONTROLLER)
    assert clerk.post(f"{ADMIN}add/", typed()).status_code == 302
    row = RateProposal.objects.get()
    chosen = {"action": "approve", "_selected_action": [str(row.pk)]}
    clerk.post(ADMIN, chosen)
    assert not CoinRate.objects.exists()
    signer.post(ADMIN, chosen)
    assert "USDT" in text(signer, "/admin/investors/coinrate/")


def test_a_term_of_par_by_page_api_and_admin(small: SmallFund):
    clerk, signer = client_of(Role.ACCOUNTANT), client_of(Role.CONTROLLER)
    assert "No coin is carried at par" in text(clerk, PAGE)
    said = {"coin": "USDT", "is_at_par": "yes", "first_day": "2030-01-01", "reference": "board 7"}
    assert clerk.post(PAGE, sent("par", key="p0", **{**said, "coin": "USD"})).status_code == 422
    assert clerk.post(PAGE, sent("par", key="p1", **said)).status_code == 303
    row = ParTerm.objects.get()
    assert "Approve or decline a term of par of USDT" in text(signer, "/desk/")
    signer.post(f"{PAGE}par/{row.pk}/", {"decision": "approve"})
    row.refresh_from_db()
    assert row.is_approved
    page = text(clerk, PAGE)
    assert ("USDT at par" in " ".join(page.split()), "board 7" in page) == (True, True)
    assert clerk.post(
        "/admin/investors/parterm/add/", {**said, "first_day": "2030-02-01", "is_at_par": "no"}
    ).status_code == 302  # fmt: skip
    waiting = ParTerm.objects.get(is_approved=None)
    assert not waiting.is_at_par
    signer.post(
        "/admin/investors/parterm/", {"action": "decline", "_selected_action": [str(waiting.pk)]}
    )
    waiting.refresh_from_db()
    assert waiting.is_approved is False
    api, second = APIClient(), APIClient()
    api.force_authenticate(ensure_user(email="accountant@example.com", name="x", roles=[]))
    second.force_authenticate(ensure_user(email="controller@example.com", name="x", roles=[]))
    given = {"coin": "USDT", "is_at_par": False, "first_day": "2030-03-01", "reference": "x"}
    made = api.post(
        "/api/money/par", given, format="json", headers={"Idempotency-Key": "q"}
    )  # fmt: skip
    assert (made.status_code, made.json()["is_approved"]) == (201, None)
    done = second.post(
        f"/api/money/par/{made.json()['id']}/decision", {"is_approved": True}, format="json",
        headers={"Idempotency-Key": "d"},
    )  # fmt: skip
    assert (done.status_code, done.json()["is_approved"]) == (200, True)
    assert len(second.get(API).json()["par"]) == 3


def test_a_nav_shows_what_it_took_and_what_was_put_right(small: SmallFund):
    """0.98 is off par, so the NAV takes it; a rate that was signed later would have been 0.95."""
    small.day(FIRST)
    small.subscribe("ann", "60000", before=FIRST)
    enter(small, "1", at=FIRST)
    small.strike(FIRST)
    february = first_of(2025, 2)
    small.day(february)
    enter(small, "0.98", at=february - timedelta(hours=2))
    small.strike(february)
    clerk = client_of(Role.CONTROLLER)
    page = " ".join(text(clerk, "/desk/fund/").split())
    for part in ("Stablecoins", "0.980000", "2 hours before", "by its rate", "-1,200.00",
                 "Currency result of stablecoins"):  # fmt: skip
        assert part in page.replace("−", "-"), part
    line = clerk.get("/api/navs").json()["navs"][0]["coins"][0]
    assert (line["rate"], line["taken"], line["difference"]) == ("0.98", "by its rate", "-1200")
    enter(small, "0.95", at=february - timedelta(hours=1))
    shown = " ".join(text(clerk, PAGE).split()).replace("−", "-")
    assert "Put right after a NAV" in shown
    assert "-1,800.00" in shown


def enter(small: SmallFund, rate: str, *, at: Any) -> None:
    row = propose_rates(
        fund=small.fund, coin="USDT", source="page", lines=[(at, Decimal(rate))], actor=small.maker
    )
    decide_rates(proposal=row, is_approved=True, actor=small.checker)


def test_before_the_first_fund_the_page_says_so():
    assert "once the fund is founded" in text(client_of(Role.ACCOUNTANT), PAGE)
