"""An investor's own pages beside dealing: messages, settings, past NAVs, trades, own risk."""

from __future__ import annotations

from datetime import timedelta
from functools import cache
from typing import Any
from zoneinfo import available_timezones

from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from investors.models import Fund, Message
from investors.services.messages import mark_read, save_settings
from magnetfund.kernel.clock import utc_now
from magnetfund.web.forms import LongSelect
from magnetfund.web.months import MONTHS
from magnetfund.web.parts import render_page
from magnetfund.web.portal import own_selectors as own
from magnetfund.web.portal.access import HOLDINGS, own_investor, seen_investor
from magnetfund.web.public.pages import asked_page, page_context, used_shares
from trading.selectors.research import find_survival

PAGE_SIZE = 20
#: Ranges of past NAVs in days; "all" has none.
RANGES = {"3m": 92, "1y": 366, "3y": 1_096, "all": 0}
RANGE_WORDS = {"3m": "3 months", "1y": "A year", "3y": "3 years", "all": "All"}


@cache
def list_zones() -> tuple[tuple[str, str], ...]:
    """Every time zone with its words; the machine's own files name them, which a process reads
    once."""
    return tuple((name, name.replace("_", " ")) for name in sorted(available_timezones()))


class SettingsForm(forms.Form):
    """How the portal shows times and colours, and what is mailed."""

    time_zone = forms.ChoiceField(
        label="Time zone",
        choices=list_zones,
        widget=LongSelect(attrs={"class": "form-select"}),
    )
    theme = forms.ChoiceField(
        label="Colours",
        choices=[("auto", "As the device"), ("light", "Light"), ("dark", "Dark")],
        widget=forms.Select(attrs={"class": "form-select"}),
    )
    wants_mail = forms.BooleanField(
        label="Send me a copy of each message by mail",
        required=False,
        widget=forms.CheckboxInput(attrs={"class": "form-check-input"}),
    )


@require_safe
@login_required
def inbox(request: HttpRequest) -> HttpResponse:
    """Messages of the fund, the newest first."""
    investor = own_investor(request)
    number = asked_page(request)
    begin = (number - 1) * PAGE_SIZE
    rows = list(Message.objects.filter(investor=investor)[begin : begin + PAGE_SIZE + 1])
    page = {
        **page_context(request, "messages"),
        "investor": investor,
        "rows": rows[:PAGE_SIZE],
        "number": number,
        "has_older": len(rows) > PAGE_SIZE,
        "unread": Message.objects.filter(investor=investor, read_at=None).count(),
    }
    return render_page(request, "portal/messages.html", page, parts=("messages-list",))


@require_POST
@login_required
def read(request: HttpRequest) -> HttpResponse:
    """Mark one message, or all where none is named, as read."""
    investor = own_investor(request)
    number = request.POST.get("message", "")
    if not number:
        mark_read(investor=investor)
    elif number.isdecimal() and len(number) < 19:
        mark_read(investor=investor, pk=int(number))
    return redirect("messages")


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def preferences(request: HttpRequest) -> HttpResponse:
    """Time zone, colours and mail, and the accounts that the investor is paid to."""
    investor = own_investor(request)
    user: Any = request.user
    shown = {"time_zone": user.time_zone, "theme": user.theme, "wants_mail": user.wants_mail}
    form = SettingsForm(request.POST if request.method == "POST" else None, initial=shown)
    if form.is_bound and form.is_valid():
        save_settings(user=user, **form.cleaned_data)
        messages.success(request, "Saved.")
        return redirect("preferences")
    fund = Fund.objects.filter(book=settings.MAGNET_BOOK).first()
    page = {
        **page_context(request, "messages"),
        "investor": investor,
        "form": form,
        "accounts": own.list_paid_accounts(investor),
        "cooling_off_days": fund.cooling_off_days if fund is not None else 0,
    }
    return render(request, "portal/preferences.html", page, status=422 if form.is_bound else 200)


@require_safe
@login_required
def past_navs(request: HttpRequest) -> HttpResponse:
    """Prices of one's own classes at every NAV, by range."""
    investor = seen_investor(request, HOLDINGS)
    asked = request.GET.get("range", "1y")
    chosen = asked if asked in RANGES else "1y"
    days = RANGES[chosen]
    since = utc_now() - timedelta(days=days) if days else None
    page = {
        **page_context(request, "navs"),
        "investor": investor,
        "classes": own.find_prices(investor, since=since),
        "chosen": chosen,
        "month_names": MONTHS,
        "ranges": [{"name": name, "words": RANGE_WORDS[name]} for name in RANGES],
    }
    return render(request, "portal/navs.html", page)


@require_safe
@login_required
def trades(request: HttpRequest) -> HttpResponse:
    """Closed trades while the investor held units, each with its why and one's own part."""
    investor = seen_investor(request, HOLDINGS)
    page = {
        **page_context(request, "trades"),
        "investor": investor,
        "page": own.find_trades(investor, book=settings.MAGNET_BOOK, number=asked_page(request)),
    }
    return render_page(request, "portal/trades.html", page, parts=("trades",))


@require_safe
@login_required
def my_risk(request: HttpRequest) -> HttpResponse:
    """One's own part of what is at risk, what a stop would cost, and how close the limits are."""
    investor = seen_investor(request, HOLDINGS)
    context = page_context(request, "risk")
    page = {
        **context,
        **used_shares(context["valuation"]),
        "investor": investor,
        "risk": own.find_risk(investor, book=settings.MAGNET_BOOK, valuation=context["valuation"]),
        "survival": find_survival(),
    }
    return render(request, "portal/my_risk.html", page)
