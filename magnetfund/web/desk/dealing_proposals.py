"""Dealings that the house proposes for holders: the form, what waits, and the second person."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

from django import forms
from django.conf import settings
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from investors.domain.receipts.workbooks import as_csv
from investors.models import DealingProposal, Fund, Investor
from investors.services.dealing_import import (
    BYTES_MAX,
    NEEDED,
    OPTIONAL,
    DealingImport,
    import_dealings,
)
from investors.services.dealing_proposals import decide_dealing
from investors.services.investor_search import search_investors
from investors.services.papers import note_download
from investors.services.transfer_note import transfer_note
from magnetfund.core.actors import actor_of
from magnetfund.core.roles import Capability
from magnetfund.core.services.signing import SignatureMissing
from magnetfund.kernel.errors import FundError, NotFound
from magnetfund.web.dealing_forms import DealingProposalForm
from magnetfund.web.desk.access import desk_view
from magnetfund.web.desk.frame import build_frame
from magnetfund.web.desk.signing import go_on_signing
from magnetfund.web.forms import submit_once
from magnetfund.web.investor_field import InvestorField
from magnetfund.web.parts import render_page, send_pdf
from magnetfund.web.service_forms import bind

SHOWN = 40
#: Investors that the page offers while one is typed.
OFFERED_MAX = 20
#: The part of the page with the investors that it offers, and the one with the form's fields.
HOLDERS, FIELDS = "holders", "fields"


@require_http_methods(["GET", "HEAD", "POST"])
@desk_view(Capability.HOLDERS_VIEW)
def proposals(request: HttpRequest) -> HttpResponse:
    """What waits for a second person, what was decided, and the form for those who propose."""
    user: Any = request.user
    may_propose = user.can(Capability.DEALING_PROCESS) or user.can(Capability.DEALING_APPROVE)
    bound = bind(DealingProposalForm, actor_of(request))
    form = bound(initial={"kind": request.GET.get("kind", "")})
    if request.method == "POST":
        if not may_propose:
            raise PermissionDenied
        form = bound(request.POST)
        if submit_once(request, form, verb="proposed", after="a second person decides."):
            return HttpResponseRedirect(reverse("desk_dealing_proposals"), status=303)
    _offer(form)
    rows = DealingProposal.objects.filter(
        share_class__fund__book=settings.MAGNET_BOOK
    ).select_related(
        "investor", "receiver", "share_class__fund", "into_class", "proposed_by", "decided_by",
        "order",
    )  # fmt: skip
    context = {
        **build_frame(request, "nav"),
        "form": form,
        "may_propose": may_propose,
        "may_decide": user.can(Capability.DEALING_APPROVE),
        "waiting": rows.filter(decided_at=None)[:SHOWN],
        "past": rows.exclude(decided_at=None).order_by("-decided_at")[:SHOWN],
        "key": request.POST.get("key") or uuid4(),
        "holders": search_investors(_typed(request), most=OFFERED_MAX) if may_propose else [],
    }
    answer = render_page(request, "desk/dealing_proposals.html", context, parts=(HOLDERS, FIELDS))
    answer.status_code = 422 if request.method == "POST" else 200
    return answer


def _offer(form: forms.BaseForm) -> None:
    """Have the page offer investors while one is typed, and ask what the chosen kind needs.

    Without scripts it offers the first, and links lead to the fields of another kind.
    """
    page = reverse("desk_dealing_proposals")
    lookup = {
        "list": HOLDERS,
        "autocomplete": "off",
        "hx-get": page,
        "hx-trigger": "input changed delay:250ms",
        "hx-target": f"#{HOLDERS}",
        "hx-swap": "outerHTML",
        "hx-sync": "this:replace",
    }
    for name, field in form.fields.items():
        if name == "kind":
            field.widget.attrs |= {
                "hx-get": page, "hx-target": f"#{FIELDS}", "hx-swap": "outerHTML",
            }  # fmt: skip
            continue
        # What was typed stays where the next kind asks for it too.
        field.widget.attrs["hx-preserve"] = "true"
        if isinstance(field, InvestorField):
            field.widget.attrs |= lookup


def _typed(request: HttpRequest) -> str:
    """What stands in the field that asks for names."""
    return request.GET.get("investor") or request.GET.get("receiver") or ""


class ImportForm(forms.Form):
    """A file, or the text of one that was tried."""

    file = forms.FileField(required=False, max_length=120, label="CSV file or workbook")
    content = forms.CharField(required=False, strip=False, max_length=BYTES_MAX)

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        if not given.get("file") and not given.get("content"):
            self.add_error("file", "Choose a file.")
        return given

    def read(self) -> bytes:
        """The bytes that were sent, at most one more than a file may have; a workbook as CSV."""
        file: UploadedFile[bytes] | None = self.cleaned_data["file"]
        if file:
            return as_csv(bytes(file.read(BYTES_MAX + 1)))
        return str(self.cleaned_data["content"]).encode()


@require_http_methods(["GET", "HEAD", "POST"])
@desk_view(Capability.DEALING_PROCESS)
def import_file(request: HttpRequest) -> HttpResponse:
    """A file of orders: what it would propose line by line, then all of it at once."""
    is_sent = request.method == "POST"
    form = ImportForm(request.POST if is_sent else None, request.FILES if is_sent else None)
    report: DealingImport | None = None
    refusal: FundError | None = None
    content, fund = b"", Fund.objects.filter(book=settings.MAGNET_BOOK).first()
    is_dry_run = request.POST.get("step") != "propose"
    if is_sent and form.is_valid():
        try:
            content = form.read()
            if fund is None:
                raise NotFound("no fund has been founded", code="no_fund")
            report = import_dealings(
                fund=fund, content=content, actor=actor_of(request), is_dry_run=is_dry_run
            )
        except FundError as error:
            refusal = error
    if report is not None and report.proposals:
        count = len(report.proposals)
        messages.success(request, f"{count} proposed; a second person decides on each.")
        return HttpResponseRedirect(reverse("desk_dealing_proposals"), status=303)
    context = {
        **build_frame(request, "nav"),
        "form": form,
        "report": report,
        "refusal": refusal,
        "content": content.decode("utf-8-sig", "replace") if report is not None else "",
        "needed": NEEDED,
        "optional": OPTIONAL,
        "kinds": DealingProposal.Kind.values,
    }
    answer = render_page(request, "desk/dealing_import.html", context, parts=())
    answer.status_code = 422 if is_sent and (report is None or report.refused) else 200
    return answer


@require_safe
@desk_view(Capability.PAPERS_VIEW)
def note(request: HttpRequest, pk: UUID, number: str) -> HttpResponse:
    """The note of a transfer for one of its holders; each download is noted."""
    row = get_object_or_404(DealingProposal, pk=pk, share_class__fund__book=settings.MAGNET_BOOK)
    try:
        paper = transfer_note(proposal=row, investor=get_object_or_404(Investor, number=number))
    except FundError as error:
        messages.error(request, f"No note: {error.message}. ({error.code})")
        return redirect("desk_dealing_proposals")
    return send_pdf(paper.number, note_download(paper, actor=actor_of(request)))


@require_POST
@desk_view(Capability.DEALING_APPROVE, step_up=True)
def decide(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The second person's decision; approving carries it out."""
    row = get_object_or_404(DealingProposal, pk=pk, share_class__fund__book=settings.MAGNET_BOOK)
    is_approved = request.POST.get("decision") == "approve"
    try:
        decide_dealing(proposal=row, is_approved=is_approved, actor=actor_of(request))
    except SignatureMissing as missing:
        return go_on_signing(request, missing, back=reverse("desk_dealing_proposals"))
    except FundError as error:
        messages.error(request, f"Not decided: {error.message}. ({error.code})")
    else:
        messages.success(request, "Done; the holder is told." if is_approved else "Declined.")
    return redirect("desk_dealing_proposals")
