"""Deaths and estates over the API, by the services of the desk."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.parsers import FormParser, MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from investors.models import DeathReport, EstateStep
from investors.services.dealing_import import find_investor
from investors.services.estates import decide_step, propose_step, report_death
from magnetfund.core.actors import actor_of
from magnetfund.core.doors import require_step_up
from magnetfund.core.roles import Capability
from magnetfund.kernel.clock import isoformat_z
from magnetfund.kernel.errors import NotFound
from magnetfund.web.api.access import answer_once, key_of, needs
from magnetfund.web.api.attorneys import DEED_BYTES_MAX
from magnetfund.web.api.money import KEY_HEADER
from magnetfund.web.api.signing import ConflictAnswer

SHOWN = 200


class DeathRequest(serializers.Serializer[Any]):
    investor = serializers.CharField(max_length=20, help_text="The holder's number.")
    deceased = serializers.CharField(max_length=200, help_text="Who died.")
    died_on = serializers.DateField()
    paper = serializers.FileField(max_length=120, help_text="Death certificate; 10 MB at most.")
    idempotency_key = serializers.CharField(max_length=200, required=False)


class EstateStepRequest(serializers.Serializer[Any]):
    kind = serializers.ChoiceField(choices=EstateStep.Kind.choices)
    ground = serializers.CharField(max_length=300, help_text="What it rests on.")
    survivor = serializers.CharField(
        max_length=200, required=False, default="", help_text="Name of the sole holder."
    )
    executor = serializers.CharField(
        max_length=20, required=False, default="", help_text="Number of the executor's own file."
    )
    paper = serializers.FileField(max_length=120, help_text="10 MB at most.")
    idempotency_key = serializers.CharField(max_length=200, required=False)


class EstateDecisionRequest(serializers.Serializer[Any]):
    is_approved = serializers.BooleanField()
    reason = serializers.CharField(max_length=300, required=False, help_text="Why it is declined.")
    idempotency_key = serializers.CharField(max_length=200, required=False)


class EstateStepAnswer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    kind = serializers.ChoiceField(choices=EstateStep.Kind.choices)
    ground = serializers.CharField()
    survivor = serializers.CharField(allow_blank=True)
    executor = serializers.CharField(allow_null=True)
    paper_sha256 = serializers.CharField()
    is_approved = serializers.BooleanField(allow_null=True, help_text="Null while it waits.")


class DeathAnswer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    investor = serializers.CharField()
    deceased = serializers.CharField()
    died_on = serializers.DateField()
    paper_sha256 = serializers.CharField()
    valuation = serializers.UUIDField(allow_null=True, help_text="Paper of the vault.")
    reported_at = serializers.DateTimeField()
    outcome = serializers.CharField(allow_blank=True, help_text="Empty while it is held.")
    steps = EstateStepAnswer(many=True)


class DeathsAnswer(serializers.Serializer[Any]):
    deaths = DeathAnswer(many=True)


def _rows() -> Any:
    return (
        DeathReport.objects.select_related("investor")
        .defer("sealed_content")
        .prefetch_related("steps__executor")
    )


def _step(row: EstateStep) -> dict[str, Any]:
    return {
        "id": str(row.pk),
        "kind": row.kind,
        "ground": row.ground,
        "survivor": row.survivor,
        "executor": row.executor.number if row.executor else None,
        "paper_sha256": row.paper_digest,
        "is_approved": row.is_approved,
    }


def _death(row: DeathReport) -> dict[str, Any]:
    return {
        "id": str(row.pk),
        "investor": row.investor.number,
        "deceased": row.deceased,
        "died_on": row.died_on.isoformat(),
        "paper_sha256": row.paper_digest,
        "valuation": str(row.valuation_id) if row.valuation_id else None,
        "reported_at": isoformat_z(row.reported_at),
        "outcome": row.outcome,
        "steps": [_step(step) for step in row.steps.all()],
    }


def _read(request: Request, form: serializers.Serializer[Any]) -> tuple[dict[str, Any], str, Any]:
    """What was sent with a paper: the fields, the key, and the paper with its content."""
    form.is_valid(raise_exception=True)
    given = dict(form.validated_data)
    key = key_of(request, given.pop("idempotency_key", ""))
    upload = given.pop("paper")
    return given, key, (upload.name, upload.read(DEED_BYTES_MAX + 1))


class _PaperView(APIView):
    """Takes a form with a paper; whoever reads compliance files may look."""

    parser_classes = [MultiPartParser, FormParser]

    def get_permissions(self) -> list[Any]:
        asked = Capability.KYC_REVIEW if self.request.method == "POST" else Capability.KYC_VIEW
        return [needs(asked)()]


class DeathsView(_PaperView):
    """Reported deaths with what was decided, the newest first; a POST reports one, and the account
    is held at once."""

    @extend_schema(operation_id="deaths", responses={200: DeathsAnswer})
    def get(self, request: Request) -> Response:
        return Response({"deaths": [_death(row) for row in _rows()[:SHOWN]]})

    @extend_schema(
        operation_id="death_report",
        request={"multipart/form-data": DeathRequest},
        parameters=[KEY_HEADER],
        responses={201: DeathAnswer},
    )
    def post(self, request: Request) -> HttpResponse:
        require_step_up(request)
        given, key, (name, content) = _read(request, DeathRequest(data=request.data))

        def work() -> tuple[int, dict[str, Any]]:
            row = report_death(
                **{**given, "investor": find_investor(given["investor"])},
                paper_name=name, paper=content, actor=actor_of(request),
            )  # fmt: skip
            return 201, _death(row)

        return answer_once(request, key=key, work=work, upload=content)


class EstateStepsView(_PaperView):
    """Propose what becomes of a report: lift it, leave the account to the survivor, or take the
    executor by the grant of probate."""

    @extend_schema(
        operation_id="estate_propose",
        request={"multipart/form-data": EstateStepRequest},
        parameters=[KEY_HEADER],
        responses={201: EstateStepAnswer},
    )
    def post(self, request: Request, pk: UUID) -> HttpResponse:
        require_step_up(request)
        given, key, (name, content) = _read(request, EstateStepRequest(data=request.data))

        def work() -> tuple[int, dict[str, Any]]:
            report = DeathReport.objects.filter(pk=pk).first()
            if report is None:
                raise NotFound("no such report")
            number = given["executor"]
            row = propose_step(
                **{**given, "executor": find_investor(number) if number else None},
                report=report, paper_name=name, paper=content, actor=actor_of(request),
            )  # fmt: skip
            return 201, _step(row)

        return answer_once(request, key=key, work=work, upload=content)


class EstateDecisionView(APIView):
    """The second person's decision, with a fresh second factor, once this person has signed it at
    the signer (409 signature_missing until then)."""

    permission_classes = [needs(Capability.KYC_APPROVE, Capability.KYC_SENIOR)]

    @extend_schema(
        operation_id="estate_decide",
        request=EstateDecisionRequest,
        parameters=[KEY_HEADER],
        responses={200: EstateStepAnswer, 409: ConflictAnswer},
    )
    def post(self, request: Request, pk: UUID) -> HttpResponse:
        require_step_up(request)
        form = EstateDecisionRequest(data=request.data)
        form.is_valid(raise_exception=True)
        given = dict(form.validated_data)
        key = key_of(request, given.pop("idempotency_key", ""))

        def work() -> tuple[int, dict[str, Any]]:
            row = EstateStep.objects.select_related("report__investor", "executor").filter(pk=pk)
            found = row.first()
            if found is None:
                raise NotFound("no such step")
            return 200, _step(decide_step(proposal=found, actor=actor_of(request), **given))

        return answer_once(request, key=key, work=work)
