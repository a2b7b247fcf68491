"""The questions of an application, one form a step; each says why it is asked."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from magnetfund.kernel.clock import utc_now
from magnetfund.web.forms import figure_field
from magnetfund.web.public.countries import COUNTRIES

ADULT_YEARS = 18
OWNER_FROM = 25
PEOPLE_MAX = 12
_COUNTRY = [("", "choose"), *COUNTRIES]
_YES_NO = [("no", "No"), ("yes", "Yes")]


def _text(label: str, why: str, *, longest: int = 120, **more: Any) -> forms.CharField:
    return forms.CharField(label=label, help_text=why, max_length=longest, **more)


def _country(label: str, why: str, **more: Any) -> forms.ChoiceField:
    return forms.ChoiceField(label=label, help_text=why, choices=_COUNTRY, **more)


def _choice(label: str, why: str, options: list[tuple[str, str]]) -> forms.ChoiceField:
    return forms.ChoiceField(
        label=label, help_text=why, choices=options, widget=forms.RadioSelect()
    )


def _day(label: str, why: str) -> forms.DateField:
    return forms.DateField(
        label=label,
        help_text=why,
        input_formats=["%Y-%m-%d", "%d.%m.%Y", "%d/%m/%Y"],
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
        error_messages={"invalid": "Write the day as 1980-12-31."},
    )


def _lines(label: str, why: str) -> forms.CharField:
    return forms.CharField(
        label=label,
        help_text=why,
        max_length=3_000,
        widget=forms.Textarea(attrs={"rows": 5}),
    )


class StepForm(forms.Form):
    """A step; ``title`` heads the page."""

    title = ""
    lede = ""

    def __init__(self, data: Any = None, initial: Mapping[str, Any] | None = None) -> None:
        super().__init__(data, initial=dict(initial or {}))
        for field in self.fields.values():
            widget = field.widget
            if isinstance(widget, forms.RadioSelect):
                widget.attrs["class"] = "form-check-input"
                continue
            is_select = isinstance(widget, forms.Select)
            widget.attrs["class"] = "form-select" if is_select else "form-control"

    def answers(self) -> dict[str, Any]:
        """The answers as they are kept: texts alone."""
        return {
            name: value.isoformat() if isinstance(value, date) else value
            for name, value in self.cleaned_data.items()
        }


def _require_adult(born: date) -> date:
    today = utc_now().date()
    age = today.year - born.year - ((today.month, today.day) < (born.month, born.day))
    if not ADULT_YEARS <= age <= 120:
        raise ValidationError("Applicants are at least 18 years old.")
    return born


class PersonForm(StepForm):
    title = "Who are you?"
    lede = "As in your passport or identity card."
    name = _text("Full name", "The name must be the one of your document.", longest=100)
    born = _day("Date of birth", "It tells you from others of the same name.")
    birth_place = _text("Place of birth", "Lists that we must compare with name it.")
    nationality = _country("Nationality", "As in your document.")
    address = _text("Street and number", "Where you live; a proof of it is asked for later.")
    city = _text("Postcode and city", "Where you live.")
    country = _country("Country where you live", "It decides which rules protect you.")
    occupation = _text("Occupation", "It helps to understand where your money comes from.")

    def clean_born(self) -> date:
        return _require_adult(self.cleaned_data["born"])


class SecondForm(PersonForm):
    title = "Who is the second holder?"
    lede = "Both hold the units together, and both must agree to every order."


class CompanyForm(StepForm):
    title = "Which company applies?"
    lede = "As in the register."
    name = _text("Name of the company", "As in the register extract.", longest=150)
    form = _text("Legal form", "For example Ltd, GmbH, AG.", longest=40)
    number = _text("Register number", "We look the company up under it.", longest=60)
    lei = _text("LEI, if it has one", "Twenty signs; not needed.", longest=20, required=False)
    address = _text("Registered office", "Street, number, postcode and city.", longest=200)
    country = _country("Country of the register", "It decides which rules apply.")
    activity = _text("What the company does", "In a sentence.", longest=300)
    contact = _text("Your name and position", "Who fills this in.", longest=150)


class OwnersForm(StepForm):
    title = "Who owns and runs the company?"
    lede = "Every person who holds a quarter or more, or who decides in another way."
    people = _lines(
        "Owners and signatories, one a line",
        "Name, date of birth, country, share: “Karin Reiff, 1979-02-14, DE, 55”. A signatory "
        "without shares has 0.",
    )
    rest = forms.BooleanField(
        label="The rest belongs to several people, each below 25 %, and none of them decides",
        required=False,
        help_text="Tick it where the shares above do not add to 100.",
    )

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        if "people" not in given:
            return given
        total = 0.0
        lines = [line for line in given["people"].splitlines() if line.strip()]
        if len(lines) > PEOPLE_MAX:
            self.add_error("people", f"At most {PEOPLE_MAX} people.")
        for number, line in enumerate(lines, start=1):
            parts = [part.strip() for part in line.split(",")]
            try:
                name, born, country, written = parts
                _require_adult(date.fromisoformat(born))
                share = float(written.removesuffix("%"))
                if len(name) < 3 or country not in dict(COUNTRIES) or not 0 <= share <= 100:
                    raise ValueError
                total += share
            except (ValueError, ValidationError):
                self.add_error(
                    "people",
                    f"Line {number}: write name, date of birth, country, share, for example "
                    "“Karin Reiff, 1979-02-14, DE, 55”.",
                )
                return given
        if total > 100.0001:
            self.add_error("people", f"The shares add to {total:g} %.")
        elif total < 99.9999 and not given.get("rest"):
            self.add_error("rest", f"{100 - total:g} % have no owner yet: name them, or tick this.")
        return given

    def answers(self) -> dict[str, Any]:
        return {**super().answers(), "rest": bool(self.cleaned_data.get("rest"))}


class TrustForm(StepForm):
    title = "Which trust applies?"
    lede = "As in the deed."
    name = _text("Name of the trust", "As in the deed.", longest=150)
    dated = _day("Date of the deed", "It tells which version holds.")
    law = _country("Law of the trust", "As in the deed.")
    country = _country("Country where it is administered", "It decides which rules apply.")
    purpose = _text("Purpose", "In a sentence.", longest=300)
    contact = _text("Your name and position", "Who fills this in.", longest=150)


class PartiesForm(StepForm):
    title = "Who are the parties?"
    lede = "Settlor, every trustee, protector, and beneficiaries or their class."
    people = _lines(
        "Parties, one a line",
        "Name, part: “Karin Reiff, settlor”. Parts: settlor, trustee, protector, beneficiary.",
    )
    PARTS = ("settlor", "trustee", "protector", "beneficiary")

    def clean_people(self) -> str:
        text: str = self.cleaned_data["people"]
        found = set()
        for number, line in enumerate(text.strip().splitlines(), start=1):
            name, _, part = (item.strip() for item in line.partition(","))
            if len(name) < 3 or part not in self.PARTS:
                raise ValidationError(f"Line {number}: write name, part.")
            found.add(part)
        missing = [part for part in ("settlor", "trustee", "beneficiary") if part not in found]
        if missing:
            raise ValidationError(f"Missing: {', '.join(missing)}.")
        return text


class TaxForm(StepForm):
    title = "Where do you pay tax?"
    lede = "Four questions, about two minutes."
    country = _country(
        "Country where you pay tax",
        "The law makes us report holdings to the country you are taxed in, once a year.",
    )
    number = _text(
        "Tax number", "The report goes out under this number; a wrong one comes back.", longest=40
    )
    second_country = _country(
        "A second country, if there is one", "Two countries means two reports.", required=False
    )
    second_number = _text(
        "Tax number there", "Only with a second country.", longest=40, required=False
    )
    is_us_person = _choice(
        "Are you a US citizen, resident or company?",
        "US law applies to its citizens wherever they live. We cannot take US persons yet, and "
        "would rather say so now.",
        _YES_NO,
    )

    def clean_number(self) -> str:
        number: str = self.cleaned_data["number"]
        if sum(sign.isalnum() for sign in number) < 4:
            raise ValidationError("A tax number has at least four signs.")
        return number

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        if bool(given.get("second_country")) != bool(given.get("second_number")):
            self.add_error("second_number", "A second country and its number go together.")
        return given


class ExperienceForm(StepForm):
    title = "What do you know of funds like this?"
    lede = "We must ask whether this fund suits you. There are no wrong answers."
    client_class = _choice(
        "Which investor are you?",
        "It decides which protection the law gives you.",
        [("retail", "Retail"), ("professional", "Professional"), ("accredited", "Accredited")],
    )
    years = _choice(
        "How long have you invested in funds or crypto?",
        "Experience lets you judge the risk.",
        [("0", "Not yet"), ("1-3", "One to three years"), ("4+", "Four years or more")],
    )
    share_of_wealth = _choice(
        "Which part of your free wealth would this be?",
        "Money that you need elsewhere does not belong in this fund.",
        [("5", "Up to 5 %"), ("20", "5 to 20 %"), ("more", "More than 20 %")],
    )
    can_lose_all = _choice(
        "Could you lose all of it and still live as now?",
        "It can happen: the fund is leveraged.",
        [("yes", "Yes"), ("no", "No")],
    )
    holds_office = _choice(
        "Do you, a close relative or an owner hold a public office?",
        "Ministers, judges, members of parliament, board members of state companies and the like.",
        _YES_NO,
    )
    office = _text("Which office", "Only with yes.", longest=200, required=False)

    def clean_can_lose_all(self) -> str:
        if self.cleaned_data["can_lose_all"] == "no":
            raise ValidationError(
                "Then this fund does not suit you, and we may not take your money."
            )
        return str(self.cleaned_data["can_lose_all"])

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        if given.get("holds_office") == "yes" and not given.get("office"):
            self.add_error("office", "Name the office.")
        return given


class SourceForm(StepForm):
    title = "Where does the money come from?"
    lede = "In general, and for this amount. A proof is asked for in the next step."
    source = _choice(
        "Main source",
        "The law asks us to understand it.",
        [("salary", "Salary or business"), ("sale", "Sale of property or a company"),
         ("inheritance", "Inheritance or gift"), ("investments", "Investments or crypto"),
         ("other", "Something else")],
    )  # fmt: skip
    story = _text(
        "In your own words", "For example: sale of my flat in Lyon, May 2025.", longest=1_000,
        widget=forms.Textarea(attrs={"rows": 3}),
    )  # fmt: skip
    bank = _text("Bank or wallet that it will come from", "Money from others is sent back.")
    bank_country = _country("Country of the bank", "Some need a closer look.")

    def clean_story(self) -> str:
        story: str = self.cleaned_data["story"]
        if len(story.strip()) < 10:
            raise ValidationError("A sentence at least, please.")
        return story


class SignForm(StepForm):
    title = "Amount and signature"
    lede = "The amount is no order yet: you confirm it in your account once you are accepted."
    share_class = forms.ChoiceField(label="Class", help_text="Fees and minimum differ.")
    amount = figure_field(label="Amount", help_text="Below the minimum nothing can be issued.")
    understood = forms.BooleanField(
        label="I have read the agreements and sign them",
        help_text="Your name, the time and a hash of each text are kept.",
        error_messages={"required": "Tick the box to sign."},
    )
    signature = _text("Your full name, as your signature", "Typed is enough.", longest=150)

    def __init__(
        self,
        data: Any = None,
        initial: Mapping[str, Any] | None = None,
        *,
        classes: list[tuple[str, str]],
    ) -> None:
        super().__init__(data, initial)
        field: Any = self.fields["share_class"]
        field.choices = classes
        self.fields["understood"].widget.attrs["class"] = "form-check-input"


FORMS: Mapping[str, type[StepForm]] = {
    "about": PersonForm,
    "second": SecondForm,
    "company": CompanyForm,
    "owners": OwnersForm,
    "trust": TrustForm,
    "parties": PartiesForm,
    "tax": TaxForm,
    "experience": ExperienceForm,
    "source": SourceForm,
}
#: Short names of the steps, as the line above the form shows them.
STEP_WORDS = {
    "about": "You",
    "second": "Second holder",
    "company": "Company",
    "owners": "Owners",
    "trust": "Trust",
    "parties": "Parties",
    "tax": "Tax residence",
    "experience": "Experience",
    "source": "Source of funds",
    "papers": "Documents",
    "sign": "Amount and signature",
}
