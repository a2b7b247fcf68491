"""Payments out on the desk: what is owed, each payment with its life, and its next step."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

from django import forms
from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from investors.domain.payments import PaymentKind, PaymentState, is_director_needed
from investors.models import (
    DealingOrder,
    Fund,
    FundAccount,
    Investor,
    PayeeAccount,
    Payment,
    PaymentFile,
    StatementLine,
)
from investors.services.money_accounts import approved_accounts
from investors.services.payment_books import OF_LOTS
from investors.services.payment_drafts import (
    FEES,
    PAID_OUT,
    list_owed_by_lot,
    list_payable,
    owed,
    prepare_fee,
    prepare_of_lots,
    prepare_proceeds,
    prepare_refund,
    release_holdback,
)
from investors.services.payments import (
    approve_payment,
    cancel_payment,
    confirm_payment,
    release_payments,
    return_payment,
)
from magnetfund.core.actors import actor_of
from magnetfund.core.doors import require_step_up
from magnetfund.core.roles import Capability
from magnetfund.core.services.idempotency import StoredAnswer
from magnetfund.core.services.signing import PAYMENT, SignatureMissing
from magnetfund.kernel.errors import FundError, InvalidInput
from magnetfund.web.desk.access import desk_view
from magnetfund.web.desk.frame import build_frame
from magnetfund.web.desk.money import own_fund
from magnetfund.web.desk.payment_list import find_payment_page
from magnetfund.web.desk.signing import go_to_sign, is_own
from magnetfund.web.forms import FigureField, send_once
from magnetfund.web.parts import asked_part, render_page
from magnetfund.web.public.pages import asked_page

OWED_SHOWN = 50
#: What the page of a payment can do, with the word of its button and what it asks for.
STEPS = {
    "approve": "Approve payment",
    "release": "Release payment",
    "confirm": "Confirm payment",
    "return": "Record return",
    "cancel": "Cancel payment",
}


def next_step(row: Payment, user: Any) -> tuple[str, str]:
    """The step that the person can take next (empty: none), and what a payment waits for."""
    if row.state == PaymentState.PREPARED:
        needs = is_director_needed(amount=row.amount, band=row.fund.payment_band)
        is_own = user.pk == row.prepared_by_id or user.person == row.prepared_by.person
        waits_director = needs and row.directed_by_id is None
        if not is_own and row.approved_by_id is None and user.can(Capability.PAYMENTS_APPROVE):
            return "approve", "waits for you"
        if not is_own and waits_director and user.can(Capability.PAYMENTS_DIRECT):
            return "approve", "waits for you"
        who = "a controller" if row.approved_by_id is None else "a director"
        return "", f"waits for {who}" + (", not you: you prepared it" if is_own else "")
    works = user.can(Capability.DEALING_PROCESS)
    if row.state == PaymentState.APPROVED:
        return ("release" if works else ""), "release by an accountant"
    if row.state == PaymentState.RELEASED:
        return ("confirm" if works else ""), "the bank confirms"
    return "", ""


def list_owed(fund: Fund) -> dict[str, Any]:
    """What is owed and not in a payment: proceeds, held back money, rebates, fees."""
    orders = list(
        DealingOrder.objects.filter(
            share_class__fund=fund, kind__in=PAID_OUT, state__in=("payable", "deferred"),
            dealt_amount__gt=0,
        )
        .select_related("investor", "share_class__fund")
        .order_by("updated_at", "pk")[:OWED_SHOWN]
    )  # fmt: skip
    by_lots = {kind: list_owed_by_lot(fund, kind) for kind in OF_LOTS}
    named = {who for amounts in by_lots.values() for who in amounts}
    holders = list(Investor.objects.filter(pk__in=named).order_by("number")[:OWED_SHOWN])
    payees: dict[UUID, list[PayeeAccount]] = {}
    for row in PayeeAccount.objects.filter(
        fund=fund, approved_at__isnull=False, closed_at=None, investor__isnull=False,
        investor__in=[*(order.investor_id for order in orders), *holders],
    ):  # fmt: skip
        assert row.investor_id is not None
        payees.setdefault(row.investor_id, []).append(row)
    suppliers = list(
        PayeeAccount.objects.filter(
            fund=fund, investor=None, approved_at__isnull=False, closed_at=None
        )
    )
    return {
        "redemptions": [
            {"row": order, "amount": amount, "kind": PaymentKind.REDEMPTION.value,
             "key": order.pk, "payees": payees.get(order.investor_id, [])}
            for order, amount in zip(orders, list_payable(orders), strict=True)
            if amount > 0 or order.held_amount
        ],
        "rebates": [
            {"investor": row, "amount": amounts[row.pk], "kind": kind.value,
             "words": Payment.Kind(kind.value).label,
             "key": f"{kind.value}-{row.pk}", "payees": payees.get(row.pk, [])}
            for kind, amounts in by_lots.items()
            for row in holders
            if row.pk in amounts
        ],
        "fees": [
            {"words": Payment.Kind(kind.value).label, "amount": amount, "kind": kind.value,
             "key": kind.value, "payees": suppliers, "is_fee": True}
            for kind in FEES
            if (amount := owed(fund, kind)) > 0
        ],
    }  # fmt: skip


@require_safe
@desk_view(Capability.HOLDERS_VIEW)
def payments(request: HttpRequest) -> HttpResponse:
    """What is owed, and the payments with their life."""
    frame = build_frame(request, "nav")
    fund = own_fund()
    context: dict[str, Any] = {"fund": fund, "room": "payments", "key": uuid4()}
    listing = find_payment_page(fund, request.GET, number=asked_page(request))
    shown = []
    for row in listing.rows:
        step, waits = next_step(row, request.user)
        shown.append({"row": row, "step": step, "word": STEPS.get(step, ""), "waits": waits})
    context["listing"] = replace(listing, rows=shown)
    if fund is not None and not asked_part(request, ["payments"]):
        context |= list_owed(fund)
    return render_page(request, "desk/payments.html", {**frame, **context}, parts=("payments",))


@require_POST
@desk_view(Capability.DEALING_PROCESS)
def prepare(request: HttpRequest) -> HttpResponse:
    """Prepare one payment of what is owed, once for the page that asked."""
    given = request.POST

    def execute() -> StoredAnswer:
        row = _prepare(request)
        return StoredAnswer(status=303, body=row.reference.encode(), content_type="text/plain")

    try:
        answer = send_once(request, execute)
    except FundError as error:
        messages.error(request, f"Not prepared: {error.message}. ({error.code})")
    else:
        messages.success(
            request, f"{answer.body.decode()} is prepared. Another person must approve it."
        )
    back = "desk_money" if given.get("kind") == "refund" else "desk_payments"
    return redirect(back)


def _prepare(request: HttpRequest) -> Payment:
    given, actor, fund = request.POST, actor_of(request), own_fund()
    if fund is None:
        raise InvalidInput("no fund has been founded", code="no_fund")
    kind = given.get("kind", "")
    if kind == "refund":
        line = _find(StatementLine.objects.filter(fund=fund), given.get("line"))
        return prepare_refund(line=line, reason=given.get("reason", ""), actor=actor)
    payee = _find(PayeeAccount.objects.filter(fund=fund), given.get("payee"))
    if kind in PAID_OUT.values():
        orders = DealingOrder.objects.filter(share_class__fund=fund)
        return prepare_proceeds(order=_find(orders, given.get("order")), payee=payee, actor=actor)
    if kind in OF_LOTS:
        return prepare_of_lots(fund=fund, kind=PaymentKind(kind), payee=payee, actor=actor)
    if kind not in {item.value for item in FEES}:
        raise InvalidInput("this is not a fee or expense", code="wrong_kind")
    text = given.get("amount", "").strip()
    try:
        amount = FigureField(max_digits=30).clean(text) if text else None
    except forms.ValidationError:
        raise InvalidInput("the amount is no number", code="not_a_number") from None
    return prepare_fee(
        fund=fund, kind=PaymentKind(kind), payee=payee, amount=amount,
        text=given.get("text", "") or kind.replace("_", " "), actor=actor,
    )  # fmt: skip


def _find(rows: Any, pk: str | None) -> Any:
    try:
        found = rows.filter(pk=UUID(pk or "")).first()
    except ValueError:
        found = None
    if found is None:
        raise InvalidInput("choose one of the list", code="nothing_chosen")
    return found


@require_http_methods(["GET", "HEAD", "POST"])
@desk_view(Capability.HOLDERS_VIEW)
def payment(request: HttpRequest, pk: UUID) -> HttpResponse:
    """One payment: who, how much, where; and its next step after a confirmation."""
    if request.method == "POST":
        require_step_up(request)
    row = get_object_or_404(
        Payment.objects.select_related(
            "fund", "prepared_by", "approved_by", "directed_by", "file", "order__investor", "line"
        ),
        pk=pk,
        fund__book=settings.MAGNET_BOOK,
    )
    if request.method == "POST":
        step = request.POST.get("step", "")
        try:
            _take_step(row, step, request)
        except SignatureMissing as error:
            if is_own(request, error):
                back = reverse("desk_payment", args=[pk])
                return go_to_sign(request, action=PAYMENT, subject=row.pk, back=back)
            messages.error(request, f"Not saved: {error.message}.")
        except FundError as error:
            messages.error(request, f"Not saved: {error.message}. ({error.code})")
        else:
            messages.success(request, f"{row.reference}: {STEPS[step].lower()}, done.")
        return HttpResponseRedirect(reverse("desk_payment", args=[pk]), status=303)
    step, waits = next_step(row, request.user)
    context = {
        **build_frame(request, "nav"),
        "row": row,
        "step": step,
        "word": STEPS.get(step, ""),
        "waits": waits,
        "accounts": approved_accounts(row.fund).filter(currency=row.currency),
        "needs_director": is_director_needed(amount=row.amount, band=row.fund.payment_band),
        "room": "payments",
    }
    return render_page(request, "desk/payment.html", context, parts=())


def _take_step(row: Payment, step: str, request: HttpRequest) -> None:
    given, actor = request.POST, actor_of(request)
    reason = given.get("reason", "")
    if step == "approve":
        approve_payment(payment=row, seen_hash=given.get("hash", ""), actor=actor)
    elif step == "release":
        account: FundAccount = _find(approved_accounts(row.fund), given.get("account"))
        release_payments(payments=[row], account=account, actor=actor)
    elif step == "confirm":
        confirm_payment(payment=row, bank_reference=given.get("reference", ""), actor=actor)
    elif step == "return":
        return_payment(payment=row, reason=reason, actor=actor)
    elif step == "cancel":
        cancel_payment(payment=row, reason=reason, actor=actor)
    else:
        raise InvalidInput("there is no such step", code="wrong_state")


@require_POST
@desk_view(Capability.DEALING_PROCESS, step_up=True)
def release(request: HttpRequest) -> HttpResponse:
    """Release all chosen payments in one file."""
    fund = own_fund()
    try:
        if fund is None:
            raise InvalidInput("no fund has been founded", code="no_fund")
        account = _find(approved_accounts(fund), request.POST.get("account"))
        rows = [
            _find(Payment.objects.filter(fund=fund), pk) for pk in request.POST.getlist("payment")
        ]
        file = release_payments(payments=rows, account=account, actor=actor_of(request))
    except FundError as error:
        messages.error(request, f"Not released: {error.message}. ({error.code})")
    else:
        messages.success(request, f"Released in the file {file.name}.")
    return redirect("desk_payments")


@require_POST
@desk_view(Capability.PAYMENTS_APPROVE, step_up=True)
def holdback(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Release what was held back of a redemption."""
    order = get_object_or_404(DealingOrder, pk=pk, share_class__fund__book=settings.MAGNET_BOOK)
    try:
        release_holdback(
            order=order, reason=request.POST.get("reason", ""), actor=actor_of(request)
        )
    except FundError as error:
        messages.error(request, f"Not released: {error.message}. ({error.code})")
    else:
        messages.success(request, "What was held back is payable now.")
    return redirect("desk_payments")


@require_safe
@desk_view(Capability.DEALING_PROCESS)
def payment_file(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The instruction as it was released, for the bank or the keepers of the wallet."""
    row = get_object_or_404(PaymentFile, pk=pk, account__fund__book=settings.MAGNET_BOOK)
    is_wallet = row.account.kind == "wallet"
    answer = HttpResponse(
        bytes(row.content), content_type="text/csv" if is_wallet else "application/xml"
    )
    ending = "csv" if is_wallet else "xml"
    answer["Content-Disposition"] = f'attachment; filename="{row.name}.{ending}"'
    return answer
