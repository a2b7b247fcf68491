"""Pages and reads of the API with 10,000 investors and 1,000,000 fills in the database.

Run as ``python -m bench pages`` for the worst figures, ``python -m bench.pages`` for each page,
``python -m bench.pages --home /tmp/crowd /desk/fund/ /navs/`` for pages that begin so, on a
database that stays in that folder for the next run.
Every page of the desk and the portal is read, those of one row with the newest row of the crowd.
Server time is the whole answer inside the process, from the middleware to the rendered text.
"""

from __future__ import annotations

import argparse
import dataclasses
import gc
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.crowd import Size, fill
from bench.ground import platform
from bench.timing import Row

ROUNDS = 40
WARM_UP = 5
#: Of the pages that are read for their time alone.
OTHER_ROUNDS, OTHER_WARM_UP = 20, 2
PAGE_BAR_MS = 150.0
DATABASE_BAR_MS = 50.0
QUERIES_MAX = 15.0
#: A list that holds every row of a kind is over it at once.
SIZE_BAR_KB = 250.0
INVESTOR = "ines@example.com"
OPERATOR = "operator@example.com"
AUDITOR = "auditor@example.com"
#: Holds every role of the house, so that each page opens with all that it can show.
EVERYBODY = "everybody@example.com"

PUBLIC = ("/", "/account/login/")
DESK = (
    "/desk/", "/desk/risk/", "/desk/risk/events/", "/desk/risk/stresses/",
    "/desk/trading/", "/desk/trading/?page=25",
    "/desk/trading/?sort=worst&result=lost&page=2", "/desk/trading/ticket/",
    "/desk/trading/trades.csv", "/desk/signals/", "/desk/fund/",
)  # fmt: skip
PORTAL = (
    "/overview/", "/activity/", "/activity/?page=2", "/redeem/",
    "/redeem/?share_class=A&what=units&size=1", "/redeem/?share_class=A&what=amount&size=100",
    "/subscribe/", "/subscribe/?share_class=A&amount=100000",
)  # fmt: skip
READS = (
    "/health", "/capabilities", "/state", "/dependencies", "/api/positions/open",
    "/api/trades/recent", "/api/trades/recent?limit=500", "/api/performance/current",
    "/api/performance/history", "/api/performance/history?period=1y&interval=1h",
    "/api/performance/history?period=all&interval=1d", "/api/fuse/status",
)  # fmt: skip
ADMIN = (
    "/admin/trading/order/", "/admin/trading/fill/", "/admin/trading/fill/?p=3",
    "/admin/investors/investor/",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One page: 95th percentiles in ms of the wall, of this process and in the database."""

    path: str
    wall_ms: float
    processor_ms: float
    database_ms: float
    queries: int
    size: int


class Meter:
    """Counts the queries of one answer and the time that this process waited for them."""

    def __init__(self) -> None:
        self.count = 0
        self.seconds = 0.0

    def __call__(
        self, execute: Callable[..., Any], text: Any, given: Any, many: Any, context: Any
    ) -> Any:
        began = time.perf_counter()
        try:
            return execute(text, given, many, context)
        finally:
            self.count += 1
            self.seconds += time.perf_counter() - began


def p95(values: list[float]) -> float:
    """95th percentile."""
    return statistics.quantiles(values, n=20)[18]


def read_page(client: Any, path: str, *, rounds: int = ROUNDS, warm_up: int = WARM_UP) -> Reading:
    """Open one page again and again."""
    from django.db import connection

    wall, processor, database, queries, size = [], [], [], 0, 0
    for number in range(rounds + warm_up):
        meter = Meter()
        began, used = time.perf_counter(), time.process_time()
        with connection.execute_wrapper(meter):
            answer = client.get(path)
            content = answer.getvalue()  # a file is read as it is sent
        took, took_here = time.perf_counter() - began, time.process_time() - used
        if answer.status_code != 200:
            raise AssertionError(f"{path} answered {answer.status_code}")
        if number < warm_up:
            continue
        wall.append(took * 1000.0)
        processor.append(took_here * 1000.0)
        database.append(meter.seconds * 1000.0)
        queries, size = max(queries, meter.count), len(content)
    return Reading(
        path=path,
        wall_ms=p95(wall),
        processor_ms=p95(processor),
        database_ms=p95(database),
        queries=queries,
        size=size,
    )


def other_desk_pages() -> list[str]:
    """The pages of the desk that :data:`DESK` does not name, with a row where they show one."""
    from investors.models import DealingOrder, Investor
    from magnetfund.tests import test_access
    from magnetfund.web.setup_steps import PAGES
    from trading.models import Strategy

    order = DealingOrder.objects.order_by("-received_at")[0]
    sleeves = Strategy.objects.filter(is_active=True).order_by("code")[:1]
    found = test_access.DESK | test_access.TRADE | test_access.FILES | test_access.VAULT
    found |= {f"/desk/founding/{name}/" for name in PAGES}
    found |= {
        f"/desk/fund/orders/{order.pk}/",
        f"/desk/investors/{Investor.objects.order_by('-number')[0].pk}/",
        "/desk/books/", "/desk/fund/suspension/",
        "/desk/fund/orders/?state=settled", "/desk/fund/register/?search=10",
    }  # fmt: skip
    found |= {f"/desk/research/strategies/{sleeve.code}/" for sleeve in sleeves}
    return sorted(found - set(DESK))


def other_portal_pages() -> list[str]:
    """The pages of an investor that :data:`PORTAL` does not name."""
    from investors.models import DealingOrder
    from magnetfund.tests import test_access

    order = DealingOrder.objects.filter(investor__email=INVESTOR).order_by("-received_at")[0]
    return sorted((test_access.INVESTOR | {f"/orders/{order.pk}/"}) - set(PORTAL))


def open_pages(client: Any, paths: list[str]) -> list[str]:
    """Those that open as they are; a page of a step that needs a form sends elsewhere."""
    return [path for path in paths if client.get(path).status_code == 200]


@contextmanager
def crowded_fund(size: Size, home: Path | None = None) -> Iterator[None]:
    """A demo fund of two months, multiplied; one that an earlier run left in ``home`` is kept."""
    with platform(home=home) as folder:
        done = folder / "crowded"
        if done.exists():
            yield
            return
        from magnetfund.operations.demo.load import load_demo
        from magnetfund.operations.scenario import load_scenario
        from magnetfund.operations.servers.home import Home
        from magnetfund.operations.servers.postgres import Postgres

        story = load_scenario()
        story = dataclasses.replace(story, fund={**story.fund, "months_of_history": 2}, events=())
        load_demo(on_start=lambda bars: None, on_bar=lambda: None, scenario=story)
        fill(Postgres(Home(folder)).dsn("postgres"), size=size, email=INVESTOR)
        done.touch()
        # What the story and its engines left in this process is in no web process, where the
        # collector of garbage would not walk over it in the middle of an answer.
        gc.collect()
        gc.freeze()
        yield


def sign_in(email: str, *, token: bool = False) -> Any:
    """A browser with a session, or a program with a token, of one account."""
    from django.test import Client
    from rest_framework_simplejwt.tokens import RefreshToken

    from magnetfund.core.models import User

    user = User.objects.get(email=email)
    if token:
        access = RefreshToken.for_user(user).access_token
        return Client(headers={"Authorization": f"Bearer {access}"})
    client = Client()
    client.force_login(user)
    # The session as it is once the second factor was shown.
    session = client.session
    session["account_authentication_methods"] = [{"method": "mfa", "at": time.time()}]
    session["account_authentication_methods_user"] = str(user.pk)
    session.save()
    return client


def measure(beginnings: tuple[str, ...] = ("/",)) -> list[Reading]:
    """Every page and read that begins so, with the person who may open it."""
    from django.test import Client
    from rest_framework.throttling import AnonRateThrottle, UserRateThrottle

    from magnetfund.core.roles import STAFF_ROLES
    from magnetfund.operations.people import ensure_user

    ensure_user(email=EVERYBODY, name="Everybody", roles=sorted(STAFF_ROLES))
    # One client asks hundreds of times a minute here; its throttle is not what is measured.
    for throttle in (UserRateThrottle, AnonRateThrottle):
        throttle.THROTTLE_RATES = {**throttle.THROTTLE_RATES, "user": None, "anon": None}
    askers = (
        (Client(), PUBLIC),
        (sign_in(EVERYBODY), DESK),
        (sign_in(INVESTOR), PORTAL),
        (sign_in(OPERATOR, token=True), READS),
        (sign_in(AUDITOR), ADMIN),
    )
    found = [
        read_page(client, path)
        for client, paths in askers
        for path in paths
        if path.startswith(beginnings)
    ]
    for client, paths in (
        (sign_in(EVERYBODY), other_desk_pages()), (sign_in(INVESTOR), other_portal_pages()),
    ):  # fmt: skip
        found += [
            read_page(client, path, rounds=OTHER_ROUNDS, warm_up=OTHER_WARM_UP)
            for path in open_pages(client, [item for item in paths if item.startswith(beginnings)])
        ]
    return found


def rows_of(readings: list[Reading]) -> list[Row]:
    """The worst of each figure, named."""
    pages = [item for item in readings if item.path not in (*READS, *ADMIN)]
    served = [item for item in readings if item.path not in ADMIN]
    slow = max(served, key=lambda item: item.wall_ms)
    busy = max(served, key=lambda item: item.processor_ms)
    deep = max(readings, key=lambda item: item.database_ms)
    many = max(pages, key=lambda item: item.queries)
    large = max(pages, key=lambda item: item.size)
    return [
        (f"slowest of {len(served)} pages and reads, p95: {slow.path}", slow.wall_ms,
         PAGE_BAR_MS, "ms"),
        (f"most processor time, p95: {busy.path}", busy.processor_ms, PAGE_BAR_MS, "ms"),
        (f"longest in the database, p95: {deep.path}", deep.database_ms, DATABASE_BAR_MS, "ms"),
        (f"most queries of a page: {many.path}", float(many.queries), QUERIES_MAX, "queries"),
        (f"largest page: {large.path}", large.size / 1_000.0, SIZE_BAR_KB, "kB"),
    ]  # fmt: skip


def run() -> list[Row]:
    """The rows of this bench."""
    with crowded_fund(Size()):
        return rows_of(measure())


def print_readings(readings: list[Reading]) -> None:
    """One line a page."""
    print(f"{'':<50}{'wall':>9}{'process':>9}{'database':>9}{'queries':>9}{'bytes':>9}")
    for item in readings:
        print(
            f"{item.path:<50}{item.wall_ms:>9.1f}{item.processor_ms:>9.1f}"
            f"{item.database_ms:>9.1f}{item.queries:>9}{item.size:>9}"
        )


def main(words: list[str]) -> None:
    """Print every page, or those that are named."""
    from bench.timing import print_rows

    parser = argparse.ArgumentParser(prog="python -m bench.pages")
    parser.add_argument("--home", type=Path, help="a folder whose database stays")
    parser.add_argument("beginning", nargs="*", help="of the addresses that are read")
    asked = parser.parse_args(words)
    with crowded_fund(Size(), asked.home):
        found = measure(tuple(asked.beginning) or ("/",))
    print_readings(found)
    if not asked.beginning:
        print_rows(rows_of(found))


if __name__ == "__main__":
    main(sys.argv[1:])
