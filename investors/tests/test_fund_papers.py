"""Papers of the fund: they add to the NAV and the ledger, and go out by role, noted."""

from __future__ import annotations

import csv
import io
import xml.etree.ElementTree as ET
import zipfile
from collections.abc import Callable
from copy import deepcopy
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from rest_framework_simplejwt.tokens import RefreshToken

from investors.models import NavStrike, Paper
from investors.services.fund_papers import TITLES, describe_paper, fund_paper, fund_table
from investors.services.ledger import read_balances
from investors.tests.fund_support import SmallFund
from investors.tests.test_investor_statements import MONTHS, lived
from magnetfund.core.models import AuditEvent
from magnetfund.core.roles import Role
from magnetfund.core.spreadsheets import write_workbook
from magnetfund.kernel.errors import Conflict, InvalidInput, NotAllowed
from magnetfund.operations.people import ensure_user

pytestmark = pytest.mark.django_db
D = Decimal


@pytest.fixture(scope="module")
def story() -> Callable[[], SmallFund]:
    return lived


@pytest.fixture
def small(module_database: Any, told: Any, db: None) -> SmallFund:
    return deepcopy(told.value)


def strike_of(small: SmallFund, at=MONTHS[2]) -> NavStrike:
    return small.fund.strikes.get(valuation_at=at, state="dealt")


def section(small: SmallFund, kind: str, name: str) -> list[list[str]]:
    data = describe_paper(strike=strike_of(small), kind=kind, actor=small.maker)
    return next(item["rows"] for item in data["sections"] if item["name"] == name)


def figure(text: str) -> Decimal:
    return D(text.replace(",", "").replace("−", "-"))


def test_the_register_adds_to_the_nav_and_to_every_lot(small: SmallFund):
    strike = strike_of(small)
    *holders, total = section(small, "register", "Holders")
    assert figure(total[5]) == strike.nav == sum(figure(row[5]) for row in holders)
    lots = section(small, "register", "Lots")
    assert sum(figure(row[7]) for row in lots) == figure(total[4])
    assert {row[1] for row in lots} == {f"main-{name}" for name in ("ann", "bob", "cyd", "dan")}


def test_the_trial_balance_is_the_ledgers_and_every_currency_sums_to_nothing(small: SmallFund):
    strike = strike_of(small)
    *rows, total = section(small, "trial_balance", "USD")
    balances = read_balances(small.fund, before=strike.valuation_at)
    for row in rows:
        assert abs(figure(row[5]) - balances[row[0], "USD"]) < D("0.005")
    assert figure(total[5]) == 0
    assert figure(total[3]) == figure(total[4]) > 0


def test_the_nav_pack_shows_the_waterfall_units_deals_and_who_signed(small: SmallFund):
    strike = strike_of(small)
    waterfall = section(small, "nav_pack", "Waterfall")
    assert figure(waterfall[-1][1]) == strike.nav
    units = section(small, "nav_pack", "Classes and unit roll-forward")
    for code, before, dealt, after, *_ in units:
        assert figure(before) + figure(dealt) == figure(after), code
    assert sum(figure(row[-1]) for row in units) == strike.nav
    dealt = section(small, "nav_pack", "Dealt at this NAV")
    assert ["A", "main-bob", "Redeem"] in [row[:3] for row in dealt]
    assert all(row[1] == "yes" for row in section(small, "nav_pack", "Checks"))
    signed = section(small, "nav_pack", "Signed")
    assert [row[0] for row in signed] == ["Prepared", "Approved and dealt"]


def test_a_paper_is_kept_with_equal_bytes_and_only_of_a_dealt_nav(small: SmallFund):
    strike = strike_of(small)
    for kind in TITLES:
        paper = fund_paper(strike=strike, kind=kind, actor=small.maker)
        assert bytes(paper.content).startswith(b"%PDF-")
        assert fund_paper(strike=strike, kind=kind, actor=small.checker).pk == paper.pk
        assert paper.investor is None
    assert Paper.objects.count() == len(TITLES)
    with pytest.raises(InvalidInput):
        fund_paper(strike=strike, kind="other", actor=small.maker)
    with pytest.raises(Conflict):
        fund_paper(strike=small.prepare(MONTHS[5]), kind="register", actor=small.maker)


