"""Switches on a dealing day: units of one class leave and buy units of another, at one NAV.

The proceeds pass through redemptions payable inside one entry, so that no cash moves.  The
performance fee of the units that leave is final; the new lot has the price of the day as its mark,
and its hurdle and lock-up count from that day.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

from investors.domain.dealing import Switch
from investors.domain.dealing.desk import ClassPlan
from investors.domain.fees import ClassTerms
from investors.domain.ledger import JointLine, Tags
from investors.domain.strike import LotInput, RedemptionResult
from investors.models import ClassNav, UnitEntry
from investors.services.ledger import NewEntry, post_entries
from investors.services.nav_dealing_book import DealingBook
from investors.services.nav_lots import (
    entry_of,
    lines_of_cuts,
    open_lots,
    record_cuts,
    record_issues,
)
from magnetfund.core.actors import Actor

#: A class left, the halves of its switches into another class.
_Halves = list[tuple[ClassNav, RedemptionResult, Switch]]


def deal_switches(
    book: DealingBook,
    plans: Sequence[ClassPlan],
    lots: Mapping[str, LotInput],
    actor: Actor,
) -> None:
    """Both halves of every switch of the day, one entry for each class that is switched into.

    Comes after the redemptions and before the crystallisation of what stays: the movement that
    takes units from a lot restates its mark.  ``lots`` are those of every class.
    """
    into: dict[int, _Halves] = {}
    for (row, _), plan in zip(book.rows, plans, strict=True):
        for result in plan.redemptions:
            if result.order in plan.switches:
                target = book.orders[result.order].into_class_id
                assert target is not None
                into.setdefault(target, []).append((row, result, plan.switches[result.order]))
    for row, terms in book.rows:
        if row.share_class_id in into:
            _switch_into(book, row, terms, into[row.share_class_id], lots, actor)


def _switch_into(
    book: DealingBook,
    row: ClassNav,
    terms: ClassTerms,
    halves: _Halves,
    lots: Mapping[str, LotInput],
    actor: Actor,
) -> None:
    code = row.share_class.code
    dealt = [(book.orders[result.order], switch.subscription) for _, result, switch in halves]
    opened = open_lots(book, row, terms, dealt)
    lines: list[JointLine] = []
    for (left, result, _), (_, bought), lot in zip(halves, dealt, opened, strict=True):
        source = left.share_class.code
        lines += lines_of_cuts(source, result, units="units_out")
        lines.append(
            JointLine(
                amounts={
                    "consideration": bought.consideration,
                    "residue": bought.residue,
                    "entry_fee": bought.entry_fee,
                    "units_in": bought.units,
                },
                tags=Tags(share_class=source),
                other=Tags(share_class=code, lot=lot.pk),
            )
        )
        if result.exit_fee:
            tags = Tags(share_class=source, lot=UUID(result.cuts[0].lot))
            lines.append(JointLine(amounts={"exit_fee": result.exit_fee}, tags=tags))
    entry = post_entries(
        book.strike.fund, [NewEntry.of(entry_of(book, "switch_dealt", code, lines))], actor=actor
    )[0]
    for left in {item.pk: item for item, _, _ in halves}.values():
        results = [result for item, result, _ in halves if item.pk == left.pk]
        record_cuts(book, left, results, lots, kind=UnitEntry.Kind.SWITCH_OUT, entry=entry)
    record_issues(book, row, dealt, opened, kind=UnitEntry.Kind.SWITCH_IN, entry=entry)
