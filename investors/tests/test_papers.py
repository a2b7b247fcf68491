"""Contract notes: right figures, equal bytes, made once, for their own investor alone."""

from __future__ import annotations

import struct
from decimal import Decimal

import pytest
from django.db import DatabaseError, transaction
from django.test import Client
from fontTools.ttLib import TTFont

from investors.models import Investor, Paper
from investors.services.paper_fonts import FONTS, covered_signs, load_fonts, read_signs
from investors.services.papers import (
    TEMPLATES,
    contract_note,
    describe_note,
    list_notes,
    render_paper,
)
from investors.tests.fund_support import FIRST, SmallFund, first_of, make_fund
from magnetfund.core.models import AuditEvent
from magnetfund.core.roles import Role
from magnetfund.kernel.errors import Conflict
from magnetfund.operations.people import ensure_user

pytestmark = pytest.mark.django_db
D = Decimal
FEBRUARY, MARCH = first_of(2025, 2), first_of(2025, 3)


@pytest.fixture
def small() -> SmallFund:
    fund = make_fund("main", exit_fee_rate="0.01")
    for at in (FIRST, FEBRUARY, MARCH):
        fund.day(at)
    for name in ("ann", "bob"):
        fund.subscribe(name, "1000", before=FIRST)
    fund.strike(FIRST)
    return fund


def rows_of(data: dict, part: str) -> dict[str, str]:
    return dict(next(item["rows"] for item in data["parts"] if item["name"] == part))


def test_a_subscription_shows_units_price_and_money(small: SmallFund):
    order = small.investor("ann").orders.get()
    (strike,) = list_notes(order)
    data = describe_note(order, strike, "CN")
    deal = rows_of(data, "Deal")
    assert deal["Dealing price per unit"] == "100.000000 USD"
    assert deal["Units issued"] == "10.000000"
    assert deal["Invested in units"] == "1,000.00 USD"
    assert rows_of(data, "Order")["Holder"] == "Ann, main-ann"
    assert data["lots"][0][2] == "10.000000"


def test_a_redemption_shows_fees_proceeds_and_what_is_left(small: SmallFund):
    order = small.redeem("ann", "4", before=FEBRUARY)
    with pytest.raises(Conflict) as early:
        contract_note(order=order)
    assert early.value.code == "not_dealt"
    small.strike(FEBRUARY)
    order.refresh_from_db()
    data = describe_note(order, list_notes(order)[0], "CN")
    deal = rows_of(data, "Deal")
    assert deal["Exit and early redemption fee"] == "-4.00 USD"
    assert deal["Proceeds"] == "396.00 USD"
    assert data["lots"][0][-1] == "6.000000"


def test_equal_books_give_equal_bytes_and_a_paper_is_made_once(small: SmallFund):
    order = small.investor("ann").orders.get()
    paper = contract_note(order=order)
    again = render_paper(
        "contract_note.typ", describe_note(order, list_notes(order)[0], paper.number)
    )
    assert bytes(paper.content) == again
    assert again.startswith(b"%PDF-")
    Investor.objects.filter(pk=order.investor_id).update(legal_name="Ann Other")
    order.refresh_from_db()
    kept = contract_note(order=order)
    assert (kept.pk, bytes(kept.content)) == (paper.pk, again)
    with pytest.raises(DatabaseError), transaction.atomic():
        Paper.objects.filter(pk=paper.pk).update(sha256="x")


def test_a_paper_carries_its_own_number_whatever_was_set_before_it():
    words = {"title": "Note", "fund": "F", "summary": "", "parts": [], "lots": [], "remarks": ""}
    first = render_paper("contract_note.typ", words | {"number": "CN-1"})
    second = render_paper("contract_note.typ", words | {"number": "CN-2"})
    assert first != second
    quoted = words | {"number": "CN-3", "summary": 'of "A \\ B" #panic("never run")'}
    assert render_paper("contract_note.typ", quoted) not in (first, second)
    assert render_paper("contract_note.typ", words | {"number": "CN-1"}) == first


