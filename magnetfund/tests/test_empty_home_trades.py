"""An empty production home comes to trade on an exchange, by browser and as processes.

The exchange runs on loopback and the home follows it because a person added an instrument of it.
Two people arm the fuse, an investor's money reaches the book with the first NAV, its sleeve trades
the hours of the exchange on paper, it goes away and comes back, and the next NAV is struck.  One
clock of all processes is set forward, an hour at a time while the book trades.  The short form
trades a day, ``FULL=1`` a week; ``MODE=shadow`` does it in shadow mode.  ``KEEP_SHOTS`` names a
folder for pictures of the pages.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from magnetfund.tests.chain_support import (
    CHROMIUM,
    COMPILER,
    Person,
    ShiftedHome,
    give_seats,
    open_home,
)
from magnetfund.tests.drill_size import IS_SHORT
from magnetfund.tests.test_instance_life import ROOT, free_port, processes_of, send_signal

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = [
    pytest.mark.drill,
    pytest.mark.skipif(CHROMIUM is None or COMPILER is None, reason="needs Chromium and gcc"),
]
SYMBOL = "BTC/USDT:USDT"
FUND = Path(__file__).parents[2] / "docs" / "examples" / "fund.toml"
STAFF = (
    ("dmitri", "Dmitri Volk", ("accountant",)),
    ("oskar", "Oskar Lind", ("controller",)),
    ("nadia", "Nadia Ferro", ("risk_officer",)),
    ("paul", "Paul Weir", ("risk_officer",)),
    ("olga", "Olga Brandt", ("operator",)),
)
HOURS = 26 if IS_SHORT else 168
#: How long the exchange is away, and after how many hours of trading.
AWAY_HOURS, AWAY_AFTER = 2, 10
AMOUNT = "400000"
D0 = Decimal(0)
#: Days of bars before and after the first dealing day; the second one lies among the latter.
BEFORE_DAYS, AFTER_DAYS = 110, 40
SEED = 7
#: The exchange charges funding at these hours of UTC.
FUNDING_HOURS = 8
#: ``MODE=shadow`` shows each order as the exchange would be sent it.
MODE = os.environ.get("MODE", "paper")
#: A holder whose identity is taken as verified; how it is verified is another drill.
APPROVE = """
from django.db import connection
from investors.models import Investor
from magnetfund.kernel.clock import utc_now
with connection.cursor() as c:
    c.execute("ALTER TABLE investors_investor DISABLE TRIGGER kyc_signed")
    Investor.objects.filter(email="iris@example.com").update(
        kyc_state="approved", kyc_approved_at=utc_now())
    c.execute("ALTER TABLE investors_investor ENABLE ALWAYS TRIGGER kyc_signed")
"""
SUBSCRIBE = """
from decimal import Decimal
from investors.models import Investor, ShareClass
from investors.services.dealing import submit_subscription
from magnetfund.operations.people import actor_by_email
print(submit_subscription(investor=Investor.objects.get(email="iris@example.com"),
    share_class=ShareClass.objects.get(code="A"), amount=Decimal({amount!r}),
    actor=actor_by_email("dmitri@example.com")).pk)
"""
#: Answers each line of its input with what the books of the home say now: the newest valuation and
#: the engine, and all the rest where the line asks for it.
READ = """
import json, sys
from investors.models import DealingDay, NavStrike
from magnetfund.core.models import Heartbeat
from risk.models import FuseEvent
from trading.models import (
    Candle, EngineTransition, Fill, FundingPayment, Order, Signal, Trade, Valuation)
