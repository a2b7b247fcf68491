"""Typed reading of the environment: a missing or odd value stops the start with one clear line."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from magnetfund.kernel.errors import InvalidInput

PROJECT = Path(__file__).resolve().parent.parent


class BadSetting(InvalidInput):
    """A variable of the environment is missing or makes no sense; its value is never repeated."""

    default_code = "bad_setting"


@dataclass(frozen=True, slots=True)
class Environment:
    """Reads settings from a mapping (the process environment by default)."""

    values: Mapping[str, str]

    @classmethod
    def of_process(cls) -> Environment:
        return cls(os.environ)

    def text(self, name: str, default: str | None = None) -> str:
        value = self.values.get(name, "")
        if value.strip():
            return value.strip()
        if default is None:
            raise BadSetting(f"{name} is not set; see .env.example")
        return default

    def flag(self, name: str, default: bool) -> bool:
        value = self.text(name, "true" if default else "false").lower()
        if value in ("1", "true", "yes", "on"):
            return True
        if value in ("0", "false", "no", "off"):
            return False
        raise BadSetting(f"{name} must be true or false")

    def integer(self, name: str, default: int, *, low: int, high: int) -> int:
        text = self.text(name, str(default))
        try:
            number = int(text)
        except ValueError:
            raise BadSetting(f"{name} must be a whole number") from None
        if not low <= number <= high:
            raise BadSetting(f"{name} must lie between {low} and {high}")
        return number

    def decimal(self, name: str, default: str, *, may_be_zero: bool = False) -> Decimal:
        try:
            number = Decimal(self.text(name, default))
        except InvalidOperation:
            raise BadSetting(f"{name} must be a number") from None
        if not number.is_finite() or number < 0 or (number == 0 and not may_be_zero):
            raise BadSetting(f"{name} must be a positive number")
        return number

    def choice(self, name: str, default: str, choices: tuple[str, ...]) -> str:
        value = self.text(name, default)
        if value not in choices:
            raise BadSetting(f"{name} must be one of {', '.join(choices)}")
        return value

    def trading_mode(self, live_venues: tuple[str, ...]) -> str:
        """``TRADING_MODE``: "shadow" is paper that also shows orders as they would be sent.

        "live" is refused while no venue can execute for real.
        """
        mode = self.choice("TRADING_MODE", "paper", ("paper", "shadow", "live"))
        if mode == "live" and not live_venues:
            raise BadSetting(
                "TRADING_MODE=live needs an execution venue and none is connected; "
                "set TRADING_MODE=paper"
            )
        return mode

    def items(self, name: str, default: str = "") -> list[str]:
        return [item.strip() for item in self.text(name, default).split(",") if item.strip()]

    def folder(self, name: str, default: Path) -> Path:
        return Path(self.text(name, str(default))).expanduser().resolve()

    def url(self, name: str, default: str, schemes: tuple[str, ...]) -> str:
        value = self.text(name, default)
        if value and urlsplit(value).scheme not in schemes:
            raise BadSetting(f"{name} must begin with {' or '.join(s + '://' for s in schemes)}")
        return value


def redis_url(environment: Environment) -> str:
    return environment.url("REDIS_URL", "redis://127.0.0.1:6379/0", ("redis", "rediss", "unix"))


def broker_url(environment: Environment) -> str:
    """The same server as Celery names it."""
    url = redis_url(environment)
    return url.replace("unix://", "redis+socket://", 1) if url.startswith("unix://") else url


@dataclass(frozen=True, slots=True, kw_only=True)
class BucketAddress:
    """An S3-compatible bucket, or a prefix of one, without its keys."""

    endpoint: str
    bucket: str
    prefix: str
    region: str

    @property
    def host(self) -> str:
        return self.endpoint.partition("://")[2]

    @property
    def place(self) -> str:
        """Host, bucket and prefix, as rows and people name it."""
        return "/".join(part for part in (self.host, self.bucket, self.prefix) if part)


def parse_bucket_url(name: str, url: str, *, region: str) -> BucketAddress | None:
    """The address of ``https://host[:port]/bucket[/prefix]``; None where it is empty.

    Raises :class:`BadSetting` naming the variable, without its value.
    """
    if not url:
        return None
    parts = urlsplit(url)
    bucket, _, prefix = parts.path.strip("/").partition("/")
    if "@" in parts.netloc or parts.query:
        raise BadSetting(f"{name} holds no keys: they go into BACKUP_S3_KEY_ID and _SECRET")
    if parts.scheme not in ("http", "https") or not parts.netloc or not bucket:
        raise BadSetting(f"{name} must be https://host/bucket or https://host/bucket/prefix")
    return BucketAddress(
        endpoint=f"{parts.scheme}://{parts.netloc}", bucket=bucket, prefix=prefix, region=region
    )


def parse_database_url(name: str, url: str) -> dict[str, object]:
    """Django's settings of a PostgreSQL URL; a socket folder may be given as ``?host=/path``.

    Raises :class:`BadSetting` naming the variable, without its value.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise BadSetting(f"{name} is not a valid URL") from None
    if parts.scheme not in ("postgres", "postgresql"):
        raise BadSetting(f"{name} must begin with postgresql://")
    database = parts.path.lstrip("/")
    if not database:
        raise BadSetting(f"{name} must include a database name")
    options = dict(parse_qsl(parts.query))
    host = options.pop("host", "") or parts.hostname or ""
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(database),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": host,
        "PORT": str(options.pop("port", None) or port or ""),
        "OPTIONS": options,
    }
