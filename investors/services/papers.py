"""Contract notes, and how every paper is set: made once, kept as bytes, each download noted.

Fonts are kept with the templates, and no clock enters a document: the same books give the same
bytes.
"""

from __future__ import annotations

import hashlib
import json
import threading
from decimal import Decimal
from pathlib import Path
from typing import Any

import typst
from django.db import transaction
from django.db.models import Sum

from investors.domain.ledger.chart import PERFORMANCE_PAYABLE
from investors.models import DealingOrder, NavStrike, Paper, Posting, UnitEntry
from investors.services.compensation_note import describe_compensation
from investors.services.distribution_note import describe_distribution
from investors.services.nav_inputs import last_dealt
from investors.services.order_figures import MoneyLine, account_for, read_lots, read_moves
from investors.services.paper_fonts import find_missing, load_fonts
from magnetfund.core.actors import Actor
from magnetfund.core.services.audit import record_audit
from magnetfund.kernel.errors import Conflict

TEMPLATES = Path(__file__).resolve().parent.parent / "papers"
ZERO = Decimal(0)
_here = threading.local()
#: Kinds whose units do not move by the order: their notes are of their own.
_DESCRIBED = {
    DealingOrder.Kind.DISTRIBUTION: describe_distribution,
    DealingOrder.Kind.COMPENSATION: describe_compensation,
}


def list_notes(order: DealingOrder) -> list[NavStrike]:
    """The strikes that dealt a part of an order, oldest first: each has a contract note.

    A distribution in cash has one, of its record date, a compensation one, of the NAV before it.
    """
    if order.kind == DealingOrder.Kind.DISTRIBUTION:
        return [order.strike] if order.strike else []
    if order.kind == DealingOrder.Kind.COMPENSATION:
        before = last_dealt(order.share_class.fund, before=order.received_at)
        return [before] if before else []
    return list(
        NavStrike.objects.filter(
            pk__in=UnitEntry.objects.filter(order=order).values("strike"), state="dealt"
        )
        .defer("inputs")
        .order_by("valuation_at")
    )


def contract_note(*, order: DealingOrder, strike: NavStrike | None = None) -> Paper:
    """The contract note of what one strike dealt of an order (the newest one without ``strike``).

    Made on first asking and kept.  Raises :class:`Conflict`: ``not_dealt``, and ``missing_glyph``
    where a name has letters that the paper's font lacks.
    """
    dealt = list_notes(order)
    found = strike or (dealt[-1] if dealt else None)
    if found is None or found not in dealt:
        raise Conflict("no part of this order has been dealt yet", code="not_dealt")
    kept = Paper.objects.filter(kind=Paper.Kind.CONTRACT_NOTE, order=order, strike=found).first()
    if kept is not None:
        return kept
    number = f"CN-{order.reference}-{found.valuation_at:%Y%m%d}-v{found.version}"
    describe = _DESCRIBED.get(DealingOrder.Kind(order.kind), describe_note)
    content = render_paper("contract_note.typ", describe(order, found, number))
    with transaction.atomic():
        row, _ = Paper.objects.get_or_create(
            kind=Paper.Kind.CONTRACT_NOTE,
            order=order,
            strike=found,
            defaults={
                "number": number,
                "investor_id": order.investor_id,
                "content": content,
                "sha256": hashlib.sha256(content).hexdigest(),
            },
        )
    return row


def note_download(paper: Paper, *, actor: Actor) -> bytes:
    """The bytes of a paper for somebody who may have it; the download is noted."""
    record_audit(
        actor=actor,
        action="paper.downloaded",
        subject=("paper", paper.pk),
        body={"number": paper.number, "sha256": paper.sha256},
    )
    return bytes(paper.content)


def note_reading(paper: Paper, *, actor: Actor) -> None:
    """Note that somebody read a paper as a page who is not its holder."""
    record_audit(
        actor=actor,
        action="paper.read",
        subject=("paper", paper.pk),
        body={"number": paper.number, "sha256": paper.sha256},
    )


def render_paper(template: str, data: dict[str, Any]) -> bytes:
    """A PDF of a template; raises :class:`Conflict` (``missing_glyph``)."""
    text = json.dumps(data, sort_keys=True, ensure_ascii=False)
    if missing := find_missing(text):
        raise Conflict(
            f"the paper's font has no letter {missing!r}; write the name in Latin letters",
            code="missing_glyph",
        )
    # The figures come as text of the document and not as an input of the compiler: a changed input
    # makes it forget all that it has set, and most of a paper reads alike for everybody.
    given = json.dumps(text, ensure_ascii=False)
    source = f'#import "/{template}": paper\n#paper(json(bytes({given})))'
    made = _compiler().compile(input=source.encode())
    assert isinstance(made, bytes)
    return made


def _compiler() -> typst.Compiler:
    """A compiler of its own for each thread: it keeps what it has set; the fonts are shared."""
    if "compiler" not in _here.__dict__:
        _here.compiler = typst.Compiler(root=str(TEMPLATES), font_paths=load_fonts())
    found: typst.Compiler = _here.compiler
    return found


