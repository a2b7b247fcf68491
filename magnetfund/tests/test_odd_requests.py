"""Odd addresses, queries and bodies get an answer that says so, on every URL there is."""

from __future__ import annotations

import inspect
import json
import sys
import uuid
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
from django.core.cache import cache, caches
from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpRequest
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils.functional import cached_property

from magnetfund.core.roles import Role
from magnetfund.operations.people import ensure_user
from magnetfund.tests.drill_size import sampled
from magnetfund.tests.walls_support import make_instrument
from trading.models import Instrument

pytestmark = pytest.mark.usefixtures("module_database", "token_keys")

#: Every name that some page or read looks for, of ours and of the admin.
NAMES = (
    "page", "sort", "result", "instrument", "sleeve", "strike", "limit", "period", "interval",
    "side", "amount", "unit", "leverage", "stop", "target", "tier", "q", "p", "o", "id", "id__in",
    "next", "action", "code",
)  # fmt: skip
ODD = {
    "negative": "-1", "word": "abc", "sql": "';DROP TABLE core_user;--", "huge": "9" * 25,
    "very_long_number": "9" * 5_000, "nul": "a\x00b", "bad_id": "0000-00", "unicode": "٣\u202e😀",
    "not_finite": "NaN", "exponent": "1e999999", "lone_surrogate": b"\xed\xa0\x80",
}  # fmt: skip
#: Of each sort of oddness one is in the suite; the drill asks with all of them.
IN_SUITE = ("very_long_number", "nul", "bad_id", "not_finite", "lone_surrogate")
KINDS = [
    *IN_SUITE,
    *(
        pytest.param(kind, marks=pytest.mark.drill)
        for kind in sampled([kind for kind in ODD if kind not in IN_SUITE], 2)
    ),
]
#: What the libraries' own pages are asked as well, and by which names: a list of the admin turns
#: away at the first that is no field of its own.
FOR_LIBRARIES = ("very_long_number", "nul")
NAMES_OF_LIBRARIES = ("page", "q", "p", "o", "id", "id__in", "next", "action", "code")
#: What runs for ever, or needs the running parts beside the web.
LEFT_OUT = ("/live", "/health/database", "/state", "/dependencies")


def _walk(patterns: list[Any], before: str = "/") -> Iterator[str]:
    for item in patterns:
        path = before + str(item.pattern).lstrip("^").rstrip("$\\Z")
        if isinstance(item, URLResolver):
            yield from _walk(item.url_patterns, path)
        elif isinstance(item, URLPattern) and "(" not in path:
            yield path


def find_paths() -> list[str]:
    """Every path of the platform, its ids filled with ones that nothing has."""
    found = []
    for path in _walk(get_resolver().url_patterns):
        for kind, value in (("uuid", str(uuid.UUID(int=7))), ("int", "7"), ("path", "x"),
                            ("str", "x")):  # fmt: skip
            for name in ("pk", "object_id", "content_type_id", "key", "url", "app_label"):
                path = path.replace(f"<{kind}:{name}>", value).replace(f"<{name}>", "x")
        if "<" not in path and path not in LEFT_OUT:
            found.append(path)
    return sorted(set(found))


@pytest.fixture
def client(module_database: Any) -> Client:
    """Somebody who may open everything and did something of each kind."""
    cache.clear()
    person = ensure_user(
        email="all@example.com",
        name="All",
        roles=[Role.OPERATOR, Role.RISK_OFFICER, Role.AUDITOR, Role.INVESTOR],
    )
    if not Instrument.objects.exists():
        make_instrument()
    client = Client(raise_request_exception=False)
    client.force_login(person)
    return client


def refuse_to_break(answer: Any, path: str) -> None:
    if answer.status_code == 503:  # Said on purpose: a fund without a price yet.
        assert answer.json()["error"]["code"] in ("no_valuation", "no_trader"), path
        return
    assert answer.status_code < 500, f"{path} answered {answer.status_code}"
    if not answer.streaming:
        text = answer.content.decode(errors="replace")
        assert "Traceback (most recent" not in text, path
        assert "psycopg" not in text, path


#: Those that look at every request on its way to a page.
BEFORE_PAGES = ("magnetfund.core.odd_requests", "django.middleware.csrf", "django.http.request")
#: Refused before any page, whichever it is.
NEVER_ARRIVES = "nul"
#: Pages that do read what they are asked with, so they are asked with every kind.
READING = {
    ("get", "/desk/trading/orders/"), ("post", "/desk/risk/stop/"), ("call", "/api/auth/token"),
}  # fmt: skip


