"""Structured logs: one event, one JSON line, no control characters, no secrets."""

from __future__ import annotations

import json
import logging
import re
from datetime import UTC, datetime

#: What looks like a credential is blanked wherever it stands in a message.
_SECRETS = re.compile(
    r"(?i)((?:password|passwd|secret|token|api[_-]?key|authorization)[\"']?\s*[=:]\s*)"
    r"(?:bearer\s+)?[^\s,;\"'}]+|(://[^:/\s]+:)[^@/\s]+(@)"
)


def redact(text: str) -> str:
    """The text with every credential-like value replaced."""

    def blank(match: re.Match[str]) -> str:
        if match.group(1):
            return f"{match.group(1)}[redacted]"
        return f"{match.group(2)}[redacted]{match.group(3)}"

    return _SECRETS.sub(blank, text)


class JsonFormatter(logging.Formatter):
    """Formats a record as one JSON object; newlines and escapes cannot forge a second event."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat().replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": redact(record.getMessage()),
        }
        trace = getattr(record, "trace_id", None)
        if trace:
            line["trace_id"] = trace
        if record.exc_info:
            line["exception"] = redact(self.formatException(record.exc_info))
        return json.dumps(line, ensure_ascii=True)


def log_as_lines(level: str) -> None:
    """The logs of a process without Django: all to standard error, in the form of the others."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level, handlers=[handler])
