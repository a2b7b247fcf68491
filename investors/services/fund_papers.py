"""Papers of the fund at one dealt NAV: unit register, trial balance, NAV pack, capital activity.

Each is read from what the NAV left behind, made as PDF when it is first asked for, and kept; the
same rows go out as CSV.  The register and the trial balance stand before the NAV's own dealing, as
its figures do; the capital activity ends after it.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from django.db import connection, transaction
from django.db.models import Sum

from investors.domain.exact import ZERO
from investors.domain.ledger import Leg
from investors.domain.ledger.balances import build_trial_balance
from investors.models import LotNav, NavStrike, Paper, UnitEntry
from investors.services.capital_activity import HEADS, NAMES, activity_rows, capital_rows
from investors.services.papers import render_paper
from magnetfund.core.actors import Actor
from magnetfund.core.roles import Capability
from magnetfund.core.services.audit import record_audit
from magnetfund.core.spreadsheets import safe_cell, write_workbook
from magnetfund.core.templatetags.figures import money, signed
from magnetfund.kernel.errors import Conflict, InvalidInput

TEMPLATE = "fund_paper.typ"
PREFIXES: Mapping[str, str] = {
    "register": "REG",
    "trial_balance": "TB",
    "nav_pack": "NAV",
    "capital": "CAP",
}
TITLES: Mapping[str, str] = {
    "register": "Unit register",
    "trial_balance": "Trial balance",
    "nav_pack": "NAV pack",
    "capital": "Capital activity",
}
Section = dict[str, Any]


def fund_paper(*, strike: NavStrike, kind: str, actor: Actor) -> Paper:
    """A paper of the fund at a dealt NAV, made on first asking and kept.

    Raises :class:`NotAllowed`, :class:`InvalidInput` (``unknown_paper``) and :class:`Conflict`
    (``not_dealt``).
    """
    data = describe_paper(strike=strike, kind=kind, actor=actor)
    kept = Paper.objects.filter(number=data["number"]).first()
    if kept is not None:
        return kept
    content = render_paper(TEMPLATE, data)
    with transaction.atomic():
        row, _ = Paper.objects.get_or_create(
            number=data["number"],
            defaults={
                "kind": kind,
                "strike": strike,
                "content": content,
                "sha256": hashlib.sha256(content).hexdigest(),
            },
        )
    return row


def fund_table(*, strike: NavStrike, kind: str, actor: Actor, form: str) -> tuple[str, bytes]:
    """Number and content of a paper's rows as ``csv`` (one table under the other) or ``xlsx`` (a
    sheet each); each export is noted.  Raises as :func:`fund_paper`."""
    data = describe_paper(strike=strike, kind=kind, actor=actor)
    if form not in _TABLES:
        raise InvalidInput("a table is sent as csv or xlsx", code="unknown_format")
    record_audit(
        actor=actor,
        action="paper.exported",
        subject=("nav_strike", strike.pk),
        body={"number": data["number"], "format": form},
    )
    tables = {
        section["name"]: [
            section["heads"],
            *([_plain(cell) for cell in row] for row in section["rows"]),
        ]
        for section in data["sections"]
    }
    return data["number"], _TABLES[form](tables)


def _write_csv(tables: Mapping[str, list[list[str]]]) -> bytes:
    sheet = io.StringIO()
    writer = csv.writer(sheet, lineterminator="\n")
    for name, rows in tables.items():
        if len(tables) > 1:
            writer.writerow([name])
        writer.writerows([[safe_cell(cell) for cell in row] for row in rows])
    return sheet.getvalue().encode()


_TABLES: Mapping[str, Callable[[Mapping[str, list[list[str]]]], bytes]] = {
    "csv": _write_csv,
    "xlsx": write_workbook,
}


def describe_paper(*, strike: NavStrike, kind: str, actor: Actor) -> dict[str, Any]:
    """Everything that a paper of the fund prints, as text."""
    actor.require(Capability.PAPERS_VIEW)
    if kind not in _SECTIONS:
        raise InvalidInput("no such paper of the fund", code="unknown_paper")
    if strike.state != NavStrike.State.DEALT:
        raise Conflict("a paper is made of a NAV that was dealt", code="not_dealt")
    fund = strike.fund
    return {
        "title": TITLES[kind],
        "number": f"{PREFIXES[kind]}-{fund.code}-{strike.valuation_at:%Y%m%d}-v{strike.version}",
        "fund": fund.name,
        "is_simulated": fund.is_simulated,
        "facts": [
            ["NAV of", f"{strike.valuation_at:%-d %b %Y, %H:%M} UTC, version {strike.version}"],
            ["Net asset value", f"{money(strike.nav)} {fund.currency}"],
            ["Result", strike.result_hash],
            ["Inputs", strike.input_hash],
        ],
        "sections": _SECTIONS[kind](strike),
    }


def _register(strike: NavStrike) -> list[Section]:
    rows = (
        LotNav.objects.filter(strike=strike, units__gt=0)
        .select_related("lot__holding__investor", "lot__share_class")
        .order_by("lot__share_class__code", "lot__holding__investor__number", "lot__number")
    )
    lots, holders = [], dict[tuple[str, str], list[Any]]()
    for row in rows:
        lot, who, code = row.lot, row.lot.holding.investor, row.lot.share_class.code
        lots.append(
            [
                code, who.number, who.legal_name, who.kind, who.country, str(lot.number),
                f"{lot.dealing_day:%-d %b %Y}", money(row.units, 6), money(lot.entry_price, 6),
                money(row.high_water_mark, 6), money(row.net_value),
                f"{lot.lockup_until:%-d %b %Y}" if lot.lockup_until else "-",
            ]
        )  # fmt: skip
        held = holders.setdefault((code, who.number), [who.legal_name, 0, ZERO, ZERO])
        held[1], held[2], held[3] = held[1] + 1, held[2] + row.units, held[3] + row.net_value
    totals = [
        [code, number, name, str(count), money(units, 6), money(value), _share(value, strike.nav)]
        for (code, number), (name, count, units, value) in holders.items()
    ]
    units = sum((item[2] for item in holders.values()), ZERO)
    value = sum((item[3] for item in holders.values()), ZERO)
    totals.append(["Sum", "", "", str(len(lots)), money(units, 6), money(value), ""])
    return [
        _section(
            "Holders",
            ["Class", "Account", "Name", "Lots", "Units", "Value", "Of the fund"],
            totals,
            numbers=4,
        ),
        _section(
            "Lots",
            [
                "Class", "Account", "Name", "Kind", "Country", "Lot", "Entry", "Units",
                "Entry price", "High-water mark", "Value", "Lock-up",
            ],
            lots,
            numbers=5,
        ),
    ]  # fmt: skip


def _share(value: Decimal, nav: Decimal) -> str:
    return f"{value / nav * 100:.2f} %" if nav else "-"


def _trial_balance(strike: NavStrike) -> list[Section]:
    """Turnovers and balances of every account over entries effective before the valuation."""
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT p.account_id, p.currency, sum(p.amount)
               FROM investors_posting p JOIN investors_entry e ON e.id = p.entry_id
               WHERE e.fund_id = %s AND e.effective_at < %s
               GROUP BY p.account_id, p.currency, p.amount > 0""",
            [strike.fund_id, strike.valuation_at],
        )
        legs = [
            Leg(account=account, currency=currency, amount=amount)
            for account, currency, amount in cursor.fetchall()
        ]
    found = build_trial_balance(legs)
    sections = []
    for currency in dict.fromkeys(row.currency for row in found):
        rows = [row for row in found if row.currency == currency]
        places = 6 if currency.startswith("U:") else 2
        lines = [
            [
                row.account, row.name, row.kind, money(row.debit, places),
                money(row.credit, places), signed(row.balance, places),
            ]
            for row in rows
        ]  # fmt: skip
        lines.append(
            [
                "Sum", "", "", money(sum((row.debit for row in rows), ZERO), places),
                money(sum((row.credit for row in rows), ZERO), places),
                signed(sum((row.balance for row in rows), ZERO), places),
            ]
        )  # fmt: skip
        heads = ["Account", "Name", "Kind", "Debit", "Credit", "Balance"]
        sections.append(_section(currency, heads, lines, numbers=3))
    return sections


