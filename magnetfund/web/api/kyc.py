"""KYC files over the API: read them, and every step by the services of the desk."""

from __future__ import annotations

import hashlib
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.http import Http404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.throttling import ScopedRateThrottle, SimpleRateThrottle
from rest_framework.views import APIView

from investors.domain.onboarding import FACTORS, POINTS_MAX, KycState
from investors.models import Investor, KycCheck, Screening
from investors.services.applications import start_application
from investors.services.founding import KINDS
from investors.services.kyc import move_case, sign_review
from investors.services.kyc_file import show_file
from investors.services.kyc_work import decide_hit, note_check, rate_case, record_screening
from magnetfund.core.actors import actor_of
from magnetfund.core.doors import require_step_up
from magnetfund.core.roles import Capability
from magnetfund.kernel.clock import isoformat_z, utc_now
from magnetfund.web.api.access import needs
from magnetfund.web.api.signing import ConflictAnswer

PAGE_SIZE = 100


class MailThrottle(SimpleRateThrottle):
    """Mails to one address, whoever asks for them."""

    scope = "register_mail"

    def get_cache_key(self, request: Request, view: APIView) -> str | None:
        given = request.data.get("email") if isinstance(request.data, dict) else None
        if not isinstance(given, str):
            return None
        name = hashlib.sha256(given.strip().lower().encode()).hexdigest()
        return self.cache_format % {"scope": self.scope, "ident": name}


class CheckLine(serializers.Serializer[Any]):
    item = serializers.CharField()
    outcome = serializers.CharField(allow_null=True)
    evidence = serializers.CharField()


