"""A throwaway PostgreSQL with the schema, for benches that need the whole platform."""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from magnetfund.operations.servers.home import Home


@contextmanager
def platform(*, with_valkey: bool = False, home: Path | None = None) -> Iterator[Path]:
    """Django on a migrated database of its own, as the gateway's role; gone afterwards.

    Gives the folder that stands for the home; ``with_valkey`` starts the message server too.
    ``home`` is a folder that stays, with what an earlier run left in it.
    """
    folder = home or Path(tempfile.mkdtemp(prefix="magnetfund-bench-"))
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)
    (folder / "static").mkdir(exist_ok=True)
    from magnetfund.operations.servers.home import Home
    from magnetfund.operations.servers.postgres import Postgres
    from magnetfund.operations.servers.valkey import Valkey
    from magnetfund.operations.supervisor import make_token_keys

    server = Postgres(Home(folder))
    server.start()
    valkey = Valkey(server.home) if with_valkey else None
    if valkey is not None:
        valkey.start()
        os.environ.update(valkey.environment())
    make_token_keys(folder / "keys")
    os.environ.update(
        {
            **server.environment(),
            "MAGNET_ENV": "test",
            "MAGNET_HOME": str(folder),
            "MAGNET_DB_ROLE": "gateway",
            "SECRET_KEY": secrets.token_urlsafe(60),
            "DJANGO_SETTINGS_MODULE": "magnetfund.settings",
            "LOG_LEVEL": "ERROR",
        }
    )
    try:
        import django
        from django.core.management import call_command
        from django.db import connections

        django.setup()
        from magnetfund.operations.walls import state_purpose

        call_command("migrate", database="owner", verbosity=0)
        state_purpose("test", "main")
        yield folder
        connections.close_all()
    finally:
        if valkey is not None:
            valkey.stop()
        server.stop()
        if home is None:
            _remove(server.home)


def _remove(home: Home) -> None:
    """Every folder of a home, those outside of it too."""
    for folder in (home.sockets, home.cluster, home.root):
        shutil.rmtree(folder, ignore_errors=True)