def _nav_pack(strike: NavStrike) -> list[Section]:
    signs = [["Prepared", str(strike.prepared_by), f"{strike.prepared_at:%-d %b %Y, %H:%M} UTC"]]
    if strike.approved_by is not None and strike.approved_at is not None:
        at = f"{strike.approved_at:%-d %b %Y, %H:%M} UTC"
        signs.append(["Approved and dealt", str(strike.approved_by), at])
    return [
        _section(
            "Waterfall",
            ["Line", "Amount"],
            [[name, signed(Decimal(amount))] for name, amount in strike.waterfall],
            numbers=1,
        ),
        _classes_section(strike),
        _section(
            "Positions and prices",
            ["Instrument", "Sleeve", "Quantity", "Price", "Unrealised"],
            [
                [
                    item["instrument"], item["strategy"], str(item["quantity"]),
                    str(item["price"]), signed(Decimal(item["unrealised"])),
                ]
                for item in strike.inputs.get("positions", [])
            ],
            numbers=3,
        ),
        _section(
            "Balances before this NAV's fees and dealing",
            ["Account", "Amount"],
            [[code, signed(Decimal(amount))] for code, amount in strike.balances],
            numbers=1,
        ),
        _section(
            "Checks",
            ["Check", "Passed", "Found"],
            [
                [line["name"], "yes" if line["passed"] else "no", line["words"]]
                for line in strike.checklist
            ],
        ),
        _dealt_section(strike),
        _section("Signed", ["Step", "By", "At"], signs),
    ]  # fmt: skip


