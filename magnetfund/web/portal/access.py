"""The signed-in investor: every page of the portal finds its rows through this one."""

from __future__ import annotations

from typing import Any

from django.http import Http404, HttpRequest

from investors.models import Investor
from magnetfund.core.roles import Capability


def own_investor(request: HttpRequest) -> Investor:
    """The investor of the account; 404 for an account without one, or whose role has ended."""
    user: Any = request.user
    if not user.can(Capability.PORTAL_VIEW):
        raise Http404
    investor: Investor | None = Investor.objects.filter(user=user).first()
    if investor is None:
        raise Http404
    return investor
