"""One web process tells 1,000 open pages five figures a second, over real connections.

Run as ``python -m bench live_stream``.  The clients share the machine with the server, so the
figure is an upper bound.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import socket
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request

from bench.ground import platform
from bench.timing import Row, Skip

CLIENTS = 1_000
PER_SECOND = 5
SECONDS = 10
START_SECONDS = 60.0


def run() -> list[Row]:
    """The rows of this bench."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * CLIENTS + 500
    if soft < wanted:
        if hard != resource.RLIM_INFINITY and hard < wanted:
            raise Skip(f"this system allows {hard} open files, {wanted} are needed")
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    with platform(with_valkey=True):
        port = _free_port()
        server = subprocess.Popen(
            [sys.executable, "-m", "uvicorn", "magnetfund.asgi:application", "--host", "127.0.0.1",
             "--port", str(port), "--log-level", "error", "--no-access-log"],
            env={**os.environ, "MAGNET_DB_ROLE": "app"},
        )  # fmt: skip
        try:
            _wait_until_served(port)
            delays = asyncio.run(_measure(port))
        finally:
            server.terminate()
            server.wait(10)
    heard = len(delays) / (CLIENTS * PER_SECOND * SECONDS)
    return [
        (
            f"live stream: {CLIENTS:,} pages x {PER_SECOND} messages/s, p99",
            statistics.quantiles(delays, n=100)[98] * 1000.0,
            250.0,
            "ms",
        ),
        ("live stream: share of the messages heard", heard * 100.0, 99.9, "%"),
    ]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_served(port: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/capabilities", timeout=5)
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.2)
        else:
            return
    raise TimeoutError("the web process did not start")


async def _measure(port: int) -> list[float]:
    from django.conf import settings

    from magnetfund.core.live import publish

    pages = []
    for start in range(0, CLIENTS, 50):
        pages += await asyncio.gather(*(_open(port) for _ in range(min(50, CLIENTS - start))))
    delays: list[float] = []
    readers = [asyncio.create_task(_read(reader, delays)) for reader, _ in pages]
    await asyncio.sleep(1.0)
    for number in range(PER_SECOND * SECONDS):
        began = time.perf_counter()
        publish("tick", book=settings.MAGNET_BOOK, sent=began, number=number, equity="430000.00")
        await asyncio.sleep(max(0.0, 1.0 / PER_SECOND - (time.perf_counter() - began)))
    await asyncio.sleep(2.0)
    for reader in readers:
        reader.cancel()
    for _, writer in pages:
        writer.close()
    return delays


async def _open(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A page that listens, read up to its first line."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /live HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n")
    await reader.readuntil(b"retry: 3000\n\n")
    return reader, writer


async def _read(reader: asyncio.StreamReader, delays: list[float]) -> None:
    """Note how old each message is when it arrives."""
    while line := await reader.readline():
        if line.startswith(b"data: "):
            # Both ends read one monotonic clock of this machine.
            delays.append(time.perf_counter() - json.loads(line[6:])["sent"])