def test_tables_go_out_as_csv_and_as_a_workbook(small: SmallFund):
    strike = strike_of(small)
    _, content = fund_table(strike=strike, kind="trial_balance", actor=small.maker, form="csv")
    rows = list(csv.reader(io.StringIO(content.decode())))
    assert ["Account", "Name", "Kind", "Debit", "Credit", "Balance"] in rows
    assert all(D(row[5]) is not None for row in rows if row[0] == "1010")
    number, book = fund_table(strike=strike, kind="register", actor=small.maker, form="xlsx")
    again = fund_table(strike=strike, kind="register", actor=small.maker, form="xlsx")[1]
    assert (number, book) == ("REG-main-20250301-v1", again)
    with zipfile.ZipFile(io.BytesIO(book)) as archive:
        assert archive.testzip() is None
        for name in archive.namelist():
            ET.fromstring(archive.read(name))
        assert b"main-ann" in archive.read("xl/worksheets/sheet2.xml")
    assert AuditEvent.objects.filter(action="paper.exported").count() == 3
    with pytest.raises(InvalidInput):
        fund_table(strike=strike, kind="register", actor=small.maker, form="ods")


def test_a_workbook_holds_numbers_as_numbers_and_never_a_formula():
    book = write_workbook({"A/B": [["=1+1", "-12.50", "1234567890123456", "<&"]]})
    with zipfile.ZipFile(io.BytesIO(book)) as archive:
        sheet = archive.read("xl/worksheets/sheet1.xml").decode()
        assert 'name="A-B"' in archive.read("xl/workbook.xml").decode()
    assert "<c><v>-12.50</v></c>" in sheet
    assert "<f>" not in sheet
    assert ">=1+1<" in sheet
    assert ">1234567890123456<" in sheet.replace("</t>", "<")
    assert "&lt;&amp;" in sheet


def test_desk_api_and_command_send_them_by_role(small: SmallFund, token_keys, tmp_path: Path):
    strike = strike_of(small)
    for role, status in ((Role.AUDITOR, 200), (Role.OPERATOR, 403)):
        user = ensure_user(email=f"{role.value}@example.com", name="x", roles=[role])
        client, call = (
            Client(),
            {"Authorization": f"Bearer {RefreshToken.for_user(user).access_token}"},
        )
        client.force_login(user)
        for form in ("pdf", "csv", "xlsx"):
            sent = client.get(f"/desk/fund/papers/nav/{strike.pk}/register.{form}")
            assert sent.status_code == status
            if status == 200:
                assert "no-store" in sent["Cache-Control"]
            path = f"/api/papers/nav/{strike.pk}/nav_pack.{form}"
            assert Client().get(path, headers=call).status_code == status
        if status == 200:
            page = client.get("/desk/fund/papers/").content.decode()
            assert f"/desk/fund/papers/nav/{strike.pk}/nav_pack.pdf" in page
            assert client.get(f"/desk/fund/papers/nav/{strike.pk}/x.pdf").status_code == 302
    with pytest.raises(NotAllowed):
        fund_paper(strike=strike, kind="register", actor=_operator())
    file = tmp_path / "tb.csv"
    ask = ["fund_paper", "trial_balance", str(file), "--as", "auditor@example.com", "--nav"]
    call_command(*ask, "2025-03-01")
    assert "1010" in file.read_text()
    with pytest.raises(CommandError, match="file_exists"):
        call_command(*ask, "2025-03-01")
    with pytest.raises(CommandError, match="no_strike"):
        call_command(*ask, "2025-03-02")


def _operator():
    from magnetfund.core.actors import Actor

    return Actor.of(ensure_user(email="operator@example.com", name="x", roles=[Role.OPERATOR]))
