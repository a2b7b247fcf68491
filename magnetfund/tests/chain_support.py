"""An empty production home with a clock that can be set forward, and people with browsers."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from magnetfund.operations.servers.home import socket_folder
from magnetfund.tests.test_instance_life import KEPT, ROOT, free_port, processes_of, send_signal

CHROMIUM = next((p for n in ("chromium", "chromium-browser") if (p := shutil.which(n))), None)
COMPILER = shutil.which("gcc")
START_SECONDS = 900
#: What the wall clock says is shifted by the seconds in a file; sleeping and waiting are not.
CLOCK_SOURCE = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
static volatile long *shift;
static long seconds(void) {
  if (!shift) {
    const char *path = getenv("CLOCK_SHIFT");
    int file = path ? open(path, O_RDONLY) : -1;
    if (file < 0) return 0;
    void *page = mmap(0, 8, PROT_READ, MAP_SHARED, file, 0);
    close(file);
    if (page == MAP_FAILED) return 0;
    shift = page;
  }
  return *shift;
}
int clock_gettime(clockid_t clock, struct timespec *at) {
  static int (*real)(clockid_t, struct timespec *);
  if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
  int failed = real(clock, at);
  if (!failed && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
    at->tv_sec += seconds();
  return failed;
}
int gettimeofday(struct timeval *at, void *zone) {
  static int (*real)(struct timeval *, void *);
  if (!real) real = dlsym(RTLD_NEXT, "gettimeofday");
  int failed = real(at, zone);
  if (!failed && at) at->tv_sec += seconds();
  return failed;
}
time_t time(time_t *kept) {
  struct timespec at;
  clock_gettime(CLOCK_REALTIME, &at);
  if (kept) *kept = at.tv_sec;
  return at.tv_sec;
}
"""
AUTHENTICATOR = {
    "protocol": "ctap2", "transport": "internal", "hasResidentKey": True,
    "hasUserVerification": True, "isUserVerified": True, "automaticPresenceSimulation": True,
}  # fmt: skip


