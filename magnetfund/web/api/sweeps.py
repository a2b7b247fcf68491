"""Sweeps over the API: ask for one, read how far it is and what it found, pause and cancel it."""

from __future__ import annotations

from typing import Any

from django.http import Http404
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from magnetfund.core.actors import actor_of
from magnetfund.core.roles import Capability
from magnetfund.kernel.errors import InvalidInput
from magnetfund.operations.tasks import wake_research
from magnetfund.web.api.access import needs
from magnetfund.web.api.research import BacktestBody, read_request
from magnetfund.web.api.research_answers import SweepAnswer
from trading.domain.research.search import OBJECTIVES
from trading.domain.research.space import SEARCHES, VARIANTS_MAX
from trading.models import ResearchRun
from trading.selectors import research as selectors
from trading.services.research.sweep_asking import ask_sweep
from trading.services.research.sweep_control import cancel_run, pause_run, resume_run

MOVES = {"pause": pause_run, "resume": resume_run, "cancel": cancel_run}


class SweepBody(BacktestBody):
    space = serializers.DictField(
        child=serializers.CharField(max_length=400),
        allow_empty=False,
        help_text="By parameter: low:high:step, or values with commas.",
    )
    count = serializers.IntegerField(
        required=False,
        default=0,
        min_value=0,
        max_value=VARIANTS_MAX,
        help_text="So many of the grid, drawn by the seed; 0 is the whole grid.",
    )
    search = serializers.ChoiceField(
        choices=SEARCHES,
        required=False,
        default="grid",
        help_text="tpe tries `count` variants where it learned to look.",
    )
    objectives = serializers.ListField(
        child=serializers.ChoiceField(choices=list(OBJECTIVES)), required=False, default=list
    )
    seed = serializers.IntegerField(required=False, default=1, min_value=0, max_value=2**31)


class SweepsView(APIView):
    """Put a sweep into the queue. Every worker of research takes a share of it."""

    permission_classes = [needs(Capability.RESEARCH_RUN)]

    @extend_schema(operation_id="start_sweep", request=SweepBody, responses={202: SweepAnswer})
    def post(self, request: Request) -> Response:
        body = SweepBody(data=request.data)
        body.is_valid(raise_exception=True)
        given = body.validated_data
        run = ask_sweep(
            request=read_request(given),
            space=given["space"],
            count=given["count"],
            seed=given["seed"],
            search=given["search"],
            objectives=given["objectives"],
            actor=actor_of(request),
        )
        wake_research()
        answer = Response(selectors.describe_run(run), status=202)
        answer["Location"] = f"/api/sweeps/{run.pk}"
        return answer


class SweepView(APIView):
    """A sweep: how far it is while it runs, its best variants and verdict once it is done."""

    permission_classes = [needs(Capability.API_READ)]

    @extend_schema(operation_id="read_sweep", responses={200: SweepAnswer})
    def get(self, request: Request, pk: int) -> Response:
        return Response(_describe(_find(pk)))


class SweepMoveView(APIView):
    """Pause, resume or cancel a sweep; what it finished by then stays stored and counts."""

    permission_classes = [needs(Capability.RESEARCH_RUN)]

    @extend_schema(
        operation_id="move_sweep",
        parameters=[OpenApiParameter("move", enum=list(MOVES), location="path")],
        request=None,
        responses={200: SweepAnswer},
    )
    def post(self, request: Request, pk: int, move: str) -> Response:
        if move not in MOVES:
            raise Http404
        run = _find(pk)
        actor = actor_of(request)
        if not MOVES[move](run=run, actor=actor):
            raise InvalidInput(f"sweep {run.pk} is {run.state}", code="wrong_state")
        if move == "resume":
            wake_research()
        return Response(_describe(_find(pk)))


def _find(pk: int) -> ResearchRun:
    return get_object_or_404(
        ResearchRun.objects.defer(*selectors.HEAVY), pk=pk, kind=ResearchRun.Kind.SWEEP
    )


def _describe(run: ResearchRun) -> dict[str, Any]:
    found = selectors.find_progress(run)
    chunks = None
    if found is not None:
        chunks = {
            "variants": found.variants,
            "variants_done": found.variants_done,
            "workers": found.workers,
            "new_trials": found.trials,
        }
    return {**selectors.describe_run(run), "chunks": chunks}
