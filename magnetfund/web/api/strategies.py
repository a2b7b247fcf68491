"""Health and performance of the sleeves."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from magnetfund.core.roles import Capability
from magnetfund.kernel.clock import isoformat_z
from magnetfund.kernel.errors import NotFound
from magnetfund.web.api.access import needs
from trading.models import StrategyPerformance
from trading.selectors import strategies as selectors


class StrategyHealth(serializers.Serializer[dict[str, Any]]):
    status = serializers.ChoiceField(choices=["active", "inactive", "error"])
    strategy = serializers.CharField()
    initialized = serializers.BooleanField()
    symbols_monitored = serializers.ListField(child=serializers.CharField())
    indicators = serializers.ListField(child=serializers.CharField())
    conditions_required = serializers.IntegerField(allow_null=True)
    last_signal_at = serializers.DateTimeField(allow_null=True)


class StrategyList(serializers.Serializer[dict[str, Any]]):
    status = serializers.ChoiceField(choices=["active", "inactive", "error"])
    strategies = StrategyHealth(many=True)


class StrategyFigures(serializers.Serializer[dict[str, Any]]):
    strategy = serializers.CharField()
    total_trades = serializers.IntegerField()
    win_rate = serializers.FloatField(allow_null=True)
    sharpe_ratio = serializers.FloatField(allow_null=True)
    max_drawdown = serializers.FloatField(allow_null=True)
    profit_factor = serializers.FloatField(allow_null=True)
    confidence_score = serializers.FloatField()
    ready_for_live = serializers.BooleanField()
    ready_for_live_reason = serializers.CharField()
    computed_at = serializers.DateTimeField()


def _told(item: selectors.SleeveRow) -> dict[str, Any]:
    found = selectors.describe_health(settings.MAGNET_BOOK, item)
    last = found["last_signal_at"]
    return {**found, "last_signal_at": isoformat_z(last) if last else None}


class StrategiesHealthView(APIView):
    """The health of every sleeve; the whole is an error where one is, active where one trades."""

    permission_classes = [needs(Capability.API_READ)]

    @extend_schema(operation_id="strategies_health", responses={200: StrategyList})
    def get(self, request: Request) -> Response:
        rows = [_told(item) for item in selectors.list_sleeves(settings.MAGNET_BOOK)]
        states = {row["status"] for row in rows}
        status = next((word for word in ("error", "active") if word in states), "inactive")
        return Response({"status": status, "strategies": rows})


class StrategyHealthView(APIView):
    """The health of one strategy; a shipped one that the book does not hold is inactive."""

    permission_classes = [needs(Capability.API_READ)]

    @extend_schema(operation_id="strategy_health", responses={200: StrategyHealth})
    def get(self, request: Request, code: str) -> Response:
        found = selectors.find_sleeve(settings.MAGNET_BOOK, code)
        if found is not None:
            return Response(_told(found))
        unused = selectors.describe_unused(code)
        if unused is None:
            raise NotFound(f"there is no strategy {code}", code="no_such_strategy")
        return Response(unused)


class StrategiesPerformanceView(APIView):
    """The newest figures of every sleeve, as ``v_latest_strategy_performance`` has them."""

    permission_classes = [needs(Capability.API_READ)]

    @extend_schema(
        operation_id="strategies_performance", responses={200: StrategyFigures(many=True)}
    )
    def get(self, request: Request) -> Response:
        rows = selectors.latest_performance(settings.MAGNET_BOOK)
        return Response([_figures(row) for row in rows])


def _figures(row: StrategyPerformance) -> dict[str, Any]:
    names = (
        "strategy", "total_trades", "win_rate", "sharpe_ratio", "max_drawdown", "profit_factor",
        "confidence_score", "ready_for_live", "ready_for_live_reason",
    )  # fmt: skip
    return {
        **{name: getattr(row, name) for name in names},
        "computed_at": isoformat_z(row.computed_at),
    }