class ShiftedHome:
    """A production home of its own; its processes see the wall clock that :meth:`move_to` says."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.root, self.port = folder / "home", free_port()
        self.url = f"http://localhost:{self.port}"
        self._shift, library = folder / "shift", folder / "clock.so"
        self._shift.write_bytes(struct.pack("<q", 0))
        (folder / "clock.c").write_text(CLOCK_SOURCE)
        assert COMPILER is not None
        build = [COMPILER, "-shared", "-fPIC", "-O2", "-o", str(library), str(folder / "clock.c")]
        subprocess.run([*build, "-ldl"], check=True)
        for path in (folder, self._shift, library):  # the server may run as nobody
            path.chmod(path.stat().st_mode | 0o055 if path.is_dir() else 0o755)
        self.environment = {
            **KEPT, "MAGNET_HOME": str(self.root), "PORT": str(self.port),
            "SIGN_PORT": str(free_port()), "LD_PRELOAD": str(library),
            "CLOCK_SHIFT": str(self._shift), **environment,
        }  # fmt: skip
        self.log = folder / "run.log"
        self.process = subprocess.Popen(
            [sys.executable, "-m", "magnetfund.operations.supervisor", "--no-demo"],
            cwd=ROOT, env=self.environment, stdout=self.log.open("w"), stderr=subprocess.STDOUT,
        )  # fmt: skip

    def wait_until_ready(self) -> str:
        """The path of the link for the first administrator, once the pages are there."""
        deadline = time.monotonic() + START_SECONDS
        while "Logs are in" not in (said := self.log.read_text()):
            assert self.process.poll() is None, said
            assert time.monotonic() < deadline, said
            time.sleep(0.1)
        found = re.search(rf"{self.url}(/found/\S+)", said)
        assert found is not None, said
        return found[1]

    def now(self) -> datetime:
        shift = struct.unpack("<q", self._shift.read_bytes())[0]
        return datetime.now(UTC) + timedelta(seconds=shift)

    def move_to(self, at: datetime) -> None:
        """Set the clock forward to ``at``."""
        assert at > self.now()
        with self._shift.open("r+b") as file:
            file.write(struct.pack("<q", int((at - datetime.now(UTC)).total_seconds())))

    def command(self, *arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments], cwd=ROOT, env=self.environment,
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def ask(self, code: str, *, role: str = "") -> str:
        """What a few lines of Python print that run in the home."""
        given = {"MAGNET_DB_ROLE": role} if role else {}
        done = subprocess.run(
            [sys.executable, "manage.py", "shell", "-v", "0", "-c", code], cwd=ROOT,
            env=self.environment | given, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip()

    def mailed_link(self, address: str, pattern: str) -> str:
        """The newest link of a kind in the mail to an address; a job sends it within seconds."""
        deadline = time.monotonic() + 180
        while time.monotonic() < deadline:
            for path in (self.root / "mail").glob("*"):
                for letter in reversed(path.read_text().split("-" * 79)):
                    found = re.search(pattern, letter)
                    if f"To: {address}" in letter and found:
                        return found[0]
            time.sleep(0.2)
        raise AssertionError(f"no mail to {address}")

    @contextmanager
    def backups_held(self) -> Iterator[None]:
        """From its start on, keep the process of backups from its work.

        Each day that is skipped would be backed up and restored twice, which takes a processor for
        as long as everything that is looked at; homes that are not skipped through show it.
        """
        held = [pid for pid, words in processes_of(self.root).items() if "run_backups" in words]
        assert held
        for pid in held:
            send_signal(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in held:
                send_signal(pid, signal.SIGCONT)

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(120)


#: Tables that are cut off by the edge of their card.
CUT = """() => [...document.querySelectorAll(".mf-card > table")]
  .filter((t) => t.getBoundingClientRect().right
    > t.parentElement.getBoundingClientRect().right + 1)
  .map((t) => t.textContent.trim().slice(0, 60))"""
#: The innermost elements that reach beyond the window, by their tags, classes and words.
BEYOND = """() => [...document.querySelectorAll("body *")]
  .filter((e) => e.getBoundingClientRect().right > innerWidth + 1
    && ![...e.children].some((c) => c.getBoundingClientRect().right > innerWidth + 1))
  .slice(0, 8).map((e) => `${e.parentElement.className} > ${e.tagName}.${e.className}: `
    + e.textContent.trim().slice(0, 60)).join(" | ")"""


@dataclass
class Person:
    """Somebody with a browser and an authenticator of his own."""

    name: str
    home: ShiftedHome
    browser: Any
    is_on_phone: bool = False
    shots: Path | None = None
    failures: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        context = self.browser.new_context(viewport=self._size, accept_downloads=True)
        self.page = context.new_page()
        self.page.set_default_timeout(60_000)
        self.page.on("response", self._note)
        session = context.new_cdp_session(self.page)
        session.send("WebAuthn.enable")
        session.send("WebAuthn.addVirtualAuthenticator", {"options": AUTHENTICATOR})

    @property
    def email(self) -> str:
        return f"{self.name}@example.com"

    @property
    def _size(self) -> dict[str, int]:
        wide = {"width": 1280, "height": 900}
        return {"width": 390, "height": 844} if self.is_on_phone else wide

    def _note(self, response: Any) -> None:
        if response.status >= 500:
            self.failures.append(f"{self.name}: {response.status} {response.url}")

    def go(self, path: str) -> Person:
        """Open a page; a sign-in or a fresh factor that stands before it is given."""
        self.page.goto(path if path.startswith("http") else self.home.url + path)
        if "/account/login" in self.page.url:
            self._leave(self.page.locator("#passkey_login"))
        self._confirm()
        return self

    def _confirm(self) -> bool:
        """Give a fresh factor where it is asked for; whether it was."""
        if "reauthenticate" not in self.page.url:
            return False
        words = re.compile("passkey|security key", re.IGNORECASE)
        self._leave(self.page.get_by_role("button", name=words).first)
        return True

    def _leave(self, button: Any) -> None:
        """Press what asks the authenticator, and wait until the page is another."""
        before = self.page.url
        self.page.wait_for_load_state()
        button.click()
        self.page.wait_for_url(lambda url: url != before)

    def fill(self, form: str = "body", **values: Any) -> Person:
        scope = self.page.locator(form).first
        for name, value in values.items():
            item = scope.locator(f'[name="{name}"]')
            kind = item.first.evaluate("e => e.tagName + ':' + e.type")
            if kind.startswith("SELECT"):
                item.first.select_option(value)
            elif kind == "INPUT:radio":
                scope.locator(f'[name="{name}"][value="{value}"]').check()
            elif kind == "INPUT:checkbox":
                item.first.set_checked(value)
            elif kind == "INPUT:file":
                item.first.set_input_files(value)
            else:
                item.first.fill(str(value))
        return self

    def press(self, words: str, form: str = "body", **values: Any) -> str:
        """Press a button or link that begins with ``words``; the text of the page that follows.

        ``values`` are filled in before, and again where a fresh factor was asked for.
        """
        self.fill(form, **values)
        name = re.compile("^" + re.escape(words).replace("/", r"\/"))
        scope = self.page.locator(form).first
        item = scope.get_by_role("button", name=name).or_(scope.get_by_role("link", name=name))
        kind = item.first.evaluate(
            "e => e.form?.method === 'post' && !e.form.dataset.passkey ? 'post' : e.tagName"
        )
        # The first thing of the page is marked: what follows has none, swapped or loaded anew.
        self.page.evaluate("document.querySelector('main > *')?.setAttribute('data-old', '')")
        if kind == "post":
            with self.page.expect_response(lambda answer: answer.request.method == "POST"):
                item.first.click()
        else:
            item.first.click()
        if kind in ("post", "A"):
            self.page.locator("[data-old]").wait_for(state="detached")
        self.page.wait_for_load_state()
        if self._confirm():
            return self.press(words, form, **values)
        return self.text()

    def sign(self, back: str, form: str = "body", **values: Any) -> str:
        """Sign at the signer with the passkey, go back, and press ``back`` with its form filled."""
        assert "/sign/" in self.page.url, self.page.url
        self.see("sign")
        self.page.get_by_role("button", name="Sign with your passkey").click()
        self.page.get_by_role("link", name="Back to the desk").click()
        self.page.wait_for_load_state()
        return self.press(back, form, **values)

    def text(self) -> str:
        return " ".join(self.page.inner_text("body").split())

    def wait_for(self, path: str, words: str, *, seconds: float = 90.0) -> str:
        """Open a page until it says ``words``."""
        deadline = time.monotonic() + seconds
        while words not in (text := self.go(path).text()):
            assert time.monotonic() < deadline, f"{path} does not say {words!r}: {text[:3000]}"
            time.sleep(1.0)
        return text

    def see(self, name: str) -> Person:
        """The page fits a desk and a phone; a picture of each where a folder was named."""
        for width, height, tag in ((1280, 900, "desktop"), (390, 844, "phone")):
            self.page.set_viewport_size({"width": width, "height": height})
            deadline = time.monotonic() + 5  # charts are drawn anew for another width
            while (found := self.page.evaluate("document.documentElement.scrollWidth")) > width:
                assert time.monotonic() < deadline, (
                    f"{self.page.url} is {found} wide on {width}: {self.page.evaluate(BEYOND)}"
                )
                self.page.wait_for_timeout(100)
            assert self.page.evaluate(CUT) == [], f"{self.page.url} on {width}"
            if self.shots is not None:
                self.page.screenshot(path=self.shots / f"{name}-{tag}.png", full_page=True)
        self.page.set_viewport_size(self._size)
        return self


#: Name, full name and roles of each member of the staff.
Staff = Sequence[tuple[str, str, Sequence[str]]]


@contextmanager
def open_home(
    folder: Path, names: Sequence[str], *, on_phone: str = "", **environment: str
) -> Iterator[tuple[ShiftedHome, dict[str, Person]]]:
    """A home in ``folder`` with its first administrator, Ada, and a browser for each of ``names``.

    ``KEEP_SHOTS`` names a folder for pictures of the pages.
    """
    from playwright.sync_api import sync_playwright

    kept = os.environ.get("KEEP_SHOTS")
    home = ShiftedHome(folder, **environment)
    try:
        path = home.wait_until_ready()
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=CHROMIUM,
                args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
            )
            shots = Path(kept) if kept else None
            people = {
                name: Person(name, home, browser, is_on_phone=name == on_phone, shots=shots)
                for name in ("ada", *names)
            }
            ada = people["ada"].go(path).see("found").fill(name="Ada Lund", email="ada@example.com")
            ada.press("Continue with a passkey")
            ada.press("Add passkey")
            yield home, people
    finally:
        home.stop()
        if kept:
            shutil.copytree(home.root / "log", Path(kept) / "logs", dirs_exist_ok=True)
        for place in (home.root, socket_folder(home.root)):
            shutil.rmtree(place, ignore_errors=True)


def give_seats(
    home: ShiftedHome, people: Mapping[str, Person], staff: Staff, *, signers: Sequence[str]
) -> None:
    """Ada gives the roles; each joins by the mailed link, and the signers enrol a key."""
    ada = people["ada"].go("/desk/people/")
    for name, full, roles in staff:
        for role in roles:
            ada.fill(email=f"{name}@example.com", name=full, role=role, reason="founding")
            assert "is in force" in ada.press("Give the role")
    ada.see("people")
    for name, _, _ in staff:
        person = people[name]
        person.go(home.mailed_link(person.email, r"http://localhost:\d+/join/\S+"))
        person.press("Continue with a passkey")
        assert "Recovery codes" in person.press("Add passkey")
        assert "Today" in person.press("Go on")
    for name in signers:
        printed = home.command("invite", "--email", f"{name}@example.com", "--json")
        person = people[name].go(json.loads(printed.splitlines()[-1])["url"]).see("enrol")
        person.press("Make a passkey")
        person.page.get_by_text("Your signing key is enrolled").wait_for()
