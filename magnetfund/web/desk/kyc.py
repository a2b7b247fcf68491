"""Compliance cases: the list, one case, and every step of it as a form of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.db.models import Q, QuerySet
from django.db.models.functions import Coalesce
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from investors.domain.onboarding import FACTORS, HIGH_FROM, MEDIUM_FROM, POINTS_MAX, KycState
from investors.models import Application, DeathReport, Document, Investor, KycCheck, Screening
from investors.models.holders import KYC_CHOICES
from investors.services.applications import invite_to_apply, read_answers
from investors.services.documents import erase_application, open_document
from investors.services.founding import KINDS
from investors.services.kyc import move_case, needs_reason, sign_review
from investors.services.kyc_file import show_file
from investors.services.kyc_work import decide_hit, note_check, rate_case, record_screening
from magnetfund.core.actors import Actor, actor_of
from magnetfund.core.doors import require_step_up
from magnetfund.core.roles import Capability
from magnetfund.core.services.signing import KYC, SignatureMissing
from magnetfund.kernel.clock import utc_now
from magnetfund.kernel.errors import FundError, InvalidInput, NotFound
from magnetfund.web.desk.access import desk_view
from magnetfund.web.desk.attorneys import PowerForm
from magnetfund.web.desk.estates import DeathForm, EstateForm
from magnetfund.web.desk.frame import build_frame
from magnetfund.web.desk.signing import go_to_sign
from magnetfund.web.lists import Choices, Column, ListSpec
from magnetfund.web.parts import render_page
from magnetfund.web.public.apply_forms import FORMS, STEP_WORDS
from magnetfund.web.public.pages import asked_page

PAGE_SIZE = 25
ADVISERS_SHOWN = 20
WORDS = dict(KYC_CHOICES)
#: States in which the house has work to do; the others wait for the investor or for nobody.
OPEN = (
    "submitted", "screening", "review", "enhanced_review", "senior_approval", "due_for_refresh",
    "restricted",
)  # fmt: skip
#: Which role moves a file on from a state.
WAITS_ON = {
    "not_started": "Compliance or the investor",
    "collecting": "Investor",
    "more_info": "Investor",
    "senior_approval": "Director",
}
#: What a move is called on its button.
MOVE_WORDS = {
    KycState.COLLECTING: "Ask for documents",
    KycState.SUBMITTED: "All papers are in",
    KycState.SCREENING: "Start screening",
    KycState.REVIEW: "Start review",
    KycState.MORE_INFO: "Ask for more",
    KycState.ENHANCED_REVIEW: "Enhanced review",
    KycState.SENIOR_APPROVAL: "Sign, then a director",
    KycState.APPROVED: "Approve",
    KycState.DUE_FOR_REFRESH: "Review now due",
    KycState.RESTRICTED: "Hold",
    KycState.DECLINED: "Decline",
    KycState.EXITED: "End relationship",
}
CASES = ListSpec(
    name="cases",
    url_name="desk_cases",
    label="Pages of compliance cases",
    columns=(
        Column(label="Investor", is_wide=True),
        Column(label="Kind"),
        Column(label="State"),
        Column(label="Risk"),
        Column(label="Waiting for"),
        Column(label="Since", sorts=("newest", "oldest")),
        Column(label="Review due", sorts=("due",)),
    ),
    filters=(
        Choices(name="state", label="State", options=(("open", "Open cases"), *KYC_CHOICES)),
        Choices(
            name="risk",
            label="Risk",
            options=(("low", "Low"), ("medium", "Medium"), ("high", "High")),
        ),
        Choices(
            name="kind",
            label="Kind",
            options=tuple((kind, kind.capitalize()) for kind in KINDS),
        ),
    ),
    sorts=(
        ("oldest", "Longest waiting first"),
        ("newest", "Newest first"),
        ("due", "Next review first"),
    ),
)
SORTS = {
    "oldest": ("since", "pk"),
    "newest": ("-since", "pk"),
    "due": ("case__review_due", "pk"),
}


def _cases() -> QuerySet[Investor]:
    return Investor.objects.select_related("case").annotate(
        since=Coalesce("case__waiting_since", "joined_at")
    )


@require_safe
@desk_view(Capability.KYC_VIEW)
def cases(request: HttpRequest) -> HttpResponse:
    """Every investor's file, the longest waiting first."""
    listing = CASES.read(request.GET, number=asked_page(request))
    chosen = listing.chosen
    rows = _cases().order_by(*SORTS[listing.sort])
    if chosen["state"] == "open":
        rows = rows.filter(kyc_state__in=OPEN)
    elif chosen["state"]:
        rows = rows.filter(kyc_state=chosen["state"])
    if chosen["risk"]:
        rows = rows.filter(case__risk=chosen["risk"])
    if chosen["kind"]:
        rows = rows.filter(kind=chosen["kind"])
    page = listing.cut(rows, size=PAGE_SIZE)
    waiting = Q(kyc_state__in=OPEN)
    context = {
        **build_frame(request, "investors"),
        "listing": page,
        "cases": [
            {"row": row, "waits_on": WAITS_ON.get(row.kyc_state, _waits_on(row))}
            for row in page.rows
        ],
        "open_count": Investor.objects.filter(waiting).count(),
        "due_count": Investor.objects.filter(
            case__review_due__lt=utc_now().date(), kyc_state__in=("approved", "due_for_refresh")
        ).count(),
    }
    return render_page(request, "desk/cases.html", context, parts=("cases",))


