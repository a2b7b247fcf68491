"""How many queries a page costs, and that more rows never mean more of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.db import connection
from django.test import Client

from bench.crowd import Size, fill
from bench.pages import (
    ADMIN,
    AUDITOR,
    DESK,
    EVERYBODY,
    INVESTOR,
    OPERATOR,
    PORTAL,
    PUBLIC,
    READS,
    other_desk_pages,
    other_portal_pages,
    sign_in,
)
from investors.models import Investor
from magnetfund.core import sessions
from magnetfund.core.actors import Actor
from magnetfund.core.roles import STAFF_ROLES, Role
from magnetfund.core.services.audit import list_actions, record_audit
from magnetfund.operations.people import ensure_user
from magnetfund.tests.flow_support import START
from magnetfund.tests.walls_support import make_instrument
from trading import selectors
from trading.models import Fill, Trade

pytestmark = pytest.mark.usefixtures("as_gateway")
PAGE_QUERIES_MAX = 15
#: Each part of the house adds its open tasks to the frame of the desk by one query.
DESK_QUERIES_MAX = 18
READ_QUERIES_MAX = 7
ADMIN_QUERIES_MAX = 10
SMALL = Size(
    investors=120, fills=400, trades=400, valuation_minutes=600, strikes=4, journal_entries=90,
    audit_lines=60, job_runs=60, fuse_events=40, own_lots=5, own_movements=150, own_days=90,
)  # fmt: skip


@pytest.fixture
def askers(
    traded_month: None, monkeypatch: pytest.MonkeyPatch
) -> list[tuple[Client, tuple[str, ...], int]]:
    """A fund that traded for a month, and who opens which pages with how many queries at most."""
    # What marks a session as seen once a minute would count to the page that is open then.
    monkeypatch.setattr(sessions, "SEEN_SECONDS", 3_600.0)
    # Some pages of the desk name holders, which an operator alone may not read.
    for email, roles in ((OPERATOR, [Role.OPERATOR, Role.AUDITOR]), (AUDITOR, [Role.AUDITOR])):
        ensure_user(email=email, name=email, roles=roles)
    holder = Investor.objects.filter(holdings__units__gt=0).order_by("number")[0]
    holder.user = ensure_user(email=INVESTOR, name="Ines", roles=[Role.INVESTOR])
    holder.email = INVESTOR
    holder.save(update_fields=["user", "email"])
    return [
        (Client(), PUBLIC, PAGE_QUERIES_MAX),
        (sign_in(OPERATOR), DESK, DESK_QUERIES_MAX),
        (sign_in(INVESTOR), PORTAL, PAGE_QUERIES_MAX),
        (sign_in(OPERATOR), READS, READ_QUERIES_MAX),
        (sign_in(AUDITOR), ADMIN, ADMIN_QUERIES_MAX),
    ]


class Counter:
    """Counts statements, and notes one that reads the inputs of a strike: a line for each lot of
    the fund."""

    def __init__(self) -> None:
        self.count = 0
        self.reads_inputs = False

    def __call__(
        self, execute: Callable[..., Any], text: Any, given: Any, many: Any, context: Any
    ) -> Any:
        self.count += 1
        self.reads_inputs |= '"investors_navstrike"."inputs"' in str(text)
        return execute(text, given, many, context)


#: Steps of a form, which open with what was typed before; and a page that needs two runs.
STEPS = {
    "/redeem/confirm/", "/switch/confirm/", "/subscribe/confirm/", "/switch/",
    "/desk/market/instruments/confirm/",
}  # fmt: skip
ONE_ROW = re.compile("/[0-9a-f]{8}-")


def count_queries(pages: Iterable[tuple[Client, str]]) -> dict[str, int]:
    """The queries of each page that opens, when it is opened again."""
    cache.clear()
    found, read = {}, set()
    for client, path in pages:
        counter = Counter()
        for _ in range(2):
            counter.count = 0
            with connection.execute_wrapper(counter):
                answer = client.get(path)
                answer.getvalue()  # a file is read as it is sent
        if answer.status_code != 200 and path in STEPS:
            continue
        assert answer.status_code == 200, path
        found[path] = counter.count
        if counter.reads_inputs:
            read.add(path)
    assert read == set(), "pages that read the inputs of a strike"
    return found


def test_no_page_asks_more_often_than_it_may_or_because_there_are_more_rows(
    fresh_database: Any, askers: list[tuple[Client, tuple[str, ...], int]]
):
    everybody = ensure_user(email=EVERYBODY, name="Everybody", roles=sorted(STAFF_ROLES))
    assert everybody.roles == STAFF_ROLES
    desk, portal = sign_in(EVERYBODY), sign_in(INVESTOR)
    most = {path: limit for _, paths, limit in askers for path in paths}

    def count() -> tuple[dict[str, int], dict[str, int]]:
        bounded = count_queries((client, path) for client, paths, _ in askers for path in paths)
        others = [(desk, path) for path in other_desk_pages()]
        others += [(portal, path) for path in other_portal_pages()]
        return bounded, count_queries(others)

    few, few_others = count()
    fill(fresh_database.dsn("postgres", "fresh"), size=SMALL, email=INVESTOR)
    assert Fill.objects.count() > SMALL.fills
    many, many_others = count()
    assert many.keys() == few.keys() == most.keys()
    # A page without any row yet may spare itself a read of what hangs on the rows.
    over = {path: (few[path], many[path])
            for path in many if many[path] > min(most[path], few[path] + 1)}  # fmt: skip
    # A page of one row shows another then, or more of its own: the lists are what is compared.
    both = {path for path in few_others.keys() & many_others.keys() if not ONE_ROW.search(path)}
    assert len(both) > 55
    over |= {path: (few_others[path], many_others[path])
             for path in both if many_others[path] > few_others[path] + 1}  # fmt: skip
    assert over == {}, "queries with few and with many rows"


def test_the_actions_of_the_trail_are_listed_once_each(fresh_database: Any) -> None:
    assert list_actions() == []
    for action in ("b.one", "a.two", "b.one", "c", "a.two"):
        record_audit(actor=Actor.system("test"), action=action)
    assert list_actions() == ["a.two", "b.one", "c"]


def make_trades(count: int) -> None:
    instrument = make_instrument()
    Trade.objects.bulk_create(
        Trade(
            instrument=instrument, strategy="trend", direction="long", quantity=1, entry_price=1,
            exit_price=1, gross_pnl=k, commission=0, funding=0, slippage=0, net_pnl=k,
            account_balance=1, closure_reason="stop", opened_at=START,
            closed_at=START + timedelta(minutes=k),
        )
        for k in range(count)
    )  # fmt: skip


def test_the_pages_of_trades_show_each_trade_once_and_end(monkeypatch: pytest.MonkeyPatch):
    make_trades(45)
    pages = [selectors.trade_page("main", number=number) for number in (1, 2, 3)]
    assert [int(trade.net_pnl) for page in pages for trade in page.trades] == [*range(44, -1, -1)]
    assert [page.has_older for page in pages] == [True, True, False]
    monkeypatch.setattr(selectors.book, "LIST_MAX", 40)
    assert selectors.trade_page("main", number=99).number == 2
    assert not selectors.trade_page("main", number=99).has_older
