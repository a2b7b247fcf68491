"""How many queries a page costs, and that more rows never mean more of them."""

from __future__ import annotations

import re
from collections.abc import Callable
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
    open_pages,
    other_desk_pages,
    other_portal_pages,
    read_page,
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


class Spy:
    """Notes a statement that reads the inputs of a strike: a line for each lot of the fund."""

    def __init__(self) -> None:
        self.reads_inputs = False

    def __call__(
        self, execute: Callable[..., Any], text: Any, given: Any, many: Any, context: Any
    ) -> Any:
        self.reads_inputs |= '"investors_navstrike"."inputs"' in str(text)
        return execute(text, given, many, context)


def count_queries(askers: list[tuple[Client, tuple[str, ...], int]]) -> dict[str, int]:
    cache.clear()
    found, read = {}, set()
    for client, paths, _ in askers:
        for path in paths:
            spy = Spy()
            with connection.execute_wrapper(spy):
                found[path] = read_page(client, path, rounds=2, warm_up=1).queries
            if spy.reads_inputs:
                read.add(path)
    assert read == set(), "pages that read the inputs of a strike"
    return found


def test_no_page_asks_more_often_than_it_may_however_many_rows_there_are(
    fresh_database: Any, askers: list[tuple[Client, tuple[str, ...], int]]
):
    few = count_queries(askers)
    fill(fresh_database.dsn("postgres", "fresh"), size=SMALL, email=INVESTOR)
    assert Fill.objects.count() > SMALL.fills
    many = count_queries(askers)
    # A page without any row yet may spare itself a read of what hangs on the rows.
    over = {
        path: (few[path], many[path])
        for _, paths, most in askers
        for path in paths
        if many[path] > min(most, few[path] + 1)
    }
    assert over == {}, "queries with few and with many rows"


#: Steps of a form, which open with what was typed before; and a page that needs two runs.
STEPS = {
    "/redeem/confirm/", "/switch/confirm/", "/subscribe/confirm/", "/switch/",
    "/desk/market/instruments/confirm/",
}  # fmt: skip


ONE_ROW = re.compile("/[0-9a-f]{8}-")


def test_the_actions_of_the_trail_are_listed_once_each(fresh_database: Any) -> None:
    assert list_actions() == []
    for action in ("b.one", "a.two", "b.one", "c", "a.two"):
        record_audit(actor=Actor.system("test"), action=action)
    assert list_actions() == ["a.two", "b.one", "c"]


def test_no_other_page_asks_more_often_because_there_are_more_rows(
    fresh_database: Any, askers: list[tuple[Client, tuple[str, ...], int]]
):
    everybody = ensure_user(email=EVERYBODY, name="Everybody", roles=sorted(STAFF_ROLES))
    assert everybody.roles == STAFF_ROLES
    desk, portal = sign_in(EVERYBODY), sign_in(INVESTOR)

    def count() -> dict[str, int]:
        paths = [(desk, path) for path in other_desk_pages()]
        paths += [(portal, path) for path in other_portal_pages()]
        closed = {path for client, path in paths if not open_pages(client, [path])}
        assert closed <= STEPS
        found = [(client, path) for client, path in paths if path not in closed]
        return count_queries([(client, (path,), 0) for client, path in found])

    few = count()
    fill(fresh_database.dsn("postgres", "fresh"), size=SMALL, email=INVESTOR)
    many = count()
    # A page of one row shows another then, or more of its own: the lists are what is compared.
    both = {path for path in few.keys() & many.keys() if not ONE_ROW.search(path)}
    assert len(both) > 55
    over = {path: (few[path], many[path]) for path in both if many[path] > few[path] + 1}
    assert over == {}, "queries with few and with many rows"


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
