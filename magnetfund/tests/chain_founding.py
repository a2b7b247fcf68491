"""A fund that six people found in an empty production home, and strangers who join it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from magnetfund.tests.chain_support import Person, ShiftedHome, give_seats

STAFF = (
    ("dmitri", "Dmitri Volkov", ("accountant",)),
    ("mira", "Mira Sandoval", ("controller", "risk_officer")),
    ("nadia", "Nadia Brandt", ("risk_officer", "compliance")),
    ("lea", "Lea Fontaine", ("compliance",)),
    ("mia", "Mia Stahl", ("director",)),
)
PAPER = (
    b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n"
    b"2 0 obj<</Type/Pages/Kids[]/Count 0>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"
)
IBAN = "CH9300762011623852957"
JOIN = r"http://localhost:\d+/join/\S+"


@dataclass(frozen=True, kw_only=True)
class Stranger:
    """Somebody who applies: what they say of themselves, and the account they pay from."""

    full_name: str
    number: str
    about: Mapping[str, str]
    tax_number: str
    bank: str
    bic: str
    iban: str
    amount: str


STRANGERS = {
    "tomasz": Stranger(
        full_name="Tomasz Wieczorek",
        number="I-001",
        about={
            "born": "1990-04-12", "birth_place": "Gdansk", "nationality": "PL",
            "address": "ul. Dluga 4", "city": "80-831 Gdansk", "country": "PL",
            "occupation": "Engineer",
        },
        tax_number="90041212345",
        bank="mBank",
        bic="BREXPLPWXXX",
        iban="PL61109010140000071219812874",
        amount="10000",
    ),
    "iris": Stranger(
        full_name="Iris Vandermeer",
        number="I-002",
        about={
            "born": "1984-11-02", "birth_place": "Utrecht", "nationality": "NL",
            "address": "Oudegracht 12", "city": "3511 Utrecht", "country": "NL",
            "occupation": "Physician",
        },
        tax_number="123456782",
        bank="ABN AMRO",
        bic="ABNANL2AXXX",
        iban="NL91ABNA0417164300",
        amount="6000",
    ),
}  # fmt: skip


class Chain:
    """The people of one home, the days of its dealings, and what has been lived already."""

    def __init__(self, home: ShiftedHome, people: dict[str, Person]) -> None:
        self.home, self.people = home, people
        first = home.now() + timedelta(days=10)
        # Dealing days are the first of a month that is no weekend; cut-off lies five days before.
        self.first_month = (first.replace(day=1) + timedelta(days=32)).replace(day=1)
        #: The dealing day of the newest NAV.
        self.day = home.now()
        self.orders: dict[str, str] = {}
        self._lived: set[str] = set()

    def __getitem__(self, name: str) -> Person:
        return self.people[name]

    def live(self, *steps: Callable[[Chain], None]) -> None:
        """Each step that was not lived yet, in order."""
        for step in steps:
            if step.__name__ not in self._lived:
                step(self)
                self._lived.add(step.__name__)

    def next_day(self, *, after: datetime) -> datetime:
        """The first dealing day after an instant: 00:00 UTC of a weekday."""
        day = self.first_month.replace(hour=0, minute=0, second=0, microsecond=0)
        while (found := _skip_weekend(day)) <= after:
            day = (day + timedelta(days=32)).replace(day=1)
        return found

    def failures(self) -> list[str]:
        return [line for person in self.people.values() for line in person.failures]


def _skip_weekend(day: datetime) -> datetime:
    while day.weekday() >= 5:
        day += timedelta(days=1)
    return day


def found_the_fund(chain: Chain) -> None:
    """Six seats; a fund with two classes, terms, calendar, limits and a bank account.

    The fiscal period of class A ends before its fourth dealing day; what leaves pays 2 %, which
    stays with those who stay.
    """
    give_seats(chain.home, chain.people, STAFF, signers=("mira", "nadia", "mia"))
    _set_up(chain)
    # The next day every session of the house has ended: each comes back by the passkey.
    chain.home.move_to(chain.home.now() + timedelta(days=1))


def _set_up(chain: Chain) -> None:
    dmitri, mira, nadia = chain["dmitri"], chain["mira"], chain["nadia"]
    dmitri.go("/desk/founding/fund/").fill(
        code="KESTREL", name="Kestrel Point Fund", currency="USD", zone="Europe/Zurich",
        book="main", first_day=f"{chain.first_month:%Y-%m-%d}",
    ).press("Save")  # fmt: skip
    period_end = chain.first_month + timedelta(days=70)
    charged = {
        "performance_rate": "0.2", "exit_fee_rate": "0.02", "gate_share": "0.25",
        "crystallisation_months": f"{period_end.month}",
    }  # fmt: skip
    for code, terms in (("A", charged), ("B", {})):
        dmitri.go("/desk/founding/class/").fill(
            fund=_last(dmitri, "fund"), code=code, name=f"Class {code}", launch_price="100",
            minimum_subscription="5000",
        ).press("Save")  # fmt: skip
        dmitri.go("/desk/founding/terms/").fill(
            share_class=_last(dmitri, "share_class"), management_rate="0.015", reason="founding",
            effective_from=f"{chain.home.now():%Y-%m-%d}", **terms,
        )  # fmt: skip
        assert "a controller signs them" in dmitri.press("Save")
    dmitri.go("/desk/founding/calendar/").fill(
        fund=_last(dmitri, "fund"), first=f"{chain.first_month:%Y-%m-%d}", months="6"
    )
    assert "dealing days are in the calendar" in dmitri.press("Save")
    for code in ("A", "B"):
        terms_of = f"section:has-text('Terms of class {code}')"
        mira.go("/desk/founding/").see(f"terms-{code}").press("Sign terms", terms_of)
        assert "are in force" in mira.sign("Sign terms", terms_of)
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


def join(chain: Chain, name: str) -> None:
    """Somebody applies, is approved by two and signs in with a passkey of their own."""
    _approve(chain, _apply(chain, name), STRANGERS[name].full_name)
    person = chain[name]
    person.go(chain.home.mailed_link(person.email, JOIN)).see(f"join-{name}")
    person.press("Continue with a passkey")
    person.press("Add passkey")


def _apply(chain: Chain, name: str) -> str:
    stranger, person = STRANGERS[name], chain[name].go("/apply/").see("apply")
    person.fill(kind="person", email=person.email).press("Send me the link")
    person.go(chain.home.mailed_link(person.email, r"http://localhost:\d+/apply/open/\S+"))
    for step, answers in _answers_of(stranger).items():
        assert f"/apply/{step}/" in person.page.url
        person.see(step).fill(**answers).press("Save and go on")
    file = chain.home.root.parent / "paper.pdf"
    file.write_bytes(PAPER)
    for item in ("identity", "address", "source_of_funds"):
        form = f"form:has(input[name=item][value={item}])"
        assert "stored, encrypted" in person.fill(form, file=str(file)).press("Store file", form)
    person.see("papers").press("Go on")
    person.fill(
        share_class="A", amount=stranger.amount, understood=True, signature=stranger.full_name
    )
    assert "Your application is with us" in person.press("Sign and send")
    lea = chain["lea"].go("/desk/investors/?state=open").see("cases")
    assert "nobody is screened against a sanctions list yet" in lea.press(stranger.full_name)
    return str(lea.page.url)


def _answers_of(stranger: Stranger) -> dict[str, dict[str, Any]]:
    country = stranger.about["country"]
    return {
        "about": {"name": stranger.full_name, **stranger.about},
        "tax": {"country": country, "number": stranger.tax_number, "is_us_person": "no"},
        "experience": {
            "client_class": "retail", "years": "4+", "share_of_wealth": "5",
            "can_lose_all": "yes", "holds_office": "no",
        },
        "source": {
            "source": "salary", "story": "Saved from my salary since 2015",
            "bank": stranger.bank, "bank_country": country,
        },
    }  # fmt: skip


def _approve(chain: Chain, case: str, full_name: str) -> None:
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
            'form[action$="/screening/"]', party=full_name, kind=kind, list_name="Vendor",
            list_version="7",
        ).press("Record result")  # fmt: skip
    assert "You signed the review" in lea.see("case").press("Sign the review")
    nadia.go(case).fill(move, reason="agreed").press("Approve")
    assert "The file is now: approved" in nadia.sign("Approve", move, reason="agreed")