class Watched:
    """An attribute of a request that notes when a page looks at it."""

    def __init__(self, name: str, seen: list[str]) -> None:
        self._name, self._seen = name, seen
        self._of_django = inspect.getattr_static(WSGIRequest, name)

    def __get__(self, request: HttpRequest | None, owner: type) -> Any:
        if request is None:
            return self
        if sys._getframe(1).f_globals["__name__"] not in BEFORE_PAGES:
            self._seen.append(self._name)
        if self._name in request.__dict__:
            return request.__dict__[self._name]
        return self._of_django.__get__(request, owner)

    def __set__(self, request: HttpRequest, value: Any) -> None:
        if isinstance(self._of_django, cached_property):
            request.__dict__[self._name] = value
        else:
            self._of_django.__set__(request, value)


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What pages looked at of their requests since the list was cleared."""
    seen: list[str] = []
    for name in ("GET", "POST", "FILES", "body", "read"):
        monkeypatch.setattr(WSGIRequest, name, Watched(name, seen), raising=False)
    full_path = HttpRequest._get_full_path

    def noted(request: HttpRequest, path: str, force_append_slash: bool) -> str:
        seen.append("path")
        return full_path(request, path, force_append_slash)

    monkeypatch.setattr(HttpRequest, "_get_full_path", noted)
    return seen


@pytest.fixture(scope="module")
def unread() -> set[tuple[str, str]]:
    """Pages that were asked and looked at nothing: no other value can change their answer."""
    return set()


@pytest.mark.parametrize("kind", KINDS)
def test_no_page_breaks_on_an_odd_query(
    client: Client, kind: str, read: list[str], unread: set[tuple[str, str]]
):
    for path in find_paths():
        is_librarys = path.startswith(("/admin/", "/account/"))
        if (is_librarys and kind not in FOR_LIBRARIES) or ("get", path) in unread:
            continue
        cache.clear()
        read.clear()
        names = NAMES_OF_LIBRARIES if is_librarys else NAMES
        query = urlencode(dict.fromkeys(names, ODD[kind]))
        refuse_to_break(client.get(f"{path}?{query}"), path)
        if not (read or is_librarys or kind == NEVER_ARRIVES):
            unread.add(("get", path))
    assert not READING & unread


@pytest.mark.parametrize("kind", KINDS)
def test_no_form_breaks_on_odd_values(
    client: Client, kind: str, read: list[str], unread: set[tuple[str, str]]
):
    names = ("reason", "understood", "decision", "hash", "seen", "why", "key", "login", "password",
             "email", *NAMES)  # fmt: skip
    for path in find_paths():
        if not path.startswith(("/desk/", "/account/", "/home/")) or "logout" in path:
            continue
        if ("post", path) in unread:
            continue
        cache.clear()
        read.clear()
        refuse_to_break(client.post(path, dict.fromkeys(names, ODD[kind])), path)
        ticked = {**dict.fromkeys(names, ODD[kind]), "understood": "on", "key": "k"}
        refuse_to_break(client.post(path, ticked), path)
        if not (read or path.startswith("/account/") or kind == NEVER_ARRIVES):
            unread.add(("post", path))
    assert not READING & unread


BODIES = (
    "", "[]", "null", "7", "{", '{"a":NaN}', "[" * 5_000, '{"email": {"a": 1}}',
    *(
        json.dumps(
            dict.fromkeys(
                ("idempotency_key", "symbol", "direction", "magnet_tier", "entry_price", "reason",
                 "stop_price", "email", "password", "code", "refresh", "equity", "leverage",
                 "instrument", "primary_magnet_price", "current_price", "magnet_strength",
                 "conflict_index", "volatility_pressure", "atr", "magnet_price"),
                value,
            )
        )
        for value in ("a\x00b", "\ud800", "9" * 5_000, 1e308, -1e308, 0, True, None, [], "NaN")
    ),
)  # fmt: skip


@pytest.mark.parametrize("number", range(len(BODIES)))
def test_no_call_breaks_on_an_odd_body(
    client: Client, number: int, monkeypatch: Any, read: list[str], unread: set[tuple[str, str]]
):
    monkeypatch.setattr("magnetfund.web.api.trading.ring_bell", lambda: None)
    for path in find_paths():
        if not path.startswith("/api/") or ("call", path) in unread:
            continue
        cache.clear()
        read.clear()
        refuse_to_break(
            client.post(path, data=BODIES[number], content_type="application/json"), path
        )
        if BODIES[number] and not read:  # of an empty body nothing is ever read
            unread.add(("call", path))
    assert not READING & unread


def test_a_well_formed_order_with_an_odd_text_is_refused_and_not_broken(client: Client):
    good = {"idempotency_key": "one", "symbol": "BTCUSDT", "direction": "long", "magnet_tier": 2,
            "entry_price": "50000", "stop_price": "49000", "target_price": None}  # fmt: skip
    for name in ("idempotency_key", "symbol"):
        for odd in ("\ud800", "\u202e", "x" * 60):
            body = json.dumps({**good, name: odd})
            answer = client.post("/api/trade/execute", body, content_type="application/json")
            refuse_to_break(answer, name)
            assert answer.status_code in (400, 422, 503), answer.content
    caches["process"].clear()
    stop = json.dumps({"reason": "a\ud800b"})
    answer = client.post("/api/system/emergency-stop", stop, content_type="application/json")
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "malformed_body"
