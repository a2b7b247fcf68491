"""Proof of units: checked offline by one file, one's own alone, and no change goes unseen."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from rest_framework_simplejwt.tokens import RefreshToken

from investors.models import Investor
from investors.tests.fund_support import FIRST, SmallFund, first_of, make_fund
from magnetfund.core.models import JobRun
from magnetfund.core.roles import Role
from magnetfund.operations.books import check_units, unit_proof
from magnetfund.operations.books.root import make_root, make_root_keys
from magnetfund.operations.people import ensure_user

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("module_database")]
FEBRUARY = first_of(2025, 2)


def tell() -> SmallFund:
    """Ann with two lots, Bob and Cyd with one."""
    fund = make_fund("main")
    for at in (FIRST, FEBRUARY):
        fund.day(at)
    for name, amount in (("ann", "1000"), ("bob", "2000"), ("cyd", "345.67")):
        fund.subscribe(name, amount, before=FIRST)
    fund.strike(FIRST)
    fund.subscribe("ann", "500", before=FEBRUARY)
    fund.strike(FEBRUARY)
    return fund


@pytest.fixture(scope="module")
def story() -> Callable[[], SmallFund]:
    return tell


@pytest.fixture
def small(module_database: Any, told: Any, db: None, tmp_path: Path, settings: Any) -> SmallFund:
    """The fund with the root of the day."""
    settings.MAGNET_HOME = str(tmp_path)
    make_root_keys(tmp_path / "keys")
    unit_proof._tree_of.cache_clear()
    make_root()
    return deepcopy(told.value)


def client_of(small: SmallFund, name: str) -> Client:
    user = ensure_user(email=f"{name}@example.com", name=name.title(), roles=[Role.INVESTOR])
    Investor.objects.filter(pk=small.investor(name).pk).update(user=user)
    client = Client()
    client.force_login(user)
    return client


def check(folder: Path, proof: dict[str, Any], *more: str) -> subprocess.CompletedProcess[str]:
    file = folder / "proof.json"
    file.write_text(json.dumps(proof))
    return subprocess.run(
        [sys.executable, "-I", "-S", check_units.__file__, str(file), *more],
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_an_investor_checks_his_units_offline_against_the_published_root(small, tmp_path):
    client = client_of(small, "ann")
    page = client.get("/proof/").content.decode()
    sent = client.get("/proof/proof-1.json")
    proof = sent.json()
    assert proof["register_root"] in page
    assert "no-store" in sent["Cache-Control"]
    assert [lot["units"] for lot in proof["lots"]] == ["10.000000", "5.000000"]
    for name in ("Ann", "Bob", "Cyd", "example.com"):
        assert name not in sent.content.decode()
    done = check(tmp_path, proof)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "yours               15.000000" in done.stdout
    assert "all units           38.456700" in done.stdout
    assert check(tmp_path, proof, proof["register_root"].upper()).returncode == 0
    other = client_of(small, "bob").get("/proof/proof-1.json").json()
    assert {lot["lot"] for lot in proof["lots"]}.isdisjoint(lot["lot"] for lot in other["lots"])
    assert other["register_root"] == proof["register_root"]


@pytest.mark.parametrize(
    "change",
    [
        {"units": "11.000000"}, {"units": "-10"}, {"units": "10.0000001"}, {"salt": "00" * 32},
        {"lot": "another"}, {"neighbours": []},
    ],
)  # fmt: skip
def test_a_changed_proof_does_not_hold(small, tmp_path, change):
    proof = client_of(small, "ann").get("/proof/proof-1.json").json()
    proof["lots"][0].update(change)
    assert check(tmp_path, proof).returncode == 1


def test_another_root_a_hidden_total_and_a_lot_shown_twice_do_not_hold(small, tmp_path):
    proof = client_of(small, "ann").get("/proof/proof-1.json").json()
    assert check(tmp_path, proof, "f" * 64).returncode == 1
    assert check(tmp_path, {**proof, "all_units": "99.000000"}).returncode == 1
    assert check(tmp_path, {**proof, "lots": [proof["lots"][0]] * 2}).returncode == 1


def test_the_page_says_when_the_books_did_not_verify_and_when_there_is_nothing(small, tmp_path):
    client = client_of(small, "ann")
    JobRun.objects.create(
        job="daily_verification", scheduled_for=timezone.now(), state=JobRun.State.DONE,
        finished_at=timezone.now(), detail="1 difference",
    )  # fmt: skip
    assert "No root is published for that day" in client.get("/proof/").content.decode()
    assert client.get("/proof/proof-9.json").status_code == 404
    nobody = client_of(small, "eve")
    assert "You held no units" in nobody.get("/proof/").content.decode()
    assert nobody.get("/proof/proof-1.json").json()["lots"] == []
    for path in (tmp_path / "roots").glob("root-*"):
        path.unlink()
    assert "No root of the register was published yet" in client.get("/proof/").content.decode()


def test_the_api_gives_the_same_proof(small, token_keys):
    client = client_of(small, "ann")
    user = small.investor("ann")
    user.refresh_from_db()
    call = {"Authorization": f"Bearer {RefreshToken.for_user(user.user).access_token}"}
    answer = Client().get("/api/investor/proof", headers=call)
    assert answer.json() == client.get("/proof/proof-1.json").json()
    assert Client().get("/api/investor/proof?number=7", headers=call).status_code == 404
    assert Client().get("/api/investor/proof?number=x", headers=call).status_code == 422
