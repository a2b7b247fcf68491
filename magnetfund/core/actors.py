"""Who does a step: a person with an account, or a named part of the system.

Every service that writes takes an explicit :class:`Actor`; there is no ambient user.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

from magnetfund.core.models import User
from magnetfund.core.roles import Capability, refusal_of
from magnetfund.core.who import label_of
from magnetfund.kernel.errors import NotAllowed

if TYPE_CHECKING:
    from django.http import HttpRequest
    from rest_framework.request import Request


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """``user`` is None for a part of the system (trader, beat, replay)."""

    label: str
    user: User | None = None

    @classmethod
    def of(cls, user: User) -> Actor:
        label = label_of(name=user.name, email=user.email, is_simulated=user.is_simulated)
        return cls(label=label, user=user)

    @classmethod
    def system(cls, part: str) -> Actor:
        return cls(label=part)

    @property
    def person(self) -> UUID | None:
        return self.user.person if self.user else None

    def require(self, capability: Capability) -> None:
        """Raise :class:`NotAllowed` unless the actor is an active person with the capability."""
        if self.user is None or not self.user.is_active or not self.user.can(capability):
            raise refusal_of(capability)

    def require_other_than(self, maker: User, step: str) -> User:
        """The person who signs; :class:`NotAllowed` when maker and checker are the same human."""
        if self.user is None:
            raise NotAllowed(
                f"{step} must be done by a person, not a service account", code="needs_person"
            )
        if self.user.pk == maker.pk or self.user.person == maker.person:
            raise NotAllowed(
                f"{step} needs a second person, because {maker} prepared it", code="same_person"
            )
        return self.user


def actor_of(request: HttpRequest | Request) -> Actor:
    """Who sends a request, which is behind a sign-in or a permission."""
    user = request.user
    assert isinstance(user, User)
    return Actor.of(user)
