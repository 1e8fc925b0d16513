"""Every error that Hypersight raises on purpose.

What comes from outside (libav, SQL, HTTP) is translated into one of these where it enters, so that
callers can ask the one thing they need to know: does trying again help?
"""

from __future__ import annotations


class HypersightError(Exception):
    """Base of all. The text is a sentence for the person who runs the system; no secrets in it."""

    retryable = False
    """Whether the same call may succeed later without anybody changing anything."""


class ConfigError(HypersightError):
    """A setting is missing or wrong. The text names the setting and the remedy."""


class InvalidInput(HypersightError):
    """A value given by a user is wrong. `field` names which one."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message


class NotFound(HypersightError):
    """What was asked for is not there."""


class SourceError(HypersightError):
    """A camera's source gives no video. `state` is the camera state to show."""

    retryable = True

    def __init__(self, message: str, *, state: str = "unreachable", retryable: bool = True) -> None:
        super().__init__(message)
        self.state = state
        self.retryable = retryable


class DecodeError(HypersightError):
    """Encoded video that cannot be decoded. Later video may well be."""

    retryable = True


class DetectorError(HypersightError):
    """The object detector cannot answer for these frames."""

    retryable = True


class ModelError(HypersightError):
    """A weights file is missing, damaged or of a kind that does not fit."""


class CheckpointError(HypersightError):
    """A stored checkpoint cannot be used: other version, or damaged."""


class StorageError(HypersightError):
    """The database or the disk cannot take what it was given just now."""

    retryable = True


class BrokerError(HypersightError):
    """Redis does not take a message just now."""

    retryable = True


class LeaseLost(HypersightError):
    """Another watcher holds the camera. This one must stop and store nothing more."""
