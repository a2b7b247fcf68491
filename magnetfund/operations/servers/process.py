"""One child process: started in its own session, output to a file, ended when we end."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from magnetfund.operations.servers.home import Owner

_PR_SET_PDEATHSIG = 1


def _die_with_parent(number: int) -> None:
    """Ask the kernel to signal this child when its parent dies (Linux; elsewhere no-op)."""
    try:
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)
    except (OSError, AttributeError):
        return


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


class Child:
    """A named process.  ``stop_signal`` asks it to end; after ``patience`` it is killed."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        log: Path,
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
        owner: Owner | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
        patience: float = 15.0,
    ) -> None:
        self.name = name
        self.command = list(command)
        self.log = log
        self.environment = dict(os.environ if environment is None else environment)
        self.folder = folder
        self.owner = owner
        self.stop_signal = stop_signal
        self.patience = patience
        self.process: subprocess.Popen[bytes] | None = None
        self.started_at = 0.0

    def start(self) -> None:
        drop = self.owner if self.owner is not None and os.geteuid() == 0 else None
        with open(self.log, "ab", opener=_open_private) as output:
            self.process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=self.environment,
                cwd=self.folder,
                start_new_session=True,
                # What a process writes is its user's alone: logs, mail, keys, uploads.
                umask=0o077,
                user=drop.uid if drop else None,
                group=drop.gid if drop else None,
                extra_groups=[] if drop else None,
                preexec_fn=lambda: _die_with_parent(self.stop_signal),
            )
        self.started_at = time.monotonic()

    @property
    def is_alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def exit_code(self) -> int | None:
        return None if self.process is None else self.process.poll()

    def ask_to_stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self._signal(self.stop_signal)

    def wait_until_stopped(self) -> None:
        """Wait for the end, then make sure that the whole process group is gone."""
        if self.process is None:
            return
        try:
            self.process.wait(self.patience)
        except subprocess.TimeoutExpired:
            self._signal(signal.SIGKILL)
            self.process.wait()
        self._signal_group(signal.SIGKILL)

    def stop(self) -> None:
        self.ask_to_stop()
        self.wait_until_stopped()

    def last_lines(self, count: int = 8) -> str:
        """Last lines of the log, for error messages."""
        if not self.log.exists():
            return ""
        lines = self.log.read_text(errors="replace").splitlines()
        return "\n".join(lines[-count:])

    def _signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        try:
            os.kill(self.process.pid, number)
        except ProcessLookupError:
            return

    def _signal_group(self, number: signal.Signals) -> None:
        assert self.process is not None
        try:
            os.killpg(self.process.pid, number)
        except (ProcessLookupError, PermissionError):
            return
