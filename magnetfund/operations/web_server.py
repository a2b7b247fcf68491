"""The web server of one instance: uvicorn as the settings say, without a banner.

Addresses in ``TRUSTED_PROXIES`` may say for whom they ask (X-Forwarded-For and -Proto); from
anybody else these headers are nothing.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import uvicorn

from magnetfund.env import Environment


def build_options(trusted: Sequence[str], *, host: str, port: int) -> dict[str, object]:
    """Options of uvicorn for a list of trusted proxies (addresses or networks)."""
    return {
        "host": host,
        "port": port,
        "log_level": "warning",
        "access_log": False,
        "server_header": False,
        "timeout_graceful_shutdown": 3,
        "proxy_headers": bool(trusted),
        "forwarded_allow_ips": list(trusted),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="web_server", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--application", default="magnetfund.asgi:application")
    given = parser.parse_args(arguments)
    environment = Environment.of_process()
    is_production = environment.text("MAGNET_ENV", "production") == "production"
    trusted = environment.items("TRUSTED_PROXIES", "127.0.0.1,::1" if is_production else "")
    uvicorn.run(
        given.application,
        **build_options(trusted, host=given.host, port=given.port),  # type: ignore[arg-type]
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
