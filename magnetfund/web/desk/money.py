"""Money that came in: statements read in, receipts with their suggestion, suspense by age."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

from django import forms
from django.conf import settings
from django.contrib import messages
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from investors.domain.receipts import Suggestion
from investors.models import DealingOrder, Fund, Investor, StatementFile, StatementLine
from investors.models.dealing import of_heads, quoted_heads
from investors.services.money_accounts import approved_accounts, find_account
from investors.services.receipt_suggestions import (
    nearest_names,
    open_receipts,
    suggest,
    suggest_all,
)
from investors.services.receipts import (
    advance_receipt,
    match_receipt,
    take_over,
    take_part,
    use_advance,
)
from investors.services.statements import (
    FILE_BYTES_MAX,
    confirm_statement,
    preview_statement,
    upload_statement,
)
from magnetfund.core.actors import actor_of
from magnetfund.core.roles import Capability
from magnetfund.core.services.idempotency import StoredAnswer
from magnetfund.kernel.clock import utc_now
from magnetfund.kernel.errors import FundError
from magnetfund.web.desk.access import desk_view
from magnetfund.web.desk.frame import build_frame
from magnetfund.web.desk.reversals import list_reversals
from magnetfund.web.forms import figure_field, send_once
from magnetfund.web.parts import render_page

OPEN_SHOWN = 50
LATELY_SHOWN = 20
#: From this age an item of suspense is marked.
SUSPENSE_DAYS_MAX = 10
MARKS = {"exact": "ok", "unknown": "open", "third_party": "fail", "wrong_currency": "fail"}


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenReceipt:
    """A receipt with open money, what to do with it, and how long it has waited."""

    line: StatementLine
    found: Suggestion
    order: DealingOrder | None
    days: int
    #: The investor whose name is most like the payer's and how much, where no order was found.
    nearest: tuple[str, float] | None

    @property
    def mark(self) -> str:
        """Shape of the mark in front of the outcome."""
        return MARKS.get(self.found.outcome.value, "warn")

    @property
    def is_old(self) -> bool:
        return self.days >= SUSPENSE_DAYS_MAX


def own_fund() -> Fund | None:
    """The fund of this home."""
    return Fund.objects.filter(book=settings.MAGNET_BOOK).first()


def read_open(fund: Fund) -> list[OpenReceipt]:
    """The oldest open receipts, each with its suggestion."""
    lines = list(open_receipts(fund)[:OPEN_SHOWN])
    found = suggest_all(fund, lines)
    orders = DealingOrder.objects.select_related("investor").in_bulk(
        [item.order for item in found if item.order]
    )
    nearest = nearest_names(
        fund, [line.party for line, item in zip(lines, found, strict=True) if not item.order]
    )
    now = utc_now()
    return [
        OpenReceipt(
            line=line,
            found=item,
            order=orders.get(UUID(item.order)) if item.order else None,
            # A line without a time of day counts from the end of its day.
            days=max(0, (now - line.booked_at).days),
            nearest=None if item.order else nearest.get(line.party),
        )
        for line, item in zip(lines, found, strict=True)
    ]


class UploadForm(forms.Form):
    """A statement of one of the fund's accounts."""

    account = forms.ChoiceField(label="Account")
    file = forms.FileField(label="camt.053, CSV or .xlsx", max_length=120)

    def __init__(self, fund: Fund, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        choice = self.fields["account"]
        assert isinstance(choice, forms.ChoiceField)
        choice.choices = [(row.code, str(row)) for row in approved_accounts(fund)]
        choice.widget.attrs["class"] = "form-select"
        self.fields["file"].widget.attrs["class"] = "form-control"


@require_safe
@desk_view(Capability.HOLDERS_VIEW)
def money(request: HttpRequest) -> HttpResponse:
    """Open receipts, what came lately, and the files that brought it."""
    frame = build_frame(request, "nav")
    fund = own_fund()
    context: dict[str, Any] = {"fund": fund, "room": "money"}
    if fund is not None:
        items = read_open(fund)
        sums: dict[str, Decimal] = {}
        for item in items:
            code = item.line.currency
            sums[code] = sums.get(code, Decimal(0)) + item.line.open_amount
        lines = StatementLine.objects.filter(fund=fund).select_related("account")
        context |= {
            "items": items,
            "reversals": list_reversals(fund),
            "sums": sorted(sums.items()),
            "lately": lines.prefetch_related("allocations__order", "allocations__investor")[
                :LATELY_SHOWN
            ],
            "files": StatementFile.objects.filter(account__fund=fund)
            .select_related("account", "uploaded_by")
            .defer("content")[:LATELY_SHOWN],
            "upload": UploadForm(fund),
            "accounts": list(approved_accounts(fund)),
        }
    return render_page(request, "desk/money.html", {**frame, **context}, parts=())


@require_http_methods(["POST"])
@desk_view(Capability.DEALING_PROCESS)
def upload(request: HttpRequest) -> HttpResponse:
    """Keep a statement and show what importing it would do."""
    fund = own_fund()
    if fund is None:
        messages.error(request, "Not read: no fund has been founded.")
        return redirect("desk_money")
    form = UploadForm(fund, request.POST, request.FILES)
    if not form.is_valid():
        words = next(iter(form.errors.values()))[0] if form.errors else ""
        messages.error(request, f"Not read: {words}")
        return redirect("desk_money")
    given: UploadedFile[bytes] = form.cleaned_data["file"]
    try:
        row, _ = upload_statement(
            account=find_account(fund, form.cleaned_data["account"]),
            name=given.name or "statement",
            content=given.read(FILE_BYTES_MAX + 1),
            actor=actor_of(request),
        )
    except FundError as error:
        messages.error(request, f"Not read: {error.message}. ({error.code})")
        return _go(reverse("desk_money"))
    return _go(reverse("desk_money_file", args=[row.pk]))


@require_http_methods(["GET", "HEAD", "POST"])
@desk_view(Capability.DEALING_PROCESS)
def statement_file(request: HttpRequest, pk: UUID) -> HttpResponse:
    """What a file would bring; a POST imports it once."""
    row = get_object_or_404(
        StatementFile.objects.select_related("account__fund", "uploaded_by"),
        pk=pk,
        account__fund__book=settings.MAGNET_BOOK,
    )
    if request.method == "POST":
        try:
            report = confirm_statement(file=row, actor=actor_of(request))
        except FundError as error:
            messages.error(request, f"Not imported: {error.message}. ({error.code})")
            return _go(reverse("desk_money_file", args=[pk]))
        messages.success(
            request,
            f"Imported: {report.new} new lines, {report.known} known, {report.matched} matched.",
        )
        return _go(reverse("desk_money"))
    context = {
        **build_frame(request, "nav"),
        "file": row,
        "report": None if row.confirmed_at else preview_statement(row),
        "room": "money",
    }
    return render_page(request, "desk/money_file.html", context, parts=())


class UseForm(forms.Form):
    """What becomes of an open receipt."""

    use = forms.ChoiceField(
        label="Use",
        choices=[
            ("order", "fund the order"),
            ("advance", "keep for the investor's next order"),
            ("own", "make it mine to clear"),
        ],
        widget=forms.Select(attrs={"class": "form-select"}),
    )
    target = forms.CharField(
        label="Order's reference, or number of the investor",
        max_length=40,
        required=False,
        widget=forms.TextInput(attrs={"class": "form-control mf-num"}),
    )
    amount = figure_field(label="Amount (empty: as much as fits)", required=False)
    reason = forms.CharField(
        label="Reason, or the investor's instruction",
        max_length=300,
        required=False,
        widget=forms.TextInput(attrs={"class": "form-control"}),
    )

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.fields["amount"].widget.attrs["class"] = "form-control mf-num"


@require_http_methods(["GET", "HEAD", "POST"])
@desk_view(Capability.DEALING_PROCESS)
def receipt_line(request: HttpRequest, pk: UUID) -> HttpResponse:
    """One receipt: what it says, what is suggested, and a person's decision."""
    line = get_object_or_404(
        StatementLine.objects.select_related("account", "fund", "owner"),
        pk=pk,
        fund__book=settings.MAGNET_BOOK,
        amount__gt=0,
    )
    found = suggest(line) if line.open_amount else None
    order = DealingOrder.objects.filter(pk=found.order).first() if found and found.order else None
    initial = {"use": "order", "target": order.reference if order else ""}
    form = UseForm(request.POST) if request.method == "POST" else UseForm(initial=initial)
    refusal: FundError | None = None
    if form.is_bound and form.is_valid():
        given = form.cleaned_data

        def execute() -> StoredAnswer:
            _use(line, given, actor_of(request))
            return StoredAnswer(status=303, body=b"", content_type="text/plain")

        try:
            send_once(request, execute)
        except FundError as error:
            refusal = error
        else:
            messages.success(request, "Saved.")
            return _go(reverse("desk_money"))
    context = {
        **build_frame(request, "nav"),
        "line": line,
        "found": found,
        "order": order,
        "form": form,
        "refusal": refusal,
        "key": request.POST.get("key") or uuid4(),
        "allocations": line.allocations.select_related("order", "investor"),
        "room": "money",
    }
    answer = render_page(request, "desk/money_line.html", context, parts=())
    answer.status_code = 422 if form.is_bound else 200
    return answer


def _use(line: StatementLine, given: dict[str, Any], actor: Any) -> None:
    target = given["target"].strip()
    if given["use"] == "own":
        take_over(line=line, actor=actor)
    elif given["use"] == "advance":
        investor = Investor.objects.filter(number=target).first()
        if investor is None:
            raise FormRefusal("there is no investor of this number", code="unknown_investor")
        advance_receipt(line=line, investor=investor, reason=given["reason"], actor=actor)
    else:
        match_receipt(
            line=line,
            order=find_order(line.fund, target),
            amount=given["amount"],
            reason=given["reason"],
            actor=actor,
        )


class FormRefusal(FundError):
    """What a form names is not there."""

    http_status = 422


def find_order(fund: Fund, reference: str) -> DealingOrder:
    """The open subscription of a payment reference (S-1A2B3C4D)."""
    head = reference.upper().removeprefix("S-").strip()
    rows = DealingOrder.objects.filter(
        of_heads(quoted_heads(f"S-{head}") & {head}),
        share_class__fund=fund, kind="subscription", state="accepted",
    )  # fmt: skip
    found = list(rows.select_related("share_class__fund", "investor", "dealing_day")[:2])
    if len(found) != 1:
        raise FormRefusal(
            f"no order that waits for money has the reference {reference!r}", code="unknown_order"
        )
    return found[0]


@require_http_methods(["POST"])
@desk_view(Capability.DEALING_PROCESS)
def order_money(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Deal the part that was paid, or use what stands for the investor."""
    order = get_object_or_404(
        DealingOrder, pk=pk, share_class__fund__book=settings.MAGNET_BOOK, kind="subscription"
    )
    try:
        if request.POST.get("use") == "part":
            take_part(order=order, reason=request.POST.get("reason", ""), actor=actor_of(request))
        else:
            use_advance(order=order, actor=actor_of(request))
    except FundError as error:
        messages.error(request, f"Not saved: {error.message}. ({error.code})")
    else:
        messages.success(request, "Saved: the order has its money.")
    return _go(reverse("desk_dealing_receipt", args=[pk]))


def _go(address: str) -> HttpResponse:
    return HttpResponseRedirect(address, status=303)
