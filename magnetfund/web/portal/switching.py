"""An investor's switch between classes: try it out, confirm it with a fresh second factor."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from investors.models import DealingOrder, Investor, ShareClass
from investors.services.switching import quote_switch, submit_switch
from magnetfund.core.actors import actor_of
from magnetfund.core.doors import require_step_up
from magnetfund.kernel.clock import utc_now
from magnetfund.kernel.errors import FundError
from magnetfund.web.parts import render_page
from magnetfund.web.portal.access import is_of_holder, ordering_investor
from magnetfund.web.portal.dealing import (
    RedeemForm,
    estimate_of,
    frame_of,
    go_to,
    own_fund,
    own_holdings,
    send_order,
    typed_query,
)


class SwitchForm(RedeemForm):
    """Units, an amount, or everything of one class, and the class that it buys."""

    into = forms.ModelChoiceField(ShareClass.objects.none(), label="Into", to_field_name="code")
    field_order = ("share_class", "into", "what", "size")

    def __init__(self, investor: Investor, data: Any = None) -> None:
        super().__init__(investor, data)
        self.fields["what"].label = "Switch"
        chooser: Any = self.fields["into"]
        chooser.queryset = own_fund()
        chooser.label_from_instance = lambda item: f"{item.code}, {item.name}"
        chooser.empty_label = None
        chooser.widget.attrs["class"] = "form-select"
        codes = list(own_fund().values_list("code", flat=True))
        held = list(self.fields["share_class"].queryset.values_list("code", flat=True))  # type: ignore[attr-defined]  # a choice of classes
        if held and len(codes) > 1:
            self.initial["into"] = next(code for code in codes if code != held[0])


def _try_out(request: HttpRequest, investor: Investor) -> dict[str, Any]:
    """The form as it is filled in, with its quote or its refusal."""
    form = SwitchForm(investor, request.GET or None)
    context: dict[str, Any] = {"form": form, "quote": None, "refusal": None}
    if not form.is_bound or not form.is_valid():
        return context
    given = form.cleaned_data
    size = given["size"]
    try:
        quote = quote_switch(
            investor=investor,
            share_class=given["share_class"],
            into_class=given["into"],
            estimate=estimate_of(given["share_class"].fund),
            at=utc_now(),
            units=size if given["what"] == "units" else None,
            amount=size if given["what"] == "amount" else None,
        )
    except FundError as error:
        return {**context, "refusal": error}
    chosen = {
        "share_class": quote.share_class.code,
        "into": quote.into_class.code,
        "what": "all" if quote.is_all else "units",
        "size": "" if quote.is_all else f"{quote.units:f}",
    }
    return {**context, "quote": quote, "chosen": chosen, "confirm_query": urlencode(chosen)}


@require_safe
@login_required
def switch(request: HttpRequest) -> HttpResponse:
    """Try out a switch: fees of both classes, units of the new one; nothing is ordered."""
    investor = ordering_investor(request, "may_redeem")
    context = {
        **frame_of(request, investor, "redeem"),
        "holdings": own_holdings(investor),
        "has_choice": own_fund().count() > 1,
        **_try_out(request, investor),
    }
    return render_page(request, "portal/switch.html", context, parts=("simulator",))


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def confirm_switch(request: HttpRequest) -> HttpResponse:
    """What exactly would be ordered; a POST orders it once, with a fresh second factor."""
    investor = ordering_investor(request, "may_redeem")
    if request.method != "POST":
        context = _try_out(request, investor)
        if context["quote"] is None:
            return go_to(f"{reverse('switch')}?{request.GET.urlencode()}")
        page = {**frame_of(request, investor, "redeem"), **context, "key": uuid4()}
        return render_page(request, "portal/switch_confirm.html", page, parts=())
    require_step_up(request)
    form = SwitchForm(investor, request.POST)
    back = f"{reverse('switch')}?{typed_query(request, form)}"
    if not is_of_holder(request, investor):
        return go_to(reverse("switch"))
    if not form.is_valid() or form.cleaned_data["what"] == "amount":
        messages.error(request, "Not ordered: the order is incomplete. Calculate it again.")
        return go_to(back)
    given = form.cleaned_data

    def order() -> DealingOrder:
        return submit_switch(
            investor=investor,
            share_class=given["share_class"],
            into_class=given["into"],
            units=given["size"] if given["what"] == "units" else None,
            actor=actor_of(request),
        )

    return send_order(request, order, back)
