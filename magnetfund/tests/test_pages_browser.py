"""The pages in a real browser: narrow screens, the content policy, no scripts, the two hard steps.

A replayed fund on a database of the module, served by uvicorn as in production, opened in Chromium.
The tests that change the fund stand last.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any

import psycopg
import pytest

from magnetfund.core.roles import Role
from magnetfund.kernel.clock import utc_now
from magnetfund.operations.servers.home import Home
from magnetfund.operations.servers.valkey import Valkey
from magnetfund.tests.chain_support import CUT
from magnetfund.tests.flow_support import SYMBOL
from magnetfund.tests.walls_support import make_engine_ready

PROJECT = Path(__file__).resolve().parents[2]
CHROMIUM = next((p for n in ("chromium", "chromium-browser") if (p := shutil.which(n))), None)
playwright_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is on this machine")

PAGES: dict[str, tuple[str, ...]] = {
    "": ("/", "/account/login/", "/account/password/reset/"),
    "operator": (
        "/desk/", "/desk/risk/", "/desk/risk/limits/", "/desk/risk/tail/",
        "/desk/risk/correlation/", "/desk/risk/factors/", "/desk/risk/attribution/",
        "/desk/risk/calculators/", "/desk/risk/events/", "/desk/risk/stresses/",
        "/desk/trading/",
        "/desk/trading/ticket/", "/desk/trading/orders/", "/desk/risk/stop/confirm/",
        "/desk/signals/", "/desk/options/",
        "/desk/fund/", "/desk/fund/breaks/", "/desk/fund/nav/known/", "/desk/fund/nav/error/",
        "/desk/fund/restatements/",
        "/desk/founding/", "/desk/research/",
        "/desk/research/sweeps/", "/desk/research/evidence/", "/desk/research/survival/",
        "/desk/research/replays/",
        "/account/2fa/", "/account/sessions/",
    ),
    "accountant": (
        "/desk/market/", "/desk/market/instruments/", "/desk/research/strategies/",
        "/desk/people/", "/desk/fund/money/", "/desk/fund/payments/", "/desk/fund/accounts/",
        "/desk/fund/rebates/", "/desk/fund/rates/",
        "/desk/fund/pockets/", "/desk/fund/pockets/changes/",
        "/desk/fund/register/", "/desk/fund/papers/", "/desk/fund/suspension/",
        "/desk/fund/orders/", "/desk/fund/distributions/",
        "/desk/fund/proposals/", "/desk/fund/proposals/import/", "/desk/fund/orders/?state=settled",
    ),
    "auditor": ("/desk/books/", "/desk/investors/"),
    "investor": (
        "/overview/", "/activity/", "/statements/", "/proof/", "/my-risk/", "/trades/", "/navs/",
        "/messages/", "/settings/", "/accounts/",
        "/redeem/", "/redeem/?share_class=A&what=all",
        "/switch/", "/subscribe/", "/subscribe/?share_class=A&amount=100000",
    ),
}  # fmt: skip
NARROW = {"width": 360, "height": 740}
#: The narrowest screen on which a table is whole without being scrolled.
SMALL_DESK = 1280
#: What a thumb must hit; links inside sentences are exempt, as in WCAG 2.5.8.
TARGETS = ".btn, .form-control, .form-select, summary, .mf-menu a, .mf-tabs a"
PRICE = 50_000


@dataclass(frozen=True, slots=True)
class Site:
    """A running fund and the sessions of its people."""

    base: str
    sessions: dict[str, str]


@pytest.fixture(scope="module")
def told(month_told: Any) -> Any:
    """The tests of this file begin with a month of a fund."""
    return month_told


@pytest.fixture(scope="module")
def site(module_database: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    sessions = _fill(module_database)
    valkey = Valkey(Home(tmp_path_factory.mktemp("pages")))
    valkey.start()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "magnetfund.settings",
        "DATABASE_URL": module_database.dsn("fa_app", "module"),
        "MAGNET_DB_ROLE": "app",
        "PUBLIC_URL": f"http://127.0.0.1:{port}",
        **valkey.environment(),
    }
    server = subprocess.Popen(
        [sys.executable, "-m", "uvicorn", "magnetfund.asgi:application", "--port", str(port),
         "--log-level", "error", "--no-access-log", "--timeout-graceful-shutdown", "1"],
        cwd=PROJECT, env=environment,
    )  # fmt: skip
    base = f"http://127.0.0.1:{port}"
    try:
        _wait_for(f"{base}/account/login/", server)
        yield Site(base=base, sessions=sessions)
    finally:
        server.terminate()
        server.wait(30)
        valkey.stop()
        shutil.rmtree(valkey.home.sockets, ignore_errors=True)
        shutil.rmtree(valkey.home.cluster, ignore_errors=True)


@pytest.fixture(autouse=True)
def fresh_price(site: Site, module_database: Any) -> None:
    """The trader's beat again: a price older than two minutes forbids entries, however slow the
    machine was."""
    with psycopg.connect(module_database.dsn("postgres", "module"), autocommit=True) as session:
        session.execute("UPDATE core_heartbeat SET seen_at = now() WHERE part = 'trader'")


def _fill(cluster: Any) -> dict[str, str]:
    """A trader that told a price just now, and people who look; returns session keys."""
    from django.db import connection
    from django.test import Client

    from investors.models import Investor, UnitLot
    from magnetfund.core.models import Heartbeat
    from magnetfund.env import parse_database_url
    from magnetfund.operations.people import ensure_user
    from trading.models import Valuation

    connection.close()
    plain = dict(connection.settings_dict)
    connection.settings_dict.update(parse_database_url("t", cluster.dsn("fa_gateway", "module")))
    now = utc_now()
    last = Valuation.objects.filter(book="main").order_by("-at").first()
    assert last is not None
    Valuation.objects.create(
        book="main", at=now - timedelta(seconds=2), equity=last.equity, cash=last.cash,
        unit_value=last.unit_value, peak_unit_value=last.peak_unit_value,
        day_start_unit_value=last.unit_value,
    )  # fmt: skip
    Heartbeat.objects.create(
        part="trader", instance="main", seen_at=now, detail={"prices": {SYMBOL: str(PRICE)}}
    )
    make_engine_ready()
    lot = UnitLot.objects.select_related("holding__investor").order_by("number").first()
    assert lot is not None
    people = {
        "operator": ensure_user(email="op@example.com", name="Op", roles=[Role.OPERATOR]),
        "accountant": ensure_user(email="acc@example.com", name="Acc", roles=[Role.ACCOUNTANT]),
        "auditor": ensure_user(email="aud@example.com", name="Aud", roles=[Role.AUDITOR]),
        "investor": ensure_user(email="ines@example.com", name="Ines", roles=[Role.INVESTOR]),
    }
    Investor.objects.filter(pk=lot.holding.investor_id).update(user=people["investor"])
    connection.close()
    connection.settings_dict.update(plain)
    sessions = {}
    for name, user in people.items():
        client = Client()
        client.force_login(user)
        # The session as it is once the second factor was shown.
        session = client.session
        session["account_authentication_methods"] = [{"method": "mfa", "at": time.time()}]
        session["account_authentication_methods_user"] = str(user.pk)
        session.save()
        sessions[name] = client.cookies["session"].value
    connection.close()
    return sessions


def _wait_for(url: str, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and server.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=5).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    pytest.fail("the pages are not served")


@pytest.fixture(scope="module")
def browser(site: Site) -> Iterator[Any]:
    """After the site: playwright's loop would keep Django from its database."""
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with playwright_api.sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield found
        found.close()