def describe_note(order: DealingOrder, strike: NavStrike, number: str) -> dict[str, Any]:
    """Everything that the note prints, as text."""
    moves = read_moves(order, strike=strike)
    fund, day = order.share_class.fund, strike.dealing_day
    is_in = order.buys_units
    units = abs(sum((move.units for move in moves if is_in or move.units < 0), ZERO))
    is_whole = len(list_notes(order)) == 1
    kind = order.get_kind_display()
    if order.is_switch:
        money = _switch_rows(order, moves)
    else:
        money = _money_rows(order, units, moves[0].price, is_whole=is_whole)
    into = f" into class {order.into_class.code}" if order.into_class else ""
    return {
        "title": "Contract note",
        "number": number,
        "fund": fund.name,
        "summary": f"{kind} of {units:,.6f} units of class {order.share_class.code}{into} for "
        f"{order.investor.legal_name}.",
        "parts": [
            {
                "name": "Order",
                "rows": [
                    ["Holder", f"{order.investor.legal_name}, {order.investor.number}"],
                    ["Order", f"{order.reference}, {kind.lower()}"],
                    *([["Placed by", order.under_power.acts_as]] if order.under_power else []),
                    ["Received", f"{order.received_at:%-d %b %Y, %H:%M} UTC"],
                    ["Dealing day", f"{day.day:%-d %b %Y}" if day else "-"],
                    ["Cut-off", f"{day.cutoff_at:%-d %b %Y, %H:%M} UTC" if day else "-"],
                    ["Valuation point", f"{strike.valuation_at:%-d %b %Y, %H:%M} UTC"],
                    ["NAV", f"version {strike.version}, {strike.result_hash[:16]}"],
                    ["Settlement day", f"{day.settlement_day:%-d %b %Y}" if day else "-"],
                ],
            },
            {"name": "Deal", "rows": money},
        ],
        "lots": _lots(moves),
        "remarks": "A redeemed unit pays its dealing price less the performance fee accrued on its "
        "lot. Units that a redemption gate defers are dealt at the price of a later day and have a "
        "note of their own. Keep this note with your records.",
    }


def _money_rows(
    order: DealingOrder, units: Decimal, price: Decimal, *, is_whole: bool
) -> list[list[str]]:
    """Price, units and money of a subscription or redemption."""
    currency = order.share_class.fund.currency
    is_in = order.buys_units
    money = [["Dealing price per unit", f"{price:,.6f} {currency}"]]
    money.append(["Units issued" if is_in else "Units redeemed", f"{units:,.6f}"])
    figures = account_for(order)
    assert figures is not None  # a part was dealt: this note is about it
    # Of an order that a gate deals in parts the account is that of all parts.
    so_far = "" if is_whole else ", all parts so far"
    money += [[f"{line.label}{so_far}", _say_line(line, currency)] for line in figures.dealt]
    if order.held_amount:
        money.append(["Held back until the audit", f"{order.held_amount:,.2f} {currency}"])
    return money


def _say_line(line: MoneyLine, currency: str) -> str:
    """The amount of a line, or why it is nothing."""
    return line.note if line.note and not line.amount else f"{line.amount:,.2f} {currency}"


def _switch_rows(order: DealingOrder, moves: list[UnitEntry]) -> list[list[str]]:
    """Both halves of what one strike switched.  Fees of several parts are shown as of all."""
    assert order.into_class is not None
    currency = order.share_class.fund.currency
    here, there = order.share_class.code, order.into_class.code
    out = [move for move in moves if move.units < 0]
    (bought,) = (move for move in moves if move.units > 0)
    fee = Posting.objects.filter(
        entry=bought.entry_id, account=PERFORMANCE_PAYABLE, lot__in=[move.lot_id for move in out]
    ).aggregate(total=Sum("amount"))["total"]
    units = -sum((move.units for move in out), ZERO)
    rows = [
        [f"Units redeemed, class {here}", f"{units:,.6f}"],
        [f"Dealing price per unit, class {here}", f"{out[0].price:,.6f} {currency}"],
        ["Performance fee, made final", f"{-(fee or ZERO):,.2f} {currency}"],
    ]
    if len(list_notes(order)) == 1:
        rows.append(["Exit and early redemption fee", f"{order.fee_amount:,.2f} {currency}"])
        rows.append([f"Moved to class {there}", f"{order.dealt_amount:,.2f} {currency}"])
        rows.append([f"Entry fee, class {there}", f"{order.into_fee:,.2f} {currency}"])
    else:
        total = f"{order.dealt_amount:,.2f} {currency}"
        rows.append([f"Moved to class {there} by all parts so far", total])
    rows.append([f"Units issued, class {there}", f"{bought.units:,.6f}"])
    rows.append([f"Dealing price per unit, class {there}", f"{bought.price:,.6f} {currency}"])
    rows.append(["High-water mark of the new units", f"{bought.high_water_mark:,.6f} {currency}"])
    if bought.lot.lockup_until:
        rows.append(["New units are locked up until", f"{bought.lot.lockup_until:%-d %b %Y}"])
    return rows


def _lots(moves: list[UnitEntry]) -> list[list[str]]:
    return [
        [
            str(lot.number),
            f"{lot.bought:%-d %b %Y}",
            f"{lot.units:,.6f}",
            f"{lot.mark:,.6f}",
            f"{lot.net:,.6f}",
            f"{lot.left:,.6f}",
        ]
        for lot in read_lots(moves)
    ]
