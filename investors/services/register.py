"""The unit register at an instant: who holds what of which class, by the lots behind it.

Units are the sum of their movements until then.  A lot is worth what the newest dealt NAV gave it
after its performance fee, a lot issued or crystallised there the dealing price, and one that was
transferred since what its origin was worth.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import connection

from investors.models import Fund, NavStrike
from investors.models.holders import KYC_CHOICES
from investors.services.investor_search import search_investors
from investors.services.lot_values import SOURCE
from investors.services.nav_inputs import class_after
from magnetfund.core.actors import Actor
from magnetfund.core.roles import Capability
from magnetfund.core.services.audit import record_audit
from magnetfund.kernel.money import quantize

ZERO, CENT = Decimal(0), Decimal("0.01")
_KYC_WORDS = dict(KYC_CHOICES)
SORTS = {
    "largest": "value DESC, number, code",
    "smallest": "value, number, code",
    "number": "number, code",
    "name": "name, number, code",
    "units": "units DESC, number, code",
}
_LOTS = f"""
WITH RECURSIVE moved AS (
  SELECT e.lot_id, sum(e.units) AS units
  FROM investors_unitentry e
  WHERE e.fund_id = %(fund)s AND e.effective_at <= %(at)s
  GROUP BY e.lot_id HAVING sum(e.units) > 0
),
{SOURCE},
valued AS (
  SELECT l.id, l.number AS lot, l.holding_id, s.code, l.dealing_day, l.entry_price,
    l.high_water_mark, l.lockup_until, o.units,
    CASE
      WHEN n.lot_id IS NULL OR o.is_final
      THEN round(o.units * coalesce(c.price, s.launch_price), 2)
      WHEN n.units = o.units THEN n.net_value
      ELSE round(o.units * n.net_value_per_unit, 2)
    END AS value
  FROM source o
  JOIN investors_unitlot l ON l.id = o.lot_id
  JOIN investors_shareclass s ON s.id = l.share_class_id
  LEFT JOIN investors_lotnav n ON n.strike_id = %(strike)s AND n.lot_id = o.source_id
  LEFT JOIN investors_classnav c ON c.strike_id = %(strike)s AND c.share_class_id = s.id
)
"""  # noqa: S608  # no input enters the text
_HOLDERS = (
    _LOTS  # noqa: S608  # no input enters the text
    + """,
held AS (
  SELECT holding_id, code, count(*) AS lots, sum(units) AS units, sum(value) AS value
  FROM valued GROUP BY holding_id, code
),
holders AS MATERIALIZED (
  SELECT i.id, i.number, i.legal_name || coalesce((
      SELECT ' (death of ' || d.deceased || ' on ' || to_char(d.died_on, 'FMDD Mon YYYY') || ')'
      FROM investors_deathreport d WHERE d.investor_id = i.id AND d.closed_at IS NULL), '') AS name,
    i.kind, i.country, i.kyc_state, v.code,
    v.lots, v.units, v.value
  FROM held v
  JOIN investors_holding h ON h.id = v.holding_id
  JOIN investors_investor i ON i.id = h.investor_id
)
"""
)
_SUMS_BY_HOLDER = (
    _HOLDERS + "SELECT code, number, value FROM holders"  # noqa: S608  # no input enters the text
)
#: A page of the holders that were asked for, each beside the sums over all of these: one row with
#: the sums alone where there is none.
_PAGE = (
    _HOLDERS  # noqa: S608  # no input enters the text
    + """,
chosen AS MATERIALIZED (
  SELECT * FROM holders
  WHERE (%(code)s = '' OR code = %(code)s) AND (%(kyc_state)s = '' OR kyc_state = %(kyc_state)s)
    AND (%(investors)s::uuid[] IS NULL OR id = ANY(%(investors)s::uuid[]))
),
by_class AS (SELECT code, sum(value) AS value FROM chosen GROUP BY code),
sums AS (
  SELECT (SELECT sum(value) FROM holders) AS total, count(*) AS all_holders,
    count(DISTINCT id) AS all_investors, coalesce(sum(lots), 0)::bigint AS all_lots,
    coalesce(sum(units), 0) AS all_units, coalesce(sum(value), 0) AS all_value,
    (SELECT array_agg(code ORDER BY code) FROM by_class) AS codes,
    (SELECT array_agg(value ORDER BY code) FROM by_class) AS values
  FROM chosen
)
SELECT * FROM sums LEFT JOIN (
  SELECT * FROM chosen ORDER BY {order} LIMIT %(most)s OFFSET %(first)s) page ON true
ORDER BY {order}
"""
)
_LOTS_OF_HOLDER = (
    _LOTS
    + """
SELECT v.code, v.lot, v.dealing_day, v.entry_price, v.high_water_mark, v.lockup_until, v.units,
  v.value
FROM valued v
JOIN investors_holding h ON h.id = v.holding_id
WHERE h.investor_id = %(investor)s
ORDER BY v.code, v.lot
"""
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """Units of one investor in one class; ``value`` in the fund's currency, ``share`` of the
    fund's units by value, a fraction; ``lots`` is how many are behind it."""

    investor: UUID
    number: str
    name: str
    kind: str
    country: str
    kyc_state: str
    share_class: str
    lots: int
    units: Decimal
    value: Decimal
    share: Decimal

    @property
    def kyc_words(self) -> str:
        return _KYC_WORDS[self.kyc_state]


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldLot:
    """One lot of a holder; its mark is today's."""

    share_class: str
    number: int
    dealing_day: date
    entry_price: Decimal
    high_water_mark: Decimal
    lockup_until: date | None
    units: Decimal
    value: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Register:
    """A page of the holders that were asked for, and the sums over all of these, ``count`` rows of
    ``investors``, with the value ``by_class``; ``strike`` values them."""

    at: datetime
    strike: NavStrike | None
    holders: Sequence[Holder]
    count: int
    investors: int
    lots: int
    units: Decimal
    value: Decimal
    by_class: Mapping[str, Decimal]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassTie:
    """How the register of a class ties to the NAV that values it, in the fund's currency.

    ``nav`` is before and ``nav_after`` after the dealing of that NAV, both in cents; ``value`` is
    what the register shows of all its lots.
    """

    share_class: str
    nav: Decimal
    nav_after: Decimal
    value: Decimal

    @property
    def dealt(self) -> Decimal:
        return self.nav_after - self.nav

    @property
    def rounding(self) -> Decimal:
        """What the lots add to beyond the NAV, since each lot is in whole cents."""
        return self.value - self.nav_after


