"""The map of jobs is true: every path, endpoint and command exists, each page opens to its role."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest
import yaml
from django.core.management import get_commands
from django.urls import Resolver404, resolve

from magnetfund.core.roles import Capability, Role, capabilities_of
from magnetfund.tests.test_access import DESK, FILES, HOLDERS, INVESTOR, PUBLIC, TRADE, VAULT

ROOT = Path(__file__).resolve().parents[2]
#: Who opens a part of the map; a stranger and a program have no role.
ROLES = {
    "Investor": Role.INVESTOR, "Adviser of an investor": Role.ADVISER,
    "Operator": Role.OPERATOR, "Researcher": Role.OPERATOR,
    "Risk officer": Role.RISK_OFFICER, "Accountant": Role.ACCOUNTANT,
    "Controller": Role.CONTROLLER, "Compliance officer": Role.COMPLIANCE,
    "Director": Role.DIRECTOR, "Auditor": Role.AUDITOR, "Administrator": Role.ADMINISTRATOR,
}  # fmt: skip
#: What a page asks for beyond being of the house.
ASKED = {
    **dict.fromkeys(FILES, Capability.KYC_VIEW),
    **dict.fromkeys(VAULT, Capability.PAPERS_VIEW),
    **dict.fromkeys(HOLDERS, Capability.HOLDERS_VIEW),
    "/desk/trading/ticket/": Capability.ORDER_SUBMIT,
    "/desk/risk/stop/confirm/": Capability.TRADING_STOP,
}
#: Doors with a word in their path, or of a library, or that other tests open by role.
OTHER = {
    "/account/", "/admin/", "/apply/status/", "/desk/books/", "/desk/books/check_books.py",
    "/desk/fund/suspension/", "/found/<word>/", "/join/<word>/", "/live",
    "/advise/<word>/", "/advised/",
}  # fmt: skip


@cache
def jobs() -> list[tuple[str, str, str]]:
    """(person, job, door) of every door on the map."""
    rows, person = [], ""
    for line in (ROOT / "docs" / "jobs.md").read_text().splitlines():
        if line.startswith("## "):
            person = line[3:]
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| ") and cells[0] != "Job":
            rows += [(person, cells[0], door) for door in re.findall(r"`([^`]+)`", cells[1])]
    return rows


@cache
def endpoints() -> set[str]:
    paths = yaml.safe_load((ROOT / "docs" / "openapi.yaml").read_text())["paths"]
    return {f"{verb.upper()} {path}" for path, verbs in paths.items() for verb in verbs}


def test_the_map_holds_the_jobs_of_twelve_kinds_of_people_and_of_programs():
    people = {person for person, _, _ in jobs()}
    assert people == {*ROLES, "A stranger who may invest", "A program"}
    assert len({(person, job) for person, job, _ in jobs()}) >= 78


@pytest.mark.parametrize("person", sorted({person for person, _, _ in jobs()}))
def test_each_door_exists_and_opens_to_its_person(person: str):
    missing = []
    for who, job, door in jobs():
        if who != person:
            continue
        if door.startswith("manage.py "):
            is_there = door.split()[1] in get_commands()
        elif " " in door:
            is_there = door in endpoints() or door in {"GET /health", "GET /api/schema"}
        else:
            is_there = opens(door, person)
        if not is_there:
            missing.append((job, door))
    assert missing == []


def opens(path: str, person: str) -> bool:
    """Whether a page exists and its matrix lets the role in."""
    try:
        resolve(path.replace("<word>", "word"))
    except Resolver404:
        if path not in {"/account/", "/admin/"}:
            return False
    if path in OTHER or path in PUBLIC:
        return True
    role = ROLES.get(person)
    if role in (Role.INVESTOR, Role.ADVISER):
        return path in INVESTOR
    if role is None or path not in DESK | HOLDERS | TRADE | FILES | VAULT:
        return False
    asked = ASKED.get(path, Capability.DESK_VIEW)
    return asked in capabilities_of([role])
