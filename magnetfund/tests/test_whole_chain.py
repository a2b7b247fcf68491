"""One life of an investment in an empty production home, by its people, in a browser.

Six people found the fund, a stranger applies on a phone and is approved by two, a short wire is
topped up, two people strike the NAV, a redemption meets the gate and is paid by two.  The clock is
set forward between the days (gcc builds what does it).  ``KEEP_SHOTS`` names a folder for pictures.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from magnetfund.tests.chain_support import (
    CHROMIUM,
    COMPILER,
    Person,
    ShiftedHome,
    give_seats,
    open_home,
)

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = [
    pytest.mark.drill,
    pytest.mark.skipif(CHROMIUM is None or COMPILER is None, reason="needs Chromium and gcc"),
]
STAFF = (
    ("dmitri", "Dmitri Volkov", ("accountant",)),
    ("mira", "Mira Sandoval", ("controller", "risk_officer")),
    ("nadia", "Nadia Brandt", ("risk_officer", "compliance")),
    ("lea", "Lea Fontaine", ("compliance",)),
    ("mia", "Mia Stahl", ("director",)),
)
ANSWERS = {
    "about": {
        "name": "Tomasz Wieczorek", "born": "1990-04-12", "birth_place": "Gdansk",
        "nationality": "PL", "address": "ul. Dluga 4", "city": "80-831 Gdansk", "country": "PL",
        "occupation": "Engineer",
    },
    "tax": {"country": "PL", "number": "90041212345", "is_us_person": "no"},
    "experience": {
        "client_class": "retail", "years": "4+", "share_of_wealth": "5", "can_lose_all": "yes",
        "holds_office": "no",
    },
    "source": {
        "source": "salary", "story": "Saved from my salary since 2015", "bank": "mBank",
        "bank_country": "PL",
    },
}  # fmt: skip
PAPER = (
    b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n"
    b"2 0 obj<</Type/Pages/Kids[]/Count 0>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"
)
STATEMENT_HEADS = "reference,booked_at,amount,currency,party,party_account,text,end_to_end"
IBAN, OWN_IBAN = "CH9300762011623852957", "PL61109010140000071219812874"


class Chain:
    """The people of one home, and the days of its first dealings."""

    def __init__(self, home: ShiftedHome, people: dict[str, Person]) -> None:
        self.home, self.people = home, people
        first = home.now() + timedelta(days=10)
        # Dealing days are the first of a month that is no weekend; cut-off lies five days before.
        self.first_month = (first.replace(day=1) + timedelta(days=32)).replace(day=1)

    def __getitem__(self, name: str) -> Person:
        return self.people[name]


@pytest.fixture(scope="module")
def chain() -> Iterator[Chain]:
    names = [*(name for name, _, _ in STAFF), "tomasz"]
    with open_home(names, on_phone="tomasz") as (home, people):
        yield Chain(home, people)


def test_a_stranger_invests_and_is_paid_in_an_empty_home(chain: Chain, tmp_path: Path) -> None:
    give_seats(chain.home, chain.people, STAFF, signers=("mira", "nadia"))
    _set_up(chain)
    # The next day every session of the house has ended: each comes back by the passkey.
    chain.home.move_to(chain.home.now() + timedelta(days=1))
    day = _next_day(chain, after=chain.home.now())
    case = _apply(chain, tmp_path)
    _approve(chain, case)
    order = _subscribe(chain)
    _pay(chain, order, day)
    _strike(chain, day)
    page = chain["tomasz"].go(order).see("dealt").text()
    assert "Settled" in page
    assert "100 units at 100.000000" in page
    with chain["tomasz"].page.expect_download() as note:
        chain["tomasz"].page.locator('a[href$=".pdf"]').first.click()
    assert Path(note.value.path()).read_bytes().startswith(b"%PDF")
    for path in ("/overview/", "/navs/", "/activity/", "/my-risk/", "/messages/", "/trades/"):
        chain["tomasz"].go(path).see(path.strip("/"))
    redemption, later = _redeem(chain, day)
    _strike(chain, later)
    page = chain["tomasz"].go(redemption).see("deferred").text()
    assert "Deferred · 15 units deferred to" in page
    assert "Dealt 25 units at" in page
    _pay_out(chain)
    assert [line for person in chain.people.values() for line in person.failures] == []


def _set_up(chain: Chain) -> None:
    """The fund, its class, terms, calendar, limits and account."""
    dmitri, mira, nadia = chain["dmitri"], chain["mira"], chain["nadia"]
    dmitri.go("/desk/founding/fund/").fill(
        code="KESTREL", name="Kestrel Point Fund", currency="USD", zone="Europe/Zurich",
        book="main", first_day=f"{chain.first_month:%Y-%m-%d}",
    ).press("Save")  # fmt: skip
    dmitri.fill(
        fund=_last(dmitri, "fund"), code="A", name="Class A", launch_price="100",
        minimum_subscription="5000",
    ).press("Save")  # fmt: skip
    dmitri.fill(
        share_class=_last(dmitri, "share_class"), management_rate="0.015", gate_share="0.25",
        reason="founding", effective_from=f"{chain.home.now():%Y-%m-%d}",
    )  # fmt: skip
    assert "a controller signs them" in dmitri.press("Save")
    dmitri.go("/desk/founding/calendar/").fill(
        fund=_last(dmitri, "fund"), first=f"{chain.first_month:%Y-%m-%d}", months="6"
    )
    assert "dealing days are in the calendar" in dmitri.press("Save")
    mira.go("/desk/founding/").see("terms").press("Sign terms")
    assert "are in force" in mira.sign("Sign terms")
    nadia.go("/desk/founding/limits/").fill(reason="founding").press("Save")
    nadia.press("Sign your proposal")
    nadia.page.get_by_role("button", name="Sign with your passkey").click()
    nadia.page.get_by_text("Your signature is on record").wait_for()
    mira.go("/desk/founding/").press("Sign limits")
    assert "Limits version 1 is approved" in mira.sign("Sign limits")
    dmitri.go("/desk/fund/accounts/").fill(
        'form[action$="/accounts/add/"]', code="MAIN", kind="bank", bank="Example Bank",
        number=IBAN, currency="USD",
    ).press("Propose account")  # fmt: skip
    mira.go("/desk/fund/accounts/").see("accounts").press("Approve account")
    assert "is in use" in mira.sign("Approve account")


def _last(person: Person, name: str) -> str:
    value = person.page.locator(f"select[name={name}] option").last.get_attribute("value")
    assert value
    return str(value)


def _next_day(chain: Chain, *, after: datetime) -> datetime:
    """The first dealing day of the calendar that lies after an instant: 00:00 UTC of a weekday."""
    day = chain.first_month.replace(hour=0, minute=0, second=0, microsecond=0)
    while day <= after:
        day = (day + timedelta(days=32)).replace(day=1)
    while day.weekday() >= 5:
        day += timedelta(days=1)
    return day


def _apply(chain: Chain, folder: Path) -> str:
    tomasz = chain["tomasz"].go("/apply/").see("apply")
    tomasz.fill(kind="person", email=tomasz.email).press("Send me the link")
    tomasz.go(chain.home.mailed_link(tomasz.email, r"http://localhost:\d+/apply/open/\S+"))
    for step, answers in ANSWERS.items():
        assert f"/apply/{step}/" in tomasz.page.url
        tomasz.see(step).fill(**answers).press("Save and go on")
    file = folder / "paper.pdf"
    file.write_bytes(PAPER)
    for item in ("identity", "address", "source_of_funds"):
        form = f"form:has(input[name=item][value={item}])"
        assert "stored, encrypted" in tomasz.fill(form, file=str(file)).press("Store file", form)
    tomasz.see("papers").press("Go on")
    tomasz.fill(share_class="A", amount="10000", understood=True, signature="Tomasz Wieczorek")
    assert "Your application is with us" in tomasz.press("Sign and send")
    lea = chain["lea"].go("/desk/investors/?state=open").see("cases")
    assert "nobody is screened against a sanctions list yet" in lea.press("Tomasz Wieczorek")
    return str(lea.page.url)


def _approve(chain: Chain, case: str) -> None:
    lea, nadia = chain["lea"].go(case), chain["nadia"]
    move = 'form[action$="/move/"]'
    lea.fill(move, reason="complete").press("Start review")
    form = 'form[action$="/check/"]'
    items = lea.page.locator("#check-item option").evaluate_all("all => all.map(e => e.value)")
    for item in filter(None, items):
        lea.fill(form, item=item, outcome="checked", evidence="seen").press("Note item")
    factors = ("customer", "country", "product", "channel", "money")
    lea.fill('form[action$="/rate/"]', **dict.fromkeys(factors, "1"), reason="salary, EU")
    lea.press("Save rating")
    assert "nobody is screened against a sanctions list yet" in lea.press("Sign the review")
    for kind in ("sanctions", "office"):
        lea.page.get_by_text("Record what an outside service answered").click()
        lea.fill(
            'form[action$="/screening/"]', party="Tomasz Wieczorek", kind=kind, list_name="Vendor",
            list_version="7",
        ).press("Record result")  # fmt: skip
    assert "You signed the review" in lea.see("case").press("Sign the review")
    nadia.go(case).fill(move, reason="agreed").press("Approve")
    assert "The file is now: approved" in nadia.sign("Approve", move, reason="agreed")


def _subscribe(chain: Chain) -> str:
    tomasz = chain["tomasz"]
    tomasz.go(chain.home.mailed_link(tomasz.email, r"http://localhost:\d+/join/\S+")).see("join")
    tomasz.press("Continue with a passkey")
    tomasz.press("Add passkey")
    tomasz.go("/overview/").see("no-units").press("Subscribe", "main")
    assert tomasz.page.locator("[name=amount]").input_value() == "10000"
    tomasz.press("Calculate")
    tomasz.press("Continue to confirmation")
    tomasz.see("confirm").fill(understood=True)
    page = tomasz.press("Order the subscription")
    assert "waiting for 10,000.00 USD" in page
    assert IBAN in page
    return str(tomasz.see("order").page.url)


def _pay(chain: Chain, order: str, day: datetime) -> None:
    """7,500 of 10,000 arrive, then the rest; a person decides, for the sender is new."""
    reference = "S-" + order.rstrip("/").rsplit("/", 1)[1][:8].upper()
    for number, (amount, said) in enumerate(
        (("7500.00", "7,500.00 USD arrived, 2,500.00 are missing"), ("2500.00", "money is here"))
    ):
        at = day - timedelta(days=7 - number)
        chain.home.move_to(at.replace(hour=9))
        line = f"BK-{number},{at:%Y-%m-%d}T08:00:00Z,{amount},USD,Tomasz Wieczorek,{OWN_IBAN}"
        _import_line(chain, f"{line},{reference},")
        dmitri = chain["dmitri"].see(f"money-{number}")
        dmitri.press("Decide")
        assert "Saved" in dmitri.press("Save the decision")
        assert said in chain["tomasz"].go(order).see(f"paid-{number}").text()


def _import_line(chain: Chain, line: str) -> str:
    file = chain.home.root.parent / "statement.csv"
    file.write_text(f"{STATEMENT_HEADS}\n{line}\n")
    dmitri = chain["dmitri"].go("/desk/fund/money/")
    dmitri.fill('form[action$="/upload/"]', file=str(file)).press("Read the file")
    page = dmitri.press("Import")
    assert "Imported: 1 new lines" in page
    return page


def _strike(chain: Chain, day: datetime) -> None:
    """NAV and dealing of a day, by accountant and controller, who signs what the rows say."""
    chain.home.move_to(day.replace(hour=8))
    assert "NAV prepared" in chain["dmitri"].go("/desk/fund/").press("Prepare NAV")
    mira = chain["mira"].go("/desk/fund/").see(f"nav-{day:%Y%m%d}")
    mira.press("Approve NAV")
    assert "NAV approved and orders dealt" in mira.sign("Approve NAV")


def _redeem(chain: Chain, day: datetime) -> tuple[str, datetime]:
    """Units for 4,000 of 10,000 through a gate of 25 %; the order and its dealing day."""
    chain.home.move_to(day.replace(hour=8) + timedelta(days=2))
    chain["dmitri"].go("/desk/fund/accounts/").fill(
        'form[action$="/payees/add/"]', investor="I-001", kind="bank", name="Tomasz Wieczorek",
        number=OWN_IBAN, bank="BREXPLPWXXX", currency="USD", evidence="call-back",
    ).press("Propose account", 'form[action$="/payees/add/"]')  # fmt: skip
    chain["mira"].go("/desk/fund/accounts/").press("Approve account")
    assert "can be paid from" in chain["mira"].sign("Approve account")
    tomasz = chain["tomasz"].go("/redeem/").fill(what="amount", size="4000")
    tomasz.press("Calculate")
    tomasz.press("Continue to confirmation")
    assert "40 units" in tomasz.see("redeem").text()
    assert "Accepted" in tomasz.fill(understood=True).press("Order the redemption")
    return str(tomasz.page.url), _next_day(chain, after=day + timedelta(days=3))


def _pay_out(chain: Chain) -> None:
    """Prepared by one, signed by another, released, and paid once the bank says so."""
    dmitri, mira = chain["dmitri"].go("/desk/fund/payments/").see("payments"), chain["mira"]
    assert "P-00001 is prepared" in dmitri.press("Prepare payment")
    mira.go("/desk/fund/payments/").press("Approve payment")
    payment = str(mira.page.url)
    mira.press("Approve payment")
    assert "done" in mira.sign("Approve payment")
    assert "done" in dmitri.go(payment).press("Release payment")
    paid = re.search(r"Amount ([\d,.]+) USD", dmitri.text())
    assert paid is not None
    chain.home.move_to(chain.home.now() + timedelta(days=3))
    at = chain.home.now() - timedelta(hours=1)
    line = f"BK-9,{at:%Y-%m-%dT%H:%M:%SZ},-{paid[1].replace(',', '')},USD,Tomasz Wieczorek"
    assert "1 matched" in _import_line(chain, f"{line},{OWN_IBAN},Redemption,P-00001")
    assert "Confirmed" in dmitri.go(payment).see("confirmed").text()
