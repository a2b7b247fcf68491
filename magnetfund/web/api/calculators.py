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
from magnetfund.web.api.fields import FiniteFloat, number, plain_number
from risk.domain.leverage import (
    CapStatus,
)
from risk.domain.sizing import SizingCase, SizingDecision, size_position
from risk.domain.sizing.comparisons import compare_sizing
from risk.services.limits import limits_in_force
from trading.models import Instrument
from trading.selectors.book import require_instrument
from trading.selectors.calculators import calculate_leverage, calibrate_given_strength
from trading.services.leverage_inputs import read_leverage_inputs

#: Smallest positive float64: what must be above zero, in a field whose bounds are inclusive.
ABOVE_ZERO = 5e-324


class LeverageRequest(serializers.Serializer[Any]):
    primary_magnet_price = FiniteFloat(min_value=ABOVE_ZERO)
    current_price = FiniteFloat(min_value=ABOVE_ZERO)
    magnet_strength = FiniteFloat(
        min_value=ABOVE_ZERO, max_value=100.0, help_text="S, above 0, at most 100"
    )
    conflict_index = FiniteFloat(min_value=0.0, help_text="C, 0 or more")
    volatility_pressure = FiniteFloat(min_value=0.0, help_text="V, 0 or more")
    atr = FiniteFloat(min_value=ABOVE_ZERO, help_text="ATR(14) in price units")
    instrument = serializers.CharField(
        required=False,
        max_length=60,
        help_text="Adds the caps of its volatility, venue and class, for example BTCUSDT.",
    )
    kind = serializers.ChoiceField(
        required=False,
        choices=Instrument.Kind.choices,
        help_text="Adds the cap of the class where no instrument is named.",
    )


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
        decision = calculate_leverage(settings.MAGNET_BOOK, form.validated_data)
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
                "strength_calibrated": calibrate_given_strength(form.validated_data),
                "is_high_tension": decision.is_high_tension,
                "reasoning": decision.reasoning,
                "tier": decision.tier,
                "size_factor": plain_number(decision.size_factor),
                "reasons": [reason.value for reason in decision.reasons],
                "caps": [
                    {
                        "name": cap.name.value,
                        "value": plain_number(cap.value),
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
    equity = FiniteFloat(min_value=ABOVE_ZERO)
    entry_price = FiniteFloat(min_value=ABOVE_ZERO)
    stop_price = FiniteFloat(min_value=ABOVE_ZERO)
    magnet_price = FiniteFloat(min_value=ABOVE_ZERO, required=False, allow_null=True)
    magnet_tier = serializers.IntegerField(min_value=1, max_value=4)
    leverage = FiniteFloat(min_value=ABOVE_ZERO)
    open_positions_value = FiniteFloat(
        required=False,
        default=0.0,
        min_value=0.0,
        help_text="Margin already committed to open positions.",
    )
    instrument = serializers.CharField(required=False, max_length=60)
    win_rate = FiniteFloat(
        required=False, min_value=0.0, max_value=1.0, help_text="For the comparison with Kelly."
    )
    payoff = FiniteFloat(
        required=False, min_value=ABOVE_ZERO, help_text="Mean win over mean loss, for Kelly."
    )
    volatility_target = FiniteFloat(
        required=False,
        min_value=ABOVE_ZERO,
        help_text="Annual, 0.2 for 20 %; compared where the instrument's volatility is known.",
    )


class SizingView(APIView):
    """Position size with the binding limit. Tier 4 returns no trade; a figure that is not a
    positive number is 422."""

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
        lot, minimum, sigma = 1e-8, 0.0, None
        if given.get("instrument"):
            instrument = require_instrument(given["instrument"])
            lot, minimum = float(instrument.lot), float(instrument.minimum_notional)
            if "volatility_target" in given:
                sigma = read_leverage_inputs(instrument).sigma_sample
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
                "position_size": plain_number(decision.notional),
                "margin": plain_number(decision.margin),
                "quantity": plain_number(decision.quantity),
                "position_pct": plain_number(decision.margin_share * 100.0),
                "actual_risk": plain_number(decision.risk),
                "actual_risk_pct": plain_number(decision.risk_share * 100.0),
                "potential_reward": plain_number(decision.reward),
                "risk_reward_ratio": plain_number(decision.reward_risk),
                "safe_to_trade": decision.is_safe,
                "binding_cap": decision.binding_cap.code,
                "gap_loss": plain_number(decision.gap_loss),
                "comparisons": _comparisons(decision, given, sigma=sigma),
                "reasons": [reason.value for reason in decision.reasons],
                "reasoning": decision.reasoning,
            }
        )


def _comparisons(
    decision: SizingDecision, given: dict[str, Any], *, sigma: float | None
) -> list[dict[str, Any]]:
    """What fractional Kelly and a volatility target would have taken; they change nothing."""
    found = compare_sizing(
        decision=decision,
        win_rate=given.get("win_rate"),
        payoff=given.get("payoff"),
        sigma=sigma,
        volatility_target=given.get("volatility_target"),
    )
    return [
        {
            "name": item.name,
            "notional": None if item.notional is None else plain_number(item.notional),
            "ratio": None if item.ratio is None else plain_number(item.ratio),
            "words": item.words,
        }
        for item in found
    ]
