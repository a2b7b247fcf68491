"""Dated events over the API: listed, entered, withdrawn."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from magnetfund.core.actors import actor_of
from magnetfund.core.roles import Capability
from magnetfund.web.api.access import needs
from trading.domain.market.blackouts import SPAN_MINUTES_MAX
from trading.services.blackouts import (
    describe_blackout,
    enter_blackout,
    list_blackouts,
    withdraw_blackout,
)

SHOWN = 500


class BlackoutRequest(serializers.Serializer[Any]):
    title = serializers.CharField(max_length=120)
    event_at = serializers.DateTimeField()
    before_minutes = serializers.IntegerField(min_value=0, max_value=SPAN_MINUTES_MAX)
    after_minutes = serializers.IntegerField(min_value=0, max_value=SPAN_MINUTES_MAX)
    instrument = serializers.CharField(
        required=False, max_length=60, help_text="Without one it bars the whole book."
    )


class BlackoutReason(serializers.Serializer[Any]):
    reason = serializers.CharField(max_length=300)


class BlackoutAnswer(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    title = serializers.CharField()
    instrument = serializers.CharField(allow_null=True)
    event_at = serializers.DateTimeField()
    starts_at = serializers.DateTimeField()
    ends_at = serializers.DateTimeField()
    acts_now = serializers.BooleanField()
    withdrawn = serializers.BooleanField()


class BlackoutsView(APIView):
    """Events around which nothing is opened. Entering one takes the right to stop trading."""

    def get_permissions(self) -> list[Any]:
        writes = self.request.method == "POST"
        return [needs(Capability.TRADING_STOP if writes else Capability.API_READ)()]

    @extend_schema(
        operation_id="list_blackouts", request=None, responses={200: BlackoutAnswer(many=True)}
    )
    def get(self, request: Request) -> Response:
        rows = list_blackouts(settings.MAGNET_BOOK).order_by("-event_at", "-id")[:SHOWN]
        return Response([describe_blackout(row) for row in rows])

    @extend_schema(
        operation_id="enter_blackout", request=BlackoutRequest, responses={201: BlackoutAnswer}
    )
    def post(self, request: Request) -> Response:
        body = BlackoutRequest(data=request.data)
        body.is_valid(raise_exception=True)
        given = body.validated_data
        row = enter_blackout(
            book=settings.MAGNET_BOOK,
            title=given["title"],
            event_at=given["event_at"],
            before_minutes=given["before_minutes"],
            after_minutes=given["after_minutes"],
            symbol=given.get("instrument"),
            actor=actor_of(request),
        )
        return Response(describe_blackout(row), status=201)


class BlackoutWithdrawView(APIView):
    """Let entries through again, with a reason."""

    permission_classes = [needs(Capability.LIMITS_PROPOSE)]

    @extend_schema(
        operation_id="withdraw_blackout", request=BlackoutReason, responses={200: BlackoutAnswer}
    )
    def post(self, request: Request, pk: int) -> Response:
        body = BlackoutReason(data=request.data)
        body.is_valid(raise_exception=True)
        row = withdraw_blackout(
            book=settings.MAGNET_BOOK,
            number=pk,
            reason=body.validated_data["reason"],
            actor=actor_of(request),
        )
        return Response(describe_blackout(row))
