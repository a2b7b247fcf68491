"""The folder of one instance: where its data, secrets, logs and sockets are.

``MAGNET_HOME`` belongs to whoever starts the platform.  A server that root must not run itself is
given to ``nobody``; where ``nobody`` cannot reach the folder, the cluster lives under
``/var/lib/magnetfund`` instead, named after the home.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import pwd
import secrets
import stat
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from urllib.parse import quote

from magnetfund.operations.roles import ROLE_NAMES


class LaunchError(Exception):
    """The platform cannot start; the message is one line for a person."""


@dataclass(frozen=True, slots=True)
class Owner:
    """The system user that runs the servers."""

    name: str
    uid: int
    gid: int


def server_owner() -> Owner:
    """The present user, or ``nobody`` where that is root (PostgreSQL refuses to run as root)."""
    name = "nobody" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
    entry = pwd.getpwnam(name)
    return Owner(name=name, uid=entry.pw_uid, gid=entry.pw_gid)


#: What the lock file says while its holder is on its way out.
STOPPING = "stopping"
STOPPING_SECONDS = 45.0
#: The fund's database in the cluster of a home.
DATABASE = "magnetfund"
SECRETS = "secrets.json"


def is_reachable_by_others(path: Path) -> bool:
    """Whether any user may pass through every folder down to ``path``."""
    while not path.exists():
        path = path.parent
    return all(
        stat.S_IMODE(folder.stat().st_mode) & stat.S_IXOTH for folder in (path, *path.parents)
    )


def folder_digest(root: Path) -> str:
    """What names a home's folders outside of it; ``root`` is resolved."""
    return hashlib.sha256(str(root).encode()).hexdigest()[:12]


def socket_folder(root: Path) -> Path:
    """Where the servers of the home ``root`` (resolved) answer.

    Socket paths may have 107 bytes at most, so they live in a short folder of their own.
    """
    return Path("/tmp") / f"magnetfund-{folder_digest(root)}"  # noqa: S108 - made private


def role_url(*, sockets: Path, role: str, password: str, database: str = DATABASE) -> str:
    """A URL of a home's cluster for one role; holds its password, so it is never printed."""
    return f"postgresql://{role}:{quote(password)}@/{database}?host={quote(str(sockets), safe='')}"


class Home:
    """One instance's folders; made on first use, private to their owner."""

    def __init__(self, root: Path) -> None:
        self.root = root.expanduser().resolve()
        self.owner = server_owner()
        try:
            self.root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise LaunchError(f"cannot make the folder {self.root}: {error.strerror}") from None
        as_root = os.geteuid() == 0
        if as_root and not is_reachable_by_others(self.root):
            self.cluster = Path("/var/lib/magnetfund") / folder_digest(self.root)
        else:
            self.cluster = self.root / "servers"
        self.cluster.mkdir(parents=True, exist_ok=True)
        if as_root:
            self._open_the_way()
        self.sockets = socket_folder(self.root)
        self.make_sockets()
        self.logs = self.root / "log"
        self.logs.mkdir(exist_ok=True)
        self._shut_to_others()

    def _open_the_way(self) -> None:
        """Let the servers' user pass to its folder, whatever umask this process has."""
        outside = not self.cluster.is_relative_to(self.root)
        for folder in (self.cluster, *([self.cluster.parent] if outside else [])):
            folder.chmod(stat.S_IMODE(folder.stat().st_mode) | 0o011)

    def _shut_to_others(self) -> None:
        """Others may not list the home nor read logs, mail and keys.

        Where the servers run as ``nobody`` inside it, they may still pass through to their own.
        """
        passes = os.geteuid() == 0 and self.cluster.is_relative_to(self.root)
        self.root.chmod(0o711 if passes else 0o700)
        for name in ("log", "mail", "keys", "media"):
            folder = self.root / name
            if folder.is_dir() and folder.stat().st_uid == os.geteuid():
                folder.chmod(0o700)
                for path in folder.iterdir():
                    if path.is_file() and not path.is_symlink():
                        path.chmod(stat.S_IMODE(path.stat().st_mode) & 0o700)

    def make_sockets(self) -> None:
        """The private folder of the servers' sockets; a cleaner of /tmp may have removed it."""
        self._private(self.sockets)

    def _private(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, exist_ok=True)
        info = folder.lstat()
        if not stat.S_ISDIR(info.st_mode) or info.st_uid not in (os.geteuid(), self.owner.uid):
            raise LaunchError(f"{folder} belongs to another user")
        self.give(folder)
        folder.chmod(0o700)

    def give(self, path: Path) -> None:
        """Hand a file or folder to the user that runs the servers."""
        if os.geteuid() == 0:
            os.chown(path, self.owner.uid, self.owner.gid)

    def lock(self) -> IO[str]:
        """Lock the instance; a second start on the same folder fails with a message.

        One that says it is stopping is waited for.
        """
        handle = (self.root / "instance.lock").open("a+")
        deadline = time.monotonic() + STOPPING_SECONDS
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                handle.seek(0)
                if handle.read() != STOPPING or time.monotonic() > deadline:
                    handle.close()
                    raise LaunchError(
                        f"another instance runs on {self.root}; stop it or set MAGNET_HOME"
                    ) from None
                time.sleep(0.1)
            else:
                handle.truncate(0)
                return handle

    def claim(self, mode: str) -> None:
        """Fix what this home is for, "demo" or "production"; the other one is refused for ever."""
        kept = self.mode()
        if kept is None:
            (self.root / "mode").write_text(mode)
        elif kept != mode:
            raise LaunchError(
                f"{self.root} was set up as a {kept} installation; choose another MAGNET_HOME"
            )

    def mode(self) -> str | None:
        """What this home is for; None before its first start."""
        path = self.root / "mode"
        return path.read_text().strip() if path.exists() else None

    def note_addresses(self, addresses: Mapping[str, str]) -> None:
        """Keep where the web and the signer answer, for commands that print links."""
        draft = self.root / f"addresses.{secrets.token_hex(4)}"
        draft.write_text(json.dumps(dict(addresses)))
        draft.rename(self.root / "addresses.json")

    def addresses(self) -> dict[str, str]:
        """``PUBLIC_URL`` and ``SIGN_URL`` of the newest start; none before the first."""
        path = self.root / "addresses.json"
        return dict(json.loads(path.read_text())) if path.exists() else {}

    def secrets(self) -> dict[str, str]:
        """Passwords of the database roles and the signing key, readable by us alone.

        Made once; a home of an earlier version gets what it lacks and keeps the rest.
        """
        path = self.root / SECRETS
        values = dict(json.loads(path.read_text())) if path.exists() else {}
        missing = [
            name
            for name in ("postgres", *ROLE_NAMES, "secret_key", "signer_key")
            if name not in values
        ]
        if missing:
            values.update({name: secrets.token_urlsafe(48) for name in missing})
            # Written beside and moved, so that a crash leaves the old file or the new one.
            draft = path.with_name(f"secrets.{secrets.token_hex(4)}")
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w") as handle:
                json.dump(values, handle)
            draft.rename(path)
        return values
