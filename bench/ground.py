"""A throwaway PostgreSQL with the schema, for benches that need the whole platform."""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def platform(*, with_valkey: bool = False) -> Iterator[Path]:
    """Django on a migrated database of its own, as the gateway's role; gone afterwards.

    Gives the folder that stands for the home; ``with_valkey`` starts the message server too.
    """
    folder = Path(tempfile.mkdtemp(prefix="magnetfund-bench-"))
    folder.chmod(0o755)
    (folder / "static").mkdir()
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
        shutil.rmtree(server.home.sockets, ignore_errors=True)
        if not str(server.home.cluster).startswith(str(folder)):
            shutil.rmtree(server.home.cluster, ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)
