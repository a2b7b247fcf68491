"""Correlations with proposals, factor scores, attribution, Kelly and margin over the API."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from typing import Any

from django.conf import settings
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from magnetfund.core.roles import Capability
from magnetfund.kernel.clock import utc_midnight, utc_now
from magnetfund.web.api.access import needs
from magnetfund.web.api.fields import FiniteFloat, plain
from trading import selectors
from trading.selectors.attribution import TradeGroup, view_attribution
from trading.selectors.calculators import calculate_growth, calculate_kelly, calculate_margin
from trading.selectors.portfolio import WINDOWS, score_names, view_portfolio
from trading.selectors.shortfall import view_shortfall

DAYS_MAX = 3_660


class WindowQuery(serializers.Serializer[Any]):
    days = serializers.ChoiceField(choices=WINDOWS, required=False, default=90)


class SpanQuery(serializers.Serializer[Any]):
    days = serializers.IntegerField(required=False, default=365, min_value=1, max_value=DAYS_MAX)


class PortfolioRiskView(APIView):
    """Correlation matrix of the active instruments and portfolios beside the present book."""

    permission_classes = [needs(Capability.API_READ)]

    @extend_schema(
        operation_id="read_portfolio_risk",
        parameters=[OpenApiParameter("days", int, enum=WINDOWS, default=90)],
        responses={200: OpenApiTypes.OBJECT},
    )
    def get(self, request: Request) -> Response:
        query = WindowQuery(data=request.query_params)
        query.is_valid(raise_exception=True)
        view = view_portfolio(
            settings.MAGNET_BOOK,
            selectors.active_instruments(),
            days=int(query.validated_data["days"]),
        )
        found = asdict(view)
        found["acting"] = [
            {"pair": list(pair), "correlation": value} for pair, value in view.acting.items()
        ]
        return Response(found)


class FactorsView(APIView):
    """Factor scores of the active instruments, the best first."""

    permission_classes = [needs(Capability.API_READ)]

    @extend_schema(operation_id="read_factor_scores", responses={200: OpenApiTypes.OBJECT})
    def get(self, request: Request) -> Response:
        rows, problem = score_names(selectors.active_instruments())
        return Response({"problem": problem, "names": [asdict(row) for row in rows]})


class AttributionView(APIView):
    """Closed trades by strategy, instrument, magnet kind, leverage and exit, with their costs."""

    permission_classes = [needs(Capability.API_READ)]

    @extend_schema(
        operation_id="read_attribution",
        parameters=[OpenApiParameter("days", int, default=365)],
        responses={200: OpenApiTypes.OBJECT},
    )
    def get(self, request: Request) -> Response:
        query = SpanQuery(data=request.query_params)
        query.is_valid(raise_exception=True)
        since = utc_midnight(utc_now()) - timedelta(days=query.validated_data["days"])
        view = view_attribution(settings.MAGNET_BOOK, since=since)
        return Response(
            {
                "since": since,
                "whole": _plain(view.whole),
                "by": {name: [_plain(part) for part in parts] for name, parts in view.by.items()},
                "shortfall": [
                    {**asdict(row), "total": row.total, "share": row.share}
                    for row in view_shortfall(settings.MAGNET_BOOK, since=since)
                ],
                "spread": None if view.spread is None else asdict(view.spread),
            }
        )


def _plain(part: TradeGroup) -> dict[str, Any]:
    money = ("before", "slippage", "gross", "fees", "funding", "net")
    return {
        "key": part.key,
        "trades": part.trades,
        "won": part.won,
        **{name: plain(getattr(part, name)) for name in money},
    }


class KellyBody(serializers.Serializer[Any]):
    win_rate = FiniteFloat(min_value=0.0, max_value=1.0)
    payoff = FiniteFloat(help_text="Average win over average loss.")
    trades = serializers.IntegerField(min_value=1, help_text="Trades behind the odds.")
    fraction = FiniteFloat(required=False, default=0.25, help_text="Share of Kelly, at most 0.5.")


class KellyView(APIView):
    """Kelly's share of equity for such odds, and what estimation error leaves of it."""

    permission_classes = [needs(Capability.API_READ)]

    @extend_schema(
        operation_id="calculate_kelly", request=KellyBody, responses={200: OpenApiTypes.OBJECT}
    )
    def post(self, request: Request) -> Response:
        body = KellyBody(data=request.data)
        body.is_valid(raise_exception=True)
        return Response(asdict(calculate_kelly(**body.validated_data)))


class GrowthBody(serializers.Serializer[Any]):
    mean = FiniteFloat(help_text="Annual mean return as a fraction.")
    rate = FiniteFloat(required=False, default=0.0, help_text="Annual cash rate as a fraction.")
    deviation = FiniteFloat(help_text="Annual standard deviation as a fraction.")
    years = FiniteFloat(help_text="Years behind the figures.")
    fraction = FiniteFloat(required=False, default=0.25, help_text="Share of Kelly, at most 0.5.")


class GrowthView(APIView):
    """The exposure at which such returns grow fastest, and what estimation error leaves of it."""

    permission_classes = [needs(Capability.API_READ)]

    @extend_schema(
        operation_id="calculate_growth", request=GrowthBody, responses={200: OpenApiTypes.OBJECT}
    )
    def post(self, request: Request) -> Response:
        body = GrowthBody(data=request.data)
        body.is_valid(raise_exception=True)
        return Response(asdict(calculate_growth(**body.validated_data)))


class MarginBody(serializers.Serializer[Any]):
    direction = serializers.ChoiceField(choices=("long", "short"), required=False, default="long")
    quantity = FiniteFloat()
    entry_price = FiniteFloat()
    leverage = FiniteFloat()
    maintenance_rate = FiniteFloat(help_text="Of notional, first tier, as a fraction.")
    wallet = FiniteFloat(help_text="Balance of a cross account.")
    sigma = FiniteFloat(help_text="Annualised volatility as a fraction.")
    days = FiniteFloat(required=False, default=7.0)


class MarginView(APIView):
    """Margin, liquidation prices and the chance of touching them for one position."""

    permission_classes = [needs(Capability.API_READ)]

    @extend_schema(
        operation_id="calculate_margin", request=MarginBody, responses={200: OpenApiTypes.OBJECT}
    )
    def post(self, request: Request) -> Response:
        body = MarginBody(data=request.data)
        body.is_valid(raise_exception=True)
        given = dict(body.validated_data)
        side = 1 if given.pop("direction") == "long" else -1
        return Response(asdict(calculate_margin(side=side, **given)))