def _waits_on(row: Investor) -> str:
    return "Compliance" if row.kyc_state in OPEN else "nobody"


@require_safe
@desk_view(Capability.KYC_VIEW)
def case(request: HttpRequest, pk: UUID) -> HttpResponse:
    """One file: checklist, screening, rating, signatures, history, and what can be done now."""
    investor = get_object_or_404(Investor.objects.select_related("user"), pk=pk)
    shown = show_file(investor, actor=actor_of(request))
    points = shown.case.points
    context = {
        **build_frame(request, "investors"),
        "shown": shown,
        "investor": investor,
        "case": shown.case,
        "factors": [{"name": name, "points": points.get(name)} for name in FACTORS],
        "total": sum(points.values()) if points else None,
        "points": range(1, POINTS_MAX + 1),
        "points_max": POINTS_MAX * len(FACTORS),
        "medium_from": MEDIUM_FROM,
        "high_from": HIGH_FROM,
        "outcomes": KycCheck.Outcome.choices,
        "screening_kinds": Screening.Kind.choices,
        "moves": [
            {"to": to.value, "words": MOVE_WORDS[to], "needs_reason": needs_reason(to)}
            for to in shown.possible
        ],
        **_application(investor),
        "powers": investor.powers.select_related("investor", "attorney", "proposed_by").defer(
            "sealed_content"
        )[:ADVISERS_SHOWN],
        "power_form": PowerForm(),
        **_estate(investor),
        "may_decide_power": bool(
            _capabilities(request) & {Capability.KYC_APPROVE.value, Capability.KYC_SENIOR.value}
        ),
        "advisers": investor.advisers.all()[:ADVISERS_SHOWN],
        "may_confirm": Capability.KYC_APPROVE.value in _capabilities(request),
        "may_work": Capability.KYC_REVIEW.value in _capabilities(request) and bool(shown.roles),
    }
    return render_page(request, "desk/case.html", context, parts=())


def _estate(investor: Investor) -> dict[str, Any]:
    """Reported deaths of the holder with their steps, and the forms."""
    deaths = list(
        DeathReport.objects.filter(investor=investor)
        .select_related("valuation")
        .defer("sealed_content", "valuation__content")
        .prefetch_related("steps__executor")
    )
    return {
        "deaths": deaths,
        "has_open_report": any(row.closed_at is None for row in deaths),
        "death_form": DeathForm(),
        "estate_form": EstateForm(),
    }


def _capabilities(request: HttpRequest) -> set[str]:
    user: Any = request.user
    return {item.value for item in user.capabilities}


Step = Callable[[Investor, QueryDict, Actor], str]


def _check(investor: Investor, given: QueryDict, actor: Actor) -> str:
    note_check(
        investor=investor,
        item=given.get("item", ""),
        outcome=given.get("outcome", ""),
        evidence=given.get("evidence", ""),
        actor=actor,
    )
    return "Noted."


def _rate(investor: Investor, given: QueryDict, actor: Actor) -> str:
    try:
        points = {name: int(given.get(name, "")) for name in FACTORS}
    except ValueError:
        raise InvalidInput("give each factor its points", code="bad_rating") from None
    row = rate_case(
        investor=investor,
        points=points,
        is_politically_exposed=given.get("is_politically_exposed") == "on",
        reason=given.get("reason", ""),
        actor=actor,
    )
    return f"Rated: {row.risk}."


def _screening(investor: Investor, given: QueryDict, actor: Actor) -> str:
    record_screening(
        investor=investor,
        party=given.get("party", ""),
        kind=given.get("kind", ""),
        list_name=given.get("list_name", ""),
        list_version=given.get("list_version", ""),
        match=given.get("match", ""),
        actor=actor,
    )
    return "Screening recorded."


