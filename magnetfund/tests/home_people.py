"""People of a production home in a real browser: they sign in, show a factor, and sign by passkey.

For drills that start a home of processes; each person has a browser context of their own.
"""

from __future__ import annotations

import os
import re
import time
from pathlib import Path
from typing import Any

from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value

STEP_SECONDS = 30
WAIT_MS = 60_000
WIDE, NARROW = {"width": 1280, "height": 900}, {"width": 390, "height": 844}


class Person:
    """One browser, one account: a password, an authenticator app and a signing passkey."""

    def __init__(self, browser: Any, base: str, *, email: str, password: str) -> None:
        self.base, self.email, self.password = base, email, password
        self.context = browser.new_context(
            base_url=base, viewport=WIDE, reduced_motion="reduce", locale="en-GB"
        )
        self.page = self.context.new_page()
        self.page.set_default_timeout(WAIT_MS)
        #: Errors of scripts and of the content policy.
        self.told: list[str] = []
        self.page.on("pageerror", lambda error: self.told.append(str(error)))
        self.page.on("console", self._hear)
        self._secret = ""
        self._used_step = 0
        session = self.context.new_cdp_session(self.page)
        session.send("WebAuthn.enable")
        session.send(
            "WebAuthn.addVirtualAuthenticator",
            {
                "options": {
                    "protocol": "ctap2", "transport": "internal", "hasResidentKey": True,
                    "hasUserVerification": True, "isUserVerified": True,
                    "automaticPresenceSimulation": True,
                }
            },
        )  # fmt: skip

    def _hear(self, message: Any) -> None:
        if message.type == "error" and "Content Security Policy" in message.text:
            self.told.append(message.text)

    # ---- doors ---------------------------------------------------------------------------------

    def sign_in(self) -> None:
        """By the first password, then with an authenticator app that is set up on the way."""
        page = self.page
        page.goto("/account/login/")
        page.fill("input[name=login]", self.email)
        page.fill("input[name=password]", self.password)
        page.locator("form:has(input[name=password]) button[type=submit]").first.click()
        page.wait_for_load_state()
        self.set_up_app()
        page.goto("/desk/")

    def set_up_app(self) -> None:
        """An authenticator app of the account that is signed in."""
        page = self.page
        page.goto("/account/2fa/totp/activate/")
        if page.locator("input[name=password]").count():
            page.fill("input[name=password]", self.password)
            page.click("form:has(input[name=password]) button[type=submit]")
        self._secret = page.inner_text(".mf-secret").strip()
        page.fill("input[name=code]", self._next_code())
        page.click("button:has-text('Turn on')")
        page.wait_for_load_state()

    def _next_code(self) -> str:
        """A code that was not used yet; waits for the next one where it has to."""
        while int(time.time()) // STEP_SECONDS <= self._used_step:
            time.sleep(0.2)
        self._used_step = int(time.time()) // STEP_SECONDS
        return str(format_hotp_value(hotp_value(self._secret, self._used_step)))

    def answer_factor(self) -> bool:
        """Show the factor where the page asks for it; says whether it did."""
        field = self.page.locator("main input[name=code], input[name=code][autocomplete]")
        if "/account/" not in self.page.url or not field.count():
            return False
        field.first.fill(self._next_code())
        self.page.locator("form:has(input[name=code]) button[type=submit]").first.click()
        self.page.wait_for_load_state()
        return True

    # ---- pages ---------------------------------------------------------------------------------

    def open(self, path: str) -> str:
        """Go to a page; its text with single spaces."""
        self.page.goto(path)
        if self.answer_factor():
            self.page.goto(path)
        return self.text()

    def text(self) -> str:
        return re.sub(r"\s+", " ", self.page.inner_text("body"))

    def wait_for_text(self, path: str, words: str, *, seconds: float = 90.0) -> str:
        """Open a page until it says ``words``."""
        deadline = time.monotonic() + seconds
        while words not in (text := self.open(path)):
            assert time.monotonic() < deadline, f"{path} does not say {words!r}: {text[:3000]}"
            time.sleep(1.0)
        return text

    def press(self, words: str, *, says: str = "", inside: str = "main") -> str:
        """Press a button; shows the factor where it is asked for, and then presses again.

        The page has to say ``says`` in the end.
        """
        before = self.page.url
        self._press(words, inside)
        if self.answer_factor():
            self.page.goto(before)
            self._press(words, inside)
        deadline = time.monotonic() + WAIT_MS / 1000
        while says not in (text := self.text()):
            assert time.monotonic() < deadline, f"{words!r} is not answered by {says!r}: {text}"
            time.sleep(0.5)
        return text

    def _press(self, words: str, inside: str) -> None:
        self.page.locator(f"{inside} button:has-text({words!r})").first.click()
        self.page.wait_for_load_state("load")
        self.page.wait_for_timeout(400)

    # ---- signatures ----------------------------------------------------------------------------

    def enrol_key(self, link: str) -> None:
        """A signing passkey by the link of an invitation."""
        self.page.goto(link)
        self.page.click("button:has-text('Make a passkey')")
        self.page.wait_for_selector("text=is enrolled")

    def sign(self) -> str:
        """Sign what the signer shows, and go back to the desk; says what was signed."""
        self.page.wait_for_selector("text=Sign with your passkey")
        words = re.sub(r"\s+", " ", self.page.inner_text("main"))
        self.page.click("button:has-text('Sign with your passkey')")
        self.page.click("a:has-text('Back to the desk')")
        self.page.wait_for_load_state("load")
        return words

    def keep(self, name: str, path: str = "") -> None:
        """Pictures of a page at both widths, in the folder that SHOTS names."""
        folder = os.environ.get("SHOTS")
        if path:
            self.open(path)
        wide = {}
        for label, size in (("desktop", WIDE), ("phone", NARROW)):
            self.page.set_viewport_size(size)
            wide[label] = self.page.evaluate("document.documentElement.scrollWidth") - size["width"]
            if folder:
                self.page.screenshot(path=str(Path(folder) / f"{name}-{label}.png"), full_page=True)
        self.page.set_viewport_size(WIDE)
        assert max(wide.values()) <= 0, f"{self.page.url} scrolls sideways: {wide}"
