"""``make run``: servers, migrations, demo, web, worker, beat and trader, one process to stop.

Everything ends with this process: Ctrl-C or SIGTERM stops the children in reverse order and leaves
nothing behind.  A child that dies is started again with a growing pause, however often; no part's
deaths end another.  Each part knows the database password of its own role, and those of the parts
that it holds a session for.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from urllib.parse import urlsplit

from magnetfund.env import PROJECT, BadSetting, Environment
from magnetfund.kernel.clock import utc_now
from magnetfund.kernel.identifiers import START_ANSWER, START_QUESTION, answer_start
from magnetfund.operations.parts import (
    SIGN_PORT_ABOVE,
    STOP_URL,
    environment_of,
    platform_parts,
)
from magnetfund.operations.servers.daily import DailyChild
from magnetfund.operations.servers.home import STOPPING, Home, LaunchError
from magnetfund.operations.servers.postgres import Postgres
from magnetfund.operations.servers.process import Child
from magnetfund.operations.servers.valkey import Valkey
from trading.venues import LIVE_VENUES

RESTART_WINDOW = 120.0
RESTART_PAUSE_MAX = 15.0
READY_SECONDS = 120.0
#: How long a server's socket may be missing: one that starts has none yet.
SOCKET_SECONDS = 5.0
#: How long a server may take to end before it is asked again.
STOP_PATIENCE = 30.0
#: How long a start of the demo waits for the trader once the web answers, so that its first page
#: shows a fund that trades; a stopped fuse stays inactive.
TRADER_SECONDS = 12.0


@dataclass(slots=True)
class SupervisedChild:
    """A child with the times at which it had to be started again."""

    child: Child
    restarts: list[float] = field(default_factory=list)
    due_at: float = 0.0
    #: A server is reached by this file alone: without it a server that runs is of no use.
    socket: Path | None = None
    missed_at: float = 0.0


def _run(*arguments: str, env: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
    """A Python process of ours; its output is ours too."""
    return subprocess.Popen(
        [sys.executable, *arguments], env=env, cwd=PROJECT, start_new_session=True
    )


class Supervisor:
    def __init__(self, *, home: Home, port: int, demo: bool, sign_port: int = 0) -> None:
        self.home = home
        self.port = port
        self.sign_port = sign_port or (port + SIGN_PORT_ABOVE) % 65_536
        self.demo = demo
        self.stopping = False
        self.public_url = ""
        #: By which the web that answers proves that it is the one that was started here.
        self.start_token = secrets.token_urlsafe(24)
        self.watched: list[SupervisedChild] = []
        self.daily: DailyChild | None = None
        self.postgres: Postgres | None = None
        self.valkey: Valkey | None = None

    # ---- start -----------------------------------------------------------------------------

    def run(self) -> int:
        began = time.monotonic()
        signal.signal(signal.SIGINT, self._ask_to_stop)
        signal.signal(signal.SIGTERM, self._ask_to_stop)
        lock = self.home.lock()
        try:
            self.home.claim("demo" if self.demo else "production")
            self._require_free_ports()
            environment = self._start_servers()
            self._require_passwords(environment)
            self._prepare(environment)
            if not self.stopping:
                self._start_parts(environment, follow_web=False)
                self._wait_for_web()
                if self.demo:
                    self._wait_for_trader()
            if not self.stopping:
                self._start_parts(environment, follow_web=True)
                self._plan_daily(environment)
                self._announce(time.monotonic() - began)
                self._watch()
        except LaunchError as error:
            if not self.stopping:
                print(f"magnetfund: {error}", file=sys.stderr)
                return 1
        finally:
            lock.write(STOPPING)
            lock.flush()
            self._stop_all()
            lock.close()
        print("Stopped.")
        return 0

    def _ask_to_stop(self, number: int, frame: FrameType | None) -> None:
        self.stopping = True

    def _require_free_ports(self) -> None:
        for port, name in ((self.port, "PORT=8001"), (self.sign_port, "SIGN_PORT=9001")):
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind(("127.0.0.1", port))
                except OSError:
                    raise LaunchError(
                        f"port {port} is in use; choose another with {name} make run"
                    ) from None

    def _start_servers(self) -> dict[str, str]:
        environment = dict(os.environ)
        if not environment.get("DATABASE_URL"):
            self.postgres = Postgres(self.home)
            self.postgres.start()
            assert self.postgres.child is not None
            self.watched.append(SupervisedChild(self.postgres.child, socket=self.postgres.socket))
            environment.update(self.postgres.environment())
        if not environment.get("REDIS_URL"):
            self.valkey = Valkey(self.home)
            self.valkey.start()
            assert self.valkey.child is not None
            self.watched.append(SupervisedChild(self.valkey.child, socket=self.valkey.socket))
            environment.update(self.valkey.environment())
        environment.setdefault("SECRET_KEY", self.home.secrets()["secret_key"])
        environment.setdefault("MAGNET_ENV", "demo" if self.demo else "production")
        environment.setdefault("SIGNER_KEY", self.home.secrets()["signer_key"])
        self.public_url = environment.setdefault("PUBLIC_URL", f"http://localhost:{self.port}")
        environment.setdefault("SIGN_URL", f"http://localhost:{self.sign_port}")
        self.home.note_addresses({name: environment[name] for name in ("PUBLIC_URL", "SIGN_URL")})
        environment.setdefault("DJANGO_SETTINGS_MODULE", "magnetfund.settings")
        environment["MAGNET_HOME"] = str(self.home.root)
        environment["PYTHONUNBUFFERED"] = "1"
        environment["MAGNET_START_TOKEN"] = self.start_token
        return environment

    def _prepare(self, environment: dict[str, str]) -> None:
        # The logins are the last that the demo's beginning writes, so without them it has no past.
        is_new = self.demo and not self._logins.exists()
        ahead = _run("-m", "magnetfund.operations.compile_ahead") if is_new else None
        try:
            self._command(environment, "owner", "prepare")
            if ahead is not None:
                self._wait_for(ahead)  # where it failed, whoever needs it compiles
        finally:
            if ahead is not None and ahead.poll() is None:
                ahead.terminate()
                ahead.wait()
        if self.demo and not self._has_demo(environment):
            self._command(environment, "gateway", "load_demo")

    @property
    def _logins(self) -> Path:
        return self.home.root / "demo-logins.txt"

    def _has_demo(self, environment: Mapping[str, str]) -> bool:
        """Whether the demo's past is told to its end, so that loading it would only find it there.

        What cannot be told here (a database of one's own, real prices) is left to the command.
        """
        if self.postgres is None or environment.get("MARKET"):
            return False
        import psycopg

        book = environment.get("MAGNET_BOOK") or "main"
        told = "SELECT closed_at IS NOT NULL FROM risk_scenarioclock WHERE book = %s"
        with psycopg.connect(environment["DATABASE_OWNER_URL"]) as session:
            return session.execute(told, [book]).fetchone() == (True,)

    def _command(self, environment: dict[str, str], role: str, *arguments: str) -> None:
        """Run one manage.py command to its end; its output is ours."""
        process = _run("manage.py", *arguments, env={**environment, "MAGNET_DB_ROLE": role})
        if self._wait_for(process) != 0:
            raise LaunchError(f"{arguments[0]} failed; see the lines above")

    def _wait_for(self, process: subprocess.Popen[bytes]) -> int:
        """The code with which a process ends; it ends with us."""
        while process.poll() is None:
            if self.stopping:
                process.terminate()
                process.wait()
                raise LaunchError("stopped")
            time.sleep(0.05)
        return process.returncode

    def _require_passwords(self, environment: Mapping[str, str]) -> None:
        """Refuse a database of one's own with parts that have no role to sign in by."""
        parts = platform_parts(self.port, self.sign_port)
        needs = {part.url: part.name for part in parts if part.url} | {STOP_URL: "stop"}
        lacks = {url: name for url, name in needs.items() if not environment.get(url)}
        if lacks:
            names = ", ".join(f"{url} (for {part})" for url, part in lacks.items())
            raise LaunchError(f"not set: {names}; see .env.example and manage.py prepare_roles")

    def _start_parts(self, environment: dict[str, str], *, follow_web: bool) -> None:
        parts = platform_parts(self.port, self.sign_port)
        for part in (part for part in parts if part.follows_web == follow_web):
            child = Child(
                part.name,
                part.command,
                log=self.home.logs / f"{part.name}.log",
                environment=environment_of(part, environment),
                folder=PROJECT,
            )
            child.start()
            self.watched.append(SupervisedChild(child))

    def _plan_daily(self, environment: Mapping[str, str]) -> None:
        """What the owner does once a day; the start has done today's."""
        child = Child(
            "minute archive",
            [sys.executable, "manage.py", "archive_candles", "--daily"],
            log=self.home.logs / "minute_archive.log",
            environment={**environment, "MAGNET_DB_ROLE": "owner"},
            folder=PROJECT,
        )
        self.daily = DailyChild(child, today=utc_now().date())

    def _wait_for_web(self) -> None:
        if not self._wait(READY_SECONDS, until=lambda status: status != ""):
            raise LaunchError(
                f"the web server did not answer on port {self.port}; see "
                f"{self.home.logs / 'web.log'}"
            )

    def _wait_for_trader(self) -> None:
        self._wait(TRADER_SECONDS, until=lambda status: status == "active")

    def _wait(self, seconds: float, *, until: Callable[[str], bool]) -> bool:
        """Look after the parts until the web says so or the time is over; a stop ends it too."""
        deadline = time.monotonic() + seconds
        url, host = f"http://127.0.0.1:{self.port}/health", urlsplit(self.public_url).netloc
        while time.monotonic() < deadline and not self.stopping:
            self._look_after()
            if until(_health_status(url, host=host, token=self.start_token)):
                return True
            time.sleep(0.1)
        return self.stopping

    def _announce(self, seconds: float) -> None:
        base = self.public_url
        print(f"\nMagnet Fund is running ({seconds:.1f} s to start).")
        print(f"  Fund page       {base}/")
        print(f"  Sign in         {base}/account/login/")
        print(f"  Staff desk      {base}/desk/")
        print(f"  Administration  {base}/admin/")
        print(f"  API             {base}/docs")
        print(f"  Signatures      http://localhost:{self.sign_port}/ (the desk leads there)")
        if self._logins.exists():
            print(self._logins.read_text().rstrip())
        if not self.demo and base.startswith("https://"):
            print(
                f"The web server listens on 127.0.0.1:{self.port}. Put a TLS proxy in front of it."
            )
        print(f"Logs are in {self.home.logs}. Ctrl-C stops everything.", flush=True)

    # ---- watch -----------------------------------------------------------------------------

    def _watch(self) -> None:
        while not self.stopping:
            self._look_after()
            told = self.daily.look(utc_now()) if self.daily is not None else ""
            if told:
                print(f"magnetfund: {told}", file=sys.stderr, flush=True)
            time.sleep(0.25)

    def _look_after(self) -> None:
        now = time.monotonic()
        for item in self.watched:
            if item.child.is_alive:
                self._look_for_socket(item, now)
                continue
            if not item.due_at:
                item.restarts = [t for t in item.restarts if now - t < RESTART_WINDOW]
                item.due_at = now + min(RESTART_PAUSE_MAX, 0.5 * 2 ** len(item.restarts))
                print(
                    f"magnetfund: {item.child.name} ended (code {item.child.exit_code}); "
                    "starting it again",
                    file=sys.stderr,
                    flush=True,
                )
            elif now >= item.due_at:
                item.due_at = 0.0
                item.restarts.append(now)
                item.child.start()

    def _look_for_socket(self, item: SupervisedChild, now: float) -> None:
        """End a server whose socket is gone, so that it is started again with a new one."""
        if item.socket is None or item.socket.exists():
            item.missed_at = 0.0
        elif not item.missed_at:
            item.missed_at = now
        elif now - item.missed_at > SOCKET_SECONDS:
            item.missed_at = now + STOP_PATIENCE
            print(
                f"magnetfund: {item.child.name} has no socket any more; starting it again",
                file=sys.stderr,
                flush=True,
            )
            self.home.make_sockets()
            item.child.ask_to_stop()

    def _stop_all(self) -> None:
        servers = {id(s.child) for s in (self.postgres, self.valkey) if s is not None}
        parts = [w.child for w in self.watched if id(w.child) not in servers]
        for child in parts:
            child.ask_to_stop()
        for child in parts:
            child.wait_until_stopped()
        if self.daily is not None:
            self.daily.stop()
        for server in (self.valkey, self.postgres):
            if server is not None:
                server.stop()


def _health_status(url: str, *, host: str, token: str) -> str:
    """What /health of our own web says; "error" for its 5xx, nothing while it is not there.

    Whatever else took the port cannot answer the question that goes with it.
    """
    question = secrets.token_urlsafe(12)
    headers = {"Host": host, START_QUESTION: question}
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 - our own port
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310
            if answer.headers.get(START_ANSWER) != answer_start(token, question):
                return ""
            return str(json.load(answer).get("status", "inactive"))
    except urllib.error.HTTPError as error:
        return "error" if error.headers.get(START_ANSWER) == answer_start(token, question) else ""
    except (OSError, ValueError):
        return ""


def make_token_keys(folder: Path) -> None:
    """RSA keys of the API's own tokens, made once; the private one is readable by us alone."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    private = folder / "jwt-private.pem"
    if private.exists():
        return
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    key = rsa.generate_private_key(public_exponent=65537, key_size=3072)
    public_bytes = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    private_bytes = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    (folder / "jwt-public.pem").write_bytes(public_bytes)
    draft = folder / f"jwt-private.{secrets.token_hex(4)}"
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as handle:
        handle.write(private_bytes)
    draft.rename(private)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="magnetfund", description="Run the whole platform.")
    parser.add_argument("--no-demo", action="store_true", help="start without the demo fund")
    options = parser.parse_args(arguments)
    try:
        Environment.of_process().trading_mode(LIVE_VENUES)
        port = int(os.environ.get("PORT", "8000"))
        sign_port = int(os.environ.get("SIGN_PORT", "0"))
        home = Home(Path(os.environ.get("MAGNET_HOME", PROJECT / "var")))
    except (ValueError, LaunchError, BadSetting) as error:
        print(f"magnetfund: {error}", file=sys.stderr)
        return 1
    try:
        return Supervisor(home=home, port=port, demo=not options.no_demo, sign_port=sign_port).run()
    except LaunchError as error:
        print(f"magnetfund: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
