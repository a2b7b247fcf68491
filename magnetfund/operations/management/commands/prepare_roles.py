"""Make or complete the login roles of the database with their limits and timeouts.

Signs in by DATABASE_ADMIN_URL: the role that made the others, with CREATEROLE; no superuser is
needed. Passwords are those of the DATABASE_..._URL variables. Repeat it with each new version.
"""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import unquote, urlsplit

import psycopg

from magnetfund.core.commands import FundCommand
from magnetfund.kernel.errors import InvalidInput
from magnetfund.operations.roles import ROLE_NAMES, prepare_roles, prepare_schema


class Command(FundCommand):
    help = __doc__

    def work(self, **options: Any) -> dict[str, Any]:
        admin = os.environ.get("DATABASE_ADMIN_URL")
        if not admin:
            raise InvalidInput(
                "DATABASE_ADMIN_URL is not set; the embedded server prepares its roles itself",
                code="no_admin_url",
            )
        try:
            with psycopg.connect(admin, autocommit=True) as connection:
                made = prepare_roles(connection, passwords_of(os.environ))
            owner = os.environ.get("DATABASE_OWNER_URL")
            if owner:
                with psycopg.connect(owner, autocommit=True) as connection:
                    prepare_schema(connection)
        except psycopg.Error as error:
            raise InvalidInput(
                f"the roles could not be prepared: {str(error).splitlines()[0]}", code="roles"
            ) from None
        self.say(f"Roles: {len(ROLE_NAMES)} in place, made now: {', '.join(made) or 'none'}.")
        return {"roles": len(ROLE_NAMES), "made": made}


def passwords_of(environment: Any) -> dict[str, str]:
    """Passwords by role name, from the URLs of the environment."""
    found = {}
    for name, url in environment.items():
        if name.startswith("DATABASE_") and name.endswith("URL"):
            parts = urlsplit(url)
            user = unquote(parts.username or "")
            if user in ROLE_NAMES and parts.password:
                found[user] = unquote(parts.password)
    return found
