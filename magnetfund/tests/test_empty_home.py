"""A fund is founded and joined in an empty production home, by its people, in a browser.

Six people with passkeys found the fund, two sign its terms and limits at the signer, and a stranger
applies on a phone.  ``KEEP_SHOTS`` names a folder for pictures of the pages.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
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
IBAN = "CH9300762011623852957"


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


def test_six_people_found_a_fund_and_a_stranger_applies(chain: Chain, tmp_path: Path) -> None:
    give_seats(chain.home, chain.people, STAFF, signers=("mira", "nadia"))
    _set_up(chain)
    # The next day every session of the house has ended: each comes back by the passkey.
    chain.home.move_to(chain.home.now() + timedelta(days=1))
    _apply(chain, tmp_path)
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


def _apply(chain: Chain, folder: Path) -> None:
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
