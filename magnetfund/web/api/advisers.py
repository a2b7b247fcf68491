"""Advisers over the API: a holder's own, what an adviser may read, and the house's list of them."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from investors.models import AdviserAccess
from investors.services.advisers import (
    accesses_of,
    end_access,
    grant_access,
    invite_adviser,
)
from investors.services.attorneys import powers_of
from magnetfund.core.actors import actor_of
from magnetfund.core.doors import require_step_up
from magnetfund.core.models import User
from magnetfund.core.roles import Capability
from magnetfund.kernel.clock import isoformat_z
from magnetfund.kernel.errors import NotFound
from magnetfund.web.api.access import answer_once, key_of, needs
from magnetfund.web.api.investors import OwnView
from magnetfund.web.api.money import KEY_HEADER
from magnetfund.web.api.signing import ConflictAnswer

SHOWN = 200


class AdviserRequest(serializers.Serializer[Any]):
    name = serializers.CharField(max_length=200, help_text="The adviser's full name.")
    email = serializers.EmailField(max_length=254)
    until = serializers.DateField(help_text="The last day (UTC), a year ahead at most.")
    sees_holdings = serializers.BooleanField(help_text="Holdings and NAV.")
    sees_papers = serializers.BooleanField(help_text="Statements and papers.")
    idempotency_key = serializers.CharField(max_length=200, required=False)


class AdviserStepRequest(serializers.Serializer[Any]):
    idempotency_key = serializers.CharField(max_length=200, required=False)


class AdviserConfirmation(AdviserStepRequest):
    confirmed_how = serializers.CharField(
        max_length=300, help_text="How the holder was called back."
    )


class AdviserAnswer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    investor = serializers.CharField(help_text="The holder's number.")
    name = serializers.CharField()
    email = serializers.CharField()
    sees_holdings = serializers.BooleanField()
    sees_papers = serializers.BooleanField()
    until = serializers.DateField()
    state = serializers.ChoiceField(choices=["unsigned", "invited", "active", "lapsed", "ended"])
    invited_at = serializers.DateTimeField()
    granted_at = serializers.DateTimeField(allow_null=True)
    accepted_at = serializers.DateTimeField(allow_null=True)
    seen_at = serializers.DateTimeField(allow_null=True, help_text="When the adviser last looked.")
    ended_at = serializers.DateTimeField(allow_null=True)


class AdvisersAnswer(serializers.Serializer[Any]):
    advisers = AdviserAnswer(many=True)


class ReadableHolder(serializers.Serializer[Any]):
    investor = serializers.CharField(help_text="Send it as the parameter holder of a read.")
    name = serializers.CharField()
    sees_holdings = serializers.BooleanField()
    sees_papers = serializers.BooleanField()
    until = serializers.DateField()


class HolderOfAttorney(serializers.Serializer[Any]):
    investor = serializers.CharField(help_text="Send it as the parameter holder.")
    name = serializers.CharField()
    may_subscribe = serializers.BooleanField()
    may_redeem = serializers.BooleanField(help_text="Redeem and switch.")
    may_change_account = serializers.BooleanField(help_text="Ask for other bank details.")
    last_day = serializers.DateField()


class ReadableHoldersAnswer(serializers.Serializer[Any]):
    holders = ReadableHolder(many=True)
    acts_for = HolderOfAttorney(many=True, help_text="By a power of attorney.")


def _answer(row: AdviserAccess) -> dict[str, Any]:
    times = ("invited_at", "granted_at", "accepted_at", "seen_at", "ended_at")
    return {
        "id": str(row.pk),
        "investor": row.investor.number,
        "name": row.name,
        "email": row.email,
        "sees_holdings": row.sees_holdings,
        "sees_papers": row.sees_papers,
        "until": row.until.isoformat(),
        "state": row.state,
        **{name: None if (at := getattr(row, name)) is None else isoformat_z(at) for name in times},
    }


def _key(request: Request, given: dict[str, Any]) -> str:
    return key_of(request, given.pop("idempotency_key", ""))


class OwnAdvisersView(OwnView):
    """The account's advisers, the newest first; a POST invites one, with a fresh second factor.
    Nothing is mailed before the invitation is signed."""

    @extend_schema(operation_id="investor_advisers", responses={200: AdvisersAnswer})
    def get(self, request: Request) -> Response:
        rows = AdviserAccess.objects.filter(investor=self.investor(request))
        rows = rows.select_related("investor")[:SHOWN]
        return Response({"advisers": [_answer(row) for row in rows]})

    @extend_schema(
        operation_id="investor_adviser_invite",
        request=AdviserRequest,
        parameters=[KEY_HEADER],
        responses={201: AdviserAnswer},
    )
    def post(self, request: Request) -> HttpResponse:
        require_step_up(request)
        form = AdviserRequest(data=request.data)
        form.is_valid(raise_exception=True)
        given, investor = dict(form.validated_data), self.investor(request)
        key = _key(request, given)

        def work() -> tuple[int, dict[str, Any]]:
            row = invite_adviser(investor=investor, actor=actor_of(request), **given)
            return 201, _answer(row)

        return answer_once(request, key=key, work=work)


class _OwnStep(OwnView):
    """A step on one of the account's accesses, with a fresh second factor."""

    def step(self, request: Request, pk: UUID, work: Any) -> HttpResponse:
        require_step_up(request)
        form = AdviserStepRequest(data=request.data)
        form.is_valid(raise_exception=True)
        rows = AdviserAccess.objects.filter(investor=self.investor(request))
        row = rows.select_related("investor").filter(pk=pk).first()
        if row is None:
            raise NotFound("no such access")
        return answer_once(
            request,
            key=_key(request, dict(form.validated_data)),
            work=lambda: (200, _answer(work(access=row, actor=actor_of(request)))),
        )


