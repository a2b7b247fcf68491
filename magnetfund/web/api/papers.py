"""Papers over the API: one's own statements with their figures, the fund's vault for the house."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from investors.models import Investor, NavStrike, Paper
from investors.services.fund_papers import TITLES, fund_paper, fund_table
from investors.services.investor_statements import make_statements
from investors.services.papers import note_download, note_reading
from investors.services.vault import papers_of, papers_of_fund
from magnetfund.core.actors import actor_of
from magnetfund.core.roles import Capability
from magnetfund.kernel.clock import isoformat_z
from magnetfund.kernel.errors import NotFound
from magnetfund.web.api.access import answer_once, key_of, needs
from magnetfund.web.api.investors import HOLDER, OwnView
from magnetfund.web.api.money import KEY_HEADER, own_fund
from magnetfund.web.parts import TABLE_TYPES, send_file, send_pdf

PAPERS_MAX = 200


class OwnStatementLine(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    number = serializers.CharField()
    period = serializers.CharField(help_text="Month, YYYY-MM.")
    version = serializers.IntegerField()
    is_superseded = serializers.BooleanField(help_text="A newer version stands.")
    made_at = serializers.DateTimeField()
    sha256 = serializers.CharField(help_text="Of the PDF.")
    currency = serializers.CharField()
    opening = serializers.CharField()
    closing = serializers.CharField()
    flows = serializers.CharField(help_text="Money in less money out.")
    fees = serializers.CharField()
    gain = serializers.CharField()
    twr = serializers.CharField(allow_null=True, help_text="Of the period, a fraction.")
    mwr = serializers.CharField(allow_null=True, help_text="Of the period, a fraction.")


class OwnStatementsAnswer(serializers.Serializer[Any]):
    statements = OwnStatementLine(many=True)


class OwnStatementAnswer(OwnStatementLine):
    printed = serializers.DictField(help_text="Every line of the paper, as text.")


class PaperLine(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    kind = serializers.CharField()
    number = serializers.CharField()
    account = serializers.CharField(allow_null=True, help_text="Null for a paper of the fund.")
    period = serializers.CharField(allow_blank=True)
    version = serializers.IntegerField()
    is_superseded = serializers.BooleanField()
    made_at = serializers.DateTimeField()
    sha256 = serializers.CharField()


class PapersAnswer(serializers.Serializer[Any]):
    papers = PaperLine(many=True)


class MakeStatementsRequest(serializers.Serializer[Any]):
    period = serializers.CharField(max_length=7, help_text="Month, YYYY-MM.")
    account = serializers.CharField(
        max_length=20, required=False, help_text="One investor; all without it."
    )
    idempotency_key = serializers.CharField(max_length=200, required=False)


class MakeStatementsAnswer(serializers.Serializer[Any]):
    period = serializers.CharField()
    made = serializers.ListField(child=serializers.CharField())
    kept = serializers.IntegerField()
    left = serializers.IntegerField(help_text="Ask again for these.")
    refused = serializers.DictField(child=serializers.CharField(), help_text="Code by account.")


#: What one request makes.
MADE_MAX = 200


def _statement(row: Any) -> dict[str, Any]:
    figures = row.data["figures"]
    return {
        "id": str(row.pk),
        "number": row.number,
        "period": row.period,
        "version": row.version,
        "is_superseded": row.is_superseded,
        "made_at": isoformat_z(row.made_at),
        "sha256": row.sha256,
        "currency": row.data["currency"],
        **{
            name: figures[name]
            for name in ("opening", "closing", "flows", "fees", "gain", "twr", "mwr")
        },
    }


class OwnStatementsView(OwnView):
    """The investor's monthly statements, newest first."""

    shows = "sees_papers"

    @extend_schema(
        operation_id="investor_statements",
        parameters=[HOLDER],
        responses={200: OwnStatementsAnswer},
    )
    def get(self, request: Request) -> Response:
        rows = papers_of(self.investor(request)).filter(kind=Paper.Kind.STATEMENT)
        rows = rows.order_by("-period", "-version")[:PAPERS_MAX]
        return Response({"statements": [_statement(row) for row in rows]})


class OwnStatementView(OwnView):
    """One statement with every line that it prints."""

    shows = "sees_papers"

    @extend_schema(
        operation_id="investor_statement", parameters=[HOLDER], responses={200: OwnStatementAnswer}
    )
    def get(self, request: Request, pk: UUID) -> Response:
        investor = self.investor(request)
        row = papers_of(investor).filter(pk=pk, kind=Paper.Kind.STATEMENT).first()
        if row is None:
            raise NotFound("no such statement")
        if investor.user_id != request.user.pk:
            note_reading(row, actor=actor_of(request))
        return Response({**_statement(row), "printed": row.data})


