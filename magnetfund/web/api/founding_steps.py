"""Bodies of the founding's steps, made from the forms of its pages.

A step takes the fields of its form under their names; a fund and a class are named by their code.
What is left out is what the page offers: the form's own value, and for limits the figure in force.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from django import forms
from django.conf import settings
from rest_framework import serializers

from investors.models import ShareClass
from magnetfund.core.actors import Actor
from magnetfund.web.api.fields import ExactDecimal, plain
from magnetfund.web.service_forms import ServiceForm, bind
from magnetfund.web.setup_forms import DealingDaysForm
from magnetfund.web.setup_steps import SetupPage


def is_required(field: forms.Field) -> bool:
    """What has a value of the form's own may be left out."""
    return field.required and field.initial is None


def _field_of(field: forms.Field) -> serializers.Field[Any, Any, Any, Any]:
    """The field of the wire for a field of a form; what the service refuses is its own to say."""
    more: dict[str, Any] = {"required": is_required(field), "help_text": str(field.help_text)}
    if isinstance(field, forms.BooleanField):
        return serializers.BooleanField(**more)
    if isinstance(field, forms.ModelChoiceField):
        return serializers.CharField(max_length=20, **{**more, "help_text": "Its code."})
    more["allow_null"] = not field.required
    choices: Any = getattr(field, "choices", ())
    if choices:
        return serializers.ChoiceField(choices=list(choices), **more)
    if isinstance(field, forms.DecimalField):
        return ExactDecimal(**more)
    if isinstance(field, forms.IntegerField):
        bounds: dict[str, Any] = {"min_value": field.min_value, "max_value": field.max_value}
        return serializers.IntegerField(
            **{k: v for k, v in bounds.items() if v is not None}, **more
        )
    if isinstance(field, forms.DateField):
        return serializers.DateField(**more)
    if isinstance(field, forms.TimeField):
        return serializers.TimeField(**more)
    return serializers.CharField(
        max_length=getattr(field, "max_length", None) or 1000,
        allow_blank=not field.required,
        **more,
    )


def body_of(page: SetupPage) -> type[serializers.Serializer[Any]]:
    """The body of a step, with the fields of its form."""
    fields: dict[str, Any] = {
        name: _field_of(field) for name, field in page.form.base_fields.items()
    }
    if page.form is DealingDaysForm:
        fields["is_dry_run"] = serializers.BooleanField(
            required=False, help_text="Answer the days and write none."
        )
    fields["idempotency_key"] = serializers.CharField(max_length=200, required=False)
    return type(f"Founding{page.name.capitalize()}Request", (serializers.Serializer,), fields)


def fill(
    form: type[ServiceForm], given: Mapping[str, Any], actor: Actor, *, is_dry_run: bool = False
) -> ServiceForm:
    """The form as a page would send it, saved unless it is only tried out.

    Raises what the service refused, and :class:`ValidationError` for fields.
    """
    bound = bind(form, actor)
    offered = bound()
    values = {
        name: offered.get_initial_for_field(field, name) for name, field in offered.fields.items()
    }
    filled = bound({**values, **_as_typed(form, given)})
    if isinstance(filled, DealingDaysForm):
        filled.is_preview = is_dry_run
    filled.full_clean()
    if filled.refusal is not None:
        raise filled.refusal
    if filled.errors:
        raise serializers.ValidationError(
            {name: [str(words) for words in errors] for name, errors in filled.errors.items()}
        )
    return filled


def _as_typed(form: type[ServiceForm], given: Mapping[str, Any]) -> dict[str, Any]:
    """``given`` as a person would type it: numbers plain, and rows by key instead of code."""
    found = {k: plain(v) if isinstance(v, Decimal) else v for k, v in given.items()}
    for name, field in form.base_fields.items():
        if name not in found or not isinstance(field, forms.ModelChoiceField):
            continue
        rows: Any = field.queryset
        if rows.model is ShareClass:
            rows = rows.filter(fund__book=settings.MAGNET_BOOK)
        row = rows.filter(code=found[name]).first()
        if row is None:
            raise serializers.ValidationError({name: ["There is none of this code."]})
        found[name] = row.pk
    return found
