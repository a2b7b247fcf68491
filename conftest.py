"""The suite's ground: a throwaway PostgreSQL of its own, migrated once, used as the run-time roles.

Each worker of a parallel run has its own.  Pure tests (``-p no:django``) use nothing of it.

Ordinary database tests run in a transaction that is rolled back.  A test that commits (races,
deferred triggers) gets a fresh copy of the migrated database instead of a TRUNCATE, which the
append-only walls would refuse.  No test reaches beyond loopback.
"""

from __future__ import annotations

import gc
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

PROJECT = Path(__file__).resolve().parent
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


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    from hypothesis import HealthCheck, settings

    if _has_settings() and config.option.basetemp is None:
        # What tests write lies in the throwaway home as well, and goes with it.
        config.option.basetemp = str(_folder() / "tmp")

    if _leads_workers(config):
        from magnetfund.tests.kept_code import bring_code

        bring_code(PROJECT)

    # How long one example takes says what else the machine does, and nothing of the law.
    patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.register_profile("patient", patient)
    settings.register_profile("fast", patient, max_examples=15)
    is_fast = bool(os.environ.get("MAGNET_TEST_FAST"))
    settings.load_profile("fast" if is_fast else "patient")
    if is_fast:
        sys.meta_path.insert(0, _NothingCompiled())


class _NothingCompiled:
    """Refuses numba: to load it takes a second, to compile an engine anew half a minute."""

    def find_spec(self, name: str, path: object, target: object = None) -> None:
        if name == "numba":
            raise ImportError("compiled code is not for `make test-fast`: mark the test slow")


#: Files of the suite that take longest, by what they cost a processor: a parallel run begins with
#: them, so that no worker is left with one at the end.  While the first compiles the engines in a
#: fresh clone, which takes half a minute, the second needs none of them.
LONGEST = (
    "test_whole_chain.py", "test_empty_home_trades.py",
    "test_research_studies.py", "test_pages_browser.py", "test_odd_requests.py", "test_access.py",
    "test_need_to_know.py", "test_own_strategies.py", "test_page_queries.py",
    "test_own_sleeves.py", "test_merge_walls.py", "test_trader_on_exchange.py",
    "test_replay_limits.py", "test_flow.py", "test_dealing_day.py", "test_access_to_records.py",
    "test_advisers.py", "test_access_matrix.py", "test_side_pockets.py", "test_pocket_merges.py",
    "test_trader_caps.py", "test_event_blackouts.py", "test_magnet_prefix_law.py",
    "test_migrations.py", "test_sweep_kills.py", "test_dealing_terms.py", "test_crash_points.py",
    "test_pocket_changes.py", "test_quiet_bars.py", "test_coin_values.py", "test_payments.py",
    "test_desk_ticket.py", "test_fee_presentation.py", "test_switches.py", "test_strike_crash.py",
    "test_point_in_time.py", "test_rebates.py", "test_settlement.py",
    "test_pocket_transfer_walls.py", "test_dealing_proposals.py", "test_walls.py",
    "test_payment_walls.py", "test_apply.py", "test_fine_backtest.py", "test_admin_forms.py",
    "test_sources_of_entries.py", "test_pocket_walls.py", "test_streams_on_loopback.py",
    "test_stream_levels.py", "test_api_founding.py", "test_pocket_transfers.py",
    "test_tampering.py", "test_membership.py", "test_trader_parity.py", "test_stop_delay.py",
    "test_random_histories.py", "test_backups.py", "test_api.py", "test_doors.py",
    "test_prepare_roles.py", "test_decision_walls.py", "test_expenses.py", "test_vault.py",
    "test_house_refusals.py", "test_torn_beats.py", "test_authority.py",
    "test_streams_end_quietly.py",
)  # fmt: skip

#: Each of these starts a production home whose processes fill the machine: never two at a time.
WHOLE_HOMES = frozenset(
    {"test_whole_chain.py", "test_empty_home_trades.py", "test_instance_life.py"}
)

#: Objects that tests make before garbage is looked for among them; Python's own 700 is for programs
#: that run in little memory.
GARBAGE = 20_000

