"""NAV(V, K): what a fund was worth at an instant, as the books knew it at another.

A pure function of what was recorded by ``K`` and counts before ``V``: ledger entries, movements of
units, terms.  The same ``V`` and ``K`` give the same bytes for ever, whatever was booked since;
what comes late counts in the period that is open when it comes.  ``verify_books`` computes every
dealt NAV by the same inputs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection
from django.db.models import Exists, OuterRef

from investors.domain.exact import ZERO
from investors.domain.fees import ClassTerms
from investors.domain.strike import ClassInput, LotInput, Strike, StrikeInputs, compute_strike
from investors.models import ClassNav, ClassPolicyVersion, Fund, NavStrike, ShareClass
from investors.services.expenses import posted_between
from investors.services.ledger import net_assets
from investors.services.nav import hash_result
from investors.services.nav_inputs import build_inputs, class_after
from investors.services.pocket_changes import merges_at
from investors.services.pockets import pockets_at
from investors.services.policies import build_terms
from magnetfund.core.models import AuditEvent
from magnetfund.kernel.clock import isoformat_z, utc_now
from magnetfund.kernel.errors import InvalidInput
from magnetfund.kernel.identifiers import canonical, canonical_json


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownNav:
    """The NAV of a fund at ``valuation_at`` from what was recorded by ``known_at``.

    ``is_struck`` says whether a NAV of this instant had been prepared by then: before that the
    open positions stand at the marks of the last one.
    """

    fund: str
    valuation_at: datetime
    known_at: datetime
    strike: Strike
    is_struck: bool

    def plain(self) -> dict[str, Any]:
        """Every figure as text, in a fixed order."""
        found: dict[str, Any] = canonical(
            {
                "fund": self.fund,
                "valuation_at": isoformat_z(self.valuation_at),
                "known_at": isoformat_z(self.known_at),
                "is_struck": self.is_struck,
                "result_hash": hash_result(self.strike),
                "net_assets": f"{self.strike.net_assets:f}",
                "nav": f"{self.strike.nav:f}",
                "classes": [
                    {
                        "share_class": item.code,
                        "units": f"{item.units:f}",
                        "price": None if item.price is None else f"{item.price:f}",
                        "nav": f"{item.nav:f}",
                        "management_fee": f"{item.management_fee:f}",
                        "performance_fee": f"{item.performance_fee:f}",
                    }
                    for item in self.strike.classes
                ],
            }
        )
        return found

    def content(self) -> bytes:
        """The bytes that a replay must give again."""
        return canonical_json(self.plain()).encode()


def nav_as_known(*, fund: Fund, valuation_at: datetime, known_at: datetime) -> KnownNav:
    """NAV(V, K).

    Raises :class:`InvalidInput`: ``known_before`` where ``known_at`` lies before the valuation,
    ``in_future`` where it is still to come, and what :func:`compute_strike` raises.
    """
    if known_at < valuation_at:
        raise InvalidInput(
            "the time of knowledge must not lie before the valuation", code="known_before"
        )
    if known_at > utc_now():
        raise InvalidInput("the time of knowledge lies in the future", code="in_future")
    inputs = inputs_as_known(
        fund, valuation_at, previous=_last_dealt(fund, valuation_at, known_at), known_at=known_at
    )
    return KnownNav(
        fund=fund.code,
        valuation_at=valuation_at,
        known_at=known_at,
        strike=compute_strike(inputs),
        is_struck=NavStrike.objects.filter(
            fund=fund, valuation_at=valuation_at, known_at__lte=known_at
        ).exists(),
    )


def inputs_as_known(
    fund: Fund,
    valuation_at: datetime,
    *,
    previous: NavStrike | None,
    known_at: datetime | None = None,
    versions: Mapping[str, int | None] | None = None,
) -> StrikeInputs:
    """The inputs of a NAV from the ledger's prefix and the movements of units before it.

    ``versions`` names the classes that were priced with their terms, where they are known;
    ``known_at`` leaves out what was recorded later (``None``: nothing).
    """
    classes = []
    for item in _classes(fund, versions, valuation_at, known_at):
        after = {}
        # A class that was opened since the NAV before begins at nothing.
        row = (
            ClassNav.objects.filter(strike=previous, share_class=item)
            .select_related("strike__fund", "share_class")
            .first()
        )
        if row is not None:
            after = class_after(row, before=valuation_at, known_at=known_at)
        classes.append(
            ClassInput(
                code=item.code,
                terms=_terms(item, (versions or {}).get(item.code), valuation_at, known_at),
                launch_price=item.launch_price,
                gav_before=after.get("gav", ZERO),
                nav_before=after.get("nav", ZERO),
                fee_cumulative=after.get("fee_cumulative", ZERO),
                accrual_before=after.get("accrual", ZERO),
                lots=_lots(item.pk, valuation_at, known_at),
            )
        )
    since = None if previous is None else previous.valuation_at
    expenses, gained = posted_between(fund, since=since, before=valuation_at, known_at=known_at)
    return build_inputs(
        day=valuation_at.date(),
        previous=previous,
        money=net_assets(fund, before=valuation_at, known_at=known_at),
        expenses=expenses,
        currency_result=gained,
        classes=tuple(classes),
        pockets=pockets_at(fund, valuation_at, known_at=known_at),
        merges=merges_at(fund, valuation_at, known_at=known_at),
    )


def _classes(
    fund: Fund,
    versions: Mapping[str, int | None] | None,
    valuation_at: datetime,
    known_at: datetime | None,
) -> list[ShareClass]:
    """Those that are named, else those that had terms then, of what was known; by code."""
    rows = fund.classes.order_by("code")
    if versions is not None:
        return list(rows.filter(code__in=versions))
    policies = ClassPolicyVersion.objects.filter(
        share_class=OuterRef("pk"), effective_from__lte=valuation_at
    )
    if known_at is not None:
        policies = policies.filter(recorded_at__lte=known_at)
    found = list(rows.filter(Exists(policies)))
    if not found:
        raise InvalidInput(f"no class of {fund} had terms then", code="no_terms")
    return found


def _terms(
    item: ShareClass, version: int | None, valuation_at: datetime, known_at: datetime | None
) -> ClassTerms:
    """The terms that are named, else those in force at the instant of what was known."""
    rows = ClassPolicyVersion.objects.filter(share_class=item)
    if version is not None:
        return build_terms(rows.get(version=version).terms)
    rows = rows.filter(effective_from__lte=valuation_at)
    if known_at is not None:
        rows = rows.filter(recorded_at__lte=known_at)
    found = rows.order_by("-version").first()
    if found is None:
        raise InvalidInput(f"{item} had no terms then", code="no_terms")
    return build_terms(found.terms)


def _last_dealt(fund: Fund, before: datetime, known_at: datetime) -> NavStrike | None:
    """The newest NAV before an instant whose dealing was recorded by ``known_at``."""
    for strike in NavStrike.objects.filter(
        fund=fund, state=NavStrike.State.DEALT, valuation_at__lt=before
    ).order_by("-valuation_at"):
        if AuditEvent.objects.filter(
            action="nav.dealt", subject_id=str(strike.pk), recorded_at__lte=known_at
        ).exists():
            return strike
    return None


def _lots(
    share_class_id: int, valuation_at: datetime, known_at: datetime | None
) -> tuple[LotInput, ...]:
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT l.id, l.number, sum(u.units),
                      (array_agg(u.high_water_mark ORDER BY u.id DESC))[1],
                      (array_agg(u.hurdle_start ORDER BY u.id DESC))[1], l.dealing_day
               FROM investors_unitlot l JOIN investors_unitentry u ON u.lot_id = l.id
               WHERE l.share_class_id = %s AND u.effective_at < %s
                 AND (%s::timestamptz IS NULL OR u.recorded_at <= %s)
               GROUP BY l.id HAVING sum(u.units) > 0 ORDER BY l.number""",
            [share_class_id, valuation_at, known_at, known_at],
        )
        return tuple(
            LotInput(lot=str(lot), number=number, units=units, mark=mark, clock=clock,
                     dealing_day=day)
            for lot, number, units, mark, clock, day in cursor.fetchall()
        )  # fmt: skip
