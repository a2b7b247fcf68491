#!/usr/bin/env python3
"""Commands of the platform."""

import os
import sys
from pathlib import Path


def main() -> int:
    project = Path(__file__).resolve().parent
    inside = project / ".venv" / "bin" / "python"
    if sys.prefix == sys.base_prefix and inside.exists():
        # Called with the machine's Python: go on in the platform's own environment.
        os.execv(inside, [str(inside), str(Path(__file__).resolve()), *sys.argv[1:]])
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
