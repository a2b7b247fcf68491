"""Leverage and sizing of one case, for any signed-in client: pure, nothing is stored."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from magnetfund.core.roles import Capability
from magnetfund.web.api.access import needs
from magnetfund.web.api.fields import FiniteFloat, number
from risk.domain.leverage import CapStatus, LeverageCase, choose_leverage
from risk.domain.sizing import SizingCase, size_position
from risk.services.limits import limits_in_force
from trading.services.manual_plan import find_instrument


class LeverageRequest(serializers.Serializer[Any]):
    primary_magnet_price = FiniteFloat()
    current_price = FiniteFloat()
    magnet_strength = FiniteFloat(help_text="S, 0 to 100")
    conflict_index = FiniteFloat(help_text="C, 0 or more")
    volatility_pressure = FiniteFloat(help_text="V, 0 or more")
    atr = FiniteFloat(help_text="ATR(14) in price units")
    instrument = serializers.CharField(required=False, max_length=60)
    kind = serializers.CharField(required=False, max_length=30)


class LeverageView(APIView):
    """Leverage ``L = (D x S) / (1 + C + V)``, limited to 1.00x-3.00x and by every cap whose
    inputs are given."""

    permission_classes = [needs(Capability.API_READ)]

    @extend_schema(
        operation_id="calculate_leverage",
        request=LeverageRequest,
        responses={200: OpenApiTypes.OBJECT},
    )
    def post(self, request: Request) -> Response:
        form = LeverageRequest(data=request.data)
        form.is_valid(raise_exception=True)
        given = form.validated_data
        decision = choose_leverage(
            case=LeverageCase(
                price=given["current_price"],
                magnet_price=given["primary_magnet_price"],
                atr=given["atr"],
                strength=given["magnet_strength"],
                conflict=given["conflict_index"],
                volatility=given["volatility_pressure"],
            ),
            limits=limits_in_force(settings.MAGNET_BOOK),
        )
        return Response(
            {
                "leverage": decision.leverage,
                "raw_leverage": number(decision.raw_leverage),
                "components": {
                    "distance": decision.distance,
                    "strength": decision.strength_share,
                    "conflict": number(decision.conflict),
                    "volatility": number(decision.volatility),
                },
                "is_high_tension": decision.is_high_tension,
                "reasoning": decision.reasoning,
                "tier": decision.tier,
                "size_factor": decision.size_factor,
                "reasons": [reason.value for reason in decision.reasons],
                "caps": [
                    {
                        "name": cap.name.value,
                        "value": number(cap.value),
                        "binding": cap.is_binding,
                        "not_evaluated": cap.status is CapStatus.NOT_EVALUATED,
                        "status": cap.status.value,
                        "words": cap.words,
                    }
                    for cap in decision.caps
                ],
            }
        )


class SizingRequest(serializers.Serializer[Any]):
    equity = FiniteFloat()
    entry_price = FiniteFloat()
    stop_price = FiniteFloat()
    magnet_price = FiniteFloat(required=False, allow_null=True)
    magnet_tier = serializers.IntegerField(min_value=1, max_value=4)
    leverage = FiniteFloat()
    open_positions_value = FiniteFloat(
        required=False,
        default=0.0,
        min_value=0.0,
        help_text="Margin already committed to open positions.",
    )
    instrument = serializers.CharField(required=False, max_length=60)


class SizingView(APIView):
    """Position size with the binding limit. Tier 4 or invalid input returns no trade."""

    permission_classes = [needs(Capability.API_READ)]

    @extend_schema(
        operation_id="calculate_sizing",
        request=SizingRequest,
        responses={200: OpenApiTypes.OBJECT},
    )
    def post(self, request: Request) -> Response:
        form = SizingRequest(data=request.data)
        form.is_valid(raise_exception=True)
        given = form.validated_data
        lot, minimum = 1e-8, 0.0
        if given.get("instrument"):
            instrument = find_instrument(given["instrument"])
            lot, minimum = float(instrument.lot), float(instrument.minimum_notional)
        decision = size_position(
            case=SizingCase(
                equity=given["equity"],
                entry_price=given["entry_price"],
                stop_price=given["stop_price"],
                target_price=given.get("magnet_price"),
                leverage=given["leverage"],
                lot_units=lot,
                tier=given["magnet_tier"],
                notional_min=minimum,
                margin_open_total=given["open_positions_value"],
            ),
            limits=limits_in_force(settings.MAGNET_BOOK),
        )
        return Response(
            {
                "position_size": number(decision.notional),
                "margin": number(decision.margin),
                "quantity": number(decision.quantity),
                "position_pct": number(decision.margin_share * 100.0),
                "actual_risk": number(decision.risk),
                "actual_risk_pct": number(decision.risk_share * 100.0),
                "potential_reward": number(decision.reward),
                "risk_reward_ratio": number(decision.reward_risk),
                "safe_to_trade": decision.is_safe,
                "binding_cap": decision.binding_cap.code,
                "gap_loss": number(decision.gap_loss),
                "reasons": [reason.value for reason in decision.reasons],
                "reasoning": decision.reasoning,
            }
        )
