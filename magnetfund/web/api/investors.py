"""An investor's own figures; every answer is about the account that asks."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

from django.conf import settings
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from investors.models import Holding, Investor, InvestorSnapshot, PowerOfAttorney
from investors.services.advisers import accesses_of, note_look
from investors.services.attorneys import powers_of
from investors.services.pocket_books import read_own_pockets
from magnetfund.core.models import User
from magnetfund.core.roles import Capability
from magnetfund.kernel.errors import Conflict, InvalidInput, NotAllowed, NotFound
from magnetfund.web.api.access import needs
from magnetfund.web.api.fields import plain, plain_number
from risk.services.fuse import state_of


class OwnPocketLine(serializers.Serializer[Any]):
    name = serializers.CharField()
    asset = serializers.CharField()
    units = serializers.CharField()
    carried_at = serializers.CharField(help_text="Before any performance fee.")


class DashboardAnswer(serializers.Serializer[Any]):
    investor_id = serializers.UUIDField()
    currency = serializers.CharField()
    equity_value = serializers.CharField(help_text="Value at as_of, net of every fee.")
    is_estimate = serializers.BooleanField(help_text="Between two NAVs a value is an estimate.")
    as_of = serializers.DateField(allow_null=True)
    share_percent = serializers.CharField(allow_null=True, help_text="Per cent of the fund.")
    net_invested = serializers.CharField()
    total_return = serializers.CharField(help_text="Money gained over what was put in.")
    return_percent = serializers.CharField(allow_null=True, help_text="total_return, in per cent.")
    investment_date = serializers.DateField(allow_null=True)
    current_system_state = serializers.CharField()
    side_pockets = OwnPocketLine(many=True, help_text="Claims set apart; no part of equity_value.")


class InvestorPoint(serializers.Serializer[Any]):
    day = serializers.DateField()
    value = serializers.CharField()
    units = serializers.CharField()
    net_invested = serializers.CharField()
    gain = serializers.CharField()
    is_estimate = serializers.BooleanField()


class InvestorPerformanceAnswer(serializers.Serializer[Any]):
    currency = serializers.CharField()
    since = serializers.DateField(allow_null=True)
    points = InvestorPoint(many=True)


#: Whose portal is meant, of an adviser or attorney; one's own account needs none.
HOLDER = OpenApiParameter(
    "holder",
    OpenApiTypes.STR,
    description="For an adviser or an attorney: the holder's number.",
)
#: That any power of attorney opens a view, whatever else it allows.
ANY_POWER = "is_approved"


class OwnView(APIView):
    """A view of the investor that the account belongs to; where ``shows`` names what of it, also of
    the holder whose portal an adviser may read; where ``may`` names a field of a power, also of the
    holder for whom an attorney acts."""

    permission_classes = [needs(Capability.PORTAL_VIEW, Capability.PORTAL_READ)]
    #: The field of an adviser's access that opens the view; none does without one.
    shows = ""
    #: The field of a power of attorney that opens the view; reads that an adviser is shown are open
    #: to every attorney.
    may = ""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Refuses a write of an adviser (``read_only``) before anything else is asked."""
        super().initial(request, *args, **kwargs)
        if request.method in SAFE_METHODS or _named_power(request) is not None:
            return
        if _is_advising(request):
            raise NotAllowed("you act for no such holder; an adviser only reads", code="read_only")

    def investor(self, request: Request) -> Investor:
        """Raises :class:`NotFound` (``no_investor``) for an account without one,
        :class:`NotAllowed` (``not_in_power``) of an attorney, and what :func:`_read_as_adviser`
        does."""
        power = _named_power(request)
        if power is not None:
            asked = self.may or (ANY_POWER if self.shows else "")
            if not asked or not getattr(power, asked):
                raise NotAllowed("the power of attorney does not include this", code="not_in_power")
            return power.investor
        if _is_advising(request):
            return _read_as_adviser(request, self.shows)
        found = Investor.objects.filter(user=request.user.pk).first()
        if found is None:
            raise NotFound("this account belongs to no investor", code="no_investor")
        return found


