"""Reads of the fund's books for pages; nothing here writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from django.db.models import Sum

from investors.domain.dealing import Switch
from investors.domain.exact import round_to_total
from investors.domain.fee_methods import FeeLot, FeeProof, follow_class, prove_fees
from investors.domain.ledger import ACCOUNTS
from investors.domain.ledger.chart import PERFORMANCE_ACCRUAL
from investors.domain.performance import ClassPoint, build_net_record
from investors.models import ClassNav, DealingOrder, Fund, LotNav, NavStrike
from investors.services.dealing import OPEN_STATES
from investors.services.ledger import owns_and_owes
from investors.services.nav_calendar import ends_period
from investors.services.nav_dealing import preview_dealing
from investors.services.nav_orders import ASIDE_WORDS
from investors.services.policies import build_terms, policy_in_force
from magnetfund.kernel.money import quantize

ZERO, CENT = Decimal(0), Decimal("0.01")


@dataclass(frozen=True, slots=True, kw_only=True)
class BalanceLine:
    """One account in cents; what is owed is negative."""

    code: str
    name: str
    amount: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class BalanceSheet:
    """What a strike was computed from: ``net`` is its net assets before fees, to the cent.

    ``accrued`` is the performance fee that the last NAV left standing; every NAV computes it anew,
    so it is shown and not deducted.
    """

    assets: tuple[BalanceLine, ...]
    liabilities: tuple[BalanceLine, ...]
    assets_total: Decimal
    liabilities_total: Decimal
    net: Decimal
    accrued: Decimal


def read_balance_sheet(strike: NavStrike, fund: Fund) -> BalanceSheet:
    """Assets and liabilities just before the strike's fees and dealing, as its preparer saw them.

    Lines are rounded together, so that they add to the net assets of the strike.  A strike of an
    older version of the platform kept none; its are summed from the ledger.
    """
    kept = [(code, Decimal(amount)) for code, amount in strike.balances]
    found = dict(kept or owns_and_owes(fund, before=strike.valuation_at))
    accrued = -found.pop(PERFORMANCE_ACCRUAL, ZERO)
    amounts = round_to_total(found.values(), quantum=CENT)
    lines = [
        BalanceLine(code=code, name=ACCOUNTS[code].name, amount=amount)
        for code, amount in zip(found, amounts, strict=True)
    ]
    assets = tuple(line for line in lines if ACCOUNTS[line.code].kind == "asset")
    liabilities = tuple(line for line in lines if ACCOUNTS[line.code].kind == "liability")
    return BalanceSheet(
        assets=assets,
        liabilities=liabilities,
        assets_total=sum((line.amount for line in assets), ZERO),
        liabilities_total=sum((line.amount for line in liabilities), ZERO),
        net=sum(amounts, ZERO),
        accrued=quantize(accrued, CENT),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class NetRecord:
    """The record of one class net of every fee, from its first price to its newest NAV."""

    code: str
    since: date
    until: date
    total_return: Decimal
    strikes: int


def read_net_records(book: str) -> list[NetRecord]:
    """The net record of each class of a book's fund that has been priced twice, by code."""
    rows = (
        ClassNav.objects.filter(strike__fund__book=book, strike__state=NavStrike.State.DEALT)
        .select_related("strike", "share_class")
        .defer("strike__inputs", "strike__checklist", "strike__second_engine", "strike__balances")
        .order_by("share_class__code", "strike__valuation_at")
    )
    by_class: dict[str, list[ClassNav]] = {}
    for row in rows:
        by_class.setdefault(row.share_class.code, []).append(row)
    found = [_net_record(code, kept) for code, kept in by_class.items()]
    return [record for record in found if record is not None]


def _net_record(code: str, rows: Sequence[ClassNav]) -> NetRecord | None:
    rows = since_first_unit(rows)
    if len(rows) < 2:
        return None
    record = build_net_record(build_points(rows))
    return NetRecord(
        code=code,
        since=record[0].day,
        until=record[-1].day,
        total_return=record[-1].value / record[0].value - 1,
        strikes=len(record),
    )


def since_first_unit(rows: Sequence[ClassNav]) -> list[ClassNav]:
    """The newest unbroken run of a class: without a unit it ends, and begins with the next one at
    the launch price."""
    empty = [number for number, row in enumerate(rows) if row.price is None]
    return list(rows[empty[-1] :] if empty else rows)


def build_points(rows: Sequence[ClassNav]) -> list[ClassPoint]:
    """The strikes of one class in their order as what its units went through."""
    versions = list(rows[0].share_class.policies.order_by("-version"))
    paid = dict(
        rows[0]
        .share_class.distributions.filter(is_approved=True)
        .values_list("strike_id")
        .annotate(each=Sum("lowers_marks_by"))
    )
    points: list[ClassPoint] = []
    for before, row in zip((None, *rows), rows, strict=False):
        at = row.strike.valuation_at
        version = next((item for item in versions if item.effective_from <= at), versions[-1])
        terms = build_terms(version.terms)
        points.append(
            ClassPoint(
                day=at.date(),
                price=row.issue_price,
                terms=terms,
                crystallises=ends_period(terms, at),
                distributed=paid.get(before.strike_id, ZERO) if before else ZERO,
            )
        )
    return points


