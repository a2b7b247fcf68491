"""Whose portal a request is in: the signed-in investor's own, or that of a holder whom an adviser
may read.  Every page of the portal finds its rows through this one."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import Http404, HttpRequest

from investors.models import AdviserAccess, Investor
from investors.services.advisers import accesses_of, note_look
from magnetfund.core.models import User
from magnetfund.core.roles import Capability
from magnetfund.kernel.errors import NotAllowed

#: What a holder shows an adviser: the fields of an access.
HOLDINGS, PAPERS = "sees_holdings", "sees_papers"
#: Where a session keeps which access it reads by.
CHOSEN = "reads_by"


class ReadOnly(NotAllowed):
    """An adviser's request for what he may not see or do (``read_only``, ``not_shown``,
    ``no_access``); a page says it in words."""

    default_code = "read_only"


def own_investor(request: HttpRequest) -> Investor:
    """The investor of the account.

    Raises :class:`ReadOnly` for an adviser, and 404 for an account without an investor or whose
    role has ended.
    """
    user: Any = request.user
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


def is_advising(request: HttpRequest) -> bool:
    """Whether the account is in another's portal: it has none of its own, or chose a holder."""
    user = request.user
    if not isinstance(user, User) or not user.can(Capability.PORTAL_READ):
        return False
    return CHOSEN in request.session or not user.can(Capability.PORTAL_VIEW)


def find_access(request: HttpRequest) -> AdviserAccess | None:
    """The access that the session chose, or the first one of the account."""
    assert isinstance(request.user, User)
    found = list(accesses_of(request.user))
    chosen = request.session.get(CHOSEN)
    return next((row for row in found if str(row.pk) == chosen), found[0] if found else None)


def choose_access(request: HttpRequest, pk: UUID) -> AdviserAccess:
    """Read by one of the account's accesses from now on; 404 for another."""
    assert isinstance(request.user, User)
    found = accesses_of(request.user).filter(pk=pk).first()
    if found is None:
        raise Http404
    request.session[CHOSEN] = str(found.pk)
    return found


def place_of(access: AdviserAccess) -> str:
    """The name of the page on which an adviser begins."""
    return "overview" if access.sees_holdings else "statements"