def _named_power(request: Request) -> PowerOfAttorney | None:
    """The power by which the account acts for the holder whom the request names."""
    number = request.query_params.get("holder", "")
    if not number or not isinstance(request.user, User):
        return None
    return next((row for row in powers_of(request.user) if row.investor.number == number), None)


def _is_advising(request: Request) -> bool:
    user: Any = request.user
    if "holder" in request.query_params:
        return True
    if not user.can(Capability.PORTAL_READ):
        return False
    return not user.can(Capability.PORTAL_VIEW)


def _read_as_adviser(request: Request, shows: str) -> Investor:
    """The holder whom the request names, or the only one.

    Raises :class:`NotAllowed` (``no_access``, ``not_shown``) and :class:`Conflict`
    (``which_holder``: several may be read and none is named).
    """
    user: Any = request.user
    number = request.query_params.get("holder", "")
    found = list(accesses_of(user).filter(**({"investor__number": number} if number else {})))
    if not found:
        raise NotAllowed("no such holder lets you read his portal now", code="no_access")
    if len(found) > 1 and not number:
        raise Conflict("name the holder in the parameter holder", code="which_holder")
    if not shows or not getattr(found[0], shows):
        raise NotAllowed("the holder does not show you this", code="not_shown")
    note_look(found[0])
    return found[0].investor


class DashboardView(OwnView):
    """What the investor holds, what it is worth and how it went."""

    shows = "sees_holdings"

    @extend_schema(
        operation_id="investor_dashboard", parameters=[HOLDER], responses={200: DashboardAnswer}
    )
    def get(self, request: Request) -> Response:
        investor = self.investor(request)
        own = InvestorSnapshot.objects.filter(investor=investor)
        newest = own.order_by("-day").first()
        first = own.filter(units__gt=0).order_by("day").values_list("day", flat=True).first()
        value = newest.value if newest is not None else Decimal(0)
        put_in = newest.net_invested if newest is not None else Decimal(0)
        gain = value - put_in
        return Response(
            {
                "investor_id": str(investor.pk),
                "currency": _currency(investor),
                "equity_value": plain(value),
                "is_estimate": newest is not None and newest.is_estimate,
                "as_of": newest.day.isoformat() if newest is not None else None,
                "share_percent": plain_number(round(newest.share_of_fund * 100, 6))
                if newest is not None
                else None,
                "net_invested": plain(put_in),
                "total_return": plain(gain),
                "return_percent": plain(round(gain / put_in * 100, 6)) if put_in > 0 else None,
                "investment_date": first.isoformat() if first is not None else None,
                "current_system_state": state_of(settings.MAGNET_BOOK),
                "side_pockets": [
                    {
                        "name": own.pocket.name,
                        "asset": own.pocket.asset,
                        "units": plain(own.units),
                        "carried_at": plain(own.value),
                    }
                    for own in read_own_pockets(investor.pk)
                ],
            }
        )


class InvestorPerformanceView(OwnView):
    """Values of each NAV and of the estimates since, oldest first."""

    shows = "sees_holdings"

    @extend_schema(
        operation_id="investor_performance",
        parameters=[OpenApiParameter("since", OpenApiTypes.DATE), HOLDER],
        responses={200: InvestorPerformanceAnswer},
    )
    def get(self, request: Request) -> Response:
        investor = self.investor(request)
        text = request.query_params.get("since", "")
        try:
            since = date.fromisoformat(text) if text else None
        except ValueError:
            raise InvalidInput("since must be a date, YYYY-MM-DD", code="bad_date") from None
        rows = InvestorSnapshot.objects.filter(investor=investor).order_by("day")
        if since is not None:
            rows = rows.filter(day__gte=since)
        return Response(
            {
                "currency": _currency(investor),
                "since": since.isoformat() if since is not None else None,
                "points": [
                    {
                        "day": row.day.isoformat(),
                        "value": plain(row.value),
                        "units": plain(row.units),
                        "net_invested": plain(row.net_invested),
                        "gain": plain(row.value - row.net_invested),
                        "is_estimate": row.is_estimate,
                    }
                    for row in rows
                ],
            }
        )


def _currency(investor: Investor) -> str:
    found = (
        Holding.objects.filter(investor=investor)
        .values_list("share_class__fund__currency", flat=True)
        .first()
    )
    return found or "USD"