def test_a_name_that_the_font_cannot_set_refuses_the_paper(small: SmallFund):
    order = small.investor("bob").orders.get()
    order.investor.legal_name = "Søren Łukasz Čapek Ωмега"
    strike = list_notes(order)[0]
    assert render_paper("contract_note.typ", describe_note(order, strike, "CN"))
    order.investor.legal_name = "漢字"
    with pytest.raises(Conflict) as refused:
        render_paper("contract_note.typ", describe_note(order, strike, "CN"))
    assert refused.value.code == "missing_glyph"


@pytest.mark.parametrize("sign", ["\u2028", "\U0001f600", "\u0e01", "\x7f"])
def test_a_sign_that_no_face_has_refuses_the_paper_and_leaves_no_hole(sign: str):
    data = {"title": f"Note {sign}", "fund": "F", "number": "1", "summary": "", "parts": []}
    words = data | {"lots": [], "remarks": ""}
    assert render_paper("contract_note.typ", words | {"title": "Note −1\xa0%, ½ Ł’"})
    with pytest.raises(Conflict) as refused:
        render_paper("contract_note.typ", words)
    assert refused.value.code == "missing_glyph"


def test_papers_are_set_in_the_faces_of_the_repository_alone():
    assert {(font.family, font.weight) for font in load_fonts().fonts()} == {
        ("Liberation Serif", 400),
        ("Liberation Serif", 700),
    }
    templates = sorted(TEMPLATES.glob("*.typ"))
    assert len(templates) == 3
    assert all('font: "Liberation Serif"' in path.read_text() for path in templates)
    for face in sorted(FONTS.glob("*.ttf")):
        known = frozenset(map(chr, TTFont(face).getBestCmap()))
        assert read_signs(face.read_bytes()) == known >= covered_signs()
    with pytest.raises(ValueError, match="no Unicode table"):
        read_signs(struct.pack(">IHHHH4sIIIHH", 65536, 1, 0, 0, 0, b"cmap", 0, 28, 4, 0, 0))


def test_each_part_of_a_gated_order_has_a_note():
    fund = make_fund("main", gate_share="0.25")
    for at in (FIRST, FEBRUARY, MARCH):
        fund.day(at)
    fund.subscribe("ann", "1000", before=FIRST)
    fund.subscribe("bob", "1000", before=FIRST)
    fund.strike(FIRST)
    order = fund.redeem("ann", None, before=FEBRUARY)
    fund.strike(FEBRUARY)
    fund.strike(MARCH)
    order.refresh_from_db()
    first, second = list_notes(order)
    numbers = {contract_note(order=order, strike=item).number for item in (first, second)}
    assert len(numbers) == 2
    assert rows_of(describe_note(order, first, "x"), "Deal")["Units redeemed"] == "5.000000"


def test_an_investor_downloads_his_own_and_nobody_elses(small: SmallFund):
    user = ensure_user(email="ann@example.com", name="Ann", roles=[Role.INVESTOR])
    Investor.objects.filter(pk=small.investor("ann").pk).update(user=user)
    client = Client()
    client.force_login(user)
    own = small.investor("ann").orders.get()
    page = client.get(f"/orders/{own.pk}/").content.decode()
    strike = list_notes(own)[0]
    address = f"/orders/{own.pk}/notes/{strike.pk}.pdf"
    assert address in page
    sent = client.get(address)
    assert (sent.status_code, sent["Content-Type"]) == (200, "application/pdf")
    assert "attachment" in sent["Content-Disposition"]
    other = small.investor("bob").orders.get()
    assert client.get(f"/orders/{other.pk}/notes/{strike.pk}.pdf").status_code == 404
    line = AuditEvent.objects.get(action="paper.downloaded")
    assert line.body["number"].startswith("CN-S-")


def test_the_desk_downloads_by_role(small: SmallFund):
    order = small.investor("ann").orders.get()
    address = f"/desk/fund/orders/{order.pk}/note.pdf"
    for role, status in ((Role.ACCOUNTANT, 200), (Role.OPERATOR, 403)):
        client = Client()
        client.force_login(ensure_user(email=f"{role}@example.com", name="x", roles=[role]))
        assert client.get(address).status_code == status
    waiting = small.subscribe("ann", "500", before=FEBRUARY)
    client = Client()
    client.force_login(
        ensure_user(email="accountant@example.com", name="x", roles=[Role.ACCOUNTANT])
    )
    assert client.get(f"/desk/fund/orders/{waiting.pk}/note.pdf").status_code == 302