@pytest.fixture(autouse=True)
def closed_pages(browser: Any) -> Iterator[None]:
    """Close what a test opened: a page that stands open follows its live figures for ever."""
    yield
    for context in browser.contexts:
        context.close()


def open_page(browser: Any, site: Site, person: str, **options: Any) -> Any:
    """A page of a fresh context that is signed in as ``person``; errors gather on ``page.told``."""
    context = browser.new_context(reduced_motion="reduce", base_url=site.base, **options)
    if person:
        context.add_cookies([{"name": "session", "value": site.sessions[person], "url": site.base}])
    page = context.new_page()
    page.told = []
    page.on(
        "console", lambda m: page.told.append(m.text) if m.type in ("error", "warning") else None
    )
    page.on("pageerror", lambda error: page.told.append(str(error)))
    page.set_default_timeout(30_000)
    return page


#: Whether each chart stands on its canvas.  Another width gives it a new canvas, a moment later.
DRAWN = """() => [...document.querySelectorAll("[data-chart]")].every(chart => {
  const canvas = chart.querySelector("canvas");
  return canvas && canvas.getBoundingClientRect().height >= 60;
})"""


def is_drawn(page: Any) -> bool:
    """Whether every chart of an open page is drawn, within half a minute."""
    deadline = time.monotonic() + 30
    while not page.evaluate(DRAWN):
        if time.monotonic() > deadline:
            return False
        page.wait_for_timeout(50)
    return True


def find_barriers(page: Any) -> list[tuple[str, str]]:
    """What axe calls moderate or worse on an open page: the rule and the first element."""
    page.evaluate(files("axe_playwright_python").joinpath("axe.min.js").read_text("utf-8"))
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        (rule["id"], rule["nodes"][0]["html"][:200])
        for rule in found["violations"]
        if rule["impact"] in ("moderate", "serious", "critical")
    ]