def tie_register(found: Register) -> list[ClassTie]:
    """Each class of a whole register (of holders, none left out) against its NAV."""
    if found.strike is None:
        return []
    value = found.by_class
    rows = (
        found.strike.classes.filter(share_class__code__in=value)
        .select_related("share_class", "strike__fund")
        .defer("strike__inputs")
    )
    return [
        ClassTie(
            share_class=row.share_class.code,
            nav=row.nav,
            nav_after=quantize(class_after(row, before=row.strike.valuation_at)["nav"], CENT),
            value=value[row.share_class.code],
        )
        for row in rows.order_by("share_class__code")
    ]


def read_register(
    fund: Fund,
    *,
    at: datetime,
    actor: Actor,
    share_class: str = "",
    kyc_state: str = "",
    search: str = "",
    sort: str = "largest",
    first: int = 0,
    most: int | None = None,
) -> Register:
    """The register after what was effective at ``at``, filtered and sorted (:data:`SORTS`).

    ``search`` is a part of a name or an account number.  ``most`` holders from the place ``first``
    on are read; the sums are over all that were asked for.  Raises :class:`NotAllowed`.
    """
    actor.require(Capability.PAPERS_VIEW)
    strike = _valued_by(fund, at)
    rows = _fetch(
        _PAGE.format(order=SORTS[sort]), fund, strike, at,
        code=share_class, kyc_state=kyc_state, first=first, most=most,
        investors=[item.pk for item in search_investors(search)] if search.strip() else None,
    )  # fmt: skip
    sums = rows[0]
    return Register(
        at=at,
        strike=strike,
        holders=tuple(_holder(row) for row in rows if row["id"] is not None),
        count=sums["all_holders"],
        investors=sums["all_investors"],
        lots=sums["all_lots"],
        units=sums["all_units"],
        value=sums["all_value"],
        by_class=dict(zip(sums["codes"] or (), sums["values"] or (), strict=True)),
    )


def _holder(row: dict[str, Any]) -> Holder:
    return Holder(
        investor=row["id"],
        number=row["number"],
        name=row["name"],
        kind=row["kind"],
        country=row["country"],
        kyc_state=row["kyc_state"],
        share_class=row["code"],
        lots=row["lots"],
        units=row["units"],
        value=row["value"],
        share=row["value"] / row["total"] if row["total"] else ZERO,
    )


def read_lots_of_holder(fund: Fund, investor: UUID, *, at: datetime, actor: Actor) -> list[HeldLot]:
    """The lots behind a holder's units, by class and number.  Raises :class:`NotAllowed`."""
    actor.require(Capability.PAPERS_VIEW)
    rows = _fetch(_LOTS_OF_HOLDER, fund, _valued_by(fund, at), at, investor=investor)
    return [
        HeldLot(
            share_class=row["code"],
            number=row["lot"],
            dealing_day=row["dealing_day"],
            entry_price=row["entry_price"],
            high_water_mark=row["high_water_mark"],
            lockup_until=row["lockup_until"],
            units=row["units"],
            value=row["value"],
        )
        for row in rows
    ]


HEADS = (
    "account", "name", "kind", "country", "class", "lots", "units", "value", "share_of_fund",
    "kyc_state",
)  # fmt: skip


def tabulate_register(found: Register, *, fund: Fund, actor: Actor, form: str) -> list[list[str]]:
    """Heads and exact figures of a register for a file; the export is noted."""
    record_audit(
        actor=actor,
        action="register.exported",
        subject=("fund", fund.pk),
        body={"at": found.at.isoformat(), "rows": len(found.holders), "format": form},
    )
    return [
        list(HEADS),
        *(
            [
                row.number, row.name, row.kind, row.country, row.share_class, str(row.lots),
                f"{row.units:f}", f"{row.value:f}", f"{row.share:.8f}", row.kyc_state,
            ]
            for row in found.holders
        ),
    ]  # fmt: skip


def sum_by_holder(fund: Fund, *, at: datetime) -> dict[tuple[str, str], Decimal]:
    """Value of every holding at ``at``, by class code and account number."""
    rows = _fetch(_SUMS_BY_HOLDER, fund, _valued_by(fund, at), at)
    return {(row["code"], row["number"]): row["value"] for row in rows}


def _valued_by(fund: Fund, at: datetime) -> NavStrike | None:
    return (
        NavStrike.objects.filter(fund=fund, state=NavStrike.State.DEALT, valuation_at__lte=at)
        .defer("inputs")
        .order_by("-valuation_at")
        .first()
    )


def _fetch(
    statement: str, fund: Fund, strike: NavStrike | None, at: datetime, **more: Any
) -> list[dict[str, Any]]:
    given = {"fund": fund.pk, "at": at, "strike": strike.pk if strike else None, **more}
    with connection.cursor() as cursor:
        cursor.execute(statement, given)
        names = [column.name for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
