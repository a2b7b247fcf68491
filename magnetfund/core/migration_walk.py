"""Migrating without rendering the whole project at every step.

Django renders its picture of a model anew, with everything that it is linked to, at each operation:
here nearly all models, some five hundred times, four fifths of what it costs to migrate an empty
home.  An operation that adds a table, a column or a rule reads one model, and of its neighbours
their keys.  For such operations this walk renders that much, when it is asked for.  An operation
that looks from a model at those that point to it, or runs code, gets Django's complete picture.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Self

from django.db.migrations import Migration, operations
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import AppConfigStub, ModelState, ProjectState, StateApps
from django.db.migrations.utils import resolve_relation
from django.utils.functional import cached_property

#: Label of an app and name of a model in small letters.
Key = tuple[str, str]

#: Operations that read a model and its forward relations alone, or no model.
NARROW = (
    operations.CreateModel,
    operations.AddField,
    operations.AddIndex,
    operations.RemoveIndex,
    operations.AddConstraint,
    operations.RemoveConstraint,
    operations.AlterModelOptions,
    operations.RunSQL,
)
#: What an outline keeps of a model's options: where its rows are, and what stands in its place.
OUTLINE_OPTIONS = {"db_table", "managed", "proxy", "swappable"}


def is_narrow(operation: Operation) -> bool:
    """Whether ``operation`` asks nothing about the models that point to the one it changes.

    The type of a column that others may refer to, which is unique, follows into those.
    """
    if type(operation) is operations.AlterField:
        return not (operation.field.unique or operation.field.many_to_many)
    return type(operation) in NARROW


def find_targets(state: ModelState) -> set[Key]:
    """The models that ``state`` points to by a field or builds on."""
    key = state.app_label, state.name_lower
    found: set[Key] = set()
    for field in state.fields.values():
        if field.remote_field is not None:
            through = getattr(field.remote_field, "through", None)
            named = (field.remote_field.model, through)
            found |= {resolve_relation(model, *key) for model in named if model is not None}
    found |= {resolve_relation(base) for base in state.bases if isinstance(base, str)}
    return found - {key}


class NarrowApps(StateApps):
    """Models of a project's state, each rendered when it is first asked for.

    A model that is asked for is rendered whole; those that it points to need only exist and have
    a key, so they are rendered in outline, without relations of their own.
    """

    def __init__(self, states: dict[Key, ModelState]) -> None:
        super().__init__([], {})
        # A ready registry empties every model's cache whenever one is added, for what points to it.
        self.ready = False
        self.states = states
        self.whole: set[Key] = set()

    def copy_for(self, states: dict[Key, ModelState]) -> NarrowApps:
        """The same rendered models, for states that are changed next."""
        other = NarrowApps(states)
        for label, models in self.all_models.items():
            other.app_configs[label] = config = AppConfigStub(label)
            config.apps = other
            other.all_models[label] = models.copy()
            config.import_models()
        other.whole = self.whole.copy()
        return other

    def forget(self, key: Key) -> None:
        """Drop a model that changes, and those that were rendered on it."""
        built_on_it = {
            other
            for other in self.whole
            if other in self.states and key in find_targets(self.states[other])
        }
        for label, name in {key} | built_on_it:
            self.unregister_model(label, name)

    def unregister_model(self, app_label: str, model_name: str) -> None:
        super().unregister_model(app_label, model_name)
        self.whole.discard((app_label, model_name))

    def get_model(
        self, app_label: str, model_name: str | None = None, require_ready: bool = True
    ) -> Any:
        label, name = app_label.split(".") if model_name is None else (app_label, model_name)
        key = label, name.lower()
        if key in self.states and key not in self.whole:
            self.unregister_model(*key)
            self._render_targets(self.states[key])
            self.states[key].render(self)
            self.whole.add(key)
        return super().get_model(label, name, require_ready)

    def _render_targets(self, state: ModelState) -> None:
        for label, name in find_targets(state):
            if name not in self.all_models[label]:
                self._render_outline(self.states[label, name])

    def _render_outline(self, state: ModelState) -> None:
        outline = ModelState(
            state.app_label,
            state.name,
            {
                name: field
                for name, field in state.fields.items()
                if field.primary_key or not field.is_relation
            },
            options={
                name: state.options[name] for name in OUTLINE_OPTIONS if name in state.options
            },
            bases=state.bases,
        )
        self._render_targets(outline)
        outline.render(self)


class NarrowState(ProjectState):
    """A project's state whose models are rendered one by one."""

    @cached_property
    def apps(self) -> NarrowApps:
        return NarrowApps(self.models)

    @classmethod
    def of(cls, state: ProjectState) -> Self:
        return cls({key: model.clone() for key, model in state.models.items()}, state.real_apps)

    def complete(self) -> ProjectState:
        """The same state as Django keeps it."""
        return ProjectState(self.models, self.real_apps)

    def clone(self) -> Self:
        copy = self.of(self)
        copy.apps = self.apps.copy_for(copy.models)
        return copy

    def reload_model(self, app_label: str, model_name: str, delay: bool = False) -> None:
        self.apps.forget((app_label, model_name))

    def reload_models(self, models: Iterable[Key], delay: bool = True) -> None:
        for key in models:
            self.apps.forget(key)


class NarrowExecutor(MigrationExecutor):
    """Applies and takes back migrations as Django does, where it may on a narrow state."""

    goes_back = False

    def migrate(self, *arguments: Any, **options: Any) -> ProjectState:
        state = super().migrate(*arguments, **options)
        return state.complete() if isinstance(state, NarrowState) else state

    def apply_migration(
        self,
        state: ProjectState,
        migration: Migration,
        fake: bool = False,
        fake_initial: bool = False,
    ) -> ProjectState:
        if all(is_narrow(operation) for operation in migration.operations):
            state = state if isinstance(state, NarrowState) else NarrowState.of(state)
        elif isinstance(state, NarrowState):
            state = state.complete()
            _ = state.apps  # rendered once here; an operation would render it for itself alone
        return super().apply_migration(state, migration, fake, fake_initial)

    def unapply_migration(
        self, state: ProjectState, migration: Migration, fake: bool = False
    ) -> ProjectState:
        is_wide = not all(is_narrow(operation) for operation in migration.operations)
        if is_wide and isinstance(state, NarrowState):
            state = state.complete()
            _ = state.apps
        return super().unapply_migration(state, migration, fake)

    def _migrate_all_backwards(self, plan: Any, full_plan: Any, fake: bool) -> ProjectState:
        self.goes_back = True
        try:
            state: ProjectState = super()._migrate_all_backwards(plan, full_plan, fake)  # type: ignore[misc]
            return state
        finally:
            self.goes_back = False

    def _create_project_state(self, with_applied_migrations: bool = False) -> ProjectState:
        """Back from the last migration Django renders the state before each, which is kept."""
        state = super()._create_project_state(with_applied_migrations)  # type: ignore[misc]
        return NarrowState.of(state) if self.goes_back else state
