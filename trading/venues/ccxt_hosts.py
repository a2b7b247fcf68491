"""Pointing a ccxt client at another host: a mirror, a relay, or an exchange on loopback."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit, urlunsplit


def moved_urls(urls: Any, host: str) -> Any:
    """ccxt's tree of API addresses with scheme and host of ``host``; paths stay.

    A stream's address gets ``ws`` or ``wss``, as ``host`` is ``http`` or ``https``.
    """
    if isinstance(urls, dict):
        return {name: moved_urls(value, host) for name, value in urls.items()}
    if not isinstance(urls, str):
        return urls
    here, there = urlsplit(urls), urlsplit(host)
    scheme = there.scheme.replace("http", "ws") if here.scheme.startswith("ws") else there.scheme
    return urlunsplit((scheme, there.netloc, here.path, here.query, ""))