class HitLine(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    party = serializers.CharField()
    list = serializers.CharField()
    version = serializers.CharField()
    match = serializers.CharField()
    score = serializers.FloatField(allow_null=True)
    outcome = serializers.CharField()


class CaseAnswer(serializers.Serializer[Any]):
    investor_id = serializers.UUIDField()
    number = serializers.CharField()
    kind = serializers.CharField()
    state = serializers.CharField()
    risk = serializers.CharField(allow_blank=True)
    is_politically_exposed = serializers.BooleanField()
    review_due = serializers.DateField(allow_null=True)
    content_hash = serializers.CharField(help_text="What a signature is on.")
    needs = serializers.ListField(child=serializers.CharField())
    possible = serializers.ListField(
        child=serializers.CharField(), help_text="States that the caller can move the file to."
    )
    checklist = CheckLine(many=True)
    screenings = HitLine(many=True)


class CaseLine(serializers.Serializer[Any]):
    investor_id = serializers.UUIDField()
    number = serializers.CharField()
    name = serializers.CharField()
    state = serializers.CharField()


class CasesAnswer(serializers.Serializer[Any]):
    cases = CaseLine(many=True)
    next = serializers.CharField(allow_null=True, help_text="Number to ask on after.")


class CheckBody(serializers.Serializer[Any]):
    item = serializers.CharField(max_length=20)
    outcome = serializers.ChoiceField(choices=KycCheck.Outcome.values)
    evidence = serializers.CharField(max_length=300)


class RatingBody(serializers.Serializer[Any]):
    points = serializers.DictField(
        child=serializers.IntegerField(min_value=1, max_value=POINTS_MAX),
        help_text=f"Points for each of: {', '.join(FACTORS)}.",
    )
    is_politically_exposed = serializers.BooleanField()
    reason = serializers.CharField(max_length=500)


class ScreeningBody(serializers.Serializer[Any]):
    party = serializers.CharField(max_length=200)
    kind = serializers.ChoiceField(choices=Screening.Kind.values)
    list_name = serializers.CharField(max_length=60)
    list_version = serializers.CharField(max_length=80)
    match = serializers.CharField(
        max_length=300, required=False, default="", allow_blank=True, help_text="Empty for none."
    )
    match_id = serializers.CharField(max_length=80, required=False, default="", allow_blank=True)
    score = serializers.FloatField(
        required=False, allow_null=True, default=None, min_value=0, max_value=1
    )


class DecisionBody(serializers.Serializer[Any]):
    hit = serializers.IntegerField(min_value=1, max_value=2**62)
    is_same_person = serializers.BooleanField()
    reason = serializers.CharField(max_length=500)


class ReviewBody(serializers.Serializer[Any]):
    content_hash = serializers.CharField(max_length=64)
    reason = serializers.CharField(max_length=500, required=False, default="", allow_blank=True)


class MoveBody(serializers.Serializer[Any]):
    to = serializers.ChoiceField(choices=[state.value for state in KycState])
    content_hash = serializers.CharField(
        max_length=64, required=False, default="", allow_blank=True
    )
    reason = serializers.CharField(max_length=500, required=False, default="", allow_blank=True)
    message = serializers.CharField(
        max_length=1000, required=False, default="", allow_blank=True,
        help_text="Mailed to the investor where more is asked for.",
    )  # fmt: skip


class _CaseView(APIView):
    permission_classes = [needs(Capability.KYC_VIEW)]

    def find(self, pk: UUID) -> Investor:
        found = Investor.objects.select_related("user").filter(pk=pk).first()
        if found is None:
            raise Http404
        return found

    def answer(self, request: Request, investor: Investor, status: int = 200) -> Response:
        investor.refresh_from_db()
        shown = show_file(investor, actor=actor_of(request))
        return Response(
            {
                "investor_id": str(investor.pk),
                "number": investor.number,
                "kind": investor.kind,
                "state": investor.kyc_state,
                "risk": shown.case.risk,
                "is_politically_exposed": shown.case.is_politically_exposed,
                "review_due": shown.case.review_due.isoformat() if shown.case.review_due else None,
                "content_hash": shown.content_hash,
                "needs": list(shown.needs),
                "possible": [state.value for state in shown.possible],
                "checklist": [
                    {
                        "item": line.item,
                        "outcome": line.note.outcome if line.note else None,
                        "evidence": line.note.evidence if line.note else "",
                    }
                    for line in shown.checklist
                ],
                "screenings": [
                    {
                        "id": line.row.pk,
                        "party": line.row.party,
                        "list": line.row.list_name,
                        "version": line.row.list_version,
                        "match": line.row.match,
                        "score": line.row.score,
                        "outcome": line.outcome,
                    }
                    for line in shown.screenings
                ],
            },
            status=status,
        )


class CasesView(APIView):
    """Files by number, at most 100 at a time."""

    permission_classes = [needs(Capability.KYC_VIEW)]

    @extend_schema(
        operation_id="kyc_cases",
        parameters=[
            OpenApiParameter("state", OpenApiTypes.STR),
            OpenApiParameter("after", OpenApiTypes.STR),
        ],
        responses={200: CasesAnswer},
    )
    def get(self, request: Request) -> Response:
        rows: QuerySet[Investor] = Investor.objects.order_by("number")
        if state := request.query_params.get("state", ""):
            rows = rows.filter(kyc_state=state[:16])
        if after := request.query_params.get("after", ""):
            rows = rows.filter(number__gt=after[:20])
        found = list(rows[: PAGE_SIZE + 1])
        return Response(
            {
                "cases": [
                    {
                        "investor_id": str(row.pk),
                        "number": row.number,
                        "name": row.legal_name,
                        "state": row.kyc_state,
                    }
                    for row in found[:PAGE_SIZE]
                ],
                "next": found[PAGE_SIZE - 1].number if len(found) > PAGE_SIZE else None,
            }
        )


class CaseView(_CaseView):
    """One file as its signer is shown it."""

    @extend_schema(operation_id="kyc_case", responses={200: CaseAnswer})
    def get(self, request: Request, pk: UUID) -> Response:
        return self.answer(request, self.find(pk))


class ChecksView(_CaseView):
    """Note an item of the checklist."""

    @extend_schema(operation_id="kyc_check", request=CheckBody, responses={201: CaseAnswer})
    def post(self, request: Request, pk: UUID) -> Response:
        investor, given = self.find(pk), _read(CheckBody, request)
        note_check(investor=investor, actor=actor_of(request), **given)
        return self.answer(request, investor, 201)


class RatingView(_CaseView):
    """Rate the risk of a file."""

    @extend_schema(operation_id="kyc_rating", request=RatingBody, responses={201: CaseAnswer})
    def post(self, request: Request, pk: UUID) -> Response:
        investor, given = self.find(pk), _read(RatingBody, request)
        rate_case(investor=investor, actor=actor_of(request), **given)
        return self.answer(request, investor, 201)


class ScreeningsView(_CaseView):
    """Record what an outside service answered: the hook of a vendor."""

    @extend_schema(operation_id="kyc_screening", request=ScreeningBody, responses={201: CaseAnswer})
    def post(self, request: Request, pk: UUID) -> Response:
        investor, given = self.find(pk), _read(ScreeningBody, request)
        record_screening(investor=investor, actor=actor_of(request), **given)
        return self.answer(request, investor, 201)


class DecisionsView(_CaseView):
    """Decide whether a hit is the person."""

    @extend_schema(operation_id="kyc_decision", request=DecisionBody, responses={201: CaseAnswer})
    def post(self, request: Request, pk: UUID) -> Response:
        investor, given = self.find(pk), _read(DecisionBody, request)
        hit = Screening.objects.filter(pk=given.pop("hit"), investor=investor).first()
        if hit is None:
            raise Http404
        decide_hit(hit=hit, actor=actor_of(request), **given)
        return self.answer(request, investor, 201)


class ReviewView(_CaseView):
    """First signature, on the content of the hash, with a fresh second factor."""

    @extend_schema(operation_id="kyc_review", request=ReviewBody, responses={201: CaseAnswer})
    def post(self, request: Request, pk: UUID) -> Response:
        require_step_up(request)
        investor, given = self.find(pk), _read(ReviewBody, request)
        sign_review(
            investor=investor, seen_hash=given["content_hash"], reason=given["reason"],
            actor=actor_of(request),
        )  # fmt: skip
        return self.answer(request, investor, 201)


class MovesView(_CaseView):
    """Move a file, with a fresh second factor; an approval is on the content of the hash, by
    another person, who has signed it at the signer (409 signature_missing until then)."""

    @extend_schema(
        operation_id="kyc_move",
        request=MoveBody,
        responses={201: CaseAnswer, 409: ConflictAnswer},
    )
    def post(self, request: Request, pk: UUID) -> Response:
        require_step_up(request)
        investor, given = self.find(pk), _read(MoveBody, request)
        move_case(
            investor=investor, to=KycState(given["to"]), reason=given["reason"],
            seen_hash=given["content_hash"], message=given["message"], actor=actor_of(request),
        )  # fmt: skip
        return self.answer(request, investor, 201)


class RegisterBody(serializers.Serializer[Any]):
    email = serializers.EmailField(max_length=254)
    kind = serializers.ChoiceField(choices=KINDS, required=False, default="person")


class RegisterAnswer(serializers.Serializer[Any]):
    status = serializers.ChoiceField(choices=["pending_verification"])
    sent_at = serializers.DateTimeField()


class RegisterView(APIView):
    """Begin an application: the link to go on is mailed. The answer is the same whatever the
    address is, so it names no investor."""

    permission_classes = [AllowAny]
    authentication_classes: list[Any] = []
    throttle_classes = [ScopedRateThrottle, MailThrottle]
    throttle_scope = "sign_in"

    @extend_schema(
        operation_id="investor_register", request=RegisterBody, responses={202: RegisterAnswer}
    )
    def post(self, request: Request) -> Response:
        given = _read(RegisterBody, request)
        start_application(kind=given["kind"], email=given["email"])
        return Response(
            {"status": "pending_verification", "sent_at": isoformat_z(utc_now())}, status=202
        )


def _read(form: type[serializers.Serializer[Any]], request: Request) -> dict[str, Any]:
    body = form(data=request.data)
    body.is_valid(raise_exception=True)
    found: dict[str, Any] = dict(body.validated_data)
    return found
