"""The note of a transfer, one for the giver and one for the receiver, made on first asking."""

from __future__ import annotations

import hashlib
from decimal import Decimal
from typing import Any

from django.db import transaction

from investors.models import DealingProposal, Investor, NavStrike, Paper, UnitEntry
from investors.services.lot_values import net_values
from investors.services.nav_inputs import last_dealt
from investors.services.papers import render_paper
from investors.services.pocket_transfers import read_transferred
from magnetfund.kernel.errors import Conflict, NotFound


def transfer_note(*, proposal: DealingProposal, investor: Investor) -> Paper:
    """The note of an approved transfer for one of its two holders.

    Raises :class:`NotFound` for anybody else, and :class:`Conflict`: ``not_dealt``, and
    ``missing_glyph`` where a name has letters that the paper's font lacks.
    """
    if investor.pk not in (proposal.investor_id, proposal.receiver_id):
        raise NotFound("this holder has no part in the transfer")
    is_done = proposal.kind == DealingProposal.Kind.TRANSFER and proposal.is_approved
    if not is_done or proposal.decided_at is None:
        raise Conflict("no units have moved by this proposal", code="not_dealt")
    number = f"TN-{proposal.reference}-{investor.number}"
    kept = Paper.objects.filter(number=number).first()
    if kept is not None:
        return kept
    strike = last_dealt(proposal.share_class.fund, before=proposal.decided_at)
    assert strike is not None  # units come by a NAV alone
    data = describe_transfer(proposal, strike, number)
    content = render_paper("contract_note.typ", data)
    with transaction.atomic():
        row, _ = Paper.objects.get_or_create(
            number=number,
            defaults={
                "kind": Paper.Kind.CONTRACT_NOTE,
                "strike": strike,
                "investor": investor,
                "data": data,
                "content": content,
                "sha256": hashlib.sha256(content).hexdigest(),
            },
        )
    return row


def describe_transfer(proposal: DealingProposal, strike: NavStrike, number: str) -> dict[str, Any]:
    """Everything that the note prints, as text."""
    assert proposal.receiver is not None
    assert proposal.decided_at is not None
    fund, giver, receiver = proposal.share_class.fund, proposal.investor, proposal.receiver
    moves = list(
        UnitEntry.objects.filter(
            entry__source_ref=f"units_transferred:{proposal.pk}",
            kind=UnitEntry.Kind.TRANSFER_IN,
        )
        .select_related("lot")
        .order_by("lot__number")
    )
    net = net_values([move.lot_id for move in moves], strike)
    units = sum((move.units for move in moves), Decimal(0))
    return {
        "title": "Transfer note",
        "number": number,
        "fund": fund.name,
        "summary": f"{units:,.6f} units of class {proposal.share_class.code} moved from "
        f"{giver.legal_name} to {receiver.legal_name}.",
        "parts": [
            {
                "name": "Transfer",
                "rows": [
                    ["From", f"{giver.legal_name}, {giver.number}"],
                    ["To", f"{receiver.legal_name}, {receiver.number}"],
                    ["Transfer", proposal.reference],
                    ["Effective", f"{proposal.decided_at:%-d %b %Y, %H:%M} UTC"],
                    ["Units", f"{units:,.6f}"],
                    ["Value at the last NAV, after fees", f"{proposal.value:,.2f} {fund.currency}"],
                    ["NAV", f"{strike.valuation_at:%-d %b %Y}, version {strike.version}"],
                ],
            },
            *_pocket_part(proposal, fund.currency),
        ],
        "lots": [
            [
                str(move.lot.number),
                f"{move.lot.dealing_day:%-d %b %Y}",
                f"{move.units:,.6f}",
                f"{move.high_water_mark:,.6f}",
                f"{net[move.lot_id]:,.6f}",
                f"{move.units:,.6f}",
            ]
            for move in moves
        ],
        "remarks": "The lots keep their dates, high-water marks, hurdle dates and lock-ups. No "
        "price was dealt and no fee was taken. Keep this note with your records.",
    }


def _pocket_part(proposal: DealingProposal, currency: str) -> list[dict[str, Any]]:
    """What went along of side pockets; no part where nothing did."""
    moved = read_transferred(f"units_transferred:{proposal.pk}")
    rows = [
        [
            f"{pocket.name}, {pocket.asset}",
            f"{units:,.6f} units, carried at {value:,.2f} {currency}",
        ]
        for pocket, units, value in moved
    ]
    return [{"name": "Side pockets", "rows": rows}] if rows else []
