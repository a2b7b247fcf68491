"""Every table in the admin: to look, search, filter, export, and create through services.

Rows of books are never edited here: they come from services alone, with an actor and an audit
line, through the forms of :mod:`magnetfund.web.administration.forms`.  What may be edited is named
in ``EDITABLE`` and is no book.
"""

from __future__ import annotations

import csv
from typing import Any

from django.apps import apps
from django.contrib import admin
from django.core.paginator import Paginator
from django.db import models
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.functional import cached_property
from unfold.admin import ModelAdmin

from magnetfund.core.actors import Actor
from magnetfund.core.doors import require_step_up
from magnetfund.core.models import User
from magnetfund.core.roles import Capability
from magnetfund.core.services.audit import record_audit
from magnetfund.core.spreadsheets import safe_cell
from magnetfund.web.administration import money, others
from magnetfund.web.administration.forms import CHANGE_FORMS, FORMS, ServiceForm, dress
from magnetfund.web.administration.kyc_forms import KYC_TABLES

APPS = ("core", "risk", "trading", "investors", "operations")
EXPORT_ROWS_MAX = 50_000
ROWS_BROWSED_MAX = 10_000
#: Working state that an administrator may change, field by field.
EDITABLE: dict[str, tuple[str, ...]] = {
    "core.user": ("name", "is_active", "time_zone", "theme"),
    "trading.instrument": ("is_restricted", "is_active", "source_label"),
    "trading.strategy": ("is_active",),
}
#: Tables of the fund's terms, days and books, in which no holder is named; every other one of the
#: app investors, the texts of its ledger too, and mails, are for those who may read who holds.
OF_THE_FUND = frozenset(
    f"investors.{name}"
    for name in (
        "fund", "shareclass", "classpolicyversion", "termsproposal", "dealingday", "fundholiday",
        "navstrike", "classnav", "account", "entrybalance", "expense",
        "expensechange", "rateproposal", "coinrate", "parterm", "sidepocket", "pocketchange",
        "bookbreak", "suspensionproposal", "screeninglist", "screeningname", "agreementtext",
    )
)  # fmt: skip
#: Locks and keys of the database's own functions, which no run-time role may read.
UNREADABLE = frozenset({"risk.fuselatch", "core.signingkey", "core.signinginvite"})
#: By what people look for a row of another table: its columns, as the related table names them.
FOUND_BY: dict[str, tuple[str, ...]] = {
    "investors.investor": ("number", "legal_name"),
    "investors.holding": ("investor__number", "investor__legal_name"),
    "trading.instrument": ("symbol",),
}
#: Small tables whose rows divide larger ones.
DIVIDED_BY = frozenset({"investors.fund", "investors.shareclass"})
HIDDEN_FIELDS = (
    "password",
    "body",
    "content",
    "sealed_answers",
    "sealed_content",
    "sealed_name",
)


def _fields(model: type[models.Model]) -> list[str]:
    return [f.name for f in model._meta.concrete_fields if f.name not in HIDDEN_FIELDS]


class BoundedPaginator(Paginator):  # type: ignore[type-arg]  # of rows of any table
    """Counts no further than :data:`ROWS_BROWSED_MAX`: a search finds what lies beyond."""

    @cached_property
    def count(self) -> int:
        rows: Any = self.object_list
        return int(rows.order_by()[:ROWS_BROWSED_MAX].count())


