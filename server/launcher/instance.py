"""Makes an instance directory ready: its lock, its configuration, its database and its first account."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import flask_migrate
from flask import Flask

from server.config import PROJECT_DIR
from server.errors import ConfigError, StorageError
from server.launcher.arguments import Options, UsageError
from server.log import redact
from server.services.accounts import ensure_first_admin
from server.services.transactions import translated

EXAMPLE = PROJECT_DIR / "instance" / "config_example.py"
DEMO_MARK = "added"
"""File beside the demo clip: the camera was made once, and whoever deletes it has done so on purpose."""
_WAIT_SECONDS = 6.0
"""How long the last run's processes may still need to end before a new run is refused."""


def prepare_directory(directory: Path) -> None:
    """Make the directory and see that it can be written. Raises UsageError."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        (directory / "log").mkdir(mode=0o700, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory):
            pass
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise UsageError(f"the disk of {directory} is full: make room and run ./start again") from error
        raise UsageError(
            f"the instance directory {directory} cannot be written ({error.strerror}): "
            "choose another with --instance DIR"
        ) from error


@contextlib.contextmanager
def locked(options: Options) -> Iterator[int]:
    """Hold the instance for this run; gives the lock's file descriptor. Raises UsageError if it is held."""
    descriptor = os.open(options.instance / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        _take(descriptor, options.instance)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()} {options.url}".encode(), 0)
        yield descriptor
    finally:
        os.close(descriptor)


def _take(descriptor: int, instance: Path) -> None:
    deadline = time.monotonic() + _WAIT_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError as error:
            process, _, url = os.pread(descriptor, 300, 0).decode(errors="replace").partition(" ")
            # Where the holder itself is gone, its guardian is still ending what it left.
            if time.monotonic() >= deadline or _alive(process):
                raise UsageError(
                    f"Hypersight already runs on {instance} (process {process or '?'}, {url or 'starting'}): "
                    "stop that with Ctrl-C, or choose another with --instance DIR and --port"
                ) from error
            time.sleep(0.1)


def _alive(process: str) -> bool:
    if not process.isdigit():
        return True
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def write_config(instance: Path) -> bool:
    """Write config.py from the example, with a random SECRET_KEY, unless it is there. Whether it wrote."""
    path = instance / "config.py"
    if path.exists():
        return False
    text = EXAMPLE.read_text().replace("{secret_key}", secrets.token_hex(32))
    handle, name = tempfile.mkstemp(prefix=".config-", dir=instance)
    fresh = Path(name)
    try:
        with os.fdopen(handle, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)
    return True


def migrate(app: Flask) -> None:
    """Bring the database to the schema of this version. Raises StorageError, ConfigError."""
    address = redact(app.config["SQLALCHEMY_DATABASE_URI"])
    try:
        with app.app_context(), translated():
            flask_migrate.upgrade(directory=str(PROJECT_DIR / "migrations"))
    except StorageError as error:
        raise StorageError(f"the database {address} cannot be opened: {error}") from error
    except SystemExit as error:
        # Flask-Migrate logs Alembic's complaint and exits: the schema is from another version.
        raise ConfigError(
            f"the database {address} cannot be brought to this version's schema (the reason is above): "
            "it may be from a newer version"
        ) from error


def first_password(app: Flask) -> str | None:
    """The generated password of the first account, if it had to be made just now."""
    with app.app_context():
        return ensure_first_admin()
