"""Create a staff account and grant roles. Use it for the first people of a new fund."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import CommandParser
from django.core.validators import validate_email

from magnetfund.core.actors import Actor
from magnetfund.core.commands import FundCommand
from magnetfund.core.models import User
from magnetfund.core.roles import STAFF_ROLES, Role
from magnetfund.kernel.errors import InvalidInput
from magnetfund.operations.people import add_person

#: As long as a name may be in the tables.
NAME_LENGTH_MAX = User._meta.get_field("name").max_length or 0


class Command(FundCommand):
    help = __doc__

    def add_own_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--email", required=True)
        parser.add_argument("--name", required=True)
        parser.add_argument(
            "--role",
            action="append",
            required=True,
            choices=sorted(STAFF_ROLES),
            help="role to grant; repeat for several roles",
        )

        who = parser.add_mutually_exclusive_group()
        who.add_argument(
            "--person-of",
            metavar="EMAIL",
            default="",
            help="an account of the same human under another name",
        )
        who.add_argument(
            "--another-human",
            metavar="REASON",
            default="",
            help="why this is not the person of the same name who has an account",
        )

    def work(self, **options: Any) -> dict[str, Any]:
        email = options["email"].strip().lower()
        try:
            validate_email(email)
        except ValidationError:
            raise InvalidInput(f"{email} is not a valid email address", code="bad_email") from None
        name = options["name"].strip()
        if not 1 <= len(name) <= NAME_LENGTH_MAX:
            raise InvalidInput(f"the name needs 1 to {NAME_LENGTH_MAX} characters", code="bad_name")
        user, password = add_person(
            email=email,
            name=name,
            roles=[Role(name) for name in options["role"]],
            actor=Actor.system("manage.py add_person"),
            person_of=options["person_of"],
            another_human=options["another_human"],
        )
        roles = sorted(user.role_grants.filter(revoked_at=None).values_list("role", flat=True))
        self.say(f"{user.email}: {', '.join(roles)}.")
        if password is None:
            self.say("The account already exists. Its password is unchanged; the roles were added.")
        else:
            self.say(f"Initial password (shown once): {password}")
        others = User.objects.filter(person=user.person).exclude(pk=user.pk)
        shared = sorted(others.values_list("email", flat=True))
        if shared:
            self.say(f"The same person as {', '.join(shared)}: never two of the eyes.")
        return {
            "email": user.email, "roles": roles, "is_new": password is not None,
            "same_person_as": shared,
        }  # fmt: skip