#: The name under which a worker hands on what a test printed for the one who runs it.
TOLD = "told"


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Collect without looking for garbage: nothing of what is imported ever becomes any, and what
    the tests leave is little, so that it is looked for seldom."""
    gc.disable()
    yield
    gc.enable()
    gc.freeze()
    gc.set_threshold(GARBAGE, 10, 10)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    place = {name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.path.name, len(place)))


def _run_test(item: pytest.Item, nextitem: pytest.Item | None) -> object:
    runner: Any = item.config.pluginmanager.get_plugin("runner")
    return runner.pytest_runtest_protocol(item, nextitem)


#: Words that the frame of :func:`_run_test` claims.  Python keeps frames in pieces of 16 kB, and
#: gives a piece back when its first frame ends: a loop of calls at the edge of one asks the kernel
#: for memory at each of them, as pages do that are built deep in the stack of a test.  A frame
#: of more than half a megabyte begins a piece of a whole one, whose rest holds what it calls.
WORDS = 70_000
_run_test.__code__ = _run_test.__code__.replace(co_stacksize=WORDS)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> object:
    return _run_test(item, nextitem)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Parallel workers take whole files, and one of them all files that start production homes."""
    from xdist.scheduler import LoadFileScheduling

    if config.option.dist != "loadfile":
        return None

    class FilesAndHomes(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = super()._split_scope(nodeid)
            return "homes" if Path(file).name in WHOLE_HOMES else file

    return FilesAndHomes(config, log)


@pytest.fixture
def on_record(
    request: pytest.FixtureRequest, record_property: Callable[[str, object], None]
) -> Callable[[], AbstractContextManager[None]]:
    """Gives a block whose printed lines the one who runs the tests reads, also of a worker's."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        capture: pytest.CaptureFixture[str] = request.getfixturevalue("capsys")
        return capture.disabled

    @contextmanager
    def record() -> Iterator[None]:
        lines = StringIO()
        try:
            with redirect_stdout(lines):
                yield
        finally:
            record_property(TOLD, lines.getvalue())

    return record


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print what the tests of other processes put on record."""
    for outcome in ("passed", "failed"):
        for report in terminalreporter.stats.get(outcome, []):
            said = [text for name, text in report.user_properties if name == TOLD]
            if said and report.when == "call":
                terminalreporter.write_sep("-", report.nodeid.rpartition("::")[2])
                terminalreporter.write_line("".join(said).strip("\n"))


def _has_settings() -> bool:
    """Whether the suite's settings made a throwaway home; pure runs load no settings."""
    return "magnetfund.settings_test" in sys.modules


def _folder() -> Path:
    """The suite's throwaway home, made by its settings; the database's user must reach it."""
    folder = Path(os.environ["MAGNET_HOME"])
    if not _has_settings() or not folder.name.startswith("magnetfund-test-"):
        # It is deleted at the end: nobody's own home may stand here.
        pytest.exit(f"{folder} is no throwaway home; are the suite's settings loaded?", 2)
    folder.chmod(0o755)
    return folder


def _leads_workers(config: pytest.Config) -> bool:
    """Whether this process hands tests to others, as a run of many files does."""
    return bool(getattr(config.option, "numprocesses", None)) and not os.environ.get(
        "MAGNET_TEST_FAST"
    )


def pytest_unconfigure(config: pytest.Config) -> None:
    if _leads_workers(config):
        from magnetfund.tests.kept_code import keep_code

        keep_code(PROJECT)
    if _has_settings():
        shutil.rmtree(_folder(), ignore_errors=True)


def _let_pass(folder: Path) -> Path:
    """Let the servers' user, who under root is another, pass to a home in ``folder``.

    A home that it cannot reach keeps its databases outside, under /var/lib, where they stay.
    """
    if _has_settings() and os.geteuid() == 0:
        for path in (folder, *folder.parents):
            if path.name.startswith("magnetfund-test-"):
                break
            path.chmod(0o711)
    return folder


def _remove_sockets(folder: Path) -> None:
    """Remove what homes in ``folder`` have outside of it."""
    if _has_settings():
        from magnetfund.operations.servers.home import socket_folder

        for path in (folder, *folder.glob("*/"), *folder.glob("*/*/")):
            shutil.rmtree(socket_folder(path.resolve()), ignore_errors=True)


@pytest.fixture(scope="session")
def tmp_path_factory(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[pytest.TempPathFactory]:
    make, made = tmp_path_factory.mktemp, []

    def mktemp(name: str, numbered: bool = True) -> Path:
        made.append(_let_pass(make(name, numbered)))
        return made[-1]

    tmp_path_factory.mktemp = mktemp  # type: ignore[assignment, method-assign]
    yield tmp_path_factory
    for folder in filter(Path.exists, made):
        _remove_sockets(folder)


@pytest.fixture
def tmp_path(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    _remove_sockets(tmp_path)


@pytest.fixture(scope="session")
def cluster(django_db_blocker: object) -> Iterator[object]:
    """The suite's own PostgreSQL with the databases "migrated" and "suite".

    It starts from the copy that an earlier run kept, as long as no migration or model changed;
    it is gone when the suite ends.
    """
    from magnetfund.operations.servers.home import Home
    from magnetfund.tests.kept_cluster import start_cluster

    with django_db_blocker.unblock():  # type: ignore[attr-defined]
        server = start_cluster(Home(_folder()), migrate=_migrate)
        _lift_limits(server)
    yield server
    server.stop()
    shutil.rmtree(server.home.sockets, ignore_errors=True)


def _lift_limits(server: object) -> None:
    """Let the suite hold what no part of the platform holds.

    Races open more sessions from one process than the platform does, and a test's own transaction
    stays open while pure code works, which on a busy machine may take longer than a role may idle.
    """
    import psycopg

    dsn = server.dsn("postgres", "postgres")  # type: ignore[attr-defined]
    with psycopg.connect(dsn, autocommit=True) as connection:
        for role in ("fa_app", "fa_gateway"):
            connection.execute(f"ALTER ROLE {role} CONNECTION LIMIT -1".encode())
            connection.execute(
                f"ALTER ROLE {role} SET idle_in_transaction_session_timeout = 0".encode()
            )


def _point_at(cluster: object, name: str) -> None:
    """Connect every alias to database ``name``, each as its own role."""
    from django.db import connections

    from magnetfund.env import parse_database_url

    roles = {
        "default": "fa_app",
        "owner": "fa_owner",
        "gateway": "fa_gateway",
        "signer": "fa_signer",
    }
    for alias, role in roles.items():
        connection = connections[alias]
        connection.close()
        values = parse_database_url("test", cluster.dsn(role, name))  # type: ignore[attr-defined]
        connection.settings_dict.update(values)


def _migrate(cluster: object) -> None:
    """Migrate the template once; the suite works on a first copy of it."""
    from django.core.management import call_command
    from django.db import connections

    from magnetfund.operations.walls import state_purpose

    cluster.make_database("migrated")  # type: ignore[attr-defined]
    _point_at(cluster, "migrated")
    call_command("migrate", database="owner", verbosity=0)
    state_purpose("test", "main")
    connections.close_all()
    _copy_database(cluster, "suite")


@pytest.fixture(scope="session")
def django_db_setup(cluster: object, django_db_blocker: object) -> Iterator[None]:
    """Connect the suite to its database."""
    from django.db import connections

    with django_db_blocker.unblock():  # type: ignore[attr-defined]
        _point_at(cluster, "suite")
    yield
    with django_db_blocker.unblock():  # type: ignore[attr-defined]
        connections.close_all()


def _copy_database(cluster: object, name: str, *, template: str = "migrated") -> None:
    import psycopg
    from psycopg import sql

    dsn = cluster.dsn("postgres", "postgres")  # type: ignore[attr-defined]
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(
            sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
        )
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {} OWNER fa_owner STRATEGY FILE_COPY").format(
                sql.Identifier(name), sql.Identifier(template)
            )
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A database with what the tests of a file begin with, and what its story returned."""

    name: str = "migrated"
    value: Any = None


@pytest.fixture(scope="module")
def story() -> Callable[[], Any] | None:
    """Writes what the tests of a file begin with; a file that has such a thing overrides this.

    It is written once; the databases of the file's tests are copies of what it left.
    """
    return None


@pytest.fixture(scope="module")
def told(
    story: Callable[[], Any] | None,
    cluster: object,
    django_db_setup: None,
    django_db_blocker: object,
) -> Told:
    """Write the file's story; each test takes a ``deepcopy`` of its value."""
    from django.db import connections

    if story is None:
        return Told()
    name = "told"
    with django_db_blocker.unblock():  # type: ignore[attr-defined]
        connections.close_all()
        _copy_database(cluster, name)
        _point_at(cluster, name)
        value = story()
        connections.close_all()
        _point_at(cluster, "suite")
    return Told(name=name, value=value)


@pytest.fixture
def fresh_database(cluster: object, told: Told, django_db_blocker: object) -> Iterator[object]:
    """A migrated database of its own for one test that commits, with the story of its file;
    yields the cluster."""
    from django.db import connections

    with django_db_blocker.unblock():  # type: ignore[attr-defined]
        connections.close_all()
        _copy_database(cluster, "fresh", template=told.name)
        _point_at(cluster, "fresh")
        yield cluster
        connections.close_all()
        _point_at(cluster, "suite")


@pytest.fixture
def placed_positions(fresh_database: object) -> None:
    """Lets a test place a position without the fills that made it."""
    import psycopg

    dsn = fresh_database.dsn("postgres", "fresh")  # type: ignore[attr-defined]
    with psycopg.connect(dsn, autocommit=True) as superuser:
        for table in ("trading_position", "trading_fill"):
            superuser.execute(f"ALTER TABLE {table} DISABLE TRIGGER position_is_its_fills".encode())


@pytest.fixture(scope="module")
def module_database(cluster: object, told: Told, django_db_blocker: object) -> Iterator[object]:
    """A migrated database that the tests of one module share, with the story of their file: they
    commit to it, or work in transactions that are rolled back; yields the cluster."""
    from django.db import connections

    with django_db_blocker.unblock():  # type: ignore[attr-defined]
        connections.close_all()
        _copy_database(cluster, "module", template=told.name)
        _point_at(cluster, "module")
        yield cluster
        connections.close_all()
        _point_at(cluster, "suite")


@pytest.fixture(scope="session")
def token_key_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one pair of keys of the API's own tokens: to make one takes long."""
    from magnetfund.operations.supervisor import make_token_keys

    folder = tmp_path_factory.mktemp("token-keys")
    make_token_keys(folder)
    return folder


@pytest.fixture(scope="session")
def token_backend(token_key_folder: Path) -> Any:
    """What signs and reads tokens by the suite's keys, which it prepares once: that takes long."""
    from django.conf import settings
    from rest_framework_simplejwt.backends import TokenBackend

    return TokenBackend(
        settings.SIMPLE_JWT["ALGORITHM"],
        (token_key_folder / "jwt-private.pem").read_text(),
        (token_key_folder / "jwt-public.pem").read_text(),
        settings.SIMPLE_JWT["AUDIENCE"],
        settings.SIMPLE_JWT["ISSUER"],
    )


@pytest.fixture
def token_keys(
    settings: Any, token_key_folder: Path, token_backend: Any, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """Let the API sign and read tokens by the suite's keys; gives their folder."""
    from rest_framework_simplejwt import state

    settings.SIMPLE_JWT = {
        **settings.SIMPLE_JWT,
        "SIGNING_KEY": token_backend.signing_key,
        "VERIFYING_KEY": token_backend.verifying_key,
    }
    # The library reads its keys once in a process, which was in an earlier test.
    monkeypatch.setattr(state, "token_backend", token_backend)
    return token_key_folder


@pytest.fixture
def as_gateway(request: pytest.FixtureRequest) -> Iterator[None]:
    """Run a ``fresh_database`` test as the trader's role on the default connection."""
    cluster = request.getfixturevalue("fresh_database")
    from django.db import connections

    _connect_as("fa_gateway", cluster, "fresh")
    yield
    connections["default"].close()


@pytest.fixture
def as_backups(request: pytest.FixtureRequest) -> Iterator[None]:
    """Run a ``fresh_database`` test as the backups' role on the default connection."""
    cluster = request.getfixturevalue("fresh_database")
    from django.db import connections

    _connect_as("fa_backup", cluster, "fresh")
    yield
    connections["default"].close()


def _connect_as(role: str, cluster: Any, name: str) -> None:
    """Connect the default alias to database ``name`` as a role."""
    from django.db import connections

    from magnetfund.env import parse_database_url

    connection = connections["default"]
    connection.close()
    connection.settings_dict.update(parse_database_url("test", cluster.dsn(role, name)))


@pytest.fixture(scope="session")
def month_database(cluster: object, django_db_setup: None, django_db_blocker: object) -> str:
    """The name of a database with a small fund that traded for a month: made once, then copied."""
    from django.db import connections

    from magnetfund.tests.flow_support import make_candles, replay
    from magnetfund.tests.kept_cluster import fill_once

    name = "month"

    def fill() -> None:
        _copy_database(cluster, name)
        _point_at(cluster, name)
        _connect_as("fa_gateway", cluster, name)
        replay("main", make_candles(), days=33)
        connections.close_all()
        _point_at(cluster, "suite")

    with django_db_blocker.unblock():  # type: ignore[attr-defined]
        connections.close_all()
        fill_once(cluster, name, fill=fill)  # type: ignore[arg-type]
    return name


@pytest.fixture(scope="session")
def month_told(month_database: str) -> Told:
    """The month as what a file's tests begin with: the file's ``told`` returns it."""
    return Told(name=month_database)


@pytest.fixture
def traded_month(month_database: str, cluster: object, as_gateway: None) -> None:
    """Let the test's own database hold the month of trading, seen as the trader's role."""
    from django.db import connections

    connections.close_all()
    _copy_database(cluster, "fresh", template=month_database)
