"""The steps of a founding: what each asks, who does it, and the form that does it."""

from __future__ import annotations

from dataclasses import dataclass

from magnetfund.web.policy_forms import LimitsForm, TermsForm
from magnetfund.web.service_forms import ServiceForm
from magnetfund.web.setup_forms import (
    DealingDaysForm,
    FundForm,
    HolidayForm,
    InvestorForm,
    ShareClassForm,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SetupPage:
    """One step of a founding; ``after`` is the page that follows it."""

    name: str
    words: str
    lede: str
    form: type[ServiceForm]
    done: str
    after: str = ""


PAGES = {
    page.name: page
    for page in (
        SetupPage(
            name="fund",
            words="Fund",
            lede="Its currency is that of every class; cut-offs are local times of its zone.",
            form=FundForm,
            done="The fund is there. Next: its classes.",
            after="class",
        ),
        SetupPage(
            name="class",
            words="Class",
            lede="A class deals once its terms have two signatures.",
            form=ShareClassForm,
            done="The class is there. Next: its terms.",
            after="terms",
        ),
        SetupPage(
            name="terms",
            words="Terms",
            lede="Fees, notice, lock-up and gate of one class. A controller signs them.",
            form=TermsForm,
            done="The terms are proposed; a controller signs them.",
        ),
        SetupPage(
            name="holiday",
            words="Holiday",
            lede="A day without business; dealing days move past it.",
            form=HolidayForm,
            done="The holiday is noted.",
            after="holiday",
        ),
        SetupPage(
            name="calendar",
            words="Calendar",
            lede="Dealing days of the coming months. Try them out first: known days stay.",
            form=DealingDaysForm,
            done="The dealing days are in the calendar.",
        ),
        SetupPage(
            name="limits",
            words="Limits",
            lede="The whole set of limits. A second risk officer signs it.",
            form=LimitsForm,
            done="The limits are proposed; a second risk officer signs them.",
        ),
        SetupPage(
            name="investor",
            words="Investor",
            lede="A first investor. Compliance then mails the link to the application.",
            form=InvestorForm,
            done="The investor is entered; compliance goes on.",
            after="investor",
        ),
    )
}
