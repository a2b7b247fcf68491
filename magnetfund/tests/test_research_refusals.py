"""What research refuses, over its pages: one clear line each, and nothing of the form is lost."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

import pytest
from celery import Task
from django.test import Client
from django.utils.html import escape

from magnetfund.core.roles import Role
from magnetfund.operations.people import ensure_user
from magnetfund.tests.test_desk_research import FORM
from trading.models import ResearchRun, RunState, Trial
from trading.services.research.queue import work_waiting
from trading.tests.magnet_bars import make_random_bars, without_bars
from trading.tests.test_research_backtests import NAME, store

pytestmark = pytest.mark.django_db
BACKTESTS, SWEEPS = "/desk/research/backtests/", "/desk/research/sweeps/start/"
#: Nothing at its default, so that a field which is dropped shows.
TYPED = {
    **FORM, "p_fast": "6", "p_slow": "30", "p_stop_atr": "3.5", "cash": "125000", "risk": "0.5",
    "fees": "0.04", "slippage": "3", "rules": "bare", "funding": "none", "gaps": "2",
    "start": "2024-01-10", "end": "2024-04-20", "unseen": "2024-03-01", "controls": "4",
}  # fmt: skip

SWEPT = {
    "strategy": "moving-average", "instrument": NAME, "unseen": "2024-03-01",
    "space": "fast = 5,6\nslow = 200", "draw": "7", "search": "tpe",
}  # fmt: skip


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Client:
    monkeypatch.setattr(Task, "apply_async", lambda self, *a, **options: None)
    client = Client()
    client.force_login(ensure_user(email="op@example.com", name="Operator", roles=[Role.OPERATOR]))
    return client


class FormReader(HTMLParser):
    """The fields of the forms of a page as a browser would send them, and the links by text."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.fields: dict[str, str] = {}
        self.links: dict[str, str] = {}
        self._name, self._text, self._link = "", "", ""
        self.feed(page.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self._text = ""
        if tag == "a":
            self._link = given.get("href", "")
        elif tag in ("select", "textarea"):
            self._name = given.get("name", "")
        elif tag == "option" and ("selected" in given or self._name not in self.fields):
            self.fields[self._name] = given.get("value", "")
            self._is_open = "value" not in given
        is_sent = given.get("type") not in ("radio", "checkbox") or "checked" in given
        if tag == "input" and "name" in given and is_sent:
            self.fields[given["name"]] = given.get("value", "")

    def handle_data(self, data: str) -> None:
        self._text += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "a":
            self.links[self._text.strip()] = self._link
        is_text = tag == "option" and self.fields.get(self._name) == "" and self._is_open
        if tag == "textarea" or is_text:
            self.fields[self._name] = self._text.strip()


def read_form(page: bytes) -> dict[str, str]:
    fields = FormReader(page).fields
    return {name: fields[name] for name in fields if name in TYPED or name in SWEPT}


@pytest.mark.parametrize(
    ("address", "changes", "line"),
    [
        (BACKTESTS, {"strategy": "no-such"}, "There is no such strategy."),
        (BACKTESTS, {"p_fast": "5000"}, "fast = 5000 is outside its bounds 1 to 2000"),
        (BACKTESTS, {"p_fast": "six"}, "fast must be a number"),
        (BACKTESTS, {"p_fast": "40"}, "Windows must satisfy 1 <= fast < slow."),
        (BACKTESTS, {"end": "2024-01-05"}, "The span ends before it begins."),
        (BACKTESTS, {"cash": "5"}, "Allowed here: 100 to 1e+12."),
        (
            SWEEPS,
            {"space": "fast = 2:150:1\nslow = 151:400:1", "draw": "0", "search": "grid"},
            "at most 20,000 in one sweep",
        ),
        (SWEEPS, {"space": "speed = 1,2"}, "There is no parameter speed; known:"),
        (SWEEPS, {"space": "fast = 1,5000"}, "fast = 5000 is outside its bounds 1 to 2000"),
        (SWEEPS, {"space": "fast"}, "A line reads parameter = values, not fast"),
        (SWEEPS, {"draw": "many"}, "The number of draws is a whole number"),
        (SWEEPS, {"strategy": "no-such"}, "There is no such strategy."),
    ],
)
def test_a_bad_field_is_one_line_and_the_form_keeps_what_was_typed(
    desk: Client, address: str, changes: dict[str, str], line: str
) -> None:
    store(make_random_bars(count=60, seed=31))
    given: dict[str, Any] = {**TYPED, **changes}
    if address == SWEEPS:
        given = {**SWEPT, **changes}
    answer = desk.post(address, given)
    assert answer.status_code == 422
    assert escape(line) in answer.content.decode()
    kept = read_form(answer.content)
    lost = {name for name in given if kept.get(name, "").replace("\r", "") != given[name]}
    # A strategy that does not exist stands in no list, and has no parameters to show.
    if changes.get("strategy"):
        lost -= {"strategy", "p_fast", "p_slow", "p_stop_atr"}
    assert not lost
    assert not ResearchRun.objects.exists()


@pytest.mark.parametrize(
    ("count", "hidden", "changes", "line"),
    [
        (3_000, range(0), {"start": "2035-01-10", "end": "", "unseen": ""},
         f"there are no candles of {NAME} in this span; import them first"),
        (3_000, range(1_000, 1_100), {}, "missing"),
        (60, range(0), {"start": "", "end": "", "unseen": "", "p_slow": "200"},
         "the span is shorter than the warm-up"),
    ],
)  # fmt: skip
def test_what_only_the_run_can_know_is_one_line_and_the_form_opens_as_it_was_sent(
    desk: Client, count: int, hidden: range, changes: dict[str, str], line: str
) -> None:
    store(without_bars(make_random_bars(count=count, seed=31), list(hidden)))
    given = {**TYPED, **changes}
    address = desk.post(BACKTESTS, given).headers["Location"]
    work_waiting()
    run = ResearchRun.objects.get()
    assert run.state == RunState.REFUSED
    page = desk.get(address).content
    assert line in run.refusal
    assert "\n" not in run.refusal
    assert escape(run.refusal) in page.decode()
    assert not Trial.objects.exists()
    again = FormReader(page).links["Change and run again"]
    kept = read_form(desk.get(again).content)
    assert {name: kept.get(name) for name in given} == given


def test_a_refused_sweep_opens_its_form_as_it_was_sent(desk: Client) -> None:
    store(make_random_bars(count=60, seed=31))
    given = {**SWEPT, "unseen": "", "draw": "0", "search": "grid"}
    address = desk.post(SWEEPS, given).headers["Location"]
    work_waiting()
    page = desk.get(address).content
    assert ResearchRun.objects.get().refusal in page.decode()
    again = FormReader(page).links["Change and run again"]
    assert read_form(desk.get(again).content) == given
