"""Whose portal a request is in: the signed-in investor's own, that of a holder whom an adviser may
read, or of one for whom an attorney acts.  Every page finds its rows through this one."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpRequest

from investors.models import AdviserAccess, Investor, PowerOfAttorney
from investors.services.advisers import accesses_of, note_look
from investors.services.attorneys import powers_of
from magnetfund.core.models import User
from magnetfund.core.roles import Capability
from magnetfund.kernel.errors import NotAllowed

#: What a holder shows an adviser: the fields of an access.
HOLDINGS, PAPERS = "sees_holdings", "sees_papers"
#: Where a session keeps which access it reads by, and under which power it acts.
CHOSEN, ACTS_UNDER = "reads_by", "acts_under"


class ReadOnly(NotAllowed):
    """A request of an adviser or attorney for what he may not see or do (``read_only``,
    ``not_shown``, ``no_access``; ``not_in_power``, ``no_power``); a page says it in words."""

    default_code = "read_only"


def own_investor(request: HttpRequest) -> Investor:
    """The investor of the account.

    Raises :class:`ReadOnly` for an adviser and while an attorney acts, and 404 for an account
    without an investor or whose role has ended.
    """
    user: Any = request.user
    if _acting_power(request) is not None:
        raise ReadOnly("a power of attorney does not reach this page", code="not_in_power")
    if is_advising(request):
        raise ReadOnly("an adviser reads what the holder shows him, and nothing else")
    if not user.can(Capability.PORTAL_VIEW):
        raise Http404
    investor: Investor | None = Investor.objects.filter(user=user).first()
    if investor is None:
        raise Http404
    return investor


def seen_investor(request: HttpRequest, what: str) -> Investor:
    """The investor whose page is asked for: the account's own, or the one that an adviser reads.

    ``what`` is :data:`HOLDINGS` or :data:`PAPERS`; the access is left on ``request.advised`` for
    the page.  Raises :class:`ReadOnly` (``no_access``, ``not_shown``) beside what
    :func:`own_investor` does.
    """
    power = _acting_power(request)
    if power is not None:
        return _act(request, power)
    if not is_advising(request):
        return own_investor(request)
    access = find_access(request)
    if access is None:
        raise ReadOnly("no holder lets you read his portal now", code="no_access")
    if not getattr(access, what):
        raise ReadOnly("the holder does not show you this", code="not_shown")
    note_look(access)
    request.advised = access  # type: ignore[attr-defined]  # for the frame of the page
    return access.investor


def ordering_investor(request: HttpRequest, may: str = "") -> Investor:
    """The investor for whom an order is tried out, placed or looked at: the account's own, or the
    holder of the attorney who acts, where his power has the field ``may``.

    Raises :class:`ReadOnly` (``not_in_power``) beside what :func:`own_investor` does.
    """
    power = _acting_power(request)
    if power is None:
        return own_investor(request)
    if may and not getattr(power, may):
        raise ReadOnly("your power of attorney does not include this", code="not_in_power")
    return _act(request, power)


def is_of_holder(request: HttpRequest, investor: Investor) -> bool:
    """Whether the page that was confirmed named this holder, with a message where it did not: the
    session chose another one after it was opened."""
    if request.POST.get("holder", investor.number) == investor.number:
        return True
    messages.error(
        request,
        f"Not ordered: that page was of another holder, and you act for {investor.legal_name} "
        "now. (other_holder)",
    )
    return False


def _act(request: HttpRequest, power: PowerOfAttorney) -> Investor:
    request.acting = power  # type: ignore[attr-defined]  # for the frame of the page
    return power.investor


def _acting_power(request: HttpRequest) -> PowerOfAttorney | None:
    """The power that the session chose; raises :class:`ReadOnly` (``no_power``) once it is over."""
    chosen = request.session.get(ACTS_UNDER)
    if chosen is None or not isinstance(request.user, User):
        return None
    found = next((row for row in powers_of(request.user) if str(row.pk) == chosen), None)
    if found is None:
        raise ReadOnly("this power of attorney has ended or rests", code="no_power")
    return found


def choose_power(request: HttpRequest, pk: UUID) -> PowerOfAttorney:
    """Act under one of the account's powers from now on; 404 for another."""
    assert isinstance(request.user, User)
    found = next((row for row in powers_of(request.user) if row.pk == pk), None)
    if found is None:
        raise Http404
    request.session.pop(CHOSEN, None)
    request.session[ACTS_UNDER] = str(found.pk)
    return found


def is_advising(request: HttpRequest) -> bool:
    """Whether the account is in another's portal: it has none of its own, or chose a holder."""
    user = request.user
    if not isinstance(user, User) or not user.can(Capability.PORTAL_READ):
        return False
    return CHOSEN in request.session or not user.can(Capability.PORTAL_VIEW)


def find_access(request: HttpRequest) -> AdviserAccess | None:
    """The access that the session chose, none once it is over; the first one of the account where
    it chose none."""
    assert isinstance(request.user, User)
    found = accesses_of(request.user)
    chosen = request.session.get(CHOSEN)
    return found.first() if chosen is None else found.filter(pk=chosen).first()


def choose_access(request: HttpRequest, pk: UUID) -> AdviserAccess:
    """Read by one of the account's accesses from now on; 404 for another."""
    assert isinstance(request.user, User)
    found = accesses_of(request.user).filter(pk=pk).first()
    if found is None:
        raise Http404
    request.session.pop(ACTS_UNDER, None)
    request.session[CHOSEN] = str(found.pk)
    return found


def place_of(access: AdviserAccess) -> str:
    """The name of the page on which an adviser begins."""
    return "overview" if access.sees_holdings else "statements"
