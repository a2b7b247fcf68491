"""Applying without an account: begin, prove the address, one page a step, documents, signature."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django import forms
from django.conf import settings
from django.contrib import messages
from django.core.cache import cache
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from investors.domain.onboarding.uploads import BYTES_MAX
from investors.models import Application, ShareClass
from investors.services.agreements import list_agreements, sign_agreements
from investors.services.application_links import open_link
from investors.services.applications import (
    PAPERS,
    STEPS,
    can_change,
    choose_amount,
    find_application,
    find_open_steps,
    read_answers,
    save_step,
    start_application,
    step_after,
    submit_application,
    withdraw_application,
)
from investors.services.documents import add_document, remove_document, was_sent_in
from investors.services.founding import KINDS
from investors.services.policies import takes_money
from magnetfund.kernel.clock import utc_now
from magnetfund.kernel.errors import FundError, InvalidInput, NotFound
from magnetfund.web.public.apply_forms import FORMS, STEP_WORDS, SignForm
from magnetfund.web.public.pages import page_context

SESSION_KEY = "application"
#: Links that one visitor and one address are mailed within an hour.
STARTS_A_VISITOR, STARTS_AN_ADDRESS = 10, 3
HOUR = 3_600
#: What a form around a file adds to it.
FORM_BYTES = 20_000
KIND_WORDS = {
    "person": "For myself",
    "joint": "With a second person",
    "company": "For a company",
    "trust": "For a trust",
}


class StartForm(forms.Form):
    kind = forms.ChoiceField(
        label="Who applies?",
        choices=[(kind, KIND_WORDS[kind]) for kind in KINDS],
        widget=forms.RadioSelect(attrs={"class": "form-check-input"}),
        initial="person",
    )
    email = forms.EmailField(
        label="E-mail address",
        max_length=254,
        widget=forms.EmailInput(attrs={"class": "form-control", "autocomplete": "email"}),
    )


def _is_within(name: str, most: int) -> bool:
    """Count a try of the last hour; whether it is within the limit."""
    key = f"apply:{name}"
    cache.add(key, 0, HOUR)
    try:
        return int(cache.incr(key)) <= most
    except ValueError:
        return True


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def start(request: HttpRequest) -> HttpResponse:
    """Begin or resume: the answer is the same whatever the address is."""
    form = StartForm(request.POST if request.method == "POST" else None)
    status = 200
    if form.is_bound and form.is_valid():
        email = form.cleaned_data["email"].strip().lower()
        visitor = request.META.get("REMOTE_ADDR", "")
        if not _is_within(f"ip:{visitor}", STARTS_A_VISITOR):
            return render(request, "429.html", status=429)
        if _is_within(f"to:{email}", STARTS_AN_ADDRESS):
            try:
                start_application(kind=form.cleaned_data["kind"], email=email)
            except InvalidInput as error:
                form.add_error("email", error.message.capitalize() + ".")
        if form.is_valid():
            page = {**page_context(request), "sent_to": email}
            return render(request, "public/apply_sent.html", page)
    if form.is_bound:
        status = 422
    is_open = ShareClass.objects.filter(fund__book=settings.MAGNET_BOOK).exists()
    page = {**page_context(request), "form": form, "is_open": is_open}
    return render(request, "public/apply_start.html", page, status=status)


@never_cache
@require_safe
def open_by_link(request: HttpRequest, word: str) -> HttpResponse:
    """Prove the address and go on where the application stands."""
    try:
        row = open_link(word)
    except NotFound as error:
        page = {**page_context(request), "refusal": error, "form": StartForm()}
        return render(request, "public/apply_start.html", page, status=404)
    request.session.cycle_key()
    request.session[SESSION_KEY] = [str(row.pk), row.opened_generation]
    return _go_on(row)


def _go_on(row: Application) -> HttpResponse:
    if not can_change(row):
        return redirect("apply_status")
    open_steps = find_open_steps(row)
    return redirect("apply_step", step=open_steps[0] if open_steps else "sign")


def _own(request: HttpRequest) -> Application:
    """The application of the session; opening a newer link ends it."""
    kept = request.session.get(SESSION_KEY)
    if not isinstance(kept, list) or len(kept) != 2:
        raise Http404
    row = find_application(str(kept[0]))
    if row is None or row.opened_generation != kept[1]:
        raise Http404
    return row


def _frame(request: HttpRequest, row: Application, step: str) -> dict[str, Any]:
    return {
        **page_context(request),
        "application": row,
        "step": step,
        "steps": [
            {
                "name": name,
                "words": STEP_WORDS[name],
                "is_done": name in row.steps_done,
                "is_now": name == step,
                "number": number,
            }
            for number, name in enumerate(STEPS[row.kind], start=1)
        ],
        "steps_count": len(STEPS[row.kind]),
        "previous": _step_before(row, step),
    }


def _step_before(row: Application, step: str) -> str:
    steps = STEPS[row.kind]
    return steps[steps.index(step) - 1] if steps.index(step) else ""


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def show_step(request: HttpRequest, step: str) -> HttpResponse:
    """One step: shown with what was saved, saved as it is sent."""
    row = _own(request)
    if step not in STEPS[row.kind]:
        raise Http404
    if not can_change(row):
        return redirect("apply_status")
    if step == "papers":
        return _papers(request, row)
    if step == "sign":
        return _sign(request, row)
    saved = read_answers(row).get(step, {})
    form = FORMS[step](request.POST if request.method == "POST" else None, initial=saved)
    refusal: FundError | None = None
    if form.is_bound and form.is_valid():
        try:
            save_step(application=row, step=step, answers=form.answers())
        except FundError as error:
            refusal = error
        else:
            return redirect("apply_step", step=step_after(row, step))
    page = {**_frame(request, row, step), "form": form, "refusal": refusal}
    return render(request, "public/apply_step.html", page, status=422 if form.is_bound else 200)


def _papers(request: HttpRequest, row: Application) -> HttpResponse:
    """The documents of each item; a POST without a file goes on."""
    refusal: FundError | None = None
    if request.method == "POST":
        try:
            done = _take_papers(request, row)
        except FundError as error:
            refusal = error
        else:
            return redirect("apply_step", step="sign" if done else "papers")
    documents: list[Any] = list(row.documents.filter(removed_at=None))
    for document in documents:
        document.stays = was_sent_in(document, row)
    page = {
        **_frame(request, row, "papers"),
        "items": [
            {
                "item": item,
                "words": words,
                "documents": [document for document in documents if document.item == item],
            }
            for item, words in PAPERS[row.kind].items()
        ],
        "refusal": refusal,
        "megabytes": BYTES_MAX // 1_000_000,
    }
    return render(request, "public/apply_papers.html", page, status=422 if refusal else 200)


def _take_papers(request: HttpRequest, row: Application) -> bool:
    """Store a file that was sent; True where there was none and everything is here."""
    # Judged by the stated length before a single byte of the body is read.
    length = request.META.get("CONTENT_LENGTH") or "0"
    if not length.isdecimal() or int(length) > BYTES_MAX + FORM_BYTES:
        raise InvalidInput("a file has at most 10 MB", code="upload_size")
    file = request.FILES.get("file")
    if file is not None:
        document = add_document(
            application=row,
            item=request.POST.get("item", ""),
            name=str(file.name or "file"),
            content=file.read(),
        )
        messages.success(request, f"{document.name} is stored, encrypted.")
        return False
    missing = set(PAPERS[row.kind]) - set(
        row.documents.filter(removed_at=None).values_list("item", flat=True)
    )
    if missing:
        raise InvalidInput(
            "something is missing: " + ", ".join(PAPERS[row.kind][item] for item in PAPERS[row.kind]
                                                 if item in missing),
            code="upload_missing",
        )  # fmt: skip
    save_step(application=row, step="papers", answers={})
    return True


@never_cache
@require_POST
def remove_paper(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Take a document out again before it is sent in; its content is gone at once."""
    row = _own(request)
    try:
        remove_document(application=row, pk=pk)
    except FundError as error:
        messages.error(request, error.message)
    return redirect("apply_step", step="papers")


