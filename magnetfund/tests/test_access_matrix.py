"""Every path that the resolver knows, the administration and the API among them, asked by nobody,
an investor and each role, with every method: nothing opens by accident, and nothing breaks.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection, transaction
from django.http import SimpleCookie
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from magnetfund.core.roles import CAPABILITIES, STAFF_ROLES, Capability, Role
from magnetfund.operations.people import ensure_user
from magnetfund.tests.drill_size import IS_SHORT, sampled

pytestmark = pytest.mark.django_db
NOBODYS_ID = "00000000-0000-0000-0000-000000000009"
SAMPLES = {"uuid": NOBODYS_ID, "int": "999999", "str": "none", "slug": "none", "path": "none"}
METHODS = ("get", "head", "options", "post", "put", "patch", "delete")
#: The methods that a browser sends; the others are asked of every path and role by the drill.
READS_AND_WRITES = ("get", "post")
OTHERS = tuple(m for m in METHODS if m not in READS_AND_WRITES)
#: What strangers may open (2xx), beside the pages of signing in.
OPEN = (
    "/", "/health", "/health/database", "/capabilities", "/docs", "/api/schema",
    "/api/performance/current", "/api/performance/history", "/api/trades/recent",
    "/apply/", "/account/", "/join/", "/static/", "/privacy", "/live",
)  # fmt: skip
STAFF_ONLY = ("/desk/", "/admin/")


def find_paths(patterns: list[Any] | None = None, prefix: str = "/") -> Iterator[str]:
    """An address for each pattern, its converters filled with ids that nobody has."""
    for item in get_resolver().url_patterns if patterns is None else patterns:
        text = prefix + _fill(str(item.pattern))
        if isinstance(item, URLResolver):
            yield from find_paths(item.url_patterns, text)
        elif isinstance(item, URLPattern):
            yield text


def _fill(pattern: str) -> str:
    text = re.sub(r"<(?:(\w+):)?\w+>", lambda m: SAMPLES.get(m.group(1) or "str", "none"), pattern)
    text = re.sub(r"\(\?P<\w+>[^)]*\)", "none", text)
    return re.sub(r"[\^$\\]|\(\?:|\.\*|\)", "", text).replace("?", "")


PATHS = sorted(set(find_paths()))


class Visitor:
    """Asks path after path, each as if it was the first: what a request wrote is rolled back, and
    one that signs out leaves the next one signed in.
    """

    def __init__(self, role: Role | None = None) -> None:
        self._client = Client(raise_request_exception=False)
        if role is not None:
            self._client.force_login(
                ensure_user(email=f"{role.value}@example.com", name=role.value, roles=[role])
            )
        self._client.get("/health")  # which notes that the session is in use
        self._cookies = {name: morsel.value for name, morsel in self._client.cookies.items()}
        self._start = transaction.savepoint()
        self._wrote = False

    def ask(self, method: str, path: str) -> Any:
        self._client.cookies = SimpleCookie(self._cookies)
        with connection.execute_wrapper(self._watch):
            answer = getattr(self._client, method)(path)
        if self._wrote or answer.status_code >= 500:
            transaction.savepoint_rollback(self._start)
            self._wrote = False
        return answer

    def _watch(self, execute: Any, sql: Any, *rest: Any) -> Any:
        self._wrote = self._wrote or not str(sql).startswith(("SELECT", "SAVEPOINT", "RELEASE"))
        return execute(sql, *rest)


def is_open(path: str) -> bool:
    return path == "/" or path.startswith(tuple(name for name in OPEN if name != "/"))


def test_the_resolver_was_read_whole():
    assert len(PATHS) > 150
    for known in ("/desk/risk/stop/", "/admin/core/user/", "/api/trade/execute", "/account/login/"):
        assert known in PATHS


@pytest.mark.parametrize(
    ("method", "paths"),
    [
        *((name, PATHS) for name in READS_AND_WRITES),
        # Each path by one of the other methods; the drill asks all of them by one or by each.
        *((name, PATHS[place :: len(OTHERS)]) for place, name in enumerate(OTHERS)),
        *(pytest.param(name, PATHS, marks=pytest.mark.drill) for name in sampled(OTHERS, 1)),
    ],
    ids=lambda value: value if isinstance(value, str) else f"{len(value)}-paths",
)
def test_nobody_gets_nothing_but_what_is_public(method: str, paths: list[str]):
    visitor = Visitor()
    found = {path: visitor.ask(method, path) for path in paths}
    assert {path: a.status_code for path, a in found.items() if a.status_code == 500} == {}
    opened = {
        path
        for path, answer in found.items()
        if 200 <= answer.status_code < 300 and not is_open(path) and method != "options"
    }
    assert opened <= {"/admin/login/", "/admin/jsi18n/"}
    shown = {
        path: answer.url
        for path, answer in found.items()
        if path.startswith(STAFF_ONLY)
        and answer.status_code == 302
        and "/account/" not in answer.url
        and "/admin/login/" not in answer.url
    }
    # Signing out leads back to the door, signed in or not.
    assert shown in ({}, {"/admin/logout/": "/admin/"})


@pytest.mark.parametrize(
    "method",
    [
        *READS_AND_WRITES,
        *(pytest.param(name, marks=pytest.mark.drill) for name in sampled(OTHERS, 1)),
    ],
)
def test_an_investor_opens_nothing_of_the_house(method: str):
    visitor = Visitor(Role.INVESTOR)
    for path in PATHS:
        if path.startswith(STAFF_ONLY):
            answer = visitor.ask(method, path)
            assert answer.status_code not in range(200, 300), path
            assert answer.status_code != 500, path


@pytest.mark.parametrize("role", sorted(STAFF_ROLES))
def test_the_administration_opens_by_its_capability_alone(role: Role):
    visitor = Visitor(role)
    may = Capability.ADMIN_VIEW in CAPABILITIES[role]
    for path in ("/admin/core/auditevent/", "/admin/trading/order/"):
        assert (visitor.ask("get", path).status_code == 200) == may, path


def methods_of(role: int, number: int) -> tuple[str, ...]:
    """What the ``role``-th role asks of the ``number``-th path: in the short form one method or
    none, so that all roles together ask every method of every path once."""
    turn, place = divmod(role, len(METHODS))
    turns = range(place, len(Role), len(METHODS))
    asks = (number // len(METHODS)) % len(turns) == turn
    return METHODS if not IS_SHORT else (METHODS[(role + number) % len(METHODS)],) * asks


def test_the_roles_together_ask_every_method_of_every_path_once():
    for number in range(3 * len(METHODS)):
        asked = [method for role in range(len(Role)) for method in methods_of(role, number)]
        assert sorted(asked) == sorted(METHODS * (1 if IS_SHORT else len(Role)))


@pytest.mark.drill
@pytest.mark.parametrize("role", sorted(Role))
def test_no_role_breaks_a_path_with_any_method(role: Role):
    visitor = Visitor(role)
    place = sorted(Role).index(role)
    broken = {
        (method, path): answer.status_code
        for number, path in enumerate(PATHS)
        for method in methods_of(place, number)
        if (answer := visitor.ask(method, path)).status_code == 500
    }
    assert broken == {}