def _classes_section(strike: NavStrike) -> Section:
    """Units of each class before and after what was dealt, with its price and fees."""
    classes = strike.classes.select_related("share_class").order_by("share_class__code")
    moved = dict(
        UnitEntry.objects.filter(strike=strike)
        .values_list("lot__share_class__code")
        .annotate(total=Sum("units"))
    )
    return _section(
        "Classes and unit roll-forward",
        [
            "Class", "Units before", "Dealt", "Units after", "Price", "GAV", "Management fee",
            "Performance fee accrued", "NAV",
        ],
        [
            [
                row.share_class.code, money(row.units, 6),
                signed(moved.get(row.share_class.code) or ZERO, 6),
                money(row.units + (moved.get(row.share_class.code) or ZERO), 6),
                money(row.issue_price, 6), money(row.gav), money(row.management_fee),
                money(row.performance_fee_accrued), money(row.nav),
            ]
            for row in classes
        ],
        numbers=8,
    )  # fmt: skip


def _dealt_section(strike: NavStrike) -> Section:
    """Units of every order dealt at this NAV, at the price of its class."""
    classes = strike.classes.select_related("share_class")
    prices = {row.share_class.code: row.issue_price for row in classes}
    deals = (
        UnitEntry.objects.filter(strike=strike, order__isnull=False)
        .values_list("order", "kind", "lot__share_class__code", "lot__holding__investor__number")
        .annotate(total=Sum("units"))
        .order_by("lot__share_class__code", "lot__holding__investor__number", "order")
    )
    return _section(
        "Dealt at this NAV",
        ["Class", "Account", "Kind", "Units", "Units times price"],
        [
            [
                code, number, UnitEntry.Kind(kind).label, signed(total, 6),
                signed(total * prices.get(code, ZERO)),
            ]
            for _, kind, code, number, total in deals
        ],
        numbers=2,
    )  # fmt: skip


def _capital(strike: NavStrike) -> list[Section]:
    return [
        _section("Capital by holder", HEADS, capital_rows(strike), numbers=len(NAMES)),
        _section(
            "Movements of units",
            [
                "Effective", "Class", "Name", "Account", "Order", "Kind", "Lot", "Units", "Price",
                "Units times price",
            ],
            activity_rows(strike),
            numbers=3,
        ),
    ]  # fmt: skip


def _section(name: str, heads: list[str], rows: list[list[str]], *, numbers: int = 0) -> Section:
    """A table; its last ``numbers`` columns are figures."""
    return {"name": name, "heads": heads, "rows": rows, "numbers": numbers}


def _plain(cell: str) -> str:
    """A printed figure as a number for a spreadsheet."""
    bare = cell.replace(",", "").replace("\u2212", "-").lstrip("+")
    return bare if bare.lstrip("-").replace(".", "", 1).isdigit() else cell


_SECTIONS: Mapping[str, Callable[[NavStrike], list[Section]]] = {
    "register": _register,
    "trial_balance": _trial_balance,
    "nav_pack": _nav_pack,
    "capital": _capital,
}