for line in sys.stdin:
    newest = Valuation.objects.order_by("at").last()
    known = Signal.objects.order_by("known_at").last()
    beat = Heartbeat.objects.filter(part="trader").first()
    found = {
        "at": newest and newest.at.isoformat(), "equity": newest and str(newest.equity),
        "known": known and known.known_at.isoformat(), "beat": beat and beat.seen_at.isoformat(),
        "engine": EngineTransition.objects.order_by("-id").values_list("state", "reason").first(),
    }
    if line.strip() == "all":
        navs, trips = NavStrike.objects.order_by("valuation_at"), FuseEvent.objects
        found |= {
            "orders": Order.objects.count(), "trades": Trade.objects.count(),
            "filled": Order.objects.filter(state="FILLED").count(),
            "denied": Order.objects.filter(state="DENIED").count(),
            "hours": Candle.objects.filter(timeframe="1h").count(),
            "trips": list(trips.filter(kind="tripped").values_list("trigger", "reason")),
            "days": [d.valuation_at.isoformat() for d in DealingDay.objects.order_by("day")[:2]],
            "navs": [{"at": s.valuation_at.isoformat(), "state": s.state, "nav": str(s.nav),
                      "gross": str(s.gross_assets), "held": s.inputs["positions"]} for s in navs],
            "fills": [[f.occurred_at.isoformat(), f.side, str(f.quantity), str(f.price), str(f.fee)]
                      for f in Fill.objects.all()],
            "funding": [[p.stamp.isoformat(), str(p.amount)] for p in FundingPayment.objects.all()],
        }
    print(json.dumps(found), flush=True)