class OwnAdviserGrantView(_OwnStep):
    """Open an access and mail the link, once the holder has signed it at the signer (409
    signature_missing until then)."""

    @extend_schema(
        operation_id="investor_adviser_grant",
        request=AdviserStepRequest,
        parameters=[KEY_HEADER],
        responses={200: AdviserAnswer, 409: ConflictAnswer},
    )
    def post(self, request: Request, pk: UUID) -> HttpResponse:
        return self.step(request, pk, grant_access)


class OwnAdviserEndView(_OwnStep):
    """End an access at once, with the adviser's sessions."""

    @extend_schema(
        operation_id="investor_adviser_end",
        request=AdviserStepRequest,
        parameters=[KEY_HEADER],
        responses={200: AdviserAnswer},
    )
    def post(self, request: Request, pk: UUID) -> HttpResponse:
        return self.step(request, pk, end_access)


class ReadableHoldersView(APIView):
    """The holders whose portals the account may read now, and for whom it acts as attorney."""

    permission_classes = [needs(Capability.PORTAL_READ, Capability.PORTAL_VIEW)]

    @extend_schema(operation_id="investor_holders", responses={200: ReadableHoldersAnswer})
    def get(self, request: Request) -> Response:
        assert isinstance(request.user, User)
        return Response(
            {
                "holders": [
                    {
                        "investor": row.investor.number,
                        "name": row.investor.legal_name,
                        "sees_holdings": row.sees_holdings,
                        "sees_papers": row.sees_papers,
                        "until": row.until.isoformat(),
                    }
                    for row in accesses_of(request.user)[:SHOWN]
                ],
                "acts_for": [
                    {
                        "investor": row.investor.number,
                        "name": row.investor.legal_name,
                        "may_subscribe": row.may_subscribe,
                        "may_redeem": row.may_redeem,
                        "may_change_account": row.may_change_account,
                        "last_day": row.last_day.isoformat(),
                    }
                    for row in powers_of(request.user)[:SHOWN]
                ],
            }
        )


class AdvisersView(APIView):
    """Every holder's advisers, the newest first, for whoever reads compliance files."""

    permission_classes = [needs(Capability.KYC_VIEW)]

    @extend_schema(operation_id="advisers", responses={200: AdvisersAnswer})
    def get(self, request: Request) -> Response:
        rows = AdviserAccess.objects.select_related("investor")[:SHOWN]
        return Response({"advisers": [_answer(row) for row in rows]})


def _find(pk: UUID) -> AdviserAccess:
    row = AdviserAccess.objects.select_related("investor").filter(pk=pk).first()
    if row is None:
        raise NotFound("no such access")
    return row


class AdviserConfirmView(APIView):
    """Open an access on a compliance officer's signature, who called the holder back."""

    permission_classes = [needs(Capability.KYC_APPROVE)]

    @extend_schema(
        operation_id="adviser_confirm",
        request=AdviserConfirmation,
        parameters=[KEY_HEADER],
        responses={200: AdviserAnswer, 409: ConflictAnswer},
    )
    def post(self, request: Request, pk: UUID) -> HttpResponse:
        require_step_up(request)
        form = AdviserConfirmation(data=request.data)
        form.is_valid(raise_exception=True)
        given = dict(form.validated_data)
        key = _key(request, given)

        def work() -> tuple[int, dict[str, Any]]:
            row = grant_access(access=_find(pk), actor=actor_of(request), **given)
            return 200, _answer(row)

        return answer_once(request, key=key, work=work)


class AdviserEndView(APIView):
    """End an access at once, by compliance; the holder is told."""

    permission_classes = [needs(Capability.KYC_REVIEW)]

    @extend_schema(
        operation_id="adviser_end",
        request=AdviserStepRequest,
        parameters=[KEY_HEADER],
        responses={200: AdviserAnswer},
    )
    def post(self, request: Request, pk: UUID) -> HttpResponse:
        require_step_up(request)
        form = AdviserStepRequest(data=request.data)
        form.is_valid(raise_exception=True)
        return answer_once(
            request,
            key=_key(request, dict(form.validated_data)),
            work=lambda: (200, _answer(end_access(access=_find(pk), actor=actor_of(request)))),
        )
