"""Backtests over the API: ask for one, read one."""

from __future__ import annotations

from typing import Any

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from magnetfund.core.actors import actor_of
from magnetfund.core.roles import Capability
from magnetfund.kernel.clock import to_milliseconds
from magnetfund.operations.tasks import wake_research
from magnetfund.web.api.access import needs
from magnetfund.web.api.fields import FiniteFloat
from magnetfund.web.api.research_answers import BacktestAnswer, ParameterValue
from trading.domain.market.slices import name_length
from trading.domain.research.parameters import read_parameters
from trading.domain.research.request import (
    CONTROLS_MAX,
    FUNDINGS,
    RESOLUTIONS,
    RULES,
    BacktestRequest,
    SleeveRequest,
)
from trading.domain.research.run import build
from trading.models import ResearchRun, RunState
from trading.selectors import research as selectors
from trading.services.research.backtests import ask_backtest
from trading.services.research.catalogue import load_catalogue


class SleeveField(serializers.Serializer[dict[str, Any]]):
    strategy = serializers.CharField(max_length=60)
    parameters = serializers.DictField(child=ParameterValue(), required=False, default=dict)
    risk_share = FiniteFloat(required=False, default=0.0035, help_text="Share of equity per trade.")


class BacktestBody(serializers.Serializer[dict[str, Any]]):
    sleeves = SleeveField(many=True, allow_empty=False)
    instruments = serializers.ListField(
        child=serializers.CharField(max_length=60), allow_empty=False, max_length=20
    )
    timeframe = serializers.CharField(
        required=False, max_length=4, help_text="That of the strategy if absent."
    )
    resolution = serializers.ChoiceField(
        choices=RESOLUTIONS,
        required=False,
        allow_null=True,
        default=None,
        help_text="Shorter candles on which orders, stops and the fuse execute.",
    )
    start = serializers.DateTimeField(required=False, allow_null=True, default=None)
    end = serializers.DateTimeField(required=False, allow_null=True, default=None)
    unseen_from = serializers.DateTimeField(required=False, allow_null=True, default=None)
    rules = serializers.ChoiceField(choices=RULES, required=False, default="fund")
    funding = serializers.ChoiceField(choices=FUNDINGS, required=False, default="dated")
    fee_rate = FiniteFloat(required=False, allow_null=True, default=None)
    slippage_rate = FiniteFloat(required=False, allow_null=True, default=None)
    cash = FiniteFloat(required=False, default=430_000.0)
    gap_share_max = FiniteFloat(required=False, default=0.01)
    controls = serializers.IntegerField(
        required=False,
        default=0,
        min_value=0,
        max_value=CONTROLS_MAX,
        help_text="Draws of each control beside the run.",
    )


class BacktestsView(APIView):
    """Put a backtest into the queue. Equal inputs lead to the run that exists."""

    permission_classes = [needs(Capability.RESEARCH_RUN)]

    @extend_schema(
        operation_id="start_backtest", request=BacktestBody, responses={202: BacktestAnswer}
    )
    def post(self, request: Request) -> Response:
        body = BacktestBody(data=request.data)
        body.is_valid(raise_exception=True)
        run = ask_backtest(
            request=read_request(body.validated_data),
            actor=actor_of(request),
        )
        wake_research()
        answer = Response(selectors.describe_run(run), status=202)
        answer["Location"] = f"/api/backtests/{run.pk}"
        return answer


class BacktestView(APIView):
    """A backtest: its state while it runs, its figures and verdict once it is done."""

    permission_classes = [needs(Capability.API_READ)]

    @extend_schema(operation_id="read_backtest", responses={200: BacktestAnswer})
    def get(self, request: Request, pk: int) -> Response:
        run = get_object_or_404(
            ResearchRun.objects.defer(*selectors.HEAVY), pk=pk, kind=ResearchRun.Kind.BACKTEST
        )
        plain = selectors.describe_run(run)
        if run.state == RunState.DONE:
            plain["series"] = run.result["figures"]["series"]
        return Response(plain)


def read_request(given: dict[str, Any]) -> BacktestRequest:
    """The request of a validated body; raises :class:`InvalidInput` for a bad parameter."""
    catalogue = load_catalogue()
    sleeves = []
    for item in given["sleeves"]:
        builder = catalogue.builders.get(item["strategy"])
        values = read_parameters(builder, item["parameters"]) if builder else item["parameters"]
        sleeves.append(
            SleeveRequest(
                strategy=item["strategy"], parameters=values, risk_share=item["risk_share"]
            )
        )
    first = build(catalogue.builders, sleeves[0].strategy, sleeves[0].parameters)
    days = {
        name: None if given[name] is None else to_milliseconds(given[name])
        for name in ("start", "end", "unseen_from")
    }
    return BacktestRequest(
        sleeves=tuple(sleeves),
        instruments=tuple(given["instruments"]),
        timeframe=given.get("timeframe") or name_length(first.timeframe_ms),
        start_ms=days["start"],
        end_ms=days["end"],
        unseen_ms=days["unseen_from"],
        rules=given["rules"],
        funding=given["funding"],
        fee_rate=given["fee_rate"],
        slippage_rate=given["slippage_rate"],
        cash=given["cash"],
        gap_share_max=given["gap_share_max"],
        resolution=given["resolution"],
        controls=given["controls"],
    )
