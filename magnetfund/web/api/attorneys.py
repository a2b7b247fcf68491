"""Powers of attorney over the API: the house's list and decisions, a holder's own and its end."""

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

from investors.models import PowerOfAttorney
from investors.services.attorneys import decide_power, propose_power, revoke_power
from investors.services.dealing_import import find_investor
from magnetfund.core.actors import actor_of
from magnetfund.core.doors import require_step_up
from magnetfund.core.roles import Capability
from magnetfund.kernel.clock import isoformat_z
from magnetfund.kernel.errors import NotFound
from magnetfund.web.api.access import answer_once, key_of, needs
from magnetfund.web.api.investors import OwnView
from magnetfund.web.api.money import KEY_HEADER
from magnetfund.web.api.signing import ConflictAnswer

SHOWN = 200
DEED_BYTES_MAX = 10 * 1024 * 1024


class PowerRequest(serializers.Serializer[Any]):
    investor = serializers.CharField(max_length=20, help_text="The holder's number.")
    attorney = serializers.CharField(
        max_length=20, help_text="Number of the attorney's own file, approved as an investor's."
    )
    may_subscribe = serializers.BooleanField(required=False, default=False)
    may_redeem = serializers.BooleanField(
        required=False, default=False, help_text="Redeem and switch."
    )
    may_change_account = serializers.BooleanField(
        required=False, default=False, help_text="Ask for other bank details, by the deed."
    )
    first_day = serializers.DateField()
    last_day = serializers.DateField()
    deed = serializers.FileField(max_length=120, help_text="PDF, JPEG or PNG; 10 MB at most.")
    idempotency_key = serializers.CharField(max_length=200, required=False)


class PowerDecisionRequest(serializers.Serializer[Any]):
    is_approved = serializers.BooleanField()
    reason = serializers.CharField(max_length=300, required=False, help_text="Why it is declined.")
    idempotency_key = serializers.CharField(max_length=200, required=False)


class PowerEndRequest(serializers.Serializer[Any]):
    reason = serializers.CharField(
        max_length=300, required=False, default="", help_text="Needed of compliance."
    )
    idempotency_key = serializers.CharField(max_length=200, required=False)


class PowerAnswer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    investor = serializers.CharField(help_text="The holder's number.")
    attorney = serializers.CharField(help_text="Number of the attorney's own file.")
    attorney_name = serializers.CharField()
    may_subscribe = serializers.BooleanField()
    may_redeem = serializers.BooleanField()
    may_change_account = serializers.BooleanField()
    first_day = serializers.DateField()
    last_day = serializers.DateField()
    deed_sha256 = serializers.CharField()
    state = serializers.ChoiceField(
        choices=["proposed", "declined", "ahead", "active", "resting", "lapsed", "ended"]
    )
    decided_at = serializers.DateTimeField(allow_null=True)
    ended_at = serializers.DateTimeField(allow_null=True)
    end_reason = serializers.CharField()


class PowersAnswer(serializers.Serializer[Any]):
    powers = PowerAnswer(many=True)


def _answer(row: PowerOfAttorney) -> dict[str, Any]:
    return {
        "id": str(row.pk),
        "investor": row.investor.number,
        "attorney": row.attorney.number,
        "attorney_name": row.attorney.legal_name,
        "may_subscribe": row.may_subscribe,
        "may_redeem": row.may_redeem,
        "may_change_account": row.may_change_account,
        "first_day": row.first_day.isoformat(),
        "last_day": row.last_day.isoformat(),
        "deed_sha256": row.deed_digest,
        "state": row.state,
        "decided_at": None if row.decided_at is None else isoformat_z(row.decided_at),
        "ended_at": None if row.ended_at is None else isoformat_z(row.ended_at),
        "end_reason": row.end_reason,
    }


def _rows() -> Any:
    return PowerOfAttorney.objects.select_related("investor__user", "attorney__user").defer(
        "sealed_content"
    )