@dataclass(frozen=True, slots=True, kw_only=True)
class DealtLine:
    """One order as the approval would deal it: units, money, and what is left for later."""

    code: str
    kind: str
    investor: str
    number: str
    units: Decimal
    money: Decimal
    deferred: Decimal
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DealingPreview:
    """Orders, units and cash that approving a strike deals; cash out is negative."""

    lines: tuple[DealtLine, ...]
    money_in: Decimal
    money_out: Decimal


def read_dealing(strike: NavStrike) -> DealingPreview:
    """What approving a prepared strike would deal, by the plan that the approval carries out."""
    plans = preview_dealing(strike)
    orders = {
        str(order.pk): order
        for order in DealingOrder.objects.filter(
            share_class__fund=strike.fund_id, state__in=OPEN_STATES
        ).select_related("investor", "into_class")
    }
    lines = []
    for row, plan in plans:
        code = row.share_class.code
        for out in plan.redemptions:
            lines.append(
                DealtLine(
                    code=code,
                    kind="Switch out" if out.order in plan.switches else "Redemption",
                    investor=orders[out.order].investor.legal_name,
                    number=orders[out.order].investor.number,
                    units=-out.units,
                    money=-out.payout,
                    deferred=out.deferred,
                    reason="deferred by the gate" if out.deferred else "",
                )
            )
            if out.order in plan.switches:
                lines.append(_bought_by_switch(orders[out.order], plan.switches[out.order]))
        for bought in plan.subscriptions:
            order = orders[bought.order]
            lines.append(
                DealtLine(
                    code=code,
                    kind="Subscription",
                    investor=order.investor.legal_name,
                    number=order.investor.number,
                    units=bought.units,
                    money=order.amount or ZERO,
                    deferred=ZERO,
                    reason="",
                )
            )
        for pk, why in plan.aside.items():
            lines.append(
                DealtLine(
                    code=code,
                    kind=orders[pk].get_kind_display(),
                    investor=orders[pk].investor.legal_name,
                    number=orders[pk].investor.number,
                    units=ZERO,
                    money=ZERO,
                    deferred=ZERO,
                    reason=f"set aside: {ASIDE_WORDS[why.value]}",
                )
            )
    cash = [line for line in lines if not line.kind.startswith("Switch")]
    return DealingPreview(
        lines=tuple(lines),
        money_in=sum((line.money for line in cash if line.money > 0), ZERO),
        money_out=sum((line.money for line in cash if line.money < 0), ZERO),
    )


def _bought_by_switch(order: DealingOrder, switch: Switch) -> DealtLine:
    assert order.into_class is not None
    return DealtLine(
        code=order.into_class.code,
        kind="Switch in",
        investor=order.investor.legal_name,
        number=order.investor.number,
        units=switch.subscription.units,
        money=switch.clearing,
        deferred=ZERO,
        reason="",
    )


#: The dealt strikes of each class by its code, oldest first.
ClassRows = Mapping[str, Sequence[ClassNav]]


def read_class_rows(fund: Fund) -> ClassRows:
    """What every dealt strike made of each class; :func:`read_fee_proofs` of many asks once."""
    found: dict[str, list[ClassNav]] = {}
    for row in (
        ClassNav.objects.filter(strike__fund=fund, strike__state=NavStrike.State.DEALT)
        .select_related("strike", "share_class")
        .defer("strike__inputs", "strike__checklist", "strike__second_engine", "strike__balances")
        .order_by("strike__valuation_at")
    ):
        found.setdefault(row.share_class.code, []).append(row)
    return found


def read_fee_proofs(strike: NavStrike, *, dealt: ClassRows | None = None) -> list[FeeProof]:
    """The performance fee of a strike, prepared or dealt, by lots, by series and by equalisation.

    One proof for each class with units whose terms charge such a fee, by code, from what the strike
    stored of its lots and what the dealt ones before it made of the class.
    """
    proofs = []
    versions = {item["code"]: item for item in strike.inputs["classes"]}
    for row in strike.classes.select_related("share_class", "strike").order_by("share_class__code"):
        given = versions[row.share_class.code]
        policies = row.share_class.policies.order_by("-version")
        policy = policies.filter(version=given["terms"]).first() if given.get("terms") else None
        if policy is None:  # a strike from before it named its terms
            policy = policy_in_force(row.share_class, at=strike.valuation_at)
        terms = build_terms(policy.terms)
        if row.price is None or not terms.performance_rate:
            continue
        if dealt is None:
            dealt = read_class_rows(strike.fund)
        at = strike.valuation_at
        past = [
            item for item in dealt.get(row.share_class.code, ()) if item.strike.valuation_at < at
        ]
        proofs.append(
            prove_fees(
                code=row.share_class.code,
                terms=terms,
                price=row.price,
                day=at.date(),
                charged=row.performance_fee_accrued,
                lots=_fee_lots(row, given),
                unit=follow_class(build_points(since_first_unit([*past, row]))),
            )
        )
    return proofs


def _fee_lots(row: ClassNav, given: Mapping[str, Any]) -> list[FeeLot]:
    """Lots as the strike charged them, with the clocks that it froze, by number."""
    clocks = {number: date.fromisoformat(clock) for number, _, _, clock in given["lots"]}
    stored = LotNav.objects.filter(strike=row.strike_id, lot__share_class=row.share_class)
    return [
        FeeLot(number=number, opened=day, units=units, mark=mark, clock=clocks[number],
               fee_per_unit=fee)
        for number, day, units, mark, fee in stored.order_by("lot__number").values_list(
            "lot__number", "lot__dealing_day", "units", "high_water_mark",
            "performance_fee_per_unit",
        )
    ]  # fmt: skip