class OwnPaperView(OwnView):
    """The PDF of one's own paper; each download is noted."""

    shows = "sees_papers"

    @extend_schema(
        operation_id="investor_paper",
        parameters=[HOLDER],
        responses={(200, "application/pdf"): OpenApiTypes.BINARY},
    )
    def get(self, request: Request, pk: UUID) -> HttpResponse:
        return _send(request, Paper.objects.filter(pk=pk, investor=self.investor(request)).first())


class PapersView(APIView):
    """The fund's vault, newest first."""

    permission_classes = [needs(Capability.PAPERS_VIEW)]

    @extend_schema(
        operation_id="papers",
        parameters=[
            OpenApiParameter("kind", enum=Paper.Kind.values),
            OpenApiParameter("period"),
            OpenApiParameter("account"),
        ],
        responses={200: PapersAnswer},
    )
    def get(self, request: Request) -> Response:
        rows = papers_of_fund(own_fund()).defer("data", "content").select_related("investor")
        names = {"kind": "kind", "period": "period", "account": "investor__number"}
        for name, column in names.items():
            if request.query_params.get(name):
                rows = rows.filter(**{column: request.query_params[name]})
        return Response({"papers": [_paper(row) for row in rows[:PAPERS_MAX]]})


def _paper(row: Any) -> dict[str, Any]:
    return {
        "id": str(row.pk),
        "kind": row.kind,
        "number": row.number,
        "account": row.investor.number if row.investor else None,
        "period": row.period,
        "version": row.version,
        "is_superseded": row.is_superseded,
        "made_at": isoformat_z(row.made_at),
        "sha256": row.sha256,
    }


class PaperFileView(APIView):
    """The PDF of any paper of the fund; each download is noted."""

    permission_classes = [needs(Capability.PAPERS_VIEW)]

    @extend_schema(operation_id="paper", responses={(200, "application/pdf"): OpenApiTypes.BINARY})
    def get(self, request: Request, pk: UUID) -> HttpResponse:
        return _send(request, Paper.objects.filter(pk=pk, strike__fund=own_fund()).first())


def _send(request: Request, row: Paper | None) -> HttpResponse:
    if row is None:
        raise NotFound("no such paper")
    return send_pdf(row.number, note_download(row, actor=actor_of(request)))


class NavPaperView(APIView):
    """A paper of the fund at a dealt NAV: register, trial_balance, nav_pack or capital, as pdf,
    csv or xlsx."""

    permission_classes = [needs(Capability.PAPERS_VIEW)]

    @extend_schema(
        operation_id="nav_paper",
        parameters=[
            OpenApiParameter("kind", location="path", enum=list(TITLES)),
            OpenApiParameter("form", location="path", enum=["pdf", *TABLE_TYPES]),
        ],
        responses={
            (200, "application/pdf"): OpenApiTypes.BINARY,
            (200, "text/csv"): OpenApiTypes.STR,
        },
    )
    def get(self, request: Request, pk: UUID, kind: str, form: str) -> HttpResponse:
        strike = NavStrike.objects.filter(pk=pk, fund=own_fund()).select_related("fund").first()
        if strike is None:
            raise NotFound("no such NAV")
        if form == "pdf":
            return _send(request, fund_paper(strike=strike, kind=kind, actor=actor_of(request)))
        number, content = fund_table(strike=strike, kind=kind, actor=actor_of(request), form=form)
        return send_file(f"{number}.{form}", content, kind=TABLE_TYPES[form])


class MakeStatementsView(APIView):
    """Make what is missing of a month's statements, up to a number a request."""

    permission_classes = [needs(Capability.NAV_PREPARE)]

    @extend_schema(
        operation_id="make_statements",
        request=MakeStatementsRequest,
        parameters=[KEY_HEADER],
        responses={200: MakeStatementsAnswer},
    )
    def post(self, request: Request) -> HttpResponse:
        form = MakeStatementsRequest(data=request.data)
        form.is_valid(raise_exception=True)
        given = form.validated_data

        def work() -> tuple[int, dict[str, Any]]:
            investor = None
            if given.get("account"):
                investor = Investor.objects.filter(number=given["account"]).first()
                if investor is None:
                    raise NotFound("no such account", code="no_investor")
            run = make_statements(
                fund=own_fund(), period=given["period"], actor=actor_of(request),
                investor=investor, most=MADE_MAX,
            )  # fmt: skip
            return 200, {
                "period": run.period,
                "made": [row.number for row in run.made],
                "kept": run.kept,
                "left": run.left,
                "refused": run.refused,
            }

        return answer_once(
            request, key=key_of(request, given.get("idempotency_key", "")), work=work
        )