"""


class Venue:
    """The exchange of the test tree as a process that sees the clock of the home.

    Its bars end :data:`AFTER_DAYS` after the first dealing day, so each run trades the same ones.
    """

    def __init__(self, folder: Path) -> None:
        self.port, self.bars = free_port(), write_bars(folder / "BTC.parquet")
        self.url = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[str] | None = None

    def open(self, home: ShiftedHome, *, first_day: datetime) -> None:
        end = first_day + timedelta(days=AFTER_DAYS, seconds=30)
        ahead = (end - home.now()).total_seconds() / 3600
        self.process = subprocess.Popen(
            [sys.executable, "-m", "simulated_exchange", "--port", str(self.port),
             "--data", f"BTC={self.bars}", "--ahead", f"{ahead:.6f}"],
            cwd=ROOT, env=home.environment, text=True, stdout=subprocess.PIPE,
        )  # fmt: skip
        assert self.process.stdout is not None
        assert "EXCHANGE_HOST" in self.process.stdout.readline()

    def close(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.communicate(timeout=10)
            self.process = None


def write_bars(path: Path) -> Path:
    """Simulated minutes as a file that the exchange reads: the trend is one from the first day."""
    import numpy as np
    import pyarrow as pa
    from pyarrow import parquet

    from trading.domain.market import MINUTE_MS
    from trading.domain.simulated_market import SimulatedInstrument, simulate_market

    start = 1_767_225_600_000
    btc = SimulatedInstrument(symbol=SYMBOL, start_price=60_000.0, tick=0.1, volatility_hour=0.006)
    drawn = simulate_market(
        seed=SEED, instruments=(btc,), start_ms=start, hours=(BEFORE_DAYS + AFTER_DAYS) * 24
    )
    close = np.round(drawn.minutes[0], 1)
    before = np.append(close[0], close[:-1])
    columns = {
        "date": (start + np.arange(close.size) * MINUTE_MS).astype("datetime64[ms]"),
        "open": before,
        "high": np.maximum(before, close),
        "low": np.minimum(before, close),
        "close": close,
        "volume": np.random.default_rng(SEED).lognormal(2, 0.6, close.size),
    }
    parquet.write_table(pa.table(columns), path)
    return path


class Scene:
    """One home, its people and the exchange that it may follow."""

    def __init__(self, home: ShiftedHome, people: dict[str, Person], venue: Venue) -> None:
        self.home, self.people, self.venue = home, people, venue
        self.dealing: list[datetime] = []
        self._reader: subprocess.Popen[str] | None = None

    def __getitem__(self, name: str) -> Person:
        return self.people[name]

    def read(self, what: str = "all") -> dict[str, Any]:
        """What the home's books say now, by a process that stays; "newest" looks at the newest
        valuation and the engine alone."""
        if self._reader is None:
            self._reader = subprocess.Popen(
                [sys.executable, "manage.py", "shell", "-v", "0", "-c", READ], cwd=ROOT,
                env=self.home.environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            )  # fmt: skip
        assert self._reader.stdin is not None
        assert self._reader.stdout is not None
        self._reader.stdin.write(f"{what}\n")
        self._reader.stdin.flush()
        return dict(json.loads(self._reader.stdout.readline()))

    def close(self) -> None:
        self.venue.close()
        if self._reader is not None:
            self._reader.communicate(timeout=30)


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    venue = Venue(tmp_path)
    names = [name for name, _, _ in STAFF]
    with open_home(tmp_path, names, EXCHANGE_HOST=venue.url, TRADING_MODE=MODE) as (home, people):
        found = Scene(home, people, venue)
        try:
            give_seats(home, people, STAFF, signers=("oskar", "nadia", "paul"))
            yield found
        finally:
            found.close()


def found_the_fund(scene: Scene, folder: Path) -> None:
    """By the file of the handbook without instruments; terms and limits by signature."""
    text = re.sub(r"\[\[instruments\]\]\n[^[]*", "", FUND.read_text())
    path = folder / "fund.toml"
    path.write_text(text)
    told = json.loads(scene.home.command("found", "--from", str(path), "--json").splitlines()[-1])
    scene.dealing = [datetime.fromisoformat(told["first_dealing_day"]).replace(tzinfo=UTC)]
    oskar, nadia, paul = scene["oskar"], scene["nadia"], scene["paul"]
    for code in ("A", "B"):
        oskar.go("/desk/founding/")
        assert f"Terms of class {code}" in oskar.text()
        terms = f"section:has-text('Terms of class {code}')"
        oskar.press("Sign terms", terms)
        assert "are in force" in oskar.sign("Sign terms", terms)
    nadia.go("/desk/founding/").press("Sign your proposal")
    sign(nadia)
    paul.go("/desk/founding/").press("Sign limits")
    assert "Limits version 1 is approved" in paul.sign("Sign limits")
    paul.go("/desk/founding/").see("founding")


def sign(person: Person) -> None:
    """Give a signature that needs no further step."""
    person.page.get_by_role("button", name="Sign with your passkey").click()
    person.page.get_by_text("Your signature is on record").wait_for()


def add_the_instrument(scene: Scene) -> None:
    """By the page; the exchange is away at first.  The trader begins by itself."""
    olga, venue = scene["olga"], scene.venue
    assert "No trader has reported prices yet" in olga.go("/desk/market/").see("m-empty").text()
    olga.go("/desk/market/instruments/").see("instruments-empty").press("Search", q="btc")
    assert "exchange_away" in olga.text()
    venue.open(scene.home, first_day=scene.dealing[0])
    olga.press("Search", q="btc")
    olga.see("instruments-found")
    assert "is known now" in olga.press(f"Add {SYMBOL}")
    olga.wait_for("/desk/market/", "binanceusdm stream", seconds=300)
    olga.see("market")
    olga.wait_for("/desk/founding/", "Reconciliation clean")


def arm_the_fuse(scene: Scene) -> None:
    nadia, paul = scene["nadia"], scene["paul"]
    nadia.go("/desk/risk/").press("Request re-arming", reason="the first day on paper")
    nadia.press("Sign your request")
    sign(nadia)
    paul.go("/desk/risk/").press("Approve and re-arm")
    assert "The fuse is armed" in paul.sign("Approve and re-arm")
    paul.go("/desk/risk/").see("risk-armed")


def take_the_money(scene: Scene) -> None:
    """An order of the first dealing day, and the accountant's record of its money."""
    scene.home.ask(APPROVE, role="owner")
    order = scene.home.ask(SUBSCRIBE.format(amount=AMOUNT)).splitlines()[-1]
    dmitri = scene["dmitri"].go(f"/desk/fund/orders/{order}/receipt/").see("receipt")
    dmitri.press(
        "Record the receipt", party="Iris Vandermeer", amount=AMOUNT, currency="USD",
        reference="BANK-1", understood=True,
    )  # fmt: skip


