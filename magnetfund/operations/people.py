"""Accounts of staff, the demo and scenarios, each with its roles."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from allauth.account.models import EmailAddress
from django.db import transaction

from magnetfund.core.actors import Actor
from magnetfund.core.models import RoleGrant, User
from magnetfund.core.roles import STAFF_ROLES, Role
from magnetfund.core.services.audit import record_audit
from magnetfund.core.who import unknown_person
from magnetfund.kernel.errors import InvalidInput
from risk.domain.limits import DEFAULT_LIMITS, Limits, figures_of
from risk.services.fuse import state_of
from risk.services.fuse_reset import approve_reset, propose_reset
from risk.services.limits import approve_limits, propose_limits
from trading.services.engine import make_ready
from trading.services.reconcile import reconcile_with_executions

#: A second drawdown reset within 30 days needs a director; scenarios have one.
ROLES_OF_SCENARIO = {
    "maker": (Role.RISK_OFFICER, Role.ACCOUNTANT),
    "checker": (Role.RISK_OFFICER, Role.CONTROLLER),
    "director": (Role.DIRECTOR,),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ScenarioPeople:
    """Simulated signatories of a scenario; everything they sign is labelled SIMULATED."""

    maker: Actor
    checker: Actor
    director: Actor


def ensure_user(
    *,
    email: str,
    name: str,
    roles: Sequence[Role],
    password: str | None = None,
    is_simulated: bool = False,
    joined_at: datetime | None = None,
    actor: Actor | None = None,
) -> User:
    """The account of an address, made with its roles when it is new; each new role has its line."""
    user = User.objects.filter(email=email).first()
    if user is None:
        extra: dict[str, Any] = {"is_staff": bool(set(roles) & STAFF_ROLES)}
        if joined_at is not None:
            extra["date_joined"] = joined_at
        user = User.objects.create_user(
            email, password, name=name, is_simulated=is_simulated, **extra
        )
        record_audit(
            actor=actor or Actor.system("set-up"),
            action="account.created",
            subject=("user", user.pk),
        )
    for role in roles:
        _, is_new = RoleGrant.objects.get_or_create(user=user, role=role.value, revoked_at=None)
        if is_new:
            record_audit(
                actor=actor or Actor.system("set-up"),
                action="role.granted",
                subject=("user", user.pk),
                body={"role": role.value},
            )
    return user


def add_person(
    *,
    email: str,
    name: str,
    roles: Sequence[Role],
    actor: Actor,
    person_of: str = "",
    another_human: str = "",
) -> tuple[User, str | None]:
    """An account of the house with its roles, and its first password where it is new.

    An account that is there keeps its name and password and is given the roles that it lacks.  Each
    step leaves an audit line.  A new account of a name that is known belongs to the same person;
    ``person_of`` names an account of the same human under another name, ``another_human`` says why
    a namesake is not him.  Raises :class:`InvalidInput`: ``not_of_the_house`` for an investor's
    account (people of the house have their own), ``unknown_person``, ``account_exists``.
    """
    with transaction.atomic():
        user = User.objects.filter(email=email).first()
        password = None
        if user is None:
            password = secrets.token_urlsafe(12)
            user = ensure_user(email=email, name=name, roles=roles, password=password, actor=actor)
            EmailAddress.objects.create(user=user, email=email, verified=True, primary=True)
            _say_person(user, person_of, another_human, actor)
        elif person_of or another_human:
            raise InvalidInput("whose account this is was said already", code="account_exists")
        elif not user.is_staff:
            raise InvalidInput(f"{email} is not a staff account", code="not_of_the_house")
        else:
            ensure_user(email=email, name=name, roles=roles, actor=actor)
    return user, password


def _say_person(user: User, person_of: str, another_human: str, actor: Actor) -> None:
    """What the console says about who the human behind a new account is."""
    if person_of:
        known = User.objects.filter(email=person_of.strip().lower()).first()
        if known is None:
            raise InvalidInput(f"no account has the address {person_of}", code="unknown_person")
        user.person = known.person
    elif another_human:
        user.person = uuid4()
    else:
        return
    user.save(update_fields=["person"])
    record_audit(
        actor=actor,
        action="person.said",
        subject=("user", user.pk),
        body={"person_of": person_of, "another_human": another_human[:300]},
    )


def actor_by_email(email: str) -> Actor:
    """The person of the house who runs a command; what they may do the services ask.

    Raises :class:`InvalidInput` (``unknown_person``).
    """
    user = User.objects.filter(email=email, is_active=True, is_staff=True).first()
    if user is None:
        raise unknown_person(email)
    return Actor.of(user)


def ensure_scenario_people() -> ScenarioPeople:
    """The three simulated signers; they cannot sign in, for they have no password."""
    actors: Mapping[str, Actor] = {
        name: Actor.of(
            ensure_user(
                email=f"scenario.{name}@example.com",
                name=f"Scenario {name}",
                roles=roles,
                is_simulated=True,
            )
        )
        for name, roles in ROLES_OF_SCENARIO.items()
    }
    return ScenarioPeople(**actors)


def sign_limits_by_scenario(
    *,
    book: str,
    people: ScenarioPeople,
    at: datetime,
    limits: Limits = DEFAULT_LIMITS,
    reason: str = "limits at launch",
) -> None:
    """Put a set, unless told that of the code, on record for a book, signed by two, from ``at``."""
    proposal = propose_limits(
        book=book,
        figures=figures_of(limits=limits),
        reason=reason,
        effective_from=at,
        actor=people.maker,
    )
    approve_limits(proposal=proposal, seen_hash=proposal.content_hash, actor=people.checker)


def arm_by_scenario(*, book: str, people: ScenarioPeople, at: datetime, reason: str) -> None:
    """Reconcile, make the engine ready, and arm the fuse with two signatures."""
    make_ready(
        book=book,
        reconciliation=reconcile_with_executions(book, at=at),
        actor=Actor.system("scenario (SIMULATED)"),
        at=at,
    )
    rearm_by_scenario(book=book, people=people, at=at, reason=reason)


def rearm_by_scenario(*, book: str, people: ScenarioPeople, at: datetime, reason: str) -> None:
    """Arm a fuse that is not armed: reconciled, with two signatures and a director if needed."""
    if state_of(book) == "ARMED":
        return
    reset = propose_reset(
        book=book,
        reason=reason,
        reconciliation=str(reconcile_with_executions(book, at=at).pk),
        actor=people.maker,
        at=at,
    )
    approve_reset(
        reset=reset,
        actor=people.checker,
        director=people.director,
        at=at + timedelta(microseconds=1),
    )
