"""``make screenshots``: open every page of a running demo in Chromium and keep what it shows.

Uses the instance on ``PORT``; where none answers, starts one on ``MAGNET_HOME`` for its own time.
Desktop and phone, light and dark; fails on a page that does not answer, scrolls sideways on a
phone, or logs an error in the browser.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlencode

from magnetfund.env import PROJECT

FOLDER = PROJECT / "docs" / "images"
SIZES = {"desktop": 1360, "phone": 390}
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
#: Longer pages are cut, so that the pictures stay small enough to keep.
TALLEST = 1800
START_SECONDS = 300.0
PAGES: dict[str | None, dict[str, str]] = {
    None: {
        "landing": "/",
        "sign-in": "/account/login/",
        "forgotten": "/account/password/reset/",
        "missing": "/nothing-here",
    },
    "risk@example.com": {
        "today": "/desk/",
        "risk": "/desk/risk/",
        "signals": "/desk/signals/",
        "nav": "/desk/fund/",
        "security": "/account/2fa/",
        "sessions": "/account/sessions/",
    },
    "operator@example.com": {"trading": "/desk/trading/", "ticket": "/desk/trading/ticket/"},
    "ines@example.com": {"overview": "/overview/", "activity": "/activity/"},
}


def find_chromium() -> str:
    """The browser of this machine."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        path = shutil.which(name)
        if path:
            return path
    sys.exit("magnetfund: no Chromium is installed (Debian: apt-get install chromium)")


def answers(base: str) -> bool:
    try:
        with urllib.request.urlopen(f"{base}/health", timeout=3):  # noqa: S310 - our own port
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False


def start_instance(base: str) -> subprocess.Popen[bytes]:
    process = subprocess.Popen([sys.executable, "-m", "magnetfund.operations.supervisor"])
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            sys.exit("magnetfund: the instance ended; see the lines above")
        if answers(base):
            return process
        time.sleep(0.5)
    process.send_signal(signal.SIGTERM)
    sys.exit("magnetfund: the instance did not answer")


def read_logins(home: Path) -> dict[str, str]:
    """The demo's accounts and their passwords of this installation."""
    path = home / "demo-logins.txt"
    if not path.is_file():
        sys.exit(f"magnetfund: {path} is missing; the pages need the demo's accounts")
    return dict(re.findall(r"^\s+(\S+@\S+)\s+(\S+)\s", path.read_text(), re.MULTILINE))


def sign_in(page: Any, base: str, email: str, password: str) -> None:
    page.goto(f"{base}/account/login/")
    page.fill("input[name=login]", email)
    page.fill("input[name=password]", password)
    page.click("form:has(input[name=password]) button[type=submit]")
    page.wait_for_load_state()
    if "/account/second-factor" in page.url:
        page.click("#answer-as-invented")
        page.wait_for_load_state()
    if "/account/" in page.url:
        sys.exit(f"magnetfund: {email} could not sign in")


def take_all(base: str, logins: dict[str, str]) -> list[str]:
    """Take every picture; returns what was wrong."""
    from playwright.sync_api import sync_playwright

    FOLDER.mkdir(parents=True, exist_ok=True)
    problems: list[str] = []
    signed_in: dict[str, Any] = {}
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=arguments)
        for size, width in SIZES.items():
            for scheme in SCHEMES:
                for email, pages in PAGES.items():
                    context = browser.new_context(
                        viewport={"width": width, "height": 900},
                        color_scheme=scheme,
                        reduced_motion="reduce",
                        storage_state=signed_in.get(email or ""),
                    )
                    page = context.new_page()
                    if email is not None and email not in signed_in:
                        sign_in(page, base, email, logins[email])
                        signed_in[email] = context.storage_state()
                    for name, path in pages.items():
                        problems += _take(page, base, name, path, size, scheme)
                    context.close()
        browser.close()
    return problems


def _take(page: Any, base: str, name: str, path: str, size: str, scheme: str) -> list[str]:
    errors: list[str] = []
    listener = lambda message: errors.append(message.text) if message.type == "error" else None  # noqa: E731
    page.on("console", listener)
    answer = page.goto(base + path)
    if name == "ticket":
        page.goto(f"{base}{path}?{_example_ticket(page)}")
    wide = page.evaluate("document.documentElement.scrollWidth")
    tall = page.evaluate("document.documentElement.scrollHeight")
    # A window as tall as the page: what sticks to its edges is where the reader finds it.
    page.set_viewport_size({"width": SIZES[size], "height": min(tall, TALLEST)})
    page.wait_for_timeout(600)
    page.screenshot(path=FOLDER / f"{name}-{size}-{scheme}.png")
    page.set_viewport_size({"width": SIZES[size], "height": 900})
    page.remove_listener("console", listener)
    label = f"{name}, {size}, {scheme}"
    expected = 404 if name == "missing" else 200
    problems = [f"{label}: {text}" for text in errors if answer.status == 200]
    if answer.status != expected:
        problems.append(f"{label}: answered {answer.status}")
    if "/account/login" in page.url and name != "sign-in":
        problems.append(f"{label}: shows the sign-in")
    if wide > SIZES[size]:
        problems.append(f"{label}: {wide} pixels wide on a screen of {SIZES[size]}")
    print(f"{label}: {'ok' if not problems else '; '.join(problems)}", flush=True)
    return problems


def _example_ticket(page: Any) -> str:
    """A ticket that the present price allows: leverage 2, the stop 4 % away."""
    price = float(page.locator("[data-live^='price:']").last.inner_text().replace(",", ""))
    return urlencode(
        {
            "instrument": page.locator("#id_instrument option").last.get_attribute("value"),
            "side": "long",
            "amount": "20,000",
            "unit": "money",
            "leverage": "2.0",
            "stop": f"{price * 0.96:.2f}",
            "target": f"{price * 1.08:.2f}",
            "tier": "3",
        }
    )


def main() -> int:
    base = f"http://localhost:{os.environ.get('PORT', '8000')}"
    home = Path(os.environ.get("MAGNET_HOME", PROJECT / "var"))
    own = None if answers(base) else start_instance(base)
    try:
        problems = take_all(base, read_logins(home))
    finally:
        if own is not None:
            own.send_signal(signal.SIGTERM)
            own.wait()
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