def enter_the_rate(scene: Scene, at: datetime) -> None:
    """What the exchange settles in, at par at a NAV's instant: no source of it is configured."""
    dmitri, oskar = scene["dmitri"], scene["oskar"]
    typed = {"coin": "USDT", "rate": "1", "observed_at": f"{at:%Y-%m-%dT%H:%M}",
             "source": "exchange page"}  # fmt: skip
    dmitri.go("/desk/fund/rates/").press(
        "Enter", **{f"rate-{name}": value for name, value in typed.items()}
    )
    oskar.go("/desk/fund/rates/").press("Approve")
    oskar.sign("Approve")


def strike_what_is_due(scene: Scene, name: str) -> None:
    """Prepared by the accountant, approved and signed by the controller; the end of a fiscal year
    that lies between two dealing days has a NAV of its own."""
    dmitri, oskar = scene["dmitri"], scene["oskar"]
    while due := re.search(r"Prepare NAV of (\d+ \w+ \d{4})", dmitri.go("/desk/fund/").text()):
        enter_the_rate(scene, datetime.strptime(due[1], "%d %b %Y").replace(tzinfo=UTC))
        dmitri.go("/desk/fund/").press("Prepare NAV of")
        oskar.go("/desk/fund/").see(f"{name}-prepared").press("Approve NAV")
        oskar.sign("Approve NAV")
    oskar.go("/desk/fund/").see(name)


