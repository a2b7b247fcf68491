"""A cluster's folder is made only where nothing is, and never removed."""

from __future__ import annotations

from pathlib import Path

import pytest

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
    with pytest.raises(LaunchError, match=r"of PostgreSQL 12, .* manage.py backup; then move"):
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
