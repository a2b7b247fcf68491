"""An empty production home comes to trade on an exchange, by browser and as processes.

The exchange runs on loopback.  The home follows it because a person added an instrument of it; no
setting names a market.  Two people arm the fuse with passkeys of the signer; then the exchange goes
away and comes back.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from magnetfund.tests.home_people import Person
from magnetfund.tests.test_instance_life import KEPT, ROOT, free_port, status_of, wait_until

CHROMIUM = next((p for n in ("chromium", "chromium-browser") if (p := shutil.which(n))), None)
playwright_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = [
    pytest.mark.drill,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is on this machine"),
]
SYMBOL = "BTC/USDT:USDT"
FUND = Path(__file__).parents[2] / "docs" / "examples" / "fund.toml"
STAFF = {
    "dmitri": ("Dmitri Volk", "accountant"),
    "oskar": ("Oskar Lind", "controller"),
    "nadia": ("Nadia Ferro", "risk_officer"),
    "paul": ("Paul Weir", "risk_officer"),
    "olga": ("Olga Brandt", "operator"),
}


class Home:
    """A home of processes that was started empty, and the exchange that it may follow."""

    def __init__(self, folder: Path) -> None:
        self.root, self.port, self.exchange_port = folder / "home", free_port(), free_port()
        self.bars = write_bars(folder / "BTC.parquet")
        self.exchange: subprocess.Popen[str] | None = None
        self.said: list[str] = []
        self.environment = {
            **KEPT, "MAGNET_HOME": str(self.root), "PORT": str(self.port),
            "EXCHANGE_HOST": f"http://127.0.0.1:{self.exchange_port}",
        }  # fmt: skip
        self.base = f"http://localhost:{self.port}"
        self.running = subprocess.Popen(
            [sys.executable, "-m", "magnetfund.operations.supervisor", "--no-demo"],
            cwd=ROOT, env=self.environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        assert self.running.stdout is not None
        for line in self.running.stdout:
            self.said.append(line.rstrip())

    def manage(self, *arguments: str) -> dict[str, Any]:
        """A command that joins the running home; what it answered."""
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments, "--json"], cwd=ROOT, env=self.environment,
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return dict(json.loads(done.stdout.strip().splitlines()[-1]))

    def open_exchange(self) -> None:
        self.exchange = subprocess.Popen(
            [sys.executable, "-m", "simulated_exchange", "--port", str(self.exchange_port),
             "--data", f"BTC={self.bars}"],
            cwd=ROOT, env=KEPT, text=True, stdout=subprocess.PIPE,
        )  # fmt: skip
        assert self.exchange.stdout is not None
        assert "EXCHANGE_HOST" in self.exchange.stdout.readline()

    def close_exchange(self) -> None:
        if self.exchange is not None:
            self.exchange.kill()
            self.exchange.wait(10)
            self.exchange = None

    def stop(self) -> None:
        self.close_exchange()
        if self.running.poll() is None:
            self.running.terminate()
        self.running.wait(90)


def write_bars(path: Path) -> Path:
    """Seventy days of simulated minutes as a file that the exchange reads."""
    import numpy as np
    import pyarrow as pa
    from pyarrow import parquet

    from trading.domain.market import MINUTE_MS
    from trading.domain.simulated_market import SimulatedInstrument, simulate_market

    drawn = simulate_market(
        seed=33,
        instruments=(SimulatedInstrument(symbol=SYMBOL, start_price=60_000.0, tick=0.1),),
        start_ms=1_767_225_600_000,
        hours=73 * 24,
    )
    close = np.round(drawn.minutes[0], 1)
    before = np.append(close[0], close[:-1])
    times = 1_767_225_600_000 + np.arange(close.size) * MINUTE_MS
    columns = {
        "date": times.astype("datetime64[ms]"),
        "open": before,
        "high": np.maximum(before, close),
        "low": np.minimum(before, close),
        "close": close,
        "volume": np.full(close.size, 9.0),
    }
    parquet.write_table(pa.table(columns), path)
    return path


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    made = Home(tmp_path)
    try:
        wait_until(lambda: status_of(made.port, "/") == 200, seconds=240)
        yield made
    finally:
        made.stop()
        if folder := os.environ.get("SHOTS"):
            shutil.copytree(made.root / "log", Path(folder) / "logs", dirs_exist_ok=True)


@pytest.fixture
def people(home: Home) -> Iterator[dict[str, Person]]:
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    passwords = {}
    for name, (full, role) in STAFF.items():
        email = f"{name}@example.com"
        done = subprocess.run(
            [sys.executable, "manage.py", "add_person", "--email", email, "--name", full,
             "--role", role],
            cwd=ROOT, env={**home.environment, "MAGNET_DB_ROLE": "owner"}, capture_output=True,
            text=True, check=True,
        )  # fmt: skip
        found = re.search(r"Initial password \(shown once\): (\S+)", done.stdout)
        assert found is not None, done.stdout + done.stderr
        passwords[name] = found[1]
    with playwright_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        made = {
            name: Person(browser, home.base, email=f"{name}@example.com", password=password)
            for name, password in passwords.items()
        }
        for name in made:
            made[name].sign_in()
            if name in ("nadia", "paul", "oskar"):
                link = home.manage("invite", "--email", f"{name}@example.com")["url"]
                made[name].enrol_key(link)
        yield made
        browser.close()


def found_the_fund(home: Home, people: dict[str, Person], folder: Path) -> None:
    """By the file of the handbook without instruments; terms and limits by signature."""
    text = re.sub(r"\[\[instruments\]\]\n[^[]*", "", FUND.read_text())
    path = folder / "fund.toml"
    path.write_text(text)
    home.manage("found", "--from", str(path))
    oskar, nadia, paul = people["oskar"], people["nadia"], people["paul"]
    for code in ("A", "B"):
        oskar.open("/desk/founding/")
        assert f"Terms of class {code}" in oskar.text()
        terms = f"section:has-text('Terms of class {code}')"
        oskar.press("Sign terms", inside=terms)
        assert f"terms of class {code}" in oskar.sign()
        oskar.press("Sign terms", inside=terms)
    nadia.open("/desk/founding/")
    nadia.press("Sign your proposal")
    assert "limits" in nadia.sign()
    paul.open("/desk/founding/")
    paul.press("Sign limits")
    assert "limits" in paul.sign()
    paul.open("/desk/founding/")
    paul.press("Sign limits")
    paul.keep("founding", "/desk/founding/")
    assert "version 1 approved" in paul.text()


def test_a_home_follows_the_exchange_of_its_first_instrument(
    home: Home, people: dict[str, Person], tmp_path: Path
):
    olga, nadia, paul = people["olga"], people["nadia"], people["paul"]
    found_the_fund(home, people, tmp_path)
    assert "No trader has reported prices yet" in olga.open("/desk/market/")
    olga.keep("market-empty")

    # The exchange is away: the search says so and what to look at.
    olga.open("/desk/market/instruments/")
    olga.keep("instruments-empty")
    olga.page.fill("#q", "btc")
    olga.press("Search", says="exchange_away")
    home.open_exchange()
    olga.press("Search", says=f"Add {SYMBOL}")
    olga.keep("instruments-found")
    olga.press(f"Add {SYMBOL}", says="is known now")
    olga.keep("instruments-added")

    # The trader waits for an instrument and begins by itself.
    olga.wait_for_text("/desk/market/", "binanceusdm stream", seconds=180)
    olga.keep("market", "/desk/market/")
    olga.wait_for_text("/desk/founding/", "Reconciliation clean")
    olga.keep("today-unarmed", "/desk/")

    # Two people arm the fuse.
    nadia.open("/desk/risk/")
    nadia.page.fill("#reset-reason", "the first day on paper")
    nadia.press("Request re-arming", says="Request sent")
    nadia.press("Sign your request")
    assert "arm" in nadia.sign().lower()
    paul.open("/desk/risk/")
    paul.press("Approve and re-arm")
    paul.sign()
    paul.open("/desk/risk/")
    paul.press("Approve and re-arm", says="The fuse is armed")
    paul.keep("risk-armed", "/desk/risk/")

    lose_the_exchange(home, olga)
    assert "ARMED" in nadia.open("/desk/risk/").upper()
    assert home.manage("verify_books")
    for person in people.values():
        assert person.told == []


def lose_the_exchange(home: Home, olga: Person) -> None:
    """An outage, what the desk says of it, and the way back."""
    home.close_exchange()
    olga.wait_for_text("/desk/market/", "Prices are in doubt")
    olga.keep("market-doubt")
    olga.keep("today-doubt", "/desk/")
    home.open_exchange()
    olga.wait_for_text("/desk/market/", "binanceusdm stream", seconds=60)
    wait_until(lambda: "Prices are in doubt" not in olga.open("/desk/market/"), seconds=60)
    assert "Stream lost" in olga.open("/desk/market/")
    olga.keep("market-back")