@contextmanager
def worker_held(home: ShiftedHome) -> Iterator[None]:
    """Jobs wait: one that ran between the clock's step and the trader's next beat would rightly
    find an equity that is an hour old."""
    held = [pid for pid, words in processes_of(home.root).items() if "celery" in words]
    for pid in held:
        send_signal(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in held:
            send_signal(pid, signal.SIGCONT)


def follow(scene: Scene, at: datetime, *, seconds: float = 240.0) -> dict[str, Any]:
    """Set the clock to ``at`` and wait until the book trades on prices of then.

    Its newest hour has been decided as well: a beat ended after the hour's reading was stored.
    """
    began, read_by = time.monotonic(), ""
    with worker_held(scene.home):
        scene.home.move_to(at)
        while True:
            found = scene.read("newest")
            is_new = found["at"] and datetime.fromisoformat(found["at"]) >= at
            if is_new and datetime.fromisoformat(found["known"]) >= at.replace(minute=0, second=0):
                read_by = read_by or found["beat"]
                if found["beat"] != read_by and found["engine"][0] == "READY":
                    return found
            assert time.monotonic() - began < seconds, found
            time.sleep(0.25)


def trade_hours(scene: Scene, first: datetime, hours: int) -> dict[str, Any]:
    """Let the book trade hour after hour, each seen shortly after its close; what it says then."""
    for hour in range(hours):
        follow(scene, first + timedelta(hours=hour, seconds=15))
    return scene.read()


def lose_the_exchange(scene: Scene) -> None:
    """An outage of some hours, what the desk says of it, and the way back."""
    olga, venue = scene["olga"], scene.venue
    venue.close()
    olga.wait_for("/desk/market/", "Prices are in doubt")
    olga.see("market-doubt").go("/desk/").see("today-doubt")
    with worker_held(scene.home):
        scene.home.move_to(scene.home.now() + timedelta(hours=AWAY_HOURS))
        venue.open(scene.home, first_day=scene.dealing[0])
        olga.wait_for("/desk/market/", "binanceusdm stream")
    deadline = time.monotonic() + 90
    while "Prices are in doubt" in olga.go("/desk/market/").text():
        assert time.monotonic() < deadline
    assert "Stream lost" in olga.text()
    olga.see("market-back")


def result_until(told: dict[str, Any], nav: dict[str, Any]) -> Decimal:
    """What trading made before a NAV's instant: cash of its fills and funding, and what is held at
    the NAV's own prices.  It reads no ledger."""
    result = sum((Decimal(each["quantity"]) * Decimal(each["price"]) for each in nav["held"]), D0)
    for at, side, quantity, price, fee in told["fills"]:
        if at < nav["at"]:
            cash = Decimal(quantity) * Decimal(price)
            result += (cash if side == "sell" else -cash) - Decimal(fee)
    return result + sum((Decimal(each) for at, each in told["funding"] if at < nav["at"]), D0)


def stamps_of(told: dict[str, Any]) -> list[datetime]:
    """The instants at which funding fell due while the book held what its fills left it."""
    deltas = [
        (datetime.fromisoformat(at), Decimal(quantity) * (1 if side == "buy" else -1))
        for at, side, quantity, _, _ in told["fills"]
    ]
    end = datetime.fromisoformat(told["at"])
    stamp = deltas[0][0].replace(hour=0, minute=0, second=0, microsecond=0)
    found = []
    while (stamp := stamp + timedelta(hours=FUNDING_HOURS)) <= end:
        if sum((delta for at, delta in deltas if at < stamp), D0):
            found.append(stamp)
    return found


def complaints_of(home: ShiftedHome) -> list[str]:
    """What the trader logged as an error; an exchange that is away is a warning.

    A step of the server's clock ends a statement that waits for a lock just then: the trader takes
    up its book again, as after any loss of the database.
    """
    lines = (home.root / "log" / "trader.log").read_text().splitlines()
    told = [json.loads(line) for line in lines if line.startswith("{")]
    errors = [line for line in told if line["level"] in ("error", "critical")]
    return [str(line) for line in errors if "due to lock timeout" not in line["event"]]


def test_an_empty_home_trades_an_exchange_from_its_first_instrument_to_its_second_nav(
    scene: Scene, tmp_path: Path, on_record: Any
):
    home = scene.home
    found_the_fund(scene, tmp_path)
    add_the_instrument(scene)
    take_the_money(scene)
    arm_the_fuse(scene)

    # The first NAV deals the money at the launch price; the book begins with it.
    first, second = (datetime.fromisoformat(at) for at in scene.read()["days"])
    follow(scene, first + timedelta(minutes=10))
    strike_what_is_due(scene, "nav-first")
    found = follow(scene, first + timedelta(minutes=15))
    assert Decimal(found["equity"]) == Decimal(AMOUNT)

    trade_hours(scene, first + timedelta(hours=1), AWAY_AFTER)
    lose_the_exchange(scene)
    again = AWAY_AFTER + AWAY_HOURS + 1
    found = trade_hours(scene, first + timedelta(hours=again), HOURS + 1 - again)
    olga = scene["olga"].go("/desk/").see("today-traded").go("/desk/trading/").see("trading")
    olga.go("/desk/trading/orders/").see("orders")
    assert ("would be sent" in olga.page.content()) == (MODE == "shadow")
    assert found["trips"] == []
    assert found["filled"] >= 1, found
    assert "Fuse Armed" in scene["nadia"].go("/desk/risk/").see("risk-traded").text()

    # What is held goes on until the second NAV, which holds the result; then the books verify.
    follow(scene, second + timedelta(minutes=10))
    strike_what_is_due(scene, "nav-second")
    told = scene.read()
    with on_record():
        print(f"\n{HOURS} h of trading: {found}\nthe second NAV: {told}")
    assert {nav["state"] for nav in told["navs"]} == {"dealt"}
    assert told["navs"][-1]["at"] == second.isoformat()
    # Each stamp of funding is charged once, and nothing between two stamps.
    charged = sorted(datetime.fromisoformat(at) for at, _ in told["funding"])
    assert charged == stamps_of(told)
    # Net assets before fees are the money, less the fees of the NAVs before, and what was traded.
    fees = sum((Decimal(nav["gross"]) - Decimal(nav["nav"]) for nav in told["navs"][:-1]), D0)
    traded = result_until(told, told["navs"][-1])
    expected = Decimal(AMOUNT) - fees + traded
    assert abs(Decimal(told["navs"][-1]["gross"]) - expected) < Decimal("0.05"), (fees, traded)
    assert fees > 0
    assert json.loads(home.command("verify_books", "--json").splitlines()[-1])["clean"]
    assert complaints_of(home) == []
    assert [line for person in scene.people.values() for line in person.failures] == []
