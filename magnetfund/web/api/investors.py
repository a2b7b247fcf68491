"""An investor's own figures; every answer is about the account that asks."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

from django.conf import settings
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from investors.models import Holding, Investor, InvestorSnapshot
from magnetfund.core.roles import Capability
from magnetfund.kernel.errors import InvalidInput, NotFound
from magnetfund.web.api.access import needs
from magnetfund.web.api.fields import plain, plain_number
from risk.services.fuse import state_of


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


class OwnView(APIView):
    """A view of the investor that the account belongs to."""

    permission_classes = [needs(Capability.PORTAL_VIEW)]

    def investor(self, request: Request) -> Investor:
        """Raises :class:`NotFound` (``no_investor``) for an account without one."""
        found = Investor.objects.filter(user=request.user.pk).first()
        if found is None:
            raise NotFound("this account belongs to no investor", code="no_investor")
        return found


class DashboardView(OwnView):
    """What the investor holds, what it is worth and how it went."""

    @extend_schema(operation_id="investor_dashboard", responses={200: DashboardAnswer})
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
            }
        )


class InvestorPerformanceView(OwnView):
    """Values of each NAV and of the estimates since, oldest first."""

    @extend_schema(
        operation_id="investor_performance",
        parameters=[OpenApiParameter("since", OpenApiTypes.DATE)],
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
