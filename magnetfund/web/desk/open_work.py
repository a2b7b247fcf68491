"""Everything that waits for a person, in one list: kind, role, age, and the page that clears it.

A source is either rows of a table or a state that the page has read already.  All row sources are
read by one statement, because every page of the desk shows how many tasks there are.  A part of the
platform adds its own by :func:`register`; each source is bounded, oldest first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db.models import (
    DateTimeField,
    DecimalField,
    Exists,
    F,
    Field,
    IntegerField,
    OuterRef,
    QuerySet,
    Subquery,
    TextField,
    Value,
)
from django.db.models.functions import Cast, Coalesce, NullIf
from django.urls import reverse

from investors.models import DealingDay, DealingOrder, Investor, NavStrike, TermsProposal
from magnetfund.core.roles import Role
from magnetfund.kernel.clock import utc_now
from risk.models import FuseEvent, FuseReset, LimitProposal
from trading.models import Order, Reconciliation

#: Tasks of one source in the list; the oldest come first.
TASKS_SHOWN = 20
#: An order that is neither at the venue nor finished after this long needs a look.
PENDING_AFTER = timedelta(minutes=1)
INVESTOR = "Investor"


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenWork:
    """A task awaiting a person.  ``role`` None is a person outside the staff."""

    kind: str
    what: str
    note: str
    role: Role | None
    since: datetime | None
    url_name: str
    anchor: str = ""

    @property
    def href(self) -> str:
        """Address of the page that clears it."""
        return reverse(self.url_name) + (f"#{self.anchor}" if self.anchor else "")

    @property
    def waits_on(self) -> str:
        """The role as the page names it."""
        return INVESTOR if self.role is None else self.role.value.replace("_", " ").capitalize()


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What every page of the desk has read before it lists the tasks."""

    fuse_state: str
    engine: Mapping[str, Any]
    data_at: datetime | None
    is_stale: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Rows of one table as tasks: ``select`` in the columns of :func:`columns_of`, ``describe`` a
    row as what is to be done and a note."""

    kind: str
    role: Role | None
    url_name: str
    select: Callable[[str], QuerySet[Any, dict[str, Any]]]
    describe: Callable[[Mapping[str, Any]], tuple[str, str]]
    anchor: str = ""


SOURCES: dict[str, Source] = {}


def register(name: str, source: Source) -> None:
    """Add a source; a name is taken once."""
    if name in SOURCES:
        raise ValueError(f"{name} is a source of open work already")
    SOURCES[name] = source


def list_open_work(book: str, facts: Facts) -> list[OpenWork]:
    """States first, for they stop the fund; then rows, oldest first."""
    return [*find_states(book, facts), *find_rows(book)]


def find_rows(book: str) -> list[OpenWork]:
    """Tasks of every row source, oldest first, at most :data:`TASKS_SHOWN` of each."""
    selected = [
        source.select(book)
        .annotate(source=Cast(Value(name), TextField()))
        .order_by("since")[:TASKS_SHOWN]
        for name, source in SOURCES.items()
    ]
    rows = selected[0].union(*selected[1:], all=True).order_by("since")
    return [_task(row) for row in rows]


def _task(row: Mapping[str, Any]) -> OpenWork:
    source = SOURCES[row["source"]]
    what, note = source.describe(row)
    return OpenWork(
        kind=source.kind,
        what=what,
        note=note,
        role=source.role,
        since=row["since"],
        url_name=source.url_name,
        anchor=source.anchor,
    )


def find_states(book: str, facts: Facts) -> list[OpenWork]:
    """The fuse, the engine and the data, where one of them keeps the fund from trading."""
    found = []
    if facts.fuse_state in ("TRIPPED", "DISARMED"):
        event = (
            FuseEvent.objects.filter(book=book, kind=facts.fuse_state.lower())
            .order_by("-occurred_at")
            .first()
        )
        found.append(
            OpenWork(
                kind="Fuse",
                what=f"Fuse {facts.fuse_state.lower()}: no order can add exposure",
                note=f"{event.trigger.replace('_', ' ')}: {event.reason}"
                if event is not None and event.reason
                else "request re-arming once the books are reconciled",
                role=Role.RISK_OFFICER,
                since=event.occurred_at if event is not None else None,
                url_name="desk_risk",
            )
        )
    if facts.engine["shape"] == "fail":
        found.append(
            OpenWork(
                kind="Engine",
                what="Trading engine stopped",
                note=f"{facts.engine['note']}; see Processes below",
                role=Role.OPERATOR,
                since=facts.engine["since"],
                url_name="desk_today",
                anchor="processes",
            )
        )
    if facts.is_stale:
        found.append(
            OpenWork(
                kind="Data",
                what="Figures are out of date",
                note="no new valuation; stops stay in place at the venue",
                role=Role.OPERATOR,
                since=facts.data_at,
                url_name="desk_today",
                anchor="processes",
            )
        )
    return found


def columns_of(
    rows: QuerySet[Any],
    *,
    since: str,
    who: str | Coalesce | None = None,
    day: str | None = None,
    number: str | None = None,
    words: str | None = None,
    amount: str | None = None,
) -> QuerySet[Any, dict[str, Any]]:
    """Rows of one table in the columns that all open work has."""

    def column(name: str | None, field: Field[Any, Any]) -> Cast:
        return Cast(Value(None) if name is None else F(name), field)

    text = TextField()
    return rows.order_by().values(
        since=F(since),
        who=column(who, text) if who is None or isinstance(who, str) else Cast(who, text),
        on_day=column(day, DateTimeField()),
        version_shown=column(number, IntegerField()),
        words=column(words, text),
        money=column(amount, DecimalField(max_digits=38, decimal_places=18)),
    )


def name_of(account: str) -> Coalesce:
    """An account as people read it: the name, else the address."""
    return Coalesce(NullIf(f"{account}__name", Value("")), f"{account}__email")


def _money(value: Decimal | None) -> str:
    return "-" if value is None else f"{value:,.2f} USD"


def _day(value: datetime) -> str:
    return f"{value.day} {value:%b %Y}"


def _select_resets(book: str) -> QuerySet[Any, dict[str, Any]]:
    rows = FuseReset.objects.filter(book=book, withdrawn_at=None, approved_at=None)
    return columns_of(rows, since="proposed_at", who=name_of("proposed_by"), words="reason")


def _select_prepared(book: str) -> QuerySet[Any, dict[str, Any]]:
    return columns_of(
        NavStrike.objects.filter(fund__book=book, state=NavStrike.State.PREPARED),
        since="prepared_at",
        who=name_of("prepared_by"),
        day="valuation_at",
        number="version",
    )


def _strikes_of_day() -> QuerySet[NavStrike]:
    return NavStrike.objects.filter(fund=OuterRef("fund"), valuation_at=OuterRef("valuation_at"))


def _select_due(book: str) -> QuerySet[Any, dict[str, Any]]:
    rows = DealingDay.objects.filter(
        ~Exists(_strikes_of_day()), fund__book=book, valuation_at__lte=utc_now()
    )
    return columns_of(rows, since="valuation_at", day="valuation_at")


def _select_returned(book: str) -> QuerySet[Any, dict[str, Any]]:
    later = _strikes_of_day().filter(version__gt=OuterRef("version"))
    rows = NavStrike.objects.filter(~Exists(later), fund__book=book, state=NavStrike.State.REJECTED)
    return columns_of(
        rows, since="prepared_at", day="valuation_at", number="version", words="rejected_reason"
    )


def _select_unpaid(book: str) -> QuerySet[Any, dict[str, Any]]:
    rows = DealingOrder.objects.filter(
        share_class__fund__book=book, kind="subscription", state="accepted"
    )
    return columns_of(
        rows,
        since="received_at",
        who="investor__legal_name",
        words="share_class__code",
        amount="amount",
    )


def _select_submitted(book: str) -> QuerySet[Any, dict[str, Any]]:
    rows = DealingOrder.objects.filter(share_class__fund__book=book, state="submitted")
    return columns_of(
        rows, since="received_at", who="investor__legal_name", words="kind", amount="amount"
    )


def _select_payable(book: str) -> QuerySet[Any, dict[str, Any]]:
    rows = DealingOrder.objects.filter(share_class__fund__book=book, state="payable")
    return columns_of(
        rows,
        since="updated_at",
        who="investor__legal_name",
        words="share_class__code",
        amount="dealt_amount",
    )


def _select_files(states: tuple[str, ...]) -> QuerySet[Any, dict[str, Any]]:
    rows = Investor.objects.filter(kyc_state__in=states).annotate(
        waiting_since=Coalesce("case__waiting_since", "joined_at")
    )
    return columns_of(rows, since="waiting_since", who="legal_name", words="kyc_state")


def _select_kyc(book: str) -> QuerySet[Any, dict[str, Any]]:
    return _select_files(("submitted", "screening", "review", "enhanced_review", "due_for_refresh"))


def _select_kyc_senior(book: str) -> QuerySet[Any, dict[str, Any]]:
    return _select_files(("senior_approval",))


def _select_terms(book: str) -> QuerySet[Any, dict[str, Any]]:
    rows = TermsProposal.objects.filter(
        share_class__fund__book=book, policy=None, withdrawn_at=None
    )
    return columns_of(
        rows, since="proposed_at", who=name_of("proposed_by"), words="share_class__code"
    )


def _select_limits(book: str) -> QuerySet[Any, dict[str, Any]]:
    rows = LimitProposal.objects.filter(book=book, limit_set=None, withdrawn_at=None)
    return columns_of(rows, since="proposed_at", who=name_of("proposed_by"), words="reason")


def _select_unknown(book: str) -> QuerySet[Any, dict[str, Any]]:
    rows = Order.objects.filter(book=book, state="UNKNOWN", closed_at=None)
    return columns_of(rows, since="occurred_at", who="instrument__symbol", words="side")


def _select_pending(book: str) -> QuerySet[Any, dict[str, Any]]:
    rows = Order.objects.filter(
        book=book,
        state__in=["INTENT", "SENDING", "CANCEL_PENDING"],
        closed_at=None,
        occurred_at__lt=utc_now() - PENDING_AFTER,
    )
    return columns_of(rows, since="occurred_at", who="instrument__symbol", words="state")


def _select_breaks(book: str) -> QuerySet[Any, dict[str, Any]]:
    newest = Reconciliation.objects.filter(book=book).order_by("-occurred_at").values("pk")[:1]
    rows = Reconciliation.objects.filter(pk=Subquery(newest), is_clean=False)
    return columns_of(rows, since="occurred_at")


register(
    "fuse_reset",
    Source(
        kind="Fuse",
        role=Role.RISK_OFFICER,
        url_name="desk_risk",
        select=_select_resets,
        describe=lambda row: (
            "Request to re-arm the fuse: a second risk officer approves",
            f"{row['words']} (by {row['who']})",
        ),
    ),
)
register(
    "order_unknown",
    Source(
        kind="Order",
        role=Role.OPERATOR,
        url_name="desk_trading",
        anchor="orders",
        select=_select_unknown,
        describe=lambda row: (
            f"Order of unknown outcome: {row['words']} {row['who']}",
            "the venue has not answered; the trader queries it again",
        ),
    ),
)
register(
    "order_pending",
    Source(
        kind="Order",
        role=Role.OPERATOR,
        url_name="desk_trading",
        anchor="orders",
        select=_select_pending,
        describe=lambda row: (
            f"Order pending: {row['who']}, {row['words'].replace('_', ' ').lower()}",
            "not sent or not finished after a minute",
        ),
    ),
)
register(
    "break",
    Source(
        kind="Reconciliation",
        role=Role.OPERATOR,
        url_name="desk_risk",
        select=_select_breaks,
        describe=lambda row: (
            "Break between books and venue",
            "new entries wait until a reconciliation is clean",
        ),
    ),
)
register(
    "nav_due",
    Source(
        kind="NAV",
        role=Role.ACCOUNTANT,
        url_name="desk_nav",
        select=_select_due,
        describe=lambda row: (f"NAV of {_day(row['on_day'])} is due", "not prepared yet"),
    ),
)
register(
    "nav_returned",
    Source(
        kind="NAV",
        role=Role.ACCOUNTANT,
        url_name="desk_nav",
        select=_select_returned,
        describe=lambda row: (
            f"NAV of {_day(row['on_day'])}, version {row['version_shown']} was returned",
            row["words"] or "no reason given",
        ),
    ),
)
register(
    "nav_prepared",
    Source(
        kind="NAV",
        role=Role.CONTROLLER,
        url_name="desk_nav",
        select=_select_prepared,
        describe=lambda row: (
            f"NAV of {_day(row['on_day'])}, version {row['version_shown']}",
            f"prepared by {row['who']}; another person approves",
        ),
    ),
)
register(
    "kyc",
    Source(
        kind="KYC",
        role=Role.COMPLIANCE,
        url_name="desk_cases",
        select=_select_kyc,
        describe=lambda row: (
            f"KYC file of {row['who']}",
            str(row["words"]).replace("_", " "),
        ),
    ),
)
register(
    "kyc_senior",
    Source(
        kind="KYC",
        role=Role.DIRECTOR,
        url_name="desk_cases",
        select=_select_kyc_senior,
        describe=lambda row: (
            f"KYC file of {row['who']} waits for a director",
            "high risk or public office",
        ),
    ),
)
register(
    "terms_proposed",
    Source(
        kind="Founding",
        role=Role.CONTROLLER,
        url_name="desk_founding",
        anchor="terms",
        select=_select_terms,
        describe=lambda row: (
            f"Terms of class {row['words']} wait for a signature",
            f"proposed by {row['who']}; another person signs",
        ),
    ),
)
register(
    "limits_proposed",
    Source(
        kind="Limits",
        role=Role.RISK_OFFICER,
        url_name="desk_founding",
        anchor="limits",
        select=_select_limits,
        describe=lambda row: (
            "Proposed limits wait for a second risk officer",
            f"{row['words']} (by {row['who']})",
        ),
    ),
)
register(
    "dealing_submitted",
    Source(
        kind="Dealing",
        role=Role.ACCOUNTANT,
        url_name="desk_dealing",
        select=_select_submitted,
        describe=lambda row: (
            f"{str(row['words']).capitalize()} of {row['who']}, {_money(row['money'])}",
            "submitted, not accepted yet",
        ),
    ),
)
register(
    "unpaid",
    Source(
        kind="Money",
        role=None,
        url_name="desk_dealing",
        select=_select_unpaid,
        describe=lambda row: (
            f"{row['who']}, {_money(row['money'])}",
            f"class {row['words']}; funds not yet cleared",
        ),
    ),
)
register(
    "payable",
    Source(
        kind="Money",
        role=Role.ACCOUNTANT,
        url_name="desk_dealing",
        select=_select_payable,
        describe=lambda row: (
            f"Payment due to {row['who']}, {_money(row['money'])}",
            f"redemption of class {row['words']}",
        ),
    ),
)


def keep_role(work: list[OpenWork], asked: str) -> list[OpenWork]:
    """The tasks of one role; an empty or unknown word keeps all."""
    roles = {item.value for item in Role} | {INVESTOR.lower()}
    if asked not in roles:
        return work
    return [item for item in work if _role_word(item) == asked]


def roles_of(work: list[OpenWork]) -> list[tuple[str, str]]:
    """Roles that have a task, as word of an address and as label."""
    return sorted({(_role_word(item), item.waits_on) for item in work})


def _role_word(item: OpenWork) -> str:
    return INVESTOR.lower() if item.role is None else item.role.value
