"""The suite's ground: a throwaway PostgreSQL of its own, migrated once, used as the run-time roles.

Ordinary database tests run in a transaction that is rolled back.  A test that commits (races,
deferred triggers) gets a fresh copy of the migrated database instead of a TRUNCATE, which the
append-only walls would refuse.  No test reaches beyond loopback.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

REAL_DATA_FOLDERS = (os.environ.get("MAGNET_DATA", ""), "../shared/data")


def find_real_data() -> Path | None:
    """The folder of real candles, where this machine has one."""
    for name in REAL_DATA_FOLDERS:
        folder = (Path(__file__).parent / name).resolve() if name else None
        if folder is not None and (folder / "candles").is_dir():
            return folder
    return None


@pytest.fixture(scope="session")
def real_data() -> Path:
    folder = find_real_data()
    if folder is None:
        pytest.skip("real candle files are not on this machine (set MAGNET_DATA to their folder)")
    return folder


def _folder() -> Path:
    """The suite's throwaway home, made by its settings; the database's user must reach it."""
    folder = Path(os.environ["MAGNET_HOME"])
    if not folder.name.startswith("magnetfund-test-"):
        # It is deleted at the end: nobody's own home may stand here.
        pytest.exit(f"{folder} is no throwaway home; are the suite's settings loaded?", 2)
    folder.chmod(0o755)
    return folder


def pytest_unconfigure(config: pytest.Config) -> None:
    if "MAGNET_HOME" in os.environ:
        shutil.rmtree(_folder(), ignore_errors=True)


@pytest.fixture(scope="session")
def cluster() -> Iterator[object]:
    """The suite's own PostgreSQL, gone when the suite ends."""
    from magnetfund.operations.servers.home import Home
    from magnetfund.operations.servers.postgres import Postgres

    server = Postgres(Home(_folder()), durable=False)
    server.start()
    yield server
    server.stop()
    shutil.rmtree(server.home.sockets, ignore_errors=True)
    if not str(server.home.cluster).startswith(str(_folder())):
        shutil.rmtree(server.home.cluster, ignore_errors=True)


def _point_at(cluster: object, name: str) -> None:
    """Connect every alias to database ``name``, each as its own role."""
    from django.db import connections

    from magnetfund.env import parse_database_url

    roles = {"default": "fa_app", "owner": "fa_owner", "gateway": "fa_gateway"}
    for alias, role in roles.items():
        connection = connections[alias]
        connection.close()
        values = parse_database_url("test", cluster.dsn(role, name))  # type: ignore[attr-defined]
        connection.settings_dict.update(values)


@pytest.fixture(scope="session")
def django_db_setup(cluster: object, django_db_blocker: object) -> Iterator[None]:
    """Migrate the template once; the suite works on a first copy of it."""
    from django.core.management import call_command
    from django.db import connections

    with django_db_blocker.unblock():  # type: ignore[attr-defined]
        cluster.make_database("migrated")  # type: ignore[attr-defined]
        _point_at(cluster, "migrated")
        call_command("migrate", database="owner", verbosity=0)
        connections.close_all()
        _copy_database(cluster, "suite")
        _point_at(cluster, "suite")
    yield
    with django_db_blocker.unblock():  # type: ignore[attr-defined]
        connections.close_all()


def _copy_database(cluster: object, name: str) -> None:
    import psycopg
    from psycopg import sql

    dsn = cluster.dsn("postgres", "postgres")  # type: ignore[attr-defined]
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(
            sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
        )
        connection.execute(
            sql.SQL(
                "CREATE DATABASE {} TEMPLATE migrated OWNER fa_owner STRATEGY FILE_COPY"
            ).format(sql.Identifier(name))
        )


@pytest.fixture
def fresh_database(
    cluster: object, django_db_setup: None, django_db_blocker: object
) -> Iterator[object]:
    """A migrated database of its own for one test that commits; yields the cluster."""
    from django.db import connections

    with django_db_blocker.unblock():  # type: ignore[attr-defined]
        connections.close_all()
        _copy_database(cluster, "fresh")
        _point_at(cluster, "fresh")
        yield cluster
        connections.close_all()
        _point_at(cluster, "suite")


@pytest.fixture(scope="module")
def module_database(
    cluster: object, django_db_setup: None, django_db_blocker: object
) -> Iterator[object]:
    """A migrated database that the tests of one module share and commit to; yields the cluster."""
    from django.db import connections

    with django_db_blocker.unblock():  # type: ignore[attr-defined]
        connections.close_all()
        _copy_database(cluster, "module")
        _point_at(cluster, "module")
        yield cluster
        connections.close_all()
        _point_at(cluster, "suite")


@pytest.fixture
def as_gateway(request: pytest.FixtureRequest) -> Iterator[None]:
    """Run a ``fresh_database`` test as the trader's role on the default connection."""
    cluster = request.getfixturevalue("fresh_database")
    from django.db import connections

    from magnetfund.env import parse_database_url

    connection = connections["default"]
    connection.close()
    connection.settings_dict.update(parse_database_url("test", cluster.dsn("fa_gateway", "fresh")))
    yield
    connection.close()
