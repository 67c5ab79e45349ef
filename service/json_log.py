"""Logs as lines of JSON, of the service and of its jobs alike."""

import json
import logging
import os
import re
import sys
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

SERVICE = "tuning_fork"
EVERYTHING = ""

_SECRET = re.compile(r"tf_[A-Za-z0-9_-]{20,}")
_NAME_OF_SECRET = re.compile(r"(KEY|TOKEN|PASSWORD|SECRET)$")
_SHORTEST = 6
"""Shorter values are words that logs are full of."""


class JsonFormatter(logging.Formatter):
    """A log record as one line of JSON.

    Args:
        fields: What every line carries; a record's own `fields` go before them.
    """

    def __init__(self, fields: Mapping[str, object] | None = None) -> None:
        super().__init__()
        self._fields = dict(fields or {})
        self._secrets = _secrets_of(os.environ)

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        row: dict[str, Any] = {
            "time": round(record.created, 3),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        row |= self._fields | getattr(record, "fields", {})
        if record.exc_info:
            row["traceback"] = self.formatException(record.exc_info)
        line = json.dumps(row, ensure_ascii=True, default=str)
        for secret in self._secrets:
            line = line.replace(secret, "...")
        # Callers put secrets where they do not belong, too.
        return _SECRET.sub("tf_...", line)


def is_secret(name: str) -> bool:
    """Whether a variable of the environment holds a key or a password, by its name."""
    return _NAME_OF_SECRET.search(name) is not None


def _secrets_of(environment: Mapping[str, str]) -> list[str]:
    """Keys and passwords in the environment, as JSON writes them, the longest first."""
    found = {value for name, value in environment.items() if is_secret(name)}
    found |= {urlsplit(value).password or "" for name, value in environment.items() if name.endswith("_URL")}
    return sorted((json.dumps(one)[1:-1] for one in found if len(one) >= _SHORTEST), key=len, reverse=True)


def log_as_json(logger: str = SERVICE, fields: Mapping[str, object] | None = None) -> None:
    """Write what a logger and those below it are told to standard error, one line of JSON each.

    Args:
        fields: What every line carries.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter(fields))
    named = logging.getLogger(logger)
    named.handlers[:] = [handler]
    named.setLevel(logging.INFO)
    named.propagate = False


def about(comparison_id: str) -> dict[str, Any]:
    """`extra` of a log line that is about a comparison."""
    return {"fields": {"comparison_id": comparison_id}}