#: Charts on paper that reach out of their figure or into the next one.
OVERLAPS = """() => {
  const figures = [...document.querySelectorAll("figure.mf-chart")];
  const boxes = figures.map(f => f.getBoundingClientRect());
  const reach = figures.flatMap((f, i) => [...f.querySelectorAll("canvas")].filter(c => {
    const box = c.getBoundingClientRect();
    return box.bottom > boxes[i].bottom + 1 || box.right > boxes[i].right + 1;
  }).map(c => "figure " + i + ": canvas of " + c.getBoundingClientRect().height));
  const laid = boxes.flatMap((a, i) => boxes.slice(i + 1).filter(
    b => a.left < b.right && b.left < a.right && a.top < b.bottom - 1 && b.top < a.bottom - 1
  ).map(() => "figure " + i + " overlaps another"));
  return [...reach, ...laid];
}"""


def test_the_printed_landing_page_lays_no_chart_over_another(browser: Any, site: Site):
    page = open_page(browser, site, "", viewport={"width": 1360, "height": 900})
    page.goto("/")
    charts = page.locator("[data-chart]")
    assert charts.count() >= 2
    for chart in charts.all():
        chart.locator("canvas").wait_for()
    page.emulate_media(media="print")
    # A4 at 96 dots an inch; the charts keep what the screen drew.
    page.set_viewport_size({"width": 794, "height": 1123})
    assert page.evaluate(OVERLAPS) == []


#: Whatever reaches past the right edge of its card is cut off where nobody can read it.
OUTSIDE = """() => [...document.querySelectorAll(".mf-card")].flatMap(card => {
  const edge = card.getBoundingClientRect().right;
  const scrolls = e => /auto|scroll/.test(getComputedStyle(e).overflowX)
    || e !== card && scrolls(e.parentElement);
  return [...card.querySelectorAll("td, th, dd, p, b, button, input, select, h2")].filter(e => {
    const box = e.getBoundingClientRect();
    return box.width && box.right > edge - 4 && !e.closest("details:not([open])") && !scrolls(e);
  }).map(e => e.tagName + " " + e.textContent.trim().slice(0, 30));
})"""


def find_faults_of_a_phone(page: Any) -> list[Any]:
    """What of an open page reaches past the edge, is too small for a thumb, or is cut off."""
    wide = page.evaluate("document.documentElement.scrollWidth")
    small = page.locator(TARGETS).evaluate_all(
        "all => all.map(e => [e.textContent.trim().slice(0, 24), e.getBoundingClientRect()])"
        ".filter(([, r]) => r.width && r.height < 43.5).map(([t, r]) => t + ' ' + r.height)"
    )
    found: list[Any] = page.evaluate(CUT)
    return [wide] * (wide > NARROW["width"]) + small + found


@pytest.mark.parametrize("person", list(PAGES))
def test_pages_fit_at_each_width_draw_their_charts_and_are_accessible(
    browser: Any, site: Site, person: str
):
    """Each page is opened once, in the light on a phone, and then made dark and wider."""
    page = open_page(browser, site, person, has_touch=True)
    small, cut, undrawn, barred = {}, {}, [], []
    for path in PAGES[person]:
        page.emulate_media(color_scheme="light")
        page.set_viewport_size(NARROW)
        answer = page.goto(path)
        page.wait_for_load_state("load")
        if (found := find_faults_of_a_phone(page)) or answer.status != 200:
            small[path] = (answer.status, found)
        page.emulate_media(color_scheme="dark")
        for width in (390, 1024, SMALL_DESK, 1360):
            page.set_viewport_size({"width": width, "height": 900})
            if found := page.evaluate(OUTSIDE):
                cut[path, width] = found[:5]
            if width == SMALL_DESK:
                wide = page.evaluate("document.documentElement.scrollWidth")
                if wide > width or (found := page.evaluate(CUT)):
                    cut[path, "table"] = (wide, found)
        if not is_drawn(page):
            undrawn.append(path)
        assert page.evaluate("document.documentElement.dataset.bsTheme") == "dark", path
        barred += [(path, *found) for found in find_barriers(page)]
    assert small == {}
    assert cut == {}
    assert undrawn == []
    assert barred == []
    assert page.told == []


@pytest.mark.parametrize("person", list(PAGES))
def test_pages_can_be_read_without_scripts(browser: Any, site: Site, person: str):
    page = open_page(browser, site, person, viewport=NARROW, java_script_enabled=False)
    for path in PAGES[person]:
        page.goto(path)
        assert page.locator("h1").count() == 1, path
        assert len(page.locator("main").inner_text()) > 120, path
        assert page.locator(".mf-plot:visible").count() == 0, path
        menu = page.locator("details.mf-menu summary")
        if menu.count():
            menu.click()
            assert page.locator("details.mf-menu a").first.is_visible(), path


