"""Apply migrations, collect static files, make the keys of API tokens and repeat erasures. Run as
the owner role before each start."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management import call_command

from investors.services.documents import replay_erasures
from magnetfund.core.commands import FundCommand
from magnetfund.core.secret_text import encrypt_stored_seeds, make_seed_key
from magnetfund.operations.books.root import make_root_keys
from magnetfund.operations.first_account import print_link
from magnetfund.operations.supervisor import make_token_keys
from magnetfund.operations.walls import state_purpose


class Command(FundCommand):
    help = __doc__

    def work(self, **options: Any) -> dict[str, Any]:
        call_command("migrate", database="owner", verbosity=0)
        state_purpose(settings.MAGNET_ENV, settings.MAGNET_BOOK)
        make_token_keys(settings.MAGNET_HOME / "keys")
        make_seed_key(settings.MAGNET_HOME / "keys")
        encrypt_stored_seeds()
        make_root_keys(settings.MAGNET_HOME / "keys")
        # A restored store of keys may hold some that were destroyed since.
        replay_erasures()
        if settings.IS_PRODUCTION:
            # Elsewhere the files are found where they are; here they are served by their hashes.
            call_command("collectstatic", interactive=False, verbosity=0)
        link = print_link() if settings.IS_PRODUCTION else None
        if link is not None:
            self.say(f"Nobody can set up this home yet. Within 2 days, once, open:\n{link}")
        return {"prepared": True, "first_administrator": link}
