#!/usr/bin/env python3
"""Commands of the platform."""

import os
import sys
from contextlib import suppress
from pathlib import Path


def prefer(niceness: int) -> None:
    """Run before or beside other processes, where the system lets us, as it does root."""
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, niceness)


def main() -> int:
    is_stop = sys.argv[1:2] == ["stop"]
    if is_stop:
        prefer(-10)
    project = Path(__file__).resolve().parent
    inside = project / ".venv" / "bin" / "python"
    if sys.prefix == sys.base_prefix and inside.exists():
        # Called with the machine's Python: go on in the platform's own environment.
        os.execv(inside, [str(inside), str(Path(__file__).resolve()), *sys.argv[1:]])
    if is_stop:
        # Nothing else is loaded first: whoever stops waits for it.
        from magnetfund.operations.stop_by_command import main as stop

        done = stop(sys.argv[2:])
        if done is not None:
            return done
        prefer(0)
    from magnetfund.operations.instance import LaunchError, run_with_servers

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "magnetfund.settings")
    try:
        code = run_with_servers(sys.argv[1:])
    except LaunchError as error:
        print(f"magnetfund: {error}", file=sys.stderr)
        return 1
    if code is not None:
        return code
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)
    return 0


if __name__ == "__main__":
    sys.exit(main())