class BookAdmin(ModelAdmin):  # type: ignore[misc]  # untyped
    """Read-only for everybody with the right to look, editable only where ``EDITABLE`` says so."""

    list_per_page = 50
    show_full_result_count = False
    paginator = BoundedPaginator
    actions: tuple[Any, ...] = ("export_csv",)

    def _may_look(self, request: HttpRequest) -> bool:
        user = request.user
        # Why a file was held is for people of compliance, directors and auditors alone.
        table = self.opts.label_lower
        is_kept = table in KYC_TABLES
        is_named = table == "core.outgoingmail" or (
            self.opts.app_label == "investors" and table not in OF_THE_FUND
        )
        return bool(
            isinstance(user, User)
            and user.is_active
            and user.can(Capability.ADMIN_VIEW)
            and (not is_kept or user.can(Capability.KYC_VIEW))
            and (not is_named or user.can(Capability.HOLDERS_VIEW))
        )

    def _editable(self) -> tuple[str, ...]:
        return EDITABLE.get(self.opts.label_lower, ())

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self._may_look(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._may_look(request)

    def _form(self) -> type[ServiceForm] | None:
        table = self.opts.label_lower
        return FORMS.get(table) or money.FORMS.get(table)

    def has_add_permission(self, request: HttpRequest) -> bool:
        form, user = self._form(), request.user
        return bool(
            form
            and self._may_look(request)
            and isinstance(user, User)
            and user.can(form.capability)
        )

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any
    ) -> Any:
        """The service's form for a new row, bound to the person who asks."""
        form = self._form()
        if obj is None and form is not None and not change:
            assert isinstance(request.user, User)
            if form.asks_for_factor and request.method == "POST":
                require_step_up(request)
            bound = {"actor": Actor.of(request.user), "dress": staticmethod(dress)}
            return type(form.__name__, (form,), bound)
        changing = CHANGE_FORMS.get(self.opts.label_lower)
        if changing is not None:
            kwargs["form"] = changing
        return super().get_form(request, obj, change=change, **kwargs)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        user = request.user
        return bool(
            self._editable()
            and self._may_look(request)
            and isinstance(user, User)
            and user.can(Capability.SETTINGS_MANAGE)
        )

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        form = self._form()
        if obj is None and form is not None:
            return list(form.base_fields)
        return _fields(self.model)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        if obj is None and self._form() is not None:
            return []
        return [name for name in _fields(self.model) if name not in self._editable()]

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Write the changed columns alone, with an audit line; a new row is its service's work."""
        if not change:
            return
        changed = [name for name in form.changed_data if name in self._editable()]
        if not changed:
            return
        obj.save(update_fields=changed)
        assert isinstance(request.user, User)
        record_audit(
            actor=Actor.of(request.user),
            action="admin.changed",
            subject=(self.opts.label_lower, str(obj.pk)),
            body={name: str(form.cleaned_data[name]) for name in changed},
        )

    @admin.action(description="Export selected rows as CSV")
    def export_csv(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse:
        """At most :data:`EXPORT_ROWS_MAX` rows, plain ASCII signs, ISO times."""
        names = _fields(self.model)
        response = HttpResponse(content_type="text/csv; charset=utf-8")
        response["Content-Disposition"] = f'attachment; filename="{self.opts.model_name}.csv"'
        writer = csv.writer(response)
        writer.writerow(names)
        for row in queryset.values_list(*names)[:EXPORT_ROWS_MAX]:
            writer.writerow([safe_cell(value) for value in row])
        return response


def register_all() -> None:
    """One admin a table, its columns and filters from the model itself."""
    for app in APPS:
        for model in apps.get_app_config(app).get_models():
            if model._meta.label_lower not in UNREADABLE and not admin.site.is_registered(model):
                admin.site.register(model, _build_admin(model))


def _build_admin(model: type[models.Model]) -> type[BookAdmin]:
    concrete = [f for f in model._meta.concrete_fields if f.name not in HIDDEN_FIELDS]
    shown = [f.name for f in concrete if not isinstance(f, (models.JSONField, models.BinaryField))]
    texts = [f.name for f in concrete if type(f) in (models.CharField, models.EmailField)]
    filters = [
        f.name
        for f in concrete
        if isinstance(f, models.BooleanField) or (isinstance(f, models.CharField) and f.choices)
    ]
    related = {f.name: f.related_model._meta.label_lower for f in concrete if f.related_model}
    texts = texts[:4] + [
        f"{name}__{column}" for name, label in related.items() for column in FOUND_BY.get(label, ())
    ]
    filters = filters[:4] + [name for name, label in related.items() if label in DIVIDED_BY]
    columns = shown[:9]
    # Named one by one, for "all of them" leaves out those that may be empty.
    followed = [f.name for f in concrete if f.is_relation and f.name in columns]
    return type(
        f"{model.__name__}Admin",
        (BookAdmin,),
        {
            "actions": (
                *BookAdmin.actions,
                *money.ACTIONS.get(model._meta.label_lower, ()),
                *others.ACTIONS.get(model._meta.label_lower, ()),
            ),
            "list_display": columns,
            "search_fields": texts,
            "list_filter": filters,
            "list_select_related": followed or False,
            "ordering": _newest_first(model),
        },
    )


def _newest_first(model: type[models.Model]) -> list[str] | None:
    """An order that an index gives, so that the first page of a million rows is 50 rows' work.

    A counted key is the order of writing; a table with a random one has an index that ends in its
    time, newest first.  Small tables keep the order of their model.
    """
    if isinstance(model._meta.pk, models.AutoField):
        return ["-pk"]
    indexed = [
        list(index.fields)
        for index in model._meta.indexes
        if index.condition is None and index.fields[-1].startswith("-")
    ]
    return min(indexed, key=len) if indexed else None


register_all()
