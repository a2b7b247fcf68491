"""Death and estate on the holder's compliance case: the report, the steps after it, the papers."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from investors.models import DeathReport, EstateStep, Investor
from investors.services.estates import decide_step, open_paper, propose_step, report_death
from magnetfund.core.actors import actor_of
from magnetfund.core.roles import Capability
from magnetfund.kernel.errors import FundError
from magnetfund.web.desk.access import desk_view
from magnetfund.web.desk.attorneys import DEED_BYTES_MAX
from magnetfund.web.desk.signing import answer_decision


class _Styled(forms.Form):
    def __init__(self, data: Any = None, files: Any = None) -> None:
        super().__init__(data, files)
        for field in self.fields.values():
            is_choice = isinstance(field, forms.ChoiceField)
            field.widget.attrs["class"] = "form-select" if is_choice else "form-control"


class DeathForm(_Styled):
    """Who died, when, and the paper."""

    deceased = forms.CharField(label="Who died", max_length=200)
    died_on = forms.DateField(
        label="Day of the death", widget=forms.DateInput(attrs={"type": "date"})
    )
    paper = forms.FileField(label="Death certificate: PDF, JPEG or PNG", max_length=120)


class EstateForm(_Styled):
    """What is to become of the report, and what it rests on."""

    kind = forms.ChoiceField(label="What is proposed", choices=EstateStep.Kind.choices)
    survivor = forms.CharField(
        label="Survivor: the sole holder's name", max_length=200, required=False
    )
    executor = forms.CharField(
        label="Probate: number of the executor's or estate's file", max_length=20, required=False
    )
    ground = forms.CharField(label="What it rests on", max_length=300)
    paper = forms.FileField(label="Paper: PDF, JPEG or PNG", max_length=120)

    def clean_executor(self) -> Investor | None:
        number = self.cleaned_data["executor"].strip()
        found = Investor.objects.filter(number=number).first()
        if number and found is None:
            raise forms.ValidationError("There is no file of this number.")
        return found


def _back(holder: UUID) -> str:
    return f"{reverse('desk_case', args=[holder])}#estate"


def _say_errors(request: HttpRequest, form: forms.Form, verb: str) -> None:
    words = "; ".join(
        f"{form.fields[name].label}: {' '.join(map(str, errors))}"
        for name, errors in form.errors.items()
    )
    messages.error(request, f"Not {verb}. {words}")


@require_POST
@desk_view(Capability.KYC_REVIEW, step_up=True)
def report(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Report a death; the account is held at once."""
    investor = get_object_or_404(Investor, pk=pk)
    form = DeathForm(request.POST, request.FILES)
    if not form.is_valid():
        _say_errors(request, form, "reported")
        return redirect(_back(pk))
    given = form.cleaned_data
    upload = given["paper"]
    try:
        report_death(
            investor=investor, deceased=given["deceased"], died_on=given["died_on"],
            paper_name=upload.name, paper=upload.read(DEED_BYTES_MAX + 1), actor=actor_of(request),
        )  # fmt: skip
    except FundError as error:
        messages.error(request, f"Not reported: {error.message}. ({error.code})")
    else:
        messages.success(request, "Reported; the account is held from now on.")
    return redirect(_back(pk))


@require_POST
@desk_view(Capability.KYC_REVIEW, step_up=True)
def propose(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Propose what becomes of a report; another person decides."""
    row = get_object_or_404(DeathReport, pk=pk)
    form = EstateForm(request.POST, request.FILES)
    if not form.is_valid():
        _say_errors(request, form, "proposed")
        return redirect(_back(row.investor_id))
    given = form.cleaned_data
    upload = given.pop("paper")
    try:
        propose_step(
            report=row, paper_name=upload.name, paper=upload.read(DEED_BYTES_MAX + 1),
            actor=actor_of(request), **given,
        )  # fmt: skip
    except FundError as error:
        messages.error(request, f"Not proposed: {error.message}. ({error.code})")
    else:
        messages.success(request, "Proposed; another person reads the paper and decides.")
    return redirect(_back(row.investor_id))


@require_POST
@desk_view(Capability.KYC_VIEW, step_up=True)
def decide(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The second person's decision, on his signature."""
    row = get_object_or_404(
        EstateStep.objects.select_related("report__investor", "executor"), pk=pk
    )
    return answer_decision(
        request, row, decide=decide_step, back=_back(row.report.investor_id),
        approved=lambda done: done.get_kind_display().lower(),
    )  # fmt: skip


@require_safe
@desk_view(Capability.KYC_VIEW)
def paper(request: HttpRequest, kind: str, pk: UUID) -> HttpResponse:
    """A paper as a download of bytes: nothing of it runs in this site."""
    model: Any = DeathReport if kind == "death" else EstateStep
    row = get_object_or_404(model, pk=pk)
    answer = HttpResponse(
        open_paper(row=row, actor=actor_of(request)), content_type="application/octet-stream"
    )
    extension = {"application/pdf": "pdf", "image/png": "png"}.get(row.paper_type, "jpg")
    name = f"{kind}-{row.paper_digest[:8]}.{extension}"
    answer["Content-Disposition"] = f'attachment; filename="{name}"'
    answer["Content-Security-Policy"] = "sandbox; default-src 'none'"
    answer["X-Content-Type-Options"] = "nosniff"
    answer["Cache-Control"] = "no-store"
    return answer
