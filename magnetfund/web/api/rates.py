"""Rates of stablecoins over the API, by the services of the desk."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from investors.models import CoinRate, ParTerm, RateProposal
from investors.services.coin_rates import decide_rates, propose_rates
from investors.services.par_terms import decide_par, propose_par
from magnetfund.core.actors import actor_of
from magnetfund.core.doors import require_step_up
from magnetfund.core.roles import Capability
from magnetfund.kernel.clock import isoformat_z
from magnetfund.kernel.errors import NotFound
from magnetfund.web.api.access import answer_once, key_of, needs
from magnetfund.web.api.fields import ExactDecimal, plain
from magnetfund.web.api.money import KEY_HEADER, own_fund
from magnetfund.web.api.signing import ConflictAnswer

SHOWN = 500


class RateLineRequest(serializers.Serializer[Any]):
    observed_at = serializers.DateTimeField(help_text="When the source showed it.")
    rate = ExactDecimal(help_text="What one coin was worth in the fund's currency.")


class RatesRequest(serializers.Serializer[Any]):
    coin = serializers.CharField(max_length=8)
    source = serializers.CharField(  # type: ignore[assignment]
        max_length=80, help_text="Where the rates were read."
    )
    lines = RateLineRequest(many=True)
    idempotency_key = serializers.CharField(max_length=200, required=False)


class RateDecisionRequest(serializers.Serializer[Any]):
    is_approved = serializers.BooleanField()
    reason = serializers.CharField(max_length=300, required=False, help_text="Why it is declined.")
    idempotency_key = serializers.CharField(max_length=200, required=False)


class CoinRateAnswer(serializers.Serializer[Any]):
    coin = serializers.CharField()
    currency = serializers.CharField()
    rate = serializers.CharField()
    source = serializers.CharField(  # type: ignore[assignment]
    )
    observed_at = serializers.DateTimeField()
    arrived_at = serializers.DateTimeField(help_text="By the server's clock.")
    held = serializers.CharField(help_text="Why it counts nowhere; empty where it counts.")
    proposal = serializers.UUIDField(allow_null=True, help_text="Of one that a person entered.")


class RateProposalAnswer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    coin = serializers.CharField()
    currency = serializers.CharField()
    source = serializers.CharField(  # type: ignore[assignment]
    )
    lines = serializers.ListField(
        child=serializers.ListField(child=serializers.CharField()), help_text="Time and rate."
    )
    is_approved = serializers.BooleanField(allow_null=True, help_text="Null while it waits.")
    reason = serializers.CharField()


class ParRequest(serializers.Serializer[Any]):
    coin = serializers.CharField(max_length=8)
    is_at_par = serializers.BooleanField(help_text="False ends a term of before.")
    first_day = serializers.DateField(help_text="Of the first NAV that it counts for.")
    reference = serializers.CharField(max_length=80, help_text="Where it was resolved.")
    idempotency_key = serializers.CharField(max_length=200, required=False)


class ParAnswer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    coin = serializers.CharField()
    is_at_par = serializers.BooleanField()
    first_day = serializers.DateField()
    reference = serializers.CharField()
    is_approved = serializers.BooleanField(allow_null=True, help_text="Null while it waits.")
    reason = serializers.CharField()


class RatesAnswer(serializers.Serializer[Any]):
    rates = CoinRateAnswer(many=True)
    proposals = RateProposalAnswer(many=True)
    par = ParAnswer(many=True, help_text="Terms of par, the newest proposal first.")


def _answer(row: RateProposal) -> dict[str, Any]:
    return {
        "id": str(row.pk),
        "coin": row.coin,
        "currency": row.currency,
        "source": row.source,
        "lines": row.lines,
        "is_approved": row.is_approved,
        "reason": row.reason,
    }


def _answer_par(row: ParTerm) -> dict[str, Any]:
    return {
        "id": str(row.pk),
        "coin": row.coin,
        "is_at_par": row.is_at_par,
        "first_day": row.first_day.isoformat(),
        "reference": row.reference,
        "is_approved": row.is_approved,
        "reason": row.reason,
    }


class RatesView(APIView):
    """Rates in the fund's currency, the newest first, and what people entered; a POST enters
    some."""

    permission_classes = [needs(Capability.NAV_PREPARE, Capability.NAV_APPROVE)]

    @extend_schema(operation_id="rates", responses={200: RatesAnswer})
    def get(self, request: Request) -> Response:
        fund = own_fund()
        rows = CoinRate.objects.filter(currency=fund.currency)[:SHOWN]
        return Response(
            {
                "rates": [
                    {
                        "coin": row.coin,
                        "currency": row.currency,
                        "rate": plain(row.rate),
                        "source": row.source,
                        "observed_at": isoformat_z(row.observed_at),
                        "arrived_at": isoformat_z(row.arrived_at),
                        "held": row.held,
                        "proposal": row.proposal_id and str(row.proposal_id),
                    }
                    for row in rows
                ],
                "proposals": [
                    _answer(row) for row in RateProposal.objects.filter(fund=fund)[:SHOWN]
                ],
                "par": [_answer_par(row) for row in ParTerm.objects.filter(fund=fund)[:SHOWN]],
            }
        )

    @extend_schema(
        operation_id="rates_propose",
        request=RatesRequest,
        parameters=[KEY_HEADER],
        responses={201: RateProposalAnswer},
    )
    def post(self, request: Request) -> HttpResponse:
        form = RatesRequest(data=request.data)
        form.is_valid(raise_exception=True)
        given = form.validated_data

        def work() -> tuple[int, dict[str, Any]]:
            row = propose_rates(
                fund=own_fund(), coin=given["coin"], source=given["source"],
                lines=[(line["observed_at"], line["rate"]) for line in given["lines"]],
                actor=actor_of(request),
            )  # fmt: skip
            return 201, _answer(row)

        return answer_once(
            request, key=key_of(request, given.get("idempotency_key", "")), work=work
        )


class RateDecisionView(APIView):
    """The second person's decision, with a fresh second factor, once this person has signed it at
    the signer (409 signature_missing until then)."""

    permission_classes = [needs(Capability.NAV_APPROVE)]

    @extend_schema(
        operation_id="rates_decide",
        request=RateDecisionRequest,
        parameters=[KEY_HEADER],
        responses={200: RateProposalAnswer, 409: ConflictAnswer},
    )
    def post(self, request: Request, pk: UUID) -> HttpResponse:
        require_step_up(request)
        form = RateDecisionRequest(data=request.data)
        form.is_valid(raise_exception=True)
        given = form.validated_data

        def work() -> tuple[int, dict[str, Any]]:
            row = RateProposal.objects.filter(pk=pk, fund=own_fund()).first()
            if row is None:
                raise NotFound("no such rates")
            done = decide_rates(
                proposal=row, is_approved=given["is_approved"], reason=given.get("reason", ""),
                actor=actor_of(request),
            )  # fmt: skip
            return 200, _answer(done)

        return answer_once(
            request, key=key_of(request, given.get("idempotency_key", "")), work=work
        )


class ParView(APIView):
    """A POST proposes a term of par, which a second person signs."""

    permission_classes = [needs(Capability.TERMS_PROPOSE)]

    @extend_schema(
        operation_id="par_propose",
        request=ParRequest,
        parameters=[KEY_HEADER],
        responses={201: ParAnswer},
    )
    def post(self, request: Request) -> HttpResponse:
        form = ParRequest(data=request.data)
        form.is_valid(raise_exception=True)
        given = dict(form.validated_data)
        key = key_of(request, given.pop("idempotency_key", ""))

        def work() -> tuple[int, dict[str, Any]]:
            row = propose_par(fund=own_fund(), **given, actor=actor_of(request))
            return 201, _answer_par(row)

        return answer_once(request, key=key, work=work)


class ParDecisionView(APIView):
    """The second person's decision, with a fresh second factor, once this person has signed it at
    the signer (409 signature_missing until then)."""

    permission_classes = [needs(Capability.TERMS_APPROVE)]

    @extend_schema(
        operation_id="par_decide",
        request=RateDecisionRequest,
        parameters=[KEY_HEADER],
        responses={200: ParAnswer, 409: ConflictAnswer},
    )
    def post(self, request: Request, pk: UUID) -> HttpResponse:
        require_step_up(request)
        form = RateDecisionRequest(data=request.data)
        form.is_valid(raise_exception=True)
        given = form.validated_data

        def work() -> tuple[int, dict[str, Any]]:
            row = ParTerm.objects.filter(pk=pk, fund=own_fund()).first()
            if row is None:
                raise NotFound("no such term")
            done = decide_par(
                proposal=row, is_approved=given["is_approved"], reason=given.get("reason", ""),
                actor=actor_of(request),
            )  # fmt: skip
            return 200, _answer_par(done)

        return answer_once(
            request, key=key_of(request, given.get("idempotency_key", "")), work=work
        )
