"""The fund's figures, trades, positions and fuse; one trade; the emergency stop."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection
from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from magnetfund.core.actors import actor_of
from magnetfund.core.doors import require_step_up_for_order
from magnetfund.core.roles import Capability
from magnetfund.core.services.idempotency import StoredAnswer, find_outcome, store_outcome
from magnetfund.kernel.clock import isoformat_z
from magnetfund.kernel.errors import InvalidInput, Unavailable
from magnetfund.web.api.access import StopThrottle, answer_once, needs, principal_of, respond
from magnetfund.web.api.fields import ExactDecimal, number, plain, plain_number
from risk.models import FuseEvent
from risk.services.fuse import state_of
from risk.services.limits import limits_in_force
from risk.services.stop import stop_trading
from trading import selectors
from trading.domain.orders import FINAL_STATES
from trading.models import Position
from trading.services.closing import wait_until_flat
from trading.services.manual import ring_bell, submit_manual_order, wait_for_outcome
from trading.services.manual_plan import ManualOrder


class CurrentPerformanceView(APIView):
    permission_classes = [AllowAny]

    @extend_schema(operation_id="current_performance", responses={200: OpenApiTypes.OBJECT})
    def get(self, request: Request) -> Response:
        book = settings.MAGNET_BOOK
        found = selectors.current_performance(book)
        if found is None:
            raise Unavailable("the fund has no valuation yet", code="no_valuation")
        return Response(
            {
                "equity": number(found.equity),
                "daily_pnl": number(found.daily_pnl),
                "daily_pnl_percent": number(found.daily_pnl_percent),
                "return_30d": number(found.return_30d),
                "return_since_inception": plain_number(found.return_since_inception),
                "max_drawdown": number(found.max_drawdown),
                "sharpe_ratio": number(found.sharpe_ratio),
                "open_positions": found.open_positions,
                "leverage_used": number(found.leverage_used),
                "fuse_status": state_of(book),
                "as_of": isoformat_z(found.as_of),
                # The numbers above are those of the first clients; money is exact here.
                "money": {
                    "currency": "USD",
                    "equity": plain(found.equity),
                    "daily_pnl": plain(round(found.daily_pnl, 8)),
                },
            }
        )


class PerformanceHistoryView(APIView):
    permission_classes = [AllowAny]

    @extend_schema(
        operation_id="performance_history",
        parameters=[
            OpenApiParameter("period", str, enum=list(selectors.PERIODS)),
            OpenApiParameter("interval", str, enum=list(selectors.INTERVALS)),
        ],
        responses={200: OpenApiTypes.OBJECT},
    )
    def get(self, request: Request) -> Response:
        period = request.query_params.get("period", "30d")
        interval = request.query_params.get("interval", "1h")
        if period not in selectors.PERIODS or interval not in selectors.INTERVALS:
            raise InvalidInput(
                "unknown period or interval; see details for the allowed values",
                details={
                    "period": list(selectors.PERIODS),
                    "interval": list(selectors.INTERVALS),
                },
            )
        points = selectors.performance_series(
            settings.MAGNET_BOOK, period=period, interval=interval
        )
        return Response(
            {
                "period": period,
                "interval": interval,
                "points": [
                    {
                        "at": isoformat_z(point.at),
                        "equity": plain(point.equity),
                        "unit_value": plain(point.unit_value),
                        "drawdown": plain_number(round(point.drawdown * 100.0, 6)),
                    }
                    for point in points
                ],
            }
        )


class RecentTradesView(APIView):
    permission_classes = [AllowAny]

    @extend_schema(
        operation_id="recent_trades",
        parameters=[OpenApiParameter("limit", int)],
        responses={200: OpenApiTypes.OBJECT},
    )
    def get(self, request: Request) -> Response:
        try:
            limit = int(request.query_params.get("limit", "20"))
        except ValueError:
            raise InvalidInput("limit must be a whole number") from None
        if not 1 <= limit <= selectors.LIST_MAX:
            raise InvalidInput(f"limit must lie between 1 and {selectors.LIST_MAX}")
        trades = selectors.recent_trades(settings.MAGNET_BOOK, limit=limit)
        return Response(
            {
                "trades": [
                    {
                        "id": str(trade.id),
                        "instrument": trade.instrument.symbol,
                        "strategy": trade.strategy,
                        "direction": trade.direction,
                        "entry": plain(trade.entry_price),
                        "exit": plain(trade.exit_price),
                        "pnl": plain(trade.net_pnl),
                        "leverage": plain_float(trade.leverage),
                        "tier": trade.tier,
                        "closure_reason": trade.closure_reason,
                        "opened_at": isoformat_z(trade.opened_at),
                        "closed_at": isoformat_z(trade.closed_at),
                    }
                    for trade in trades
                ]
            }
        )


def plain_float(value: float) -> str:
    """A ratio as an exact string, two places."""
    return f"{value:.2f}"


class OpenPositionsView(APIView):
    permission_classes = [needs(Capability.DESK_VIEW, Capability.API_EXECUTE)]

    @extend_schema(operation_id="open_positions", responses={200: OpenApiTypes.OBJECT})
    def get(self, request: Request) -> Response:
        return Response(
            {
                "positions": [
                    {
                        "position_id": row.pk,
                        "instrument": row.instrument.symbol,
                        "strategy": row.strategy,
                        "direction": "long" if row.quantity > 0 else "short",
                        "quantity": plain(abs(row.quantity)),
                        "entry_price": plain(row.average_price),
                        "stop_price": plain(row.stop_price),
                        "target_price": plain(row.target_price),
                        "liquidation_price": plain(row.liquidation_price),
                        "leverage": plain_float(row.leverage),
                        "tier": row.tier,
                        "opened_at": isoformat_z(row.opened_at) if row.opened_at else None,
                    }
                    for row in selectors.open_positions(settings.MAGNET_BOOK)
                ]
            }
        )


class FuseStatusView(APIView):
    permission_classes = [needs(Capability.API_READ)]

    @extend_schema(operation_id="fuse_status", responses={200: OpenApiTypes.OBJECT})
    def get(self, request: Request) -> Response:
        book = settings.MAGNET_BOOK
        state = state_of(book)
        limits = limits_in_force(book)
        newest = selectors.latest_valuation(book)
        threshold = float(limits.daily_loss_share)
        loss = 0.0
        if newest is not None:
            loss = float(newest.unit_value / newest.day_start_unit_value - 1)
        events = FuseEvent.objects.filter(book=book).order_by("-occurred_at", "-recorded_at")[:10]
        warnings = [e for e in events if e.kind in ("tripped", "reducing", "deepened", "locked")]
        return Response(
            {
                "armed": state == "ARMED",
                "state": state,
                "daily_loss": plain_number(round(loss * 100.0, 6)),
                "threshold": plain_number(round(-threshold * 100.0, 6)),
                "distance_to_trigger": plain_number(round((loss + threshold) * 100.0, 6)),
                "last_warning": isoformat_z(warnings[0].occurred_at) if warnings else None,
                "triggers": [
                    {
                        "trigger": event.trigger,
                        "kind": event.kind,
                        "scope": event.scope,
                        "at": isoformat_z(event.occurred_at),
                        "reason": event.reason,
                    }
                    for event in events
                ],
            }
        )


class ExecuteRequest(serializers.Serializer[Any]):
    idempotency_key = serializers.CharField(max_length=200)
    symbol = serializers.CharField(max_length=60)
    direction = serializers.ChoiceField(choices=["long", "short"])
    magnet_tier = serializers.IntegerField(min_value=1, max_value=4)
    entry_price = ExactDecimal(min_value=0)
    stop_price = ExactDecimal(min_value=0)
    target_price = ExactDecimal(min_value=0, required=False, allow_null=True)


class ExecuteView(APIView):
    """Place one order. Idempotent: the same key and body return the stored answer."""

    permission_classes = [needs(Capability.API_EXECUTE, Capability.ORDER_SUBMIT)]

    @extend_schema(
        operation_id="execute_trade",
        request=ExecuteRequest,
        responses={200: OpenApiTypes.OBJECT, 422: OpenApiTypes.OBJECT},
    )
    def post(self, request: Request) -> HttpResponse:
        form = ExecuteRequest(data=request.data)
        form.is_valid(raise_exception=True)
        given = form.validated_data
        key = given["idempotency_key"]
        require_step_up_for_order(request, None)

        def work() -> tuple[int, dict[str, Any]]:
            order = submit_manual_order(
                ManualOrder(
                    book=settings.MAGNET_BOOK,
                    symbol=given["symbol"],
                    direction=given["direction"],
                    tier=given["magnet_tier"],
                    entry_price=given["entry_price"],
                    stop_price=given["stop_price"],
                    target_price=given.get("target_price"),
                ),
                actor=actor_of(request),
            )
            return 422 if order.state == "DENIED" else 202, _order_body(order)

        answer = answer_once(request, key=key, work=work)
        if answer.status_code != 202:
            return answer
        return self._outcome(request, key, answer)

    def _outcome(self, request: Request, key: str, accepted: HttpResponse) -> HttpResponse:
        """Return the outcome of a committed intent, and store it for replays."""
        principal = principal_of(request)
        stored = find_outcome(principal=principal, key=key)
        if stored is None:
            order = wait_for_outcome(UUID(json.loads(accepted.content)["order_id"]))
            if order.state not in FINAL_STATES:
                return accepted
            body = json.dumps(_order_body(order)).encode()
            status = 200 if order.state == "FILLED" else 409
            stored = store_outcome(
                principal=principal, key=key, answer=StoredAnswer(status=status, body=body)
            )
        return respond(stored)


def _order_body(order: Any) -> dict[str, Any]:
    if order.state == "DENIED":
        return {
            "error": {
                "code": "denied",
                "message": "denied by the pre-trade check; see codes",
                "details": {"order_id": str(order.id), "codes": list(order.denial_codes)},
            }
        }
    position = Position.objects.filter(
        book=order.book, instrument=order.instrument, strategy=order.strategy
    ).first()
    return {
        "order_id": str(order.id),
        "status": order.state.lower(),
        "quantity": plain(order.quantity),
        "executed_price": plain(order.average_price),
        "position_id": position.pk if position is not None and position.quantity else None,
    }


class StopRequest(serializers.Serializer[Any]):
    reason = serializers.CharField(max_length=300)


class EmergencyStopView(APIView):
    """Trip the fuse and close all positions. Safe to repeat."""

    permission_classes = [needs(Capability.TRADING_STOP)]
    throttle_classes = [StopThrottle]

    @extend_schema(
        operation_id="emergency_stop",
        request=StopRequest,
        responses={200: OpenApiTypes.OBJECT},
    )
    def post(self, request: Request) -> Response:
        form = StopRequest(data=request.data)
        form.is_valid(raise_exception=True)
        book = settings.MAGNET_BOOK
        event = stop_trading(
            book=book,
            reason=form.validated_data["reason"],
            actor=actor_of(request),
        )
        ring_bell()
        with connection.cursor() as cursor:
            before, left = wait_until_flat(cursor, book)
        return Response(
            {
                "stopped": True,
                "positions_closed": before - left,
                "positions_left": left,
                "event_id": event.pk,
                "barrier": event.measured,
                "at": isoformat_z(event.occurred_at),
            }
        )
