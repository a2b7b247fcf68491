"""Form fields for figures as people type them, and forms that take effect once."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.contrib import messages
from django.forms.utils import flatatt
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from magnetfund.core.services.idempotency import StoredAnswer, fingerprint_of, run_once
from magnetfund.kernel.errors import FundError, InvalidInput


class FigureField(forms.DecimalField):
    """A decimal field that accepts thousands separators: 1,250.50 or 1 250.50."""

    def to_python(self, value: Any) -> Decimal | None:  # type: ignore[override]
        if isinstance(value, str):
            value = value.replace(",", "").replace(" ", "").replace("\u00a0", "")
        return super().to_python(value)


class LongSelect(forms.Select):
    """Hundreds of options without groups, written at once: Django's asks a template for each."""

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        chosen = "" if value is None else str(value)
        options = format_html_join(
            "",
            '<option value="{}"{}>{}</option>',
            (
                (key, SafeString(" selected") if str(key) == chosen else "", words)
                for key, words in self.choices
            ),
        )
        attributes = self.build_attrs(self.attrs, {**(attrs or {}), "name": name})
        return format_html("<select{}>{}</select>", flatatt(attributes), options)


def figure_field(**more: Any) -> FigureField:
    """A figure above zero, with its refusals in words."""
    return FigureField(
        min_value=Decimal("1e-12"),
        max_digits=30,
        error_messages={
            "required": "Required.",
            "invalid": "Enter a number, for example 1,250.50.",
            "min_value": "Must be greater than zero.",
            "max_digits": "Use fewer digits.",
        },
        widget=forms.TextInput(attrs={"inputmode": "decimal", "autocomplete": "off"}),
        **more,
    )


def send_once(request: HttpRequest, execute: Callable[[], StoredAnswer]) -> StoredAnswer:
    """Run once for the key of the page that was confirmed; the same post again is a replay."""
    given = sorted(
        (name, value) for name, value in request.POST.items() if name != "csrfmiddlewaretoken"
    )
    return run_once(
        principal=f"user:{request.user.pk}",
        key=request.POST.get("key", ""),
        fingerprint=fingerprint_of("POST", request.path, urlencode(given).encode()),
        execute=execute,
    )


def submit_once(request: HttpRequest, form: forms.BaseForm, *, verb: str, after: str) -> bool:
    """Submit a form whose cleaning calls a service; whether it took effect, now or before.

    It takes effect once for the key of its page.  ``verb`` is the participle of the messages
    ("proposed"), ``after`` says what comes next.  A refusal is a message or stands in the form.
    """

    def execute() -> StoredAnswer:
        if not form.is_valid():
            raise InvalidInput("the form has errors", code="bad_form")
        return StoredAnswer(status=303, body=b"", content_type="text/plain")

    try:
        answer = send_once(request, execute)
    except FundError as error:
        if error.code != "bad_form":
            messages.error(request, f"Not {verb}: {error.message}. ({error.code})")
        return False
    if answer.is_replay:
        messages.info(request, f"This had been {verb} already; it was not {verb} again.")
    else:
        messages.success(request, f"{verb.capitalize()}; {after}")
    return True