def _hit(investor: Investor, given: QueryDict, actor: Actor) -> str:
    number = given.get("hit", "")
    if not number.isdecimal() or len(number) > 18:
        raise InvalidInput("which hit is decided?", code="no_hit")
    hit = get_object_or_404(Screening, pk=int(number), investor=investor)
    decide_hit(
        hit=hit,
        is_same_person=given.get("decision") == "same_person",
        reason=given.get("reason", ""),
        actor=actor,
    )
    return "Decision recorded."


def _review(investor: Investor, given: QueryDict, actor: Actor) -> str:
    sign_review(
        investor=investor,
        seen_hash=given.get("hash", ""),
        reason=given.get("reason", ""),
        actor=actor,
    )
    return "You signed the review; another person decides."


def _move(investor: Investor, given: QueryDict, actor: Actor) -> str:
    word = given.get("to", "")
    if word not in WORDS:
        raise InvalidInput("this is no state of a file", code="bad_state")
    row = move_case(
        investor=investor,
        to=KycState(word),
        reason=given.get("reason", ""),
        seen_hash=given.get("hash", ""),
        message=given.get("message", ""),
        actor=actor,
    )
    if row.kyc_state == KycState.APPROVED and row.user is None:
        return "Approved. Another account has this address: no invitation was sent."
    return f"The file is now: {WORDS[row.kyc_state].lower()}."


def _invite(investor: Investor, given: QueryDict, actor: Actor) -> str:
    invite_to_apply(investor=investor, actor=actor)
    return "The link to the application is on its way."


def _erase(investor: Investor, given: QueryDict, actor: Actor) -> str:
    row = get_object_or_404(Application, investor=investor)
    erase_application(application=row, reason=given.get("reason", ""), actor=actor)
    return "Erased: the key is destroyed."


STEPS: dict[str, Step] = {
    "invite": _invite,
    "erase": _erase,
    "check": _check,
    "rate": _rate,
    "screening": _screening,
    "hit": _hit,
    "review": _review,
    "move": _move,
}
#: Steps that decide on a person, or destroy what was sent: they ask for a fresh factor.
SIGNED_STEPS = ("review", "move", "erase", "invite")


def _application(investor: Investor) -> dict[str, Any]:
    """What the investor sent: answers in words, documents, signatures."""
    row = Application.objects.filter(investor=investor).select_related("share_class").first()
    if row is None:
        return {"application": None}
    found: dict[str, Any] = {"application": row, "answers": [], "is_erased": False}
    try:
        answers = read_answers(row)
    except NotFound:
        found["is_erased"] = True
        return found
    found["answers"] = [
        {
            "step": STEP_WORDS[name],
            "lines": [
                (FORMS[name].base_fields[field].label, value)
                for field, value in answers[name].items()
                if value not in ("", None) and field in FORMS[name].base_fields
            ],
        }
        for name in row.steps_done
        if name in answers and name in FORMS
    ]
    found["documents"] = list(row.documents.filter(removed_at=None))
    found["signatures"] = list(row.signatures.select_related("agreement"))
    return found


@require_safe
@desk_view(Capability.KYC_VIEW)
def document(request: HttpRequest, pk: UUID, number: UUID) -> HttpResponse:
    """A document as a download of bytes: nothing of it runs in this site."""
    row = get_object_or_404(
        Document.objects.select_related("application"),
        pk=number,
        application__investor_id=pk,
        removed_at=None,
    )
    answer = HttpResponse(
        open_document(document=row, actor=actor_of(request)),
        content_type="application/octet-stream",
    )
    extension = {"application/pdf": "pdf", "image/png": "png"}.get(row.media_type, "jpg")
    answer["Content-Disposition"] = (
        f'attachment; filename="{row.item}-{row.digest[:8]}.{extension}"'
    )
    answer["Content-Security-Policy"] = "sandbox; default-src 'none'"
    answer["X-Content-Type-Options"] = "nosniff"
    answer["Cache-Control"] = "no-store"
    return answer


@require_POST
@desk_view(Capability.KYC_VIEW)
def step(request: HttpRequest, pk: UUID, name: str) -> HttpResponse:
    """One step of a case, by its service; what was refused is said above the case."""
    if name not in STEPS:
        raise Http404
    if name in SIGNED_STEPS:
        require_step_up(request)
    investor = get_object_or_404(Investor, pk=pk)
    try:
        messages.success(request, STEPS[name](investor, request.POST, actor_of(request)))
    except SignatureMissing:
        back = reverse("desk_case", args=[investor.pk])
        return go_to_sign(request, action=KYC, subject=investor.pk, back=back)
    except FundError as error:
        messages.error(request, f"Not saved: {error.message}. ({error.code})")
    return redirect("desk_case", pk=investor.pk)
