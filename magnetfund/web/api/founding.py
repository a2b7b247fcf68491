"""Founding over the API: what is missing, each step by the form of its page, and the signatures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.conf import settings
from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from investors.models import TermsProposal
from investors.services.policies import approve_terms, open_proposals, withdraw_terms
from magnetfund.core.actors import actor_of
from magnetfund.core.doors import require_step_up
from magnetfund.core.roles import Capability, roles_with
from magnetfund.core.services.signing import LIMITS, SignatureMissing, is_signed
from magnetfund.kernel.clock import isoformat_z
from magnetfund.kernel.errors import NotFound
from magnetfund.operations.founding_state import FoundingStep, read_founding
from magnetfund.web.api.access import answer_once, key_of, needs
from magnetfund.web.api.founding_steps import body_of, fill, is_required
from magnetfund.web.api.money import KEY_HEADER
from magnetfund.web.api.navs import HashedDecisionRequest
from magnetfund.web.api.signing import ConflictAnswer
from magnetfund.web.service_forms import ServiceForm
from magnetfund.web.setup_steps import PAGES, SetupPage
from risk.models import LimitProposal
from risk.services.limits import approve_limits, withdraw_limits

PROPOSALS_MAX = 20
#: Where the API does a step that has no form among the steps, by its page.
ENDPOINTS = {
    "desk_people": "/api/people",
    "desk_accounts": "/api/money/accounts",
    "desk_cases": "/api/kyc/cases",
    "desk_dealing": "/api/money/receipts",
    "desk_founding": "/api/founding",
    "desk_nav": "/api/navs",
}


class FoundingStepLine(serializers.Serializer[Any]):
    name = serializers.CharField()
    note = serializers.CharField(help_text="What is there, or what is missing.")
    is_done = serializers.BooleanField()
    roles = serializers.ListField(child=serializers.CharField(), help_text="Who does it.")
    endpoint = serializers.CharField(allow_null=True, help_text="Null where a page or command is.")
    page = serializers.CharField(allow_blank=True)
    command = serializers.CharField(allow_blank=True)


class FoundingField(serializers.Serializer[Any]):
    name = serializers.CharField()
    words = serializers.CharField()
    help = serializers.CharField(allow_blank=True)
    is_required = serializers.BooleanField()


class FoundingFormLine(serializers.Serializer[Any]):
    name = serializers.CharField()
    words = serializers.CharField()
    lede = serializers.CharField()
    endpoint = serializers.CharField()
    roles = serializers.ListField(child=serializers.CharField())
    may = serializers.BooleanField(help_text="Whether the caller may take this step.")
    fields_asked = FoundingField(many=True)


class WaitingTerms(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    share_class = serializers.CharField()
    terms = serializers.DictField(help_text="Every term of the class.")
    effective_from = serializers.DateTimeField()
    reason = serializers.CharField()
    proposed_by = serializers.CharField()
    content_hash = serializers.CharField(help_text="What the second person approves.")


class WaitingLimits(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    book = serializers.CharField()
    figures = serializers.DictField(child=serializers.CharField(allow_null=True))
    effective_from = serializers.DateTimeField()
    reason = serializers.CharField()
    proposed_by = serializers.CharField()
    is_signed_by_proposer = serializers.BooleanField()
    content_hash = serializers.CharField(help_text="What the second person approves.")


class FoundingAnswer(serializers.Serializer[Any]):
    fund = serializers.CharField(allow_null=True, help_text="Code of the fund; null without one.")
    steps = FoundingStepLine(many=True)
    forms = FoundingFormLine(many=True)
    terms = WaitingTerms(many=True)
    limits = WaitingLimits(many=True)


class FoundedDay(serializers.Serializer[Any]):
    day = serializers.DateField()
    cutoff_at = serializers.DateTimeField()
    funding_deadline_at = serializers.DateTimeField()
    valuation_at = serializers.DateTimeField()
    settlement_day = serializers.DateField()


class FoundedRow(serializers.Serializer[Any]):
    step = serializers.CharField()
    id = serializers.CharField(allow_null=True, help_text="Null for a dry run.")
    name = serializers.CharField()
    content_hash = serializers.CharField(
        allow_null=True, help_text="Of a proposal, which waits for a second person."
    )
    days = FoundedDay(many=True, help_text="What a dry run of the calendar would write.")


class FoundingView(APIView):
    """The steps of a founding with what is missing, the forms that do them, and the proposals that
    wait for a signature."""

    permission_classes = [needs(Capability.DESK_VIEW)]

    @extend_schema(operation_id="founding", responses={200: FoundingAnswer})
    def get(self, request: Request) -> Response:
        book, user = settings.MAGNET_BOOK, request.user
        found = read_founding(book)
        terms = open_proposals().filter(share_class__fund__book=book)
        limits = LimitProposal.objects.filter(book=book, limit_set=None, withdrawn_at=None)
        return Response(
            {
                "fund": found.fund.code if found.fund is not None else None,
                "steps": [_step_line(step) for step in found.steps],
                "forms": [_form_line(page, user) for page in PAGES.values()],
                "terms": [
                    {
                        **_proposal(row),
                        "share_class": row.share_class.code,
                        "terms": row.terms,
                    }
                    for row in terms.select_related("share_class", "proposed_by")[:PROPOSALS_MAX]
                ],
                "limits": [
                    {
                        **_proposal(row),
                        "book": row.book,
                        "figures": row.figures,
                        "is_signed_by_proposer": is_signed(row.pk, row.proposed_by),
                    }
                    for row in limits.select_related("proposed_by").order_by("proposed_at")[
                        :PROPOSALS_MAX
                    ]
                ],
            }
        )


def _step_line(step: FoundingStep) -> dict[str, Any]:
    form = f"/api/founding/{step.page}" if step.page else None
    return {
        "name": step.name,
        "note": step.note,
        "is_done": step.is_done,
        "roles": [role.value for role in step.roles],
        "endpoint": form or ENDPOINTS.get(step.url_name),
        "page": step.href,
        "command": step.command,
    }


def _form_line(page: SetupPage, user: Any) -> dict[str, Any]:
    return {
        "name": page.name,
        "words": page.words,
        "lede": page.lede,
        "endpoint": f"/api/founding/{page.name}",
        "roles": [role.value for role in roles_with(page.form.capability)],
        "may": user.can(page.form.capability),
        "fields_asked": [
            {
                "name": name,
                "words": str(field.label or name.replace("_", " ").capitalize()),
                "help": str(field.help_text),
                "is_required": is_required(field),
            }
            for name, field in page.form.base_fields.items()
        ],
    }


def _proposal(row: TermsProposal | LimitProposal) -> dict[str, Any]:
    return {
        "id": str(row.pk),
        "effective_from": isoformat_z(row.effective_from),
        "reason": row.reason,
        "proposed_by": row.proposed_by.get_full_name(),
        "content_hash": row.content_hash,
    }


def make_step_view(page: SetupPage) -> type[APIView]:
    """The endpoint of one step."""
    body = body_of(page)

    class FoundingStepView(APIView):
        __doc__ = f"{page.words}. {page.lede}"
        permission_classes = [needs(page.form.capability)]

        @extend_schema(
            operation_id=f"founding_{page.name}",
            request=body,
            parameters=[KEY_HEADER],
            responses={200: FoundedRow, 201: FoundedRow},
        )
        def post(self, request: Request) -> HttpResponse:
            form = body(data=request.data)
            form.is_valid(raise_exception=True)
            given = dict(form.validated_data)
            key = key_of(request, given.pop("idempotency_key", ""))
            is_dry_run = given.pop("is_dry_run", False)

            def work() -> tuple[int, dict[str, Any]]:
                done = fill(page.form, given, actor_of(request), is_dry_run=is_dry_run)
                return (200 if is_dry_run else 201), _founded(page, done, is_dry_run=is_dry_run)

            return answer_once(request, key=key, work=work)

    return FoundingStepView


STEP_VIEWS = {name: make_step_view(page) for name, page in PAGES.items()}


def _founded(page: SetupPage, done: ServiceForm, *, is_dry_run: bool) -> dict[str, Any]:
    row: Any = done.instance
    return {
        "step": page.name,
        "id": None if is_dry_run else str(row.pk),
        "name": "" if is_dry_run else str(row),
        "content_hash": getattr(row, "content_hash", None),
        "days": [
            {
                "day": item.dealing.day.isoformat(),
                "cutoff_at": isoformat_z(item.dealing.cutoff_at),
                "funding_deadline_at": isoformat_z(item.dealing.funding_deadline_at),
                "valuation_at": isoformat_z(item.dealing.valuation_at),
                "settlement_day": item.settlement_day.isoformat(),
            }
            for item in getattr(done, "preview", ())
        ],
    }


class DecidedAnswer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    is_approved = serializers.BooleanField()
    version = serializers.IntegerField(allow_null=True, help_text="Of what is in force now.")


class TermsDecisionView(APIView):
    """The second person's decision on terms, with a fresh second factor.  Approving puts them in
    force, once this person has signed them at the signer (409 signature_missing until then)."""

    permission_classes = [needs(Capability.TERMS_APPROVE)]

    @extend_schema(
        operation_id="founding_terms_decide",
        request=HashedDecisionRequest,
        parameters=[KEY_HEADER],
        responses={200: DecidedAnswer, 409: ConflictAnswer},
    )
    def post(self, request: Request, pk: UUID) -> HttpResponse:
        def decide(given: dict[str, Any]) -> int | None:
            book = settings.MAGNET_BOOK
            row = TermsProposal.objects.filter(pk=pk, share_class__fund__book=book).first()
            if row is None:
                raise NotFound("no such proposal")
            actor = actor_of(request)
            if given["is_approved"]:
                seen = given["content_hash"]
                return approve_terms(proposal=row, seen_hash=seen, actor=actor).version
            withdraw_terms(proposal=row, reason=given["reason"], actor=actor)
            return None

        return _answer_decision(request, pk, decide)


class LimitsDecisionView(APIView):
    """A signature on limits, with a fresh second factor: the proposer signs at the signer first
    (409 signature_missing leads there), then another risk officer approves and signs too."""

    permission_classes = [needs(Capability.LIMITS_APPROVE)]

    @extend_schema(
        operation_id="founding_limits_decide",
        request=HashedDecisionRequest,
        parameters=[KEY_HEADER],
        responses={200: DecidedAnswer, 409: ConflictAnswer},
    )
    def post(self, request: Request, pk: UUID) -> HttpResponse:
        def decide(given: dict[str, Any]) -> int | None:
            row = LimitProposal.objects.filter(pk=pk, book=settings.MAGNET_BOOK).first()
            if row is None:
                raise NotFound("no such proposal")
            actor = actor_of(request)
            if not given["is_approved"]:
                withdraw_limits(proposal=row, reason=given["reason"], actor=actor)
                return None
            if row.proposed_by == request.user and not is_signed(row.pk, row.proposed_by):
                raise SignatureMissing(
                    "sign your proposal; then another person approves it",
                    details={
                        "account": str(row.proposed_by.pk),
                        "action": LIMITS,
                        "subject": str(row.pk),
                    },
                )
            seen = given["content_hash"]
            return approve_limits(proposal=row, seen_hash=seen, actor=actor).version

        return _answer_decision(request, pk, decide)


def _answer_decision(
    request: Request, pk: UUID, decide: Callable[[dict[str, Any]], int | None]
) -> HttpResponse:
    """Decide as the body says, once for its key and with a fresh second factor."""
    require_step_up(request)
    form = HashedDecisionRequest(data=request.data)
    form.is_valid(raise_exception=True)
    given = form.validated_data

    def work() -> tuple[int, dict[str, Any]]:
        version = decide(given)
        return 200, {"id": str(pk), "is_approved": given["is_approved"], "version": version}

    return answer_once(request, key=key_of(request, given.get("idempotency_key", "")), work=work)
