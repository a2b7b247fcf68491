"""The unit register over the API, for the house."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from investors.models.holders import KYC_CHOICES
from investors.services.register import SORTS, Holder, read_lots_of_holder, read_register
from magnetfund.core.actors import actor_of
from magnetfund.core.roles import Capability
from magnetfund.kernel.clock import isoformat_z, utc_now
from magnetfund.web.api.access import needs
from magnetfund.web.api.money import own_fund

ROWS_MAX = 500


class HeldLotLine(serializers.Serializer[Any]):
    number = serializers.IntegerField()
    share_class = serializers.CharField()
    dealing_day = serializers.DateField()
    units = serializers.CharField()
    entry_price = serializers.CharField()
    high_water_mark = serializers.CharField(help_text="As it is today.")
    value = serializers.CharField()
    lockup_until = serializers.DateField(allow_null=True)


class HolderLine(serializers.Serializer[Any]):
    account = serializers.CharField()
    name = serializers.CharField()
    kind = serializers.CharField()
    country = serializers.CharField(allow_blank=True)
    share_class = serializers.CharField()
    lots = serializers.IntegerField()
    units = serializers.CharField()
    value = serializers.CharField(help_text="In the fund's currency, after performance fees.")
    share_of_fund = serializers.CharField(help_text="Of all units by value, a fraction.")
    kyc_state = serializers.CharField()
    lots_behind = HeldLotLine(many=True, help_text="With the parameter account alone.")


class UnitRegisterAnswer(serializers.Serializer[Any]):
    at = serializers.DateTimeField()
    nav_of = serializers.DateTimeField(allow_null=True, help_text="The NAV that values it.")
    currency = serializers.CharField()
    holders = HolderLine(many=True)
    count = serializers.IntegerField(help_text="Lines in all, of which 500 are sent at most.")
    units = serializers.CharField()
    value = serializers.CharField()


class UnitRegisterQuery(serializers.Serializer[Any]):
    at = serializers.DateTimeField(required=False)
    share_class = serializers.CharField(required=False, max_length=20)
    kyc_state = serializers.ChoiceField(KYC_CHOICES, required=False)
    account = serializers.CharField(required=False, max_length=60)
    sort = serializers.ChoiceField(list(SORTS), required=False)


class UnitRegisterView(APIView):
    """Holders by class at an instant, with units, value, share, KYC state and lots."""

    permission_classes = [needs(Capability.PAPERS_VIEW)]

    @extend_schema(
        operation_id="register",
        parameters=[
            OpenApiParameter("at", description="ISO 8601 with zone; now without it."),
            OpenApiParameter("share_class", description="Code of a class."),
            OpenApiParameter("kyc_state", enum=[state for state, _ in KYC_CHOICES]),
            OpenApiParameter("account", description="A part of a number or a name, with lots."),
            OpenApiParameter("sort", enum=list(SORTS)),
        ],
        responses={200: UnitRegisterAnswer},
    )
    def get(self, request: Request) -> Response:
        asked = UnitRegisterQuery(data=request.query_params)
        asked.is_valid(raise_exception=True)
        given, fund = asked.validated_data, own_fund()
        actor = actor_of(request)
        found = read_register(
            fund,
            at=min(given.get("at", utc_now()), utc_now()),
            actor=actor,
            share_class=given.get("share_class", ""),
            kyc_state=given.get("kyc_state", ""),
            search=given.get("account", ""),
            sort=given.get("sort", "largest"),
            most=ROWS_MAX,
        )
        shown = found.holders
        lots = {
            row.investor: read_lots_of_holder(fund, row.investor, at=found.at, actor=actor)
            for row in shown[:1]
            if given.get("account")
        }
        return Response(
            {
                "at": isoformat_z(found.at),
                "nav_of": isoformat_z(found.strike.valuation_at) if found.strike else None,
                "currency": fund.currency,
                "holders": [_holder(row, lots.get(row.investor, [])) for row in shown],
                "count": found.count,
                "units": f"{found.units:f}",
                "value": f"{found.value:f}",
            }
        )


def _holder(row: Holder, lots: list[Any]) -> dict[str, Any]:
    return {
        "account": row.number,
        "name": row.name,
        "kind": row.kind,
        "country": row.country,
        "share_class": row.share_class,
        "lots": row.lots,
        "units": f"{row.units:f}",
        "value": f"{row.value:f}",
        "share_of_fund": f"{row.share:.8f}",
        "kyc_state": row.kyc_state,
        "lots_behind": [
            {
                "number": lot.number,
                "share_class": lot.share_class,
                "dealing_day": lot.dealing_day.isoformat(),
                "units": f"{lot.units:f}",
                "entry_price": f"{lot.entry_price:f}",
                "high_water_mark": f"{lot.high_water_mark:f}",
                "value": f"{lot.value:f}",
                "lockup_until": lot.lockup_until.isoformat() if lot.lockup_until else None,
            }
            for lot in lots
            if lot.share_class == row.share_class
        ],
    }