class PowersView(APIView):
    """Every power of attorney, the newest first; a POST proposes one with its deed."""

    parser_classes = [MultiPartParser, FormParser]

    def get_permissions(self) -> list[Any]:
        asked = Capability.KYC_REVIEW if self.request.method == "POST" else Capability.KYC_VIEW
        return [needs(asked)()]

    @extend_schema(operation_id="powers", responses={200: PowersAnswer})
    def get(self, request: Request) -> Response:
        return Response({"powers": [_answer(row) for row in _rows()[:SHOWN]]})

    @extend_schema(
        operation_id="power_propose",
        request={"multipart/form-data": PowerRequest},
        parameters=[KEY_HEADER],
        responses={201: PowerAnswer},
    )
    def post(self, request: Request) -> HttpResponse:
        require_step_up(request)
        form = PowerRequest(data=request.data)
        form.is_valid(raise_exception=True)
        given = dict(form.validated_data)
        key = key_of(request, given.pop("idempotency_key", ""))
        upload = given.pop("deed")
        deed = upload.read(DEED_BYTES_MAX + 1)

        def work() -> tuple[int, dict[str, Any]]:
            row = propose_power(
                **{
                    **given,
                    "investor": find_investor(given["investor"]),
                    "attorney": find_investor(given["attorney"]),
                },
                deed_name=upload.name, deed=deed, actor=actor_of(request),
            )  # fmt: skip
            return 201, _answer(row)

        return answer_once(request, key=key, work=work, upload=deed)


class PowerDecisionView(APIView):
    """The second person's decision, with a fresh second factor, once this person has signed it at
    the signer (409 signature_missing until then)."""

    permission_classes = [needs(Capability.KYC_APPROVE, Capability.KYC_SENIOR)]

    @extend_schema(
        operation_id="power_decide",
        request=PowerDecisionRequest,
        parameters=[KEY_HEADER],
        responses={200: PowerAnswer, 409: ConflictAnswer},
    )
    def post(self, request: Request, pk: UUID) -> HttpResponse:
        require_step_up(request)
        form = PowerDecisionRequest(data=request.data)
        form.is_valid(raise_exception=True)
        given = dict(form.validated_data)
        key = key_of(request, given.pop("idempotency_key", ""))

        def work() -> tuple[int, dict[str, Any]]:
            done = decide_power(proposal=_find(pk), actor=actor_of(request), **given)
            return 200, _answer(done)

        return answer_once(request, key=key, work=work)


class PowerRevokeView(APIView):
    """End a power at once, by compliance; holder and attorney are told."""

    permission_classes = [needs(Capability.KYC_REVIEW)]

    @extend_schema(
        operation_id="power_revoke",
        request=PowerEndRequest,
        parameters=[KEY_HEADER],
        responses={200: PowerAnswer},
    )
    def post(self, request: Request, pk: UUID) -> HttpResponse:
        return _revoke(request, lambda: _find(pk))


class OwnPowersView(OwnView):
    """The powers of attorney by which others act for the account, the newest first."""

    @extend_schema(operation_id="investor_powers", responses={200: PowersAnswer})
    def get(self, request: Request) -> Response:
        rows = _rows().filter(investor=self.investor(request))
        return Response({"powers": [_answer(row) for row in rows[:SHOWN]]})


class OwnPowerRevokeView(OwnView):
    """Revoke a power at once, by the holder alone; orders that were placed before stay."""

    @extend_schema(
        operation_id="investor_power_revoke",
        request=PowerEndRequest,
        parameters=[KEY_HEADER],
        responses={200: PowerAnswer},
    )
    def post(self, request: Request, pk: UUID) -> HttpResponse:
        investor = self.investor(request)
        return _revoke(request, lambda: _find(pk, investor=investor))


def _find(pk: UUID, **given: Any) -> PowerOfAttorney:
    row: PowerOfAttorney | None = _rows().filter(pk=pk, **given).first()
    if row is None:
        raise NotFound("no such power of attorney")
    return row


def _revoke(request: Request, find: Any) -> HttpResponse:
    require_step_up(request)
    form = PowerEndRequest(data=request.data)
    form.is_valid(raise_exception=True)
    given = dict(form.validated_data)
    key = key_of(request, given.pop("idempotency_key", ""))

    def work() -> tuple[int, dict[str, Any]]:
        row = revoke_power(power=find(), actor=actor_of(request), reason=given["reason"])
        return 200, _answer(row)

    return answer_once(request, key=key, work=work)
