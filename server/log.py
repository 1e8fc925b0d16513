"""Logging: one format, secrets taken out, libav kept quiet."""

from __future__ import annotations

import contextlib
import faulthandler
import logging
import re
import sys
from typing import TYPE_CHECKING

import av.logging

_CREDENTIALS = re.compile(r"(?P<scheme>\b[a-zA-Z][a-zA-Z0-9+.-]{0,60}://)(?P<user>[^\s/?#]*)@")
_SECRET_PARAMETER = re.compile(
    r"(?P<name>[?&;/](?:[\w.=-]{0,80}(?:pass|pwd|passwd|password|token|secret|key|auth|sig|signature)\w{0,40}))"
    r"=[^&;/\s\"'<>]*",
    re.IGNORECASE,
)
"""In a query, or as some cameras have it, in the path: `/user=admin_password=…_channel=1`. Bounded, so that
a long text made for it takes no quadratic time."""


def redact(text: str) -> str:
    """The text with credentials in URLs replaced: user and password, and query values that look secret."""
    text = _CREDENTIALS.sub(r"\g<scheme>***@", text)
    return _SECRET_PARAMETER.sub(r"\g<name>=***", text)


class RedactingFormatter(logging.Formatter):
    """Formats a record, traceback included, and redacts the result."""

    def format(self, record: logging.LogRecord) -> str:
        """One line (and its traceback) without credentials."""
        return redact(super().format(record))


def configure_logging(level: str = "INFO") -> None:
    """Log to standard error, where systemd and ./start pick it up. Safe to call more than once."""
    # libav logs through Python by default, which can deadlock between its threads and ours.
    av.logging.set_level(None)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(RedactingFormatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s"))
    # A crash inside a library says which thread it was in; so does `kill -ABRT` of a process that hangs.
    if sys.stderr is not None:
        with contextlib.suppress(OSError, ValueError):
            faulthandler.enable(sys.stderr.fileno())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    logging.getLogger("alembic").setLevel(max(logging.WARNING, root.level))


if TYPE_CHECKING:
    _LoggerAdapter = logging.LoggerAdapter[logging.Logger]
else:
    # Python 3.10 cannot subscript it when it runs.
    _LoggerAdapter = logging.LoggerAdapter


class CameraLogger(_LoggerAdapter):
    """A logger that says which camera a line is about."""

    def __init__(self, logger: logging.Logger, camera_id: int) -> None:
        super().__init__(logger, {"camera_id": camera_id})
        self.camera_id = camera_id
        self._prefix = f"camera {camera_id}: "

    def process(self, msg: object, kwargs: object) -> tuple[str, object]:  # type: ignore[override]
        """Put the camera's id in front."""
        return f"{self._prefix}{msg}", kwargs
