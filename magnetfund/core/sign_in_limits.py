"""How often somebody may guess: by the pair of address and account, so that no stranger can lock
an officer out.

Each pair has a few guesses.  Addresses from which an account never signed in share an hourly number
more, which bounds guessing from many addresses; an address that the account is known by has its own
pair alone, and a passkey asks for no password at all.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from dataclasses import dataclass

from allauth.account.adapter import get_adapter
from django.core.cache import cache, caches
from django.http import HttpRequest


@dataclass(frozen=True, slots=True)
class Rate:
    """So many guesses within so many seconds."""

    guesses: int
    seconds: int


OF_A_PAIR = (Rate(5, 300), Rate(30, 86_400))
OF_STRANGERS = Rate(50, 3_600)
#: How long an address stays one that the account is known by.
KNOWN_SECONDS = 90 * 86_400


@dataclass(frozen=True, slots=True)
class Guess:
    """A guess that was counted; ``forget`` takes it back where it was right."""

    keys: tuple[str, ...]

    def forget(self) -> None:
        for key in self.keys:
            try:
                cache.decr(key)
            except ValueError:
                # The window ended meanwhile.
                continue


def count_guess(request: HttpRequest, email: str) -> Guess | None:
    """Count one guess at an account from the request's address; None where none is left."""
    used = []
    for rate, key in _windows(email, _address(request)):
        cache.add(key, 0, timeout=rate.seconds)
        try:
            count = cache.incr(key)
        except ValueError:
            # The window ended between the two lines: this guess begins the next one.
            cache.set(key, 1, timeout=rate.seconds)
            count = 1
        used.append(key)
        if count > rate.guesses:
            return None
    return Guess(tuple(used))


def remember_address(request: HttpRequest, email: str) -> None:
    """Note that an account signed in from the request's address."""
    caches["durable"].set(_known_key(email, _address(request)), 1, timeout=KNOWN_SECONDS)


def _windows(email: str, address: str) -> Iterator[tuple[Rate, str]]:
    """The windows that a guess counts in, with the keys of this moment."""
    account = _digest(email.strip().lower())
    wanted = [(rate, f"{account}:{address}") for rate in OF_A_PAIR]
    if caches["durable"].get(_known_key(email, address)) is None:
        wanted.append((OF_STRANGERS, account))
    for rate, what in wanted:
        yield rate, f"guess:{rate.seconds}:{int(time.time()) // rate.seconds}:{what}"


def _known_key(email: str, address: str) -> str:
    return f"known:{_digest(email.strip().lower())}:{address}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _address(request: HttpRequest) -> str:
    return str(get_adapter(request).get_client_ip(request))