def _classes() -> list[ShareClass]:
    """Classes that take new money."""
    rows = ShareClass.objects.filter(fund__book=settings.MAGNET_BOOK).select_related("fund")
    now = utc_now()
    return [row for row in rows.order_by("code") if takes_money(row, at=now)]


def _sign(request: HttpRequest, row: Application) -> HttpResponse:
    """Amount, agreements and signature, then the application is sent in."""
    classes = _classes()
    by_code = {item.code: item for item in classes}
    initial = {
        "share_class": row.share_class.code if row.share_class else None,
        "amount": None if row.amount is None else f"{row.amount.normalize():f}",
    }
    form = SignForm(
        request.POST if request.method == "POST" else None,
        initial=initial,
        classes=[
            (item.code, f"{item.code}, {item.name}, from {item.minimum_subscription:,.0f} "
             f"{item.fund.currency}")
            for item in classes
        ],
    )  # fmt: skip
    refusal: FundError | None = None
    if form.is_bound and form.is_valid():
        given = form.cleaned_data
        agreements = list_agreements()
        seen = {item.code: request.POST.get(f"seen_{item.code}", "") for item in agreements}
        try:
            choose_amount(
                application=row,
                share_class=by_code[given["share_class"]],
                amount=given["amount"],
            )
            open_steps = find_open_steps(row)
            if open_steps:
                words = ", ".join(STEP_WORDS[name] for name in open_steps)
                raise InvalidInput(f"still open: {words}", code="steps_open")
            sign_agreements(application=row, name=given["signature"], seen=seen)
            submit_application(application=row)
        except FundError as error:
            refusal = error
        else:
            return redirect("apply_status")
    page = {
        **_frame(request, row, "sign"),
        "form": form,
        "refusal": refusal,
        "agreements": list_agreements(),
        "has_classes": bool(classes),
    }
    return render(request, "public/apply_sign.html", page, status=422 if form.is_bound else 200)


@never_cache
@require_safe
def status(request: HttpRequest) -> HttpResponse:
    """Where an application stands; never why."""
    row = _own(request)
    state = row.investor.kyc_state if row.investor is not None else ""
    page = {
        **page_context(request),
        "application": row,
        "can_change": can_change(row),
        "first_step": STEPS[row.kind][0],
        "where": _where(row, state),
        "documents_count": row.documents.filter(removed_at=None).count(),
        "agreements_count": row.signatures.count(),
    }
    return render(request, "public/apply_status.html", page)


def _where(row: Application, state: str) -> str:
    """The words for an applicant: a review is a review, whatever is looked at in it."""
    if row.state == Application.State.WITHDRAWN:
        return "withdrawn"
    return {
        "": "draft",
        "more_info": "more",
        "collecting": "more",
        "approved": "accepted",
        "declined": "declined",
        "exited": "declined",
    }.get(state, "review")


@never_cache
@require_POST
def withdraw(request: HttpRequest) -> HttpResponse:
    """Take an application back before it is sent in."""
    row = _own(request)
    try:
        withdraw_application(application=row)
    except FundError as error:
        messages.error(request, error.message)
    return redirect("apply_status")