def test_the_keyboard_sees_where_it_is(browser: Any, site: Site):
    page = open_page(browser, site, "", viewport={"width": 1360, "height": 900})
    page.goto("/account/login/")
    page.keyboard.press("Tab")
    assert page.locator(".mf-skip").bounding_box()["x"] > 0
    for _ in range(6):
        page.keyboard.press("Tab")
        ring = page.evaluate(
            "(s => s.outlineStyle !== 'none' || s.boxShadow !== 'none')"
            "(getComputedStyle(document.activeElement))"
        )
        assert ring, page.evaluate("document.activeElement.outerHTML.slice(0, 80)")


def test_an_order_is_previewed_confirmed_and_sent_without_scripts(browser: Any, site: Site):
    page = open_page(browser, site, "operator", viewport=NARROW, java_script_enabled=False)
    page.goto("/desk/trading/ticket/")
    page.fill("#id_amount", "900,000")
    page.fill("#id_stop", str(PRICE - 1_000))
    page.click("button:has-text('Preview order')")
    assert page.locator("#verdict").inner_text().startswith("Pre-trade check: denied")
    assert page.locator("#confirm").count() == 0
    page.fill("#id_amount", "5,000")
    page.click("button:has-text('Update preview')")
    assert "allowed" in page.locator("#verdict").inner_text()
    page.fill("#ticket-why", "a drill")
    page.check("#confirm [name=understood]")
    page.click("#confirm .btn-primary")
    assert page.url.endswith("/desk/trading/")
    assert "BTC buy 0.1 sent, awaiting fill" in page.locator("[role=status]").inner_text()
    assert page.locator("#orders tbody tr").first.inner_text().count("BTC buy 0.1") == 1


def test_the_emergency_stop_asks_and_then_stops(browser: Any, site: Site):
    page = open_page(browser, site, "operator", viewport=NARROW, has_touch=True)
    page.goto("/desk/risk/")
    page.click(".mf-thumb .btn-stop")
    page.fill("#stop-reason", "a drill")
    page.click("#dialog button.btn-stop")
    assert page.locator(".mf-title p").inner_text().startswith("Armed"), "sent without the tick"
    page.check("#dialog [name=understood]")
    page.click("#dialog button.btn-stop")
    page.wait_for_selector("[role=status]")
    assert "Trading is stopped." in page.locator("[role=status]").inner_text()
    assert page.locator(".mf-title p").inner_text().startswith("Tripped")
    page.goto("/desk/trading/ticket/?instrument=BTC/USDT:USDT&side=long&amount=5000&unit=money"
              f"&leverage=1&stop={PRICE - 1_000}&tier=3")  # fmt: skip
    assert "fuse" in page.locator("#verdict").inner_text().lower()
    assert page.told == []


def test_the_page_of_the_api_has_no_barrier(browser: Any, site: Site):
    """As it opens, and with an operation unfolded."""
    page = open_page(browser, site, "", viewport={"width": 1280, "height": 900})
    page.goto("/docs")
    operation = page.locator(".opblock-post .opblock-summary-control").first
    operation.wait_for()
    found = find_barriers(page)
    operation.click()
    page.locator(".opblock-body").first.wait_for()
    assert (found, find_barriers(page)) == ([], [])


#: Keeps what is written on a canvas, and how high.
WRITTEN = """(() => {
  window.written = [];
  const plain = CanvasRenderingContext2D.prototype.fillText;
  CanvasRenderingContext2D.prototype.fillText = function (words, x, y) {
    window.written.push([words, y / devicePixelRatio]);
    return plain.apply(this, arguments);
  };
})()"""


@pytest.mark.parametrize("invested", [0, 100, 560])
def test_the_ends_of_two_lines_never_lie_over_each_other(browser: Any, site: Site, invested: float):
    """The value fell to nothing, with little or much money in."""
    page = open_page(browser, site, "investor", viewport={"width": 1280, "height": 900})
    page.add_init_script(WRITTEN)

    def lose(script: re.Match[str]) -> str:
        chart = json.loads(script[2])
        for series, end in zip(chart["series"], (invested, 0), strict=True):
            series["y"] = [5000.0] * (len(series["y"]) - 1) + [float(end)]
        return script[1] + json.dumps(chart) + script[3]

    def fulfil(route: Any) -> None:
        answer = route.fetch()
        body = re.sub(r'(<script id="own"[^>]*>)(.*?)(</script>)', lose, answer.text())
        route.fulfill(response=answer, body=body)

    page.route("**/overview/", fulfil)
    page.goto("/overview/")
    assert is_drawn(page)
    ends = {
        words.split()[0]: y
        for words, y in page.evaluate("window.written")
        if words.startswith(("Invested ", "Estimate ", "Value "))
    }
    assert len(ends) == 2
    assert abs(ends.pop("Invested") - ends.popitem()[1]) >= 15
