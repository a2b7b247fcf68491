"""Forms that create through a service, with its actor, refusals and audit line.

The admin and the desk's founding pages show the same forms, each in its own dress.

A form checks the shape of what was typed and hands it to its service; what the service refuses
comes back into the form, and nothing is written.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar, cast

from django import forms
from django.db import models, transaction

from investors.models import (
    Fund,
)
from magnetfund.core.actors import Actor
from magnetfund.core.roles import Capability
from magnetfund.core.services.signing import SignatureMissing
from magnetfund.kernel.errors import FundError
from magnetfund.web.signing import words_to_sign


class ServiceForm(forms.ModelForm):  # type: ignore[type-arg]  # of any model
    """A form of the admin whose saving is one call of a service."""

    capability: ClassVar[Capability]
    actor: ClassVar[Actor]
    #: Whether it decides on money or a person, and so asks for a fresh second factor.
    asks_for_factor: ClassVar[bool] = False
    #: What the service refused, with its code; ``None`` where it took what was typed.
    refusal: FundError | None = None

    class Meta:
        model: type[models.Model] = Fund
        fields: tuple[str, ...] = ()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for field in self.fields.values():
            if isinstance(field, forms.DecimalField):
                # A number field of a browser rounds and wants its own separator.
                field.widget = forms.TextInput(attrs={"inputmode": "decimal"})
            self.dress(field)

    def dress(self, field: forms.Field) -> None:
        """Give a field the classes of the site's own pages."""
        is_choice = isinstance(field, forms.ChoiceField | forms.ModelChoiceField)
        name = "form-select" if is_choice else "form-control"
        if isinstance(field, forms.BooleanField):
            name = "form-check-input"
        kinds: tuple[tuple[type[forms.Field], str], ...] = (
            (forms.DateField, "date"), (forms.TimeField, "time"),
        )  # fmt: skip
        for kind, word in kinds:
            if isinstance(field, kind):
                field.widget.input_type = word
        field.widget.attrs["class"] = name

    def perform(self, given: dict[str, Any]) -> models.Model:
        """Call the service with what was typed; its row, or :class:`FundError`."""
        raise NotImplementedError

    def _post_clean(self) -> None:
        """Django builds the row of a model form here; this form has its service write it.

        Inside the transaction of the admin's own view: a refusal rolls back to here.
        """
        if self.errors:
            return
        try:
            with transaction.atomic():
                self.instance = self.perform(self.cleaned_data)
        except SignatureMissing as error:
            self.refusal = error
            self.add_error(None, words_to_sign(error, self.actor))
        except FundError as error:
            self.refusal = error
            self.add_error(None, error.message)

    def save(self, commit: bool = True) -> Any:
        """The row that the service wrote."""
        return self.instance

    def save_m2m(self) -> None:
        """Nothing is left to write: the admin asks for it after each new row."""


Form = TypeVar("Form", bound=ServiceForm)


def bind(form: type[Form], actor: Actor) -> type[Form]:
    """The form as ``actor`` fills it in."""
    bound: Any = type(form.__name__, (form,), {"actor": actor})
    return cast("type[Form]", bound)


def declare(form: type[ServiceForm], found: Mapping[str, forms.Field]) -> None:
    """Give a form the fields that a domain object names, as if each stood in its body."""
    form.declared_fields.update(found)
    form.base_fields.update(found)
